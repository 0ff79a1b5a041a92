// Package overlay connects a community's machines: a Yggdrasil router in this
// process, IPv6 in userspace over it, a libp2p host over that, and the gate in
// front of the host. It needs no privileges and makes no network device.
//
//	libp2p host            what the rest of the node uses; sees members only
//	porch                  every connection begins with the roster exchange
//	userspace TCP, IPv6    one address, which follows from the node's key
//	gate                   strangers' packets reach the porch's port or nothing
//	neighbour · router     straight over a link, or through Yggdrasil's tree
//	links                  tcp and tls to other Yggdrasil nodes, ours or not
//
// One Ed25519 key makes the overlay address and the libp2p peer ID, so a
// connection proves that its address and its key belong together; both sides
// check it.
package overlay

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"regexp"
	"sync"

	"github.com/libp2p/go-libp2p/core/host"

	"drey/mesh"
)

// DefaultListen is where a node answers underlay links when nothing else is
// asked for: TLS on port 3740, IPv6 and IPv4.
const DefaultListen = "tls://[::]:3740"

// A Config is what an overlay needs. New copies what it keeps.
type Config struct {
	// Key is the node's Ed25519 key. Required.
	Key ed25519.PrivateKey
	// Listen are underlay URIs to answer on; port 0 picks a free one. Nil
	// means DefaultListen; empty, none.
	Listen []string
	// Peers are underlay URIs to keep calling. They may carry ?key=,
	// ?maxbackoff= (at least 1s, default 1m), ?priority= and ?password=.
	Peers []string
	// LAN finds Yggdrasil nodes on the local network by multicast.
	LAN bool
	// LANInterfaces chooses network interfaces by name; nil means all.
	LANInterfaces *regexp.Regexp
	// NoTransit makes this node a leaf of Yggdrasil's tree: it does not carry
	// others' traffic.
	NoTransit bool
	// Roster says whom the gate admits. Required.
	Roster mesh.Roster
	// Book is exchanged with other nodes when they meet. Nil exchanges nothing.
	Book RosterBook
	// Log is where the overlay reports. Nil discards.
	Log *slog.Logger
}

// An Overlay is one node's place in the network. It is safe for concurrent
// use.
type Overlay struct {
	config Config
	self   mesh.NodeKey
	addr   netip.Addr
	log    *slog.Logger
	gate   *gate // lives before and after Run, so that its counts do

	ready chan struct{} // closed when mu.node or mu.err is set

	mu struct {
		sync.Mutex
		started bool
		node    *node // while Run runs
		err     error // why Run ended
	}
}

// New checks a configuration. It starts nothing.
func New(c Config) (*Overlay, error) {
	if len(c.Key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("overlay: node key of %d bytes, want %d", len(c.Key), ed25519.PrivateKeySize)
	}
	if c.Roster == nil {
		return nil, errors.New("overlay: no roster")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Listen == nil {
		c.Listen = []string{DefaultListen}
	}
	if c.Book == nil {
		c.Book = noBook{}
	}
	var faults []error
	for _, uri := range append(append([]string{}, c.Listen...), c.Peers...) {
		if _, err := parsePeering(uri); err != nil {
			faults = append(faults, err)
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	key := mesh.NodeKey(c.Key.Public().(ed25519.PublicKey))
	return &Overlay{
		config: c,
		self:   key,
		addr:   AddressOf(key),
		log:    c.Log,
		gate:   newGate(c.Roster, key),
		ready:  make(chan struct{}),
	}, nil
}

// noBook is the book of a node that exchanges nothing.
type noBook struct{}

func (noBook) Digest() [32]byte                                 { return [32]byte{} }
func (noBook) Locator() []mesh.EventID                          { return nil }
func (noBook) Bring(mesh.NodeKey, []mesh.EventID) []*mesh.Event { return nil }
func (noBook) Proof(mesh.NodeKey) []*mesh.Event                 { return nil }
func (noBook) Merge(context.Context, []*mesh.Event) error       { return nil }

// Key returns the node's public key.
func (o *Overlay) Key() mesh.NodeKey { return o.self }

// Address returns the node's IPv6 address in the overlay, in 200::/8. It never
// changes.
func (o *Overlay) Address() netip.Addr { return o.addr }

// Run brings the overlay up and keeps it up until ctx ends. It may be called
// once; when it returns, everything it started is gone. A listener that cannot
// be opened is an *Error with a hint.
func (o *Overlay) Run(ctx context.Context) error {
	o.mu.Lock()
	if o.mu.started {
		o.mu.Unlock()
		return errors.New("overlay: Run was called before")
	}
	o.mu.started = true
	o.mu.Unlock()

	err := o.run(ctx)
	o.mu.Lock()
	first := o.mu.node == nil && o.mu.err == nil
	o.mu.node = nil
	if o.mu.err = err; err == nil {
		o.mu.err = errStopped
	}
	o.mu.Unlock()
	if first {
		close(o.ready)
	}
	return err
}

var errStopped = errors.New("the overlay has stopped")

// run is Run without its bookkeeping.
func (o *Overlay) run(ctx context.Context) error {
	n, err := o.start(ctx)
	if err != nil {
		return err
	}
	o.mu.Lock()
	o.mu.node = n
	o.mu.Unlock()
	close(o.ready)
	o.log.Info("overlay is up", "address", o.addr.String(), "key", o.self.String(), "listen", n.listening())
	err = n.serve(ctx)
	n.stop()
	return err
}

// node returns what Run has brought up, waiting for it.
func (o *Overlay) node(ctx context.Context) (*node, error) {
	select {
	case <-o.ready:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.mu.node == nil {
		return nil, o.mu.err
	}
	return o.mu.node, nil
}

// current returns what Run has brought up, or nil.
func (o *Overlay) current() *node {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.mu.node
}

// Host returns the libp2p host, waiting until Run has it up. Only members are
// ever connected to it. Run closes it.
func (o *Overlay) Host(ctx context.Context) (host.Host, error) {
	n, err := o.node(ctx)
	if err != nil {
		return nil, err
	}
	return n.host, nil
}

// Listening returns underlay URIs that other machines can call, each with this
// node's key. Empty before Run is up.
func (o *Overlay) Listening() []string {
	if n := o.current(); n != nil {
		return n.listening()
	}
	return nil
}

// Links returns the underlay links, up or wanted, sorted by URI.
func (o *Overlay) Links() []Link {
	if n := o.current(); n != nil {
		return n.list()
	}
	return nil
}

// AddPeer calls an underlay URI from now on and keeps the link up.
func (o *Overlay) AddPeer(uri string) error { return o.AddPeerFrom(uri, SourceStatic) }

// AddPeerFrom is AddPeer with a reason other than configuration.
func (o *Overlay) AddPeerFrom(uri string, source Source) error {
	n := o.current()
	if n == nil {
		return errStopped
	}
	p, err := parsePeering(uri)
	if err != nil {
		return err
	}
	if ip, err := netip.ParseAddr(p.url.Hostname()); err == nil && ip.Is6() && ip.IsLinkLocalUnicast() && ip.Zone() == "" {
		return fmt.Errorf("peer %q: a link-local address needs its interface, as in %s://[%s%%25eth0]:%s", uri, p.url.Scheme, ip, p.url.Port())
	}
	return n.want(p, source)
}

// RemovePeer hangs up on an underlay URI and calls it no more. It reports
// mesh.ErrNotFound when it was not being called.
func (o *Overlay) RemovePeer(uri string) error {
	n := o.current()
	if n == nil {
		return errStopped
	}
	p, err := parsePeering(uri)
	if err != nil {
		return err
	}
	return n.unwant(p)
}

// Refused returns how often the gate turned something away, by reason.
func (o *Overlay) Refused() map[string]uint64 {
	all := o.gate.counts()
	if n := o.current(); n != nil {
		if calls := n.links.refused.Load(); calls > 0 {
			all["overlay-links"] = calls
		}
	}
	return all
}

// Dropped returns how many packets found a queue full on the way out. TCP
// sends them again.
func (o *Overlay) Dropped() uint64 {
	if n := o.current(); n != nil {
		return n.nic.lost.Load() + n.links.dropped.Load()
	}
	return 0
}

// Unwelcome returns the members that said, when this node called them last,
// that it does not belong; sorted.
func (o *Overlay) Unwelcome() []mesh.NodeKey { return o.gate.unwelcome() }

// Connected returns the member nodes that libp2p is connected to, sorted.
func (o *Overlay) Connected() []mesh.NodeKey {
	if n := o.current(); n != nil {
		return n.connected()
	}
	return nil
}
