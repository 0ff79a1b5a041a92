package radio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"drey/mesh"
	"drey/radio/meshtastic"
)

// A PrivateMessage is a text between this node's operator and one handheld. It
// is encrypted for the one addressee, is no event, and leaves this machine over
// the air alone.
type PrivateMessage struct {
	ID     string `json:"id"`   // of the packet, 8 hexadecimal digits
	Node   string `json:"node"` // the other side, "!a1b2c3d4"
	Name   string `json:"name"`
	Out    bool   `json:"out"` // written here
	Text   string `json:"text"`
	At     int64  `json:"at"`               // unix seconds
	Sealed bool   `json:"sealed"`           // encrypted for the addressee alone
	State  string `json:"state,omitempty"`  // of what was written here
	Failed bool   `json:"failed,omitempty"` // it came to nothing; State says why
}

// Bounds of private messages.
const (
	maxPrivateText = 200 // bytes, as official clients allow themselves
	maxPrivate     = 200 // messages kept; the oldest go
	privateHops    = 3   // as official clients ask for
	privatePrefix  = "private/"
)

// States of a private message that was written here.
const (
	privateWaiting = "waiting"
	privateOnAir   = "on air"
	privateHeard   = "heard by at least one relay"
)

// A PrivateError says why a private message cannot be sent.
type PrivateError struct {
	Who string
	err error
	fix string
}

func (e *PrivateError) Error() string { return fmt.Sprintf("%.40q: %v", e.Who, e.err) }
func (e *PrivateError) Unwrap() error { return e.err }

// Hint tells what to do about it.
func (e *PrivateError) Hint() string { return e.fix }

// NotFound reports whether there is nobody of that name.
func (e *PrivateError) NotFound() bool { return errors.Is(e.err, errNobody) }

// A mailbox keeps private messages. Safe for concurrent use.
type mailbox struct {
	mu struct {
		sync.Mutex
		list    []PrivateMessage // oldest first
		forgot  []string         // shelf keys to be removed
		changed chan struct{}    // closed and replaced at every change
	}
}

func newMailbox() *mailbox {
	m := new(mailbox)
	m.mu.changed = make(chan struct{})
	return m
}

func (m *PrivateMessage) key() string {
	return fmt.Sprintf("%s%011d/%s/%s", privatePrefix, m.At, m.Node, m.ID)
}

// load reads back what was kept.
func (m *mailbox) load(ctx context.Context, shelf mesh.Shelf) error {
	keys, err := shelf.Keys(ctx, privatePrefix)
	if err != nil {
		return fmt.Errorf("list private messages: %w", err)
	}
	var list []PrivateMessage
	for _, k := range keys {
		v, err := shelf.Value(ctx, k)
		if err != nil {
			return fmt.Errorf("read a private message: %w", err)
		}
		var p PrivateMessage
		if json.Unmarshal(v, &p) == nil {
			if p.Out && !p.Failed && p.State == privateWaiting {
				p.State, p.Failed = "failed: the node stopped before it was sent", true
			}
			list = append(list, p)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.list = list
	return nil
}

// put adds a message, or replaces the one of the same packet. It reports
// whether it is new.
func (m *mailbox) put(p PrivateMessage) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.mu.changed)
	m.mu.changed = make(chan struct{})
	for i := range m.mu.list {
		if o := &m.mu.list[i]; o.ID == p.ID && o.Node == p.Node && o.Out == p.Out {
			*o = p
			return false
		}
	}
	if m.mu.list = append(m.mu.list, p); len(m.mu.list) > maxPrivate {
		m.mu.forgot = append(m.mu.forgot, m.mu.list[0].key())
		m.mu.list = slices.Delete(m.mu.list, 0, 1)
	}
	return true
}

// drop takes back a message that never was on its way.
func (m *mailbox) drop(p PrivateMessage) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.list = slices.DeleteFunc(m.mu.list, func(o PrivateMessage) bool { return o.ID == p.ID && o.Node == p.Node && o.Out })
	close(m.mu.changed)
	m.mu.changed = make(chan struct{})
}

func (m *mailbox) all() []PrivateMessage {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.mu.list)
}

func (m *mailbox) changed() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.changed
}

func (m *mailbox) forgotten() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	keys := m.mu.forgot
	m.mu.forgot = nil
	return keys
}

// keep puts a private message on the shelf.
func (t *translator) keep(ctx context.Context, p *PrivateMessage) error {
	v, err := json.Marshal(p)
	if err != nil {
		return err
	}
	err = t.c.cfg.Shelf.Put(ctx, p.key(), v)
	for _, k := range t.c.mail.forgotten() {
		err = errors.Join(err, t.c.cfg.Shelf.Delete(ctx, k))
	}
	return err
}

// private takes in a private text for this node.
func (o *owner) private(p *meshtastic.Packet) {
	if p.To != o.myNum || p.From == o.myNum || o.myNum == 0 {
		return
	}
	m := PrivateMessage{
		ID: fmt.Sprintf("%08x", p.ID), Node: p.From.String(), Name: o.c.nodes.name(p.From),
		Text: toUTF8(string(p.Data.Payload)), At: o.c.cfg.Clock().Unix(), Sealed: p.PKI,
	}
	for _, old := range o.c.mail.all() {
		if old.ID == m.ID && old.Node == m.Node && !old.Out {
			return // the acknowledgement was lost, and it was sent again
		}
	}
	if o.c.mail.put(m) {
		o.translator.later(job{private: &m})
	}
}

// Private returns the private messages, oldest first.
func (c *Carrier) Private() []PrivateMessage { return c.mail.all() }

// PrivateChanged is closed when there is news in Private.
func (c *Carrier) PrivateChanged() <-chan struct{} { return c.mail.changed() }

// SendPrivate writes to one handheld, named by its number or its name. It
// returns when the handheld has acknowledged, when it came to nothing, or when
// ctx ends: the message then goes on, and Private tells how. An error means that
// nothing was sent.
func (c *Carrier) SendPrivate(ctx context.Context, who, text string) (PrivateMessage, error) {
	text = strings.TrimSpace(text)
	switch {
	case clean(text) == "":
		return PrivateMessage{}, &PrivateError{who, errors.New("there is nothing to say"), "write a text behind the name"}
	case len(text) > maxPrivateText:
		return PrivateMessage{}, &PrivateError{who, fmt.Errorf("%d bytes, limit %d", len(text), maxPrivateText), "say it shorter, or in two messages"}
	}
	num, key, err := c.nodes.find(who)
	if err != nil {
		return PrivateMessage{}, &PrivateError{who, err, "'drey radio ls' shows who has been heard, and whose key is known"}
	}
	updates := make(chan PrivateMessage, 8)
	id := rand.Uint32() | 1
	m := PrivateMessage{ID: fmt.Sprintf("%08x", id), Node: num.String(), Name: c.nodes.name(num), Out: true, Text: text, At: c.cfg.Clock().Unix(), Sealed: true, State: privateWaiting}
	e := &errand{packet: meshtastic.Packet{
		To: num, ID: id, WantAck: true, HopLimit: privateHops, PKI: true, PublicKey: key,
		Data: &meshtastic.Data{Port: meshtastic.PortText, Payload: []byte(text)},
	}}
	last := m
	e.tell = func(o *owner, n news) {
		m = m.with(n, c.nodes.name)
		c.mail.put(m)
		kept := m
		o.translator.later(job{private: &kept})
		select {
		case updates <- m:
		default:
		}
	}
	c.mail.put(last) // before its news
	if err := c.hand(ctx, e); err != nil {
		c.mail.drop(last)
		return PrivateMessage{}, &PrivateError{who, err, "'drey doctor' tells what ails the radio"}
	}
	for {
		select {
		case <-ctx.Done():
			return last, nil
		case last = <-updates:
			if last.final() {
				return last, nil
			}
		}
	}
}

// with returns the message after some news.
func (m PrivateMessage) with(n news, name func(meshtastic.NodeNum) string) PrivateMessage {
	done := m.Failed || strings.HasPrefix(m.State, "acknowledged")
	switch {
	case done:
	case n.err != nil:
		m.State, m.Failed = "failed: "+n.err.Error(), true
	case n.sent:
		if m.State == privateWaiting {
			m.State = privateOnAir
		}
	case n.packet != nil:
	case n.routing != meshtastic.ErrorNone:
		m.State, m.Failed = "failed: "+n.routing.String(), true
		if n.routing == meshtastic.ErrorMaxRetransmit {
			m.State = "failed: not acknowledged, tried three times"
		}
	case n.from.String() == m.Node:
		m.State = "acknowledged by " + name(n.from)
	default:
		m.State = privateHeard
	}
	return m
}

// final reports whether there will be no more news.
func (m *PrivateMessage) final() bool { return m.Failed || strings.HasPrefix(m.State, "acknowledged") }
