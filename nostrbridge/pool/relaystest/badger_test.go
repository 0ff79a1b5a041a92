package relaystest_test

import (
	"os"
	"path/filepath"
	"testing"

	bdg "github.com/dgraph-io/badger/v4"
	"github.com/fiatjaf/eventstore/badger"
	"github.com/nbd-wtf/go-nostr"

	"drey/nostrbridge/pool/relaystest"
)

// TestOpenBadgerAfterACut leaves the empty files that a kill leaves between
// their making and their sizing.
func TestOpenBadgerAfterACut(t *testing.T) {
	for _, cut := range [][]string{{"00090.mem"}, {"000090.vlog"}, {"00090.mem", "000090.vlog"}} {
		dir := t.TempDir()
		db := &badger.BadgerBackend{Path: dir, BadgerOptionsModifier: func(o bdg.Options) bdg.Options { return o.WithLogger(nil) }}
		if err := relaystest.OpenBadger(db); err != nil {
			t.Fatal(err)
		}
		e := nostr.Event{Kind: 1, Content: "kept"}
		if err := e.Sign(nostr.GeneratePrivateKey()); err != nil {
			t.Fatal(err)
		}
		if err := db.SaveEvent(t.Context(), &e); err != nil {
			t.Fatal(err)
		}
		db.Close()
		for _, name := range cut {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := relaystest.OpenBadger(db); err != nil {
			t.Fatalf("%v: %v", cut, err)
		}
		found, err := db.QueryEvents(t.Context(), nostr.Filter{IDs: []string{e.ID}})
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := <-found; !ok {
			t.Errorf("%v: the event is gone", cut)
		}
		db.Close()
	}
}
