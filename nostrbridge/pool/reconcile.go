package pool

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"drey/mesh"
	"drey/mesh/negentropy"
)

const (
	nipSync    = 77
	syncItems  = 50_000   // of one reconciliation, on either side; relays allow no more
	syncFrame  = 24 << 10 // bytes of one message, before hex; relays take 64 kB
	syncRounds = 64
	syncSample = 20 // events by which it is checked
	syncReply  = 15 * time.Second
)

var (
	// errNoSync reports a relay whose reconciliation is not to be trusted. Errors
	// that say more wrap it.
	errNoSync = errors.New("reconciliation is of no use here")
	// errBig reports a range with too many events to reconcile: no fault.
	errBig = errors.New("too many events to reconcile")
)

func noSync(format string, args ...any) error {
	return fmt.Errorf("%w: %w", errNoSync, fmt.Errorf(format, args...))
}

// reconciles reports whether a relay offers NIP-77 and has not lied about it.
func (g *following) reconciles(ctx context.Context, c *conn) bool {
	if g.p.c.Archive == nil || g.feed.Whole {
		return false
	}
	select {
	case <-c.learnt:
	case <-c.ctx.Done():
		return false
	case <-ctx.Done():
		return false
	}
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	return !c.r.mu.liar && slices.Contains(c.r.mu.info.NIPs, nipSync)
}

// distrust has a relay be asked by filters only from now on.
func (r *relay) distrust(why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.liar = true
	r.p.c.Log.Debug("relay is asked by filters only", "relay", r.url, "err", why)
}

// reconcile finds what the relay holds and this node never had, by comparing
// sums (NIP-77), and hands it on, oldest first.
func (g *following) reconcile(ctx context.Context, c *conn, f mesh.Filter, since int64, until time.Time) error {
	f.Since = max(f.Since, mesh.UnixOf(time.Unix(since, 0)))
	if f.Until == 0 {
		f.Until = mesh.UnixOf(until)
	}
	set := &negentropy.Set{}
	for r, err := range g.p.c.Archive.Records(ctx, f, mesh.Self) {
		if err != nil {
			return err
		}
		if g.feed.Told != nil && !g.feed.Told(c.r.url, r) {
			continue
		}
		if set.Len() == syncItems {
			return errBig
		}
		set.Add(mesh.Item{CreatedAt: r.Event.CreatedAt(), ID: r.Event.ID()})
	}
	set.Seal()
	claimed, err := c.compare(ctx, f, set)
	if err != nil {
		return err
	}
	if err := g.sample(ctx, c, f, claimed); err != nil {
		return err
	}
	need, err := g.unknown(ctx, claimed)
	if err != nil || len(need) == 0 {
		return err
	}
	brought := 0
	for ids := range slices.Chunk(need, pageEvents) {
		err := c.pages(ctx, mesh.Filter{IDs: ids}, func(events []*mesh.Event) error {
			events = slices.DeleteFunc(events, func(e *mesh.Event) bool { return !chosen([]mesh.Filter{f}, e) })
			brought += len(events)
			slices.Reverse(events)
			return g.hand(ctx, c, events)
		})
		if err != nil {
			return err
		}
	}
	if 2*brought < len(need) {
		return noSync("of %d events that the relay says it holds it brought %d", len(need), brought)
	}
	return nil
}

// sample asks for a few events by a filter, and sees whether the relay told of
// those that this node lacks.
func (g *following) sample(ctx context.Context, c *conn, f mesh.Filter, claimed []mesh.EventID) error {
	f.Limit = syncSample
	var shown []mesh.EventID
	err := c.pages(ctx, f, func(events []*mesh.Event) error {
		for _, e := range events {
			shown = append(shown, e.ID())
		}
		return nil
	})
	if err != nil {
		return err
	}
	if shown, err = g.unknown(ctx, shown); err != nil {
		return err
	}
	for _, id := range shown {
		if !slices.Contains(claimed, id) {
			return noSync("the relay did not tell of an event that it shows")
		}
	}
	return nil
}

// unknown leaves out the ids of what this node has, or had.
func (g *following) unknown(ctx context.Context, ids []mesh.EventID) ([]mesh.EventID, error) {
	var left []mesh.EventID
	for _, id := range ids {
		_, err := g.p.c.Archive.Record(ctx, id, mesh.Self)
		switch {
		case errors.Is(err, mesh.ErrNotFound):
			left = append(left, id)
		case err == nil:
		default:
			if _, gone := errors.AsType[*mesh.GoneError](err); !gone {
				return nil, err
			}
		}
	}
	return left, nil
}

// compare returns the ids that the relay says it holds and the set lacks.
func (c *conn) compare(ctx context.Context, f mesh.Filter, set *negentropy.Set) ([]mesh.EventID, error) {
	f.Limit = 0
	asker, question := negentropy.Ask(set, syncFrame, syncItems)
	s, err := c.subscribe(ctx, nil, false, "NEG-CLOSE", func(name string) []byte {
		b := fmt.Appendf(nil, `["NEG-OPEN",%s,`, strconv.Quote(name))
		b = appendFilter(b, &f)
		return fmt.Appendf(b, `,"%x"]`, question)
	})
	if err != nil {
		return nil, err
	}
	defer s.end()
	for range syncRounds {
		m, err := s.answer(ctx)
		if err != nil {
			return nil, err
		}
		answer, err := hex.DecodeString(m.text)
		if err != nil {
			return nil, noSync("an answer that is not hexadecimal")
		}
		if question, err = asker.Next(answer); err != nil {
			return nil, noSync("%w", err)
		}
		if question == nil {
			return asker.Need, nil
		}
		if err := c.send(ctx, fmt.Appendf(nil, `["NEG-MSG",%s,"%x"]`, strconv.Quote(s.name), question)); err != nil {
			return nil, err
		}
	}
	return nil, noSync("no end after %d rounds", syncRounds)
}

// answer awaits the next message of a reconciliation.
func (s *sub) answer(ctx context.Context) (message, error) {
	t := time.NewTimer(syncReply)
	defer t.Stop()
	select {
	case m := <-s.reply:
		if m.verb == "NEG-ERR" {
			if no := parseRefusal(m.text); no.Prefix == "blocked" {
				return m, errBig // NIP-77: the query is too big
			}
			return m, noSync("the relay says %q", clip(m.text))
		}
		return m, nil
	case <-s.closed:
		return message{}, noSync("closed: %w", s.refusal())
	case <-t.C:
		return message{}, noSync("no answer in %v", syncReply)
	case <-s.c.ctx.Done():
		return message{}, s.c.lost()
	case <-ctx.Done():
		return message{}, ctx.Err()
	}
}
