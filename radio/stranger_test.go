package radio

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"drey/mesh"
	"drey/radio/air"
	"drey/radio/meshtastic"
	"drey/radio/radiotest"
)

// A stranger is a radio with the channel's key, but without the community's
// secret and on no roster: a lost one, say.
type stranger struct {
	*radiotest.Radio
	t *testing.T
}

func newStranger(t *testing.T, w *town) stranger {
	return stranger{w.air.NewRadio("lost", radiotest.RadioConfig{Channels: []meshtastic.Channel{private()}}), t}
}

func (s stranger) say(payload []byte) {
	s.t.Helper()
	p := &meshtastic.Packet{To: meshtastic.Broadcast, Data: &meshtastic.Data{Port: meshtastic.PortPrivate, Payload: payload}}
	if err := s.Send(p); err != 0 {
		s.t.Fatal(err)
	}
}

// TestForgedFragmentsSilenceNobody has a stranger say the last fragment of a set
// that waits for its turn, with a content of his own.
func TestForgedFragmentsSilenceNobody(t *testing.T) {
	inTown(t, 1, radiotest.Config{Seed: 3}, private(), signedForm, func(t *testing.T, w *town) {
		lost := newStranger(t, w)
		time.Sleep(2 * time.Minute)
		before := w.frames(meshtastic.PortPrivate, w.gear[0])
		e := w.hubs[0].say(t, "alerts", noise(1500))
		set, err := (&air.Codec{Text: air.Plain{}}).Split(air.Item{Event: e, Topic: "alerts"})
		if err != nil {
			t.Fatal(err)
		}
		id := set.ID()
		lost.say(append(append([]byte{0x60 | byte(set.Data()-1)}, id[:]...), 63, 1, 2, 3))
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if got := w.frames(meshtastic.PortPrivate, w.gear[0]) - before; got < set.Data() {
			t.Errorf("%d fragments went out, want %d at least: %q", got, set.Data(), w.hubs[0].historyOf(e))
		}
	})
}

// TestInventedSets has a stranger begin sets that never end: they take no more
// than their places on the shelf, and few questions.
func TestInventedSets(t *testing.T) {
	inTown(t, 1, radiotest.Config{Seed: 3}, private(), signedForm, func(t *testing.T, w *town) {
		lost := newStranger(t, w)
		time.Sleep(2 * time.Minute)
		for i := range 360 {
			f := fmt.Appendf([]byte{0x69}, "%06d", i)
			lost.say(append(append(f, 0), make([]byte, 20)...))
			time.Sleep(10 * time.Second)
		}
		synctest.Wait()
		keys, err := w.hubs[0].Keys(t.Context(), fragmentPrefix)
		if err != nil || len(keys) > air.MaxSets {
			t.Errorf("%d fragments stand on the shelf, want %d at most (%v)", len(keys), air.MaxSets, err)
		}
		if n := w.hubs[0].radio.Status().Signed.Nacks; n == 0 || n > 2*maxNacks {
			t.Errorf("asked %d times in an hour, want 1 to %d", n, 2*maxNacks)
		}
	})
}

// TestStrangersEmergency has a stranger sign emergencies with a key of his own.
// The hub refuses them, so nobody confirms them, and he is no colleague.
func TestStrangersEmergency(t *testing.T) {
	inTown(t, 1, radiotest.Config{Seed: 3}, private(), signedForm, func(t *testing.T, w *town) {
		lost, eve := newStranger(t, w), newFakeHub(t, "eve")
		w.hubs[0].refused = eve.signer.PubKey()
		time.Sleep(2 * time.Minute)
		before := w.hubs[0].radio.Status()
		for i := range 20 {
			e, err := eve.signer.Sign(mesh.Draft{
				CreatedAt: mesh.UnixOf(time.Now()), Kind: mesh.KindNote, Content: fmt.Sprint(i),
				Tags: append([][]string{{"t", "alerts"}}, mesh.LabelTags(mesh.LabelEmergency)...),
			})
			if err != nil {
				t.Fatal(err)
			}
			payload, _, err := (&air.Codec{Text: air.Plain{}}).Pack([]air.Item{{Event: e, Topic: "alerts"}}, 0, true)
			if err != nil {
				t.Fatal(err)
			}
			lost.say(payload)
			time.Sleep(10 * time.Second)
		}
		synctest.Wait()
		s := w.hubs[0].radio.Status()
		if s.Signed.Heard-before.Signed.Heard != 20 {
			t.Fatalf("%d events were heard", s.Signed.Heard-before.Signed.Heard)
		}
		if s.Gateways != 0 {
			t.Error("the stranger counts as a colleague")
		}
		if spent := s.Airtime.Shares[mesh.Emergency].SpentMS; spent > 0 {
			t.Errorf("%d ms were spent on confirming them", spent)
		}
	})
}

// TestInventedColleagues fills the table of gateways with whoever repeats a text
// on a public channel: colleagues still find a place, and nobody waits long.
func TestInventedColleagues(t *testing.T) {
	b := newTestOutbox()
	now := time.Now()
	for i := range 1000 {
		b.meet(now.Add(time.Duration(i)*time.Second), meshtastic.NodeNum(i+1), false)
	}
	if len(b.gateways) != maxUnsure || b.gateways[1000] == nil {
		t.Errorf("%d who may be anybody are counted on, want %d", len(b.gateways), maxUnsure)
	}
	for i := range maxGateways {
		b.meet(now, meshtastic.NodeNum(2000+i), true)
	}
	for i := range maxGateways {
		if b.gateways[meshtastic.NodeNum(2000+i)] == nil {
			t.Errorf("colleague %d found no place", i)
		}
	}
	if len(b.gateways) != maxGateways {
		t.Errorf("%d gateways, bound %d", len(b.gateways), maxGateways)
	}
	for _, rank := range []int{lastRank, maxGateways} {
		if p := b.turns(rank, takeOver); p < lastRank*takeOver || p > (lastRank+1)*takeOver {
			t.Errorf("the gateway in place %d waits %v", rank, p)
		}
	}
}

// TestStrangersQuestions has strangers' frames use up what may be asked about
// strangers: colleagues' are still asked about.
func TestStrangersQuestions(t *testing.T) {
	l, now := newLot(), time.Now()
	asked := 0
	for i := range 100 {
		if l.mayAsk(now, meshtastic.NodeNum(i), false) {
			asked++
		}
	}
	if asked != maxStrange {
		t.Errorf("asked %d times about strangers, want %d", asked, maxStrange)
	}
	if !l.mayAsk(now, 1000, true) {
		t.Error("nothing is left for a colleague")
	}
}

// TestWordFromTheNextValley has a colleague vouch for having said a text on an
// ether that is not ours, and a stranger repeat that text here: it is said.
func TestWordFromTheNextValley(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, far := newFakeHub(t, "a"), newFakeHub(t, "far")
		c := New(Config{Archive: h, Shelf: h, Signer: h.signer})
		tr := newTranslator(c, h, nil)
		e := h.say(t, "alerts", "the bridge is closed")
		word, err := far.signer.Sign(mesh.Draft{CreatedAt: mesh.UnixOf(time.Now()), Kind: KindAired, Tags: [][]string{
			{"e", e.ID().String()}, {"channel", "07"}, {tagGateway, "!0000002a"},
		}})
		if err != nil {
			t.Fatal(err)
		}
		if err := h.accept(word, mesh.TopicRegistry, "gossip"); err != nil {
			t.Fatal(err)
		}
		out := &outgoing{d: &mesh.Delivery{Event: e, Ledger: h}, event: e}
		for num, want := range map[meshtastic.NodeNum]bool{42: true, 43: false} {
			if got := tr.vouched(out, 7, func(n meshtastic.NodeNum) bool { return n == num }); got != want {
				t.Errorf("with radio %s here the word of radio !0000002a counts: %v, want %v", num, got, want)
			}
		}
	})
}

// in2000 is inTown with one gateway, in the year in which clocks of bubbles begin.
func in2000(t *testing.T, change func(*Config), f func(t *testing.T, w *town)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { runTown(t, 1, radiotest.Config{Seed: 3}, private(), change, f) })
}

// TestClockForgivesNoAirtime lets a machine learn the time: what it has sent in
// this hour still counts, also after a restart.
func TestClockForgivesNoAirtime(t *testing.T) {
	ahead := new(time.Duration)
	clock := func(c *Config) { signedForm(c); c.Clock = func() time.Time { return time.Now().Add(*ahead) } }
	in2000(t, clock, func(t *testing.T, w *town) {
		time.Sleep(2 * time.Minute)
		w.hubs[0].say(t, "alerts", noise(100))
		time.Sleep(time.Minute)
		synctest.Wait()
		before := w.hubs[0].radio.Status().Airtime
		*ahead = 26 * 365 * 24 * time.Hour
		w.hubs[0].say(t, "alerts", noise(101))
		time.Sleep(time.Minute)
		synctest.Wait()
		after := w.hubs[0].radio.Status().Airtime
		if before.HourMS == 0 || after.HourMS < before.HourMS*3/2 || after.SpentMS <= before.SpentMS {
			t.Errorf("%d ms in the hour before the clock was set and %d ms after, owed %d and %d", before.HourMS, after.HourMS, before.SpentMS, after.SpentMS)
		}
		var kept governor
		if fault, err := kept.load(context.Background(), w.hubs[0], time.Now().Add(*ahead)); fault != nil || err != nil {
			t.Fatal(fault, err)
		}
		kept.refill(time.Now().Add(*ahead))
		if got := kept.law.sum().Milliseconds(); got < after.HourMS-10 { // rounded down, minute by minute
			t.Errorf("after a restart %d ms count, were %d", got, after.HourMS)
		}
	})
}

// TestEventOfAMachineWithoutAClock says what came in before the machine learnt
// the time.
func TestEventOfAMachineWithoutAClock(t *testing.T) {
	late := func(c *Config) {
		signedForm(c)
		c.Clock = func() time.Time { return time.Now().Add(26 * 365 * 24 * time.Hour) }
	}
	in2000(t, late, func(t *testing.T, w *town) {
		time.Sleep(time.Minute)
		e := w.hubs[0].say(t, "alerts", "received in the year 2000")
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := w.hubs[0].historyOf(e); len(got) != 1 || got[0] != "on air" {
			t.Errorf("history %q, failed with %v", got, w.hubs[0].mu.failed[e.ID()])
		}
	})
}

// TestTranslationsAreBounded has a radio hand over texts faster than any ether.
func TestTranslationsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		h := newFakeHub(t, "a")
		c := New(Config{Archive: h, Shelf: h, Signer: h.signer})
		heard, err := loadMemory(ctx, h, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		tr := newTranslator(c, h, heard)
		go tr.run(ctx)
		const n = 2 * maxJobs
		for i := range n {
			tr.later(job{translate: &translation{heardText: heardText{ID: uint32(i + 1), Text: "x"}, due: time.Now().Add(time.Hour)}})
			synctest.Wait()
		}
		if got := c.Status().Dropped; got != n-maxJobs {
			t.Errorf("%d dropped, want %d", got, n-maxJobs)
		}
		cancel()
		synctest.Wait()
	})
}

// TestInventedRadios fills what is remembered of radios: a new one is remembered
// all the same, and those whose key is known stay longest.
func TestInventedRadios(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	b := newNodeBook(func() time.Time { return now })
	b.known(1)
	heard := func(num meshtastic.NodeNum, data *meshtastic.Data) {
		now = now.Add(time.Second)
		b.heard(&meshtastic.Packet{From: num, To: meshtastic.Broadcast, Data: data})
	}
	heard(2, &meshtastic.Data{Port: meshtastic.PortNodeInfo, Payload: meshtastic.AppendUser(nil, &meshtastic.User{LongName: "Bob", PublicKey: make([]byte, 32)})})
	for i := range meshtastic.NodeNum(2 * maxNodes) {
		heard(1000+i, &meshtastic.Data{Port: meshtastic.PortText})
	}
	if list := b.list(); len(list) != maxNodes || list[0].Node != meshtastic.NodeNum(1000+2*maxNodes-1).String() {
		t.Errorf("%d radios, the last is %s", len(list), list[0].Node)
	}
	if _, _, err := b.find("Bob"); err != nil || b.own() != 1 {
		t.Errorf("a radio whose key is known: %v", err)
	}
}

func newTestOutbox() *outbox {
	return newOutbox(rand.New(rand.NewPCG(1, 1)), &governor{share: defaultShare}, time.Now)
}

// TestTalkIsPaced floods the channel with texts, under one number and under many:
// few become events, and others' do as long as the flood has one number.
func TestTalkIsPaced(t *testing.T) {
	now := time.Now()
	var one, many talk
	events := [2]int{}
	for i := range 3600 {
		now = now.Add(time.Second)
		if one.allow(now, 1, 1) {
			events[0]++
		}
		if i%60 == 0 && !one.allow(now, 2, 1) {
			t.Errorf("a person's text at %d s did not become an event", i)
		}
		if many.allow(now, meshtastic.NodeNum(i), 1) {
			events[1]++
		}
	}
	for i, most := range []int{talkBurst + 360, allTalkBurst + 1200} {
		if events[i] < most-2 || events[i] > most+2 {
			t.Errorf("%d of 3600 texts became events, want %d", events[i], most)
		}
	}
	if len(many.each) > maxTalkers {
		t.Errorf("%d paces are kept, bound %d", len(many.each), maxTalkers)
	}
}

// TestRepeatedEventsMakeNoColleagues has strangers repeat what a member signed, in
// frames of their own: they take the places of who may be anybody.
func TestRepeatedEventsMakeNoColleagues(t *testing.T) {
	inTown(t, 1, radiotest.Config{Seed: 3}, private(), signedForm, func(t *testing.T, w *town) {
		time.Sleep(2 * time.Minute)
		e := w.hubs[0].say(t, "alerts", "water is back")
		for i := range maxGateways {
			r := stranger{w.air.NewRadio(fmt.Sprint("lost ", i), radiotest.RadioConfig{Channels: []meshtastic.Channel{private()}}), t}
			other, err := w.hubs[0].signer.Sign(mesh.Draft{CreatedAt: mesh.UnixOf(time.Now()), Kind: mesh.KindNote, Tags: [][]string{{"t", "alerts"}}, Content: fmt.Sprint(i)})
			if err != nil {
				t.Fatal(err)
			}
			payload, _, err := (&air.Codec{Text: air.Plain{}}).Pack([]air.Item{{Event: e, Topic: "alerts"}, {Event: other, Topic: "alerts"}}, 0, true)
			if err != nil {
				t.Fatal(err)
			}
			r.say(payload)
			time.Sleep(10 * time.Second)
		}
		synctest.Wait()
		if n := w.hubs[0].radio.Status().Gateways; n > maxUnsure {
			t.Errorf("%d strangers are counted on, want %d at most", n, maxUnsure)
		}
	})
}
