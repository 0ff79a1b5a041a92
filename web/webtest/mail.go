package webtest

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"drey/mesh"
	"drey/web"
)

// SendMail implements web.Mailing. Everybody has acknowledged at once but who is
// called "away".
func (n *Node) SendMail(ctx context.Context, p web.MailPost) (*web.MailMessage, error) {
	n.mu.Lock()
	if n.mu.fail != nil {
		defer n.mu.Unlock()
		return nil, n.mu.fail
	}
	now := n.now()
	m := web.MailMessage{
		Seq: uint64(len(n.mu.mail) + 1), From: web.MailReader{NPub: n.key.PubKey().NPub(), Member: true}, Out: true,
		At: now.Unix(), ReceivedMS: now.UnixMilli(), Kind: mesh.KindPrivateNote, Text: p.Text, Subject: p.Subject, ReplyTo: p.ReplyTo, State: "saved",
	}
	m.ID = fmt.Sprintf("%064x", m.Seq)
	away := false
	for _, to := range p.To {
		r := web.MailReader{NPub: to, Name: to, Member: true, AcknowledgedMS: now.UnixMilli()}
		if to == "away" {
			r.AcknowledgedMS, away = 0, true
		}
		m.To = append(m.To, r)
	}
	if p.File != nil {
		m.Kind, m.File = mesh.KindBundle, &web.MailFile{Name: p.File.Name, Type: p.File.Type, Size: len(p.File.Bytes)}
		if n.mu.files == nil {
			n.mu.files = make(map[string]*web.MailFile)
		}
		n.mu.files[m.ID] = p.File
	}
	n.mu.mail = append(n.mu.mail, m)
	n.wakeLocked()
	n.mu.Unlock()
	if away && p.Wait == web.WaitAcknowledged {
		<-ctx.Done()
		return &m, ctx.Err()
	}
	return &m, nil
}

// Deliver has a message from somebody else come in.
func (n *Node) Deliver(m web.MailMessage) {
	n.mu.Lock()
	defer n.mu.Unlock()
	m.Seq, m.ReceivedMS = uint64(len(n.mu.mail)+1), n.now().UnixMilli()
	m.ID = fmt.Sprintf("%064x", m.Seq)
	n.mu.mail = append(n.mu.mail, m)
	n.wakeLocked()
}

// Mail implements web.Mailing.
func (n *Node) Mail(ctx context.Context, after uint64, follow bool) iter.Seq2[*web.MailMessage, error] {
	return func(yield func(*web.MailMessage, error) bool) {
		for {
			n.mu.Lock()
			rest, changed := n.mu.mail[min(int(after), len(n.mu.mail)):], n.mu.changed
			n.mu.Unlock()
			for _, m := range rest {
				after = m.Seq
				if !yield(&m, nil) {
					return
				}
			}
			if !follow {
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}
}

// MailNamed implements web.Mailing.
func (n *Node) MailNamed(_ context.Context, id string) (*web.MailMessage, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, m := range n.mu.mail {
		if len(id) >= 8 && strings.HasPrefix(m.ID, id) {
			return &m, nil
		}
	}
	return nil, mesh.ErrNotFound
}

// MailFile implements web.Mailing.
func (n *Node) MailFile(_ context.Context, id string) (*web.MailFile, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if f := n.mu.files[id]; f != nil {
		return f, nil
	}
	return nil, mesh.ErrNotFound
}

// MailLog implements web.Mailing.
func (n *Node) MailLog(context.Context, string) ([]mesh.Step, error) {
	return []mesh.Step{{At: n.now(), State: "saved"}}, nil
}
