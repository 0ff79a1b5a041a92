package nostrbridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"drey/mesh"
	"drey/nostrbridge/pool"
)

const (
	back = 7 * 24 * time.Hour // how far a relay is read that was not read before
	// filterAuthors is how many authors stand in one filter: relays refuse longer
	// ones.
	filterAuthors = 200
	oldNews       = 5 * time.Minute // what is older enters as history
	rosterPause   = 5 * time.Second // changes of the roster come in swarms

	// What people out in the world may send.
	listedRate  = 300 // events an hour, for those whom the operator lists
	listedFor   = 30 * 24 * time.Hour
	openRate    = 30 // for anybody else, where the door is open
	openFor     = 24 * time.Hour
	maxWelcomes = 120 // strangers who are let in within an hour

	whyStrangers = "too many strangers within the hour"
	tooFast      = "too fast" // as the hub calls its refusal
)

// follow brings in what relays have.
func (b *Bridge) follow(ctx context.Context, port mesh.Port) error {
	if len(b.c.In) == 0 && b.c.Mail == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	n := &inlet{b: b, port: port}
	n.mu.changed = make(chan struct{})
	g, ctx := errgroup.WithContext(ctx)
	if len(b.c.In) > 0 {
		g.Go(func() error { return n.keepAuthors(ctx) })
		g.Go(func() error {
			return b.c.Relays.Follow(ctx, pool.Feed{
				Name: "bridge", Filters: n.filters, Changed: n.changes, Found: n.found, Back: back, Told: b.public,
			})
		})
	}
	if b.c.Mail != nil {
		g.Go(func() error {
			return b.c.Relays.Follow(ctx, pool.Feed{
				Name: "mail", Filters: b.c.Mail.Wanted, Changed: b.c.Roster.Changed, Found: n.mail, Back: back, Told: b.public,
			})
		})
	}
	return g.Wait()
}

// An inlet is where events from relays enter.
type inlet struct {
	b    *Bridge
	port mesh.Port

	mu struct {
		sync.Mutex
		authors  []mesh.PubKey // sorted
		changed  chan struct{}
		welcomes []time.Time // of strangers, within the hour
	}
}

// keepAuthors keeps up with who belongs.
func (n *inlet) keepAuthors(ctx context.Context) error {
	for {
		n.register(ctx)
		changed := n.b.c.Roster.Changed()
		authors := slices.Concat(n.b.c.Node.Members(), n.b.c.Authors)
		slices.SortFunc(authors, func(a, b mesh.PubKey) int { return slices.Compare(a[:], b[:]) })
		authors = slices.Compact(authors)
		n.mu.Lock()
		if !slices.Equal(authors, n.mu.authors) {
			n.mu.authors = authors
			close(n.mu.changed)
			n.mu.changed = make(chan struct{})
		}
		n.mu.Unlock()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
		if err := pause(ctx, rosterPause); err != nil {
			return err
		}
	}
}

// register announces topics that come in and that nobody has announced.
func (n *inlet) register(ctx context.Context) {
	known := n.b.c.Node.Topics()
	for _, t := range n.b.c.In {
		if slices.Contains(known, t) {
			continue
		}
		d := mesh.Draft{Kind: mesh.KindTopic, Tags: [][]string{{"d", string(t)}}}
		if err := n.b.c.Node.Say(ctx, mesh.TopicRegistry, d); err != nil && ctx.Err() == nil {
			n.b.c.Log.Debug("topic not registered", "topic", t, "err", err) // not a member yet: the roster will change
		}
	}
}

func (n *inlet) changes() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.mu.changed
}

// filters says what is asked of a relay: notes in the topics that come in, and
// from members what they delete and, in topic people, what they say of
// themselves.
func (n *inlet) filters(relay string) []mesh.Filter {
	b := n.b
	if slices.ContainsFunc(b.c.Relays.Relays(), func(r pool.Relay) bool { return r.URL == relay && r.Side }) {
		return nil
	}
	var topics []string
	for _, t := range b.c.In {
		if t != mesh.TopicPeople {
			topics = append(topics, string(t))
		}
	}
	n.mu.Lock()
	authors := n.mu.authors
	n.mu.Unlock()
	var all []mesh.Filter
	if b.c.InOpen && len(topics) > 0 {
		all = append(all, mesh.Filter{Tags: map[string][]string{"t": topics}})
	}
	for some := range slices.Chunk(authors, filterAuthors) {
		if !b.c.InOpen && len(topics) > 0 {
			all = append(all, mesh.Filter{Authors: some, Tags: map[string][]string{"t": topics}})
		}
		own := []mesh.Kind{mesh.KindDeletion}
		if slices.Contains(b.c.In, mesh.TopicPeople) {
			own = append(own, mesh.KindProfile, mesh.KindContacts, mesh.KindRelayList, mesh.KindInboxRelays)
		}
		all = append(all, mesh.Filter{Authors: some, Kinds: own})
	}
	return all
}

// found takes an event that a relay has, unless it does not come in here.
func (n *inlet) found(ctx context.Context, relay string, e *mesh.Event) error {
	b := n.b
	b.seenAt(ctx, relay, e.ID())
	t, why := n.place(ctx, e)
	if why == "" {
		why = n.admit(ctx, e)
	}
	if why == whyStrangers {
		b.fast.Add(1)
		return pool.ErrLater
	}
	if why != "" {
		b.turned.Add(1)
		b.c.Log.Debug("event from a relay turned away", "relay", relay, "event", e.ID(), "why", why)
		return nil
	}
	if r, err := b.c.Archive.Record(ctx, e.ID(), mesh.Self); r == nil && errors.Is(err, mesh.ErrNotFound) {
		if err := b.announce(ctx, e.ID()); err != nil {
			return err
		}
	}
	now := b.c.Clock()
	member := b.c.Roster.Standing(e.Author(), now).Member()
	return n.receive(ctx, e, mesh.Origin{
		Peer: relay, Topic: t, Durable: true,
		History: member && now.Sub(e.CreatedAt().Time()) > oldNews, // what a guest may send in an hour is counted for news only
	})
}

// mail takes a gift wrap that a relay has.
func (n *inlet) mail(ctx context.Context, relay string, e *mesh.Event) error {
	if e.Kind() != mesh.KindGiftWrap {
		return nil
	}
	n.b.seenAt(ctx, relay, e.ID())
	return n.receive(ctx, e, mesh.Origin{Peer: relay, Topic: mesh.TopicMail, Durable: true})
}

// receive hands an event to the hub. Its no is final, but that it had no room,
// or that its author had more than his share of the hour.
func (n *inlet) receive(ctx context.Context, e *mesh.Event, from mesh.Origin) error {
	err := n.port.Receive(ctx, e, from)
	if err == nil {
		n.b.taken.Add(1)
		return nil
	}
	if ctx.Err() != nil || errors.Is(err, mesh.ErrBusy) {
		return err
	}
	var no interface{ Reason() string }
	if errors.As(err, &no) && no.Reason() == tooFast {
		n.b.fast.Add(1)
		return pool.ErrLater
	}
	var gone *mesh.GoneError
	for _, final := range []error{mesh.ErrDuplicate, mesh.ErrExpired, mesh.ErrInvalid, mesh.ErrRefused, mesh.ErrUnknownAuthor} {
		if errors.Is(err, final) {
			return nil
		}
	}
	if errors.As(err, &gone) {
		return nil
	}
	return fmt.Errorf("take event from %s: %w", from.Peer, err)
}

// place returns the topic in which an event enters, the same at every gateway:
// its first tag that names a topic decides, and that topic must come in.
func (n *inlet) place(ctx context.Context, e *mesh.Event) (t mesh.Topic, why string) {
	b := n.b
	if e.Kind().Ephemeral() {
		return "", "nobody keeps it"
	}
	known := b.c.Node.Topics()
	has := func(t mesh.Topic) bool { return slices.Contains(known, t) || slices.Contains(b.c.In, t) }
	t, orphan := mesh.TopicFor(e, has, func(id mesh.EventID) (mesh.Topic, bool) {
		r, err := b.c.Archive.Record(ctx, id, mesh.Self)
		if err != nil {
			return "", false
		}
		return r.Topic, true
	})
	switch {
	case orphan:
		return "", "it answers what is not known here"
	case !slices.Contains(b.c.In, t):
		return "", fmt.Sprintf("topic %s does not come in", t)
	}
	if _, protected := e.Tag("-"); protected {
		return "", "it is not for others to carry (NIP-70)"
	}
	if mesh.Urgent(e) && !b.c.Roster.Standing(e.Author(), b.c.Clock()).Member() {
		return "", "strangers have no emergencies here"
	}
	return t, ""
}

// admit asks whether an author's events come in from outside, and lets him in
// who may.
func (n *inlet) admit(ctx context.Context, e *mesh.Event) (why string) {
	b, author, now := n.b, e.Author(), n.b.c.Clock()
	standing := b.c.Roster.Standing(author, now)
	listed := slices.Contains(b.c.Authors, author)
	switch {
	case standing.Member() || author == b.c.Signer.PubKey():
		return ""
	case standing == mesh.Banned:
		return "its author is banned"
	case !listed && !b.c.InOpen:
		return "its author is not on the roster or the list"
	case standing == mesh.Guest:
		return ""
	}
	if b.c.Archive != nil {
		if _, err := b.c.Archive.Record(ctx, e.ID(), mesh.Self); err == nil {
			return "" // held: no pass is spent on it
		}
	}
	rate, lasts := listedRate, listedFor
	if !listed {
		rate, lasts = openRate, openFor
		if !n.mayWelcome(now) {
			return whyStrangers
		}
	}
	if err := b.c.Node.Welcome(ctx, author, rate, lasts); err != nil {
		return "its author got no pass: " + err.Error()
	}
	return ""
}

// mayWelcome counts strangers.
func (n *inlet) mayWelcome(now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mu.welcomes = slices.DeleteFunc(n.mu.welcomes, func(t time.Time) bool { return now.Sub(t) > time.Hour })
	if len(n.mu.welcomes) >= maxWelcomes {
		return false
	}
	n.mu.welcomes = append(n.mu.welcomes, now)
	return true
}

// public reports whether a relay may learn that an event is held here: it came
// from relays, or stands there. What never left, such as a wrap that its reader
// took at home, is not named in a reconciliation either.
func (b *Bridge) public(relay string, r *mesh.Record) bool {
	return r.Carrier == Name || b.landed.has(r.Event.ID(), relay)
}

// seenAt takes down that a relay has an event: it is not sent there.
func (b *Bridge) seenAt(ctx context.Context, relay string, id mesh.EventID) {
	b.counting.Lock()
	defer b.counting.Unlock()
	n, fresh := b.landed.add(id, relay)
	b.mu.Lock()
	lanes := b.mu.lanes
	b.mu.Unlock()
	if !fresh || lanes == nil {
		return
	}
	lanes.Lane(relay).Settle(ctx, id, fmt.Sprintf("on %d of %d relays", n, max(n, len(b.wanted()))))
}
