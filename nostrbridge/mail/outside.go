package mail

import (
	"context"
	"net/url"
	"slices"
	"time"

	"drey/mesh"
)

const (
	// ackPatience is how long a wrap waits for its reader's node before public
	// relays get it.
	ackPatience = 30 * time.Second
	// maxInbox is how many relays of one reader's list count.
	maxInbox = 8
	// inboxEvery is how often this node's own list is compared.
	inboxEvery = 10 * time.Minute
)

// Relays lists the public relays to which a wrap may go: those that its readers
// name in their lists of kind 10050 (NIP-17). There are none for a reader whose
// node has the wrap already, and for one who has no list.
func (m *Mail) Relays(e *mesh.Event) []string {
	if e.Kind() != mesh.KindGiftWrap || mesh.StaysHere(e) {
		return nil
	}
	var all []string
	for _, v := range e.TagValues("p") {
		k, err := mesh.ParsePubKey(v)
		if err != nil || m.Taken(e.ID(), k) {
			continue
		}
		all = append(all, m.inboxOf(k)...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Due returns when a wrap may go to relays: its reader, if he is near, has said
// by then that he has it.
func (m *Mail) Due(r *mesh.Record) time.Time { return r.Received.Add(ackPatience) }

// Taken reports whether a reader has said that he has a wrap, or a machine of the
// roster that it has his receipt.
func (m *Mail) Taken(wrap mesh.EventID, by mesh.PubKey) bool {
	f := mesh.Filter{Kinds: []mesh.Kind{mesh.KindTaken}, Tags: map[string][]string{"e": {wrap.String()}}}
	for r, err := range m.cfg.Node.Records(context.Background(), f, mesh.Self) {
		if err != nil {
			return false
		}
		who, vouched := r.Event.Tag("p")
		switch author := r.Event.Author(); {
		case !vouched && author == by, vouched && who == by.String() && m.cfg.Machine(author):
			return true
		}
	}
	return false
}

// inboxOf returns the relays of a key's list of kind 10050.
func (m *Mail) inboxOf(k mesh.PubKey) []string {
	f := mesh.Filter{Kinds: []mesh.Kind{mesh.KindInboxRelays}, Authors: []mesh.PubKey{k}, Limit: 1}
	for r, err := range m.cfg.Node.Records(context.Background(), f, mesh.Self) {
		if err != nil {
			return nil
		}
		return relaysOf(r.Event)
	}
	return nil
}

// relaysOf reads a list of kind 10050.
func relaysOf(e *mesh.Event) []string {
	var all []string
	for _, v := range e.TagValues("relay") {
		u, err := url.Parse(v)
		if err != nil || u.Scheme != "wss" && u.Scheme != "ws" || u.Host == "" || u.User != nil || slices.Contains(all, v) {
			continue
		}
		if all = append(all, v); len(all) == maxInbox {
			break
		}
	}
	return all
}

// Wanted lists what a gateway asks a relay for: the wraps of all who are served
// here and name the relay in their list.
func (m *Mail) Wanted(relay string) []mesh.Filter {
	same := func(u string) bool { return m.cfg.Relay(u) == m.cfg.Relay(relay) }
	var readers []string
	f := mesh.Filter{Kinds: []mesh.Kind{mesh.KindInboxRelays}}
	for r, err := range m.cfg.Node.Records(context.Background(), f, mesh.Self) {
		if err != nil {
			break
		}
		if m.cfg.Roster.Standing(r.Event.Author(), m.cfg.Clock()) < mesh.Guest {
			continue
		}
		if slices.ContainsFunc(relaysOf(r.Event), same) {
			readers = append(readers, r.Event.Author().String())
		}
	}
	if slices.ContainsFunc(m.cfg.Inbox(), same) && !slices.Contains(readers, m.self.String()) {
		readers = append(readers, m.self.String())
	}
	if len(readers) == 0 {
		return nil
	}
	slices.Sort(readers)
	var filters []mesh.Filter
	for part := range slices.Chunk(readers, 100) { // relays bound a filter
		filters = append(filters, mesh.Filter{Kinds: []mesh.Kind{mesh.KindGiftWrap}, Tags: map[string][]string{"p": part}})
	}
	return filters
}

// publishInbox keeps this node's list of kind 10050 as it should be: a gateway's
// own relays, any other machine's those of the first gateway that has a list, so
// that mail from outside finds it too.
func (m *Mail) publishInbox(ctx context.Context) error {
	tick := time.NewTicker(inboxEvery)
	defer tick.Stop()
	for {
		if err := m.patiently(ctx, func() error { return m.tellInbox(ctx) }); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-m.cfg.Roster.Changed():
			select { // the lists come after the decisions
			case <-time.After(ackPatience):
			case <-ctx.Done():
				return ctx.Err()
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (m *Mail) tellInbox(ctx context.Context) error {
	if m.cfg.Roster.Community().Open {
		return nil
	}
	want, gateway := m.cfg.Inbox(), true
	if len(want) == 0 {
		want, gateway = m.gatewaysInbox(ctx), false
	}
	want = slices.Clone(want[:min(len(want), maxInbox)])
	if len(want) == 0 || slices.Equal(want, m.inboxOf(m.self)) {
		return nil
	}
	d := mesh.Draft{Kind: mesh.KindInboxRelays}
	for _, u := range want {
		d.Tags = append(d.Tags, []string{"relay", u})
	}
	if gateway {
		d.Tags = append(d.Tags, []string{gatewayTag})
	}
	_, err := m.cfg.Node.Publish(ctx, mesh.TopicPeople, d)
	if err != nil && ctx.Err() == nil && outcome(err) {
		m.log.Debug("list of relays not published", "err", err)
		return nil
	}
	return err
}

// gatewaysInbox returns the list of a machine of the roster that is marked as a
// gateway's: the lowest key's, so that all choose the same.
func (m *Mail) gatewaysInbox(ctx context.Context) []string {
	var from mesh.PubKey
	var relays []string
	f := mesh.Filter{Kinds: []mesh.Kind{mesh.KindInboxRelays}}
	for r, err := range m.cfg.Node.Records(ctx, f, mesh.Self) {
		if err != nil {
			return relays
		}
		a := r.Event.Author()
		if a == m.self || !m.cfg.Machine(a) || !gateways(r.Event) {
			continue
		}
		if list := relaysOf(r.Event); len(list) > 0 && (relays == nil || string(a[:]) < string(from[:])) {
			from, relays = a, list
		}
	}
	return relays
}

// A gateway's own list says so, as others follow it.
const gatewayTag = "gateway"

func gateways(e *mesh.Event) bool {
	_, ok := e.Tag(gatewayTag)
	return ok
}

// Spared reports whether a wrap need not go by radio: each of its readers has it,
// or is a machine, to which letters are written.
func (m *Mail) Spared(r *mesh.Record) bool {
	for _, v := range r.Event.TagValues("p") {
		k, err := mesh.ParsePubKey(v)
		if err == nil && !m.cfg.Machine(k) && !m.Taken(r.Event.ID(), k) {
			return false
		}
	}
	return true
}
