package relay

import (
	"context"
	"sync"
	"time"

	"drey/mesh"
)

// followAgain is how long the relay waits before it asks a store that failed
// again.
const followAgain = time.Second

// follow hands what comes in to the subscriptions until ctx ends.
func (f *Front) follow(ctx context.Context) {
	begun := false
	for ctx.Err() == nil {
		err := f.findPosition(ctx, begun)
		if err == nil {
			if !begun {
				begun = true
				close(f.ready)
			}
			err = f.followOnce(ctx)
		}
		if err == nil || ctx.Err() != nil {
			continue
		}
		f.log.Warn("live events stopped", "err", err, "retryIn", followAgain)
		t := time.NewTimer(followAgain)
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

// findPosition looks up where what comes in begins.
func (f *Front) findPosition(ctx context.Context, begun bool) error {
	if begun {
		return nil
	}
	for r, err := range f.node.Records(ctx, mesh.Filter{Order: mesh.ReceiptLatest, Limit: 1}, mesh.Self) {
		if err != nil {
			return err
		}
		f.position.Store(r.Seq)
	}
	return nil
}

func (f *Front) followOnce(ctx context.Context) error {
	for r, err := range f.node.Watch(ctx, mesh.Filter{After: f.position.Load()}, mesh.Self) {
		if err != nil {
			return err
		}
		f.spread(r)
	}
	return nil
}

// news is one event that came in, written once for all who get it.
type news struct {
	rec    *mesh.Record
	once   sync.Once
	text   []byte
	folded sync.Once
	words  string
}

func (n *news) json() []byte {
	n.once.Do(func() { n.text = n.rec.Event.AppendJSON(nil) })
	return n.text
}

// searched returns the text that searches look at, folded once for all.
func (n *news) searched() string {
	n.folded.Do(func() { n.words = mesh.SearchText(n.rec.Event) })
	return n.words
}

// spread offers an event to every connection. The position moves first: who
// subscribes after that finds the event in the store, who did before gets it
// here.
func (f *Front) spread(r *mesh.Record) {
	if r.Seq != 0 {
		f.position.Store(r.Seq)
	}
	n := &news{rec: r}
	f.mu.RLock()
	defer f.mu.RUnlock()
	for c := range f.mu.conns {
		c.offer(n)
	}
}

// offer queues an event for those subscriptions that choose it.
func (c *conn) offer(n *news) {
	e := n.rec.Event
	c.mu.Lock()
	var chosen []*sub
	for _, s := range c.mu.subs {
		if s.matches(n) {
			chosen = append(chosen, s)
		}
	}
	c.mu.Unlock()
	if chosen == nil || !mesh.Visible(e, n.rec.Topic, c.look().viewer) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range chosen {
		if !s.gone {
			s.giveLocked(c.out, n)
		}
	}
}
