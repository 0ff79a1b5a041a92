package nostrbridge

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"drey/mesh"
	"drey/nostrbridge/pool"
)

// Name is the carrier's name.
const Name = "nostr"

// Relays are the connections to public relays. *pool.Pool is one.
type Relays interface {
	Relays() []pool.Relay
	Changed() <-chan struct{}
	Publish(ctx context.Context, url string, e *mesh.Event) error
	Fetch(ctx context.Context, url string, f mesh.Filter) iter.Seq2[*mesh.Event, error]
	Follow(ctx context.Context, f pool.Feed) error
}

// Mail says which gift wraps go to public relays and which are fetched there.
// *mail.Mail is one.
type Mail interface {
	// Relays lists the relays where the readers of a wrap look for their mail;
	// none where it need not go.
	Relays(e *mesh.Event) []string
	// Due is when a wrap may go at the earliest.
	Due(r *mesh.Record) time.Time
	// Wanted chooses the wraps that this node fetches from a relay.
	Wanted(relay string) []mesh.Filter
}

// A Node is the rest of the node as the bridge sees it.
type Node interface {
	// Say publishes a draft in the node's name.
	Say(ctx context.Context, t mesh.Topic, d mesh.Draft) error
	// Watch yields what comes in, as the hub does.
	Watch(ctx context.Context, f mesh.Filter) iter.Seq2[*mesh.Record, error]
	// Note adds a line to an event's history, where the event is known here.
	Note(id mesh.EventID, target, state string)
	// Topics lists the topics that exist.
	Topics() []mesh.Topic
	// Members lists the authors on the roster.
	Members() []mesh.PubKey
	// Withdraw ends what is owed of an event that came from the world.
	Withdraw(id mesh.EventID)
	// Welcome signs a pass for somebody out in the world.
	Welcome(ctx context.Context, author mesh.PubKey, perHour int, lasts time.Duration) error
}

// A Config says what a Bridge works with. The bridge owns none of it.
type Config struct {
	// Gateway is set where this node carries events to public relays and back.
	// Others only listen to what gateways say.
	Gateway bool
	Out     []mesh.Topic  // topics that leave for public relays
	In      []mesh.Topic  // topics that come in from there
	InOpen  bool          // from anybody; false: from members and Authors
	Authors []mesh.PubKey // people outside of the roster whose events come in

	Relays  Relays
	Mail    Mail // nil: no mail
	Node    Node
	Signer  mesh.Signer // of the node
	Roster  mesh.Roster
	Archive mesh.Archive
	Shelf   mesh.Shelf
	Log     *slog.Logger     // nil: silent
	Clock   func() time.Time // nil: time.Now
}

// A Bridge carries a community's topics to public Nostr relays and back. It is
// the mesh.Carrier "nostr".
type Bridge struct {
	c       Config   // immutable
	council *council // immutable
	landed  *landed
	world   *landed // events that gateways brought from the world, at relay ""
	intake  intake
	pace    pace // immutable

	carried, refused, settled, asked, taken, turned, fast atomic.Uint64

	// coming wakes send: mail is owed to a relay that nobody sends to yet.
	coming chan struct{} // holds one
	// news wakes whoever says words: a colleague is new, or this gateway's own
	// state has changed.
	news chan struct{} // holds one

	// counting is held while an event's relays are counted and its history is
	// told, so that the last line has the highest count.
	counting sync.Mutex

	sayings sync.Mutex // held while what the shelf holds of own translations changes

	mu struct {
		sync.Mutex
		on, no  []landing                 // to be told in the next word
		claimed map[string][]mesh.EventID // by relay: what words of an open community say that it has
		dropped uint64                    // of those, how many there was no room for
		held    map[string]time.Time
		inboxes map[mesh.PubKey]inbox // of outsiders
		leads   map[lead]int          // that this gateway has, with the number of its beginning
		began   int                   // leads so far
		rota    rota                  // of relays outside of the list to which mail is owed
		lanes   mesh.Lanes            // of the running carrier; nil between runs
	}
}

// New makes a bridge. It starts nothing.
func New(c Config) *Bridge { return newBridge(c, usual) }

func newBridge(c Config, p pace) *Bridge {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	never := func(t mesh.Topic) bool { return t == mesh.TopicRegistry || t == mesh.TopicMail }
	c.Out = slices.DeleteFunc(slices.Clone(c.Out), never)
	c.In = slices.DeleteFunc(slices.Clone(c.In), never)
	out := append(slices.Clone(c.Out), mesh.TopicPeople, mesh.TopicMail)
	b := &Bridge{c: c, landed: newLanded(), world: newLanded(), pace: p, news: make(chan struct{}, 1), coming: make(chan struct{}, 1)}
	b.council = newCouncil(c.Signer.PubKey(), p, out)
	b.mu.leads = make(map[lead]int)
	b.mu.rota = newRota()
	b.mu.claimed = make(map[string][]mesh.EventID)
	b.mu.inboxes = make(map[mesh.PubKey]inbox)
	b.mu.held = make(map[string]time.Time)
	return b
}

// Name returns "nostr".
func (b *Bridge) Name() string { return Name }

// Limits returns what relays can bear: each says its own, and refuses the rest.
func (b *Bridge) Limits() mesh.Limits { return mesh.Limits{} }

// errLanes reports a port that keeps targets together.
var errLanes = errors.New("nostrbridge: the port has no lanes")

// Run carries events until ctx ends.
func (b *Bridge) Run(ctx context.Context, port mesh.Port) error {
	if !b.c.Gateway {
		return b.listen(ctx)
	}
	lanes, ok := port.(mesh.Lanes)
	if !ok {
		return errLanes
	}
	b.council.begin(b.c.Clock())
	b.mu.Lock()
	b.mu.lanes = lanes
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.mu.lanes = nil
	}()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return b.listen(ctx) })
	g.Go(func() error { return b.watch(ctx) })
	g.Go(func() error { return b.speak(ctx) })
	g.Go(func() error { return b.send(ctx, lanes) })
	g.Go(func() error { return b.follow(ctx, port) })
	g.Go(func() error { return b.undo(ctx) })
	return g.Wait()
}

// FromWorld reports whether a gateway said lately that it brings an event from
// public relays.
func (b *Bridge) FromWorld(id mesh.EventID) bool { return b.world.has(id, "") }

// Targets lists the relays to which a record is owed. The hub's own rules for
// public carriers come on top: orphans, protected events and topics that may
// not leave stay. What guests say stays too: their passes are for this
// community, and the world would have it from the community's own machines.
func (b *Bridge) Targets(r *mesh.Record) []string {
	e := r.Event
	switch {
	case !b.c.Gateway || e.Kind().Ephemeral() || r.Flags&mesh.FlagGuest != 0 || r.Topic == mesh.TopicRegistry:
		return nil
	case r.Topic == mesh.TopicMail:
		if b.c.Mail != nil && e.Kind() == mesh.KindOutward {
			return b.outwardTo(r)
		}
		if b.c.Mail == nil || e.Kind() != mesh.KindGiftWrap {
			return nil
		}
		to := b.mailRelays(e)
		b.expect(to, b.c.Mail.Due(r))
		return to
	case !slices.Contains(b.c.Out, r.Topic) && e.Kind() != mesh.KindInboxRelays:
		return nil
	}
	return b.wanted()
}

// mailRelays lists the relays where a wrap may go.
func (b *Bridge) mailRelays(e *mesh.Event) (all []string) {
	for _, url := range b.c.Mail.Relays(e) {
		if at, err := pool.Normalize(url); err == nil && !slices.Contains(all, at) {
			all = append(all, at)
		}
	}
	return all
}

// expect has somebody send to relays to which mail is owed from a time on.
func (b *Bridge) expect(relays []string, at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	sooner := false
	for _, url := range relays {
		sooner = b.mu.rota.expect(url, at) || sooner
	}
	if !sooner {
		return
	}
	select {
	case b.coming <- struct{}{}:
	default:
	}
}

// wanted lists the relays that the operator wants.
func (b *Bridge) wanted() []string {
	var all []string
	for _, r := range b.c.Relays.Relays() {
		if !r.Side {
			all = append(all, r.URL)
		}
	}
	return all
}

// A Status tells how the bridge is doing.
type Status struct {
	Gateway  bool     `json:"gateway"`
	Gateways int      `json:"gateways"`          // colleagues who were heard lately
	Leads    []string `json:"leads,omitempty"`   // "URL TOPIC" that this gateway carries
	Carried  uint64   `json:"carried"`           // events that relays acknowledged to this gateway
	Refused  uint64   `json:"refused"`           // for good
	Settled  uint64   `json:"settled"`           // that a colleague carried
	Asked    uint64   `json:"asked"`             // about which a relay was asked before sending
	Taken    uint64   `json:"taken"`             // events from relays that were new here
	Turned   uint64   `json:"turned_away"`       // events from relays that do not come in
	TooFast  uint64   `json:"too_fast"`          // events from relays beyond what strangers may send in an hour; some come again within three days
	Untold   uint64   `json:"untold,omitempty"`  // acknowledgements that colleagues were not told
	Waiting  []Lane   `json:"waiting,omitempty"` // by relay
}

// A Lane counts what waits for one relay.
type Lane struct {
	Relay string `json:"relay"`
	Held  string `json:"held,omitempty"` // until when nothing is offered there
}

// Status tells how the bridge is doing.
func (b *Bridge) Status() Status {
	now := b.c.Clock()
	s := Status{
		Gateway: b.c.Gateway, Gateways: b.council.company(now),
		Carried: b.carried.Load(), Refused: b.refused.Load(), Settled: b.settled.Load(),
		Asked: b.asked.Load(), Taken: b.taken.Load(), Turned: b.turned.Load(), TooFast: b.fast.Load(),
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for l := range b.mu.leads {
		if slices.Contains(b.c.Out, l.topic) {
			s.Leads = append(s.Leads, l.relay+" "+string(l.topic))
		}
	}
	slices.Sort(s.Leads)
	s.Untold = b.mu.dropped
	for _, url := range slices.Sorted(maps.Keys(b.mu.held)) {
		if until := b.mu.held[url]; until.After(now) {
			s.Waiting = append(s.Waiting, Lane{url, until.UTC().Format(time.RFC3339)})
		}
	}
	return s
}
