package pool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"drey/mesh"
	"drey/nostrbridge/pool/badrelay"
)

func key(b byte) *mesh.SecretKey {
	k, err := mesh.NewSecretKey([32]byte{31: b})
	if err != nil {
		panic(err)
	}
	return k
}

func sign(by *mesh.SecretKey, d mesh.Draft) *mesh.Event {
	e, err := by.Sign(d)
	if err != nil {
		panic(err)
	}
	return e
}

// note is signed by key 1.
func note(at time.Time, content string) *mesh.Event {
	return sign(key(1), mesh.Draft{CreatedAt: mesh.UnixOf(at), Kind: mesh.KindNote, Content: content, Tags: [][]string{{"t", "alerts"}}})
}

// A world is a pool on a network in memory, in a bubble of synctest.
type world struct {
	*testing.T
	net   *badrelay.Net
	conf  Config
	pool  *Pool
	ctx   context.Context
	stop  context.CancelFunc
	tasks sync.WaitGroup
}

// inWorld runs a test in a bubble, and ends whatever it began.
func inWorld(t *testing.T, test func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, net: badrelay.NewNet()}
		out := io.Writer(io.Discard)
		if os.Getenv("POOL_LOG") != "" {
			out = os.Stderr
		}
		w.conf = Config{
			Signer: key(9), Shelf: &memory{values: map[string][]byte{}}, Client: w.net.Client(), Private: true,
			Log: slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug})), Clock: time.Now,
		}
		defer w.end()
		test(w)
	})
}

// relay runs a relay until the test's end.
func (w *world) relay(host string, b badrelay.Behaviour) *badrelay.Relay {
	r := w.net.Relay(host, b)
	w.Cleanup(r.Close)
	return r
}

// start runs a pool over relays.
func (w *world) start(urls ...string) {
	w.conf.URLs = urls
	w.pool = New(w.conf)
	w.ctx, w.stop = context.WithCancel(context.Background())
	p, ctx := w.pool, w.ctx
	w.tasks.Go(func() {
		if err := p.Run(ctx); err != nil {
			w.Errorf("Run: %v", err)
		}
	})
	synctest.Wait()
}

// end stops the pool and what follows it, and waits.
func (w *world) end() {
	if w.stop != nil {
		w.stop()
	}
	w.tasks.Wait()
}

// sleep lets d pass, and what is due by then happen.
func (w *world) sleep(d time.Duration) {
	time.Sleep(d) // of the bubble
	synctest.Wait()
}

// one returns the relay as the pool sees it.
func (w *world) one(url string) Relay {
	w.Helper()
	all := w.pool.Relays()
	i := slices.IndexFunc(all, func(r Relay) bool { return r.URL == url })
	if i < 0 {
		w.Fatalf("%s is not among %v", url, all)
	}
	return all[i]
}

// state checks a relay's state.
func (w *world) state(url string, want State) Relay {
	w.Helper()
	r := w.one(url)
	if r.State != want {
		w.Fatalf("%s is %s (%s), want %s", url, r.State, r.Error, want)
	}
	return r
}

// known counts the relays that the pool knows, visits included.
func (w *world) known() int {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	return len(w.pool.mu.relays)
}

// trusts reports whether a relay is believed to reconcile honestly.
func trusts(t testing.TB, p *Pool, url string) bool {
	t.Helper()
	r, err := p.find(url)
	if err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.mu.liar
}

// A reader gathers what a feed brings.
type reader struct {
	mu   sync.Mutex
	got  []string // contents, in the order they came
	by   []string // relays
	fail int      // so many calls end with an error
	wait time.Duration
}

var errBusyTest = errors.New("no room")

func (r *reader) found(ctx context.Context, relay string, e *mesh.Event) error {
	if r.wait > 0 {
		t := time.NewTimer(r.wait)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail > 0 {
		r.fail--
		return errBusyTest
	}
	r.got, r.by = append(r.got, e.Content()), append(r.by, relay)
	return nil
}

// all returns the contents that came, sorted.
func (r *reader) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(slices.Values(r.got))
}

// follow runs a feed of notes until the world ends, or until the returned
// function is called.
func (w *world) follow(f Feed, r *reader) (stop func()) {
	if f.Name == "" {
		f.Name = "test"
	}
	if f.Filters == nil {
		f.Filters = func(string) []mesh.Filter { return []mesh.Filter{{Kinds: []mesh.Kind{mesh.KindNote}}} }
	}
	f.Found = r.found
	ctx, cancel := context.WithCancel(w.ctx)
	done := make(chan struct{})
	p := w.pool
	w.tasks.Go(func() {
		defer close(done)
		if err := p.Follow(ctx, f); err != nil {
			w.Errorf("Follow: %v", err)
		}
	})
	synctest.Wait()
	return func() { cancel(); <-done }
}

// numbered returns so many notes, a second apart, the last at a time.
func numbered(n int, last time.Time, name string) []*mesh.Event {
	var all []*mesh.Event
	for i := range n {
		all = append(all, note(last.Add(-time.Duration(n-1-i)*time.Second), fmt.Sprintf("%s %04d", name, i)))
	}
	return all
}

func contents(events []*mesh.Event) []string {
	var all []string
	for _, e := range events {
		all = append(all, e.Content())
	}
	slices.Sort(all)
	return all
}

// An attic is an archive of notes in memory.
type attic struct {
	mu     sync.Mutex
	events map[mesh.EventID]*mesh.Event
	gone   map[mesh.EventID]bool
}

func newAttic(events ...*mesh.Event) *attic {
	a := &attic{events: map[mesh.EventID]*mesh.Event{}, gone: map[mesh.EventID]bool{}}
	for _, e := range events {
		a.events[e.ID()] = e
	}
	return a
}

func (a *attic) Record(_ context.Context, id mesh.EventID, _ mesh.Viewer) (*mesh.Record, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.gone[id] {
		return nil, &mesh.GoneError{ID: id, Reason: mesh.ReasonDeleted}
	}
	if e := a.events[id]; e != nil {
		return &mesh.Record{Event: e}, nil
	}
	return nil, mesh.ErrNotFound
}

func (a *attic) Records(_ context.Context, f mesh.Filter, _ mesh.Viewer) iter.Seq2[*mesh.Record, error] {
	return func(yield func(*mesh.Record, error) bool) {
		a.mu.Lock()
		var all []*mesh.Record
		for _, e := range a.events {
			if r := (&mesh.Record{Event: e}); f.Matches(r) {
				all = append(all, r)
			}
		}
		a.mu.Unlock()
		for _, r := range all {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (a *attic) Items(context.Context, mesh.Unix, mesh.Unix, mesh.Viewer) iter.Seq2[mesh.Item, error] {
	return func(func(mesh.Item, error) bool) {}
}

func (a *attic) Floor(context.Context) (mesh.Unix, error) { return 0, nil }
