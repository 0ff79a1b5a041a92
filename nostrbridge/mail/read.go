package mail

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"drey/mesh"
)

// Message returns one message that was written or opened here; mesh.ErrNotFound
// for others.
func (m *Mail) Message(ctx context.Context, id mesh.EventID) (*Message, error) {
	if err := m.wait(ctx); err != nil {
		return nil, err
	}
	_, msg, err := m.book.read(ctx, id)
	return msg, err
}

// Beginning lists the messages that match, the newest first.
func (m *Mail) Beginning(ctx context.Context, match func(mesh.EventID) bool) ([]mesh.EventID, error) {
	if err := m.wait(ctx); err != nil {
		return nil, err
	}
	return m.book.beginning(match), nil
}

// Messages yields what was written and opened here after a message's Seq, in the
// order in which it came. A bundle stands where its last part came.
func (m *Mail) Messages(ctx context.Context, after uint64) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		if err := m.wait(ctx); err != nil {
			yield(nil, err)
			return
		}
		for msg, err := range m.book.messages(ctx, after) {
			if err == nil && !msg.whole {
				continue
			}
			if err == nil && msg.Rumor.Kind() == mesh.KindBundle {
				msg, err = m.bundleOf(ctx, msg)
				if errors.Is(err, mesh.ErrNotFound) {
					continue
				}
			}
			if !yield(msg, err) || err != nil {
				return
			}
		}
	}
}

// bundleOf returns the message that names a bundle, at the place of its last part.
func (m *Mail) bundleOf(ctx context.Context, last *Message) (*Message, error) {
	first, err := m.first(ctx, last)
	if err != nil {
		return nil, err
	}
	whole := *first
	whole.Seq, whole.Received = last.Seq, last.Received
	return &whole, nil
}

// Watch yields what Messages does, and then what comes, until ctx ends or the
// caller stops.
func (m *Mail) Watch(ctx context.Context, after uint64) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		for {
			changed := m.book.changes()
			for msg, err := range m.Messages(ctx, after) {
				if err == nil {
					after = msg.Seq
				}
				if !yield(msg, err) || err != nil {
					return
				}
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}
}

// Wait returns a message when all its readers have opened it, or ctx's error
// with the message as it is then.
func (m *Mail) Wait(ctx context.Context, id mesh.EventID) (*Message, error) {
	for {
		changed := m.book.changes()
		msg, err := m.Message(context.WithoutCancel(ctx), id)
		if err != nil {
			return nil, err
		}
		done, err := m.opened(ctx, msg)
		if err != nil || done {
			return msg, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return msg, ctx.Err()
		}
	}
}

// opened reports whether a message, with all parts of its bundle, has been
// acknowledged.
func (m *Mail) opened(ctx context.Context, msg *Message) (bool, error) {
	if msg.Rumor.Kind() != mesh.KindBundle {
		return msg.Acknowledged(), nil
	}
	p, err := parsePart(msg.Rumor)
	if err != nil {
		return false, err
	}
	for i := range p.parts {
		part := msg
		if p.parts > 1 && i != p.part {
			if part, err = m.partOf(ctx, msg.Rumor.Author(), p, i); err != nil {
				return false, err
			}
		}
		if !part.Acknowledged() {
			return false, nil
		}
	}
	return true, nil
}

// History tells what became of a message: of its wraps and letters, under the
// names of those to whom they go, and who has opened it.
func (m *Mail) History(ctx context.Context, msg *Message) ([]mesh.Step, error) {
	var steps []mesh.Step
	for i, c := range slices.Concat(msg.Wraps, msg.Letters) {
		letter := i >= len(msg.Wraps)
		lines, err := m.cfg.Node.History(ctx, c.ID)
		var gone *mesh.GoneError
		if errors.Is(err, mesh.ErrNotFound) || errors.As(err, &gone) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, s := range lines {
			s.Target = m.cfg.Name(c.To) + target(s.Target)
			if letter && s.Carrier == "" && s.State == "saved" {
				s.State = "no receipt yet: a letter is written"
			}
			steps = append(steps, s)
		}
	}
	if len(msg.Wraps) == 0 {
		at := mesh.Step{At: msg.Received, Carrier: msg.Via, State: "opened here"}
		if msg.Out {
			at.State = "saved"
		}
		steps = append(steps, at)
	}
	slices.SortStableFunc(steps, func(a, b mesh.Step) int { return a.At.Compare(b.At) })
	return slices.CompactFunc(steps, func(a, b mesh.Step) bool {
		return a.State == b.State && a.Target == b.Target && a.Carrier == b.Carrier && a.At.Sub(b.At).Abs() < time.Second
	}), nil
}

func target(s string) string {
	if s == "" {
		return ""
	}
	return " " + s
}

// Stats are sizes, for metrics.
type Stats struct {
	Messages, Bytes int               // in the book
	Dropped         uint64            // messages there was no room for in the book
	Kept            int               // wraps in the box, of all readers
	KeptBytes       int64             // of them
	KeptDropped     uint64            // wraps there was no room for
	Chased          int               // messages for which letters are written
	Unanswered      uint64            // receipts there was no room for
	Refused         map[string]uint64 // what was addressed here and not taken, by reason
}

// Stats returns the sizes now.
func (m *Mail) Stats() Stats {
	var s Stats
	s.Messages, s.Bytes, s.Dropped = m.book.stats()
	s.Refused = m.refused()
	m.box.mu.Lock()
	s.Kept, s.KeptBytes, s.KeptDropped = m.box.mu.wraps, m.box.mu.bytes, m.box.mu.dropped
	m.box.mu.Unlock()
	m.chase.mu.Lock()
	s.Chased = len(m.chase.mu.by)
	m.chase.mu.Unlock()
	m.desk.mu.Lock()
	s.Unanswered = m.desk.mu.dropped
	m.desk.mu.Unlock()
	return s
}
