package bootstrap

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"drey/mesh"
)

// A Board holds events where everybody reads: public Nostr relays. Safe for
// concurrent use.
type Board interface {
	// Announce publishes an event and returns nil when every relay has shown
	// that it holds it; those that do are not bothered again with the same one.
	Announce(ctx context.Context, e *mesh.Event) error
	// Records hands on what matches any of the filters, what the relays hold
	// first, then what comes in, until ctx ends. Nothing about the events has
	// been checked but their form.
	Records(ctx context.Context, filters []mesh.Filter, found func(relay string, e *mesh.Event)) error
}

// A NostrConfig is what a Nostr finder works with. All fields but Public and
// Authors are needed.
type NostrConfig struct {
	Board    Board
	Identity *mesh.Identity
	Secrets  func() []mesh.Secret // of the community, newest first
	// Public announces this node's record in clear, too, under its own name, so
	// that members who missed a new secret find it. For gateways whose operator
	// said so.
	Public bool
	// Authors lists the community's machines by the keys that sign their public
	// announcements; nil looks for none.
	Authors func() []mesh.PubKey
	Log     *slog.Logger
	Clock   func() time.Time
}

// A Nostr is the finder of nodes by announcements on public relays: addressable
// events (NIP-01) of kind 30078 (NIP-78) that expire (NIP-40).
//
// What is private has the tags d = "drey/peer/v1/" and the day in decimal, and
// t, the rendezvous' name. It is signed with a key that no other day and no
// other event has: HKDF-SHA256 of the node's Ed25519 seed, no salt, info
// "drey/1/announce-author/" ‖ rendezvous' name ‖ 0 ‖ day. The content is
// unpadded base64url of the sealed announcement (see rendezvous), by the 32
// bytes of that key. Relays still see the address that asks, and when.
//
// What is public has d = "drey/peer/v1", is signed by the node's author key,
// and its content is the record's text form.
type Nostr struct {
	c   NostrConfig // immutable
	own *latest
	tally

	mu struct {
		sync.Mutex
		relays map[string]*rate.Limiter  // looks at what each relay offers
		newest map[mesh.PubKey]mesh.Unix // of announcements that counted
	}
}

const (
	announceEvery  = 12 * time.Hour // on relays, and as much as an hour more or less
	announceJitter = time.Hour
	announceLife   = 48 * time.Hour
	announcePause  = time.Minute // between announcements that differ, at least
	retryLeast     = time.Second
	retryMost      = time.Hour // a relay that is gone is not worth more
	futureMost     = 15 * time.Minute

	// What one relay can make this node do: opening an announcement costs some
	// 6 µs, and only what a member made is looked at further.
	relayLooks      = rate.Limit(2) // a second
	relayLooksBurst = 256
	authorsMost     = 512 // keys whose newest announcement is known
	filterMost      = 200 // stored events that a relay is asked for

	publicPlace  = "drey/peer/v1"
	privatePlace = publicPlace + "/"
)

// NewNostr returns a finder over a board.
func NewNostr(c NostrConfig) *Nostr {
	n := &Nostr{c: c, own: newLatest()}
	n.mu.relays = map[string]*rate.Limiter{}
	n.mu.newest = map[mesh.PubKey]mesh.Unix{}
	return n
}

// Name returns FinderNostr.
func (n *Nostr) Name() string { return FinderNostr }

// Announce has this node's record published in its time.
func (n *Nostr) Announce(a Announcement) { n.own.set(a.Record) }

// Run announces this node and looks for others until ctx ends.
func (n *Nostr) Run(ctx context.Context, found func(Candidate)) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return n.speak(ctx) })
	group.Go(func() error { return n.listen(ctx, found) })
	return group.Wait()
}

// speak publishes this node's record, again when it changes and from time to
// time.
func (n *Nostr) speak(ctx context.Context) error {
	wait := time.NewTimer(0)
	defer wait.Stop()
	pause := retryLeast
	var last time.Time        // when the last announcement was made
	var pending []*mesh.Event // of it, what some relay does not hold
	var said *mesh.PeerRecord // in it
	n.own.touch()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.own.changed():
			if n.own.get() == said {
				continue
			}
			if left := announcePause - n.c.Clock().Sub(last); !last.IsZero() && left > 0 {
				pending = nil
				wait.Reset(left)
				continue
			}
			pending = nil
		case <-wait.C:
		}
		record := n.own.get()
		if record == nil {
			continue
		}
		if len(pending) == 0 {
			var err error
			last, said = n.c.Clock(), record
			if pending, err = n.draft(record, last); err != nil {
				return err
			}
			pause = retryLeast
		}
		var faults []error
		pending = slices.DeleteFunc(pending, func(e *mesh.Event) bool {
			err := n.c.Board.Announce(ctx, e)
			faults = append(faults, err)
			return err == nil
		})
		again := announceEvery - announceJitter + rand.N(2*announceJitter)
		if err := errors.Join(faults...); err != nil && ctx.Err() == nil {
			n.c.Log.Info("not every relay holds the announcement", "err", err, "retryIn", pause)
			if n.c.Clock().Sub(last) > announceEvery {
				pending = nil // it is time for a new one
			}
			again = pause + rand.N(pause/4)
			pause = min(4*pause, retryMost)
		}
		wait.Reset(again)
	}
}

// draft signs what is to be announced now.
func (n *Nostr) draft(record *mesh.PeerRecord, now time.Time) ([]*mesh.Event, error) {
	var all []*mesh.Event
	secrets := n.c.Secrets()
	for _, s := range secrets[:min(len(secrets), secretsMost)] {
		r := rendezvous{dayOf(now), s}
		key, err := n.author(r)
		if err != nil {
			return nil, err
		}
		by := key.PubKey()
		notice, err := r.seal(record, by[:])
		if err != nil {
			return nil, err
		}
		e, err := key.Sign(announcement(now, base64.RawURLEncoding.EncodeToString(notice),
			[]string{"d", privatePlace + strconv.Itoa(int(r.day))}, []string{"t", r.name()}))
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	if n.c.Public {
		e, err := n.c.Identity.Author.Sign(announcement(now, mesh.RecordText(record.AppendBinary(nil)), []string{"d", publicPlace}))
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}

func announcement(now time.Time, content string, tags ...[]string) mesh.Draft {
	until := strconv.FormatInt(now.Add(announceLife).Unix(), 10)
	return mesh.Draft{CreatedAt: mesh.UnixOf(now), Kind: mesh.KindPeerRecord, Content: content, Tags: append(tags, []string{"expiration", until})}
}

// author returns the key that signs at one rendezvous.
func (n *Nostr) author(r rendezvous) (*mesh.SecretKey, error) {
	return mesh.NewSecretKey([32]byte(r.derive(n.c.Identity.Node.Seed(), "drey/1/announce-author/"+r.name())))
}

// listen looks for others' announcements, each day and under each new secret
// elsewhere.
func (n *Nostr) listen(ctx context.Context, found func(Candidate)) error {
	const look = time.Minute
	tick := time.NewTicker(look)
	defer tick.Stop()
	for ctx.Err() == nil {
		places := rendezvousOf(n.c.Secrets(), n.c.Clock())
		authors := n.authors()
		err := func() error {
			within, cancel := context.WithCancel(ctx)
			defer cancel()
			done := make(chan error, 1)
			go func() {
				done <- n.c.Board.Records(within, filters(places, authors), func(relay string, e *mesh.Event) {
					n.take(relay, e, places, authors, found)
				})
			}()
			for {
				select {
				case err := <-done:
					return err
				case <-tick.C:
				}
				if !slices.Equal(places, rendezvousOf(n.c.Secrets(), n.c.Clock())) || !slices.Equal(authors, n.authors()) {
					cancel()
					return <-done
				}
			}
		}()
		if err != nil && ctx.Err() == nil && !errors.Is(err, context.Canceled) {
			return err
		}
	}
	return nil
}

// authors lists whose public announcements are looked for.
func (n *Nostr) authors() []mesh.PubKey {
	if n.c.Authors == nil {
		return nil
	}
	all := n.c.Authors()
	return all[:min(len(all), filterMost)]
}

// filters say what to ask relays for.
func filters(places []rendezvous, authors []mesh.PubKey) []mesh.Filter {
	var names []string
	for _, p := range places {
		names = append(names, p.name())
	}
	kinds := []mesh.Kind{mesh.KindPeerRecord}
	all := []mesh.Filter{{Kinds: kinds, Tags: map[string][]string{"t": names}, Limit: filterMost}}
	if len(authors) > 0 {
		all = append(all, mesh.Filter{Kinds: kinds, Authors: authors, Tags: map[string][]string{"d": {publicPlace}}, Limit: filterMost})
	}
	return all
}

// take looks at what a relay offers, what costs least first, and hands on what
// holds.
func (n *Nostr) take(relay string, e *mesh.Event, places []rendezvous, authors []mesh.PubKey, found func(Candidate)) {
	now := n.c.Clock()
	if !n.within(relay, now) {
		n.add(RefusedFlood)
		return
	}
	c, refused := n.open(e, places, authors, now)
	if refused == "" && e.Verify() != nil {
		refused = RefusedForged
	}
	if refused == "" && !n.newer(e) {
		refused = RefusedSuperseded
	}
	if refused != "" {
		n.add(refused)
		return
	}
	if own := n.own.get(); own == nil || !bytes.Equal(c.Record, own.AppendBinary(nil)) {
		found(c)
	}
}

// open returns the record in an announcement.
func (n *Nostr) open(e *mesh.Event, places []rendezvous, authors []mesh.PubKey, now time.Time) (Candidate, Refusal) {
	d, _ := e.Tag("d")
	until, ok := e.Tag("expiration")
	end, err := strconv.ParseInt(until, 10, 64)
	switch {
	case e.Kind() != mesh.KindPeerRecord, ok && err != nil:
		return Candidate{}, RefusedForm
	case ok && end <= now.Unix():
		return Candidate{}, RefusedExpired
	case e.CreatedAt().Time().Sub(now) > futureMost:
		return Candidate{}, RefusedFuture
	case len(e.Content()) > 2*mesh.MaxSealedRecord:
		return Candidate{}, RefusedSize
	case d == publicPlace:
		b, err := mesh.ParseRecordText(e.Content())
		if err != nil {
			return Candidate{}, RefusedForm
		}
		if !slices.Contains(authors, e.Author()) {
			return Candidate{}, RefusedStranger
		}
		return Candidate{Record: b}, ""
	}
	day, ok := strings.CutPrefix(d, privatePlace)
	if !ok {
		return Candidate{}, RefusedForm
	}
	notice, err := base64.RawURLEncoding.Strict().DecodeString(e.Content())
	if err != nil {
		return Candidate{}, RefusedForm
	}
	by, names := e.Author(), e.TagValues("t")
	for _, r := range places {
		if strconv.Itoa(int(r.day)) != day || !slices.Contains(names, r.name()) {
			continue
		}
		b, err := r.open(notice, by[:])
		if err != nil && !errors.Is(err, mesh.ErrSealed) {
			return Candidate{}, RefusedForm
		}
		if err == nil {
			return Candidate{Record: b, Proved: true}, ""
		}
	}
	return Candidate{}, RefusedSealed
}

// within reports whether one more look at what a relay offers is allowed.
func (n *Nostr) within(relay string, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.mu.relays[relay]
	if l == nil {
		l = rate.NewLimiter(relayLooks, relayLooksBurst)
		n.mu.relays[relay] = l // as many as are configured
	}
	return l.AllowN(now, 1)
}

// newer reports whether an announcement is not older than what its key said
// last, and remembers it.
func (n *Nostr) newer(e *mesh.Event) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	by := e.Author()
	old, known := n.mu.newest[by]
	if known && e.CreatedAt() < old {
		return false
	}
	if !known && len(n.mu.newest) >= authorsMost {
		for k := range n.mu.newest { // any: the record's own number still guards
			delete(n.mu.newest, k)
			break
		}
	}
	n.mu.newest[by] = e.CreatedAt()
	return true
}
