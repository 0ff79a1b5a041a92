package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"drey/mesh"
)

// A Link is one underlay link as the Manager sees it.
type Link struct {
	URI    string       // without a query
	Node   mesh.NodeKey // zero while it never was up
	Up     bool
	Finder string     // for whom it was called; "" when the other side called
	Remote netip.Addr // the other end; zero when not known
}

// A Dialer makes links. The overlay does, seen through wire.go. Safe for
// concurrent use.
type Dialer interface {
	// Call calls an underlay URI once and returns, when a link is up, whose it
	// is. The link stays until it breaks; it is not called again. An end of ctx
	// before the link is up gives the call up.
	Call(ctx context.Context, uri, finder string) (mesh.NodeKey, error)
	// Hangup ends what Call has made.
	Hangup(uri string)
	// Meet asks a node over the overlay whether both belong, and is nil if so.
	Meet(ctx context.Context, node mesh.NodeKey) error
	// Met reports whether a member is connected over the overlay.
	Met(node mesh.NodeKey) bool
	// Links lists the underlay links, up or wanted.
	Links() []Link
	// Changed returns a channel that is closed when Links next changes.
	Changed() <-chan struct{}
}

// A ManagerConfig is what a Manager works with. All fields but Shelf, Public,
// Zones and Elsewhere are needed.
type ManagerConfig struct {
	Self    mesh.NodeKey
	Roster  mesh.Roster
	Secrets func() []mesh.Secret // of the community, newest first
	Card    *Card                // what this node says of itself
	Dialer  Dialer
	Finders []Finder
	// Elsewhere names finders that are switched on and run by the overlay.
	Elsewhere []string
	Shelf     mesh.Shelf // remembers peers; nil remembers nothing
	// Public lets strangers see this node's record in clear.
	Public bool
	// Zones lists the interfaces where link-local addresses are tried; nil means
	// this machine's.
	Zones func() []string
	Log   *slog.Logger
	Clock func() time.Time
}

// A Manager runs finders side by side, looks at whom they find, calls within
// limits those who may belong, and remembers who came up. A finder that is
// slow, dead, broken or hostile delays no other.
type Manager struct {
	c     ManagerConfig // immutable
	diary diary
	guard bouncer
	news  chan struct{} // holds one: an intake has something
	run   []*running    // immutable but for what lies under their locks

	mu struct {
		sync.Mutex
		contacts *contacts
		refused  map[string]map[Refusal]uint64 // by finder
		own      Announcement
	}
}

// A running is a finder that is switched on.
type running struct {
	finder Finder
	intake *intake

	mu struct {
		sync.Mutex
		err error // why it rests; nil while it looks
	}
}

// NewManager makes a manager. It starts nothing.
func NewManager(c ManagerConfig) *Manager {
	if c.Zones == nil {
		c.Zones = zones
	}
	m := &Manager{c: c, diary: diary{c.Shelf}, news: make(chan struct{}, 1)}
	m.mu.contacts = newContacts(c.Self)
	m.mu.refused = map[string]map[Refusal]uint64{}
	m.guard = bouncer{self: c.Self, roster: c.Roster, secrets: c.Secrets, newest: m.mu.contacts.newest, outdo: c.Card.Outdo}
	for _, f := range c.Finders {
		m.run = append(m.run, &running{finder: f, intake: newIntake(m.news)})
	}
	return m
}

const (
	// settling is how long after the start paths through the overlay are waited
	// for before members beyond the first links are called.
	settling = 15 * time.Second
	// ownLook is how often it is looked whether this node has something new to
	// say of itself.
	ownLook = 3 * time.Second
	// callFor bounds a call of one contact, all its addresses together.
	callFor = 12 * time.Second
)

// An outcome is what became of a call.
type outcome struct {
	contact *contact
	won     string       // the place that came up, without a query
	node    mesh.NodeKey // whose it is
	tried   []string     // places that did not
	foreign bool         // it came up, but does not belong
}

// Run runs the finders until ctx ends.
func (m *Manager) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	began := m.c.Clock()
	m.recall(ctx)
	paper := disguise{clear: m.c.Public}
	m.announce(ctx, &paper)
	for _, r := range m.run {
		group.Go(func() error { return m.keepLooking(ctx, r) })
	}
	done := make(chan outcome)
	calls := 0
	up := map[string]bool{}
	timer, own := time.NewTimer(0), time.NewTicker(ownLook)
	defer timer.Stop()
	defer own.Stop()
	roster := m.c.Roster.Changed()
	for {
		changed := m.c.Dialer.Changed() // before looking, so that nothing slips by
		later := m.takeIn(m.c.Clock())
		links := m.c.Dialer.Links()
		m.learn(ctx, links, up)
		call, wait := m.plan(links, m.c.Clock(), m.c.Clock().Sub(began) < settling)
		for _, j := range call {
			calls++
			group.Go(func() error {
				done <- m.call(ctx, j)
				return nil
			})
		}
		if later > 0 {
			wait = min(wait, later)
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			for ; calls > 0; calls-- {
				<-done
			}
			return group.Wait()
		case <-m.news:
		case <-timer.C:
		case <-changed:
			m.announce(ctx, &paper)
		case <-own.C:
			m.announce(ctx, &paper)
		case <-roster:
			roster = m.c.Roster.Changed()
			for _, r := range m.run {
				r.intake.forget()
			}
		case o := <-done:
			calls--
			m.settle(ctx, o)
		}
	}
}

// recall takes in whom earlier runs remembered. The cache's finder names them;
// here only their past counts.
func (m *Manager) recall(ctx context.Context) {
	all, err := m.diary.load(ctx)
	if err != nil && ctx.Err() == nil {
		m.c.Log.Warn("cannot read remembered peers", "err", err)
	}
	cached := slices.ContainsFunc(m.run, func(r *running) bool { return r.finder.Name() == FinderCache })
	now := m.c.Clock()
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, k := range all {
		c := k.restore(id, now)
		if c == nil || c.node == m.c.Self {
			continue
		}
		c.vouched = c.node != (mesh.NodeKey{}) && m.c.Roster.Admits(c.node)
		if !cached {
			c.places = nil // known, but to be called only where another finder says
			c.transit = false
		} else if len(c.places) > 0 || c.record != nil {
			c.metBy(FinderCache)
			for _, uri := range places(c.record, "", netip.Addr{}, m.c.Zones()) {
				c.at(uri)
			}
		}
		m.mu.contacts.all[id] = c
	}
}

// announce gives the finders what this node says of itself, when it is new.
func (m *Manager) announce(ctx context.Context, paper *disguise) {
	r, err := m.c.Card.Record(ctx)
	if err != nil {
		if ctx.Err() == nil {
			m.c.Log.Warn("own peer record not issued", "err", err)
		}
		if r == nil {
			return
		}
	}
	a, fresh := paper.announcement(r, m.c.Secrets())
	if !fresh {
		return
	}
	m.mu.Lock()
	m.mu.own = a
	m.mu.Unlock()
	for _, r := range m.run {
		r.intake.forget() // a new secret may open what the old ones did not
		if f, ok := r.finder.(Announcer); ok {
			f.Announce(a)
		}
	}
}

// keepLooking runs one finder until ctx ends. One that fails is run again
// after a pause that doubles.
func (m *Manager) keepLooking(ctx context.Context, r *running) error {
	const least, most = time.Second, 5 * time.Minute
	log := m.c.Log.With("finder", r.finder.Name())
	for pause := least; ; pause = min(2*pause, most) {
		began := m.c.Clock()
		r.rest(nil)
		err := guarded(ctx, r.finder, func(c Candidate) { r.intake.put(c, m.c.Clock()) })
		if ctx.Err() != nil {
			return nil
		}
		if m.c.Clock().Sub(began) > most {
			pause = least
		}
		if err == nil {
			err = errors.New("ended by itself")
		}
		r.rest(err)
		log.Info("finder rests", "err", err, "retryIn", pause)
		wait := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			wait.Stop()
			return nil
		case <-wait.C:
		}
	}
}

func (r *running) rest(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.err = err
}

func (r *running) fault() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.err
}

// guarded runs a finder; a panic in it is an error like any other.
func guarded(ctx context.Context, f Finder, found func(Candidate)) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return f.Run(ctx, found)
}

// takeIn looks at what the finders have found, one of each in turn, as far as
// their pace allows. It returns when to come again; 0 means when there is news.
func (m *Manager) takeIn(now time.Time) (later time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.run {
		for _, id := range r.intake.sightings() {
			if c := m.mu.contacts.all[id]; c != nil && c.sighted(now) {
				c.next = now
			}
		}
	}
	for any := true; any; {
		any = false
		for _, r := range m.run {
			c, ok, wait := r.intake.take(now)
			if wait > 0 && (later == 0 || wait < later) {
				later = wait
			}
			if ok {
				any = true
				m.judgeLocked(r, c, now)
			}
		}
	}
	return later
}

func (m *Manager) judgeLocked(r *running, c Candidate, now time.Time) {
	name := r.finder.Name()
	v, refused := m.guard.look(c, now)
	if refused == "" {
		if met := m.mu.contacts.meet(name, v, c.From, m.c.Zones(), now); met != nil {
			r.intake.judge(c, verdict{contact: met.id})
			m.c.Log.Debug("met", "finder", name, "key", met.id, "from", c.From.String())
			return
		}
		refused = RefusedFlood
	}
	if refused == RefusedSealed || refused == RefusedCommunity {
		// Neighbours of another community say the same for ever: they count once,
		// until the roster or a secret changes.
		r.intake.judge(c, verdict{refused: refused})
	}
	m.c.Log.Debug("refused", "finder", name, "why", string(refused), "from", c.From.String())
	m.refuseLocked(name, refused, 1)
}

func (m *Manager) refuseLocked(finder string, why Refusal, n uint64) {
	if m.mu.refused[finder] == nil {
		m.mu.refused[finder] = map[Refusal]uint64{}
	}
	m.mu.refused[finder][why] += n
}

// learn compares the contacts with the links that are up, and remembers
// addresses at which links came up that others had called. up holds the links
// of the last look.
func (m *Manager) learn(ctx context.Context, links []Link, up map[string]bool) {
	now := m.c.Clock()
	linked, is := map[mesh.NodeKey]bool{}, map[string]bool{}
	var news []*contact
	m.mu.Lock()
	for _, l := range links {
		if !l.Up {
			continue
		}
		linked[l.Node] = true
		if is[l.URI] = true; l.Finder == "" || up[l.URI] {
			continue
		}
		if c := m.cameLocked(l, now); c != nil {
			news = append(news, c)
		}
	}
	for _, c := range m.mu.contacts.all {
		is := linked[c.node] && c.node != (mesh.NodeKey{})
		if c.linked && !is {
			c.broke(now)
		}
		if c.calling {
			continue // perhaps the call's own link, of which is not known yet whose it is
		}
		if is && !c.linked && !c.won && c.record != nil {
			// It called, or is linked at another address: its record is good.
			c.won, c.last, c.fails, c.tries = true, now, 0, 0
			c.wins++
			news = append(news, c)
		}
		if is {
			c.rose(now)
		}
	}
	m.mu.Unlock()
	clear(up)
	for uri := range is {
		up[uri] = true
	}
	for _, c := range news {
		m.remember(ctx, c)
	}
}

// cameLocked notes that a link that the overlay called by itself is up: a
// static one, or one of Yggdrasil's multicast. It returns the contact when it is worth
// writing down.
func (m *Manager) cameLocked(l Link, now time.Time) *contact {
	if !slices.Contains([]string{FinderStatic, FinderMulticast, FinderInvite}, l.Finder) {
		return nil // settle notes those that the Manager called
	}
	id := contactID(l.Node, "")
	c := m.mu.contacts.all[id]
	if c == nil {
		if !m.mu.contacts.room(l.Finder, m.c.Roster.Admits(l.Node)) {
			return nil
		}
		c = &contact{id: id, node: l.Node, pause: pauseLeast}
		m.mu.contacts.all[id] = c
	}
	c.vouched = m.c.Roster.Admits(l.Node)
	c.transit = c.transit || !c.vouched
	c.metBy(l.Finder)
	if !c.came(l.URI, now) {
		return nil
	}
	return c
}

// remember writes a contact down.
func (m *Manager) remember(ctx context.Context, c *contact) {
	m.mu.Lock()
	was := *c
	was.places = slices.Clone(c.places)
	m.mu.Unlock()
	if err := m.diary.keep(ctx, &was); err != nil && ctx.Err() == nil {
		m.c.Log.Warn("a peer is not remembered", "err", err)
	}
}

// A job is one contact to be called.
type job struct {
	contact *contact
	finder  string
	uris    []string
	vouched bool // need not be asked whether it belongs
}

// plan begins what is due.
func (m *Manager) plan(links []Link, now time.Time, fresh bool) ([]job, time.Duration) {
	ups := 0
	for _, l := range links {
		if l.Up {
			ups++
		}
	}
	open := m.c.Roster.Community().Open
	m.mu.Lock()
	defer m.mu.Unlock()
	due, wait := m.mu.contacts.plan(view{links: ups, met: m.c.Dialer.Met, fresh: fresh}, now)
	var jobs []job
	for _, c := range due {
		c.vouched = c.node != (mesh.NodeKey{}) && !open && m.c.Roster.Admits(c.node)
		c.began(now)
		// In an open community a sealed or signed record is proof enough.
		jobs = append(jobs, job{c, c.finder, c.uris(), c.vouched || c.transit || open && c.record != nil})
	}
	return jobs, wait
}

// settle notes what became of a call.
func (m *Manager) settle(ctx context.Context, o outcome) {
	now := m.c.Clock()
	m.mu.Lock()
	c := o.contact
	if o.foreign {
		m.refuseLocked(c.finder, RefusedForeign, 1)
	}
	news, gone := c.ended(o.won, o.tried, now)
	// Whoever belongs no more is as any stranger, however well it was known.
	gone = gone || o.foreign && c.tries >= strangerTries
	if o.won != "" && c.node == (mesh.NodeKey{}) {
		// Now it is known whose address this is.
		delete(m.mu.contacts.all, c.id)
		known := m.mu.contacts.all[contactID(o.node, "")]
		if known == nil {
			known = c
			known.id, known.node = contactID(o.node, ""), o.node
			m.mu.contacts.all[known.id] = known
		} else {
			known.metBy(c.finder)
			known.came(o.won, now)
		}
		c, news = known, true
	}
	if o.won != "" {
		c.rose(now)
	}
	if gone && m.mu.contacts.all[c.id] == c {
		delete(m.mu.contacts.all, c.id)
	}
	m.mu.Unlock()
	switch {
	case gone && c.wins > 0:
		if err := m.diary.forget(ctx, c.id); err != nil && ctx.Err() == nil {
			m.c.Log.Warn("a peer is not forgotten", "err", err)
		}
	case news:
		m.remember(ctx, c)
	}
}
