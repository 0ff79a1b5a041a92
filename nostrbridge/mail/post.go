package mail

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"drey/mesh"
)

// Bounds of what is written.
const (
	MaxReaders = 10 // of one message, its author left out
	maxSubject = 200
)

// A Post is what is to be said in private.
type Post struct {
	To      []mesh.PubKey // 1 to MaxReaders
	Text    string
	Subject string       // of the conversation; may be empty
	ReplyTo mesh.EventID // zero: it answers nothing
	File    *File        // nil: none. With a file there is no text
}

// ErrReader reports somebody to whom no message can go.
var ErrReader = errors.New("no reader of the message")

// Send writes a message and returns when it is on disk, sealed for each reader
// and once for this node. What becomes of it Message and Watch tell.
func (m *Mail) Send(ctx context.Context, p Post) (*Message, error) {
	if err := m.wait(ctx); err != nil {
		return nil, err
	}
	readers, err := m.readers(p.To)
	if err != nil {
		return nil, err
	}
	drafts, err := m.drafts(p, readers)
	if err != nil {
		return nil, err
	}
	now := m.cfg.Stamp()
	var rumors []*mesh.Rumor
	for _, d := range drafts {
		d.CreatedAt = mesh.UnixOf(now)
		r, err := m.newRumor(d)
		if err != nil {
			return nil, err
		}
		rumors = append(rumors, r)
	}
	var first *Message
	for i, r := range rumors {
		msg, err := m.sendOne(ctx, r, readers, i == len(rumors)-1)
		if err != nil {
			return nil, err
		}
		if first == nil {
			first = msg
		}
	}
	return first, nil
}

// newRumor names a draft. The same words twice in a second are two messages.
func (m *Mail) newRumor(d mesh.Draft) (*mesh.Rumor, error) {
	for {
		r, err := mesh.NewRumor(m.self, d)
		if err != nil || !m.book.has(r.ID()) {
			return r, err
		}
		d.CreatedAt++
	}
}

// readers checks to whom a message goes. This node itself is one only where it
// is alone.
func (m *Mail) readers(to []mesh.PubKey) ([]mesh.PubKey, error) {
	var all []mesh.PubKey
	for _, k := range to {
		if slices.Contains(all, k) || k == m.self && len(to) > 1 {
			continue
		}
		s := m.cfg.Roster.Standing(k, m.cfg.Clock())
		if k != m.self && s == mesh.Banned {
			return nil, fmt.Errorf("%w: %s is banned here, and nobody would carry it", ErrReader, k.NPub())
		}
		all = append(all, k)
	}
	if len(all) < 1 || len(all) > MaxReaders {
		return nil, fmt.Errorf("%w: %d of them, allowed are 1 to %d", ErrReader, len(all), MaxReaders)
	}
	return all, nil
}

// drafts writes what is to be sealed, without dates (NIP-17).
func (m *Mail) drafts(p Post, readers []mesh.PubKey) ([]mesh.Draft, error) {
	var tags [][]string
	for _, k := range readers {
		tags = append(tags, []string{"p", k.String()})
	}
	if len(p.Subject) > maxSubject {
		return nil, fmt.Errorf("%w: a subject of %d bytes, at most %d", ErrTooLong, len(p.Subject), maxSubject)
	}
	if p.Subject != "" {
		tags = append(tags, []string{"subject", p.Subject})
	}
	if p.ReplyTo != (mesh.EventID{}) {
		tags = append(tags, []string{"e", p.ReplyTo.String()})
	}
	if p.File != nil {
		return p.File.split(tags)
	}
	if p.Text == "" {
		return nil, errors.New("there is no text")
	}
	return []mesh.Draft{{Kind: mesh.KindPrivateNote, Tags: tags, Content: p.Text}}, nil
}

// sendOne seals one rumor for all and hands the wraps to the hub.
func (m *Mail) sendOne(ctx context.Context, r *mesh.Rumor, readers []mesh.PubKey, last bool) (*Message, error) {
	now := m.cfg.Stamp()
	msg := &Message{Rumor: r, Out: true, Received: m.cfg.Clock(), whole: last}
	own, err := Wrap(m.cfg.Key, r, m.self, now)
	if err != nil {
		return nil, err
	}
	var wraps []*mesh.Event
	for _, k := range readers {
		if k == m.self {
			continue
		}
		w, err := m.seal(r, k, now)
		if err != nil {
			return nil, err
		}
		wraps = append(wraps, w)
		msg.Wraps = append(msg.Wraps, Copy{w.ID(), k})
	}
	if r.Kind() == mesh.KindBundle {
		p, err := parsePart(r)
		if err != nil {
			return nil, err
		}
		if _, err := m.collect(ctx, r, p); err != nil {
			return nil, err
		}
	}
	if err := m.book.add(ctx, msg); err != nil {
		return nil, err
	}
	for i, w := range append(wraps, own) {
		err := m.cfg.Node.Accept(ctx, w, mesh.Origin{Peer: "self", Topic: mesh.TopicMail, Durable: true})
		if err == nil || errors.Is(err, mesh.ErrDuplicate) || w == own {
			continue
		}
		if i == 0 { // nothing has left
			return nil, errors.Join(err, m.book.remove(context.WithoutCancel(ctx), r.ID()))
		}
		return nil, fmt.Errorf("%d of %d readers have it: %w", i, len(readers), err)
	}
	if err := m.beginChase(ctx, msg); err != nil {
		return nil, err
	}
	return msg, nil
}
