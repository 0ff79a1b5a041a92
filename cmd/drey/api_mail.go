package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"drey/mesh"
	"drey/nostrbridge/mail"
	"drey/web"
)

var _ web.Mailing = api{}

// SendMail writes a private message.
func (a api) SendMail(ctx context.Context, p web.MailPost) (*web.MailMessage, error) {
	if a.membership.Community.Open {
		return nil, web.NewError(web.CodeRefused, "an open community carries no private messages", "it has no members whose machines could keep them",
			"write to its people in a community of members, or over public relays", nil)
	}
	post := mail.Post{Text: p.Text, Subject: p.Subject}
	for _, name := range p.To {
		k, err := a.reader(name)
		if err != nil {
			return nil, err
		}
		post.To = append(post.To, k)
	}
	if p.ReplyTo != "" {
		m, err := a.mailNamed(ctx, p.ReplyTo)
		if err != nil {
			return nil, err
		}
		post.ReplyTo = m.ID()
	}
	if p.File != nil {
		post.File = &mail.File{Name: p.File.Name, Type: p.File.Type, Bytes: p.File.Bytes}
	}
	m, err := a.mail.Send(context.WithoutCancel(ctx), post)
	switch {
	case errors.Is(err, mail.ErrTooLong):
		return nil, web.NewError(web.CodeTooLarge, "the message is not sent", err.Error(), "send it in parts, or as a file of up to 64 kB", err)
	case errors.Is(err, mail.ErrReader):
		return nil, web.NewError(web.CodeNotFound, "the message is not sent", err.Error(), "one to ten readers, none of them banned; 'drey members ls' lists those who belong", err)
	case err != nil:
		return nil, err
	}
	if p.Wait == web.WaitAcknowledged {
		m, err = a.mail.Wait(ctx, m.ID())
	}
	if m == nil {
		return nil, err
	}
	return a.mailMessage(m), err
}

// reader returns the key that a name means: an npub, a key, or what people call
// somebody who belongs.
func (a api) reader(name string) (mesh.PubKey, error) {
	name = strings.TrimSpace(name)
	if k, err := mesh.ParseAuthor(name); err == nil {
		return k, nil
	} else if strings.HasPrefix(strings.ToLower(name), "npub1") {
		return k, web.NewError(web.CodeUsage, fmt.Sprintf("%.80q is no npub", name), err.Error(), "copy it whole", err)
	}
	// A name that the roster vouches for goes before one that people chose.
	var found, named []mesh.PubKey
	for _, m := range a.book.Members() {
		if m.Standing < mesh.Guest || name == "" {
			continue
		}
		if strings.EqualFold(m.Name, name) && !slices.Contains(found, m.Author) {
			found = append(found, m.Author)
		}
		if strings.EqualFold(a.nameOf(m.Author), name) && !slices.Contains(named, m.Author) {
			named = append(named, m.Author)
		}
	}
	if len(found) == 0 {
		found = named
	}
	switch len(found) {
	case 0:
		return mesh.PubKey{}, web.NewError(web.CodeNotFound, fmt.Sprintf("nobody is called %.80q", name), "no member's name on the roster or in a profile is this", "'drey members ls' lists names and npubs", nil)
	case 1:
		return found[0], nil
	}
	var npubs []string
	for _, k := range found {
		npubs = append(npubs, k.NPub())
	}
	return mesh.PubKey{}, web.NewError(web.CodeNotFound, fmt.Sprintf("%d members are called %.80q", len(found), name), strings.Join(npubs, ", "), "write to an npub", nil)
}

// Mail yields private messages.
func (a api) Mail(ctx context.Context, after uint64, follow bool) iter.Seq2[*web.MailMessage, error] {
	messages := a.mail.Messages
	if follow {
		messages = a.mail.Watch
	}
	return func(yield func(*web.MailMessage, error) bool) {
		for m, err := range messages(ctx, after) {
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(a.mailMessage(m), nil) {
				return
			}
		}
	}
}

// MailNamed returns one private message.
func (a api) MailNamed(ctx context.Context, id string) (*web.MailMessage, error) {
	m, err := a.mailNamed(ctx, id)
	if err != nil {
		return nil, err
	}
	return a.mailMessage(m), nil
}

// mailNamed finds a message by its id, or the beginning of it.
func (a api) mailNamed(ctx context.Context, id string) (*mail.Message, error) {
	id = strings.ToLower(strings.TrimSpace(id))
	if whole, err := mesh.ParseEventID(id); err == nil {
		return a.mail.Message(ctx, whole)
	}
	if len(id) < 8 {
		return nil, mesh.ErrNotFound
	}
	ids, err := a.mail.Beginning(ctx, func(m mesh.EventID) bool { return strings.HasPrefix(m.String(), id) })
	if err != nil {
		return nil, err
	}
	switch len(ids) {
	case 0:
		return nil, mesh.ErrNotFound
	case 1:
		return a.mail.Message(ctx, ids[0])
	}
	return nil, web.NewError(web.CodeNotFound, "which message?", fmt.Sprintf("%d begin with %.70s", len(ids), id), "give more digits of its id", mesh.ErrNotFound)
}

// MailFile returns the payload of a private message.
func (a api) MailFile(ctx context.Context, id string) (*web.MailFile, error) {
	m, err := a.mailNamed(ctx, id)
	if err != nil {
		return nil, err
	}
	f, err := a.mail.File(ctx, m.ID())
	if err != nil {
		return nil, err
	}
	return &web.MailFile{Name: f.Name, Type: f.Type, Size: len(f.Bytes), Bytes: f.Bytes}, nil
}

// MailLog tells what became of a private message.
func (a api) MailLog(ctx context.Context, id string) ([]mesh.Step, error) {
	m, err := a.mailNamed(ctx, id)
	if err != nil {
		return nil, err
	}
	return a.mail.History(ctx, m)
}

func (a api) mailMessage(m *mail.Message) *web.MailMessage {
	r := m.Rumor
	w := &web.MailMessage{
		Seq: m.Seq, ID: m.ID().String(), From: a.mailReader(r.Author()), To: []web.MailReader{}, Out: m.Out,
		At: int64(r.CreatedAt()), ReceivedMS: m.Received.UnixMilli(), Via: m.Via, Kind: r.Kind(), Text: r.Content(),
	}
	w.Subject, _ = r.Tag("subject")
	w.ReplyTo, _ = r.Tag("e")
	for _, k := range m.Readers() {
		reader := a.mailReader(k)
		for _, ack := range m.Acks {
			if ack.By == k {
				reader.AcknowledgedMS = ack.At.UnixMilli()
			}
		}
		w.To = append(w.To, reader)
	}
	if r.Kind() == mesh.KindBundle {
		w.Text = ""
		if f := mail.FileOf(r); f != nil {
			w.File = &web.MailFile{Name: f.Name, Type: f.Type, Size: f.Size}
		}
	}
	w.State = mailState(m)
	if n := a.outsiders(m); n > 0 {
		w.State += "; for " + count(n, "outsider") + ": " + a.wayOut()
	}
	return w
}

// outsiders counts the readers outside of the community to whom this node wrote.
func (a api) outsiders(m *mail.Message) (n int) {
	for _, c := range m.Wraps {
		if m.Out && a.mail.Outsider(c.To) {
			n++
		}
	}
	return n
}

// wayOut says how a message for somebody outside goes.
func (a api) wayOut() string {
	if a.conf.Nostr.Gateway || a.bridge.Status().Gateways > 0 {
		return "a gateway leaves it at the public relays of their list"
	}
	return "no gateway is in contact; it waits for one, for a week"
}

// mailState says in words how far a message has come.
func mailState(m *mail.Message) string {
	if !m.Out {
		return "opened here"
	}
	readers := len(m.Wraps)
	switch n := len(m.Acks); {
	case readers == 0:
		return "saved"
	case n >= readers:
		return "acknowledged"
	case n > 0:
		return fmt.Sprintf("acknowledged by %d of %d", n, readers)
	}
	return "saved"
}

func (a api) mailReader(k mesh.PubKey) web.MailReader {
	r := web.MailReader{NPub: k.NPub(), Member: a.book.Standing(k, a.clock()) >= mesh.Guest}
	for _, m := range a.book.Members() {
		if m.Author == k {
			r.Name = m.Name
		}
	}
	if r.Name == "" {
		r.Name = a.nameOf(k)
	}
	return r
}
