package pool

import (
	"context"
	"errors"
	"time"

	"drey/mesh"
)

// A listening is the live part of reading one connection.
type listening struct {
	*following
	c       *conn
	s       *sub
	changed <-chan struct{}
	mark    *watermark    // nil until all that is stored was taken
	early   []*mesh.Event // what came before the relay had said what it holds
	missed  bool          // something that came was not taken
}

// run hands on what comes in, and moves the watermark once everything older
// was taken.
func (l *listening) run(ctx context.Context, caught <-chan watermark) error {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	stored := l.s.stored
	for {
		select {
		case m := <-caught:
			// The newest of what is stored, which opened the subscription, would
			// otherwise come before all that is older.
			if err := l.hand(ctx, l.early); err != nil {
				return err
			}
			l.mark, l.early = &m, nil
			if err := l.save(ctx, l.c.r.url, m); err != nil {
				return err
			}
		case e := <-l.s.events:
			events := l.s.drain(e)
			if stored != nil && l.mark == nil {
				l.wait(events)
				continue
			}
			if err := l.hand(ctx, events); err != nil {
				return err
			}
		case <-stored:
			stored = nil
			if l.mark == nil {
				l.wait(l.s.drain())
			}
		case <-tick.C:
			// What came before now is taken; what the relay had sent and this
			// machine had not read stays within the late events' margin.
			if l.mark != nil && len(l.s.events) == 0 {
				l.mark.At = l.p.c.Clock()
				if err := l.save(ctx, l.c.r.url, *l.mark); err != nil {
					return err
				}
			}
		case <-l.changed:
			return errAsk
		case <-l.s.full:
			l.missed = true
			return errBehind
		case <-l.s.closed:
			if err := l.hand(ctx, l.s.drain()); err != nil {
				return err
			}
			return l.s.refusal()
		case <-l.c.ctx.Done():
			return errors.Join(l.c.lost(), l.hand(ctx, l.s.drain()))
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// wait puts events aside until what is older was taken. Those beyond the bound
// are left to whoever asks for what is stored.
func (l *listening) wait(events []*mesh.Event) {
	l.early = append(l.early, events[:min(len(events), earlyMost-len(l.early))]...)
}

// hand gives live events to the feed.
func (l *listening) hand(ctx context.Context, events []*mesh.Event) error {
	l.c.r.count(func(t *tally) { t.got += uint64(len(events)) })
	err := l.following.hand(ctx, l.c, events)
	l.missed = l.missed || err != nil
	return err
}
