package mail

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"drey/mesh"
)

const (
	// markKey is where the shelf has the last record of mail that was looked at.
	markKey = "mark"
	// markEvery is how often that is written where nothing of it was for us.
	markEvery = 256
	// What the store does not take is tried again after this, doubling.
	patienceLeast = time.Second
	patienceMost  = time.Minute
)

// Run takes in what comes, answers it, and writes letters for what nobody has
// acknowledged, until ctx ends or the store fails.
func (m *Mail) Run(ctx context.Context) error {
	if err := m.book.load(ctx); err != nil {
		return err
	}
	if err := m.loadChase(ctx); err != nil {
		return err
	}
	newest := m.book.newest(mendMost) // before anybody writes another
	close(m.ready)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return m.mend(ctx, newest) })
	g.Go(func() error { return m.follow(ctx) })
	g.Go(func() error { return m.answer(ctx) })
	g.Go(func() error { return m.pursue(ctx) })
	g.Go(func() error { return m.publishInbox(ctx) })
	err := g.Wait()
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// wait returns when the book was read.
func (m *Mail) wait(ctx context.Context) error {
	select {
	case <-m.ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// follow looks at all mail that this machine holds, from the first, as the box
// counts all of it; what was opened before a restart is not opened again.
func (m *Mail) follow(ctx context.Context) error {
	mark, err := m.mark(ctx)
	if err != nil {
		return err
	}
	f := mesh.Filter{Topics: []mesh.Topic{mesh.TopicMail}, Kinds: []mesh.Kind{mesh.KindGiftWrap, mesh.KindLetter}}
	unwritten := 0
	for r, err := range m.cfg.Node.Watch(ctx, f, mesh.Self) {
		if err != nil {
			return err
		}
		ours := false
		if r.Event.Kind() == mesh.KindGiftWrap {
			if err := m.hold(ctx, r); err != nil {
				return err
			}
		}
		if r.Seq > mark {
			err := m.patiently(ctx, func() (err error) { ours, err = m.arrive(ctx, r); return err })
			if err != nil {
				return err
			}
			mark = r.Seq
			if unwritten++; ours || unwritten >= markEvery {
				if err := m.patiently(ctx, func() error { return m.putMark(ctx, mark) }); err != nil {
					return err
				}
				unwritten = 0
			}
		}
	}
	return ctx.Err()
}

// patiently does what needs the disk until it was done or ctx ends: a disk that
// is full has room again some day, and the node lives on meanwhile.
func (m *Mail) patiently(ctx context.Context, do func() error) error {
	for pause := patienceLeast; ; pause = min(2*pause, patienceMost) {
		err := do()
		if err == nil || ctx.Err() != nil {
			return err
		}
		m.log.Warn("mail waits for the store", "err", err, "retryIn", pause)
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
	}
}

func (m *Mail) mark(ctx context.Context) (uint64, error) {
	b, err := m.cfg.Shelf.Value(ctx, markKey)
	if errors.Is(err, mesh.ErrNotFound) {
		return 0, nil
	}
	if err != nil || len(b) != 8 {
		return 0, err
	}
	return binary.BigEndian.Uint64(b), nil
}

func (m *Mail) putMark(ctx context.Context, seq uint64) error {
	return m.cfg.Shelf.Put(ctx, markKey, binary.BigEndian.AppendUint64(nil, seq))
}

// hold counts a wrap for the box and lets go of what there is no room for.
func (m *Mail) hold(ctx context.Context, r *mesh.Record) error {
	for _, k := range m.box.add(r) {
		err := m.patiently(ctx, func() error { return m.cfg.Node.Bury(ctx, k.id, k.created, mesh.ReasonPruned) })
		if err != nil {
			return err
		}
		m.log.Info("mail dropped, as there is too much of it", "event", k.id)
	}
	return nil
}

// arrive opens what is for this node and tells whether it was. Only a store that
// fails is an error.
func (m *Mail) arrive(ctx context.Context, r *mesh.Record) (ours bool, err error) {
	if r.Event.Author() == m.self {
		return false, nil // a letter of our own
	}
	if r.Event.Kind() == mesh.KindLetter {
		return m.arriveLetter(ctx, r)
	}
	if !slices.Contains(r.Event.TagValues("p"), m.self.String()) {
		return false, nil
	}
	rumor, err := Unwrap(m.cfg.Key, r.Event)
	if err != nil {
		why := whyForged
		if errors.Is(err, ErrNotForUs) {
			why = whyOther
		}
		m.tally.Add(why)
		m.log.Debug("message not opened", "event", r.Event.ID(), "err", err)
		return false, nil
	}
	if rumor.Author() != m.self {
		m.desk.taken(Copy{r.Event.ID(), m.self})
	}
	return true, m.take(ctx, rumor, r)
}

func (m *Mail) arriveLetter(ctx context.Context, r *mesh.Record) (ours bool, err error) {
	author := r.Event.Author()
	c, err := m.keys.with(author)
	if err != nil {
		return false, nil
	}
	l, err := openLetter(r.Event, c, m.self, m.cfg.Text)
	if errors.Is(err, ErrNotForUs) {
		return false, nil
	}
	if err != nil {
		m.tally.Add(whyForm)
		m.log.Debug("letter not read", "event", r.Event.ID(), "err", err)
		return true, nil
	}
	if l.rumor != nil {
		return true, m.take(ctx, l.rumor, r)
	}
	for _, s := range l.receipts {
		ids := m.book.beginning(func(id mesh.EventID) bool { return shortOf(id) == s })
		for _, id := range ids {
			if err := m.acked(ctx, id, author, r.Received); err != nil {
				return true, err
			}
		}
	}
	return true, nil
}

// take keeps a message that a record brought. Its author is proved.
func (m *Mail) take(ctx context.Context, rumor *mesh.Rumor, r *mesh.Record) error {
	if rumor.Kind() == mesh.KindReceipt {
		return m.takeReceipt(ctx, rumor, r.Received)
	}
	msg := &Message{Rumor: rumor, Out: rumor.Author() == m.self, Received: r.Received, Via: r.Carrier, whole: true}
	if rumor.Kind() == mesh.KindBundle {
		p, err := parsePart(rumor)
		if err != nil {
			m.tally.Add(whyForm)
			return nil
		}
		if msg.whole, err = m.collect(ctx, rumor, p); err != nil {
			return err
		}
	}
	err := m.book.add(ctx, msg)
	if err != nil && !errors.Is(err, mesh.ErrDuplicate) {
		return err
	}
	letter := r.Event.Kind() == mesh.KindLetter
	if msg.Out || err != nil && !letter {
		return nil
	}
	// A letter that brings what is known says that no receipt has come yet.
	m.desk.receipt(rumor.Author(), rumor.ID(), letter)
	return nil
}

// takeReceipt notes who has opened what was written here.
func (m *Mail) takeReceipt(ctx context.Context, rumor *mesh.Rumor, at time.Time) error {
	for _, v := range rumor.TagValues("e") {
		id, err := mesh.ParseEventID(v)
		if err != nil {
			continue
		}
		if err := m.acked(ctx, id, rumor.Author(), at); err != nil {
			return err
		}
	}
	return nil
}

// acked notes that a reader has opened a message. Only readers count. What
// follows from it is done first: who waits for the message finds the history
// told and no letter due, and a power cut between loses neither, as the receipt
// is read again.
func (m *Mail) acked(ctx context.Context, id mesh.EventID, by mesh.PubKey, at time.Time) error {
	_, msg, err := m.book.read(ctx, id)
	if errors.Is(err, mesh.ErrNotFound) {
		return nil
	}
	if err != nil || !msg.Out || msg.AckedBy(by) || !slices.Contains(msg.Readers(), by) {
		return err
	}
	ack := Ack{by, at}
	if err := m.tellAcked(ctx, msg, ack); err != nil {
		return err
	}
	if msg.Acks = append(msg.Acks, ack); msg.Acknowledged() {
		if err := m.endChase(ctx, id); err != nil {
			return err
		}
	}
	_, err = m.book.change(ctx, id, func(msg *Message) bool {
		msg.Acks = append(msg.Acks, ack)
		return true
	})
	if errors.Is(err, mesh.ErrNotFound) {
		return nil // it was the oldest of a full book, and is gone
	}
	if err != nil {
		return err
	}
	for _, c := range msg.Wraps {
		if c.To == by && !m.cfg.Machine(by) && !m.Outsider(by) {
			m.desk.taken(c) // a phone does not tell the gateways
		}
	}
	return nil
}

// tellAcked adds a reader's line to the history of what was sent to that reader,
// where an earlier attempt did not.
func (m *Mail) tellAcked(ctx context.Context, msg *Message, a Ack) error {
	step := mesh.Step{At: a.At, State: "acknowledged by " + m.cfg.Name(a.By)}
	for _, c := range slices.Concat(msg.Wraps, msg.Letters) {
		if c.To != a.By {
			continue
		}
		told, err := m.cfg.Node.History(ctx, c.ID)
		if err == nil && !slices.ContainsFunc(told, func(s mesh.Step) bool { return s.State == step.State }) {
			err = m.cfg.Node.Note(ctx, c.ID, step)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			m.log.Debug("history line not kept", "event", c.ID, "err", err)
		}
	}
	return nil
}
