package hub

import (
	"context"
	"strconv"
	"time"

	"drey/mesh"
)

// What authors may do.
const (
	emergenciesPerHour = 3
	emergencyAge       = time.Hour // by the date, where the clock can be trusted
	guestRate          = 30        // events an hour, for guests whose pass says nothing else
	issuerRate         = 600       // of all guests of one issuer together
	openRate           = 240       // of one author in an open community
	wordRate           = 2000      // of his words to other gateways there, which nobody keeps: one in 2 s
	mailRate           = 240       // gift wraps to one recipient
	maxAuthors         = 4096      // remembered by each limit

	// newsAge is how old an event may be that sync brings and that still counts
	// as news: gossip only just missed it, as when a machine was starting.
	newsAge = 5 * time.Minute

	// ephemeralAge is how old an ephemeral event may be, where the clock can be
	// trusted. Together with how far it may be dated ahead it stays below
	// seenFor: what is not remembered any more cannot be said again.
	ephemeralAge = time.Hour
)

// isHistory reports whether an arrival is owed to others as history: sync
// brought it late, or somebody imported it.
func isHistory(a *arrival, now time.Time) bool {
	return a.from.History && (a.carrier == "" || now.Sub(a.event.CreatedAt().Time()).Abs() > newsAge)
}

// forgotten reports whether an arrival is dated where the store no longer
// remembers everything it pruned: it may be one that came long ago, and that
// somebody kept to say it again. It is taken, for its author's clock may be
// wrong, but as history.
func (h *Hub) forgotten(ctx context.Context, a *arrival, r reckoning) bool {
	if a.carrier == "" || !r.trusted {
		return false
	}
	floor, err := h.store.Floor(ctx)
	return err == nil && a.event.CreatedAt() < floor
}

// expiry returns when e ceases to be (NIP-40). Who belongs, and deletions, do
// not expire, whatever they say.
func expiry(e *mesh.Event) (mesh.Unix, bool) {
	switch e.Kind() {
	case mesh.KindRoster, mesh.KindPass, mesh.KindDeletion:
		return 0, false
	}
	v, ok := e.Tag("expiration")
	if !ok {
		return 0, false
	}
	at, err := strconv.ParseUint(v, 10, 32)
	return mesh.Unix(at), err == nil
}

// checkEnvelope asks whether an event can be where its envelope puts it. The
// envelope is its sender's word alone, so this is asked of every copy: another
// copy's envelope may be right.
func checkEnvelope(e *mesh.Event, from mesh.Origin) error {
	if from.Topic == "" {
		return nil
	}
	if _, err := mesh.ParseTopic(string(from.Topic)); err != nil {
		return refuse(mesh.ErrInvalid, whyForm, "%v", err)
	}
	if t, fixed := fixedTopic(e); fixed && t != from.Topic {
		return refuse(mesh.ErrInvalid, whyForm, "kind %d belongs in topic %s, not in %s", e.Kind(), t, from.Topic)
	}
	return nil
}

// checkForm asks what costs nothing.
func checkForm(e *mesh.Event, r reckoning) error {
	switch {
	case e.Kind().MailOnly():
		return refuse(mesh.ErrRefused, whyForm, "kind %d belongs inside a gift wrap, never on its own", e.Kind())
	case e.Kind() == mesh.KindTopic:
		if _, err := registered(e); err != nil {
			return refuse(mesh.ErrInvalid, whyForm, "%v", err)
		}
	}
	if at, ok := expiry(e); ok && !r.now.Before(at.Time()) {
		return refuse(mesh.ErrExpired, whyExpired, "since %s", at.Time().Format(time.RFC3339))
	}
	if e.Kind().Ephemeral() && r.trusted && r.now.Sub(e.CreatedAt().Time()) > ephemeralAge {
		return refuse(mesh.ErrRefused, whyExpired, "dated %s: nobody keeps kind %d for so long", e.CreatedAt().Time().Format(time.RFC3339), e.Kind())
	}
	return nil
}

// standing tells what the author of an arrival may do. A guest's post that
// history brings was taken by a member while the pass was good; when it
// reaches this node the pass may be over.
func (h *Hub) standing(a *arrival, now time.Time) mesh.Standing {
	author := a.event.Author()
	s := h.roster.Standing(author, now)
	if s == mesh.Stranger && a.from.History {
		if then := a.event.CreatedAt().Time(); then.Before(now) {
			s = h.roster.Standing(author, then)
		}
	}
	if s == mesh.Stranger && author == h.signer.PubKey() {
		return mesh.Machine // a node that nobody has admitted yet may speak at home
	}
	return s
}

// pace holds authors to their rate. News only: what history brings, others took
// when it was news.
func (h *Hub) pace(a *arrival, s mesh.Standing, now time.Time) error {
	if a.from.History {
		return nil
	}
	author := a.event.Author()
	open := h.roster.Community().Open && author != h.signer.PubKey()
	if s != mesh.Guest && !open {
		return nil
	}
	rate, issuer := openRate, mesh.PubKey{}
	if s == mesh.Guest {
		var ok bool
		if issuer, rate, ok = h.pass(author, now); !ok {
			rate = guestRate
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if open && a.event.Kind() == mesh.KindGateway {
		// Apart: strangers can make a gateway speak, and must not silence its people.
		if !h.mu.words.allow(author, wordRate, now) {
			return refuse(mesh.ErrRefused, whyRate, "more than %d words of a gateway an hour", wordRate)
		}
		return nil
	}
	if !h.mu.guests.allow(author, rate, now) {
		return refuse(mesh.ErrRefused, whyRate, "more than %d events an hour", rate)
	}
	if s == mesh.Guest && !h.mu.issuers.allow(issuer, issuerRate, now) {
		return refuse(mesh.ErrRefused, whyRate, "guests of one machine sent more than %d events an hour", issuerRate)
	}
	return nil
}

// addressee judges a gift wrap, which is signed by a key made for it alone: it
// counts when it is for somebody who belongs.
func (h *Hub) addressee(a *arrival, now time.Time) error {
	for _, v := range a.event.TagValues("p") {
		to, err := mesh.ParsePubKey(v)
		if err != nil || h.roster.Standing(to, now) < mesh.Guest && to != h.signer.PubKey() {
			continue
		}
		if a.from.History {
			return nil
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		if !h.mu.mail.allow(to, mailRate, now) {
			return refuse(mesh.ErrRefused, whyRate, "more than %d messages an hour for one reader", mailRate)
		}
		return nil
	}
	return refuse(mesh.ErrUnknownAuthor, whyStranger, "a message for nobody who belongs")
}

// emergency decides whether an event that asks to be one is, and says why not.
// A grant is taken from the author's hour; giveBack returns it.
func (h *Hub) emergency(a *arrival, s mesh.Standing, r reckoning, history bool) (granted bool, why string) {
	switch {
	case history:
		return false, "it is history"
	case !s.Member() || mesh.Labelled(a.event, mesh.LabelGuest):
		return false, "its author is no member"
	case h.roster.Community().Open:
		return false, "there are none in an open community"
	case r.trusted && r.now.Sub(a.event.CreatedAt().Time()) > emergencyAge:
		return false, "it is older than an hour"
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.mu.emergencies.take(a.event.Author(), a.at) {
		return false, "its author had three within an hour"
	}
	return true, ""
}

// priority returns with what urgency others are owed an event.
func priority(e *mesh.Event, history, granted bool) mesh.Priority {
	p := mesh.PriorityOf(e)
	if p == mesh.Emergency && !granted {
		p = mesh.Chat
	}
	if history && p != mesh.Direct {
		p = max(p, mesh.Sync)
	}
	return p
}
