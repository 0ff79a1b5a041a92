//go:build e2e

package bridge

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bdg "github.com/dgraph-io/badger/v4"
	"github.com/fiatjaf/eventstore/badger"
	"github.com/fiatjaf/khatru"
	"github.com/nbd-wtf/go-nostr"

	"drey/e2e/netns"
	"drey/nostrbridge/pool/relaystest"
)

// foreignEnv makes the test binary a public relay: "ADDRESS DIR".
const foreignEnv = "DREY_E2E_RELAY"

// serve runs khatru on badger until it is killed. Each EVENT that comes is a
// line in DIR/heard, with "again" where the relay has it already.
func serve(config string) error {
	at, dir, _ := strings.Cut(config, " ")
	db := newStore(dir)
	if err := relaystest.OpenBadger(db); err != nil {
		return err
	}
	heard, err := os.OpenFile(filepath.Join(dir, "heard"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	k := khatru.NewRelay()
	k.Log = log.New(io.Discard, "", 0)
	k.StoreEvent = append(k.StoreEvent, db.SaveEvent)
	k.ReplaceEvent = append(k.ReplaceEvent, db.ReplaceEvent)
	k.QueryEvents = append(k.QueryEvents, db.QueryEvents)
	k.CountEvents = append(k.CountEvents, db.CountEvents)
	k.DeleteEvent = append(k.DeleteEvent, db.DeleteEvent)
	k.RejectEvent = append(k.RejectEvent, func(ctx context.Context, e *nostr.Event) (bool, string) {
		line := e.ID
		if held(ctx, db, e.ID) {
			line += " again"
		}
		fmt.Fprintln(heard, line) // one write
		return false, ""
	})
	l, err := net.Listen("tcp", at)
	if err != nil {
		return err
	}
	return http.Serve(l, k)
}

func newStore(dir string) *badger.BadgerBackend {
	return &badger.BadgerBackend{
		Path:                  filepath.Join(dir, "db"),
		BadgerOptionsModifier: func(o bdg.Options) bdg.Options { return o.WithLogger(nil) },
	}
}

// held reports whether a relay's store has an event.
func held(ctx context.Context, db *badger.BadgerBackend, id string) bool {
	found, err := db.QueryEvents(ctx, nostr.Filter{IDs: []string{id}})
	if err != nil {
		return false
	}
	has := false
	for range found {
		has = true
	}
	return has
}

// A foreign is a public relay of foreign code, on a machine or on this one.
type foreign struct {
	t   *testing.T
	m   *netns.Machine
	url string
	at  string
	dir string
	cmd *exec.Cmd
}

func newForeign(t *testing.T, m *netns.Machine, at string) *foreign {
	f := &foreign{t: t, m: m, at: at, url: "ws://" + at, dir: t.TempDir()}
	t.Cleanup(f.kill)
	return f
}

// start runs the relay, on what its disk holds, and returns when it listens.
func (f *foreign) start() {
	f.t.Helper()
	self, err := os.Executable()
	if err != nil {
		f.t.Fatal(err)
	}
	f.cmd = exec.Command(self)
	if f.m != nil {
		f.cmd = f.m.Command(context.Background(), self)
	}
	f.cmd.Env = append(os.Environ(), foreignEnv+"="+f.at+" "+f.dir)
	f.cmd.Stderr = os.Stderr
	if err := f.cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	if f.m != nil {
		return // whoever calls it calls again
	}
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < patience; <-tick.C {
		if c, err := net.Dial("tcp", f.at); err == nil {
			c.Close()
			return
		}
	}
	f.t.Fatalf("the relay at %s does not listen", f.at)
}

// kill ends the relay as a power cut of its process does.
func (f *foreign) kill() {
	if f.cmd != nil {
		f.cmd.Process.Kill()
		f.cmd.Wait()
		f.cmd = nil
	}
}

// holds lists what the disk of a relay that does not run has.
func (f *foreign) holds() map[string]bool {
	f.t.Helper()
	db := newStore(f.dir)
	if err := relaystest.OpenBadger(db); err != nil {
		f.t.Fatal(err)
	}
	defer db.Close()
	db.MaxLimit = 1 << 20
	found, err := db.QueryEvents(f.t.Context(), nostr.Filter{Kinds: []int{1}, Limit: 1 << 20})
	if err != nil {
		f.t.Fatal(err)
	}
	ids := map[string]bool{}
	for e := range found {
		ids[e.ID] = true
	}
	return ids
}

// hears waits until an event has come to the relay.
func (f *foreign) hears(id string) {
	f.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < patience; <-tick.C {
		if n, _ := f.heard(); n[id] > 0 {
			return
		}
	}
	f.t.Fatalf("%s did not come to the relay within %v", id, patience)
}

// heard counts the EVENT messages that brought each event, and those that came
// when the relay had the event already.
func (f *foreign) heard() (n, again map[string]int) {
	f.t.Helper()
	n, again = map[string]int{}, map[string]int{}
	file, err := os.Open(filepath.Join(f.dir, "heard"))
	if os.IsNotExist(err) {
		return n, again
	}
	if err != nil {
		f.t.Fatal(err)
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		id, had, _ := strings.Cut(lines.Text(), " ")
		n[id]++
		if had != "" {
			again[id]++
		}
	}
	return n, again
}
