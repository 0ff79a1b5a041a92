package main

import (
	"context"
	"errors"
	"iter"
	"maps"

	"drey/bootstrap"
	"drey/mesh"
	"drey/overlay"
)

// newFinders makes the finders that are switched on, and the manager that runs
// them.
func (p *parts) newFinders() *bootstrap.Manager {
	b := p.conf.Bootstrap
	var finders []bootstrap.Finder
	for name, make := range p.finderMakers() {
		if p.conf.Finds(name) {
			finders = append(finders, make())
		}
	}
	var elsewhere []string
	for _, name := range []string{bootstrap.FinderMulticast, bootstrap.FinderStatic, bootstrap.FinderInvite} {
		if p.conf.Finds(name) {
			elsewhere = append(elsewhere, name)
		}
	}
	return bootstrap.NewManager(bootstrap.ManagerConfig{
		Self:      p.who.NodeKey(),
		Roster:    p.book,
		Secrets:   p.secrets,
		Card:      p.card,
		Dialer:    dialer{p.overlay},
		Finders:   finders,
		Elsewhere: elsewhere,
		Shelf:     p.store.Shelf("finders"),
		Public:    b.Public,
		Log:       p.log.With("part", "finders"),
		Clock:     p.clock,
	})
}

// finderMakers says how each finder is made.
func (p *parts) finderMakers() map[string]func() bootstrap.Finder {
	b := p.conf.Bootstrap
	all := map[string]func() bootstrap.Finder{
		bootstrap.FinderCache:     func() bootstrap.Finder { return bootstrap.NewCache() },
		bootstrap.FinderRoster:    func() bootstrap.Finder { return bootstrap.NewRosterFinder(p.peerRecords, p.publishRecord) },
		bootstrap.FinderMDNS:      func() bootstrap.Finder { return bootstrap.NewMDNS() },
		bootstrap.FinderBroadcast: func() bootstrap.Finder { return bootstrap.NewBroadcast(0) },
		bootstrap.FinderDNS:       func() bootstrap.Finder { return bootstrap.NewDNS(b.DNS, b.DNSServers) },
		bootstrap.FinderFile:      func() bootstrap.Finder { return bootstrap.NewFile(b.Files) },
	}
	maps.Copy(all, p.farFinderMakers())
	return all
}

// newCard makes what this node says of itself.
func (p *parts) newCard() *bootstrap.Card {
	return bootstrap.NewCard(bootstrap.CardConfig{
		Identity:  p.who,
		Community: p.membership.Community,
		Shelf:     p.store.Shelf("card"),
		Say:       func(last mesh.Abilities) (mesh.Abilities, []mesh.Endpoint) { return p.abilities(last), p.endpoints() },
		Clock:     p.clock,
	})
}

// runFinders runs the finders as soon as the overlay is up.
func (p *parts) runFinders(ctx context.Context) error {
	if _, err := p.overlay.Host(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	return p.finders.Run(ctx)
}

// A dialer is the overlay as the finders see it.
type dialer struct{ o *overlay.Overlay }

// Call makes one link.
func (d dialer) Call(ctx context.Context, uri, finder string) (mesh.NodeKey, error) {
	return d.o.Call(ctx, uri, overlay.Source(finder))
}

// Hangup ends a link.
func (d dialer) Hangup(uri string) {
	if err := d.o.RemovePeer(uri); err != nil && !errors.Is(err, mesh.ErrNotFound) {
		return // the overlay has stopped, and the link with it
	}
}

// Meet shows another node the roster and asks whether both belong.
func (d dialer) Meet(ctx context.Context, node mesh.NodeKey) error { return d.o.Meet(ctx, node) }

// Met reports whether a member is connected.
func (d dialer) Met(node mesh.NodeKey) bool { return d.o.Met(node) }

// Changed tells of changes to Links.
func (d dialer) Changed() <-chan struct{} { return d.o.LinksChanged() }

// Links lists the underlay links.
func (d dialer) Links() []bootstrap.Link {
	links := d.o.Links()
	all := make([]bootstrap.Link, 0, len(links))
	for _, l := range links {
		one := bootstrap.Link{URI: l.URI, Node: l.Key, Up: l.Up, Finder: string(l.Source), Remote: l.Remote}
		switch l.Source {
		case overlay.SourceLAN:
			one.Finder = bootstrap.FinderMulticast
		case overlay.SourceIncoming:
			one.Finder = ""
		}
		all = append(all, one)
	}
	return all
}

// recordName is the "d" tag under which a machine publishes its record.
const recordName = "drey/peer/v1"

// publishRecord tells the community where this machine is, unless it knows.
func (p *parts) publishRecord(ctx context.Context, r *mesh.PeerRecord) error {
	text := mesh.RecordText(r.AppendBinary(nil))
	f := mesh.Filter{Authors: []mesh.PubKey{r.Author}, Kinds: []mesh.Kind{mesh.KindPeerRecord}, Tags: map[string][]string{"d": {recordName}}, Limit: 1}
	for rec, err := range p.store.Records(ctx, f, mesh.Self) {
		if err == nil && rec.Event.Content() == text {
			return nil
		}
	}
	_, err := p.say(ctx, mesh.TopicRegistry, mesh.Draft{Kind: mesh.KindPeerRecord, Tags: [][]string{{"d", recordName}}, Content: text})
	if err != nil && harmless(err) {
		return nil // not a member yet or any more, or said within this very second
	}
	return err
}

// peerRecords yields what members said of themselves: in the registry, and,
// of those who have not published anything, at their admission. Then what
// comes in.
func (p *parts) peerRecords(ctx context.Context) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		newest := map[mesh.NodeKey]uint32{}
		give := func(r *mesh.PeerRecord) bool {
			if seq, known := newest[r.Node]; known && r.Seq <= seq || p.ownNews(r) {
				return true
			}
			newest[r.Node] = r.Seq
			return yield(r.AppendBinary(nil), nil)
		}
		members := func() bool {
			for _, m := range p.book.Members() {
				if m.Record != nil && m.Standing.Member() && !give(m.Record) {
					return false
				}
			}
			return true
		}
		f := mesh.Filter{Kinds: []mesh.Kind{mesh.KindPeerRecord}}
		for rec, err := range p.store.Records(ctx, f, mesh.Self) {
			if r := publishedRecord(rec); err == nil && r != nil && !give(r) {
				return
			}
		}
		if !members() {
			return
		}
		f = mesh.Filter{Kinds: []mesh.Kind{mesh.KindPeerRecord, mesh.KindRoster}, Topics: []mesh.Topic{mesh.TopicRegistry}}
		for rec, err := range p.hub.Watch(ctx, f, mesh.Self) {
			if err != nil {
				if ctx.Err() == nil {
					yield(nil, err)
				}
				return
			}
			if rec.Event.Kind() == mesh.KindRoster {
				if !members() {
					return
				}
			} else if r := publishedRecord(rec); r != nil && !give(r) {
				return
			}
		}
	}
}

// ownNews reports whether a record is this node's own and one that it knows of.
func (p *parts) ownNews(r *mesh.PeerRecord) bool {
	own := p.finders.Own().Record
	return r.Node == p.who.NodeKey() && own != nil && r.Seq <= own.Seq
}

// publishedRecord reads the record in an event of the registry, nil where it
// holds none of its author's own.
func publishedRecord(rec *mesh.Record) *mesh.PeerRecord {
	if rec == nil {
		return nil
	}
	if d, _ := rec.Event.Tag("d"); d != recordName {
		return nil
	}
	b, err := mesh.ParseRecordText(rec.Event.Content())
	if err != nil {
		return nil
	}
	r, err := mesh.ParsePeerRecord(b)
	if err != nil || r.Author != rec.Event.Author() {
		return nil
	}
	return r
}

// staticPeers lists the underlay URIs that the overlay keeps calling: the
// configured ones, those of 'drey peers add', and the inviter's.
func (p *parts) staticPeers(ctx context.Context) ([]string, error) {
	var peers []string
	if p.conf.Finds(bootstrap.FinderStatic) {
		var err error
		if peers, err = p.conf.Overlay.PeerURIs(); err != nil {
			return nil, configFault(err)
		}
	} else if !p.conf.Finds(bootstrap.FinderInvite) {
		return nil, nil
	}
	kept, err := keptPeers(ctx, p.store.Shelf("wire"))
	return append(peers, kept...), err
}
