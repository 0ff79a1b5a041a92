package web

import (
	"context"
	"sync"
	"time"

	"drey/mesh"
)

// Bounds of what is followed for the page.
const (
	mostFollowed = 32               // messages at once, the latest
	followedFor  = 30 * time.Minute // after they were written
	newsPause    = 5 * time.Second  // before the node is asked again after a fault
)

// news follows what becomes of the messages that entered the network here
// lately, once for all who look at the page.
type news struct {
	node Node             // immutable
	now  func() time.Time // immutable

	mu struct {
		sync.Mutex
		listeners map[*listener]bool
	}
}

// A listener is one live stream. What it did not take in time it gets in its
// latest form only.
type listener struct {
	signal chan struct{} // holds one
	due    map[mesh.EventID]*destiny
	order  []mesh.EventID
}

// A destiny is a message and all that became of it so far; immutable but for
// what is rendered of it.
type destiny struct {
	event *mesh.Event
	topic mesh.Topic
	steps []mesh.Step

	mu struct {
		sync.Mutex
		by map[string][]byte // by language
	}
}

func newNews(node Node, now func() time.Time) *news {
	n := &news{node: node, now: now}
	n.mu.listeners = make(map[*listener]bool)
	return n
}

// html renders a destiny once for each language.
func (d *destiny) html(tag string, render func() ([]byte, error)) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if b, ok := d.mu.by[tag]; ok {
		return b, nil
	}
	b, err := render()
	if err != nil {
		return nil, err
	}
	if d.mu.by == nil {
		d.mu.by = make(map[string][]byte)
	}
	d.mu.by[tag] = b
	return b, nil
}

func (n *news) subscribe() *listener {
	l := &listener{signal: make(chan struct{}, 1), due: make(map[mesh.EventID]*destiny)}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mu.listeners[l] = true
	return l
}

func (n *news) leave(l *listener) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.mu.listeners, l)
}

// take returns what a listener has not seen yet.
func (n *news) take(l *listener) []*destiny {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := make([]*destiny, 0, len(l.order))
	for _, id := range l.order {
		list = append(list, l.due[id])
	}
	l.due, l.order = make(map[mesh.EventID]*destiny), nil
	return list
}

func (n *news) tell(d *destiny) {
	id := d.event.ID()
	n.mu.Lock()
	defer n.mu.Unlock()
	for l := range n.mu.listeners {
		if _, waits := l.due[id]; !waits {
			l.order = append(l.order, id)
		}
		l.due[id] = d
		select {
		case l.signal <- struct{}{}:
		default:
		}
	}
}

// Run follows until ctx ends.
func (n *news) Run(ctx context.Context) error {
	var group sync.WaitGroup
	defer group.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var stops []context.CancelFunc // of what is followed, the oldest first
	after := uint64(0)
	for ctx.Err() == nil {
		f := mesh.Filter{Kinds: chatKinds, After: after}
		if after == 0 {
			f.From = n.now().Add(-followedFor)
		}
		for rec, err := range n.node.Watch(ctx, f, mesh.Self) {
			if err != nil {
				break
			}
			after = max(after, rec.Seq)
			if rec.Carrier != "" {
				continue
			}
			if len(stops) == mostFollowed {
				stops[0]()
				stops = stops[1:]
			}
			following, stop := context.WithTimeout(ctx, followedFor)
			stops = append(stops, stop)
			group.Go(func() {
				defer stop()
				n.follow(following, rec)
			})
		}
		select {
		case <-ctx.Done():
		case <-time.After(newsPause):
		}
	}
	for _, stop := range stops {
		stop()
	}
	return nil
}

// follow tells each line of one message's history.
func (n *news) follow(ctx context.Context, rec *mesh.Record) {
	var steps []mesh.Step
	for st, err := range n.node.WatchHistory(ctx, rec.Event.ID()) {
		if err != nil {
			return
		}
		steps = append(steps, st)
		n.tell(&destiny{event: rec.Event, topic: rec.Topic, steps: steps[:len(steps):len(steps)]})
	}
}
