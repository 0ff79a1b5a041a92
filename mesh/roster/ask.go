package roster

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"time"

	"drey/mesh"
)

// Limits of requests to belong.
const (
	// MaxAsk is the longest time between a request's own date and its end.
	MaxAsk = 7 * 24 * time.Hour

	maxAsks = 32 // of one issuer; the soonest to end are dropped
)

// A Request is a machine that asks to belong. A member that it came to
// vouches for no more than that.
type Request struct {
	Name    string // what the machine calls itself
	Record  *mesh.PeerRecord
	Binding mesh.Signature
	Issuer  mesh.PubKey // the member at whose door it asked
	At      mesh.Unix   // by the issuer's clock
	Until   time.Time
}

// ask is an event of kind 3740 with op "ask", checked in form and bindings.
type ask struct {
	id mesh.EventID
	Request
}

func parseAsk(c mesh.Community, e *mesh.Event) (*ask, error) {
	a, err := parseAskForm(c, e)
	if err != nil {
		return nil, fmt.Errorf("%w: request: %w", mesh.ErrInvalid, err)
	}
	return a, nil
}

func parseAskForm(c mesh.Community, e *mesh.Event) (*ask, error) {
	t, err := singleTags(e, "op", "c", "p", "name", "record", "bind", "until")
	if err != nil {
		return nil, err
	}
	if t["c"] != c.Tag() {
		return nil, fmt.Errorf("it is of community %.16q, this is %s", t["c"], c.Tag())
	}
	// What a request says of a machine is what its admission would.
	o := &op{event: e}
	if err := o.parseAdmit(c, t); err != nil {
		return nil, err
	}
	if o.record == nil {
		return nil, fmt.Errorf("it is without a machine's record")
	}
	if err := mesh.VerifyBinding(o.record, o.binding); err != nil {
		return nil, err
	}
	until, err := parseNumber(t["until"], 1<<32-1)
	if err != nil {
		return nil, err
	}
	a := &ask{e.ID(), Request{
		Name: o.name, Record: o.record, Binding: o.binding,
		Issuer: e.Author(), At: e.CreatedAt(), Until: mesh.Unix(until).Time(),
	}}
	if left := a.Until.Sub(a.At.Time()); left <= 0 || left > MaxAsk {
		return nil, fmt.Errorf("it lasts %v, allowed is up to %v", left, MaxAsk)
	}
	return a, nil
}

// asks holds the newest requests of each issuer. What it keeps depends on the
// set of what came, not on the order.
type asks map[mesh.PubKey][]*ask // the last to end first

// add reports whether a was new and is kept.
func (s asks) add(a *ask) bool {
	list := s[a.Issuer]
	i, known := slices.BinarySearchFunc(list, a, func(x, y *ask) int {
		return cmp.Or(y.Until.Compare(x.Until), bytes.Compare(x.id[:], y.id[:]))
	})
	if known || i >= maxAsks {
		return false
	}
	list = slices.Insert(list, i, a)
	s[a.Issuer] = list[:min(len(list), maxAsks)]
	return true
}

// Requests lists the machines that ask to belong at a time and are neither
// admitted nor banned, the newest request of each, the oldest first.
func (b *Book) Requests(now time.Time) []Request {
	b.mu.RLock()
	defer b.mu.RUnlock()
	newest := make(map[mesh.NodeKey]Request)
	for issuer, list := range b.mu.asks {
		if b.standingLocked(issuer) < mesh.Machine {
			continue
		}
		for _, a := range list {
			node := a.Record.Node
			if a.Until.Before(now) || b.admitsLocked(node) || b.bannedLocked(node, a.Record.Author) {
				continue
			}
			if known, ok := newest[node]; !ok || known.At < a.At {
				newest[node] = a.Request
			}
		}
	}
	all := make([]Request, 0, len(newest))
	for _, r := range newest {
		all = append(all, r)
	}
	slices.SortFunc(all, func(x, y Request) int {
		return cmp.Or(cmp.Compare(x.At, y.At), bytes.Compare(x.Record.Node[:], y.Record.Node[:]))
	})
	return all
}

// DraftAsk passes a machine's request on to the admins. The caller has
// verified record and binding.
func (b *Book) DraftAsk(record *mesh.PeerRecord, binding mesh.Signature, name string, until time.Time, at mesh.Unix) mesh.Draft {
	return mesh.Draft{CreatedAt: at, Kind: mesh.KindPass, Tags: [][]string{
		{"op", "ask"},
		{"c", b.community.Tag()},
		{"p", record.Author.String()},
		{"name", name},
		{"record", base64.RawURLEncoding.EncodeToString(record.AppendBinary(nil))},
		{"bind", hex.EncodeToString(binding[:])},
		{"until", strconv.FormatUint(uint64(mesh.UnixOf(until)), 10)},
	}}
}
