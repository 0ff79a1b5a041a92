package main

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"drey/hub"
	"drey/mesh"
	"drey/nostrbridge/mail"
	"drey/nostrbridge/pool"
	"drey/web"
)

// newMail makes the mail of this node's own key.
func (p *parts) newMail(text mail.Text, log *slog.Logger) (*mail.Mail, error) {
	return mail.New(mail.Config{
		Key:     p.who.Author,
		Node:    mailNode{p},
		Roster:  p.book,
		Shelf:   p.store.Shelf("mail"),
		Machine: p.isMachine,
		Name:    func(k mesh.PubKey) string { return clip(plain(p.calls(k), false)) },
		Alone:   func() bool { return p.gossip.Status().Peers == 0 },
		Inbox:   p.inboxRelays,
		Relay: func(url string) string {
			if u, err := pool.Normalize(url); err == nil {
				return u
			}
			return url
		},
		Text:  text,
		Log:   log,
		Clock: p.clock,
		Stamp: func() time.Time { return p.hub.Now() },
	})
}

// A mailNode is the node as its mail sees it.
type mailNode struct{ *parts }

var _ mail.Node = mailNode{}

// Accept takes a signed event.
func (n mailNode) Accept(ctx context.Context, e *mesh.Event, from mesh.Origin) error {
	return n.hub.Accept(ctx, e, from)
}

// Publish signs a draft in the node's name.
func (n mailNode) Publish(ctx context.Context, t mesh.Topic, d mesh.Draft) (*mesh.Record, error) {
	return n.hub.Publish(ctx, t, d, hub.Options{})
}

// Records yields what matches.
func (n mailNode) Records(ctx context.Context, f mesh.Filter, v mesh.Viewer) iter.Seq2[*mesh.Record, error] {
	return n.store.Records(ctx, f, v)
}

// Watch yields what matches, then what comes in.
func (n mailNode) Watch(ctx context.Context, f mesh.Filter, v mesh.Viewer) iter.Seq2[*mesh.Record, error] {
	return n.hub.Watch(ctx, f, v)
}

// History returns what became of an event.
func (n mailNode) History(ctx context.Context, id mesh.EventID) ([]mesh.Step, error) {
	return n.hub.History(ctx, id)
}

// Note adds a line to an event's history.
func (n mailNode) Note(ctx context.Context, id mesh.EventID, s mesh.Step) error {
	return n.store.Note(ctx, id, s)
}

// Bury replaces an event by a tombstone.
func (n mailNode) Bury(ctx context.Context, id mesh.EventID, created mesh.Unix, why mesh.Reason) error {
	return n.store.Bury(ctx, id, created, why)
}

// isMachine reports whether an author is a machine of the roster.
func (p *parts) isMachine(author mesh.PubKey) bool {
	for _, m := range p.book.Members() {
		if m.Author == author {
			return m.Node != (mesh.NodeKey{}) && m.Standing.Member()
		}
	}
	return false
}

// calls returns what people call an author: the name on the roster, else the one
// in his profile, else the beginning of his npub.
func (p *parts) calls(author mesh.PubKey) string {
	for _, m := range p.book.Members() {
		if m.Author == author && m.Name != "" {
			return m.Name
		}
	}
	if name := p.nameOf(author); name != "" {
		return name
	}
	return author.NPub()[:12]
}

// inboxRelays lists the public relays where mail for this node may be left: a
// gateway's own.
func (p *parts) inboxRelays() []string {
	if !p.conf.Nostr.Gateway {
		return nil
	}
	return p.conf.Nostr.RelayURLs()
}

// mailStatus tells how much private mail is here.
func (p *parts) mailStatus() web.MailStatus {
	s := p.mail.Stats()
	return web.MailStatus{Messages: s.Messages, Kept: s.Kept, KeptBytes: s.KeptBytes, KeptDropped: s.KeptDropped, Unanswered: s.Chased}
}

// mailLineOf is the status in words.
func mailLineOf(m web.MailStatus) string {
	s := count(m.Messages, "message") + " of this machine, " + fmt.Sprint(m.Kept) + " sealed for their readers"
	if m.Unanswered > 0 {
		s += fmt.Sprintf(", %d not acknowledged yet", m.Unanswered)
	}
	if m.KeptDropped > 0 {
		s += fmt.Sprintf(", %d dropped for want of room", m.KeptDropped)
	}
	return s
}

// mailSamples are the mail's figures for /metrics.
func (p *parts) mailSamples() []web.Sample {
	s := p.mail.Stats()
	all := []web.Sample{
		{Name: "drey_mail_messages", Help: "Private messages written or opened here.", Value: float64(s.Messages)},
		{Name: "drey_mail_dropped_total", Help: "Of them, how many there was no room for.", Value: float64(s.Dropped), Counter: true},
		{Name: "drey_mailbox_wraps", Help: "Sealed messages kept for their readers.", Value: float64(s.Kept)},
		{Name: "drey_mailbox_bytes", Help: "Bytes of them.", Value: float64(s.KeptBytes)},
		{Name: "drey_mailbox_dropped_total", Help: "Of them, how many there was no room for.", Value: float64(s.KeptDropped), Counter: true},
		{Name: "drey_mail_chased", Help: "Messages that machines have not acknowledged, and for which letters are written.", Value: float64(s.Chased)},
		{Name: "drey_mail_unanswered_total", Help: "Receipts there was no room for.", Value: float64(s.Unanswered), Counter: true},
	}
	for why, n := range s.Refused {
		all = append(all, web.Sample{Name: "drey_mail_refused_total", Help: "What was addressed here and not taken.", Labels: map[string]string{"reason": why}, Value: float64(n), Counter: true})
	}
	return all
}
