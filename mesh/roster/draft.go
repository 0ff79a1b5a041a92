package roster

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"drey/mesh"
)

// ErrBanned reports that whoever is to be admitted is banned.
var ErrBanned = errors.New("banned from this community")

// Found signs the first event of a community in the name of its founder's
// machine, which is called machine. The record is the founder's own and names
// the community.
func Found(id *mesh.Identity, m *mesh.Membership, record *mesh.PeerRecord, machine string, at mesh.Unix) (*mesh.Event, error) {
	binding, err := id.Bind(record.Community)
	if err != nil {
		return nil, err
	}
	tags := append([][]string{
		{"op", string(verbFound)},
		{"c", m.Community.Tag()},
		{"name", m.Community.Name},
		{"nonce", hex.EncodeToString(m.Nonce[:])},
		{"machine", machine},
	}, machineTags(record, binding)...)
	e, err := id.Author.Sign(mesh.Draft{CreatedAt: at, Kind: mesh.KindRoster, Tags: tags})
	if err != nil {
		return nil, err
	}
	if _, err := parseOp(m.Community, e); err != nil {
		return nil, err
	}
	return e, nil
}

// DraftAdmit admits a machine, after checking that its record and binding
// prove what they should. A banned machine gives ErrBanned.
func (b *Book) DraftAdmit(record *mesh.PeerRecord, binding mesh.Signature, name string, at mesh.Unix) (mesh.Draft, error) {
	if err := mesh.CheckName(name); err != nil {
		return mesh.Draft{}, err
	}
	if record.Community != [8]byte(b.community.ID[:8]) {
		return mesh.Draft{}, fmt.Errorf("the record of %s is for another community", record.Node)
	}
	if err := mesh.VerifyBinding(record, binding); err != nil {
		return mesh.Draft{}, err
	}
	if b.Banned(record.Node, record.Author) {
		return mesh.Draft{}, ErrBanned
	}
	tags := append([][]string{{"p", record.Author.String()}, {"name", name}}, machineTags(record, binding)...)
	return b.draft(verbAdmit, at, "", tags...), nil
}

// DraftAdmitPerson admits a person. A banned one gives ErrBanned.
func (b *Book) DraftAdmitPerson(author mesh.PubKey, name string, at mesh.Unix) (mesh.Draft, error) {
	if err := mesh.CheckName(name); err != nil {
		return mesh.Draft{}, err
	}
	if b.Banned(mesh.NodeKey{}, author) {
		return mesh.Draft{}, ErrBanned
	}
	return b.draft(verbAdmit, at, "", []string{"p", author.String()}, []string{"name", name}), nil
}

// DraftReadmit admits again who was removed or banned, by the record and under
// the name that the roster last had. It names the heads, and so has seen the
// ban and lifts it. A key that was never admitted gives mesh.ErrNotFound.
func (b *Book) DraftReadmit(s Subject, at mesh.Unix) (mesh.Draft, error) {
	s = b.SubjectOf(s)
	a := b.lastAdmission(s.Author)
	if a == nil {
		return mesh.Draft{}, fmt.Errorf("admission of %s: %w", s.Author, mesh.ErrNotFound)
	}
	name := a.name
	if a.verb == verbFound {
		name = a.machine
	}
	tags := [][]string{{"p", a.author.String()}, {"name", name}}
	if a.record != nil {
		tags = append(tags, machineTags(a.record, a.binding)...)
	}
	return b.draft(verbAdmit, at, "", tags...), nil
}

func (b *Book) lastAdmission(author mesh.PubKey) *vertex {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return latest(b.mu.graph.admits[author])
}

// DraftPromote makes a key an admin.
func (b *Book) DraftPromote(author mesh.PubKey, at mesh.Unix) mesh.Draft {
	return b.draft(verbPromote, at, "", []string{"p", author.String()})
}

// DraftDemote takes an admin's rights; membership stays.
func (b *Book) DraftDemote(author mesh.PubKey, at mesh.Unix) mesh.Draft {
	return b.draft(verbDemote, at, "", []string{"p", author.String()})
}

// A Subject is whom a removal or ban names: a person or machine by its author,
// a machine by its node, or both. Zero keys name nobody.
type Subject struct {
	Author mesh.PubKey
	Node   mesh.NodeKey
}

// SubjectOf completes a subject from the roster: the author to a machine's
// node, and a machine to its author, the one admitted last where he has several.
func (b *Book) SubjectOf(s Subject) Subject {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if s.Author == (mesh.PubKey{}) {
		if a := latest(b.mu.graph.machines[s.Node]); a != nil {
			s.Author = a.author
		}
	}
	if s.Node == (mesh.NodeKey{}) {
		if a := latest(b.mu.graph.admits[s.Author]); a != nil {
			s.Node = a.node
		}
	}
	return s
}

// DraftRemove ends a membership; another invite may begin a new one. The
// reason holds up to 256 bytes.
func (b *Book) DraftRemove(s Subject, reason string, at mesh.Unix) (mesh.Draft, error) {
	return b.draftRevocation(verbRemove, s, reason, at)
}

// DraftBan ends a membership until an admin lifts the ban.
func (b *Book) DraftBan(s Subject, reason string, at mesh.Unix) (mesh.Draft, error) {
	return b.draftRevocation(verbBan, s, reason, at)
}

func (b *Book) draftRevocation(v verb, s Subject, reason string, at mesh.Unix) (mesh.Draft, error) {
	if s == (Subject{}) {
		return mesh.Draft{}, fmt.Errorf("%s names nobody", v)
	}
	if len(reason) > maxReason {
		return mesh.Draft{}, fmt.Errorf("reason of %d bytes, limit %d", len(reason), maxReason)
	}
	s = b.SubjectOf(s)
	if s.Author == b.community.Founder {
		return mesh.Draft{}, fmt.Errorf("the founder cannot be %sed", map[verb]string{verbRemove: "remov", verbBan: "bann"}[v])
	}
	var tags [][]string
	if s.Author != (mesh.PubKey{}) {
		tags = append(tags, []string{"p", s.Author.String()})
	}
	if s.Node != (mesh.NodeKey{}) {
		tags = append(tags, []string{"node", s.Node.String()})
	}
	return b.draft(v, at, reason, tags...), nil
}

// DraftPass lets a guest post until a time, so many events an hour.
func (b *Book) DraftPass(guest mesh.PubKey, until time.Time, rate int, at mesh.Unix) (mesh.Draft, error) {
	if left := until.Sub(at.Time()); left <= 0 || left > MaxPass {
		return mesh.Draft{}, fmt.Errorf("pass lasts %v, allowed is up to %v", left, MaxPass)
	}
	if rate < 1 || rate > MaxPassRate {
		return mesh.Draft{}, fmt.Errorf("pass for %d events an hour, allowed are 1 to %d", rate, MaxPassRate)
	}
	return mesh.Draft{CreatedAt: at, Kind: mesh.KindPass, Tags: [][]string{
		{"op", "pass"},
		{"c", b.community.Tag()},
		{"p", guest.String()},
		{"until", strconv.FormatUint(uint64(mesh.UnixOf(until)), 10)},
		{"rate", strconv.Itoa(rate)},
	}}, nil
}

// DraftWorldPass is DraftPass for somebody out in the world, whom a gateway
// lets in by public relays: what he says stays off scarce carriers.
func (b *Book) DraftWorldPass(guest mesh.PubKey, until time.Time, rate int, at mesh.Unix) (mesh.Draft, error) {
	d, err := b.DraftPass(guest, until, rate, at)
	d.Tags = append(d.Tags, []string{"from", fromWorld})
	return d, err
}

// DraftRevoke ends a pass before its time.
func (b *Book) DraftRevoke(pass mesh.EventID, at mesh.Unix) mesh.Draft {
	return mesh.Draft{CreatedAt: at, Kind: mesh.KindPass, Tags: [][]string{
		{"op", "revoke"}, {"c", b.community.Tag()}, {"e", pass.String()},
	}}
}

// draft begins with the tags that every decision but the first has.
func (b *Book) draft(v verb, at mesh.Unix, content string, tags ...[]string) mesh.Draft {
	all := [][]string{{"op", string(v)}, {"c", b.community.Tag()}}
	heads := b.Heads()
	for _, h := range heads[:min(len(heads), maxHeads)] {
		all = append(all, []string{"e", h.String()})
	}
	return mesh.Draft{CreatedAt: at, Kind: mesh.KindRoster, Tags: append(all, tags...), Content: content}
}

func machineTags(record *mesh.PeerRecord, binding mesh.Signature) [][]string {
	return [][]string{
		{"record", base64.RawURLEncoding.EncodeToString(record.AppendBinary(nil))},
		{"bind", binding.String()},
	}
}

// Heads lists the decisions that count and that no other such has seen,
// sorted. A new decision names them.
func (b *Book) Heads() []mesh.EventID {
	b.mu.RLock()
	defer b.mu.RUnlock()
	order := b.mu.graph.order
	seen := make([]bool, len(order))
	var heads []mesh.EventID
	for i := len(order) - 1; i >= 0; i-- {
		v := order[i]
		if v.counts && !seen[i] {
			heads = append(heads, v.id())
		}
		for _, p := range v.parents {
			seen[p.index] = seen[p.index] || v.counts || seen[i]
		}
	}
	slices.SortFunc(heads, func(x, y mesh.EventID) int { return bytes.Compare(x[:], y[:]) })
	return heads
}
