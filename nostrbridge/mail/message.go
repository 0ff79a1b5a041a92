package mail

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"drey/mesh"
)

// A Message is one that was written or opened on this node.
type Message struct {
	Seq      uint64 // order of arrival here, from 1
	Rumor    *mesh.Rumor
	Out      bool      // written with this node's key
	Received time.Time // or written
	Via      string    // the carrier that brought it first; "" where it was written here
	Wraps    []Copy    // of what was written here, one for each reader; its own copy is not among them
	Letters  []Copy    // the same for the air
	Acks     []Ack     // by whom it was opened

	whole bool // the last part of a bundle to come
}

// A Copy is one event in which a message travels to one reader.
type Copy struct {
	ID mesh.EventID
	To mesh.PubKey
}

// An Ack says that a reader's own device has opened a message.
type Ack struct {
	By mesh.PubKey
	At time.Time // by this node's clock, when it was told
}

// ID returns the message's name.
func (m *Message) ID() mesh.EventID { return m.Rumor.ID() }

// Readers lists for whom the message is, its author left out.
func (m *Message) Readers() []mesh.PubKey {
	var all []mesh.PubKey
	for _, v := range m.Rumor.TagValues("p") {
		k, err := mesh.ParsePubKey(v)
		if err == nil && k != m.Rumor.Author() && !slices.Contains(all, k) {
			all = append(all, k)
		}
	}
	return all
}

// AckedBy reports whether a reader has opened the message.
func (m *Message) AckedBy(k mesh.PubKey) bool {
	return slices.ContainsFunc(m.Acks, func(a Ack) bool { return a.By == k })
}

// Acknowledged reports whether everybody to whom the message was sent has opened
// it.
func (m *Message) Acknowledged() bool {
	for _, c := range m.Wraps {
		if !m.AckedBy(c.To) {
			return false
		}
	}
	return true
}

// page is a message on the shelf.
type page struct {
	V       int             `json:"v"`
	Rumor   json.RawMessage `json:"rumor"`
	Out     bool            `json:"out,omitempty"`
	At      int64           `json:"at"` // Unix milliseconds
	Via     string          `json:"via,omitempty"`
	Wraps   []pageCopy      `json:"wraps,omitempty"`
	Letters []pageCopy      `json:"letters,omitempty"`
	Acks    []pageAck       `json:"acks,omitempty"`
	Whole   bool            `json:"whole,omitempty"`
}

type pageCopy struct {
	ID string `json:"id"`
	To string `json:"to"`
}

type pageAck struct {
	By string `json:"by"`
	At int64  `json:"at"`
}

func (m *Message) encode() ([]byte, error) {
	p := page{V: 1, Rumor: m.Rumor.AppendJSON(nil), Out: m.Out, At: m.Received.UnixMilli(), Via: m.Via, Whole: m.whole}
	for _, c := range m.Wraps {
		p.Wraps = append(p.Wraps, pageCopy{c.ID.String(), c.To.String()})
	}
	for _, c := range m.Letters {
		p.Letters = append(p.Letters, pageCopy{c.ID.String(), c.To.String()})
	}
	for _, a := range m.Acks {
		p.Acks = append(p.Acks, pageAck{a.By.String(), a.At.UnixMilli()})
	}
	return json.Marshal(p)
}

func decodeMessage(seq uint64, b []byte) (*Message, error) {
	var p page
	if err := json.Unmarshal(b, &p); err != nil {
		return nil, fmt.Errorf("message %d: %w", seq, err)
	}
	if p.V != 1 {
		return nil, fmt.Errorf("message %d: version %d, known is 1", seq, p.V)
	}
	r, err := mesh.ParseRumor(p.Rumor)
	if err != nil {
		return nil, fmt.Errorf("message %d: %w", seq, err)
	}
	m := &Message{Seq: seq, Rumor: r, Out: p.Out, Received: time.UnixMilli(p.At), Via: p.Via, whole: p.Whole}
	if m.Wraps, err = decodeCopies(p.Wraps); err != nil {
		return nil, fmt.Errorf("message %d: %w", seq, err)
	}
	if m.Letters, err = decodeCopies(p.Letters); err != nil {
		return nil, fmt.Errorf("message %d: %w", seq, err)
	}
	for _, a := range p.Acks {
		by, err := mesh.ParsePubKey(a.By)
		if err != nil {
			return nil, fmt.Errorf("message %d: %w", seq, err)
		}
		m.Acks = append(m.Acks, Ack{by, time.UnixMilli(a.At)})
	}
	return m, nil
}

func decodeCopies(all []pageCopy) ([]Copy, error) {
	var copies []Copy
	for _, c := range all {
		id, err := mesh.ParseEventID(c.ID)
		if err != nil {
			return nil, err
		}
		to, err := mesh.ParsePubKey(c.To)
		if err != nil {
			return nil, err
		}
		copies = append(copies, Copy{id, to})
	}
	return copies, nil
}
