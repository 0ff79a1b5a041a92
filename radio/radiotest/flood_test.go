package radiotest

import (
	"context"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"drey/radio/meshtastic"
)

// levels is an SNR by the radios' names; pairs that are not named hear each
// other not at all.
func levels(db map[string]float64) func(a, b *Radio) float64 {
	return func(a, b *Radio) float64 {
		for _, pair := range []string{a.Name() + b.Name(), b.Name() + a.Name()} {
			if v, ok := db[pair]; ok {
				return v
			}
		}
		return math.Inf(-1)
	}
}

// saidBy counts the transmissions of a radio.
func saidBy(a *Air, r *Radio) int {
	n := 0
	for _, s := range a.Sent() {
		if s.By == r {
			n++
		}
	}
	return n
}

// TestFaintRepeatsFirst has a near and a far radio hear the same texts: the far
// one repeats them, and the near one, which hears it, then does not.
func TestFaintRepeatsFirst(t *testing.T) {
	onAir(t, Config{Collisions: true, SNR: levels(map[string]float64{"on": 10, "of": -16, "nf": 0})}, func(t *testing.T, a *Air) {
		origin, near, far := a.NewHandheld("o"), a.NewRadio("n", RadioConfig{}), a.NewRadio("f", RadioConfig{})
		const texts = 100
		for i := range texts {
			origin.Send(fmt.Sprint(i))
			time.Sleep(30 * time.Second)
		}
		n, f := saidBy(a, near), saidBy(a, far)
		if f < 90 || n > 15 {
			t.Errorf("of %d texts the far radio repeated %d and the near one %d", texts, f, n)
		}
	})
}

// TestCapture has two radios that do not hear each other speak at once: the
// louder is understood when it is 6 dB louder, and nobody when it is less.
func TestCapture(t *testing.T) {
	for louder, want := range map[float64]int{8: 50, 4: 0} {
		onAir(t, Config{Collisions: true, HopLimit: 1, SNR: levels(map[string]float64{"lm": louder, "rm": 0})}, func(t *testing.T, a *Air) {
			left, middle, right := a.NewHandheld("l"), a.NewHandheld("m"), a.NewHandheld("r")
			for range 50 {
				left.Send("from the left, long enough to cover the other")
				right.Send("right")
				time.Sleep(time.Minute)
			}
			got := 0
			for range len(middle.Heard()) {
				if (<-middle.Heard()).From == left.Num() {
					got++
				}
			}
			if got < want-3 || got > want+8 { // now and then they miss each other
				t.Errorf("%v dB louder: understood %d times of 50, want about %d", louder, got, want)
			}
		})
	}
}

// TestListenBeforeSending has six radios in range of each other speak at the
// same moment, over and over: they overlap only when they choose one slot.
func TestListenBeforeSending(t *testing.T) {
	onAir(t, Config{Collisions: true}, func(t *testing.T, a *Air) {
		var all []*Handheld
		for i := range 6 {
			all = append(all, a.NewHandheld(fmt.Sprint(i)))
		}
		for range 100 {
			for _, h := range all {
				_ = h.Radio.Send(&meshtastic.Packet{To: meshtastic.Broadcast, Data: &meshtastic.Data{Port: meshtastic.PortPrivate, Payload: make([]byte, 40)}})
			}
			time.Sleep(time.Minute)
		}
		sent, overlaps := a.Sent(), 0
		for i := 1; i < len(sent); i++ {
			if after := sent[i].At.Sub(sent[i-1].At); after < sent[i-1].Airtime {
				overlaps++
				if after > a.Modulation().Slot() {
					t.Fatalf("one began %v into another's frame", after)
				}
			}
		}
		if len(sent) != 600 || overlaps == 0 || overlaps > 200 {
			t.Errorf("%d frames, %d overlaps", len(sent), overlaps)
		}
	})
}

// TestDownlinkIsOnePacket has two gateways put the same MQTT packet on the air:
// it is shown once, and the one that hears the other first says nothing.
func TestDownlinkIsOnePacket(t *testing.T) {
	onAir(t, Config{}, func(t *testing.T, a *Air) {
		one, two := a.NewRadio("one", RadioConfig{}), a.NewRadio("two", RadioConfig{})
		hand := a.NewHandheld("bob")
		for i := range uint32(20) {
			one.Downlink(7, 100+i, 0, 3, "from far away")
			time.Sleep(5 * time.Second)
			two.Downlink(7, 100+i, 0, 3, "from far away")
			time.Sleep(25 * time.Second)
		}
		if n := len(hand.Heard()); n != 20 {
			t.Errorf("shown %d times, want 20", n)
		}
		if n := saidBy(a, one); n != 20 {
			t.Errorf("the first gateway sent %d packets, want 20", n)
		}
		if n := len(a.Sent()); n > 60 {
			t.Errorf("%d packets for 20 texts and three radios", n)
		}
	})
}

// TestUrgentPushesOut fills the queue with background frames: something urgent
// takes the place of the last, and nobody is told.
func TestUrgentPushesOut(t *testing.T) {
	onAir(t, Config{}, func(t *testing.T, a *Air) {
		r := a.NewRadio("one", RadioConfig{})
		send := func(id, priority uint32) meshtastic.RoutingError {
			return r.Send(&meshtastic.Packet{
				To: meshtastic.Broadcast, ID: id, Priority: priority,
				Data: &meshtastic.Data{Port: meshtastic.PortPrivate, Payload: make([]byte, 50)},
			})
		}
		for id := range uint32(16) {
			if e := send(id+1, 10); e != meshtastic.ErrorNone {
				t.Fatalf("frame %d: %v", id+1, e)
			}
		}
		if e := send(17, 10); e != queueFull {
			t.Errorf("one background frame too many: %v", e)
		}
		if e := send(18, 64); e != meshtastic.ErrorNone {
			t.Errorf("an urgent one: %v", e)
		}
		time.Sleep(5 * time.Minute)
		var ids []uint32
		for _, s := range a.Sent() {
			ids = append(ids, s.ID)
		}
		if len(ids) != 16 || ids[0] != 18 || ids[15] != 15 {
			t.Errorf("sent %v; want 18 first, and 16 and 17 not at all", ids)
		}
	})
}

// TestRepeatedByItsAuthor has an author say a frame again that nobody was heard
// to repeat; a radio that has it repeats it again, so that the author hears.
func TestRepeatedByItsAuthor(t *testing.T) {
	onAir(t, Config{}, func(t *testing.T, a *Air) {
		r := a.NewRadio("one", RadioConfig{})
		hand := a.NewHandheld("bob")
		deaf := true
		a.Link(func(from, to *Radio) bool { return !deaf || to != r })
		p := configure(t, r.Conn())
		ask := text(1, "anybody?")
		ask.Packet.WantAck = true
		p.say(ask)
		time.Sleep(5 * time.Second)
		a.mu.Lock()
		deaf = false
		a.mu.Unlock()
		if s := routings(p.rest(15 * time.Second)); len(s) != 1 || s[0] != "1:0" {
			t.Errorf("answered %v, want an acknowledgement after the second time", s)
		}
		if n := len(hand.Heard()); n != 1 {
			t.Errorf("the handheld shows it %d times", n)
		}
	})
}

// TestTerrain checks that one seed gives one terrain and that the two sizes of
// the airtime benchmark are as dense as it says.
func TestTerrain(t *testing.T) {
	for _, c := range []struct{ side, least, most float64 }{{14_000, 17, 23}, {22_000, 7, 12}} {
		sum := 0.0
		for seed := range uint64(10) {
			one, two := NewTerrain(seed, 60, 3, c.side), NewTerrain(seed, 60, 3, c.side)
			for i := range one.snr {
				for j := range one.snr[i] {
					if one.snr[i][j] != two.snr[i][j] || one.snr[i][j] != one.snr[j][i] {
						t.Fatalf("seed %d: radio %d hears %d at %v, %v and %v", seed, i, j, one.snr[j][i], one.snr[i][j], two.snr[i][j])
					}
				}
			}
			if !one.joined(-17.5) {
				t.Errorf("seed %d is not one mesh", seed)
			}
			sum += one.Neighbours() / 10
		}
		if sum < c.least || sum > c.most {
			t.Errorf("%v m: %.1f neighbours, want %v to %v", c.side, sum, c.least, c.most)
		}
	}
}

// TestHourOfSixty lives through an hour of sixty radios and prints what it
// took.
func TestHourOfSixty(t *testing.T) {
	began := time.Now()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		terrain := NewTerrain(1, 60, 3, 14_000)
		taken := 0
		a := NewAir(Config{Seed: 1, Collisions: true, SNR: terrain.SNR, Taken: func(Reception) { taken++ }})
		var all []*Handheld
		for i := range 60 {
			all = append(all, a.NewHandheld(fmt.Sprint(i)))
		}
		go a.Run(ctx)
		for i := range 120 {
			all[i%3].Send("a text of the usual length, which is sixty-six bytes or near that")
			time.Sleep(30 * time.Second)
		}
		sent := len(a.Sent())
		t.Logf("%d transmissions, %d first receptions", sent, taken)
		if part := float64(taken) / (120 * 59); part < 0.95 {
			t.Errorf("%.1f %% arrived", 100*part)
		}
		cancel()
		synctest.Wait()
	})
	t.Logf("an hour of sixty radios took %v", time.Since(began))
}
