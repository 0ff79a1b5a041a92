package main

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"drey/mesh"
	"drey/web"
)

// A reach is what a running node knows of its way to the others: from it
// follows why nobody is in contact.
type reach struct {
	uptime    time.Duration
	patience  time.Duration // how long links may take; first paths need a few seconds
	open      bool          // nobody keeps a list of who belongs
	belongs   bool          // this node is on the roster
	banned    bool
	others    int // machines on the roster beside this one
	met       int // machines of the community in contact
	unwelcome int // of them, such that turned this node away
	links     []web.PeerStatus
	member    func(key string) bool // whether a link's key is on the roster
	network   bool                  // some interface beside the loopback is up with an address
	lan       bool                  // looking on the local network is on
	multicast bool                  // and possible
}

// linkPatienceUsual is how long after its start a node may be without links
// and contact before that is a problem.
const linkPatienceUsual = 30 * time.Second

// aloneCheck and aloneCode name a state that is no problem and still the cause
// of having no contact.
const (
	aloneCheck = "community"
	aloneCode  = "alone"
)

// reachOf gathers what there is to know.
func (p *parts) reachOf(patience time.Duration) reach {
	self := p.who.NodeKey()
	r := reach{
		uptime: p.clock().Sub(p.began), patience: patience,
		open: p.membership.Community.Open, belongs: p.book.Admits(self), banned: p.book.Banned(self, p.who.Author.PubKey()),
		met: p.gossip.Status().Peers, unwelcome: len(p.overlay.Unwelcome()), links: peerStatuses(p.overlay.Links()),
		network: hasNetwork(), lan: p.conf.Overlay.LAN, multicast: checkMulticast().OK,
		member: func(key string) bool {
			k, err := mesh.ParseNodeKey(key)
			return err == nil && p.book.Admits(k)
		},
	}
	for _, k := range p.book.Nodes() {
		if k != self {
			r.others++
		}
	}
	return r
}

// hasNetwork reports whether any interface but the loopback is up and has an
// address.
func hasNetwork() bool {
	interfaces, err := net.Interfaces()
	if err != nil {
		return true // who cannot look must not accuse
	}
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		if addrs, err := i.Addrs(); err == nil && len(addrs) > 0 {
			return true
		}
	}
	return false
}

// checks tells how the node stands to the others, the cause before what
// follows from it.
func (r *reach) checks() []web.Check {
	var all []web.Check
	up := r.linksUp()
	if up > 0 {
		all = append(all, well("links", "checks.ok-links", "n", up, "sources", r.sources()))
	}
	if r.met > 0 {
		all = append(all, well("contact", "checks.ok-contact", "n", r.met))
	}
	switch {
	case r.banned:
		return append(all, ill("roster", "banned", "checks.banned"))
	case !r.belongs && !r.open:
		return append(all, ill("roster", "not-member", "checks.not-member"))
	case !r.open && r.others == 0:
		return append(all, well(aloneCheck, "checks.ok-alone"))
	case r.met > 0:
		return all
	case !r.network && up == 0:
		return append(all, ill("network", "no-network", "checks.no-network"))
	case r.unwelcome > 0:
		return append(all, ill("roster", "unwelcome", "checks.unwelcome", "n", r.unwelcome))
	case up == 0 && len(r.links) > 0:
		return append(all, r.downCheck())
	case r.uptime < r.patience:
		return append(all, well("contact", "checks.ok-looking"))
	case up > 0:
		return append(all, r.strangersCheck())
	case r.lan && !r.multicast:
		return append(all, ill("network", "no-multicast", "checks.no-way"))
	}
	return append(all, ill("contact", "no-peers", "checks.no-peers", "n", r.others))
}

func (r *reach) linksUp() (n int) {
	for _, l := range r.links {
		if l.Up {
			n++
		}
	}
	return n
}

// sources tells how the links that are up came about.
func (r *reach) sources() string {
	by := map[string]int{}
	for _, l := range r.links {
		if l.Up {
			by[l.Source]++
		}
	}
	var all []string
	for source, n := range by {
		all = append(all, fmt.Sprintf("%d %s", n, source))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// A hurdle is one way in which a call fails, as the system says it.
type hurdle struct {
	says []string
	code string // below "checks." too
}

// hurdles are tried in order; what is none of them is "peers-down".
var hurdles = []hurdle{
	{[]string{"no such host", "lookup ", "server misbehaving"}, "peers-name"},
	{[]string{"no route to host", "network is unreachable", "host is down"}, "peers-route"},
	{[]string{"connection refused"}, "peers-closed"},
	{[]string{"i/o timeout", "deadline exceeded", "timed out", "no answer"}, "firewall"},
}

// downCheck says why no link is up though some are wanted.
func (r *reach) downCheck() web.Check {
	why, failed := "", map[string]int{}
	code := "peers-down"
	for _, l := range r.links {
		why += strings.TrimSpace(l.URI+" "+l.Error) + "\n"
		for _, h := range hurdles {
			if slices.ContainsFunc(h.says, func(s string) bool { return strings.Contains(l.Error, s) }) {
				failed[h.code]++
				break
			}
		}
	}
	if len(failed) == 0 && r.uptime < r.patience {
		return well("links", "checks.ok-calling", "n", len(r.links))
	}
	for _, h := range hurdles {
		if failed[h.code] > failed[code] {
			code = h.code
		}
	}
	return illFor("links", code, strings.TrimSpace(why), "checks."+code)
}

// strangersCheck says why links are up and nobody of the community is met.
func (r *reach) strangersCheck() web.Check {
	members, near := 0, 0
	for _, l := range r.links {
		switch {
		case !l.Up:
		case r.member(l.Key):
			members++
		case l.Source != "config" && l.Source != "cli":
			near++ // a public peer of Yggdrasil's is configured; others found us, or were found
		}
	}
	switch {
	case members > 0:
		return ill("contact", "no-path", "checks.silent")
	case near > 0:
		return ill("contact", "wrong-community", "checks.wrong-community", "n", near)
	}
	return ill("contact", "no-path", "checks.no-path", "n", r.others)
}
