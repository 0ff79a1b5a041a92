package bootstrap

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"drey/mesh"
)

// A fakeChannel is a radio whose air a test fills.
type fakeChannel struct {
	said  [][]byte
	fails int
	heard chan []byte
}

func (c *fakeChannel) Announce(_ context.Context, b []byte) error {
	if c.fails > 0 {
		c.fails--
		return errors.New("no room")
	}
	c.said = append(c.said, b)
	return nil
}

func (c *fakeChannel) Records() <-chan []byte { return c.heard }

// The radio is told of each change once, and again after a failure; what it
// hears is handed on as proved.
func TestLoRa(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		roster := newFakeRoster(false)
		_, own := someone(t, 1, roster.community, 5)
		_, changed := someone(t, 1, roster.community, 6)
		other, record := someone(t, 2, roster.community, 1, "tls://192.0.2.1:3740")
		radio := &fakeChannel{heard: make(chan []byte), fails: 1}
		l := NewLoRa(radio)
		net := newFakeNet(roster)
		net.answer["tls://192.0.2.1:3740"] = other.NodeKey()
		m := manage(t, roster, net, &memory{}, l)
		l.Announce(Announcement{Record: own})
		during(t, m, func() {
			time.Sleep(time.Minute)
			synctest.Wait()
			l.Announce(Announcement{Record: changed})
			synctest.Wait()
			// The Manager announces its own before it runs a finder.
			if n := len(radio.said); n != 2 || string(radio.said[1]) != string(wire(changed)) {
				t.Errorf("the radio was told %d times, want 2", n)
			}
			// Not on the roster as known here, and in clear: the air's seal vouches.
			radio.heard <- wire(record)
			radio.heard <- make([]byte, 4096)
			radio.heard <- []byte("rubbish")
			time.Sleep(time.Second)
			synctest.Wait()
			if got := refusals(m, FinderLoRa); got[RefusedSize] != 1 || got[RefusedForm] != 1 {
				t.Errorf("refused %v, want one oversized and one malformed", got)
			}
			if net.calls["tls://192.0.2.1:3740"] != 1 {
				t.Errorf("who was heard was called %d times, want once", net.calls["tls://192.0.2.1:3740"])
			}
		})
	})
}

// A record in clear of somebody who is not on the roster counts only when its
// medium has shown that the sender holds the secret; never one of a stranger's
// community, nor of the banned.
func TestProvedRecords(t *testing.T) {
	roster := newFakeRoster(false)
	id, record := someone(t, 2, roster.community, 1)
	_, alien := someone(t, 3, mesh.Found(mesh.PubKey{9}, "elsewhere", [32]byte{}), 1)
	banned, outcast := someone(t, 4, roster.community, 1)
	roster.banned[banned.Author.PubKey()] = true
	forged := *record
	forged.Seq++
	b := bouncer{self: mesh.NodeKey{1}, roster: roster, secrets: func() []mesh.Secret { return nil }, newest: func(mesh.NodeKey) *mesh.PeerRecord { return nil }}
	for _, c := range []struct {
		name   string
		record *mesh.PeerRecord
		proved bool
		want   Refusal
	}{
		{"proved", record, true, ""},
		{"not proved", record, false, RefusedStranger},
		{"proved, of another community", alien, true, RefusedCommunity},
		{"proved, banned", outcast, true, RefusedBanned},
		{"proved, forged", &forged, true, RefusedForged},
	} {
		v, refused := b.look(Candidate{Record: wire(c.record), Proved: c.proved}, time.Now())
		if refused != c.want || c.want == "" && (v.node != id.NodeKey() || v.vouched) {
			t.Errorf("%s: %q, %+v, want %q", c.name, refused, v, c.want)
		}
	}
}

// picky refuses by itself.
type picky struct {
	*scripted
	tally
}

// What a finder refuses by itself is counted with what the Manager refuses.
func TestStatusCountsWhatFindersRefuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		roster := newFakeRoster(false)
		p := &picky{scripted: finds(FinderNostr, Candidate{Record: []byte("rubbish")})}
		p.add(RefusedExpired)
		p.add(RefusedForm)
		m := manage(t, roster, newFakeNet(roster), &memory{}, p)
		during(t, m, func() {
			time.Sleep(time.Second)
			synctest.Wait()
			for range 2 { // asking changes nothing
				if got := refusals(m, FinderNostr); got[RefusedExpired] != 1 || got[RefusedForm] != 2 {
					t.Errorf("refused %v, want one expired and two malformed", got)
				}
			}
		})
	})
}
