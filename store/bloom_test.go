package store

import (
	"errors"
	"math/rand/v2"
	"testing"

	"drey/mesh"
	"drey/store/storetest"
)

func TestBloom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	b := newBloom(0)
	terms := make([]int64, 4*len(b.words)) // 16 bits for each
	for i := range terms {
		terms[i] = int64(r.Uint64())
		b.add(terms[i])
	}
	for _, term := range terms {
		if b.lacks(term) {
			t.Fatalf("%x was added and is lacking", term)
		}
	}
	vain := 0
	for range 10_000 {
		if !b.lacks(int64(r.Uint64())) {
			vain++
		}
	}
	if vain > 100 {
		t.Errorf("%d of 10,000 terms that were not added seem to be there, want at most 100", vain)
	}
	if b.full() || b.terms < len(terms)*9/10 {
		t.Errorf("%d terms counted of %d, full: %v", b.terms, len(terms), b.full())
	}
}

// Whatever the tables have is found when a bloom says what they lack: what they had
// before, what comes while it is made, and after; nothing deleted comes back.
func TestLearn(t *testing.T) {
	s := openByHand(t)
	n := 0
	var all []*mesh.Event
	dead := make(map[*mesh.Event]mesh.Reason)
	save := func(e *mesh.Event) *mesh.Event {
		t.Helper()
		if err := s.Save(t.Context(), storetest.Received(e, "commons", morning), nil, false); err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
		return e
	}
	fold := func(notes int) {
		t.Helper()
		at := morning.Unix()
		for range notes {
			n++
			save(storetest.Chat(t, n, 100, morning).Event)
		}
		n++
		author := n // of its own, so that nothing takes another's place
		old := save(storetest.Event(t, author, 0, at, "old"))
		save(storetest.Event(t, author, 0, at+1, "new"))
		dead[old] = mesh.ReasonSuperseded
		taken := save(storetest.Event(t, author, 1, at, "taken back"))
		early := storetest.Event(t, author, 1, at, "taken back before it came")
		save(storetest.Event(t, author, 5, at+1, "", storetest.Tag("e", taken.ID().String()), storetest.Tag("e", early.ID().String())))
		dead[taken] = mesh.ReasonDeleted
		buried := storetest.Event(t, author, 1, at, "never known here")
		if err := s.Bury(t.Context(), buried.ID(), mesh.Unix(at), mesh.ReasonPruned); err != nil {
			t.Fatal(err)
		}
		dead[buried] = mesh.ReasonPruned
		all = append(all, early, buried)
		dead[early] = mesh.ReasonDeleted
		if err := s.foldNow(); err != nil {
			t.Fatal(err)
		}
	}
	check := func(when string) {
		t.Helper()
		if s.q.had.Load() == nil {
			t.Fatalf("%s: no bloom", when)
		}
		for _, e := range all {
			err := s.Save(t.Context(), storetest.Received(e, "commons", morning), nil, false)
			var gone *mesh.GoneError
			switch why := dead[e]; {
			case why == 0 && !errors.Is(err, mesh.ErrDuplicate), why != 0 && (!errors.As(err, &gone) || gone.Reason != why):
				t.Fatalf("%s: %q was answered with %v, want its end for reason %d", when, e.Content(), err, why)
			}
			if why, known, err := s.Known(t.Context(), e.ID()); why != dead[e] || !known || err != nil {
				t.Fatalf("%s: %q is known: %v, %v, %v", when, e.Content(), why, known, err)
			}
		}
	}
	learn := func() {
		for s.writer.learner.bloom != nil {
			s.step()
		}
	}

	fold(learnRows)
	s.step()
	if s.writer.learner.bloom == nil || s.q.had.Load() != nil {
		t.Fatal("a bloom of many rows is made in one step, or none")
	}
	fold(100) // comes in between
	learn()
	check("made")
	fold(100)
	check("later")

	had := s.q.had.Load()
	had.terms = 8*len(had.words) + 1
	fold(1)
	learn()
	if now := s.q.had.Load(); len(now.words) != 2*len(had.words) {
		t.Errorf("a full bloom of %d words was followed by one of %d", len(had.words), len(now.words))
	}
	check("larger")
}
