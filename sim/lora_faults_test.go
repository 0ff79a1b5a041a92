package sim

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"drey/mesh"
	"drey/radio"
	"drey/radio/air"
	"drey/radio/meshtastic"
	"drey/radio/radiotest"
)

// until waits until ok holds, looking every second, and reports how long it
// took.
func until(limit time.Duration, ok func() bool) (time.Duration, bool) {
	began := time.Now()
	for time.Since(began) < limit {
		if ok() {
			return time.Since(began), true
		}
		<-time.After(time.Second)
	}
	return limit, ok()
}

// shownOnce checks that each of the nodes shows each text once.
func (v *village) shownOnce(t *testing.T) {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	lost, twice := 0, 0
	for _, e := range v.events {
		for _, node := range v.nodes {
			n := 0
			for text, by := range v.mu.shown {
				if strings.HasSuffix(text, ": "+e.Content()) {
					n += by[node]
				}
			}
			switch {
			case n == 0:
				lost++
				t.Logf("%s does not show %q: %v", node.Name(), e.Content(), v.gates[0].history(e.ID()))
			case n > 1:
				twice++
				t.Logf("%s shows %q %d times", node.Name(), e.Content(), n)
			}
		}
	}
	if lost > 0 || twice > 0 {
		t.Errorf("of %d messages × %d nodes %d are not shown and %d more than once", len(v.events), len(v.nodes), lost, twice)
	}
}

// heardOnce checks that each of the nodes has each event, and that next to none
// was put on the air by two gates: spare says how many frames too many may be.
func (v *village) heardOnce(t *testing.T, spare int) {
	t.Helper()
	lost, extra := 0, 0
	for _, e := range v.events {
		for _, node := range v.nodes {
			if v.firstAt(e.ID(), node).IsZero() {
				lost++
				t.Logf("%s has not got %q: %v", node.Name(), e.Content(), v.gates[0].history(e.ID()))
			}
		}
		if n := v.frames(e.ID(), time.Time{}); n != 1 {
			extra += n - 1
			t.Logf("%q was in %d frames", e.Content(), n)
		}
	}
	if lost > 0 || extra > spare {
		t.Errorf("of %d events × %d nodes %d did not arrive; %d frames too many, allowed are %d", len(v.events), len(v.nodes), lost, extra, spare)
	}
	if v.mu.ear.wrong > 0 {
		t.Errorf("%d frames could not be rebuilt", v.mu.ear.wrong)
	}
}

// forms runs a test for events in signed form and as texts.
func forms(t *testing.T, f func(t *testing.T, form string)) {
	for _, form := range []string{radio.FormSigned, radio.FormText} {
		t.Run(form, func(t *testing.T) { f(t, form) })
	}
}

// TestLoraLeaderKilled kills the gate that speaks for all in the middle of a
// conversation: another speaks within 60 s, and nothing is lost or said twice.
func TestLoraLeaderKilled(t *testing.T) {
	longBubble(t)
	forms(t, func(t *testing.T, form string) {
		inVillage(t, 3, 6, form, radiotest.Config{Seed: 21}, nil, func(t *testing.T, v *village) {
			join(v.gates...)
			<-time.After(2 * time.Minute) // they meet
			for i := range 12 {
				v.say(i%3, "before %d", i)
				<-time.After(25 * time.Second)
			}
			<-time.After(time.Minute)
			leader := v.speaker(v.air.Sent()[0].At)
			if leader < 0 {
				t.Fatal("nobody speaks")
			}
			other := (leader + 1) % 3
			caught := v.say(other, "caught in the middle")
			<-time.After(3 * time.Second)
			v.gates[leader].halt()
			killed := time.Now()
			for i := range 8 {
				v.say(other, "after %d", i)
				<-time.After(25 * time.Second)
			}
			<-time.After(2 * time.Minute)
			synctest.Wait()
			if form == radio.FormText {
				v.shownOnce(t)
				return
			}
			v.heardOnce(t, 0)
			for _, e := range []*mesh.Event{caught, v.events[13]} {
				for _, node := range v.nodes {
					if at := v.firstAt(e.ID(), node); at.Sub(killed) > time.Minute {
						t.Errorf("%s got %q %v after the leader's end, want within a minute", node.Name(), e.Content(), at.Sub(killed))
					}
				}
			}
		})
	})
}

// TestLoraFlap has gates lose and find the fast side and their radios, at
// random, while people write: in the end every gate holds every event, and
// every node shows it once. Handhelds cannot tell two gateways' packets of one
// text apart: there it takes gateways that keep out of each other's way.
func TestLoraFlap(t *testing.T) {
	longBubble(t)
	for _, seed := range []uint64{22, 32, 33, 43, 46, 48} {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			forms(t, func(t *testing.T, form string) { flap(t, seed, form) })
		})
	}
	texts := []uint64{23, 91, 97, 165, 231, 233, 295, 404}
	if *loraFaults != "" {
		var first, last uint64
		if _, err := fmt.Sscanf(*loraFaults, "%d-%d", &first, &last); err != nil {
			t.Fatalf("seeds %q: %v", *loraFaults, err)
		}
		for texts = nil; first <= last; first++ {
			texts = append(texts, first)
		}
	}
	for _, seed := range texts {
		t.Run(fmt.Sprintf("text/%d", seed), func(t *testing.T) { flap(t, seed, radio.FormText) })
	}
}

// loraFaults is given after -args.
var loraFaults = flag.String("faults", "", "seeds of TestLoraFlap's texts, from the first to the last, such as 20-600")

func flap(t *testing.T, seed uint64, form string) {
	inVillage(t, 3, 4, form, radiotest.Config{Seed: seed}, nil, func(t *testing.T, v *village) {
		join(v.gates...)
		<-time.After(2 * time.Minute)
		random := rand.New(rand.NewPCG(seed, seed))
		cut := [3]bool{}
		for i := range 40 {
			v.say(i%3, "line %d", i)
			<-time.After(time.Duration(10+random.IntN(30)) * time.Second)
			g := random.IntN(3)
			switch random.IntN(3) {
			case 0:
				cut[g] = !cut[g]
				v.gates[g].wire.setCut(v.ctx, cut[g])
			case 1:
				v.gates[g].device.Unplug()
			case 2:
				v.gates[g].device.Reboot(10 * time.Second)
			}
		}
		for g := range 3 {
			v.gates[g].wire.setCut(v.ctx, false)
		}
		<-time.After(20 * time.Minute)
		synctest.Wait()
		for _, e := range v.events {
			for _, g := range v.gates {
				if !g.holds(e.ID()) {
					t.Errorf("%s does not hold %q", g.name, e.Content())
				}
			}
		}
		if form == radio.FormText {
			v.shownOnce(t)
			return
		}
		v.heardOnce(t, len(v.events)/4)
	})
}

// islands makes two gates on islands of their own and lets each write n lines
// while only a wide water lies between them, long enough for them to be
// history. bridge joins their radios.
func islands(t *testing.T, n int, f func(t *testing.T, v *village)) {
	inVillage(t, 2, 0, radio.FormSigned, radiotest.Config{Seed: 23}, nil, func(t *testing.T, v *village) {
		v.air.Link(func(a, b *radiotest.Radio) bool { return false })
		both := v.say(0, "known on both sides")
		if err := v.gates[1].hub.Accept(v.ctx, both, mesh.Origin{Topic: loraTopic, Durable: true}); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			v.say(i%2, "line %d of island %d", i/2, i%2)
			<-time.After(20 * time.Second)
		}
		<-time.After(30 * time.Minute)
		v.air.Link(nil)
		f(t, v)
	})
}

// airtimeOf sums the first-hand transmissions since a moment that which chooses.
func (v *village) airtimeOf(since time.Time, which func(payload []byte) bool) (sum time.Duration, frames int) {
	for _, s := range v.air.Sent() {
		if !s.Repeat && s.Port == meshtastic.PortPrivate && !s.At.Before(since) && which(s.Payload) {
			sum += s.Airtime
			frames++
		}
	}
	return sum, frames
}

func ofForm(f air.Form) func([]byte) bool {
	return func(payload []byte) bool { return air.FormOf(payload) == f }
}

// isSketch tells sketches among control frames; see docs/PROTOCOL.md.
func isSketch(payload []byte) bool { return len(payload) > 0 && payload[0] == 0x54 }

// TestLoraIslandsHeal joins two islands by one LoRa link: each gets what it
// lacks, and finding ten differences costs at most 2 s of airtime.
func TestLoraIslandsHeal(t *testing.T) {
	islands(t, 10, func(t *testing.T, v *village) {
		joined := time.Now()
		took, ok := until(2*time.Hour, func() bool {
			return !slices.ContainsFunc(v.events, func(e *mesh.Event) bool {
				return !v.gates[0].holds(e.ID()) || !v.gates[1].holds(e.ID())
			})
		})
		finding, sketches := v.airtimeOf(joined, isSketch)
		talking, talk := v.airtimeOf(joined, ofForm(air.FormControl))
		carrying, frames := v.airtimeOf(joined, ofForm(air.FormEvents))
		t.Logf("10 differences: found with %v in %d sketches; %v in all %d control frames, so with asking for them; %v in %d frames of events; whole after %v",
			finding.Round(time.Millisecond), sketches, talking.Round(time.Millisecond), talk, carrying.Round(time.Millisecond), frames, took.Round(time.Second))
		if !ok {
			t.Fatalf("after %v they still differ", took)
		}
		if finding > 2*time.Second {
			t.Errorf("finding ten differences took %v of airtime, limit 2 s", finding)
		}
		for _, e := range v.events {
			if n := v.frames(e.ID(), joined); n > 1 {
				t.Errorf("%q was sent %d times to heal", e.Content(), n)
			}
		}
	})
}

// TestLoraRebootAmongFragments restarts a radio, and then a whole gate, in the
// middle of a long event: the rest follows, and the event arrives once.
func TestLoraRebootAmongFragments(t *testing.T) {
	for name, fault := range map[string]func(v *village){
		"radio": func(v *village) { v.gates[0].device.Reboot(20 * time.Second) },
		"gate": func(v *village) {
			v.gates[0].halt()
			<-time.After(20 * time.Second)
			v.restart(0)
		},
		"listener": func(v *village) {
			v.gates[1].halt()
			<-time.After(20 * time.Second)
			v.restart(1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inVillage(t, 2, 1, radio.FormSigned, radiotest.Config{Seed: 24}, nil, func(t *testing.T, v *village) {
				<-time.After(2 * time.Minute)
				began := time.Now()
				e := v.say(0, "%s", noise(900))
				if _, ok := until(10*time.Minute, func() bool {
					_, n := v.airtimeOf(began, ofForm(air.FormFragment))
					return n >= 2
				}); !ok {
					t.Fatal("no second fragment")
				}
				fault(v)
				took, ok := until(30*time.Minute, func() bool { return v.gates[1].holds(e.ID()) })
				_, n := v.airtimeOf(began, ofForm(air.FormFragment))
				t.Logf("whole %v after the fault, %d fragments in all", took, n)
				if !ok {
					t.Fatalf("not whole: %v", v.gates[0].history(e.ID()))
				}
				if n > 11 { // 5 or 6 hold it, 2 or 3 are for losses: begun anew it would be more
					t.Errorf("%d fragments went out: it was begun anew", n)
				}
			})
		})
	}
}

// restart runs a halted gate again, with what its store and its shelf hold.
func (v *village) restart(i int) {
	v.gates[i].open(v.t)
	v.gates[i].start(v.ctx)
}

// noise is a text that nothing compresses.
func noise(n int) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/"
	random := rand.New(rand.NewPCG(3, 3))
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[random.IntN(len(letters))]
	}
	return string(b)
}

// TestLoraFloodStarvesNobody has a stranger with the channel's key, as from a
// lost radio, fill the private channel: others' events still pass, and the
// flood costs next to no signature checks.
func TestLoraFloodStarvesNobody(t *testing.T) {
	longBubble(t)
	inVillage(t, 2, 0, radio.FormSigned, radiotest.Config{Seed: 25}, nil, func(t *testing.T, v *village) {
		flooder := v.air.NewRadio("flooder", radiotest.RadioConfig{Channels: []meshtastic.Channel{radiotest.PublicChannel(), loraChannel()}})
		<-time.After(2 * time.Minute)
		random := rand.New(rand.NewPCG(25, 25))
		before := v.gates[1].radio.Status().Signed.Checks
		flood := 0
		for i := range 300 {
			// Valid in form: a member's note, with the signature of another.
			payload := v.forged(random, i)
			flooder.Send(&meshtastic.Packet{To: meshtastic.Broadcast, Channel: loraPrivate, Data: &meshtastic.Data{Port: meshtastic.PortPrivate, Payload: payload}})
			flood++
			<-time.After(9 * time.Second) // an eighth of the channel: at a quarter all but emergencies keep silent
			if i%15 == 14 {
				v.say(0, "among the flood %d", i)
			}
		}
		<-time.After(5 * time.Minute)
		synctest.Wait()
		arrived := 0
		for _, e := range v.events {
			if v.gates[1].holds(e.ID()) {
				arrived++
			}
		}
		s := v.gates[1].radio.Status().Signed
		t.Logf("%d frames of the flood; %d of %d events passed; %d frames not looked at, %d signatures checked, refused %v",
			flood, arrived, len(v.events), s.Flooded, s.Checks-before, s.Refused)
		if arrived != len(v.events) {
			t.Errorf("%d of %d events passed", arrived, len(v.events))
		}
		// The end of a signature that is searched for counts as two; what is parked
		// for its time may be tried again once.
		if checks := s.Checks - before; checks > uint64(2*len(v.events)+flood+3*flood/dear) {
			t.Errorf("%d signatures were checked for %d frames", checks, flood)
		}
	})
}

// dear is of how many forged frames one has the form that costs most: the end of
// its signature is to be searched for.
const dear = 10

// forged is a frame of a member's note with the signature of another, a new one
// each time.
func (v *village) forged(random *rand.Rand, i int) []byte {
	author := v.people[i%len(v.people)]
	d := mesh.Draft{CreatedAt: mesh.UnixOf(time.Now()), Kind: mesh.KindNote, Tags: [][]string{{"t", string(loraTopic)}}, Content: fmt.Sprint("flood ", i)}
	other, err := author.Sign(mesh.Draft{CreatedAt: d.CreatedAt, Content: fmt.Sprint(random.Uint32())})
	if err != nil {
		v.t.Fatal(err)
	}
	e, err := mesh.NewEvent(author.PubKey(), other.Sig(), d)
	if err != nil {
		v.t.Fatal(err)
	}
	c := &air.Codec{Text: loraText(), Directory: everybody(v.people), Verify: func(*mesh.Event) error { return nil }}
	payload, _, err := c.Pack([]air.Item{{Event: e, Topic: loraTopic}}, air.MaxPayload, false)
	if err != nil {
		v.t.Fatal(err)
	}
	if i%dear > 0 {
		return payload
	}
	// The end of the time, no form, 60 bytes of the signature.
	const sig = 1 + 4 + 1 + 4 + 2
	return slices.Concat([]byte{0xc0 | payload[0], payload[4]}, payload[6:sig+60], payload[sig+64:])
}
