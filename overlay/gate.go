package overlay

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"drey/mesh"
)

// A refusal says what the gate turned away.
type refusal int

const (
	refusedPacket   refusal = iota // not a packet that a node of ours sends, or not from the address of its key
	refusedStranger                // a stranger's packet for anything but the roster protocol's port
	refusedRate                    // a stranger's, or a key's, too many attempts
	refusedAddress                 // a connection whose key does not make its address
	refusedProtocol                // a stranger's stream for another protocol
	refusedForeign                 // the roster protocol, of another community
	refusedProof                   // the roster protocol, without a proof of admission
	refusedFormat                  // the roster protocol, malformed or too large or too slow
	refusals                       // how many there are
)

// refusalNames are the reasons in status; they never change.
var refusalNames = [refusals]string{
	"overlay-packet", "overlay-stranger", "overlay-rate", "overlay-address",
	"overlay-protocol", "overlay-foreign", "overlay-proof", "overlay-format",
}

const (
	// What strangers may make this node do. A community's own nodes are
	// strangers once: when they join.
	strangerCalls      = rate.Limit(5) // new connections a second, all strangers together
	strangerCallsBurst = 20
	strangerSeats      = 8 // roster exchanges with strangers at one time
	// How often one key may run the roster protocol.
	exchangesOfStranger      = rate.Limit(0.5) // a second
	exchangesOfStrangerBurst = 6
	exchangesOfMember        = rate.Limit(2)
	exchangesOfMemberBurst   = 30
	// maxRemembered bounds each generation of what is remembered of strangers.
	maxRemembered = 1024
)

// A gate decides what a key may do. Members may open everything; anybody else
// only the roster protocol, and not often. It is safe for concurrent use.
type gate struct {
	roster mesh.Roster
	self   mesh.NodeKey

	members atomic.Pointer[memberSet] // replaced whole when the roster changes
	refused [refusals]atomic.Uint64
	calls   *rate.Limiter
	seats   chan struct{}

	mu struct {
		sync.Mutex
		// Two generations each: when the young one is full it becomes the old
		// one, and what was old is forgotten.
		known, knownOld map[netip.Addr]mesh.NodeKey
		rates, ratesOld map[mesh.NodeKey]*rate.Limiter
		dialled         map[mesh.NodeKey]int  // strangers this node is calling itself
		meeting         map[mesh.NodeKey]int  // strangers that may be called, to see whether they belong
		unwelcome       map[mesh.NodeKey]bool // members that turned this node away when last called
	}
}

type memberSet struct {
	open  bool
	keys  map[mesh.NodeKey]bool
	addrs map[netip.Addr]mesh.NodeKey
}

func newGate(r mesh.Roster, self mesh.NodeKey) *gate {
	g := &gate{roster: r, self: self, calls: rate.NewLimiter(strangerCalls, strangerCallsBurst), seats: make(chan struct{}, strangerSeats)}
	g.mu.known = map[netip.Addr]mesh.NodeKey{}
	g.mu.rates = map[mesh.NodeKey]*rate.Limiter{}
	g.refresh()
	return g
}

// refresh reads the roster again.
func (g *gate) refresh() {
	set := &memberSet{open: g.roster.Community().Open, keys: map[mesh.NodeKey]bool{}, addrs: map[netip.Addr]mesh.NodeKey{}}
	for _, key := range g.roster.Nodes() {
		if g.roster.Admits(key) {
			set.keys[key] = true
			set.addrs[AddressOf(key)] = key
		}
	}
	old := g.members.Swap(set)
	if old == nil {
		return
	}
	for addr, key := range old.addrs {
		if !set.keys[key] {
			g.remember(addr, key) // so that the goodbye still finds its way
		}
	}
}

// admits reports whether key may open everything.
func (g *gate) admits(key mesh.NodeKey) bool {
	set := g.members.Load()
	return set.open || set.keys[key]
}

func (g *gate) refuse(why refusal) { g.refused[why].Add(1) }

// counts returns how often the gate refused, by reason; reasons that never
// happened are left out.
func (g *gate) counts() map[string]uint64 {
	all := map[string]uint64{}
	for i := range g.refused {
		if n := g.refused[i].Load(); n > 0 {
			all[refusalNames[i]] = n
		}
	}
	return all
}

// packet judges a well-formed packet that came from a key.
func (g *gate) packet(from mesh.NodeKey, h packetHead) bool {
	if g.admits(from) {
		if g.members.Load().open {
			g.remember(h.src, from)
		}
		return true
	}
	answers := h.proto == protoTCP && h.srcPort == Port && !h.opens && g.calling(from)
	if !answers && (h.proto != protoTCP || h.dstPort != Port) {
		g.refuse(refusedStranger)
		return false
	}
	if h.opens && !g.calls.Allow() {
		g.refuse(refusedRate)
		return false
	}
	g.remember(h.src, from)
	return true
}

// keyOf returns the key that an overlay address belongs to, when it is a
// member's or was met lately.
func (g *gate) keyOf(a netip.Addr) (mesh.NodeKey, bool) {
	if key, ok := g.members.Load().addrs[a]; ok {
		return key, true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if key, ok := g.mu.known[a]; ok {
		return key, true
	}
	key, ok := g.mu.knownOld[a]
	return key, ok
}

// expect makes a key's address known before this node sends to it.
func (g *gate) expect(key mesh.NodeKey) {
	if !g.members.Load().keys[key] {
		g.remember(AddressOf(key), key)
	}
}

func (g *gate) remember(a netip.Addr, key mesh.NodeKey) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, ok := g.mu.known[a]; ok {
		return
	}
	if len(g.mu.known) >= maxRemembered {
		g.mu.knownOld, g.mu.known = g.mu.known, make(map[netip.Addr]mesh.NodeKey)
	}
	g.mu.known[a] = key
}

// dial notes that this node is calling key, so that its answers come in even
// while it is a stranger, until done is called.
func (g *gate) dial(key mesh.NodeKey) (done func()) {
	g.expect(key)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mu.dialled == nil {
		g.mu.dialled = map[mesh.NodeKey]int{}
	}
	g.mu.dialled[key]++
	return sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.mu.dialled[key]--; g.mu.dialled[key] <= 0 {
			delete(g.mu.dialled, key)
		}
	})
}

// meet lets key be called, stranger or not, until done is called.
func (g *gate) meet(key mesh.NodeKey) (done func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mu.meeting == nil {
		g.mu.meeting = map[mesh.NodeKey]int{}
	}
	g.mu.meeting[key]++
	return sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.mu.meeting[key]--; g.mu.meeting[key] <= 0 {
			delete(g.mu.meeting, key)
		}
	})
}

// mayCall reports whether this node may call key.
func (g *gate) mayCall(key mesh.NodeKey) bool {
	if g.admits(key) {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mu.meeting[key] > 0
}

func (g *gate) calling(key mesh.NodeKey) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mu.dialled[key] > 0
}

// exchange asks for leave to run the roster protocol with key. It must be
// given back with done.
func (g *gate) exchange(key mesh.NodeKey, now time.Time) (done func(), ok bool) {
	g.mu.Lock()
	limit, known := g.mu.rates[key]
	if !known {
		if limit = g.mu.ratesOld[key]; limit == nil {
			limit = rate.NewLimiter(exchangesOfStranger, exchangesOfStrangerBurst)
		}
		if len(g.mu.rates) >= maxRemembered {
			g.mu.ratesOld, g.mu.rates = g.mu.rates, make(map[mesh.NodeKey]*rate.Limiter)
		}
		g.mu.rates[key] = limit
	}
	g.mu.Unlock()
	member := g.admits(key)
	if member && limit.Burst() != exchangesOfMemberBurst {
		limit.SetLimitAt(now, exchangesOfMember)
		limit.SetBurstAt(now, exchangesOfMemberBurst)
	}
	if !limit.AllowN(now, 1) {
		return nil, false
	}
	if member {
		return func() {}, true
	}
	select {
	case g.seats <- struct{}{}:
		return func() { <-g.seats }, true
	default:
		return nil, false
	}
}

// called notes what a member made of this node's call.
func (g *gate) called(key mesh.NodeKey, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case err == nil:
		delete(g.mu.unwelcome, key)
	case errors.Is(err, errRefused), errors.Is(err, errForeign):
		if g.mu.unwelcome == nil {
			g.mu.unwelcome = map[mesh.NodeKey]bool{}
		}
		g.mu.unwelcome[key] = true
	}
}

// unwelcome lists the members that turned this node away, sorted.
func (g *gate) unwelcome() []mesh.NodeKey {
	g.mu.Lock()
	defer g.mu.Unlock()
	var keys []mesh.NodeKey
	for k := range g.mu.unwelcome {
		if g.admits(k) {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b mesh.NodeKey) int { return bytes.Compare(a[:], b[:]) })
	return keys
}
