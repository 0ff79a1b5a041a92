package nostrbridge

import (
	"context"
	"sync"
	"time"

	"drey/mesh"
)

// gather is how long events that come in wait for company in one word.
const gather = 50 * time.Millisecond

// An intake collects the events that are about to come in, so that one word
// tells of several.
type intake struct {
	mu struct {
		sync.Mutex
		ids  []mesh.EventID
		said chan struct{} // closed when the word with ids is out; nil while there are none
	}
}

// announce returns when the community was told that an event comes from the
// world.
func (b *Bridge) announce(ctx context.Context, id mesh.EventID) error {
	for {
		said, first, full := b.intake.add(id)
		if full {
			select { // the next word is ours
			case <-said:
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if !first {
			select {
			case <-said:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		_ = pause(ctx, gather) // whoever waits for this word is told in any case
		w := b.council.word(b.c.Clock())
		w.in = b.intake.take()
		err := b.c.Node.Say(ctx, mesh.TopicRegistry, w.draft())
		close(said)
		if err != nil && ctx.Err() == nil {
			// Members only reach this; on other machines the event may go on the air.
			b.c.Log.Debug("gateway's word not said", "err", err)
		}
		return ctx.Err()
	}
}

// add puts an event into the next word. first tells whose turn it is to say it;
// full that there is no room in it.
func (i *intake) add(id mesh.EventID) (said chan struct{}, first, full bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.mu.ids) >= maxTold {
		return i.mu.said, false, true
	}
	if first = i.mu.said == nil; first {
		i.mu.said = make(chan struct{})
	}
	i.mu.ids = append(i.mu.ids, id)
	return i.mu.said, first, false
}

// take empties the word.
func (i *intake) take() []mesh.EventID {
	i.mu.Lock()
	defer i.mu.Unlock()
	ids := i.mu.ids
	i.mu.ids, i.mu.said = nil, nil
	return ids
}
