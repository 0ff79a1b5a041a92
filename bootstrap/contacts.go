package bootstrap

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"drey/mesh"
)

const (
	// enoughLinks is how many links are looked for when all members can be
	// reached; mostLinks are made for those that cannot.
	enoughLinks = 8
	mostLinks   = 24
	// callsOfFinder and callsAtOnce bound calls under way: black holes that one
	// finder brings leave the places of the others free.
	callsOfFinder = 6
	callsAtOnce   = 64
	// strangersOfFinder bounds what is kept of those who are not on the roster,
	// contactsMost all that is kept.
	strangersOfFinder = 128
	contactsMost      = 2048
	placesMost        = 12 // addresses of one contact
	findersMost       = 4  // remembered of one contact

	pauseLeast    = time.Second
	pauseMember   = 5 * time.Minute // between calls of those who came up before or belong
	pauseStranger = 30 * time.Minute
	strangerTries = 5               // calls in vain after which a stranger is forgotten
	sightingPause = 5 * time.Second // a sighting brings a call, but not more often
	// steady is how long a link must have lasted for its end to be no failure.
	steady = time.Minute
)

// A place is one address of a contact.
type place struct {
	URI   string `json:"uri"`             // without a query
	Wins  int    `json:"wins,omitempty"`  // runs in which it came up
	Fails int    `json:"fails,omitempty"` // runs since, in vain

	won, lost bool // in this run, counted already
}

// came notes that the place came up.
func (p *place) came() {
	if p.Fails = 0; !p.won {
		p.won = true
		p.Wins++
	}
}

// failed notes a call in vain.
func (p *place) failed() {
	if !p.won && !p.lost {
		p.lost = true
		p.Fails++
	}
}

// A contact is somebody who may be called.
type contact struct {
	id      string       // the node's key, or the URI of one that is not known
	node    mesh.NodeKey // zero when not known
	record  *mesh.PeerRecord
	places  []place
	finders []string // who met it, the first first
	finder  string   // of those, for whom it is being called, or was
	vouched bool     // on the roster
	// transit marks a node that need not belong: the operator, or Yggdrasil's
	// multicast, had linked with it.
	transit bool
	local   bool // heard on the local network since the start
	wins    int  // runs in which it came up
	fails   int  // runs since, in vain
	last    time.Time

	won, lost bool // in this run, counted already
	tries     int  // calls in vain in this run, since it last came up

	calling bool
	linked  bool
	since   time.Time // when the present link came up, or the last one did
	called  time.Time // when the last call began
	next    time.Time // not to be called before
	pause   time.Duration
}

// idOf names a contact.
func contactID(node mesh.NodeKey, uri string) string {
	if node == (mesh.NodeKey{}) {
		return uri
	}
	return node.String()
}

// score is the share of calls that brought a link, with one failure assumed
// so that long experience counts more.
func score(wins, fails int) float64 { return float64(wins) / float64(wins+fails+1) }

// contacts are those who may be called. Pure but for chance; not safe for
// concurrent use.
type contacts struct {
	self mesh.NodeKey
	all  map[string]*contact
}

func newContacts(self mesh.NodeKey) *contacts {
	return &contacts{self: self, all: map[string]*contact{}}
}

// newest returns the record known of a node, or nil.
func (s *contacts) newest(node mesh.NodeKey) *mesh.PeerRecord {
	if c := s.all[contactID(node, "")]; c != nil {
		return c.record
	}
	return nil
}

// meet takes in somebody whom a finder met, at from on the local network when
// that is valid. It returns nil when there is no room for another stranger.
func (s *contacts) meet(finder string, v vetted, from netip.Addr, zones []string, now time.Time) *contact {
	id := contactID(v.node, v.uri)
	c := s.all[id]
	if c == nil {
		if !s.room(finder, v.vouched) {
			return nil
		}
		c = &contact{id: id, node: v.node, pause: pauseLeast, next: now}
		s.all[id] = c
	}
	c.metBy(finder)
	c.vouched = v.vouched
	if v.record != nil && (c.record == nil || v.record.Supersedes(c.record)) {
		c.record = v.record
		c.places = slices.DeleteFunc(c.places, func(p place) bool { return p.Wins == 0 }) // what it said before
		c.pause, c.next = pauseLeast, now
	}
	before := len(c.places)
	for _, uri := range places(c.record, v.uri, from, zones) {
		c.at(uri)
	}
	c.local = c.local || from.IsValid()
	if len(c.places) > before || c.sighted(now) {
		c.next = now
	}
	return c
}

func (c *contact) metBy(finder string) {
	if !slices.Contains(c.finders, finder) && len(c.finders) < findersMost {
		c.finders = append(c.finders, finder)
	}
}

// sighted reports whether a contact that was met again is to be called at
// once: somebody that could not be reached is there again.
func (c *contact) sighted(now time.Time) bool {
	return !c.linked && !c.calling && now.Sub(c.called) >= sightingPause
}

// room makes room for one more contact and reports whether there is any.
func (s *contacts) room(finder string, vouched bool) bool {
	if !vouched {
		n := 0
		var worst *contact
		for _, c := range s.all {
			if c.vouched || len(c.finders) == 0 || c.finders[0] != finder {
				continue
			}
			n++
			if !c.linked && !c.calling && c.wins == 0 && (worst == nil || c.tries > worst.tries || c.tries == worst.tries && rand.IntN(n) == 0) {
				worst = c
			}
		}
		if n >= strangersOfFinder {
			if worst == nil || worst.tries == 0 {
				return false // those that wait come first
			}
			delete(s.all, worst.id)
		}
	}
	if len(s.all) < contactsMost {
		return true
	}
	var worst *contact
	for _, c := range s.all {
		if !c.linked && !c.calling && c.tries > 0 && (worst == nil || score(c.wins, c.fails) < score(worst.wins, worst.fails)) {
			worst = c
		}
	}
	if worst == nil {
		return false
	}
	delete(s.all, worst.id)
	return true
}

// at returns a contact's place, a new one where there is none. The least
// likely goes when there are too many.
func (c *contact) at(uri string) *place {
	if i := slices.IndexFunc(c.places, func(p place) bool { return p.URI == uri }); i >= 0 {
		return &c.places[i]
	}
	if len(c.places) == placesMost {
		worst := 0
		for i, p := range c.places {
			if score(p.Wins, p.Fails) <= score(c.places[worst].Wins, c.places[worst].Fails) {
				worst = i
			}
		}
		c.places = slices.Delete(c.places, worst, worst+1)
	}
	c.places = append(c.places, place{URI: uri})
	return &c.places[len(c.places)-1]
}

// uris returns where a contact is called, the likeliest first: where it came
// up before, then in the order in which it was told, then where it failed.
func (c *contact) uris() []string {
	ranked := slices.Clone(c.places)
	slices.SortStableFunc(ranked, func(a, b place) int {
		return cmp.Or(cmp.Compare(score(b.Wins, b.Fails), score(a.Wins, a.Fails)), cmp.Compare(a.Fails, b.Fails))
	})
	uris := make([]string, len(ranked))
	for i, p := range ranked {
		uris[i] = pinned(p.URI, c.node)
	}
	return uris
}

// places lists the underlay addresses that follow from a record, or from a
// URI: first where it was heard, then what it says. A link-local address is
// tried in the zone it was heard in, or else in every zone.
func places(r *mesh.PeerRecord, uri string, from netip.Addr, zones []string) []string {
	var all []string
	add := func(e mesh.Endpoint, host netip.Addr) {
		if host.IsValid() {
			e.Host = host.String()
		}
		// url.URL would write the % of a zone as %25, and so does the overlay.
		if p := escapeZone(e.String()); !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	if r != nil {
		for _, e := range r.Endpoints {
			if from.IsValid() && e.Scheme.Underlay() {
				add(e, from)
			}
		}
		for _, e := range r.Endpoints {
			if !e.Scheme.Underlay() {
				continue
			}
			host, err := netip.ParseAddr(e.Host)
			if err != nil || !host.Is6() || !host.IsLinkLocalUnicast() {
				add(e, netip.Addr{})
				continue
			}
			in := zones
			if from.Zone() != "" {
				in = []string{from.Zone()}
			}
			for _, zone := range in {
				add(e, host.WithZone(zone))
			}
		}
	}
	if uri != "" && !slices.Contains(all, uri) {
		all = append(all, uri)
	}
	return all[:min(len(all), placesMost)]
}

// A view is what planning needs to know of the node's links.
type view struct {
	links int                     // underlay links that are up
	met   func(mesh.NodeKey) bool // connected over the overlay
	fresh bool                    // the node has just started: links come before paths
}

// plan returns whom to call now, the likeliest first, and when to plan again.
func (s *contacts) plan(v view, now time.Time) (call []*contact, wait time.Duration) {
	const look = 10 * time.Second
	wait = look
	busy := 0
	of := map[string]int{}
	var due []*contact
	for _, c := range s.all {
		switch {
		case c.calling:
			busy++
			of[c.finder]++
		case c.linked, len(c.places) == 0:
		case c.next.After(now):
			wait = min(wait, c.next.Sub(now))
		default:
			due = append(due, c)
		}
	}
	s.rank(due, now)
	for _, c := range due {
		met := c.node != (mesh.NodeKey{}) && v.met(c.node)
		most := enoughLinks
		if !met && !v.fresh || c.local {
			most = mostLinks // no way leads there, or it is next door
		}
		for _, finder := range c.finders {
			// Calls under way for others may lead nowhere: they do not count.
			if busy < callsAtOnce && of[finder] < callsOfFinder && v.links+of[finder] < most {
				c.finder = finder
				call = append(call, c)
				busy++
				of[finder]++
				break
			}
		}
	}
	return call, max(wait, 10*time.Millisecond)
}

// rank sorts contacts, the one to call first first: those who came up before
// by their share of success, those who belong before strangers, records within
// their lifetime before older ones. Equals come in an order that differs from
// node to node.
func (s *contacts) rank(list []*contact, now time.Time) {
	order := map[*contact][sha256.Size]byte{}
	for _, c := range list {
		order[c] = sha256.Sum256(append([]byte(c.id), s.self[:]...))
	}
	slices.SortFunc(list, func(a, b *contact) int {
		x, y := order[a], order[b]
		return cmp.Or(
			cmp.Compare(score(b.wins, b.fails), score(a.wins, a.fails)),
			cmp.Compare(a.tries, b.tries),
			-compareBool(a.vouched, b.vouched),
			compareBool(a.past(now), b.past(now)),
			bytes.Compare(x[:], y[:]),
		)
	})
}

// past reports whether a record is past its lifetime, by this node's clock.
// That is a hint and no more.
func (c *contact) past(now time.Time) bool {
	return c.record != nil && c.record.Lifetime > 0 && now.Sub(c.record.Issued.Time()) > c.record.Lifetime
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// began notes that a contact is being called.
func (c *contact) began(now time.Time) { c.calling, c.called = true, now }

// rose notes that a link with the contact is up.
func (c *contact) rose(now time.Time) {
	if !c.linked {
		c.linked, c.since = true, now
	}
}

// broke notes that there is no link any more. It is called again at once, but
// who keeps hanging up is called less and less.
func (c *contact) broke(now time.Time) {
	c.linked, c.next = false, now
	if now.Sub(c.since) >= steady {
		c.pause = pauseLeast
		return
	}
	c.next = now.Add(c.pause + rand.N(c.pause/4))
	c.pause = min(2*c.pause, pauseMember)
}

// ended notes what became of a call: won is the place that came up, tried
// those that did not. news says that it is worth writing down, gone that the
// contact is to be forgotten.
func (c *contact) ended(won string, tried []string, now time.Time) (news, gone bool) {
	c.calling = false
	for _, uri := range tried {
		c.at(uri).failed()
	}
	if won != "" {
		c.next = now.Add(pauseLeast) // should it break
		return c.came(won, now), false
	}
	c.tries++
	if !c.won && !c.lost {
		c.lost, news = true, true
		c.fails++
	}
	c.next = now.Add(c.pause + rand.N(c.pause/4))
	most := pauseStranger
	if c.vouched || c.wins > 0 {
		most = pauseMember
	}
	c.pause = min(2*c.pause, most)
	return news && c.wins > 0, !c.vouched && c.wins == 0 && c.tries >= strangerTries
}

// came notes that a link with the contact came up at a place. It reports
// whether that is worth writing down.
func (c *contact) came(at string, now time.Time) (news bool) {
	p := c.at(at)
	news = !c.won || !p.won
	p.came()
	if c.fails, c.tries, c.last = 0, 0, now; !c.won {
		c.won = true
		c.wins++
	}
	return news
}
