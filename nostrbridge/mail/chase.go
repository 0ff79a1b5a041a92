package mail

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"drey/mesh"
)

// letterAfter is when letters are written for a message that nobody has
// acknowledged, counted from the one before: the first gives gossip the time for
// a receipt, the last ones reach a machine that was switched off.
var letterAfter = [...]time.Duration{
	5 * time.Second, 2 * time.Minute, 10 * time.Minute, time.Hour, 4 * time.Hour, 12 * time.Hour,
}

// maxChased bounds the messages for which letters are written. Of others there
// are wraps all the same.
const maxChased = 1000

// A chase is about the messages that machines have not acknowledged. The shelf
// has them under p/ID: the number of letters so far, and when the next is due in
// Unix seconds.
type chase struct {
	kick chan struct{} // holds one
	mu   struct {
		sync.Mutex
		by map[mesh.EventID]hunt
	}
}

type hunt struct {
	tries int
	next  time.Time
}

func chaseKey(id mesh.EventID) string { return "p/" + id.String() }

func (m *Mail) loadChase(ctx context.Context) error {
	keys, err := m.cfg.Shelf.Keys(ctx, "p/")
	if err != nil {
		return err
	}
	m.chase.mu.Lock()
	m.chase.mu.by = make(map[mesh.EventID]hunt)
	m.chase.mu.Unlock()
	for _, k := range keys {
		id, err := mesh.ParseEventID(strings.TrimPrefix(k, "p/"))
		if err != nil {
			continue
		}
		b, err := m.cfg.Shelf.Value(ctx, k)
		if err != nil || len(b) != 9 {
			continue
		}
		m.chase.mu.Lock()
		m.chase.mu.by[id] = hunt{int(b[0]), time.Unix(int64(binary.BigEndian.Uint64(b[1:])), 0)}
		m.chase.mu.Unlock()
	}
	return nil
}

// beginChase lets letters follow a message if a machine is among its readers.
func (m *Mail) beginChase(ctx context.Context, msg *Message) error {
	if !slices.ContainsFunc(msg.Wraps, func(c Copy) bool { return m.cfg.Machine(c.To) }) {
		return nil
	}
	h := hunt{next: m.cfg.Clock().Add(letterAfter[0])}
	if m.cfg.Alone() {
		h.next = m.cfg.Clock()
	}
	return m.hunt(ctx, msg.ID(), h)
}

func (m *Mail) hunt(ctx context.Context, id mesh.EventID, h hunt) error {
	m.chase.mu.Lock()
	if _, known := m.chase.mu.by[id]; !known && len(m.chase.mu.by) >= maxChased {
		m.chase.mu.Unlock()
		m.tally.Add(whyMost)
		return nil
	}
	m.chase.mu.by[id] = h
	m.chase.mu.Unlock()
	nudge(m.chase.kick)
	return m.cfg.Shelf.Put(ctx, chaseKey(id), binary.BigEndian.AppendUint64([]byte{byte(h.tries)}, uint64(h.next.Unix())))
}

func (m *Mail) endChase(ctx context.Context, id mesh.EventID) error {
	m.chase.mu.Lock()
	_, was := m.chase.mu.by[id]
	delete(m.chase.mu.by, id)
	m.chase.mu.Unlock()
	if !was {
		return nil
	}
	return m.cfg.Shelf.Delete(ctx, chaseKey(id))
}

// pursue writes letters when they are due.
func (m *Mail) pursue(ctx context.Context) error {
	for {
		due, next := m.due(m.cfg.Clock())
		for _, id := range due {
			if err := m.patiently(ctx, func() error { return m.pursueOne(ctx, id) }); err != nil {
				return err
			}
		}
		if len(due) > 0 {
			continue
		}
		if err := m.chase.wait(ctx, next.Sub(m.cfg.Clock()), !next.IsZero()); err != nil {
			return err
		}
	}
}

// wait waits for news, and with timed at most for d.
func (c *chase) wait(ctx context.Context, d time.Duration, timed bool) error {
	var timeout <-chan time.Time
	if timed {
		timer := time.NewTimer(d)
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-c.kick:
	case <-timeout:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// due lists the messages whose letters are due, and when the next one is.
func (m *Mail) due(now time.Time) (ids []mesh.EventID, next time.Time) {
	m.chase.mu.Lock()
	defer m.chase.mu.Unlock()
	for id, h := range m.chase.mu.by {
		switch {
		case !h.next.After(now):
			ids = append(ids, id)
		case next.IsZero() || h.next.Before(next):
			next = h.next
		}
	}
	return ids, next
}

// pursueOne writes a letter to each machine that has not acknowledged a message.
func (m *Mail) pursueOne(ctx context.Context, id mesh.EventID) error {
	m.chase.mu.Lock()
	h := m.chase.mu.by[id]
	m.chase.mu.Unlock()
	_, msg, err := m.book.read(ctx, id)
	if errors.Is(err, mesh.ErrNotFound) {
		return m.endChase(ctx, id)
	}
	if err != nil {
		return err
	}
	var sent []Copy
	for _, c := range msg.Wraps {
		if msg.AckedBy(c.To) || !m.cfg.Machine(c.To) {
			continue
		}
		e, err := m.letter(msg.Rumor, c.To)
		if errors.Is(err, ErrTooLong) {
			m.remark(ctx, c.ID, err.Error()+" for the radio")
			continue
		}
		if err == nil {
			err = m.post(ctx, e)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			m.log.Debug("letter not sent", "err", err)
			continue
		}
		sent = append(sent, Copy{e.ID(), c.To})
	}
	if len(sent) == 0 {
		return m.endChase(ctx, id)
	}
	// These letters are written: while the disk takes no more, no others are.
	err = m.patiently(ctx, func() error {
		_, err := m.book.change(ctx, id, func(msg *Message) bool {
			msg.Letters = append(msg.Letters, sent...)
			return true
		})
		if errors.Is(err, mesh.ErrNotFound) {
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	if h.tries++; h.tries >= len(letterAfter) {
		return m.endChase(ctx, id)
	}
	h.next = m.cfg.Clock().Add(letterAfter[h.tries])
	return m.patiently(ctx, func() error { return m.hunt(ctx, id, h) })
}

// post hands a letter to the node, and waits where the disk does not take it. An
// error is the node's answer about the letter, or ctx's.
func (m *Mail) post(ctx context.Context, e *mesh.Event) (answer error) {
	err := m.patiently(ctx, func() error {
		answer = m.cfg.Node.Accept(ctx, e, mesh.Origin{Peer: "self", Topic: mesh.TopicMail, Durable: true})
		if answer != nil && !outcome(answer) {
			return answer
		}
		return nil
	})
	return cmp.Or(answer, err)
}

// remark adds a line to the history of a wrap.
func (m *Mail) remark(ctx context.Context, id mesh.EventID, state string) {
	if err := m.cfg.Node.Note(ctx, id, mesh.Step{At: m.cfg.Clock(), State: state}); err != nil {
		m.log.Debug("history line not kept", "event", id, "err", fmt.Errorf("note: %w", err))
	}
}
