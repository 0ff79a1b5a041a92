package mail

import (
	"slices"
	"testing"
	"time"

	"drey/mesh"
)

// A node that was killed between writing a message down and handing over its
// wraps seals it again when it is back; what was handed over it leaves.
func TestCutOffMessageIsSealedAgain(t *testing.T) {
	for _, handed := range []int{0, 1, 2} {
		inTown(t, func(t *testing.T, w *town) {
			ann, bob, eve := w.settle("ann", 1), w.settle("bob", 2), w.settle("eve", 3)
			to := []mesh.PubKey{bob.key.PubKey(), eve.key.PubKey()}
			whole := ann.send(Post{To: to, Text: "whole"})
			w.cut("net", "air") // nobody reads yet
			r := cutOff(t, ann.mail, to)
			msg := &Message{Rumor: r, Out: true, Received: time.Now(), whole: true}
			var wraps []*mesh.Event
			for _, k := range to {
				e, err := Wrap(ann.key, r, k, time.Now())
				if err != nil {
					t.Fatal(err)
				}
				wraps = append(wraps, e)
				msg.Wraps = append(msg.Wraps, Copy{e.ID(), k})
			}
			if err := ann.mail.book.add(t.Context(), msg); err != nil {
				t.Fatal(err)
			}
			for _, e := range wraps[:handed] {
				if err := ann.hub.Accept(t.Context(), e, mesh.Origin{Peer: "self", Topic: mesh.TopicMail, Durable: true}); err != nil {
					t.Fatal(err)
				}
			}
			held := ann.held(mesh.KindGiftWrap)
			ann.restart()
			after(time.Second)
			again := len(to) - handed
			if again > 0 {
				again++ // and its own copy
			}
			if n := ann.held(mesh.KindGiftWrap) - held; n != again {
				t.Errorf("with %d handed over, %d wraps were made again, want %d", handed, n, again)
			}
			for _, c := range ann.message(r.ID()).Wraps[:handed] {
				if !slices.ContainsFunc(wraps, func(e *mesh.Event) bool { return e.ID() == c.ID }) {
					t.Errorf("with %d handed over, one of them has another name now", handed)
				}
			}
			w.mend("net")
			w.sync(ann, bob)
			w.sync(ann, eve)
			after(time.Minute)
			for _, m := range []*machine{bob, eve} {
				if got := m.texts(); !slices.Equal(got, []string{"whole", "cut off"}) {
					t.Errorf("with %d handed over, %s has %q", handed, m.name, got)
				}
			}
			if !ann.message(r.ID()).Acknowledged() || !ann.message(whole.ID()).Acknowledged() {
				t.Errorf("with %d handed over, not everything was acknowledged", handed)
			}
		})
	}
}

// What the hub refuses now leaves nothing behind, however often the node starts.
func TestRefusedMessageIsNotSealedForEver(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		ann, bob := w.settle("ann", 1), w.settle("bob", 2)
		to := []mesh.PubKey{bob.key.PubKey()}
		r := cutOff(t, ann.mail, to)
		lost, err := Wrap(ann.key, r, to[0], time.Now())
		if err != nil {
			t.Fatal(err)
		}
		msg := &Message{Rumor: r, Out: true, Received: time.Now(), whole: true, Wraps: []Copy{{lost.ID(), to[0]}}}
		if err := ann.mail.book.add(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
		w.roster.set(to[0], mesh.Banned)
		held := ann.held(mesh.KindGiftWrap)
		for range 3 {
			ann.restart()
			after(time.Second)
		}
		if n := ann.held(mesh.KindGiftWrap) - held; n != 0 {
			t.Errorf("%d wraps are there that nobody reads", n)
		}
	})
}

// cutOff returns the rumor of a message that m wrote and a kill cut off, before
// anything of it was sealed.
func cutOff(t *testing.T, m *Mail, to []mesh.PubKey) *mesh.Rumor {
	t.Helper()
	drafts, err := m.drafts(Post{Text: "cut off"}, to)
	if err != nil {
		t.Fatal(err)
	}
	drafts[0].CreatedAt = mesh.UnixOf(time.Now())
	r, err := m.newRumor(drafts[0])
	if err != nil {
		t.Fatal(err)
	}
	return r
}
