package overlay

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"drey/mesh"
)

// A dialer keeps one peering up until it is removed.
type dialer struct {
	peering *peering
	source  Source
	cancel  context.CancelFunc
	kick    chan struct{} // holds one: call now
	once    bool          // gives up after the first failure
	after   time.Duration // the first call comes so late, and not at all when somebody else's made a link

	up   chan mesh.NodeKey // holds one: the key of whoever answered
	over chan struct{}     // closed when nobody calls any more

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

// rose notes that somebody answered.
func (d *dialer) rose(key mesh.NodeKey) {
	d.fail(nil)
	select {
	case d.up <- key:
	default: // an earlier answer was not asked for
	}
}

// reason returns why there is no link.
func (d *dialer) reason() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.err
}

// want adds a peering. Asking for one that is wanted already calls it now. It
// returns the dialer when it is a new one, else nil.
func (l *links) want(p *peering, source Source, once bool) *dialer {
	return l.wantAfter(p, source, once, 0)
}

// wantAfter is want with a first call that comes so late, and that is not made
// at all when the other side is linked by then.
func (l *links) wantAfter(p *peering, source Source, once bool, after time.Duration) *dialer {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.closed {
		return nil
	}
	if d, ok := l.mu.wanted[p.uri]; ok {
		if !once {
			d.nudge()
		}
		return nil
	}
	ctx, cancel := context.WithCancel(l.ctx)
	d := &dialer{
		peering: p, source: source, cancel: cancel, kick: make(chan struct{}, 1), once: once, after: after,
		up: make(chan mesh.NodeKey, 1), over: make(chan struct{}),
	}
	l.mu.wanted[p.uri] = d
	l.running.Go(func() {
		defer close(d.over)
		defer cancel()
		l.keep(ctx, d)
		l.mu.Lock()
		if l.mu.wanted[p.uri] == d {
			delete(l.mu.wanted, p.uri)
		}
		l.mu.Unlock()
	})
	return d
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
	if d.after > 0 {
		wait := time.NewTimer(d.after)
		defer wait.Stop()
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
		if slices.ContainsFunc(d.peering.keys, l.linked) {
			return
		}
	}
	const least = time.Second
	for pause := least; ; {
		began := time.Now()
		err := l.call(ctx, d)
		d.fail(err)
		if ctx.Err() != nil || errors.Is(err, errSelf) || d.once {
			return
		}
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
		return err
	}
	conn := raw
	if d.peering.url.Scheme == "tls" {
		config := l.tls.Clone()
		config.ServerName = d.peering.sni
		conn = tls.Client(newCorked(raw, l.corks), config)
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
