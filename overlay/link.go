package overlay

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"

	"drey/mesh"
)

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
	thin   bool       // it is being hung up as one too many; links.mu guards it
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
		return err
	}
	uri := p.uri
	if d == nil {
		uri = p.url.Scheme + "://" + conn.RemoteAddr().String()
	}
	k := &link{uri: uri, key: ours.key, source: source, since: time.Now(), conn: conn, raw: conn, called: d}
	if secure, ok := conn.(*tls.Conn); ok {
		k.raw = secure.NetConn()
		if c, ok := k.raw.(*corked); ok {
			k.raw = c.Conn
		}
	}
	if ours.neighbour {
		from := senderOf(ours.key)
		k.near = newNeighbour(conn, k.since, &l.dropped, func(packet *buffer.View) { l.deliver(from, packet) })
		k.near.beat = l.beat
		if secure, ok := conn.(*tls.Conn); ok {
			k.near.cork, _ = secure.NetConn().(*corked)
		}
		k.conn = k.near
	}
	if !l.transit {
		k.conn = newLeaf(k.conn, l.self)
	}
	l.enter(k)
	defer l.leave(k)
	if d != nil {
		d.rose(k.key)
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
