package bootstrap

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"drey/mesh"
)

// What a joiner asks.
const (
	verbPeek = 0
	verbJoin = 1
	verbAsk  = 2 // as join, without an invite
)

// A request is the sealed part of what a joiner sends.
type request struct {
	verb   byte
	token  mesh.InviteToken
	joiner Joiner // not to peek
}

// A Joiner is a machine that asks to belong.
type Joiner struct {
	Name    string           // what people call it
	Record  *mesh.PeerRecord // signed by its node, names the community
	Binding mesh.Signature   // by its author key; see mesh.VerifyBinding
}

func appendPayload(b []byte, q *request) []byte {
	b = append(b, q.verb)
	b = append(b, q.token[:]...)
	if q.verb == verbPeek {
		return b
	}
	b = append(b, byte(len(q.joiner.Name)))
	b = append(b, q.joiner.Name...)
	b = append(b, q.joiner.Binding[:]...)
	return q.joiner.Record.AppendBinary(b)
}

// parsePayload checks the form, not the signatures.
func parsePayload(b []byte) (*request, error) {
	const head = 1 + 16
	if len(b) < head {
		return nil, fmt.Errorf("request of %d bytes, at least %d needed", len(b), head)
	}
	q := &request{verb: b[0], token: mesh.InviteToken(b[1:head])}
	b = b[head:]
	switch q.verb {
	case verbPeek:
		if len(b) > 0 {
			return nil, fmt.Errorf("%d bytes too many", len(b))
		}
		return q, nil
	case verbJoin, verbAsk:
	default:
		return nil, fmt.Errorf("unknown verb %d", q.verb)
	}
	if len(b) < 1 || len(b) < 1+int(b[0])+64 {
		return nil, fmt.Errorf("request cut off")
	}
	n := 1 + int(b[0])
	q.joiner.Name = string(b[1:n])
	q.joiner.Binding = mesh.Signature(b[n : n+64])
	if err := mesh.CheckName(q.joiner.Name); err != nil {
		return nil, err
	}
	var err error
	q.joiner.Record, err = mesh.ParsePeerRecord(b[n+64:])
	return q, err
}

// A Preview is what can be known of a community before joining it. The inviter
// says so under seal; the roster proves it only afterwards.
type Preview struct {
	Community mesh.Community
	Inviter   string    // what people call the inviting machine
	Members   int       // machines and people; 0 for an open community
	Expires   mesh.Unix // when the invite ends, by the inviter's clock
}

type previewFile struct {
	Version int       `json:"v"`
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Founder string    `json:"founder,omitempty"`
	Open    bool      `json:"open,omitempty"`
	Inviter string    `json:"inviter"`
	Members int       `json:"members"`
	Expires mesh.Unix `json:"expires"`
}

func (p *Preview) marshal() ([]byte, error) {
	f := previewFile{
		Version: 1,
		ID:      hex.EncodeToString(p.Community.ID[:]),
		Name:    p.Community.Name,
		Open:    p.Community.Open,
		Inviter: p.Inviter,
		Members: p.Members,
		Expires: p.Expires,
	}
	if !p.Community.Open {
		f.Founder = p.Community.Founder.String()
	}
	return json.Marshal(f)
}

func parsePreview(b []byte) (*Preview, error) {
	var f previewFile
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&f); err != nil {
		return nil, fmt.Errorf("preview: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("preview: more than one JSON object")
	}
	if f.Version != 1 {
		return nil, fmt.Errorf("preview: version %d, known is 1", f.Version)
	}
	if err := errors.Join(mesh.CheckName(f.Name), mesh.CheckName(f.Inviter)); err != nil {
		return nil, fmt.Errorf("preview: %w", err)
	}
	if f.Members < 0 {
		return nil, fmt.Errorf("preview: %d members", f.Members)
	}
	p := &Preview{Inviter: f.Inviter, Members: f.Members, Expires: f.Expires}
	if f.Open {
		p.Community = mesh.OpenCommunity(f.Name)
		return p, nil
	}
	id, err := hex.DecodeString(f.ID)
	if err != nil || len(id) != 32 {
		return nil, errors.New("preview: id is not 64 hexadecimal digits")
	}
	founder, err := mesh.ParsePubKey(f.Founder)
	if err != nil {
		return nil, fmt.Errorf("preview: founder: %w", err)
	}
	p.Community = mesh.Community{ID: [32]byte(id), Name: f.Name, Founder: founder}
	return p, nil
}

// A Welcome is what a machine gets when it joins. It holds the community's
// secret.
type Welcome struct {
	Membership *mesh.Membership
	Inviter    *mesh.PeerRecord // with the underlay endpoints to peer with
	Events     []*mesh.Event    // roster decisions, signatures checked, parents first
	Own        *mesh.PeerRecord // the joiner's record, as the roster has it now
}

func appendWelcome(b []byte, membership []byte, r *mesh.PeerRecord, events []*mesh.Event) []byte {
	b = appendField(b, membership)
	b = appendField(b, r.AppendBinary(nil))
	for _, e := range events {
		form := e.AppendBinary(nil)
		if len(b)+len(form)+binary.MaxVarintLen32 > maxAnswer {
			break // the rest comes by sync
		}
		b = appendField(b, form)
	}
	return b
}

// parseWelcome checks the form and no signature.
func parseWelcome(b []byte) (*Welcome, error) {
	var w Welcome
	field, b, err := cutField(b)
	if err != nil {
		return nil, fmt.Errorf("welcome: %w", err)
	}
	if w.Membership, err = mesh.ParseMembership(field); err != nil {
		return nil, fmt.Errorf("welcome: %w", err)
	}
	if field, b, err = cutField(b); err != nil {
		return nil, fmt.Errorf("welcome: %w", err)
	}
	if w.Inviter, err = mesh.ParsePeerRecord(field); err != nil {
		return nil, fmt.Errorf("welcome: %w", err)
	}
	for len(b) > 0 {
		if field, b, err = cutField(b); err != nil {
			return nil, fmt.Errorf("welcome: %w", err)
		}
		e, err := mesh.ParseBinary(field)
		if err != nil {
			return nil, fmt.Errorf("welcome: %w", err)
		}
		if e.Kind() != mesh.KindRoster {
			return nil, fmt.Errorf("welcome: event of kind %d, only %d is allowed", e.Kind(), mesh.KindRoster)
		}
		w.Events = append(w.Events, e)
	}
	return &w, nil
}

func appendField(b, field []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(field)))
	return append(b, field...)
}

func cutField(b []byte) (field, rest []byte, err error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return nil, nil, errors.New("a field is cut off")
	}
	if size > 1 && b[size-1] == 0 {
		return nil, nil, errors.New("a length is written in more bytes than it needs")
	}
	b = b[size:]
	return b[:n], b[n:], nil
}
