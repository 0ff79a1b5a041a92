package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"time"

	"drey/bootstrap"
	"drey/mesh"
	"drey/overlay"
	"drey/store"
	"drey/web"
	"drey/web/lang"
)

// An api is the node as package web sees it.
type api struct{ *parts }

var _ web.Node = api{}

// Record returns one event.
func (a api) Record(ctx context.Context, id mesh.EventID, v mesh.Viewer) (*mesh.Record, error) {
	return a.store.Record(ctx, id, v)
}

// Beginning lists the ids that begin so.
func (a api) Beginning(ctx context.Context, prefix string, most int) ([]mesh.EventID, error) {
	return a.store.Beginning(ctx, prefix, most)
}

// Records yields what matches.
func (a api) Records(ctx context.Context, f mesh.Filter, v mesh.Viewer) iter.Seq2[*mesh.Record, error] {
	return a.store.Records(ctx, f, v)
}

// Watch yields what matches, then what comes in.
func (a api) Watch(ctx context.Context, f mesh.Filter, v mesh.Viewer) iter.Seq2[*mesh.Record, error] {
	return a.hub.Watch(ctx, f, v)
}

// History returns what became of an event.
func (a api) History(ctx context.Context, id mesh.EventID) ([]mesh.Step, error) {
	return a.hub.History(ctx, id)
}

// WatchHistory yields what becomes of an event.
func (a api) WatchHistory(ctx context.Context, id mesh.EventID) iter.Seq2[mesh.Step, error] {
	return a.hub.WatchHistory(ctx, id)
}

// Topics lists the topics that exist.
func (a api) Topics(context.Context) []mesh.Topic { return a.hub.Topics() }

// Peers lists the underlay links.
func (a api) Peers(context.Context) ([]web.PeerStatus, error) {
	return peerStatuses(a.overlay.Links()), nil
}

func peerStatuses(links []overlay.Link) []web.PeerStatus {
	all := make([]web.PeerStatus, 0, len(links))
	for _, l := range links {
		s := web.PeerStatus{
			URI: l.URI, Up: l.Up, RTTMS: float64(l.RTT.Microseconds()) / 1000, Source: sourceName(l.Source), Error: l.Err,
		}
		if l.Key != (mesh.NodeKey{}) {
			s.Key = l.Key.String()
		}
		all = append(all, s)
	}
	return all
}

// sourceName is a link's source in the words of the status.
func sourceName(s overlay.Source) string {
	if s == overlay.SourceStatic {
		return "config"
	}
	return string(s)
}

// AddPeer calls an underlay URI from now on, also after a restart.
func (a api) AddPeer(ctx context.Context, uri string) error {
	if err := a.overlay.AddPeer(uri); err != nil {
		return web.NewError(web.CodeUsage, "this peer cannot be added", err.Error(), "peers look like tls://192.0.2.7:3740", err)
	}
	return a.keepPeers(ctx, func(uris []string) []string {
		if slices.Contains(uris, uri) {
			return uris
		}
		return append(uris, uri)
	})
}

// RemovePeer hangs up on an underlay URI, also after a restart.
func (a api) RemovePeer(ctx context.Context, uri string) error {
	known, err := a.finders.Forget(ctx, uri)
	if err != nil {
		return err
	}
	if err := a.overlay.RemovePeer(uri); err != nil && !(known && errors.Is(err, mesh.ErrNotFound)) {
		return err
	}
	bare := bareURI(uri)
	return a.keepPeers(ctx, func(uris []string) []string {
		return slices.DeleteFunc(uris, func(u string) bool {
			u = bareURI(u)
			return u == bare
		})
	})
}

// Ping measures the round trip to a machine, named by its key, address or the
// URI of a link to it.
func (a api) Ping(ctx context.Context, name string) (time.Duration, error) {
	key, err := a.findNode(name)
	if err != nil {
		return 0, err
	}
	if !a.book.Admits(key) {
		return 0, web.NewError(web.CodeRefused, "this machine is not of the community", "strangers do not answer", "'drey members ls' lists those who do", nil)
	}
	return a.overlay.Ping(ctx, key)
}

func (a api) findNode(name string) (mesh.NodeKey, error) {
	if key, err := mesh.ParseNodeKey(strings.ToLower(name)); err == nil {
		return key, nil
	}
	at, addrErr := netip.ParseAddr(name)
	for _, key := range a.book.Nodes() {
		if addrErr == nil && overlay.AddressOf(key) == at {
			return key, nil
		}
	}
	bare := bareURI(name)
	for _, l := range a.overlay.Links() {
		if l.URI == bare && l.Key != (mesh.NodeKey{}) {
			return l.Key, nil
		}
	}
	for _, m := range a.book.Members() {
		if m.Name == name && m.Node != (mesh.NodeKey{}) {
			return m.Node, nil
		}
	}
	return mesh.NodeKey{}, web.NewError(web.CodeNotFound, fmt.Sprintf("no machine is called %.80q", name), "", "'drey members ls' and 'drey peers ls' list keys and addresses", nil)
}

// Status tells how the node fares.
func (a api) Status(ctx context.Context) (web.Status, error) {
	stats, err := a.store.Stats(ctx)
	if err != nil {
		return web.Status{}, err
	}
	key := a.who.NodeKey()
	st := a.glance()
	st.Node = web.NodeStatus{
		Name: a.name, NPub: a.who.Author.PubKey().NPub(), PeerID: peerID(key), Address: overlayAddress(key),
		Version: release, UptimeMS: a.clock().Sub(a.began).Milliseconds(),
	}
	st.Overlay.Listen = a.overlay.Listening()
	st.Finding = a.findingStatus()
	st.Nostr = a.relayStatuses()
	st.Mail = a.mailStatus()
	st.Store = web.StoreStatus{Events: int64(stats.Events), Bytes: stats.Bytes}
	st.Refused = a.hub.Refused()
	for reason, n := range a.overlay.Refused() {
		st.Refused[reason] = n
	}
	for reason, n := range a.finders.Refused() {
		st.Refused["finder-"+string(reason)] = n
	}
	st.Problems = problemsOf(a.checks(st, linkPatienceUsual))
	if len(st.Problems) > 0 {
		st.Health = web.HealthDegraded
	}
	return st, nil
}

// look is the whole status, or a glance where that cannot be had.
func (a api) look(ctx context.Context) web.Status {
	st, err := a.Status(ctx)
	if err != nil {
		return a.glance()
	}
	return st
}

// glance is the part of a status that costs next to nothing: it asks neither
// the machine nor the disk.
func (a api) glance() web.Status {
	gossip := a.gossip.Status()
	return web.Status{
		Community: a.communityStatus(),
		Overlay:   web.OverlayStatus{Peers: peerStatuses(a.overlay.Links())},
		PubSub:    web.PubSubStatus{Peers: gossip.Peers, Topics: gossip.Topics},
		Radio:     radioStatus(a.radio),
	}
}

// checks looks at the machine and at the node's own status.
func (a api) checks(st web.Status, patience time.Duration) []web.Check {
	checks := localChecks(a.home, a.conf, true, a.clock())
	r := a.reachOf(patience)
	checks = append(checks, r.checks()...)
	checks = append(checks, radioCheck(st.Radio)...)
	checks = append(checks, relayCheck(st.Nostr, a.clock().Sub(a.began))...)
	checks = append(checks, a.secretChecks()...)
	if c, differs := compareClocks(a.clocks.look()); differs && !a.clock().Before(built()) {
		checks = slices.DeleteFunc(checks, func(c web.Check) bool { return c.Name == "clock" })
		checks = append(checks, c)
	}
	if stats, err := a.store.Stats(context.Background()); err == nil && stats.Fault != nil {
		checks = append(checks, storeFault(stats.Fault))
	}
	if ills := radioChecks(a.radio, a.conf.Radio.Device); len(ills) > 0 {
		checks = slices.DeleteFunc(checks, func(c web.Check) bool { return c.Name == "radio" })
		checks = append(checks, ills...)
	}
	return checks
}

// secretChecks tells whether the community's secret is where it belongs.
func (a api) secretChecks() []web.Check {
	if a.membership.Community.Open {
		return nil
	}
	if a.keys.lacking() {
		return []web.Check{ill("secret", "secret-missing", "checks.secret-missing")}
	}
	if n := a.book.RotationDue(); n > 0 && a.book.Standing(a.who.Author.PubKey(), a.clock()) >= mesh.Admin {
		return []web.Check{ill("secret", "rotation-due", "checks.rotation-due", "n", n)}
	}
	return []web.Check{well("secret", "checks.ok-secret", "n", int(a.keys.now().Epochs[0].Number))}
}

func problemsOf(checks []web.Check) []web.Problem {
	var all []web.Problem
	for _, c := range rootCausesFirst(checks) {
		if c.Problem != nil {
			all = append(all, *c.Problem)
		}
	}
	return all
}

func (a api) communityStatus() web.CommunityStatus {
	c := a.membership.Community
	return web.CommunityStatus{Name: c.Name, Tag: c.Tag(), Members: a.members(), Open: c.Open}
}

// members counts who belongs; in an open community those in contact and this
// node, as nobody keeps a list.
func (p *parts) members() int {
	if p.membership.Community.Open {
		return p.gossip.Status().Peers + 1
	}
	return standing(p.book)
}

// Samples are figures for /metrics.
func (a api) Samples(ctx context.Context) []web.Sample {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	all := []web.Sample{
		{Name: "drey_goroutines", Help: "Goroutines of the process.", Value: float64(runtime.NumGoroutine())},
		{Name: "drey_memory_bytes", Help: "Memory taken from the system.", Value: float64(m.Sys)},
	}
	g := a.gossip.Status()
	for queue, n := range g.Dropped {
		all = append(all, web.Sample{Name: "drey_gossip_dropped_total", Help: "What did not fit into a queue of gossip.", Labels: map[string]string{"queue": queue}, Value: float64(n), Counter: true})
	}
	r, shared := a.radio.Status(), a.radio.Shared()
	all = append(all, a.relaySamples()...)
	all = append(all, a.poolSamples()...)
	all = append(all, a.bridgeSamples()...)
	all = append(all, a.mailSamples()...)
	return append(all,
		web.Sample{Name: "drey_radio_queue", Help: "Deliveries that wait for the radio.", Value: float64(r.Queue)},
		web.Sample{Name: "drey_radio_sent_total", Help: "Packets put on the air.", Value: float64(r.Sent), Counter: true},
		web.Sample{Name: "drey_radio_clients", Help: "Programs at the shared radio.", Value: float64(shared.Clients)},
		web.Sample{Name: "drey_radio_clients_dropped_total", Help: "Messages that found no room in a program's queue.", Value: float64(shared.Dropped), Counter: true},
		web.Sample{Name: "drey_radio_clients_refused_total", Help: "Connections and orders of programs that were not allowed.", Value: float64(shared.Refused), Counter: true},
		web.Sample{Name: "drey_radio_dropped_total", Help: "Packets lost to full queues or refused.", Value: float64(r.Dropped), Counter: true},
	)
}

// storeFault tells why the disk refuses writes.
func storeFault(err error) web.Check {
	code, fix := "store-fault", "see the log; 'drey backup' saves what can be read"
	if hinted, ok := errors.AsType[*store.Error](err); ok {
		fix = hinted.Hint()
	}
	switch {
	case errors.Is(err, store.ErrFull):
		code = "disk-full"
	case errors.Is(err, store.ErrReadOnly):
		code = "home-read-only"
	}
	c := illFor("store", code, err.Error(), "checks.store")
	c.Problem.Fix = fix
	return c
}

// Doctor looks for problems.
func (a api) Doctor(ctx context.Context) ([]web.Check, error) {
	st, err := a.Status(ctx)
	if err != nil {
		return nil, err
	}
	return rootCausesFirst(a.checks(st, linkPatienceUsual)), nil
}

// Members lists the roster.
func (a api) Members(context.Context) ([]web.Member, error) {
	var all []web.Member
	self := a.who.NodeKey()
	for _, m := range a.book.Members() {
		w := web.Member{Name: m.Name, NPub: m.Author.NPub(), Standing: m.Standing.String(), Since: int64(m.Since), Reason: m.Reason}
		if m.By != (mesh.PubKey{}) {
			w.By = m.By.NPub()
		}
		if m.Node != (mesh.NodeKey{}) {
			w.Node, w.Address, w.Self = m.Node.String(), overlayAddress(m.Node), m.Node == self
		}
		all = append(all, w)
	}
	for _, r := range a.book.Requests(a.clock()) {
		w := a.describe(&person{request: &r, author: r.Record.Author, node: r.Record.Node, name: r.Name})
		w.By = r.Issuer.NPub()
		all = append(all, *w)
	}
	return all, nil
}

// Invite makes an invite.
func (a api) Invite(ctx context.Context, r web.InviteRequest) (*web.Invite, error) {
	doors := a.webEndpoints()
	if len(doors) == 0 {
		return nil, web.NewError("no-door", "there is no address to invite to", "this node answers on no network", "start it with --web :3739, or connect a network", nil)
	}
	if r.Phone {
		return &web.Invite{URL: mesh.PhoneLink(doors[0]), Uses: r.Uses, Phone: true}, nil
	}
	if s := a.book.Standing(a.who.Author.PubKey(), a.clock()); s < mesh.Admin && !a.membership.Community.Open {
		return nil, web.NewError(web.CodeForbidden, "this node may not invite", "it is a "+s.String()+", and only admins admit machines", "make the invite on an admin's machine: 'drey members ls' shows who that is", nil)
	}
	v, err := a.inviter.Issue(ctx, time.Duration(r.TTLMS)*time.Millisecond, r.Uses, append(doors, a.endpoints()...))
	if err != nil {
		return nil, web.NewError(web.CodeUsage, "no invite was made", err.Error(), "", err)
	}
	return &web.Invite{URL: v.Link(), Expires: int64(v.Expires), Uses: r.Uses}, nil
}

// Join redeems an invite and moves the home into the community; the node's
// parts are made anew when the answer is out.
func (a api) Join(ctx context.Context, r web.JoinRequest) (*web.Joined, error) {
	invite, err := parseInvite(r.Invite)
	if err != nil {
		return nil, web.NewError(web.CodeUsage, "this is no invite", err.Error(), "make one with 'drey invite' on a machine of the community", err)
	}
	leave := r.Leave || a.members() <= 1 && !a.membership.Community.Open
	self := &bootstrap.Self{
		Identity: a.who,
		Name:     a.name,
		Record:   mesh.PeerRecord{Lifetime: recordLife, Seq: uint32(mesh.UnixOf(a.clock())), Issued: mesh.UnixOf(a.clock()), Endpoints: a.endpoints()},
		Confirm:  mayLeave(a.membership, leave),
	}
	if r.Preview {
		return a.peek(ctx, invite, self)
	}
	w, err := bootstrap.Join(ctx, invite, self)
	if errors.Is(err, bootstrap.ErrWaiting) {
		return &web.Joined{Now: a.communityStatus(), Waiting: true}, nil
	}
	if err != nil {
		return nil, joinError(err)
	}
	joined := &web.Joined{
		Now:     web.CommunityStatus{Name: w.Membership.Community.Name, Tag: w.Membership.Community.Tag(), Members: membersOf(w), Open: w.Membership.Community.Open},
		Inviter: w.Inviter.Author.NPub(),
	}
	if w.Membership.Community.ID == a.membership.Community.ID {
		for _, uri := range underlays(w.Inviter) {
			if err := a.overlay.AddPeerFrom(uri, overlay.SourceInvite); err != nil {
				a.log.Warn("inviter not called", "err", err)
			}
		}
		return joined, nil
	}
	if err := a.home.moveIn(ctx, w); err != nil {
		return nil, err
	}
	select {
	case a.joined <- struct{}{}:
	default: // the news is on its way already
	}
	return joined, nil
}

// peek tells what joining would mean.
func (a api) peek(ctx context.Context, v *mesh.Invite, self *bootstrap.Self) (*web.Joined, error) {
	p, err := bootstrap.Peek(ctx, v, self)
	if err == nil {
		err = self.Confirm(p)
	}
	if err != nil {
		return nil, joinError(err)
	}
	effects := joinEffects(a.membership, a.members(), p, a.name, v)
	if v.Token == (mesh.InviteToken{}) {
		effects = append(effects, lang.Say("effects.join-shown", "npub", a.who.Author.PubKey().NPub()))
	}
	return &web.Joined{
		Now:     web.CommunityStatus{Name: p.Community.Name, Tag: p.Community.Tag(), Members: p.Members, Open: p.Community.Open},
		Inviter: p.Inviter, Preview: true, Effects: allEnglish(effects), Said: effects,
	}, nil
}

// joinError says to the client what bootstrap says.
func joinError(err error) error {
	j, ok := errors.AsType[*bootstrap.JoinError](err)
	if !ok {
		return err
	}
	code := web.CodeRefused
	if errors.Is(err, bootstrap.ErrUnreachable) {
		code = web.CodeNotFound
	}
	return web.NewError(code, "not joined", j.Error(), j.Hint(), err)
}
