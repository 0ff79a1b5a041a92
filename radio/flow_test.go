package radio

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"drey/mesh"
	"drey/radio/air"
	"drey/radio/meshtastic"
	"drey/radio/radiotest"
)

// ceiling is what LongFast carries at most, in payload bytes of full frames a
// second: 231 B in 2.16 s.
const ceiling = 107.0

// TestFlowControl has one gateway without a governor say as much as it can. The
// ceiling is frame after frame without any pause. As long as the radio's own
// pauses are short, which is for about sixteen frames, the payload reaches 0.8 of
// it. In the long run the firmware waits longer the busier the channel is, even
// by its own sending, and no queue gets out more than 0.76: the real radio was
// measured at 195 × 200 B in 520 s, 0.72 of what 200 B can reach. Then the
// carrier keeps up with a queue that is never empty. Nothing is lost to the
// queue of 16.
func TestFlowControl(t *testing.T) {
	const n, burst = 60, 16
	free := func(c *Config) {
		signedForm(c)
		c.AirtimeShare, c.HopLimit = -1, -1 // nobody's repeating takes the channel
	}
	var rates [2][2]float64 // of the carrier and of a full queue: at first and in the long run
	inTown(t, 1, radiotest.Config{Seed: 4}, private(), free, func(t *testing.T, w *town) {
		listener := newListener(t, w, "far")
		time.Sleep(2 * time.Minute)
		skip := len(w.air.Sent())
		var events []*mesh.Event
		for i := range n { // each fills a frame
			events = append(events, w.hubs[0].say(t, "alerts", fmt.Sprintf("%02d %s", i, noise(151))))
		}
		arrived := func() bool {
			for _, e := range events {
				if listener.count(e.ID()) == 0 {
					return false
				}
			}
			return true
		}
		for began := time.Now(); !arrived() && time.Since(began) < time.Hour; {
			time.Sleep(time.Second)
			synctest.Wait()
		}
		sent := w.air.Sent()[skip:]
		rates[0] = [2]float64{rateOf(sent[:burst]), rateOf(sent)}
		if !arrived() || w.gear[0].Dropped() != 0 {
			t.Errorf("arrived %v, the radio dropped %d", arrived(), w.gear[0].Dropped())
		}
		for _, e := range events {
			if n := listener.count(e.ID()); n != 1 {
				t.Errorf("an event came %d times", n)
			}
		}
	})
	synctest.Test(t, func(t *testing.T) { // what the radio gets out when its queue is never empty
		ctx, cancel := context.WithCancel(t.Context())
		air := radiotest.NewAir(radiotest.Config{Seed: 4})
		go air.Run(ctx)
		r := air.NewRadio("full", radiotest.RadioConfig{Channels: []meshtastic.Channel{private()}})
		for len(air.Sent()) < n {
			if r.Free() > 8 {
				_ = r.Send(&meshtastic.Packet{
					To: meshtastic.Broadcast, Data: &meshtastic.Data{Port: meshtastic.PortPrivate, Payload: make([]byte, 231)},
				})
			}
			time.Sleep(50 * time.Millisecond)
			synctest.Wait()
		}
		rates[1] = [2]float64{rateOf(air.Sent()[:burst]), rateOf(air.Sent())}
		cancel()
		synctest.Wait()
	})
	t.Logf("first %d frames: %.1f B/s, %.2f of %.0f B/s (a full queue: %.1f); %d frames: %.1f B/s, %.2f (a full queue: %.1f)",
		burst, rates[0][0], rates[0][0]/ceiling, ceiling, rates[1][0], n, rates[0][1], rates[0][1]/ceiling, rates[1][1])
	if rates[0][0] < 0.8*ceiling {
		t.Errorf("%.1f B/s at first, want %.1f", rates[0][0], 0.8*ceiling)
	}
	if rates[0][1] < 0.95*rates[1][1] {
		t.Errorf("%.1f B/s in the long run, where a queue that is never empty gets %.1f", rates[0][1], rates[1][1])
	}
}

// rateOf is payload in bytes a second, from the first frame's beginning to the
// last one's end.
func rateOf(sent []radiotest.Sent) float64 {
	bytes := 0
	for _, s := range sent {
		bytes += len(s.Payload)
	}
	last := sent[len(sent)-1]
	return float64(bytes) / last.At.Add(last.Airtime).Sub(sent[0].At).Seconds()
}

// TestFlood has a neighbour with the channel's key say what it likes as fast as
// the air bears: what is urgent still arrives, everything else once the channel
// has room again, and what it costs is bounded.
func TestFlood(t *testing.T) {
	inTown(t, 2, radiotest.Config{Seed: 4}, private(), signedForm, func(t *testing.T, w *town) {
		islands(w)
		bad := w.air.NewRadio("bad", radiotest.RadioConfig{Channels: []meshtastic.Channel{private()}})
		time.Sleep(3 * time.Minute)
		first := w.hubs[0].say(t, "alerts", "a frame to spoil")
		w.hubs[1].await(t, "the first event", time.Minute, func() bool { return w.hubs[1].holds(first.ID()) })
		var good []byte
		for _, s := range w.air.Sent() {
			if s.By == w.gear[0] && air.FormOf(s.Payload) == air.FormEvents {
				good = s.Payload
			}
		}
		line := bad.Conn()
		go func() {
			for i := 0; ; i++ {
				payload := []byte(noise(231))
				payload[0], payload[1] = byte(i)&0x6f, byte(i>>8) // every form
				if i%2 == 0 {                                     // or an event whose signature is spoilt
					payload = slices.Clone(good)
					payload[len(payload)/2] ^= byte(1 + i/2)
				}
				b := meshtastic.AppendToRadio(nil, &meshtastic.ToRadio{Packet: &meshtastic.Packet{
					To: meshtastic.Broadcast, ID: uint32(i + 1), Data: &meshtastic.Data{Port: meshtastic.PortPrivate, Payload: payload},
				}})
				if _, err := line.Write(meshtastic.AppendFrame(nil, b)); err != nil {
					return
				}
				time.Sleep(5 * time.Second)
			}
		}()
		time.Sleep(4 * time.Minute)
		e := w.hubs[0].say(t, "alerts", "water is back")
		urgent := w.hubs[0].say(t, "alerts", "the dam breaks", mesh.LabelTags(mesh.LabelEmergency)...)
		w.hubs[1].await(t, "an emergency", time.Minute, func() bool { return w.hubs[1].holds(urgent.ID()) })
		line.Close()
		w.hubs[1].await(t, "a member's event", 5*time.Minute, func() bool { return w.hubs[1].holds(e.ID()) })
		s := w.hubs[1].radio.Status()
		t.Logf("refused %v, flooded %d, %d signatures checked", s.Signed.Refused, s.Signed.Flooded, s.Signed.Checks)
		if s.State != StateLive {
			t.Errorf("the radio is %s", s.State)
		}
	})
}

// TestInboxBounds prints and checks the bounds of what a flood may take, one
// beyond each.
func TestInboxBounds(t *testing.T) {
	each, all := paceOf(air.Modulation{}, 1)
	t.Logf("one sender: %d frames at once, then one each %v; all together: %d at once, then one each %v; waiting: %d frames of each of %d senders; so at most %.1f frames and %.0f signature checks a second at LongFast",
		senderBurst, each, allBurst, all, maxPerSender, maxSenders, float64(time.Second)/float64(all), 8*float64(time.Second)/float64(all))
	now := at(0)
	frame := func(from int) heardFrame { return heardFrame{from: meshtastic.NodeNum(from), payload: []byte{1}} }

	b := newInbox()
	for i := range maxPerSender + 1 {
		if got, want := b.put(now, frame(1), each, all), i < maxPerSender; got != want {
			t.Fatalf("frame %d of one sender: taken %v, want %v", i+1, got, want)
		}
	}
	// Whoever came later is served after one frame of the first.
	b.put(now, frame(2), each, all)
	b.take()
	if f, _ := b.take(); f.from != 2 {
		t.Errorf("second served is sender %d", f.from)
	}

	b = newInbox()
	for i := range senderBurst + 1 {
		got := b.put(now, frame(1), each, all)
		b.take()
		if want := i < senderBurst; got != want {
			t.Fatalf("frame %d of a burst: taken %v, want %v", i+1, got, want)
		}
	}
	if !b.put(now.Add(each), frame(1), each, all) {
		t.Error("no frame is taken after the pause")
	}

	b = newInbox()
	for i := range allBurst + 1 {
		got := b.put(now, frame(i), each, all)
		b.take()
		if want := i < allBurst; got != want {
			t.Fatalf("frame %d of a flood under many numbers: taken %v, want %v", i+1, got, want)
		}
	}

	b = newInbox()
	for i := range maxSenders + 1 {
		got := b.put(now.Add(time.Duration(i)*time.Minute), frame(i), each, all)
		if want := i < maxSenders; got != want {
			t.Fatalf("sender %d with a frame waiting: taken %v, want %v", i+1, got, want)
		}
	}

	// A proven sender goes before strangers.
	b = newInbox()
	b.put(now, frame(7), each, all)
	b.take()
	b.prove(7)
	for i := range 5 {
		b.put(now, frame(10+i), each, all)
	}
	b.put(now, frame(7), each, all)
	if f, _ := b.take(); f.from != 7 {
		t.Errorf("first served is sender %d, want the proven one", f.from)
	}
}

// TestWhoIs has an author that the receiver has never heard of: the frame is
// parked, the key asked for, and the event taken when the answer comes. Of a note,
// which names a member by one byte, the whole is asked for.
func TestWhoIs(t *testing.T) {
	t.Run("a hint", func(t *testing.T) {
		newcomer(t, [][]string{{"t", "alerts"}, {"subject", "hello"}}, 0x50, 0x51)
	})
	t.Run("an initial", func(t *testing.T) { newcomer(t, [][]string{{"t", "alerts"}}, 0x53) })
}

// newcomer has somebody speak whom one of two gateways has never heard of, and
// counts the control frames with these first bytes: one of each.
func newcomer(t *testing.T, tags [][]string, talk ...byte) {
	t.Helper()
	inTown(t, 2, radiotest.Config{Seed: 4}, private(), signedForm, func(t *testing.T, w *town) {
		islands(w)
		stranger := newFakeHub(t, "stranger")
		w.mu.Lock()
		w.mu.extra = append(w.mu.extra, stranger.signer.PubKey())
		w.mu.blind = w.hubs[1] // it has not heard of the stranger
		w.mu.Unlock()
		time.Sleep(3 * time.Minute)
		e, err := stranger.signer.Sign(mesh.Draft{CreatedAt: mesh.UnixOf(time.Now()), Kind: mesh.KindNote, Tags: tags, Content: "I am new"})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.hubs[0].accept(e, "alerts", ""); err != nil {
			t.Fatal(err)
		}
		w.hubs[1].await(t, "the stranger's event", 5*time.Minute, func() bool { return w.hubs[1].holds(e.ID()) })
		var control []byte
		for _, s := range w.air.Sent() {
			if s.Port == meshtastic.PortPrivate && !s.Repeat && s.Payload[0]>>4 == 5 && s.Payload[0]&15 < 4 {
				control = append(control, s.Payload[0])
			}
		}
		if !slices.Equal(control, talk) {
			t.Errorf("it took the control frames %x, want %x", control, talk)
		}
	})
}

// TestUnknownTarget has a reply name its parent by a prefix that the receiver
// cannot resolve: the parent was said while it was out of reach. It asks for the
// reply in full.
func TestUnknownTarget(t *testing.T) {
	inTown(t, 2, radiotest.Config{Seed: 4}, private(), signedForm, func(t *testing.T, w *town) {
		islands(w)
		time.Sleep(2 * time.Minute)
		w.air.Link(func(a, b *radiotest.Radio) bool { return false })
		parent := w.hubs[0].say(t, "alerts", "who has a pump?")
		time.Sleep(2 * time.Minute)
		w.air.Link(nil)
		reply := w.hubs[0].say(t, "alerts", "I have", []string{"e", parent.ID().String(), "", "reply"})
		w.hubs[1].await(t, "the reply", 5*time.Minute, func() bool { return w.hubs[1].holds(reply.ID()) })
		asked := false
		for _, s := range w.air.Sent() {
			asked = asked || s.Port == meshtastic.PortPrivate && len(s.Payload) > 0 && s.Payload[0] == 0x53
		}
		if !asked {
			t.Error("the reply was understood without the event it refers to")
		}
	})
}

// TestAnnounce has a node's record reach the others within a minute of the
// start, and again after half an hour.
func TestAnnounce(t *testing.T) {
	inTown(t, 2, radiotest.Config{Seed: 4}, private(), signedForm, func(t *testing.T, w *town) {
		islands(w)
		record := []byte(strings.Repeat("r", 200))
		if err := w.hubs[0].radio.Announce(t.Context(), append(record, 'x')); err == nil {
			t.Error("201 bytes were taken")
		}
		if err := w.hubs[0].radio.Announce(t.Context(), record); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for i, most := range []time.Duration{70 * time.Second, 35 * time.Minute} {
			got := <-w.hubs[1].radio.Records()
			if d := time.Since(began); string(got) != string(record) || d > most || i > 0 && d < announceEvery {
				t.Errorf("record %d of %d bytes after %v, want within %v", i+1, len(got), d, most)
			}
			began = time.Now()
		}
	})
}
