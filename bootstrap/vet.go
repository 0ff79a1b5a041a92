package bootstrap

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"drey/mesh"
)

// A Refusal says why a candidate came to nothing. They are counted by finder.
type Refusal string

// The refusals. Their names never change.
const (
	RefusedForm       Refusal = "malformed"
	RefusedSize       Refusal = "oversized"
	RefusedSealed     Refusal = "sealed"     // for another community, or under a secret that this node missed
	RefusedSelf       Refusal = "self"       // of this node
	RefusedCommunity  Refusal = "community"  // of another one
	RefusedStranger   Refusal = "stranger"   // not on the roster, and nothing shows that it knows the secret
	RefusedBanned     Refusal = "banned"     //
	RefusedSuperseded Refusal = "superseded" // a newer one is known: replayed, or out of date
	RefusedForged     Refusal = "forged"     // the signature does not hold
	RefusedFlood      Refusal = "flood"      // too many at once
	RefusedForeign    Refusal = "foreign"    // answered, but does not belong
)

// A vetted candidate is one that may be called.
type vetted struct {
	node    mesh.NodeKey     // zero for a URI without a key
	record  *mesh.PeerRecord // nil for a URI
	vouched bool             // on the roster; nobody is in an open community
	uri     string           // of a candidate without a record
}

// A bouncer looks at candidates. It holds no state.
type bouncer struct {
	self    mesh.NodeKey
	roster  mesh.Roster
	secrets func() []mesh.Secret
	newest  func(mesh.NodeKey) *mesh.PeerRecord // the record known of a node, or nil
	outdo   func(seq uint32)                    // a record of this very node was met
}

// look checks a candidate, what costs least first. The signature comes last
// and is checked only of a record that would change something.
func (b *bouncer) look(c Candidate, now time.Time) (vetted, Refusal) {
	if c.Record == nil {
		return b.lookAtURI(c.URI)
	}
	if len(c.Record) > mesh.MaxSealedRecord {
		return vetted{}, RefusedSize
	}
	r, sealed, err := mesh.OpenRecord(c.Record, b.secrets())
	switch {
	case errors.Is(err, mesh.ErrSealed):
		return vetted{}, RefusedSealed
	case err != nil && !sealed && len(c.Record) > mesh.MaxPeerRecord:
		return vetted{}, RefusedSize
	case err != nil:
		return vetted{}, RefusedForm
	}
	sealed = sealed || c.Proved
	community := b.roster.Community()
	vouched := !community.Open && b.roster.Admits(r.Node)
	switch {
	case r.Node == b.self:
		return vetted{}, b.lookAtSelf(r)
	case r.Community != [8]byte(community.ID[:8]) && (r.Community != [8]byte{} || !vouched && !sealed && !community.Open):
		return vetted{}, RefusedCommunity
	case b.roster.Standing(r.Author, now) == mesh.Banned:
		return vetted{}, RefusedBanned
	case !vouched && !sealed && !community.Open:
		return vetted{}, RefusedStranger
	}
	v := vetted{node: r.Node, record: r, vouched: vouched}
	if old := b.newest(r.Node); old != nil {
		if old.Seq == r.Seq && old.Signature == r.Signature && string(old.AppendBinary(nil)) == string(r.AppendBinary(nil)) {
			return v, "" // the same again
		}
		if !r.Supersedes(old) {
			return vetted{}, RefusedSuperseded
		}
	}
	if r.Verify() != nil {
		return vetted{}, RefusedForged
	}
	return v, ""
}

// lookAtSelf learns from a record of this very node that this node has
// forgotten: the next must count more.
func (b *bouncer) lookAtSelf(r *mesh.PeerRecord) Refusal {
	if r.Verify() != nil {
		return RefusedForged
	}
	b.outdo(r.Seq)
	return RefusedSelf
}

func (b *bouncer) lookAtURI(uri string) (vetted, Refusal) {
	if len(uri) > maxURI {
		return vetted{}, RefusedSize
	}
	bare, node, err := splitURI(uri)
	switch {
	case err != nil:
		return vetted{}, RefusedForm
	case node == b.self:
		return vetted{}, RefusedSelf
	}
	vouched := node != mesh.NodeKey{} && !b.roster.Community().Open && b.roster.Admits(node)
	return vetted{node: node, uri: bare, vouched: vouched}, ""
}

// underlaySchemes are the schemes that are called. A node answers web requests
// at its other endpoints, which do not make links.
const underlaySchemes = " tcp tls quic ws wss "

// splitURI takes a candidate's URI apart: what to call, without a query, and
// the key that ?key= names. Everything else in the query is left out: nobody
// but the operator may set passwords and pauses.
func splitURI(uri string) (bare string, node mesh.NodeKey, err error) {
	u, err := url.Parse(uri)
	if err != nil || u.Host == "" || u.Port() == "" || u.User != nil || u.Opaque != "" ||
		!strings.Contains(underlaySchemes, " "+strings.ToLower(u.Scheme)+" ") {
		return "", node, fmt.Errorf("%.80q is not an underlay address", uri)
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil && (a.IsUnspecified() || a.IsMulticast()) {
		return "", node, fmt.Errorf("%s cannot be called", a)
	}
	if key := u.Query().Get("key"); key != "" {
		if node, err = mesh.ParseNodeKey(key); err != nil {
			return "", node, err
		}
	}
	bare = (&url.URL{Scheme: strings.ToLower(u.Scheme), Host: u.Host, Path: u.Path}).String()
	if again, err := url.Parse(bare); err != nil || again.Host != u.Host || again.String() != bare {
		return "", node, fmt.Errorf("%.80q is not an underlay address: no address is spelled so", uri)
	}
	return bare, node, nil
}

// pinned returns a URI with the key that must answer.
func pinned(bare string, node mesh.NodeKey) string {
	if node == (mesh.NodeKey{}) {
		return bare
	}
	return bare + "?key=" + node.String()
}
