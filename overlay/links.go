package overlay

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
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
	tls      *tls.Config                                  // immutable
	transit  bool                                         // immutable
	attach   func(mesh.NodeKey, net.Conn, uint8) error    // runs the router's side; returns when conn is closed
	deliver  func(from mesh.NodeKey, packet *buffer.View) // a packet from a neighbour; takes it over
	lasted   func(*peering, mesh.NodeKey, Source, error)  // a called link came up (nil) or failed
	changed  chan struct{}                                // holds one: a link came up or went down
	running  sync.WaitGroup                               // dialers and handlers
	ctx      context.Context                              // of run; dialers added later live in it
	incoming atomic.Int32
	refused  atomic.Uint64 // incoming calls beyond maxIncoming
	dropped  atomic.Uint64 // packets that found a neighbour's queue full

	mu struct {
		sync.RWMutex
		closed     bool
		wanted     map[string]*dialer // by peering.uri
		up         map[*link]struct{}
		neighbours map[mesh.NodeKey]*neighbour // the newest link to each
	}
}

// A link is a connection whose other side has named itself.
type link struct {
	uri    string
	key    mesh.NodeKey
	source Source
	since  time.Time
	conn   net.Conn   // as Yggdrasil sees it
	raw    net.Conn   // the TCP connection beneath
	near   *neighbour // nil when the other side is not of ours
	called *dialer    // nil for incoming
}

// A dialer keeps one peering up until it is removed.
type dialer struct {
	peering *peering
	source  Source
	cancel  context.CancelFunc
	kick    chan struct{} // holds one: call now
	once    bool          // gives up after the first failure

	mu struct {
		sync.Mutex
		err error
	}
}

func (d *dialer) fail(err error) {
	d.mu.Lock()
	d.mu.err = err
	d.mu.Unlock()
}

// want adds a peering. Asking for one that is wanted already calls it now.
func (l *links) want(p *peering, source Source, once bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.closed {
		return
	}
	if d, ok := l.mu.wanted[p.uri]; ok {
		if !once {
			d.nudge()
		}
		return
	}
	ctx, cancel := context.WithCancel(l.ctx)
	d := &dialer{peering: p, source: source, cancel: cancel, kick: make(chan struct{}, 1), once: once}
	l.mu.wanted[p.uri] = d
	l.running.Go(func() {
		defer cancel()
		l.keep(ctx, d)
		l.mu.Lock()
		if l.mu.wanted[p.uri] == d {
			delete(l.mu.wanted, p.uri)
		}
		l.mu.Unlock()
	})
}

// forget stops calling a peering and closes its link. It reports whether the
// peering was wanted.
func (l *links) forget(uri string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	d, ok := l.mu.wanted[uri]
	if ok {
		delete(l.mu.wanted, uri)
		d.cancel()
	}
	return ok
}

// retry calls every peering that is waiting, now.
func (l *links) retry() {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, d := range l.mu.wanted {
		d.nudge()
	}
}

func (d *dialer) nudge() {
	select {
	case d.kick <- struct{}{}:
	default:
	}
}

// keep calls d's peering again and again, with pauses that double.
func (l *links) keep(ctx context.Context, d *dialer) {
	const least = time.Second
	for pause := least; ; {
		began := time.Now()
		err := l.call(ctx, d)
		if ctx.Err() != nil || errors.Is(err, errSelf) || d.once {
			return
		}
		d.fail(err)
		l.log.Debug("link is down", "peer", d.peering.uri, "err", err, "retryIn", pause)
		if time.Since(began) > 2*handshakeTimeout {
			pause = least // it was up
		}
		wait := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-d.kick:
		case <-wait.C:
		}
		wait.Stop()
		if ctx.Err() != nil {
			return
		}
		pause = min(2*pause, d.peering.maxBackoff)
	}
}

// call makes one connection and stays until it is over.
func (l *links) call(ctx context.Context, d *dialer) error {
	raw, err := l.dial(ctx, d.peering)
	if err != nil {
		l.lasted(d.peering, mesh.NodeKey{}, d.source, err)
		return err
	}
	conn := raw
	if d.peering.url.Scheme == "tls" {
		config := l.tls.Clone()
		config.ServerName = d.peering.sni
		conn = tls.Client(raw, config)
	}
	return l.hold(ctx, conn, d.peering, d.source, d)
}

func (l *links) dial(ctx context.Context, p *peering) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*dialTimeout)
	defer cancel()
	host, port, err := net.SplitHostPort(p.url.Host)
	if err != nil {
		return nil, err
	}
	ips := []netip.Addr{}
	if ip, err := netip.ParseAddr(host); err == nil {
		ips = append(ips, ip)
	} else if ips, err = net.DefaultResolver.LookupNetIP(ctx, "ip", host); err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: dialTimeout, KeepAlive: -1}
	var failed []error
	for _, ip := range ips {
		if err := allowUnderlay(ip); err != nil {
			failed = append(failed, err)
			continue
		}
		conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(ip.Unmap().String(), port))
		if err == nil {
			return conn, nil
		}
		failed = append(failed, err)
	}
	return nil, errors.Join(failed...)
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
				conn = tls.Server(raw, l.tls)
			}
			if err := l.hold(ctx, conn, p, SourceIncoming, nil); err != nil && ctx.Err() == nil {
				l.log.Debug("incoming link ended", "remote", raw.RemoteAddr(), "err", err)
			}
		})
	}
}

// hold runs one connection from the handshake to its end.
func (l *links) hold(ctx context.Context, conn net.Conn, p *peering, source Source, d *dialer) error {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	ours, err := l.greet(ctx, conn, p)
	if err == nil && !p.accepts(ours.key) {
		err = fmt.Errorf("the other side is %s, which is not the pinned key", ours.key)
	}
	if err != nil {
		if d != nil {
			l.lasted(p, mesh.NodeKey{}, source, err)
		}
		return err
	}
	uri := p.uri
	if d == nil {
		uri = p.url.Scheme + "://" + conn.RemoteAddr().String()
	}
	k := &link{uri: uri, key: ours.key, source: source, since: time.Now(), conn: conn, raw: conn, called: d}
	if secure, ok := conn.(*tls.Conn); ok {
		k.raw = secure.NetConn()
	}
	if ours.neighbour {
		k.near = newNeighbour(conn, k.since, &l.dropped, func(packet *buffer.View) { l.deliver(ours.key, packet) })
		k.conn = k.near
	}
	if !l.transit {
		k.conn = newLeaf(k.conn, l.self)
	}
	l.enter(k)
	defer l.leave(k)
	if d != nil {
		d.fail(nil)
		l.lasted(p, k.key, source, nil)
	}
	l.log.Info("link is up", "peer", k.uri, "key", k.key.String(), "source", string(source), "neighbour", ours.neighbour)
	var writer sync.WaitGroup
	stop := make(chan struct{})
	if k.near != nil {
		writer.Go(func() {
			if err := k.near.run(stop); err != nil {
				l.log.Debug("neighbour failed", "peer", k.uri, "err", err)
			}
		})
	}
	err = l.attach(k.key, k.conn, max(p.priority, ours.priority))
	close(stop)
	conn.Close()
	writer.Wait()
	l.log.Info("link is down", "peer", k.uri, "key", k.key.String(), "err", err)
	if err == nil {
		err = errors.New("the other side closed the link")
	}
	return err
}

// greet exchanges meta frames. The result is a neighbour only when both sides
// offered it and TLS proved the key.
func (l *links) greet(ctx context.Context, conn net.Conn, p *peering) (meta, error) {
	deadline := time.Now().Add(handshakeTimeout)
	conn.SetDeadline(deadline)
	secure, isTLS := conn.(*tls.Conn)
	if isTLS {
		ctx, cancel := context.WithDeadline(ctx, deadline)
		defer cancel()
		if err := secure.HandshakeContext(ctx); err != nil {
			return meta{}, err
		}
	}
	mine, err := appendMeta(nil, meta{major: metaMajor, minor: metaMinor, key: l.self, priority: p.priority, neighbour: isTLS}, l.private, p.password)
	if err != nil {
		return meta{}, err
	}
	if _, err := conn.Write(mine); err != nil {
		return meta{}, fmt.Errorf("send handshake: %w", err)
	}
	theirs, err := readMeta(conn, p.password)
	if err != nil {
		return meta{}, err
	}
	conn.SetDeadline(time.Time{})
	if theirs.key == l.self {
		return meta{}, errSelf
	}
	if !isTLS {
		theirs.neighbour = false
	}
	if theirs.neighbour && !proves(secure.ConnectionState(), theirs.key) {
		return meta{}, errors.New("the certificate is not of the key that the handshake names")
	}
	return theirs, nil
}

// proves reports whether the other side of a TLS connection holds key.
func proves(state tls.ConnectionState, key mesh.NodeKey) bool {
	if state.Version < tls.VersionTLS13 || len(state.PeerCertificates) == 0 {
		return false
	}
	public, ok := state.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	return ok && mesh.NodeKey(public) == key
}

func (l *links) enter(k *link) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.up[k] = struct{}{}
	if k.near != nil {
		l.mu.neighbours[k.key] = k.near
	}
	// Two nodes that hear each other's beacons both call. The call of the
	// higher key is one too many; its caller hangs up.
	if slices.Compare(l.self[:], k.key[:]) > 0 {
		same, extra := 0, (*link)(nil)
		for other := range l.mu.up {
			if other.key == k.key && other.near != nil {
				same++
				if other.source == SourceLAN {
					extra = other
				}
			}
		}
		if same > 1 && extra != nil {
			extra.conn.Close()
		}
	}
	l.signal()
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

func (l *links) signal() {
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
		one := Link{URI: k.uri, Key: k.key, Up: true, Neighbour: k.near != nil, Source: k.source, Since: k.since, RTT: kernelRTT(k.raw)}
		if k.near != nil {
			if d := time.Duration(k.near.rtt.Load()); d > 0 {
				one.RTT = d
			}
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

// close ends every link and waits for all of them.
func (l *links) close() {
	l.mu.Lock()
	l.mu.closed = true
	for _, d := range l.mu.wanted {
		d.cancel()
	}
	for k := range l.mu.up {
		k.conn.Close()
	}
	l.mu.Unlock()
	l.running.Wait()
}
