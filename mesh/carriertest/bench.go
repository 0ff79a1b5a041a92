package carriertest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"drey/mesh"
)

// A bench is two carriers on their ports, under test.
type bench struct {
	m    Medium
	key  *mesh.SecretKey
	made int
	a, b *end

	before map[string]string // goroutines of the carriers' package before they ran
}

// An end is one carrier of the two.
type end struct {
	name     string
	carrier  mesh.Carrier
	port     *Port
	patience time.Duration
	cancel   context.CancelFunc // nil while it does not run
	returned chan error
}

func newBench(t *testing.T, m Medium) *bench {
	t.Helper()
	key, err := mesh.NewSecretKey([32]byte{31: 7})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{m: m, key: key}
	ca, cb := m.New(t)
	if n := ca.Name(); n == "" || n != cb.Name() {
		t.Fatalf("the carriers are named %q and %q, want one name", n, cb.Name())
	}
	b.a = &end{name: "a", carrier: ca, port: NewPort(t), patience: m.Patience}
	b.b = &end{name: "b", carrier: cb, port: NewPort(t), patience: m.Patience}
	t.Cleanup(func() { b.a.halt(); b.b.halt() })
	b.before = goroutines(ca)
	return b
}

// stop stops both ends and checks that their goroutines are gone.
func (b *bench) stop(t *testing.T) {
	t.Helper()
	b.a.stop(t)
	b.b.stop(t)
	// The last instructions of a goroutine may run after whoever waited for it
	// goes on, on a busy machine much later, so look until patience ends.
	var left []string
	for wait := time.Millisecond; wait < b.m.Patience; wait *= 2 {
		left = left[:0]
		for n, stack := range goroutines(b.a.carrier) {
			if _, old := b.before[n]; !old {
				left = append(left, stack)
			}
		}
		if len(left) == 0 {
			return
		}
		pause := time.NewTimer(wait)
		<-pause.C
	}
	t.Errorf("both ends' Run returned and left %d goroutines, the first:\n%s", len(left), left[0])
}

// start runs both ends and waits until they have found each other.
func (b *bench) start(t *testing.T) {
	t.Helper()
	b.a.run()
	b.b.run()
	b.ready(t)
}

func (b *bench) ready(t *testing.T) {
	t.Helper()
	if b.m.Ready == nil {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), b.m.Patience)
	defer cancel()
	if err := b.m.Ready(ctx, b.a.carrier, b.b.carrier); err != nil {
		t.Fatalf("the carriers did not find each other: %v", err)
	}
}

// A sent is one event that an end was made to owe.
type sent struct {
	event *mesh.Event
	topic mesh.Topic
}

// make signs the next event. Every text is of its own.
func (b *bench) make(t *testing.T, padding int) sent {
	t.Helper()
	topic := b.m.Topics[b.made%len(b.m.Topics)]
	b.made++
	text := fmt.Sprintf("message %d", b.made)
	if padding > 0 {
		text += " " + strings.Repeat("x", padding)
	}
	e, err := b.key.Sign(mesh.Draft{
		CreatedAt: mesh.UnixOf(time.Now()), Kind: b.m.Kind, Content: text,
		Tags: [][]string{{"t", string(topic)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return sent{e, topic}
}

// owe has from owe n new events.
func (b *bench) owe(t *testing.T, from *end, n int, p mesh.Priority) []sent {
	t.Helper()
	var out []sent
	for range n {
		s := b.make(t, 0)
		out = append(out, s)
		from.port.Owe(s.event, s.topic, b.m.Target(s.topic), p)
	}
	return out
}

// await waits for everything in want to come in at to.
func (b *bench) await(t *testing.T, to *end, want []sent) {
	t.Helper()
	for _, s := range want {
		if !to.await(t, func() bool { return b.find(to, s) != nil }) {
			t.Fatalf("%q, owed to the other end, did not arrive at %s within %v; what did: %s", s.event.Content(), to.name, b.m.Patience, texts(to.port))
		}
		got := b.find(to, s)
		if err := got.Event.Verify(); err != nil {
			t.Errorf("%q arrived at %s with a broken signature: %v", s.event.Content(), to.name, err)
		}
		if !b.m.Retopics && got.Origin.Topic != s.topic {
			t.Errorf("%q arrived at %s in topic %q, want %q", s.event.Content(), to.name, got.Origin.Topic, s.topic)
		}
	}
}

// find returns the receipt of s at an end, nil when there is none.
func (b *bench) find(at *end, s sent) *Receipt {
	for _, r := range at.port.Receipts() {
		if b.m.Matches(s.event, r.Event) {
			return &r
		}
	}
	return nil
}

func texts(p *Port) string {
	var all []string
	for _, r := range p.Receipts() {
		all = append(all, fmt.Sprintf("%.40q", r.Event.Content()))
	}
	if len(all) == 0 {
		return "nothing"
	}
	return strings.Join(all, ", ")
}

// settled waits until an end has ended every delivery that it was handed, and
// was handed all.
func (b *bench) settled(t *testing.T, at *end, n int) {
	t.Helper()
	if !at.await(t, func() bool { return len(at.port.Endings()) >= n && at.port.Outstanding() == 0 }) {
		t.Fatalf("%d of %d deliveries of %s are Done after %v, %d are still out", len(at.port.Endings()), n, at.name, b.m.Patience, at.port.Outstanding())
	}
	if got := len(at.port.Endings()); got != n {
		t.Errorf("%d deliveries of %s are Done, want %d", got, at.name, n)
	}
}

func (e *end) await(t *testing.T, cond func() bool) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), e.patience)
	defer cancel()
	return e.port.Await(ctx, cond)
}

func (e *end) run() {
	ctx, cancel := context.WithCancel(context.Background())
	returned := make(chan error, 1)
	e.cancel, e.returned = cancel, returned
	go func() { returned <- e.carrier.Run(ctx, e.port) }()
}

// stop ends the carrier's Run and checks how it went.
func (e *end) stop(t *testing.T) {
	t.Helper()
	if e.cancel == nil {
		return
	}
	select {
	case err := <-e.returned:
		t.Errorf("Run of %s returned before its context ended: %v", e.name, err)
		e.returned <- err
	default:
	}
	err, ok := e.halt()
	if !ok {
		t.Fatalf("Run of %s did not return within %v of its context's end", e.name, e.patience)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("Run of %s returned %v, want nil or the context's error", e.name, err)
	}
	if n := e.port.Outstanding(); n > 0 {
		t.Errorf("Run of %s returned with %d deliveries neither Done nor Released", e.name, n)
	}
}

// halt ends Run and returns what it returned; false when it does not return.
func (e *end) halt() (error, bool) {
	if e.cancel == nil {
		return nil, true
	}
	e.cancel()
	e.cancel = nil
	timeout := time.NewTimer(e.patience)
	defer timeout.Stop()
	select {
	case err := <-e.returned:
		return err, true
	case <-timeout.C:
		return nil, false
	}
}

// goroutines returns the stacks that pass through the carrier's package, by
// the goroutine's number; the suite's own are left out.
func goroutines(c mesh.Carrier) map[string]string {
	typ := reflect.TypeOf(c)
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	pkg := typ.PkgPath() + "."
	buf := make([]byte, 1<<20)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	found := make(map[string]string)
	for _, g := range strings.Split(string(buf), "\n\n") {
		if !strings.Contains(g, pkg) || strings.Contains(g, "testing.tRunner") || strings.Contains(g, "carriertest.(*end).run") {
			continue
		}
		number, _, _ := strings.Cut(g, " [")
		found[number] = g
	}
	return found
}
