package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"drey/mesh"
)

// TestOutboxAgainstModel does to an outbox what carriers, crashes and a failing
// disk do, and holds it against a plain list: nothing is lost, nothing comes
// twice at a time, and what comes is always the most urgent of what may go.
func TestOutboxAgainstModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := newWorld(t)
		m := &outboxModel{t: r, w: w, owed: make(map[string]mesh.Priority), busy: make(map[string]time.Time)}
		r.Repeat(map[string]func(*rapid.T){
			"owe":     m.owe,
			"next":    m.next,
			"done":    m.done,
			"busy":    m.noRoom,
			"release": m.release,
			"delete":  m.delete,
			"wait":    func(*rapid.T) { w.clock.add(7 * time.Second) },
			"crash":   m.crash,
			"disk":    func(*rapid.T) { w.store.full.Store(!w.store.full.Load()) },
			"":        m.check,
		})
	})
}

type outboxModel struct {
	t     *rapid.T
	w     *world
	n     int
	owed  map[string]mesh.Priority // not handed out
	order []string                 // of everything, by receipt
	busy  map[string]time.Time     // not before
	out   []*mesh.Delivery
}

func (m *outboxModel) outbox() *outbox { return m.w.hub.outboxes[1] } // lora: not fast

func (m *outboxModel) owe(t *rapid.T) {
	m.n++
	text, options, p := fmt.Sprint(m.n), []string(nil), mesh.Chat
	if m.n%50 == 7 {
		options, p = []string{"urgent"}, mesh.Emergency
	}
	e := m.w.sign([]string{"ana", "ben", "founder"}[m.n/50%3], text, options)
	if err := m.w.hub.Port("gossip").Receive(context.Background(), e, mesh.Origin{Topic: "alerts"}); err != nil {
		t.Fatalf("Receive = %v", err)
	}
	r, err := m.w.store.Record(context.Background(), e.ID(), mesh.Self)
	if err != nil {
		t.Fatal(err)
	}
	if r.Flags&mesh.FlagEmergency == 0 {
		p = mesh.Chat
	}
	m.owed[text] = p
	m.order = append(m.order, text)
}

// expected is what should come next; "" when nothing may.
func (m *outboxModel) expected() string {
	best := ""
	for _, text := range m.order {
		p, ok := m.owed[text]
		if !ok || m.w.now().Before(m.busy[text]) {
			continue
		}
		if best == "" || p < m.owed[best] {
			best = text
		}
	}
	return best
}

func (m *outboxModel) next(t *rapid.T) {
	d, _, err := m.outbox().tryNext(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if m.w.store.full.Load() { // nothing goes without an attempt on record, and what was tried rests
		if d != nil {
			t.Fatalf("%q came while its attempt could not be recorded", d.Event.Content())
		}
		for text := range m.owed {
			if until := m.w.now().Add(stuckPause); !m.w.now().Before(m.busy[text]) {
				m.busy[text] = until
			}
		}
		return
	}
	want := m.expected()
	if d == nil {
		if want != "" {
			t.Fatalf("nothing came, want %q", want)
		}
		return
	}
	got := d.Event.Content()
	if got != want {
		t.Fatalf("%q came, want %q", got, want)
	}
	delete(m.owed, got)
	m.out = append(m.out, d)
}

func (m *outboxModel) take(t *rapid.T) *mesh.Delivery {
	if len(m.out) == 0 {
		t.Skip("nothing is out")
	}
	i := rapid.IntRange(0, len(m.out)-1).Draw(t, "which")
	d := m.out[i]
	m.out = slices.Delete(m.out, i, i+1)
	return d
}

func (m *outboxModel) done(t *rapid.T) {
	if m.w.store.full.Load() {
		t.Skip("a crash now would owe it again, which is right")
	}
	m.take(t).Done(nil)
}

func (m *outboxModel) release(t *rapid.T) {
	d := m.take(t)
	d.Release()
	m.back(d)
}

func (m *outboxModel) noRoom(t *rapid.T) {
	d := m.take(t)
	it := m.outbox().mu.out[d]
	d.Done(mesh.ErrBusy)
	m.back(d)
	m.busy[d.Event.Content()] = it.due
}

func (m *outboxModel) back(d *mesh.Delivery) { m.owed[d.Event.Content()] = d.Priority }

func (m *outboxModel) delete(t *rapid.T) {
	if m.w.store.full.Load() || len(m.owed) == 0 {
		t.Skip("nothing to delete")
	}
	text := rapid.SampledFrom(m.order).Draw(t, "which")
	if _, ok := m.owed[text]; !ok {
		t.Skip("not waiting")
	}
	e := m.w.event(text)
	if err := m.w.store.Bury(context.Background(), e.ID(), e.CreatedAt(), mesh.ReasonDeleted); err != nil {
		t.Fatal(err)
	}
	delete(m.owed, text)
}

func (m *outboxModel) crash(*rapid.T) {
	m.w.start()
	for _, d := range m.out {
		m.back(d)
	}
	m.out = nil
	clear(m.busy)
}

func (m *outboxModel) check(t *rapid.T) {
	o := m.outbox()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.mu.out) != len(m.out) {
		t.Fatalf("%d deliveries are out, want %d", len(o.mu.out), len(m.out))
	}
	if n := o.mu.line.waiting(); n > maxQueued {
		t.Fatalf("%d wait in memory, limit %d", n, maxQueued)
	}
}

// What memory has no room for comes from the store in its turn, and an urgent
// one does not have to wait for that.
func TestOutboxHoldsLittleInMemory(t *testing.T) {
	w := newWorld(t)
	o := w.hub.outboxes[1]
	ana := w.key("ana").PubKey()
	const chats = maxQueued + maxQueued/2
	for i := range chats {
		e, err := mesh.NewEvent(ana, mesh.Signature{}, mesh.Draft{Kind: mesh.KindNote, Content: fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
		owed := mesh.Owed{Key: mesh.Key{ID: e.ID(), Carrier: "lora"}, Priority: mesh.Chat}
		r := &mesh.Record{Event: e, Topic: "alerts"}
		if err := w.store.Save(t.Context(), r, []mesh.Owed{owed}, false); err != nil {
			t.Fatal(err)
		}
		owed.Seq = r.Seq
		o.push(owed, nil)
		if n := o.mu.line.waiting(); n > maxQueued {
			t.Fatalf("%d wait in memory after %d, limit %d", n, i, maxQueued)
		}
	}
	if err := w.hub.Port("gossip").Receive(t.Context(), w.sign("ben", "fire", []string{"urgent"}), mesh.Origin{Topic: "alerts"}); err != nil {
		t.Fatal(err)
	}
	for i := -1; i < chats; i++ {
		d, _, err := o.tryNext(t.Context(), nil)
		if err != nil || d == nil {
			t.Fatalf("delivery %d: %v, %v", i, d, err)
		}
		want := fmt.Sprint(i)
		if i < 0 {
			want = "fire"
		}
		if got := d.Event.Content(); got != want {
			t.Fatalf("%q came, want %q", got, want)
		}
		if i%2 == 0 { // the others stay out meanwhile
			d.Done(nil)
		}
	}
	if d, _, _ := o.tryNext(t.Context(), nil); d != nil {
		t.Errorf("%q came after all had", d.Event.Content())
	}
}

// Next wakes up for a push, for a release, and when a pause is over.
func TestNextBlocksUntilThereIsSomething(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		began := time.Now()
		w.clock.set(began)
		w.clocks = Clocks{}
		w.built = time.Time{}
		w.store.Store = memory(time.Now)
		w.nowFunc = time.Now
		w.start()
		port := w.hub.Port("lora")
		got := make(chan *mesh.Delivery)
		go func() {
			for {
				d, err := port.Next(t.Context())
				if err != nil {
					close(got)
					return
				}
				got <- d
			}
		}()
		synctest.Wait()
		if err := w.hub.Port("gossip").Receive(t.Context(), w.sign("ana", "hello", nil), mesh.Origin{Topic: "alerts"}); err != nil {
			t.Fatal(err)
		}
		d := <-got
		d.Release()
		d = <-got
		d.Done(fmt.Errorf("queue full: %w", mesh.ErrBusy))
		before := time.Now()
		d = <-got
		if pause := time.Since(before); pause != busyLeast {
			t.Errorf("after no room it came again after %v, want %v", pause, busyLeast)
		}
		d.Done(mesh.ErrBusy)
		before = time.Now()
		d = <-got
		if pause := time.Since(before); pause != 2*busyLeast {
			t.Errorf("the second time it came again after %v, want %v", pause, 2*busyLeast)
		}
		d.Done(errors.New("no"))
	})
}

// A delivery that the disk could not be told of as ended is not made again.
func TestSettledLater(t *testing.T) {
	w := newWorld(t)
	o := w.hub.outboxes[1]
	if err := w.hub.Port("gossip").Receive(t.Context(), w.sign("ana", "hello", nil), mesh.Origin{Topic: "alerts"}); err != nil {
		t.Fatal(err)
	}
	d, _, err := o.tryNext(t.Context(), nil)
	if err != nil || d == nil {
		t.Fatalf("tryNext = %v, %v", d, err)
	}
	w.store.full.Store(true)
	d.Done(nil)
	o.mu.line.more = true // as if memory had been full
	if d, _, _ := o.tryNext(t.Context(), nil); d != nil {
		t.Errorf("attempt %d came after Done", d.Attempt)
	}
	w.store.full.Store(false)
	o.settleNow(t.Context())
	if owed, err := w.store.Owed(t.Context(), "lora", 0); err != nil || len(owed) != 0 {
		t.Errorf("the store still owes %v, %v", owed, err)
	}
}
