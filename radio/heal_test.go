package radio

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"drey/mesh"
	"drey/radio/air"
	"drey/radio/radiotest"
)

// TestIslandsHeal joins two islands of two machines each by one LoRa link: all
// come to hold what all hold, alerts first, inside the sync share.
func TestIslandsHeal(t *testing.T) {
	for _, missing := range []int{3, 10, 40} {
		t.Run(fmt.Sprint(missing), func(t *testing.T) {
			forms := func(c *Config) {
				signedForm(c)
				c.Maps = append(c.Maps, TopicMap{Topic: "commons", Channel: 0, Form: FormSigned})
			}
			inTown(t, 4, radiotest.Config{Seed: 3}, private(), forms, func(t *testing.T, w *town) {
				left, right := w.hubs[:2], w.hubs[2:]
				island := map[*radiotest.Radio]int{w.gear[0]: 1, w.gear[1]: 1}
				for _, side := range [][]*fakeHub{left, right} {
					side[0].peers, side[1].peers = []*fakeHub{side[1]}, []*fakeHub{side[0]}
				}
				w.air.Link(func(a, b *radiotest.Radio) bool { return island[a] == island[b] })
				time.Sleep(time.Minute)
				var all []*mesh.Event
				for i := range missing {
					side := left
					if i%3 == 0 {
						side = right
					}
					topic := mesh.Topic("commons")
					if i%4 == 0 {
						topic = "alerts"
					}
					// What was said before the radio was there: nobody owes it any more.
					all = append(all, side[i%2].past(t, topic, fmt.Sprintf("event %d of an island", i)))
				}
				time.Sleep(20 * time.Minute)
				before := w.spent()
				w.air.Link(func(a, b *radiotest.Radio) bool {
					return island[a] == island[b] || (a == w.gear[0] || b == w.gear[0]) && (a == w.gear[2] || b == w.gear[2])
				})
				joined := time.Now()
				whole := func() bool {
					for _, h := range w.hubs {
						for _, e := range all {
							if _, err := h.Record(t.Context(), e.ID(), mesh.Self); err != nil {
								return false
							}
						}
					}
					return true
				}
				for !whole() && time.Since(joined) < 12*time.Hour {
					time.Sleep(10 * time.Second)
					synctest.Wait()
				}
				if !whole() {
					t.Fatalf("not whole after %v: %+v", time.Since(joined), w.hubs[0].radio.Status().Signed)
				}
				took := time.Since(joined)
				t.Logf("%d differences: whole after %v, %v of airtime", missing, took, w.spent()-before)
				for i, g := range w.gear {
					var sum time.Duration
					for _, s := range w.air.Sent() {
						if s.By == g && s.From == g.Num() && s.At.After(joined) {
							sum += s.Airtime
						}
					}
					// A full share of 15 % of 72 s, and what each hour refills at most.
					if most := time.Duration((0.15 + took.Hours()) * 72 * float64(time.Second)); sum > most+10*time.Second {
						t.Errorf("gateway %d spent %v in %v, want at most %v", i, sum, took, most)
					}
				}
			})
		})
	}
}

// spent is all airtime so far.
func (w *town) spent() (sum time.Duration) {
	for _, s := range w.air.Sent() {
		sum += s.Airtime
	}
	return sum
}

// TestSketchAirtime finds ten differences with at most two seconds of LongFast
// airtime: the sketch that tells too little, and the answer that tells enough.
func TestSketchAirtime(t *testing.T) {
	inTown(t, 2, radiotest.Config{Seed: 8}, private(), signedForm, func(t *testing.T, w *town) {
		islands(w)
		w.air.Link(func(a, b *radiotest.Radio) bool { return false })
		for i := range 10 {
			w.hubs[i%2].past(t, "alerts", fmt.Sprintf("event %d", i))
		}
		time.Sleep(3 * time.Minute)
		before := len(w.air.Sent())
		w.air.Link(nil)
		found := func() uint64 {
			return w.hubs[0].radio.Status().Signed.Differences + w.hubs[1].radio.Status().Signed.Differences
		}
		for found() == 0 {
			time.Sleep(time.Second)
			synctest.Wait()
		}
		// The window of the sketch that told enough, and the sketches of it.
		var sum time.Duration
		var sizes []int
		var window string
		sent := w.air.Sent()[before:]
		for _, s := range slices.Backward(sent) {
			if s.Repeat || len(s.Payload) < 13+4*air.SketchReply || s.Payload[0] != 0x54 {
				continue
			}
			window = string(s.Payload[5:13])
			break
		}
		for _, s := range sent {
			if !s.Repeat && len(s.Payload) > 13 && s.Payload[0] == 0x54 && string(s.Payload[5:13]) == window {
				sum += s.Airtime
				sizes = append(sizes, len(s.Payload))
			}
		}
		t.Logf("%d differences found with %v of airtime: frames of %v bytes", found(), sum, sizes)
		if found() != 10 || sum > 2*time.Second {
			t.Errorf("%d of 10 differences found with %v", found(), sum)
		}
	})
}
