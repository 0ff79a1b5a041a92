package nostrbridge

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"drey/mesh"
	"drey/nostrbridge/pool"
)

const (
	saidKey = "said/" // and the id of an own translation: the relays that have it
	// Translations of one text compete for an hour of their dates, which comes to
	// light when islands meet; after so long nobody looks any more.
	undoFor   = 7 * 24 * time.Hour
	undoEvery = 30 * time.Second
)

// A saying is an own translation that relays have.
type saying struct {
	Relays  []string  `json:"relays"`
	At      mesh.Unix `json:"at"`
	Created mesh.Unix `json:"created"`
}

// published takes down that a relay has an event, where it is a translation of
// this gateway's own: a colleague's may win, and then it is deleted there.
func (b *Bridge) published(e *mesh.Event, relay string) {
	if _, translated := mesh.ProxyOf(e); !translated || e.Author() != b.c.Signer.PubKey() || b.c.Shelf == nil {
		return
	}
	b.sayings.Lock()
	defer b.sayings.Unlock()
	ctx := context.Background()
	key := saidKey + e.ID().String()
	s := saying{At: mesh.UnixOf(b.c.Clock()), Created: e.CreatedAt()}
	if v, err := b.c.Shelf.Value(ctx, key); err == nil {
		_ = json.Unmarshal(v, &s) // what cannot be read is written anew
	}
	for _, r := range s.Relays {
		if r == relay {
			return
		}
	}
	s.Relays = append(s.Relays, relay)
	b.put(ctx, key, s)
}

func (b *Bridge) put(ctx context.Context, key string, s saying) {
	v, err := json.Marshal(s)
	if err == nil {
		err = b.c.Shelf.Put(ctx, key, v)
	}
	if err != nil && ctx.Err() == nil {
		b.c.Log.Warn("what was published is not taken down", "key", key, "err", err)
	}
}

// undo deletes this gateway's superseded translations where they were
// published.
func (b *Bridge) undo(ctx context.Context) error {
	if b.c.Shelf == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	for {
		keys, err := b.c.Shelf.Keys(ctx, saidKey)
		if err != nil {
			return err
		}
		for _, key := range keys {
			if err := b.review(ctx, key); err != nil {
				return err
			}
		}
		if err := pause(ctx, undoEvery); err != nil {
			return err
		}
	}
}

// review looks at one translation.
func (b *Bridge) review(ctx context.Context, key string) error {
	id, err := mesh.ParseEventID(strings.TrimPrefix(key, saidKey))
	if err != nil {
		return b.c.Shelf.Delete(ctx, key)
	}
	v, err := b.c.Shelf.Value(ctx, key)
	if errors.Is(err, mesh.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	var s saying
	if json.Unmarshal(v, &s) != nil || b.c.Clock().Sub(s.At.Time()) > undoFor {
		return b.c.Shelf.Delete(ctx, key)
	}
	_, err = b.c.Archive.Record(ctx, id, mesh.Self)
	var gone *mesh.GoneError
	if !errors.As(err, &gone) || gone.Reason != mesh.ReasonSuperseded {
		return nil
	}
	return b.retract(ctx, key, id, s)
}

// retract deletes a translation at each relay that has it (NIP-09).
func (b *Bridge) retract(ctx context.Context, key string, id mesh.EventID, s saying) error {
	no, err := b.c.Signer.Sign(mesh.Draft{
		CreatedAt: max(mesh.UnixOf(b.c.Clock()), s.Created), Kind: mesh.KindDeletion,
		Tags:    [][]string{{"e", id.String()}, {"k", "1"}},
		Content: "another gateway's translation stands for this one",
	})
	if err != nil {
		return err
	}
	var left []string
	for _, relay := range s.Relays {
		err := b.c.Relays.Publish(ctx, relay, no)
		var refusal *pool.Refusal
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			b.c.Node.Note(id, relay, "deleted there: it is superseded")
		case errors.As(err, &refusal):
			if _, again := refusal.Retry(); again {
				left = append(left, relay)
				break
			}
			b.c.Log.Info("relay does not delete a superseded translation", "relay", relay, "event", id, "err", err)
		case errors.Is(err, pool.ErrDown):
			left = append(left, relay)
		}
	}
	if len(left) == 0 {
		return b.c.Shelf.Delete(ctx, key)
	}
	b.sayings.Lock()
	defer b.sayings.Unlock()
	s.Relays = left
	b.put(ctx, key, s)
	return nil
}
