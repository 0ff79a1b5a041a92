// Package webtest has a node that lives in memory, for tests of the API and of
// its clients.
package webtest

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"drey/mesh"
	"drey/web"
	"drey/web/lang"
)

// A Node is a web.Node in memory. It keeps everything, in order of receipt.
// Safe for concurrent use.
type Node struct {
	key *mesh.SecretKey  // immutable
	now func() time.Time // immutable

	mu struct {
		sync.Mutex
		records []*mesh.Record
		gone    map[mesh.EventID]mesh.Reason
		steps   map[mesh.EventID][]mesh.Step
		changed chan struct{} // closed at every change
		mail    []web.MailMessage
		files   map[string]*web.MailFile // by message
		peers   []web.PeerStatus
		topics  []mesh.Topic
		posts   int // how often Publish was called
		fail    error
		radio   string // states of its carriers
		nostr   string
		town    Town
		changes []web.MemberChange
		joins   []web.JoinRequest
	}
}

// New returns an empty node whose own key is key. A nil now means time.Now.
func New(key *mesh.SecretKey, now func() time.Time) *Node {
	if now == nil {
		now = time.Now
	}
	n := &Node{key: key, now: now}
	n.mu.gone = make(map[mesh.EventID]mesh.Reason)
	n.mu.steps = make(map[mesh.EventID][]mesh.Step)
	n.mu.changed = make(chan struct{})
	n.mu.topics = mesh.BuiltinTopics()
	n.mu.radio, n.mu.nostr = "ready", "ready"
	return n
}

// Fail makes every later call answer err; nil mends the node.
func (n *Node) Fail(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mu.fail = err
}

// Carriers sets the states that Status tells of the radio and of the relays;
// both are "ready" at first.
func (n *Node) Carriers(radio, nostr string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mu.radio, n.mu.nostr = radio, nostr
}

// Posts returns how often Publish was called.
func (n *Node) Posts() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.mu.posts
}

// Receive keeps an event as if a carrier had brought it.
func (n *Node) Receive(e *mesh.Event, t mesh.Topic, carrier string, f mesh.Flags) *mesh.Record {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.keepLocked(&mesh.Record{Event: e, Topic: t, Carrier: carrier, Flags: f})
}

// Forget replaces an event by a tombstone.
func (n *Node) Forget(id mesh.EventID, why mesh.Reason) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mu.gone[id] = why
	for i, r := range n.mu.records {
		if r != nil && r.Event.ID() == id {
			n.mu.records[i] = nil // the places of the others stay
		}
	}
}

// Note adds a line to an event's history.
func (n *Node) Note(id mesh.EventID, carrier, state string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mu.steps[id] = append(n.mu.steps[id], mesh.Step{At: n.now(), Carrier: carrier, State: state})
	n.wakeLocked()
}

func (n *Node) wakeLocked() {
	close(n.mu.changed)
	n.mu.changed = make(chan struct{})
}

func (n *Node) keepLocked(r *mesh.Record) *mesh.Record {
	r.Received, r.Seq = n.now(), uint64(len(n.mu.records))+1
	n.mu.records = append(n.mu.records, r)
	n.mu.steps[r.Event.ID()] = append(n.mu.steps[r.Event.ID()], mesh.Step{At: r.Received, State: "saved"})
	n.wakeLocked()
	return r
}

// Beginning implements web.Reader.
func (n *Node) Beginning(_ context.Context, prefix string, most int) ([]mesh.EventID, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var ids []mesh.EventID
	for _, r := range n.mu.records {
		if r != nil && len(ids) < most && strings.HasPrefix(r.Event.ID().String(), prefix) {
			ids = append(ids, r.Event.ID())
		}
	}
	return ids, n.mu.fail
}

// Record implements web.Reader.
func (n *Node) Record(_ context.Context, id mesh.EventID, v mesh.Viewer) (*mesh.Record, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.mu.fail != nil {
		return nil, n.mu.fail
	}
	if why, ok := n.mu.gone[id]; ok {
		return nil, &mesh.GoneError{ID: id, Reason: why}
	}
	for _, r := range n.mu.records {
		if r != nil && r.Event.ID() == id && mesh.Visible(r.Event, r.Topic, v) {
			return r, nil
		}
	}
	return nil, mesh.ErrNotFound
}

// Records implements web.Reader.
func (n *Node) Records(_ context.Context, f mesh.Filter, v mesh.Viewer) iter.Seq2[*mesh.Record, error] {
	return func(yield func(*mesh.Record, error) bool) {
		n.mu.Lock()
		list, err := slices.Clone(n.mu.records), n.mu.fail
		n.mu.Unlock()
		if err != nil {
			yield(nil, err)
			return
		}
		if f.Order != mesh.ReceiptFirst {
			slices.Reverse(list)
		}
		sent := 0
		for _, r := range list {
			if r == nil || !f.Matches(r) || !mesh.Visible(r.Event, r.Topic, v) {
				continue
			}
			if sent++; f.Limit > 0 && sent > f.Limit || !yield(r, nil) {
				return
			}
		}
	}
}

// Watch implements web.Reader.
func (n *Node) Watch(ctx context.Context, f mesh.Filter, v mesh.Viewer) iter.Seq2[*mesh.Record, error] {
	return func(yield func(*mesh.Record, error) bool) {
		for next := int(f.After); ; {
			n.mu.Lock()
			list, changed, err := slices.Clone(n.mu.records[min(next, len(n.mu.records)):]), n.mu.changed, n.mu.fail
			n.mu.Unlock()
			if err != nil {
				yield(nil, err)
				return
			}
			for _, r := range list {
				next++
				if r != nil && f.Matches(r) && mesh.Visible(r.Event, r.Topic, v) && !yield(r, nil) {
					return
				}
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}
}

// History implements web.Reader.
func (n *Node) History(_ context.Context, id mesh.EventID) ([]mesh.Step, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.mu.steps[id]), n.mu.fail
}

// WatchHistory implements web.Reader.
func (n *Node) WatchHistory(ctx context.Context, id mesh.EventID) iter.Seq2[mesh.Step, error] {
	return func(yield func(mesh.Step, error) bool) {
		for next := 0; ; {
			n.mu.Lock()
			list, changed := slices.Clone(n.mu.steps[id][next:]), n.mu.changed
			n.mu.Unlock()
			for _, s := range list {
				next++
				if !yield(s, nil) {
					return
				}
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}
}

// Topics implements web.Reader.
func (n *Node) Topics(context.Context) []mesh.Topic {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Sorted(slices.Values(n.mu.topics))
}

// Publish implements web.Writer.
func (n *Node) Publish(_ context.Context, p web.Post) (*mesh.Record, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mu.posts++
	if n.mu.fail != nil {
		return nil, n.mu.fail
	}
	d := p.Draft()
	// Two equal texts of one second are still two messages.
	d.CreatedAt = mesh.UnixOf(n.now()) + mesh.Unix(n.mu.posts)
	e, err := n.key.Sign(d)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(n.mu.topics, p.Topic) {
		n.mu.topics = append(n.mu.topics, p.Topic)
	}
	var f mesh.Flags
	if p.Guest != "" {
		f |= mesh.FlagGuest
	}
	if mesh.Urgent(e) {
		f |= mesh.FlagEmergency
	}
	return n.keepLocked(&mesh.Record{Event: e, Topic: p.Topic, Flags: f}), nil
}

// Accept implements web.Writer.
func (n *Node) Accept(_ context.Context, e *mesh.Event, from web.Door) error {
	if err := e.Verify(); err != nil {
		return err
	}
	topics := n.Topics(context.Background())
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.mu.fail != nil {
		return n.mu.fail
	}
	if n.mu.steps[e.ID()] != nil {
		return mesh.ErrDuplicate
	}
	t := from.Topic
	if t == "" {
		t, _ = mesh.TopicFor(e, func(t mesh.Topic) bool { return slices.Contains(topics, t) },
			func(mesh.EventID) (mesh.Topic, bool) { return "", false })
	}
	n.keepLocked(&mesh.Record{Event: e, Topic: t})
	return nil
}

// Flush implements web.Writer.
func (n *Node) Flush(context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.mu.fail
}

// Status implements web.Node.
func (n *Node) Status(context.Context) (web.Status, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	st := web.Status{
		Node:      web.NodeStatus{Name: "Old School", NPub: "npub1test", PeerID: "12D3KooWtest", Address: "200::1", Version: "test"},
		Community: web.CommunityStatus{Name: "Oakwood", Tag: "0011223344556677", Members: 2},
		Overlay:   web.OverlayStatus{Listen: []string{"tls://192.0.2.1:3740"}, Peers: slices.Clone(n.mu.peers)},
		Finding:   web.FindingStatus{Mode: "local"},
		PubSub:    web.PubSubStatus{Peers: 1, Topics: len(n.mu.topics)},
		Radio:     web.RadioStatus{State: n.mu.radio, Device: "/dev/ttyACM0", Region: "EU_868", Preset: "LONG_FAST"},
		Nostr:     web.NostrStatus{State: n.mu.nostr, Gateway: n.mu.nostr == "ready"},
		Store:     web.StoreStatus{Events: int64(len(n.mu.records)), Bytes: 4096},
		Refused:   map[string]uint64{"invalid": 3},
		Problems:  []web.Problem{{Code: "clock", What: "the clock is wrong"}},
	}
	if n.mu.town.Links != nil {
		st.Overlay.Peers = slices.Clone(n.mu.town.Links)
	}
	if n.mu.town.Radio != nil {
		st.Radio = *n.mu.town.Radio
	}
	if n.mu.town.Relays != nil {
		st.Nostr.Relays = slices.Clone(n.mu.town.Relays)
	}
	return st, n.mu.fail
}

// Samples implements web.Node.
func (n *Node) Samples(context.Context) []web.Sample {
	return []web.Sample{{Name: "drey_queue_length", Help: "Deliveries that wait.", Labels: map[string]string{"carrier": "radio"}, Value: 2}}
}

// Doctor implements web.Node.
func (n *Node) Doctor(context.Context) ([]web.Check, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.mu.town.Checks != nil {
		return slices.Clone(n.mu.town.Checks), n.mu.fail
	}
	return []web.Check{{Name: "clock", OK: true}, {Name: "disk", Problem: &web.Problem{Code: "disk", What: "the disk is full"}}}, nil
}

// Peers implements web.Links.
func (n *Node) Peers(context.Context) ([]web.PeerStatus, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.mu.peers), n.mu.fail
}

// AddPeer implements web.Links.
func (n *Node) AddPeer(_ context.Context, uri string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mu.peers = append(n.mu.peers, web.PeerStatus{URI: uri, Up: true, RTTMS: 1.5, Source: "cli"})
	return n.mu.fail
}

// RemovePeer implements web.Links.
func (n *Node) RemovePeer(_ context.Context, uri string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	before := len(n.mu.peers)
	n.mu.peers = slices.DeleteFunc(n.mu.peers, func(p web.PeerStatus) bool { return p.URI == uri })
	if len(n.mu.peers) == before {
		return mesh.ErrNotFound
	}
	return nil
}

// Ping implements web.Links.
func (n *Node) Ping(_ context.Context, peer string) (time.Duration, error) {
	if peer == "nobody" {
		return 0, mesh.ErrNotFound
	}
	return 12500 * time.Microsecond, nil
}

// Members implements web.Belonging.
func (n *Node) Members(context.Context) ([]web.Member, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.mu.town.Members != nil {
		return slices.Clone(n.mu.town.Members), n.mu.fail
	}
	return []web.Member{{Name: "Old School", NPub: "npub1test", Standing: mesh.Founder.String(), Self: true}}, nil
}

// ChangeMembers implements web.Belonging.
func (n *Node) ChangeMembers(_ context.Context, c web.MemberChange) (*web.MemberChanged, error) {
	n.mu.Lock()
	n.mu.changes = append(n.mu.changes, c)
	n.mu.Unlock()
	if c.Who == "nobody" {
		return nil, mesh.ErrNotFound
	}
	return &web.MemberChanged{Done: !c.Preview, Effects: []string{c.Who + " does not belong: nothing changes"}, Said: []lang.Phrase{lang.Say("effects.no-member", "who", c.Who)}}, nil
}

// Invite implements web.Belonging.
func (n *Node) Invite(_ context.Context, r web.InviteRequest) (*web.Invite, error) {
	return &web.Invite{URL: "HTTP://192.0.2.1:3739/J/AAAA", Uses: r.Uses, Phone: r.Phone,
		Expires: n.now().Add(time.Duration(r.TTLMS) * time.Millisecond).Unix()}, nil
}

// Join implements web.Belonging.
func (n *Node) Join(_ context.Context, r web.JoinRequest) (*web.Joined, error) {
	n.mu.Lock()
	n.mu.joins = append(n.mu.joins, r)
	n.mu.Unlock()
	if r.Invite == "burnt" {
		return nil, web.NewError(web.CodeGone, "this invite was used already", "it works once", "ask for a new one", errors.New("burnt"))
	}
	j := &web.Joined{Now: web.CommunityStatus{Name: "Elsewhere", Members: 3}, Inviter: "npub1inviter"}
	if r.Preview {
		j.Preview, j.Effects, j.Said = true, []string{"this node belongs there already: nothing changes"}, []lang.Phrase{lang.Say("effects.join-same")}
	}
	return j, nil
}

var _ web.Node = (*Node)(nil)
