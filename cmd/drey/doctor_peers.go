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
		all = append(all, well("links", count(up, "link")+": "+r.sources()))
	}
	if r.met > 0 {
		all = append(all, well("contact", count(r.met, "machine")+" of the community in contact"))
	}
	switch {
	case r.banned:
		return append(all, ill("roster", "banned", "this machine is banned from its community", "the roster says so: 'drey members ls' tells by whom and why",
			"ask an admin for 'drey members admit --lift', or join another community: drey join INVITE --leave"))
	case !r.belongs && !r.open:
		return append(all, ill("roster", "not-member", "this machine is not on the roster of its community", "it was removed, or whoever admitted it had lost that right",
			"ask an admin for an invite: drey join INVITE"))
	case !r.open && r.others == 0:
		return append(all, well(aloneCheck, "no other machine belongs to this community yet; 'drey invite' makes it two"))
	case r.met > 0:
		return all
	case !r.network && up == 0:
		return append(all, ill("network", "no-network", "this machine is on no network", "no interface but the loopback is up with an address", "plug in a cable, or join a wireless network"))
	case r.unwelcome > 0:
		return append(all, ill("roster", "unwelcome", count(r.unwelcome, "machine")+" of the community turned this one away", "there it is not on the roster: it was banned or removed, and the decision has not come here",
			"ask an admin, who sees it in 'drey members ls'; or accept a new invite with 'drey join'"))
	case up == 0 && len(r.links) > 0:
		return append(all, r.downCheck())
	case r.uptime < r.patience:
		return append(all, well("contact", "looking for others"))
	case up > 0:
		return append(all, r.strangersCheck())
	case r.lan && !r.multicast:
		return append(all, ill("network", "no-multicast", "machines on the local network cannot be found, and no other is known",
			"no interface is up with multicast and an IPv6 link-local address", "connect a network, or: drey peers add tls://ADDRESS:3740"))
	}
	return append(all, ill("contact", "no-peers", "no other machine is found",
		fmt.Sprintf("%s of the community may be off, or on another network; multicast may be held back by the access point", count(r.others, "other machine")),
		"drey peers add tls://ADDRESS:3740, as 'drey status' on the other machine shows under 'reached at'"))
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
	says            []string
	code, what, fix string
}

// hurdles are tried in order; what is none of them is "peers-down".
var hurdles = []hurdle{
	{[]string{"no such host", "lookup ", "server misbehaving"}, "peers-name", "the name of a peer leads nowhere", "check the name, or use the address; 'drey peers ls' shows each"},
	{[]string{"no route to host", "network is unreachable", "host is down"}, "peers-route", "there is no way to the peers' addresses", "check the cable, the wireless network and the address; 'ip route' shows where packets go"},
	{[]string{"connection refused"}, "peers-closed", "the peers' machines answer, but no node does on that port", "start drey there, or correct the port: 'drey status' there shows it under 'reached at'"},
	{[]string{"i/o timeout", "deadline exceeded", "timed out", "no answer"}, "firewall", "nothing answers at the peers' addresses", "switch the machine on, or open its TCP port 3740 in its firewall: ufw allow 3740/tcp"},
}

// downCheck says why no link is up though some are wanted.
func (r *reach) downCheck() web.Check {
	why, failed := "", map[string]int{}
	first := hurdle{code: "peers-down", what: "no peer answers", fix: "check address and firewall; 'drey peers ls' shows each"}
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
		return well("links", "calling "+count(len(r.links), "peer"))
	}
	for _, h := range hurdles {
		if failed[h.code] > failed[first.code] {
			first = h
		}
	}
	return ill("links", first.code, first.what, strings.TrimSpace(why), first.fix)
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
		return ill("contact", "no-path", "a machine of the community is linked and says nothing", "it is stopping or overloaded, or one of the two needs a newer drey", "look at 'drey doctor' on the other machine")
	case near > 0:
		return ill("contact", "wrong-community", "only machines that do not belong to this community are linked", count(near, "machine")+" on this network belong elsewhere, or are Yggdrasil nodes without drey",
			"compare 'drey status' on both machines: the same name may be another community; 'drey invite' on one and 'drey join' on the other make them one")
	}
	return ill("contact", "no-path", "peers are linked, but they lead to no machine of the community",
		fmt.Sprintf("%s may be off, or linked to none of the same network", count(r.others, "other machine")),
		"give the others the same peer, or this node's address: 'drey status' shows it under 'reached at'")
}
