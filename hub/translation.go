package hub

import (
	"context"
	"strings"

	"drey/mesh"
)

// rivalSpan is how far apart the dates of two translations of one text may be.
// Packet ids are short and come again.
const rivalSpan = 3600 // seconds

// supersededBy begins the history line of a translation that lost, before the
// id of the event that took its place.
const supersededBy = "superseded by "

// rivals finds the held events whose place rec takes. A record that loses is
// buried instead, and the answer says so. Until unlock is called no other
// translation is judged.
func (h *Hub) rivals(ctx context.Context, a *arrival, rec *mesh.Record) (losers []*mesh.Record, unlock func(), err error) {
	e := rec.Event
	p, translated := mesh.ProxyOf(e)
	var matches func(*mesh.Event) bool
	if !translated && h.original != nil && e.Kind() == mesh.KindNote && h.translatedAround(e.CreatedAt()) {
		matches = h.original(e)
	}
	if !translated && matches == nil {
		return nil, func() {}, nil
	}
	h.contest.Lock()
	if !translated {
		losers, err = h.translationsOf(ctx, e, matches)
		return losers, h.contest.Unlock, err
	}
	if !h.gateway(e.Author()) {
		return nil, h.contest.Unlock, nil
	}
	winner, losers, err := h.judge(ctx, e, p)
	if err == nil && winner != e.ID() {
		err = h.bury(ctx, e, winner)
		if err == nil {
			err = gone(e.ID(), mesh.ReasonSuperseded)
		}
	}
	return losers, h.contest.Unlock, err
}

// judge compares a translation with what is held: a signed original comes
// first, then the lowest id.
func (h *Hub) judge(ctx context.Context, e *mesh.Event, p mesh.Proxy) (winner mesh.EventID, losers []*mesh.Record, err error) {
	winner = e.ID()
	if h.original != nil {
		f := around(e)
		f.Kinds = []mesh.Kind{mesh.KindNote}
		for r, err := range h.store.Records(ctx, f, mesh.Self) {
			if err != nil {
				return winner, nil, failed(ctx, err)
			}
			if _, other := mesh.ProxyOf(r.Event); other {
				continue
			}
			if is := h.original(r.Event); is != nil && is(e) {
				return r.Event.ID(), nil, nil
			}
		}
	}
	f := around(e)
	f.Tags = map[string][]string{"proxy": {p.ID}}
	for r, err := range h.store.Records(ctx, f, mesh.Self) {
		if err != nil {
			return winner, nil, failed(ctx, err)
		}
		q, _ := mesh.ProxyOf(r.Event)
		if q != p || r.Event.Content() != e.Content() || !h.gateway(r.Event.Author()) {
			continue
		}
		losers = append(losers, r)
		if lower(r.Event.ID(), winner) {
			winner = r.Event.ID()
		}
	}
	return winner, losers, nil
}

// translationsOf finds the translations of a text in which somebody said e.
func (h *Hub) translationsOf(ctx context.Context, e *mesh.Event, matches func(*mesh.Event) bool) ([]*mesh.Record, error) {
	var losers []*mesh.Record
	f := around(e)
	f.Tags = map[string][]string{"l": {mesh.LabelUnsignedRadio}}
	for r, err := range h.store.Records(ctx, f, mesh.Self) {
		if err != nil {
			return nil, failed(ctx, err)
		}
		if _, translated := mesh.ProxyOf(r.Event); translated && matches(r.Event) {
			losers = append(losers, r)
		}
	}
	return losers, nil
}

// around chooses what is dated about as e.
func around(e *mesh.Event) mesh.Filter {
	at := e.CreatedAt()
	return mesh.Filter{Since: max(at, rivalSpan) - rivalSpan, Until: min(at, 1<<32-1-rivalSpan) + rivalSpan}
}

func lower(a, b mesh.EventID) bool { return string(a[:]) < string(b[:]) }

// gateway reports whether an author's translations compete: anybody else could
// silence a text by claiming to have heard it.
func (h *Hub) gateway(author mesh.PubKey) bool {
	return author == h.signer.PubKey() || h.roster.Community().Open ||
		h.roster.Standing(author, h.clock()) >= mesh.Machine
}

// supersede buries the losers of a record that was saved.
func (h *Hub) supersede(ctx context.Context, rec *mesh.Record, losers []*mesh.Record) {
	if _, translated := mesh.ProxyOf(rec.Event); translated && h.original != nil {
		h.mu.Lock()
		h.mu.translated[hourOf(rec.Event.CreatedAt())]++
		h.mu.Unlock()
	}
	for _, l := range losers {
		if err := h.bury(context.WithoutCancel(ctx), l.Event, rec.Event.ID()); err != nil {
			h.log.Warn("translation not superseded", "event", l.Event.ID(), "err", err)
		}
	}
}

func (h *Hub) bury(ctx context.Context, e *mesh.Event, winner mesh.EventID) error {
	if err := h.store.Bury(ctx, e.ID(), e.CreatedAt(), mesh.ReasonSuperseded); err != nil {
		return failed(ctx, err)
	}
	h.note(e.ID(), "", "", supersededBy+winner.String())
	return nil
}

// translatedAround reports whether any translation that is held may be dated
// about as at. It keeps signed notes, which are the most, from a look into the
// store.
func (h *Hub) translatedAround(at mesh.Unix) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	hour := hourOf(at)
	return h.mu.translated[hour-1] > 0 || h.mu.translated[hour] > 0 || h.mu.translated[hour+1] > 0
}

func hourOf(at mesh.Unix) uint32 { return uint32(at) / 3600 }

// Follow returns the event that took the place of a superseded translation, or
// id itself: whoever meets a reference to one looks up the other.
func (h *Hub) Follow(ctx context.Context, id mesh.EventID) mesh.EventID {
	const hops = 8 // a loser's winner may lose too
	for range hops {
		next, ok := h.successor(ctx, id)
		if !ok {
			break
		}
		id = next
	}
	return id
}

func (h *Hub) successor(ctx context.Context, id mesh.EventID) (mesh.EventID, bool) {
	why, known, err := h.store.Known(ctx, id)
	if err != nil || !known || why != mesh.ReasonSuperseded {
		return id, false
	}
	steps, err := h.store.History(ctx, id)
	if err != nil {
		return id, false
	}
	for _, s := range steps {
		hex, ok := strings.CutPrefix(s.State, supersededBy)
		if !ok || s.Carrier != "" {
			continue
		}
		if next, err := mesh.ParseEventID(hex); err == nil && next != id {
			return next, true
		}
	}
	return id, false
}
