package mail

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"drey/mesh"
)

const (
	// gather is how long the first receipt waits for others.
	gather = 300 * time.Millisecond
	// maxOwed bounds receipts and takings that wait.
	maxOwed = 1024
	// maxTaken is how many wraps one event of kind 3744 names.
	maxTaken = 50
	// takenFor is how long others remember it: longer than any relay's queue.
	takenFor = 9 * 24 * time.Hour
)

// A desk holds what is to be answered.
type desk struct {
	kick chan struct{} // holds one
	mu   struct {
		sync.Mutex
		receipts []owed
		wraps    []Copy
		dropped  uint64
	}
}

// owed is one receipt that waits.
type owed struct {
	to      mesh.PubKey
	message mesh.EventID
	letter  bool // it came by letter: so does the receipt
}

func (d *desk) receipt(to mesh.PubKey, message mesh.EventID, letter bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.mu.receipts) >= maxOwed {
		d.mu.dropped++
		return
	}
	d.mu.receipts = append(d.mu.receipts, owed{to, message, letter})
	nudge(d.kick)
}

// taken says that a reader has a wrap.
func (d *desk) taken(wrap Copy) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.mu.wraps) >= maxOwed {
		d.mu.dropped++
		return
	}
	d.mu.wraps = append(d.mu.wraps, wrap)
	nudge(d.kick)
}

// clear hands over all that waits.
func (d *desk) clear() (receipts []owed, wraps []Copy) {
	d.mu.Lock()
	defer d.mu.Unlock()
	receipts, wraps = d.mu.receipts, d.mu.wraps
	d.mu.receipts, d.mu.wraps = nil, nil
	return receipts, wraps
}

// answer writes receipts, and tells nodes that hold mail what was taken.
func (m *Mail) answer(ctx context.Context) error {
	for {
		select {
		case <-m.desk.kick:
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case <-time.After(gather):
		case <-ctx.Done():
			return ctx.Err()
		}
		receipts, wraps := m.desk.clear()
		if err := m.patiently(ctx, func() error { return m.tellTaken(ctx, wraps) }); err != nil {
			return err
		}
		if err := m.patiently(ctx, func() error { return m.tellReceipts(ctx, receipts) }); err != nil {
			return err
		}
	}
}

// tellTaken says which wraps their readers have, to those who could see them
// anyway: this node, and phones whose receipts came here. The latter also tells
// them that this node wrote the wrap.
func (m *Mail) tellTaken(ctx context.Context, wraps []Copy) error {
	if m.cfg.Roster.Community().Open {
		return nil // where no wrap travels
	}
	var order []mesh.PubKey
	by := make(map[mesh.PubKey][]mesh.EventID)
	for _, c := range wraps {
		if by[c.To] == nil {
			order = append(order, c.To)
		}
		by[c.To] = append(by[c.To], c.ID)
	}
	for _, reader := range order {
		for ids := range slices.Chunk(by[reader], maxTaken) {
			d := mesh.Draft{Kind: mesh.KindTaken}
			for _, id := range ids {
				d.Tags = append(d.Tags, []string{"e", id.String()})
			}
			if reader != m.self {
				d.Tags = append(d.Tags, []string{"p", reader.String()})
			}
			d.Tags = append(d.Tags, []string{"expiration", strconv.FormatInt(m.cfg.Stamp().Add(takenFor).Unix(), 10)})
			if _, err := m.cfg.Node.Publish(ctx, mesh.TopicMail, d); err != nil {
				if !outcome(err) {
					return err
				}
				m.log.Debug("taken mail not told", "err", err)
			}
		}
	}
	return nil
}

// outcome reports whether an error is the hub's answer about one event, rather
// than that the store or this node ends.
func outcome(err error) bool {
	for _, e := range []error{mesh.ErrDuplicate, mesh.ErrExpired, mesh.ErrRefused, mesh.ErrUnknownAuthor, mesh.ErrBusy, mesh.ErrInvalid} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// receiptDraft says that messages of one author have been opened: kind 3743 with
// the tags ["p", author] and ["e", message] for each.
func receiptDraft(author mesh.PubKey, messages []mesh.EventID, now time.Time) mesh.Draft {
	d := mesh.Draft{CreatedAt: mesh.UnixOf(now), Kind: mesh.KindReceipt, Tags: [][]string{{"p", author.String()}}}
	for _, id := range messages {
		d.Tags = append(d.Tags, []string{"e", id.String()})
	}
	return d
}

// tellReceipts writes one receipt to each author. Strangers get none: it would
// tell them that this node is there, and reads.
func (m *Mail) tellReceipts(ctx context.Context, all []owed) error {
	type to struct {
		author mesh.PubKey
		letter bool
	}
	by := make(map[to][]mesh.EventID)
	var order []to
	for _, o := range all {
		if m.cfg.Roster.Standing(o.to, m.cfg.Clock()) < mesh.Guest {
			m.tally.Add(whyWriter)
			continue
		}
		k := to{o.to, o.letter && m.cfg.Machine(o.to)}
		if by[k] == nil {
			order = append(order, k)
		}
		by[k] = append(by[k], o.message)
	}
	for _, k := range order {
		for ids := by[k]; len(ids) > 0; {
			n := min(len(ids), maxReceipts)
			if err := m.tellReceipt(ctx, k.author, ids[:n], k.letter); err != nil {
				return err
			}
			ids = ids[n:]
		}
	}
	return nil
}

func (m *Mail) tellReceipt(ctx context.Context, author mesh.PubKey, ids []mesh.EventID, letter bool) error {
	now := m.cfg.Stamp()
	r, err := mesh.NewRumor(m.self, receiptDraft(author, ids, now))
	if err != nil {
		return err
	}
	forms := []func() (*mesh.Event, error){func() (*mesh.Event, error) { return Wrap(m.cfg.Key, r, author, now) }}
	if letter {
		forms = append(forms, func() (*mesh.Event, error) { return m.letter(r, author) })
	}
	for _, form := range forms {
		e, err := form()
		if err == nil {
			err = m.cfg.Node.Accept(ctx, e, mesh.Origin{Peer: "self", Topic: mesh.TopicMail, Durable: true})
		}
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			m.log.Debug("receipt not sent", "err", err)
		}
	}
	return nil
}

// letter writes a message for the air.
func (m *Mail) letter(r *mesh.Rumor, to mesh.PubKey) (*mesh.Event, error) {
	random := random32()
	return writeLetter(m.cfg.Key, r, to, m.cfg.Text, m.cfg.Stamp(), [letterNonce]byte(random[:]))
}
