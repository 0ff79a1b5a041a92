package overlay

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/Arceliar/ironwood/encrypted"
	"github.com/Arceliar/ironwood/network"
	"github.com/Arceliar/ironwood/types"
	"github.com/yggdrasil-network/yggdrasil-go/src/address"
	"github.com/yggdrasil-network/yggdrasil-go/src/core"

	"drey/mesh"
)

const (
	// maxMessage bounds one Yggdrasil message and, in Yggdrasil 0.5.14, also
	// each of its queues. The 131 kB it would choose itself hold two packets
	// of 64 kB, and TCP over it collapses.
	maxMessage = 1 << 20
	// pathThrottle is how soon a lookup may be repeated. The second that
	// Yggdrasil would wait is most of the time that a first path takes. Only
	// lookups for members and joiners are repeated, and only for a while.
	pathThrottle = 50 * time.Millisecond
	// sessionTraffic marks IPv6 packets among what Yggdrasil carries between
	// two nodes.
	sessionTraffic = 1
)

// A router is Yggdrasil in this process: it finds paths and carries packets
// between keys.
type router struct {
	core *core.Core

	mu struct {
		sync.Mutex
		waiting map[mesh.NodeKey][]chan struct{} // closed when a path to the key is found
	}
}

// newRouter starts Yggdrasil without peers or listeners. Stop ends it.
func newRouter(private ed25519.PrivateKey, cert *tls.Certificate, log *slog.Logger) (*router, error) {
	r := &router{}
	r.mu.waiting = map[mesh.NodeKey][]chan struct{}{}
	c, err := core.New(cert, yggLog{log}, core.PeerFilter(func(ip net.IP) bool {
		addr, ok := netip.AddrFromSlice(ip)
		return ok && allowUnderlay(addr) == nil
	}), core.NodeInfoPrivacy(true))
	if err != nil {
		return nil, fmt.Errorf("start yggdrasil: %w", err)
	}
	conn, err := encrypted.NewPacketConn(private,
		network.WithBloomTransform(func(key ed25519.PublicKey) ed25519.PublicKey {
			return address.SubnetForKey(key).GetKey()
		}),
		network.WithPeerMaxMessageSize(maxMessage),
		network.WithPathThrottle(pathThrottle),
		network.WithPathNotify(r.found),
	)
	if err != nil {
		c.Stop()
		return nil, fmt.Errorf("start yggdrasil: %w", err)
	}
	// Nothing has used the connection that New made: it got neither peers nor
	// listeners. Ours takes its place.
	c.PacketConn.Close()
	c.PacketConn = conn
	r.core = c
	return r, nil
}

func (r *router) stop() { r.core.Stop() }

// attach runs Yggdrasil's side of a link; it returns when the link ends.
func (r *router) attach(key mesh.NodeKey, conn net.Conn, priority uint8) error {
	return r.core.HandleConn(key[:], conn, priority)
}

// send carries one IPv6 packet, given as parts, to key. It may be dropped.
func (r *router) send(key mesh.NodeKey, packet ...[]byte) {
	size := 1
	for _, part := range packet {
		size += len(part)
	}
	b := append(make([]byte, 0, size), sessionTraffic)
	for _, part := range packet {
		b = append(b, part...)
	}
	// Fails only when closed or oversized; either way the packet is lost, as
	// packets may be.
	r.core.PacketConn.WriteTo(b, types.Addr(key[:]))
}

// receive waits for the next IPv6 packet, read into b. Yggdrasil's own
// requests (who are your peers, what do you run) go unanswered: strangers
// have no business asking.
func (r *router) receive(b []byte) (from mesh.NodeKey, packet []byte, err error) {
	for {
		n, addr, err := r.core.PacketConn.ReadFrom(b)
		if err != nil {
			return mesh.NodeKey{}, nil, err
		}
		if key, ok := addr.(types.Addr); ok && len(key) == len(from) && n > 1 && b[0] == sessionTraffic {
			return mesh.NodeKey(key), b[1:n], nil
		}
	}
}

// found is called by Yggdrasil's router whenever a path is found or renewed.
// It must not block.
func (r *router) found(key ed25519.PublicKey) {
	k := mesh.NodeKey(key)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.mu.waiting[k] {
		close(c)
	}
	delete(r.mu.waiting, k)
}

// seek asks for a path to key until one is known, enough says that none is
// needed, or ctx ends. It asks often at first, when a fresh link's tree is
// still growing, and seldom later.
func (r *router) seek(ctx context.Context, key mesh.NodeKey, enough func() bool) error {
	found := make(chan struct{})
	r.mu.Lock()
	r.mu.waiting[key] = append(r.mu.waiting[key], found)
	r.mu.Unlock()
	defer r.unwait(key, found)
	const eager = 100 // asks, 5 s in all
	for ask := 0; !enough() && !r.knows(key); ask++ {
		r.core.PacketConn.SendLookup(key[:])
		pause := pathThrottle
		if ask > eager {
			pause = time.Second
		}
		wait := time.NewTimer(pause)
		select {
		case <-wait.C:
			continue
		case <-found:
		case <-ctx.Done():
		}
		wait.Stop()
		return ctx.Err()
	}
	return nil
}

func (r *router) unwait(key mesh.NodeKey, found chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.waiting[key] = slices.DeleteFunc(r.mu.waiting[key], func(c chan struct{}) bool { return c == found })
	if len(r.mu.waiting[key]) == 0 {
		delete(r.mu.waiting, key)
	}
}

// knows reports whether Yggdrasil holds a path to key.
func (r *router) knows(key mesh.NodeKey) bool {
	for _, p := range r.core.GetPaths() {
		if mesh.NodeKey(p.Key) == key {
			return true
		}
	}
	return false
}

// newCertificate makes the certificate that a link's TLS shows: of the node's
// own key, so that it proves who is at the other end. Nobody checks its dates
// or its name.
func newCertificate(private ed25519.PrivateKey) (*tls.Certificate, error) {
	template := x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "yggdrasil"},
		NotBefore:    time.Unix(0, 0),
		NotAfter:     time.Date(2106, 1, 1, 0, 0, 0, 0, time.UTC),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, private.Public(), private)
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, nil
}

// newTLS makes the settings of links over TLS. Names and chains mean nothing
// here; keys are compared after the handshake.
func newTLS(cert *tls.Certificate) *tls.Config {
	return &tls.Config{
		Certificates:                []tls.Certificate{*cert},
		ClientAuth:                  tls.RequestClientCert,
		InsecureSkipVerify:          true,
		MinVersion:                  tls.VersionTLS12, // what yggdrasil's dialers allow
		SessionTicketsDisabled:      true,             // a resumed session shows no certificate
		DynamicRecordSizingDisabled: true,             // packets are large from the first
	}
}

// A yggLog passes Yggdrasil's log on as debug lines: what matters is logged
// here, where it happens.
type yggLog struct{ log *slog.Logger }

func (l yggLog) say(text string)           { l.log.Debug("yggdrasil", "text", strings.TrimSpace(text)) }
func (l yggLog) Printf(f string, a ...any) { l.say(fmt.Sprintf(f, a...)) }
func (l yggLog) Println(a ...any)          { l.say(fmt.Sprintln(a...)) }
func (l yggLog) Infof(f string, a ...any)  { l.say(fmt.Sprintf(f, a...)) }
func (l yggLog) Infoln(a ...any)           { l.say(fmt.Sprintln(a...)) }
func (l yggLog) Warnf(f string, a ...any)  { l.say(fmt.Sprintf(f, a...)) }
func (l yggLog) Warnln(a ...any)           { l.say(fmt.Sprintln(a...)) }
func (l yggLog) Errorf(f string, a ...any) { l.say(fmt.Sprintf(f, a...)) }
func (l yggLog) Errorln(a ...any)          { l.say(fmt.Sprintln(a...)) }
func (l yggLog) Debugf(f string, a ...any) { l.say(fmt.Sprintf(f, a...)) }
func (l yggLog) Debugln(a ...any)          { l.say(fmt.Sprintln(a...)) }
func (l yggLog) Traceln(a ...any)          {}
