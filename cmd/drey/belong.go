package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"drey/bootstrap"
	"drey/configs"
	"drey/mesh"
	"drey/mesh/roster"
	"drey/overlay"
	"drey/store"
)

// belong makes sure that a home belongs to a community before its node starts:
// the one of an invite, the open one of a name, the one it belongs to already,
// or a new one of its own.
func (s *session) belong(ctx context.Context, set setup, f upFlags) error {
	switch {
	case f.join != "":
		invite, err := s.readInvite(f.join)
		if err != nil {
			return err
		}
		return s.joinFirst(ctx, set, joining{invite: invite, leave: f.leave, yes: true})
	case f.open != "":
		return set.home.enterOpen(f.open)
	}
	_, err := set.home.readMembership()
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	m, err := bootstrap.Found(set.who.Author.PubKey(), set.name)
	if err != nil {
		return err
	}
	return set.home.writeMembership(m)
}

// joinPatience is how long a node that may start without the inviting machine
// asks for it.
const joinPatience = 5 * time.Second

// joinFirst redeems the invite of 'up --join'. Service managers give it at every
// start: who belongs where the inviting machine does starts without it, too.
func (s *session) joinFirst(ctx context.Context, set setup, j joining) error {
	m, err := set.home.readMembership()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if m != nil {
		book, err := readRoster(ctx, set.home, m)
		if err != nil {
			return err
		}
		if m.Community.Open || !book.Admits(set.who.NodeKey()) || !book.Admits(j.invite.Node) {
			m = nil
		}
	}
	within, stop := ctx, context.CancelFunc(func() {})
	if m != nil {
		within, stop = context.WithTimeout(ctx, joinPatience)
	}
	defer stop()
	_, err = s.joinHome(within, set, j)
	if err == nil || m == nil || ctx.Err() != nil {
		return err
	}
	fmt.Fprintf(s.err, "the invite was not taken (%s); this node belongs to %s already, as the inviting machine does, and starts\n", plain(err.Error(), false), plain(m.Community.Name, false))
	return nil
}

// refuseTwin keeps a home that came from elsewhere from starting while the
// machine it came from is online.
func (s *session) refuseTwin(ctx context.Context, set setup) error {
	if !set.home.mayHaveTwin() {
		return set.home.settleHere()
	}
	fmt.Fprintln(s.err, "this home was restored or copied; for 10 s at most:\nasking the network whether its identity is online elsewhere")
	m, err := set.home.readMembership()
	if err != nil {
		return err
	}
	peers, err := set.home.allPeers(ctx, set.conf, m)
	if err != nil {
		return err
	}
	found, err := lookForTwin(ctx, m.Community, set.who.NodeKey(), overlay.Config{Peers: peers, LAN: set.conf.Overlay.LAN}, set.log.With("part", "twin"))
	if err != nil && ctx.Err() == nil {
		return err
	}
	switch found {
	case twinOnline:
		return failf(exitError, "switch the other machine off for good, then start this one; 'drey help twin' tells why",
			"this node's identity is online on another machine already")
	case twinUnknown:
		fmt.Fprintln(s.err, "no other machine could be reached, so nobody could tell; the next start asks again")
		return nil
	}
	fmt.Fprintln(s.err, "nobody answers under its address: this machine is the node now")
	return set.home.settleHere()
}

// introduce makes the roster of a new community begin with this node, and
// tells others this node's name.
func (p *parts) introduce(ctx context.Context) error {
	own := p.membership.Community.Founder == p.who.Author.PubKey() && !p.membership.Community.Open
	if own && p.book.Counts().Decisions == 0 {
		e, err := roster.Found(p.who, p.membership, p.record(), p.name, mesh.UnixOf(p.clock()))
		if err != nil {
			return err
		}
		if err := p.accept(ctx, e); err != nil {
			return fmt.Errorf("found the community: %w", err)
		}
	}
	if p.nameOf(p.who.Author.PubKey()) == p.name {
		return nil
	}
	profile, err := json.Marshal(map[string]string{"name": p.name})
	if err != nil {
		return err
	}
	draft := mesh.Draft{Kind: mesh.KindProfile, Content: string(profile)}
	_, err = p.say(ctx, mesh.TopicPeople, draft)
	if _, gone := errors.AsType[*mesh.GoneError](err); gone && pause(ctx, sameSecond) {
		_, err = p.say(ctx, mesh.TopicPeople, draft) // the last name is of this very second, and won
	}
	if err != nil && ctx.Err() == nil {
		p.log.Warn("name not published", "err", err) // not a member any more, or a full disk: status tells
	}
	return nil
}

// sameSecond is how long a second profile waits so that it counts as newer:
// events carry whole seconds.
const sameSecond = 1100 * time.Millisecond

// nameOf returns the name in an author's newest profile, "" where there is
// none.
func (p *parts) nameOf(k mesh.PubKey) string {
	f := mesh.Filter{Authors: []mesh.PubKey{k}, Kinds: []mesh.Kind{mesh.KindProfile}, Limit: 1}
	for r, err := range p.store.Records(context.Background(), f, mesh.Self) {
		if err == nil {
			return profileName(r.Event)
		}
	}
	return ""
}

// An admitter is the node as the invite door sees it.
type admitter struct{ *parts }

// Membership returns what a newcomer must know.
func (a admitter) Membership() *mesh.Membership { return a.keys.now() }

// Record returns what this node says of itself.
func (a admitter) Record() *mesh.PeerRecord { return a.record() }

// Preview returns who invites and how many belong.
func (a admitter) Preview() (string, int) {
	if a.membership.Community.Open {
		return a.name, 0
	}
	return a.name, a.members()
}

// Admit makes a joiner a member, on disk when it returns.
func (a admitter) Admit(ctx context.Context, j *bootstrap.Joiner) error {
	if a.membership.Community.Open || a.book.Admits(j.Record.Node) {
		return nil
	}
	if a.book.Standing(a.who.Author.PubKey(), a.clock()) < mesh.Admin {
		return bootstrap.ErrRefused
	}
	d, err := a.book.DraftAdmit(j.Record, j.Binding, j.Name, mesh.UnixOf(a.clock()))
	if errors.Is(err, roster.ErrBanned) {
		return bootstrap.ErrBanned
	}
	if err != nil {
		return err
	}
	_, err = a.say(ctx, mesh.TopicRegistry, d)
	return err
}

// maxWaiting bounds the machines that wait at one machine's door.
const maxWaiting = 32

// askStands is how long a request to belong stands.
const askStands = 24 * time.Hour

// Ask passes on to the admins that a machine wants to belong.
func (a admitter) Ask(ctx context.Context, j *bootstrap.Joiner) error {
	if a.membership.Community.Open || a.book.Admits(j.Record.Node) {
		return nil
	}
	if a.book.Banned(j.Record.Node, j.Record.Author) {
		return bootstrap.ErrBanned
	}
	own := a.who.Author.PubKey()
	if a.book.Standing(own, a.clock()) < mesh.Machine {
		return bootstrap.ErrRefused
	}
	waiting := 0
	for _, r := range a.book.Requests(a.clock()) {
		if r.Record.Node == j.Record.Node {
			return bootstrap.ErrWaiting
		}
		if r.Issuer == own {
			waiting++
		}
	}
	if waiting >= maxWaiting {
		return bootstrap.ErrBusy
	}
	if _, err := a.say(ctx, mesh.TopicRegistry, a.book.DraftAsk(j.Record, j.Binding, j.Name, a.clock().Add(askStands), a.now())); err != nil {
		return err
	}
	a.log.Info("machine asks to belong", "node", j.Record.Node, "name", j.Name)
	return bootstrap.ErrWaiting
}

// Roster returns the decisions a newcomer needs.
func (a admitter) Roster(newcomer mesh.NodeKey) []*mesh.Event { return a.book.Introduce(newcomer) }

// A rosterBook is the roster as two nodes exchange it when they meet. Passes
// come by sync, like everything else.
type rosterBook struct {
	*roster.Book
	*parts
}

// Merge takes another node's events: what holds counts when it returns.
func (b rosterBook) Merge(ctx context.Context, events []*mesh.Event) error {
	for _, e := range events {
		if k := e.Kind(); k != mesh.KindRoster && k != mesh.KindPass {
			continue
		}
		if err := b.accept(ctx, e); err != nil && !harmless(err) {
			return err
		}
	}
	return nil
}

// harmless reports whether an event was refused for reasons of its own.
func harmless(err error) bool {
	_, gone := errors.AsType[*mesh.GoneError](err)
	return gone || errors.Is(err, mesh.ErrDuplicate) || errors.Is(err, mesh.ErrInvalid) || errors.Is(err, mesh.ErrExpired) ||
		errors.Is(err, mesh.ErrRefused) || errors.Is(err, mesh.ErrUnknownAuthor) ||
		errors.Is(err, mesh.ErrBusy) // no room for it now: the next exchange shows it again
}

// allPeers lists the underlay URIs to call: the configured ones, those that
// 'drey peers add' added and the inviter's.
func (h home) allPeers(ctx context.Context, conf configs.Config, m *mesh.Membership) ([]string, error) {
	peers, err := conf.Overlay.PeerURIs()
	if err != nil {
		return nil, configFault(err)
	}
	path := h.store(m.Community.Tag())
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return peers, nil
	}
	st, err := store.Open(ctx, store.Config{Path: path})
	if err != nil {
		return nil, err
	}
	defer st.Close()
	kept, err := keptPeers(ctx, st.Shelf("wire"))
	return append(peers, kept...), err
}

// keptPeers reads the underlay URIs that are called beside the configured
// ones.
func keptPeers(ctx context.Context, shelf mesh.Shelf) ([]string, error) {
	b, err := shelf.Value(ctx, peersKey)
	if errors.Is(err, mesh.ErrNotFound) {
		return nil, nil
	}
	return strings.Fields(string(b)), err
}

// keepPeers changes the underlay URIs that are called beside the configured
// ones.
func (p *parts) keepPeers(ctx context.Context, change func([]string) []string) error {
	uris, err := keptPeers(ctx, p.store.Shelf("wire"))
	if err != nil {
		return err
	}
	after := change(slices.Clone(uris))
	if slices.Equal(uris, after) {
		return nil
	}
	return p.store.Shelf("wire").Put(ctx, peersKey, []byte(strings.Join(after, "\n")))
}
