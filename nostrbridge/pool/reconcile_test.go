package pool

import (
	"slices"
	"testing"
	"time"

	"drey/mesh"
	"drey/nostrbridge/pool/badrelay"
)

// Where the relay reconciles honestly only what is missing crosses; where it
// lies, in whatever way, it is asked by filters, and nothing stays away.
func TestReconcile(t *testing.T) {
	for _, tt := range []struct {
		name  string
		sync  badrelay.Sync
		trust bool
	}{
		{"honest", badrelay.SyncHonest, true},
		{"none", badrelay.SyncNone, true},
		{"too big", badrelay.SyncBig, true},
		{"claims", badrelay.SyncLies, false},
		{"keeps quiet", badrelay.SyncHides, false},
		{"silent", badrelay.SyncSilent, false},
		{"rubbish", badrelay.SyncRubbish, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.sleep(30 * 24 * time.Hour)
				a := w.relay("a.example", badrelay.Behaviour{Sync: tt.sync})
				known := numbered(100, time.Now().Add(-24*time.Hour), "known")
				gone := numbered(3, time.Now().Add(-25*time.Hour), "gone")
				missing := numbered(20, time.Now().Add(-26*time.Hour), "missing")
				recent := numbered(2, time.Now().Add(-time.Minute), "recent")
				for _, list := range [][]*mesh.Event{known, gone, missing, recent} {
					for _, e := range list {
						a.Put(e)
					}
				}
				house := newAttic(known...)
				for _, e := range gone {
					house.gone[e.ID()] = true
				}
				w.conf.Archive = house
				w.start(a.URL)
				r := &reader{}
				w.follow(Feed{Back: 48 * time.Hour}, r)
				w.sleep(5 * time.Minute)
				want := slices.Concat(missing, recent)
				if tt.sync != badrelay.SyncHonest {
					want = append(want, known...) // filters bring all of it
				}
				w.same(tt.name, r, want...)
				if trusts(w, w.pool, a.URL) != tt.trust {
					w.Errorf("trusted: %v", !tt.trust)
				}
				if n := a.Counts(); tt.sync == badrelay.SyncHonest && (n.Syncs != 1 || n.Asked > 7) {
					w.Errorf("%d reconciliations and %d questions", n.Syncs, n.Asked)
				}
				if !tt.trust { // it is not tried again
					was := a.Counts().Syncs
					a.Cut()
					w.sleep(48 * time.Hour)
					if n := a.Counts().Syncs; n != was {
						w.Error("a liar was asked to reconcile again")
					}
				}
			})
		})
	}
}
