package hub_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"drey/hub"
	"drey/mesh"
	"drey/mesh/carriertest"
	"drey/mesh/roster"
	"drey/store"
)

// A node of real parts is stopped and started: it knows who belongs and which
// topics exist, owes what it owed, and leaves no goroutine.
func TestRestart(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	path := filepath.Join(t.TempDir(), "drey.db")
	id, err := mesh.Seed{1}.Identity()
	if err != nil {
		t.Fatal(err)
	}
	ana, err := mesh.NewSecretKey([32]byte{31: 9})
	if err != nil {
		t.Fatal(err)
	}
	m := &mesh.Membership{Nonce: [32]byte{7}, Epochs: []mesh.Epoch{{}}}
	m.Community = mesh.Found(id.Author.PubKey(), "Riverside", m.Nonce)

	live(t, path, id, m, func(ctx context.Context, h *hub.Hub, book *roster.Book) {
		record, err := id.SignPeerRecord(mesh.PeerRecord{Community: [8]byte(m.Community.ID[:8]), Seq: 1})
		if err != nil {
			t.Fatal(err)
		}
		e, err := roster.Found(id, m, record, "school", mesh.UnixOf(time.Now()))
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Accept(ctx, e, mesh.Origin{Durable: true}); err != nil {
			t.Fatalf("the founding: %v", err)
		}
		hello, err := ana.Sign(mesh.Draft{CreatedAt: mesh.UnixOf(time.Now()), Kind: mesh.KindNote, Content: "hello"})
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Port("pair").Receive(ctx, hello, mesh.Origin{Topic: mesh.TopicCommons}); err == nil {
			t.Error("a stranger was taken")
		}
		d, err := book.DraftAdmitPerson(ana.PubKey(), "ana", mesh.UnixOf(time.Now()))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Publish(ctx, "", d, hub.Options{}); err != nil {
			t.Fatalf("the admission: %v", err)
		}
		for r, err := range h.Watch(ctx, mesh.Filter{Authors: []mesh.PubKey{ana.PubKey()}}, mesh.Self) {
			if err != nil {
				t.Fatal(err)
			}
			if r.Event.ID() != hello.ID() {
				t.Errorf("%q came, want what had waited", r.Event.Content())
			}
			break
		}
		if _, err := h.Publish(ctx, "town/water", mesh.Draft{Kind: mesh.KindNote, Content: "water is back"}, hub.Options{}); err != nil {
			t.Fatal(err)
		}
	})
	live(t, path, id, m, func(ctx context.Context, h *hub.Hub, book *roster.Book) {
		if s := book.Standing(ana.PubKey(), time.Now()); s != mesh.Person {
			t.Errorf("after the restart ana is %s", s)
		}
		if got := h.Topics(); got[len(got)-1] != "town/water" {
			t.Errorf("after the restart there are the topics %v", got)
		}
		port := h.Port("pair")
		var owed []string
		for range 4 { // founding, admission, register, note; ana's note came by this carrier
			d, err := port.Next(ctx)
			if err != nil {
				t.Fatal(err)
			}
			owed = append(owed, string(d.Topic))
			d.Done(nil)
		}
		if owed[0] != "registry" || owed[3] != "town/water" {
			t.Errorf("after the restart the carrier is owed %v", owed)
		}
	})
}

func live(t *testing.T, path string, id *mesh.Identity, m *mesh.Membership, test func(context.Context, *hub.Hub, *roster.Book)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	s, err := store.Open(ctx, store.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	book := roster.New(m.Community)
	_, wire := carriertest.NewPair("pair", mesh.Limits{}) // the other end listens to nobody
	h, err := hub.New(hub.Config{Store: s, Roster: book, Signer: id.Author, Routes: []hub.Route{{Carrier: quiet{wire}}}})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 2)
	go func() { done <- s.Run(ctx) }()
	go func() { done <- h.Run(ctx) }()
	test(ctx, h, book)
	cancel()
	for range 2 {
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// quiet takes nothing, so that the test can.
type quiet struct{ mesh.Carrier }

func (quiet) Run(ctx context.Context, _ mesh.Port) error { <-ctx.Done(); return ctx.Err() }
