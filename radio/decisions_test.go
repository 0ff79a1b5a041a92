package radio

import (
	"bytes"
	"context"
	"errors"
	"io"
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

// decision makes an event of who belongs, so old, with a content of so many
// characters.
func (h *fakeHub) decision(t testing.TB, age time.Duration, size int) *mesh.Event {
	t.Helper()
	e, err := h.signer.Sign(mesh.Draft{
		CreatedAt: mesh.UnixOf(time.Now().Add(-age)), Kind: mesh.KindRoster, Content: noise(size),
		Tags: [][]string{{"op", "ban"}, {"p", strings.Repeat("5c", 32)}, {"e", strings.Repeat("ab", 32)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// letIn makes a decision that lets a machine in, as long as they are.
func (h *fakeHub) letIn(t testing.TB, op, name string) *mesh.Event {
	t.Helper()
	e, err := h.signer.Sign(mesh.Draft{
		CreatedAt: mesh.UnixOf(time.Now()), Kind: mesh.KindRoster,
		Tags: [][]string{{"op", op}, {"name", name}, {"record", noise(250)}, {"bind", noise(128)}, {"e", strings.Repeat("ab", 32)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// fragments is how long fragments of events were on the air, repeats too, and
// what everything took.
func (w *town) fragments() (fragments, all time.Duration) {
	for _, s := range w.air.Sent() {
		all += s.Airtime
		if s.Port == meshtastic.PortPrivate && air.FormOf(s.Payload) == air.FormFragment {
			fragments += s.Airtime
		}
	}
	return fragments, all
}

// TestDecisionsLeftToTheNetwork has three gateways begin with a founding and two
// admissions. While all of them are on the network, none goes by radio; what
// somebody lacks goes after a minute, and at once with a ban that builds upon it.
func TestDecisionsLeftToTheNetwork(t *testing.T) {
	yes, no := func() bool { return true }, func() bool { return false }
	for _, c := range []struct {
		name     string
		together func() bool
		ban      bool
		islands  bool          // the network joins nobody
		left     bool          // the radio need not say who was let in
		within   time.Duration // another has everything
	}{
		{"nobody knows who is there", nil, false, false, false, time.Second},
		{"all are there", yes, false, false, true, time.Second},
		{"all are there, with a ban", yes, true, false, true, time.Second},
		{"one is away", no, false, true, false, 2 * time.Minute},
		{"one is away, with a ban", no, true, true, false, 50 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			change := func(cfg *Config) { signedForm(cfg); cfg.Together = c.together }
			inTown(t, 3, radiotest.Config{Seed: 5, Collisions: true}, private(), change, func(t *testing.T, w *town) {
				if c.islands {
					islands(w)
				}
				first, second := w.hubs[0], w.hubs[1]
				began := time.Now()
				var list []*mesh.Event
				for i, op := range []string{"found", "admit", "admit"} {
					list = append(list, first.letIn(t, op, string(rune('a'+i))))
				}
				ban := first.decision(t, 0, 0)
				if c.ban {
					list = append(list, ban)
				}
				for _, e := range list {
					if err := first.accept(e, mesh.TopicRegistry, ""); err != nil {
						t.Fatal(err)
					}
				}
				second.await(t, "all decisions", c.within, func() bool {
					return !slices.ContainsFunc(list, func(e *mesh.Event) bool { return !second.has(e.ID()) })
				})
				came := time.Since(began)
				time.Sleep(time.Until(began.Add(3 * time.Minute)))
				synctest.Wait()
				fragments, all := w.fragments()
				t.Logf("there after %v; %v of airtime in three minutes, fragments %v", came, all, fragments)
				told := first.historyOf(list[1])
				if left := len(told) == 1 && told[0] == stateLeft; left != c.left || left != (fragments == 0) {
					t.Errorf("%v of fragments, an admission was %q", fragments, told)
				}
				if said := slices.Contains(first.historyOf(ban), "on air"); said != c.ban {
					t.Errorf("the ban was %q", first.historyOf(ban))
				}
			})
		})
	}
}

// has reports whether an event of any kind is held.
func (h *fakeHub) has(id mesh.EventID) bool {
	_, err := h.Record(context.Background(), id, mesh.Self)
	return err == nil
}

// TestDecisionTargets asks which decisions are owed to the air.
func TestDecisionTargets(t *testing.T) {
	h := newFakeHub(t, "a")
	own, other := h.decision(t, 48*time.Hour, 0), newFakeHub(t, "b").decision(t, 48*time.Hour, 0)
	young := newFakeHub(t, "b").decision(t, time.Hour, 0)
	text, signed := []TopicMap{{Topic: "alerts"}}, []TopicMap{{Topic: "alerts", Form: FormSigned}}
	for _, c := range []struct {
		name    string
		event   *mesh.Event
		maps    []TopicMap
		private bool
		want    bool
	}{
		{"another topic is in signed form", young, signed, false, true},
		{"the radio has the private channel", young, nil, true, true},
		{"texts only", young, text, false, false},
		{"an old one of somebody else", other, signed, true, false},
		{"an old one of this node", own, signed, true, true},
	} {
		radio := New(Config{Maps: c.maps, Archive: h, Shelf: h, Signer: h.signer})
		radio.private.Store(c.private)
		got := radio.Targets(&mesh.Record{Event: c.event, Topic: mesh.TopicRegistry, Received: time.Now()})
		if (len(got) == 1 && got[0] == targetSigned) != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestDecisionsTravel has decisions cross a radio link without a map of their
// topic: one that fits into a frame, a rotation for sixteen machines in fragments,
// one that is older than any window of the others' sketches; and one that is too
// long for the radio says so.
func TestDecisionsTravel(t *testing.T) {
	inTown(t, 2, radiotest.Config{Seed: 4}, private(), signedForm, func(t *testing.T, w *town) {
		islands(w)
		left, right := w.hubs[0], w.hubs[1]
		old := left.decision(t, 400*24*time.Hour, 20)
		if err := left.accept(old, mesh.TopicRegistry, "radio"); err != nil { // owed to nobody
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		for _, size := range []int{20, 1239} {
			e := left.decision(t, 0, size)
			if err := left.accept(e, mesh.TopicRegistry, ""); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			for !right.has(e.ID()) && time.Since(began) < 2*time.Minute {
				time.Sleep(time.Second)
				synctest.Wait()
			}
			if !right.has(e.ID()) {
				t.Fatalf("a decision did not come: %v, %+v", left.historyOf(e), right.radio.Status().Signed)
			}
			t.Logf("%d bytes came after %v", len(e.AppendBinary(nil)), time.Since(began))
		}
		long := left.decision(t, 0, 6000)
		if err := left.accept(long, mesh.TopicRegistry, ""); err != nil {
			t.Fatal(err)
		}
		left.await(t, "a refusal", time.Minute, func() bool {
			left.mu.Lock()
			defer left.mu.Unlock()
			err := left.mu.failed[long.ID()]
			return err != nil && strings.Contains(err.Error(), TooLong)
		})
		began := time.Now()
		for !right.has(old.ID()) && time.Since(began) < 12*time.Hour {
			time.Sleep(time.Minute)
			synctest.Wait()
		}
		if !right.has(old.ID()) {
			t.Errorf("an old decision did not come; %+v", left.radio.Status().Signed)
		}
		t.Logf("the old one came after %v", time.Since(began))
	})
}

// TestRotatedChannel has a radio whose private channel is an older secret's: the
// carrier goes on with it while it overlaps, says so, and hears both channels
// when setup has added the new one beside it.
func TestRotatedChannel(t *testing.T) {
	older, newer := mesh.Secret{1}, mesh.Secret{2}
	was, now := older.RadioPSK(), newer.RadioPSK()
	of := func(psk mesh.RadioKey) meshtastic.Channel {
		return meshtastic.Channel{Name: ChannelName, PSK: psk[:], Role: meshtastic.RoleSecondary}
	}
	for _, c := range []struct {
		name     string
		channels []meshtastic.Channel
		secrets  []mesh.Secret
		channel  int
		code     string
	}{
		{"before", []meshtastic.Channel{of(was)}, []mesh.Secret{older}, 1, ""},
		{"while they overlap", []meshtastic.Channel{of(was)}, []mesh.Secret{newer, older}, 1, CodeKey},
		{"with both", []meshtastic.Channel{of(was), of(now)}, []mesh.Secret{newer, older}, 1, ""},
		{"with both, afterwards", []meshtastic.Channel{of(was), of(now)}, []mesh.Secret{newer}, 2, ""},
		{"never set up again", []meshtastic.Channel{of(was)}, []mesh.Secret{newer}, 1, CodeKey},
		{"without", nil, []mesh.Secret{newer}, -1, CodeChannel},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				air, h := radiotest.NewAir(radiotest.Config{Seed: 1}), newFakeHub(t, "a")
				r := air.NewRadio("gate", radiotest.RadioConfig{Channels: append([]meshtastic.Channel{radiotest.PublicChannel()}, c.channels...)})
				h.radio = New(Config{
					Device: "sim", Dial: func(context.Context) (io.ReadWriteCloser, error) { return r.Conn(), nil },
					Maps: []TopicMap{{Topic: "alerts", Form: FormSigned}}, Archive: h, Shelf: h, Signer: h.signer, Seed: 1,
					Secrets: func() []mesh.Secret { return c.secrets },
				})
				go air.Run(ctx)
				go h.radio.Run(ctx, h)
				time.Sleep(10 * time.Second)
				synctest.Wait()
				s := h.radio.Status()
				if s.Signed.Channel != c.channel || s.Code != c.code || c.code == CodeKey && !strings.Contains(s.Fix, "drey radio setup") {
					t.Errorf("channel %d, %q %q; want %d, %q", s.Signed.Channel, s.Code, s.Fix, c.channel, c.code)
				}
				cancel()
				synctest.Wait()
			})
		})
	}
}

// TestSetupAfterRotation keeps the channel that others still use, and takes it
// out of use when nobody does.
func TestSetupAfterRotation(t *testing.T) {
	older, newer := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	lora, err := meshtastic.WithNumber(nil, 7, uint64(meshtastic.RegionUS))
	if err == nil {
		lora, err = meshtastic.WithNumber(lora, 9, 1)
	}
	if err != nil {
		t.Fatal(err)
	}
	settings := func(keys ...[]byte) *Settings {
		s := &Settings{LoRa: lora}
		for i := range s.Channels {
			c := &meshtastic.Channel{Index: int32(i)}
			if i > 0 && i <= len(keys) {
				c.Name, c.PSK, c.Role = ChannelName, keys[i-1], meshtastic.RoleSecondary
			}
			s.Channels[i] = meshtastic.AppendChannel(nil, c)
		}
		return s
	}
	full := settings(older, []byte{7}, []byte{7}, []byte{7}, []byte{7}, []byte{7}, []byte{7})
	for i := 2; i < meshtastic.MaxChannels; i++ {
		full.Channels[i] = meshtastic.AppendChannel(nil, &meshtastic.Channel{Index: int32(i), Name: "x", PSK: []byte{7}, Role: meshtastic.RoleSecondary})
	}
	for _, c := range []struct {
		name    string
		was     *Settings
		old     [][]byte
		channel int
		steps   int
		keys    [2][]byte // of channels 1 and 2 afterwards
	}{
		{"beside the old one", settings(older), [][]byte{older}, 2, 1, [2][]byte{older, newer}},
		{"the old one is over", settings(older), nil, 1, 1, [2][]byte{newer, nil}},
		{"a second time", settings(older, newer), [][]byte{older}, 2, 0, [2][]byte{older, newer}},
		{"afterwards", settings(older, newer), nil, 2, 1, [2][]byte{nil, newer}},
		{"no other place", full, [][]byte{older}, 1, 1, [2][]byte{newer, {7}}},
	} {
		p, err := PlanSetup(c.was, Wish{PSK: newer, Old: c.old})
		if err != nil || p.Channel != c.channel || len(p.Steps) != c.steps {
			t.Errorf("%s: %+v, %v", c.name, p, err)
			continue
		}
		for i, want := range c.keys {
			if got := p.will.channel(i + 1); !bytes.Equal(got.PSK, want) {
				t.Errorf("%s: channel %d has %x, want %x", c.name, i+1, got.PSK, want)
			}
		}
	}
}

// TestUnderAnOldKey has a radio whose private channel has a key that somebody
// who was shut out knows: decisions and emergencies go under it, the rest waits
// and says why.
func TestUnderAnOldKey(t *testing.T) {
	now, was := mesh.Secret{2}, mesh.Secret{1}.RadioPSK()
	o := &owner{c: New(Config{Secrets: func() []mesh.Secret { return []mesh.Secret{now} }})}
	h := newFakeHub(t, "a")
	note, err := h.signer.Sign(mesh.Draft{Kind: mesh.KindNote, Content: "we meet at nine"})
	if err != nil {
		t.Fatal(err)
	}
	o.channels[1] = meshtastic.Channel{Index: 1, Name: ChannelName, PSK: was[:], Role: meshtastic.RoleSecondary}
	o.channels[2] = meshtastic.Channel{Index: 2, Name: "ours", PSK: bytes.Repeat([]byte{7}, 32), Role: meshtastic.RoleSecondary}
	for _, c := range []struct {
		name    string
		channel int
		out     *outgoing
		want    error
	}{
		{"a note", 1, &outgoing{event: note, priority: mesh.Chat}, errOldKey},
		{"an emergency", 1, &outgoing{event: note, priority: mesh.Emergency}, nil},
		{"a decision", 1, &outgoing{event: h.decision(t, 0, 0), priority: mesh.Direct}, nil},
		{"a note over a channel that somebody else set up", 2, &outgoing{event: note, priority: mesh.Chat}, nil},
		{"a note over none", -1, &outgoing{event: note, priority: mesh.Chat}, errNoChannel},
	} {
		if got := o.unfitChannel(c.channel, c.out); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		if c.want != nil && (!errors.Is(c.want, mesh.ErrBusy) || strings.Contains(c.want.Error(), mesh.ErrBusy.Error())) {
			t.Errorf("%s waits for %q, want the hub to ask again, and a reason that says no more than why", c.name, c.want)
		}
	}
}
