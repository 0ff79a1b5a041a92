package mail

import (
	"slices"
	"testing"
	"time"

	"drey/mesh"
)

// A phone's receipt keeps the message from public relays, too: the node that gets
// the receipt tells the gateways. Others' word that a reader has something counts
// for nothing.
func TestPhoneReceiptsSpareRelays(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		ann, hill, phone := w.settle("ann", 1), w.settle("hill", 2), newKey(t, 7)
		w.roster.set(phone.PubKey(), mesh.Person)
		at := []string{"wss://relay.example.org"}
		list, err := phone.Sign(mesh.Draft{CreatedAt: mesh.UnixOf(time.Now()), Kind: mesh.KindInboxRelays, Tags: [][]string{{"relay", at[0]}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := hill.hub.Port("relay").Receive(t.Context(), list, mesh.Origin{Durable: true}); err != nil {
			t.Fatal(err)
		}
		sent := ann.send(Post{To: []mesh.PubKey{phone.PubKey()}, Text: "are you home?"})
		after(5 * time.Second)
		r, err := hill.store.Record(t.Context(), sent.Wraps[0].ID, mesh.Self)
		if err != nil {
			t.Fatal(err)
		}
		for _, liar := range []*mesh.SecretKey{newKey(t, 8), phone} {
			standing := mesh.Person
			w.roster.set(liar.PubKey(), standing)
			tags := [][]string{{"e", r.Event.ID().String()}, {"p", phone.PubKey().String()}}
			if liar == phone {
				tags[1][1] = ann.key.PubKey().String()
			}
			lie, err := liar.Sign(mesh.Draft{CreatedAt: mesh.UnixOf(time.Now()), Kind: mesh.KindTaken, Tags: tags})
			if err != nil {
				t.Fatal(err)
			}
			if err := hill.hub.Port("relay").Receive(t.Context(), lie, mesh.Origin{Durable: true}); err != nil {
				t.Fatal(err)
			}
		}
		if got := hill.mail.Relays(r.Event); !slices.Equal(got, at) {
			t.Fatalf("before the receipt the wrap goes to %q", got)
		}
		ack, err := mesh.NewRumor(phone.PubKey(), receiptDraft(ann.key.PubKey(), []mesh.EventID{sent.ID()}, time.Now()))
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := Wrap(phone, ack, ann.key.PubKey(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if err := hill.hub.Port("relay").Receive(t.Context(), sealed, mesh.Origin{Durable: true}); err != nil {
			t.Fatal(err)
		}
		after(5 * time.Second)
		if !ann.message(sent.ID()).Acknowledged() {
			t.Error("the phone's receipt does not count")
		}
		if got := hill.mail.Relays(r.Event); len(got) > 0 {
			t.Errorf("after the receipt the wrap goes to %q", got)
		}
		if _, err := hill.store.Record(t.Context(), r.Event.ID(), mesh.Self); err != nil {
			t.Errorf("the mailbox does not keep the wrap: %v", err)
		}
	})
}
