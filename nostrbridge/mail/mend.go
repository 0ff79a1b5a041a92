package mail

import (
	"context"
	"errors"
	"time"

	"drey/mesh"
)

// What may have been cut off by the end of the last life: a message is in the
// book before its wraps are in the store.
const (
	mendMost = 1000               // of the newest messages are looked at
	mendFor  = 7 * 24 * time.Hour // of messages: of older ones the store may have forgotten the wraps
)

// mend seals messages again whose wraps never reached the store.
func (m *Mail) mend(ctx context.Context, newest []mesh.EventID) error {
	for _, id := range newest {
		if err := m.patiently(ctx, func() error { return m.mendOne(ctx, id) }); err != nil {
			return err
		}
	}
	return nil
}

func (m *Mail) mendOne(ctx context.Context, id mesh.EventID) error {
	_, msg, err := m.book.read(ctx, id)
	if errors.Is(err, mesh.ErrNotFound) {
		return nil
	}
	if err != nil || !msg.Out || m.cfg.Clock().Sub(msg.Received) > mendFor {
		return err
	}
	anew := make(map[mesh.EventID]*mesh.Event) // by the wrap that is missing
	for _, c := range msg.Wraps {
		_, err := m.cfg.Node.History(ctx, c.ID)
		if !errors.Is(err, mesh.ErrNotFound) || msg.AckedBy(c.To) {
			continue
		}
		if anew[c.ID], err = m.seal(msg.Rumor, c.To, m.cfg.Stamp()); err != nil {
			return err
		}
	}
	if len(anew) == 0 {
		return nil
	}
	m.log.Info("message sealed again, as the last end cut it off", "message", id, "wraps", len(anew))
	msg, err = m.book.change(ctx, id, func(msg *Message) bool {
		for i, c := range msg.Wraps {
			if e := anew[c.ID]; e != nil {
				msg.Wraps[i].ID = e.ID()
			}
		}
		return true
	})
	if err != nil {
		return err
	}
	own, err := Wrap(m.cfg.Key, msg.Rumor, m.self, m.cfg.Stamp())
	if err != nil {
		return err
	}
	taken := 0
	accept := func(e *mesh.Event) error {
		err := m.cfg.Node.Accept(ctx, e, mesh.Origin{Peer: "self", Topic: mesh.TopicMail, Durable: true})
		switch {
		case err == nil:
			taken++
		case errors.Is(err, mesh.ErrBusy), !outcome(err):
			return err // what is missing still is sealed anew
		default:
			m.log.Debug("wrap not taken", "event", e.ID(), "err", err)
		}
		return nil
	}
	for _, e := range anew {
		if err := accept(e); err != nil {
			return err
		}
	}
	if taken == 0 {
		return nil // its readers are banned by now, or have too much today
	}
	if err := accept(own); err != nil { // the last of a message's wraps
		return err
	}
	return m.beginChase(ctx, msg)
}
