package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/host"

	"drey/bootstrap"
	"drey/configs"
	"drey/hub"
	"drey/mesh"
	"drey/mesh/roster"
	"drey/nostrbridge"
	"drey/nostrbridge/mail"
	"drey/nostrbridge/pool"
	"drey/nostrbridge/relay"
	"drey/overlay"
	"drey/pubsub"
	"drey/radio"
	"drey/radio/air/coder"
	"drey/radio/share"
	"drey/store"
	"drey/web"
)

// A setup is what a node is made from. It outlives the parts, which are made
// anew when the node joins another community.
type setup struct {
	home  home
	conf  configs.Config
	who   *mesh.Identity
	name  string // what neighbours see
	log   *slog.Logger
	clock func() time.Time
	kept  func() bool // whether the system keeps that clock right

	// dialRadio, when set, opens the line to a radio in this process.
	dialRadio func(context.Context) (io.ReadWriteCloser, error)

	settings *settings // of the page; nil: it changes none
}

// parts are one life of a node.
type parts struct {
	setup
	membership *mesh.Membership
	began      time.Time
	joined     chan struct{}   // holds one: the home belongs to another community now
	next       *configs.Config // what the next life is to use; set by the reload part, read after run

	store   *store.Store
	book    *roster.Book
	keys    *keyring
	hub     *hub.Hub
	overlay *overlay.Overlay
	gossip  *pubsub.Carrier
	radio   *radio.Carrier
	inviter *bootstrap.Inviter
	card    *bootstrap.Card
	finders *bootstrap.Manager
	clocks  *clocks
	relay   *relay.Front
	pool    *pool.Pool
	bridge  *nostrbridge.Bridge
	mail    *mail.Mail
	web     *web.Server
}

// wire makes a node's parts and joins them; it starts nothing. The caller
// closes the store when it is done with them.
func wire(ctx context.Context, s setup, m *mesh.Membership) (*parts, error) {
	p := &parts{setup: s, membership: m, began: s.clock(), joined: make(chan struct{}, 1)}
	part := func(name string) *slog.Logger { return s.log.With("part", name) }

	var err error
	p.store, err = store.Open(ctx, store.Config{
		Path:     s.home.store(m.Community.Tag()),
		MaxBytes: int64(s.conf.Store.MaxBytes),
		KeepFor:  s.conf.Store.KeepFor(),
		Log:      part("store"),
		Clock:    s.clock,
	})
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*parts, error) { return nil, errors.Join(err, p.store.Close()) }

	p.book = roster.New(m.Community)
	p.keys = newKeyring(p, part("secrets"))
	text := coder.New()
	p.mail, err = p.newMail(text, part("mail"))
	if err != nil {
		return fail(err)
	}
	p.radio = radio.New(radio.Config{
		Device:  s.conf.Radio.Device,
		Dial:    s.dialRadio,
		Maps:    topicMaps(s.conf.Radio),
		Archive: p.store,
		Shelf:   p.store.Shelf("radio"),
		Signer:  s.who.Author,
		Roster:  p.book,
		NameOf:  p.nameOf,
		Secrets: p.secrets,
		Members: p.authors,
		Spared:  p.mail.Spared,
		Log:     part("radio"),
		Clock:   s.clock,
		Agreed:  func() time.Time { return p.clocks.agreed() },

		Text:     text,
		HopLimit: s.conf.Radio.HopLimit,
		Share:    sharing(s.conf.Radio),
		Readings: s.conf.Radio.Positions,
		Together: p.together,
	})
	p.gossip = pubsub.New(pubsub.Config{
		Host:      func(ctx context.Context) (host.Host, error) { return p.overlay.Host(ctx) },
		Community: m.Community,
		Roster:    p.book,
		Archive:   p.store,
		Graves:    p.store,
		Topics:    func() []mesh.Topic { return p.hub.Topics() },

		TopicsChanged: func() <-chan struct{} { return p.hub.TopicsChanged() },

		Log:   part("gossip"),
		Clock: s.clock,
	})
	p.clocks = newClocks(func(ctx context.Context) (host.Host, error) { return p.overlay.Host(ctx) }, s.clock, s.kept, part("clocks"))
	p.pool = p.newPool()
	p.bridge = p.newBridge()
	p.hub, err = hub.New(hub.Config{
		Store:  p.store,
		Roster: p.book,
		Signer: s.who.Author,
		Built:  built(),
		Routes: []hub.Route{
			{Carrier: p.gossip, Fast: true},
			{Carrier: p.radio, Targets: p.radio.Targets, World: s.conf.Nostr.OnAir},
			{Carrier: p.bridge, Targets: p.bridge.Targets, Public: true, Lanes: true},
		},
		Clocks: p.clocks.look,
		Pass: func(guest mesh.PubKey, now time.Time) (issuer mesh.PubKey, perHour int, ok bool) {
			pass, ok := p.book.Pass(guest, now)
			return pass.Issuer, pass.Rate, ok
		},
		Original: p.radio.Original,
		Outside:  p.outside,
		Log:      part("hub"),
		Clock:    s.clock,
	})
	if err != nil {
		return fail(err)
	}
	peers, err := p.staticPeers(ctx)
	if err != nil {
		return fail(err)
	}
	p.overlay, err = overlay.New(overlay.Config{
		Key:       s.who.Node,
		Listen:    s.conf.Overlay.Listen,
		Peers:     peers,
		LAN:       s.conf.Finds(bootstrap.FinderMulticast),
		NoTransit: !s.conf.Overlay.Transit,
		Roster:    p.book,
		Book:      rosterBook{p.book, p},
		Log:       part("overlay"),
	})
	if err != nil {
		return fail(err)
	}
	p.card = p.newCard()
	p.finders = p.newFinders()
	p.inviter = bootstrap.NewInviter(bootstrap.Config{
		Identity: s.who,
		Shelf:    p.store.Shelf("invites"),
		Admitter: admitter{p},
		Ask:      admitter{p}.Ask,
		Log:      part("invites"),
		Clock:    s.clock,
		Removed: func(j *bootstrap.Joiner) bool {
			return !p.book.Admits(j.Record.Node) && !p.book.Banned(j.Record.Node, j.Record.Author)
		},
	})
	p.relay, err = relay.New(relay.Config{
		Node:        relayNode{p, p.hub.Port("relay")},
		Name:        s.name,
		Author:      s.who.Author.PubKey(),
		Version:     release,
		GuestTopics: topics(s.conf.Web.GuestTopics),
		Ours:        func(host string) bool { return p.web.Ours(host) },
		Welcome:     s.conf.Web.GuestPasses,
		Open:        m.Community.Open,
		Log:         part("relay"),
		Clock:       s.clock,
	})
	if err != nil {
		return fail(err)
	}
	token, err := web.LoadToken(string(s.home))
	if err != nil {
		return fail(homeFault(s.home, err))
	}
	p.web, err = web.New(web.Config{
		Home:        string(s.home),
		Listen:      s.conf.Web.Listen,
		Name:        s.name,
		Hosts:       s.conf.Web.Hosts,
		GuestTopics: topics(s.conf.Web.GuestTopics),
		Addresses:   []netip.Addr{netip.MustParseAddr(overlayAddress(s.who.NodeKey()))},
		CertFile:    s.conf.Web.TLSCertFile,
		KeyFile:     string(s.conf.Web.TLSKeyFile),
		Token:       token,
		Author:      s.who.Author.PubKey(),
		Node:        api{p},
		Settings:    s.settings.forPage(),
		Shelf:       p.store.Shelf("web"),
		Invites:     p.inviter,
		Relay:       p.relay,
		Admit:       p.relay.Admit,
		Standing:    relayNode{parts: p}.Standing,
		Log:         part("web"),
		Clock:       s.clock,
	})
	if err != nil {
		return fail(err)
	}
	return p, nil
}

// run lives until ctx ends, a part fails, or the parts are to be made anew.
func (p *parts) run(ctx context.Context, c company) (again bool, err error) {
	l := newLife(ctx)
	defer func() {
		// The store says the same at its close as its run did.
		if ended := errors.Join(l.end(), p.store.Close()); err == nil {
			err = ended
		}
	}()
	l.begin("store", p.store.Run)
	l.begin("snapshots", func(ctx context.Context) error {
		return p.home.serveSnapshots(ctx, p.home.store(p.membership.Community.Tag()))
	})
	l.begin("hub", p.hub.Run)
	if err := p.introduce(ctx); err != nil {
		return false, err
	}
	l.begin("overlay", p.overlay.Run)
	l.begin("clocks", p.clocks.run)
	l.begin("mail", p.mail.Run)
	l.begin("secrets", p.keys.run)
	l.begin("relay", p.relay.Run)
	l.begin("relays", p.pool.Run)
	l.begin("web", p.web.Run)

	select {
	case <-p.web.Ready():
	case <-ctx.Done():
		return false, nil
	case failed := <-l.failed:
		l.failed <- failed
		return false, l.wait(ctx)
	}
	l.begin("finders", p.runFinders)
	l.begin("greeting", func(ctx context.Context) error {
		if err := c.ready(ctx, p); err != nil && ctx.Err() == nil {
			return err
		}
		<-ctx.Done()
		return nil
	})
	l.begin("reload", func(ctx context.Context) error { return c.reload(ctx, p) })
	l.begin("membership", func(ctx context.Context) error {
		select {
		case <-p.joined:
			return errRewire
		case <-ctx.Done():
			return nil
		}
	})
	if err = l.wait(ctx); errors.Is(err, errRewire) {
		return true, nil
	}
	return false, err
}

// A company is what accompanies a life without being part of the node.
type company struct {
	ready  func(context.Context, *parts) error // called once when the API answers
	reload func(context.Context, *parts) error // lives as long as the node; errRewire begins a new life
}

// authors lists the keys of who belongs: radio frames carry their first bytes
// only.
func (p *parts) authors() []mesh.PubKey {
	var all []mesh.PubKey
	for _, m := range p.book.Members() {
		if m.Standing.Member() {
			all = append(all, m.Author)
		}
	}
	return all
}

func topics(names []string) []mesh.Topic {
	all := make([]mesh.Topic, len(names))
	for i, n := range names {
		all[i] = mesh.Topic(n) // Validate has checked it
	}
	return all
}

// sharing says where the radio is offered to other programs. A simulated one is
// offered only where somebody asks for it, and a radio that is reached at the
// very address is there already.
func sharing(r configs.Radio) share.Config {
	c := share.Config{Listen: r.Share, Admin: r.ShareAdmin}
	device := strings.TrimPrefix(r.Device, "tcp://")
	switch {
	case r.Share == "off", r.Device == "sim" && r.Share == configs.Default().Radio.Share, device == r.Share:
		c.Listen = ""
	case r.Share == configs.Default().Radio.Share && (device == "localhost" || device == "127.0.0.1" || device == "localhost:4403"):
		c.Listen = ""
	}
	return c
}

func topicMaps(r configs.Radio) []radio.TopicMap {
	if r.Device == "sim" && len(r.Topics) == 0 {
		// Whoever simulates a radio wants to see it at work.
		return []radio.TopicMap{{Topic: mesh.TopicCommons, Channel: 0, Form: radio.FormText}}
	}
	var maps []radio.TopicMap
	for _, t := range r.Topics {
		maps = append(maps, radio.TopicMap{Topic: mesh.Topic(t.Topic), Channel: t.Channel, Form: t.Form})
	}
	return maps
}
