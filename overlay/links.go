package overlay

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"

	"drey/mesh"
)

// A Link is one underlay connection, up or wanted.
type Link struct {
	URI       string        // as configured or met, without its query
	Key       mesh.NodeKey  // zero while never up
	Up        bool          //
	Neighbour bool          // a node of ours: packets for it go straight over the link
	Remote    netip.Addr    // the other end's underlay address, with its zone; zero while down, and where it has none
	RTT       time.Duration // newest round trip of the link; 0 when not known yet
	Source    Source        //
	Since     time.Time     // when it came up; zero when down
	Err       string        // why it is down; empty when up
}

const (
	handshakeTimeout = 6 * time.Second
	dialTimeout      = 5 * time.Second
	// maxIncoming bounds what strangers can make this node hold: about 0.3 MB
	// each. Calls beyond it are closed and counted.
	maxIncoming = 256
)

// links calls and answers underlay links over tcp and tls, and hands each to
// Yggdrasil's router when the other side has named itself.
type links struct {
	log      *slog.Logger
	private  ed25519.PrivateKey
	self     mesh.NodeKey
	tls      *tls.Config                               // immutable
	transit  bool                                      // immutable
	attach   func(mesh.NodeKey, net.Conn, uint8) error // runs the router's side; returns when conn is closed
	deliver  func(from sender, packet *buffer.View)    // a packet from a neighbour; takes it over
	corks    *sync.Pool                                // see newCorked
	beat     time.Time                                 // all links ping at once: one awakening for all of them
	changed  chan struct{}                             // holds one: a link came up or went down
	running  sync.WaitGroup                            // dialers and handlers
	ctx      context.Context                           // of run; dialers added later live in it
	incoming atomic.Int32
	refused  atomic.Uint64 // incoming calls beyond maxIncoming
	dropped  atomic.Uint64 // packets that found a neighbour's queue full

	mu struct {
		sync.RWMutex
		closed     bool
		wanted     map[string]*dialer // by peering.uri
		up         map[*link]struct{}
		neighbours map[mesh.NodeKey]*neighbour // the newest link to each
		news       chan struct{}               // closed at the next signal
	}
}

// answer serves one listener until it is closed.
func (l *links) answer(ctx context.Context, listener listener) error {
	p := listener.peering
	for {
		raw, err := listener.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			var temporary interface{ Temporary() bool }
			if errors.As(err, &temporary) && temporary.Temporary() {
				l.log.Warn("underlay accept", "err", err)
				select {
				case <-ctx.Done():
				case <-time.After(100 * time.Millisecond): // out of file descriptors, most likely
				}
				continue
			}
			return fmt.Errorf("accept on %s: %w", listener.Addr(), err)
		}
		if from, ok := raw.RemoteAddr().(*net.TCPAddr); listener.local && (!ok || !from.IP.IsLinkLocalUnicast()) {
			raw.Close()
			continue
		}
		if l.incoming.Add(1) > maxIncoming {
			l.incoming.Add(-1)
			l.refused.Add(1)
			raw.Close()
			continue
		}
		l.running.Go(func() {
			defer l.incoming.Add(-1)
			conn := raw
			if p.url.Scheme == "tls" {
				conn = tls.Server(newCorked(raw, l.corks), l.tls)
			}
			if err := l.hold(l.ctx, conn, p, SourceIncoming, nil); err != nil && ctx.Err() == nil {
				l.log.Debug("incoming link ended", "remote", raw.RemoteAddr(), "err", err)
			}
		})
	}
}

func (l *links) enter(k *link) {
	if extra := l.add(k); extra != nil {
		l.hangUp(extra)
	}
}

// hangUp ends a link, and waits for nothing: one that is full takes seconds.
func (l *links) hangUp(k *link) { l.running.Go(func() { k.conn.Close() }) }

// add lists a link, and returns one that is to end because of it, or nil.
func (l *links) add(k *link) (extra *link) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.up[k] = struct{}{}
	if k.near != nil {
		l.mu.neighbours[k.key] = k.near
	}
	// Two nodes that hear each other's beacons both call. The call of the
	// higher key is one too many; its caller hangs up.
	if slices.Compare(l.self[:], k.key[:]) > 0 {
		same := 0
		for other := range l.mu.up {
			if other.key == k.key && other.near != nil {
				same++
				if other.called != nil && other.called.once {
					extra = other
				}
			}
		}
		if same < 2 {
			extra = nil
		}
	}
	l.signal()
	return extra
}

func (l *links) leave(k *link) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.mu.up, k)
	if l.mu.neighbours[k.key] == k.near {
		delete(l.mu.neighbours, k.key)
		for other := range l.mu.up {
			if other.key == k.key && other.near != nil {
				l.mu.neighbours[k.key] = other.near
			}
		}
	}
	l.signal()
}

// doubleFor is how long two links to one node may stand side by side.
const doubleFor = 5 * time.Second

// thin hangs up a call that was to be made once, when another link to the same
// node has stood beside it for a while. That one is not of the same kind, or
// enter would have ended one of them: it is kept up.
func (l *links) thin(now time.Time) {
	for _, k := range l.spare(now) {
		l.hangUp(k)
	}
}

func (l *links) spare(now time.Time) (spare []*link) {
	l.mu.Lock()
	defer l.mu.Unlock()
	standing := map[mesh.NodeKey]int{}
	for k := range l.mu.up {
		if k.near != nil && !k.thin && now.Sub(k.since) > doubleFor {
			standing[k.key]++
		}
	}
	for k := range l.mu.up {
		if standing[k.key] > 1 && k.called != nil && k.called.once && !k.thin && now.Sub(k.since) > doubleFor {
			k.thin = true
			spare = append(spare, k)
			standing[k.key]--
		}
	}
	return spare
}

// signal tells of a change; mu is held.
func (l *links) signal() {
	close(l.mu.news)
	l.mu.news = make(chan struct{})
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// neighbour returns the link straight to key, or nil.
func (l *links) neighbour(key mesh.NodeKey) *neighbour {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.mu.neighbours[key]
}

// linked reports whether a link to key is up.
func (l *links) linked(key mesh.NodeKey) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for k := range l.mu.up {
		if k.key == key {
			return true
		}
	}
	return false
}

// called counts the peerings of a source that are being called, and those that
// are up, among those whose pinned key is one of which.
func (l *links) called(source Source, which func(mesh.NodeKey) bool) (calls, up int) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	is := map[*dialer]bool{}
	for k := range l.mu.up {
		is[k.called] = true
	}
	for _, d := range l.mu.wanted {
		switch {
		case d.source != source || !slices.ContainsFunc(d.peering.keys, which):
		case is[d]:
			up++
		default:
			calls++
		}
	}
	return calls, up
}

// any reports whether a link is up.
func (l *links) any() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return len(l.mu.up) > 0
}

// keys returns the keys of all links that are up, sorted.
func (l *links) keys() []mesh.NodeKey {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var keys []mesh.NodeKey
	for k := range l.mu.up {
		keys = append(keys, k.key)
	}
	slices.SortFunc(keys, func(a, b mesh.NodeKey) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(keys)
}

// list returns every link that is up or wanted, sorted by URI.
func (l *links) list() []Link {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var all []Link
	calledUp := map[*dialer]bool{}
	for k := range l.mu.up {
		one := Link{URI: k.uri, Key: k.key, Up: true, Neighbour: k.near != nil, Source: k.source, Since: k.since}
		if at, ok := k.raw.RemoteAddr().(*net.TCPAddr); ok {
			one.Remote = at.AddrPort().Addr().Unmap()
		}
		if k.near != nil {
			one.RTT = time.Duration(k.near.rtt.Load())
		}
		if one.RTT == 0 {
			one.RTT = kernelRTT(k.raw)
		}
		if k.called != nil {
			calledUp[k.called] = true
		}
		all = append(all, one)
	}
	for uri, d := range l.mu.wanted {
		if calledUp[d] {
			continue
		}
		one := Link{URI: uri, Source: d.source, Err: "calling"}
		if len(d.peering.keys) == 1 {
			one.Key = d.peering.keys[0]
		}
		d.mu.Lock()
		if d.mu.err != nil {
			one.Err = d.mu.err.Error()
		}
		d.mu.Unlock()
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b Link) int { return strings.Compare(a.URI, b.URI) })
	return all
}

// farewellPatience is how long slow links hold up a node that ends.
const farewellPatience = 300 * time.Millisecond

// farewell says goodbye on the links to nodes of ours, and waits until they have
// hung up.
func (l *links) farewell(until time.Time) {
	var near []*link
	l.mu.RLock()
	for k := range l.mu.up {
		if k.near != nil {
			near = append(near, k)
			k.near.Conn.SetWriteDeadline(until)
			l.running.Go(k.near.goodbye)
		}
	}
	l.mu.RUnlock()
	late := time.NewTimer(time.Until(until))
	defer late.Stop()
	for {
		l.mu.RLock()
		news := l.mu.news
		up := slices.ContainsFunc(near, func(k *link) bool { _, ok := l.mu.up[k]; return ok })
		l.mu.RUnlock()
		if !up {
			return
		}
		select {
		case <-news:
		case <-late.C:
			return
		}
	}
}

// close ends every link and waits for all of them. Those that are full are cut
// off without a goodbye.
func (l *links) close() {
	l.mu.Lock()
	l.mu.closed = true
	for _, d := range l.mu.wanted {
		d.cancel()
	}
	up := slices.Collect(maps.Keys(l.mu.up))
	l.mu.Unlock()
	defer time.AfterFunc(farewellPatience, func() {
		for _, k := range up {
			k.raw.Close()
		}
	}).Stop()
	for _, k := range up {
		l.hangUp(k)
	}
	l.running.Wait()
}
