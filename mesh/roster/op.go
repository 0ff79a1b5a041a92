package roster

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"drey/mesh"
)

// Limits of a decision's form.
const (
	maxHeads  = 32   // heads that one event names
	maxReason = 256  // bytes of a ban's or removal's reason
	maxVerb   = 32   // bytes of a verb
	maxSize   = 4096 // bytes of a decision's binary form; rotations, which hold a secret for each member, may have all
)

// A verb is what a decision does.
type verb string

const (
	verbFound   verb = "found"
	verbAdmit   verb = "admit"
	verbPromote verb = "promote"
	verbDemote  verb = "demote"
	verbRemove  verb = "remove"
	verbBan     verb = "ban"
	verbRotate  verb = "rotate"
)

// revokes reports whether the verb takes something away.
func (v verb) revokes() bool { return v == verbDemote || v == verbRemove || v == verbBan }

// known reports whether the verb has an effect in this version.
func (v verb) known() bool {
	switch v {
	case verbFound, verbAdmit, verbPromote, verbDemote, verbRemove, verbBan, verbRotate:
		return true
	}
	return false
}

// check tells whether a verb that is not known here may be one of a later
// version: such a decision is kept, passed on and named as a head, and has no
// effect.
func (v verb) check() error {
	if v == "" || len(v) > maxVerb {
		return fmt.Errorf("op of %d bytes, allowed are 1 to %d", len(v), maxVerb)
	}
	for _, c := range []byte(v) {
		if (c < 'a' || c > 'z') && c != '-' {
			return fmt.Errorf("op %q: only a-z and - are allowed", string(v))
		}
	}
	return nil
}

// An op is one decision, checked in form.
type op struct {
	event   *mesh.Event
	size    int // bytes of its binary form
	verb    verb
	heads   []mesh.EventID
	author  mesh.PubKey      // whom it is about; zero when it names only a node
	node    mesh.NodeKey     // the machine it is about; zero when it names none
	name    string           // found: of the community; admit: of who is admitted
	machine string           // found: of the founder's machine
	record  *mesh.PeerRecord // found, and admit of a machine
	binding mesh.Signature   // goes with record

	// Of a rotation:
	epoch   uint32
	secret  mesh.SecretID
	overlap time.Duration
	wrapped *wrapped
}

func (o *op) id() mesh.EventID    { return o.event.ID() }
func (o *op) signer() mesh.PubKey { return o.event.Author() }

// parseOp checks the form of a decision for community c, and its bindings; it
// does not check the event's own signature.
func parseOp(c mesh.Community, e *mesh.Event) (*op, error) {
	o, err := parseForm(c, e)
	if err != nil {
		return nil, fmt.Errorf("%w: roster event: %w", mesh.ErrInvalid, err)
	}
	if o.record == nil {
		return o, nil
	}
	if err := mesh.VerifyBinding(o.record, o.binding); err != nil {
		return nil, fmt.Errorf("%w: roster event: %w", mesh.ErrInvalid, err)
	}
	return o, nil
}

func parseForm(c mesh.Community, e *mesh.Event) (*op, error) {
	names := []string{"op", "c"}
	if v, _ := e.Tag("op"); verb(v).known() {
		names = append(names, "p", "node", "name", "nonce", "machine", "record", "bind", "epoch", "secret", "overlap")
	}
	t, err := singleTags(e, names...)
	if err != nil {
		return nil, err
	}
	if t["c"] != c.Tag() {
		return nil, fmt.Errorf("it is of community %.16q, this is %s", t["c"], c.Tag())
	}
	o := &op{event: e, size: len(e.AppendBinary(nil)), verb: verb(t["op"])}
	if o.size > maxSize && o.verb != verbRotate {
		return nil, fmt.Errorf("%s of %d bytes, limit %d", o.verb, o.size, maxSize)
	}
	if o.heads, err = parseHeads(e); err != nil {
		return nil, err
	}
	if (len(o.heads) == 0) != (o.verb == verbFound) {
		return nil, fmt.Errorf("%s with %d heads", o.verb, len(o.heads))
	}
	switch o.verb {
	case verbFound:
		return o, o.parseFound(c, t)
	case verbAdmit:
		return o, o.parseAdmit(c, t)
	case verbPromote, verbDemote:
		o.author, err = mesh.ParsePubKey(t["p"])
		return o, err
	case verbRemove, verbBan:
		return o, o.parseRevocation(t)
	case verbRotate:
		return o, o.parseRotation(t)
	}
	return o, o.verb.check()
}

func (o *op) parseFound(c mesh.Community, t map[string]string) error {
	if err := mesh.CheckName(t["name"]); err != nil {
		return err
	}
	nonce, err := hex.DecodeString(t["nonce"])
	if err != nil || len(nonce) != 32 {
		return fmt.Errorf("nonce is not 64 hexadecimal digits")
	}
	if mesh.Found(o.signer(), t["name"], [32]byte(nonce)).ID != c.ID {
		return fmt.Errorf("it founds another community")
	}
	if err := mesh.CheckName(t["machine"]); err != nil {
		return err
	}
	o.name, o.machine, o.author = t["name"], t["machine"], o.signer()
	return o.parseMachine(c, t)
}

func (o *op) parseAdmit(c mesh.Community, t map[string]string) (err error) {
	if o.author, err = mesh.ParsePubKey(t["p"]); err != nil {
		return err
	}
	if err := mesh.CheckName(t["name"]); err != nil {
		return err
	}
	o.name = t["name"]
	_, record := t["record"]
	_, bind := t["bind"]
	if !record && !bind {
		return nil
	}
	return o.parseMachine(c, t)
}

// parseMachine reads a machine's record and binding, for the author in o.
func (o *op) parseMachine(c mesh.Community, t map[string]string) error {
	b, err := base64.RawURLEncoding.Strict().DecodeString(t["record"])
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	if o.record, err = mesh.ParsePeerRecord(b); err != nil {
		return err
	}
	sig, err := hex.DecodeString(t["bind"])
	if err != nil || len(sig) != len(o.binding) {
		return fmt.Errorf("bind is not 128 hexadecimal digits")
	}
	o.binding, o.node = mesh.Signature(sig), o.record.Node
	if o.record.Author != o.author {
		return fmt.Errorf("the record is of another author")
	}
	if o.record.Community != [8]byte(c.ID[:8]) {
		return fmt.Errorf("the record is for another community")
	}
	return nil
}

func (o *op) parseRevocation(t map[string]string) (err error) {
	p, hasAuthor := t["p"]
	n, hasNode := t["node"]
	if !hasAuthor && !hasNode {
		return fmt.Errorf("%s names nobody", o.verb)
	}
	if hasAuthor {
		if o.author, err = mesh.ParsePubKey(p); err != nil {
			return err
		}
	}
	if hasNode {
		if o.node, err = mesh.ParseNodeKey(n); err != nil {
			return err
		}
	}
	if n := len(o.event.Content()); n > maxReason {
		return fmt.Errorf("reason of %d bytes, limit %d", n, maxReason)
	}
	return nil
}

// parseHeads reads the "e" tags: all different, not too many.
func parseHeads(e *mesh.Event) ([]mesh.EventID, error) {
	values := e.TagValues("e")
	if len(values) > maxHeads {
		return nil, fmt.Errorf("%d heads, limit %d", len(values), maxHeads)
	}
	seen := make(map[mesh.EventID]bool, len(values))
	heads := make([]mesh.EventID, 0, len(values))
	for _, v := range values {
		id, err := mesh.ParseEventID(v)
		if err != nil {
			return nil, err
		}
		if seen[id] {
			return nil, fmt.Errorf("head %s is named twice", id)
		}
		seen[id] = true
		heads = append(heads, id)
	}
	return heads, nil
}

// singleTags returns the value of each named tag; one that stands twice has no
// meaning and is refused.
func singleTags(e *mesh.Event, names ...string) (map[string]string, error) {
	t := make(map[string]string, len(names))
	for _, name := range names {
		values := e.TagValues(name)
		if len(values) > 1 {
			return nil, fmt.Errorf("tag %q stands %d times", name, len(values))
		}
		if len(values) == 1 {
			t[name] = values[0]
		}
	}
	return t, nil
}

// parseNumber reads a decimal number as strconv would write it.
func parseNumber(s string, limit uint64) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || strconv.FormatUint(n, 10) != s {
		return 0, errors.New("a number is not in its decimal form")
	}
	if n > limit {
		return 0, fmt.Errorf("number %d, limit %d", n, limit)
	}
	return n, nil
}
