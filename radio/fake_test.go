package radio

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"drey/mesh"
)

// A fakeHub is just enough of a hub, with its store, for carriers: it keeps
// records in memory, owes them to one radio, and passes them to its peers
// after a while, as gossip does.
type fakeHub struct {
	name    string
	signer  *mesh.SecretKey
	peers   []*fakeHub
	delay   time.Duration
	radio   *Carrier
	refused mesh.PubKey // an author who belongs nowhere

	mu struct {
		sync.Mutex
		records  []*mesh.Record
		gone     map[mesh.EventID]bool
		owed     []*mesh.Delivery
		attempts map[mesh.EventID]int
		order    map[mesh.EventID]int
		history  map[mesh.EventID][]string
		failed   map[mesh.EventID]error
		done     map[mesh.Key]bool
		changed  chan struct{}
		shelf    map[string][]byte
		busy     int
	}
}

func newFakeHub(t testing.TB, name string) *fakeHub {
	t.Helper()
	var seed [32]byte
	copy(seed[:], name+"................................")
	signer, err := mesh.NewSecretKey(seed)
	if err != nil {
		t.Fatal(err)
	}
	h := &fakeHub{name: name, signer: signer, delay: 80 * time.Millisecond}
	h.mu.gone = make(map[mesh.EventID]bool)
	h.mu.attempts = make(map[mesh.EventID]int)
	h.mu.order = make(map[mesh.EventID]int)
	h.mu.history = make(map[mesh.EventID][]string)
	h.mu.failed = make(map[mesh.EventID]error)
	h.mu.done = make(map[mesh.Key]bool)
	h.mu.changed = make(chan struct{})
	h.mu.shelf = make(map[string][]byte)
	return h
}

func (h *fakeHub) Receive(ctx context.Context, e *mesh.Event, from mesh.Origin) error {
	h.mu.Lock()
	if h.mu.busy > 0 {
		h.mu.busy--
		h.mu.Unlock()
		return mesh.ErrBusy
	}
	h.mu.Unlock()
	if e.Author() == h.refused {
		return mesh.ErrUnknownAuthor
	}
	return h.accept(e, from.Topic, "radio")
}

// accept keeps an event and passes it on to all but where it came from.
func (h *fakeHub) accept(e *mesh.Event, topic mesh.Topic, carrier string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mu.gone[e.ID()] || slices.ContainsFunc(h.mu.records, func(r *mesh.Record) bool { return r.Event.ID() == e.ID() }) {
		return mesh.ErrDuplicate
	}
	if err := e.Verify(); err != nil {
		return err
	}
	r := &mesh.Record{Event: e, Topic: topic, Received: time.Now(), Seq: uint64(len(h.mu.records) + 1), Carrier: carrier}
	h.mu.records = append(h.mu.records, r)
	h.settleLocked(r)
	if carrier != "radio" && h.radio != nil {
		for _, target := range h.radio.Targets(r) {
			h.mu.owed = append(h.mu.owed, &mesh.Delivery{
				Event: e, Topic: topic, Target: target, Priority: mesh.PriorityOf(e), Ledger: h,
			})
			h.mu.order[e.ID()] = len(h.mu.order)
		}
	}
	if carrier != "gossip" {
		for _, p := range h.peers {
			time.AfterFunc(h.delay, func() { _ = p.accept(e, topic, "gossip") })
		}
	}
	h.announceLocked()
	return nil
}

// settleLocked applies what rule 4 and NIP-09 ask of a hub: of translations of
// one packet the lowest id wins, and authors may delete.
func (h *fakeHub) settleLocked(r *mesh.Record) {
	bury := func(id mesh.EventID) {
		h.mu.gone[id] = true
		h.mu.records = slices.DeleteFunc(h.mu.records, func(o *mesh.Record) bool { return o.Event.ID() == id })
	}
	if p, ok := mesh.ProxyOf(r.Event); ok {
		for _, o := range slices.Clone(h.mu.records) {
			if q, ok := mesh.ProxyOf(o.Event); ok && o != r && p == q && o.Event.Content() == r.Event.Content() {
				a, b := o.Event.ID(), r.Event.ID()
				if string(a[:]) < string(b[:]) {
					a = b
				}
				bury(a)
			}
		}
	}
	if r.Event.Kind() == mesh.KindDeletion {
		for _, v := range r.Event.TagValues("e") {
			if id, err := mesh.ParseEventID(v); err == nil {
				bury(id)
			}
		}
	}
}

func (h *fakeHub) announceLocked() {
	close(h.mu.changed)
	h.mu.changed = make(chan struct{})
}

func (h *fakeHub) Next(ctx context.Context) (*mesh.Delivery, error) {
	for {
		h.mu.Lock()
		changed := h.mu.changed
		if len(h.mu.owed) > 0 {
			best := slices.MinFunc(h.mu.owed, func(a, b *mesh.Delivery) int {
				return cmp.Or(int(a.Priority)-int(b.Priority), h.mu.order[a.Event.ID()]-h.mu.order[b.Event.ID()])
			})
			h.mu.owed = slices.DeleteFunc(h.mu.owed, func(d *mesh.Delivery) bool { return d == best })
			h.mu.attempts[best.Event.ID()]++
			best.Attempt = h.mu.attempts[best.Event.ID()]
			h.mu.Unlock()
			return best, nil
		}
		h.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-changed:
		}
	}
}

func (h *fakeHub) Report(d *mesh.Delivery, state string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.history[d.Event.ID()] = append(h.mu.history[d.Event.ID()], state)
	h.announceLocked()
}

func (h *fakeHub) Release(d *mesh.Delivery) {
	h.mu.Lock()
	defer h.mu.Unlock()
	again := *d
	h.mu.owed = append(h.mu.owed, &again)
	h.announceLocked()
}

func (h *fakeHub) Done(d *mesh.Delivery, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mu.done[mesh.Key{ID: d.Event.ID(), Target: d.Target}] {
		panic("delivery ended twice")
	}
	h.mu.done[mesh.Key{ID: d.Event.ID(), Target: d.Target}] = true
	if err != nil {
		h.mu.failed[d.Event.ID()] = err
	}
	h.announceLocked()
}

// say publishes a note of this node and returns it.
func (h *fakeHub) say(t testing.TB, topic mesh.Topic, text string, tags ...[]string) *mesh.Event {
	t.Helper()
	tags = append([][]string{{"t", string(topic)}}, tags...)
	e, err := h.signer.Sign(mesh.Draft{CreatedAt: mesh.UnixOf(time.Now()), Kind: mesh.KindNote, Tags: tags, Content: text})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.accept(e, topic, ""); err != nil {
		t.Fatal(err)
	}
	return e
}

// past keeps a note that was said an hour ago and that nobody owes any more.
func (h *fakeHub) past(t testing.TB, topic mesh.Topic, text string) *mesh.Event {
	t.Helper()
	e, err := h.signer.Sign(mesh.Draft{
		CreatedAt: mesh.UnixOf(time.Now().Add(-time.Hour)), Kind: mesh.KindNote, Tags: [][]string{{"t", string(topic)}}, Content: text,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, each := range append([]*fakeHub{h}, h.peers...) {
		if err := each.accept(e, topic, "radio"); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

// notes returns what a topic holds.
func (h *fakeHub) notes(topic mesh.Topic) []*mesh.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []*mesh.Event
	for _, r := range h.mu.records {
		if r.Topic == topic && r.Event.Kind() == mesh.KindNote {
			list = append(list, r.Event)
		}
	}
	return list
}

func (h *fakeHub) historyOf(e *mesh.Event) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.mu.history[e.ID()])
}

// await waits until ok holds, looking whenever the hub changes.
func (h *fakeHub) await(t testing.TB, what string, limit time.Duration, ok func() bool) {
	t.Helper()
	timeout := time.After(limit)
	for {
		h.mu.Lock()
		changed := h.mu.changed
		h.mu.Unlock()
		if ok() {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("%s: not within %v", what, limit)
		}
	}
}

// The archive.

func (h *fakeHub) Record(_ context.Context, id mesh.EventID, _ mesh.Viewer) (*mesh.Record, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.mu.records {
		if r.Event.ID() == id {
			return r, nil
		}
	}
	return nil, mesh.ErrNotFound
}

func (h *fakeHub) Records(_ context.Context, f mesh.Filter, _ mesh.Viewer) iter.Seq2[*mesh.Record, error] {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []*mesh.Record
	for _, r := range slices.Backward(h.mu.records) {
		if f.Matches(r) && (f.Limit == 0 || len(list) < f.Limit) {
			list = append(list, r)
		}
	}
	return func(yield func(*mesh.Record, error) bool) {
		for _, r := range list {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (h *fakeHub) Items(context.Context, mesh.Unix, mesh.Unix, mesh.Viewer) iter.Seq2[mesh.Item, error] {
	return func(func(mesh.Item, error) bool) {}
}

func (h *fakeHub) Floor(context.Context) (mesh.Unix, error) { return 0, nil }

// The shelf.

func (h *fakeHub) Value(_ context.Context, key string) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if v, ok := h.mu.shelf[key]; ok {
		return v, nil
	}
	return nil, mesh.ErrNotFound
}

func (h *fakeHub) Put(_ context.Context, key string, value []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.shelf[key] = slices.Clone(value)
	return nil
}

func (h *fakeHub) Delete(_ context.Context, key string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.mu.shelf, key)
	return nil
}

func (h *fakeHub) Keys(_ context.Context, prefix string) ([]string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var keys []string
	for k := range h.mu.shelf {
		if len(k) >= len(prefix) && k[:len(prefix)] == prefix {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys, nil
}
