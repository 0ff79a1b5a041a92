package bootstrap

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"drey/mesh"
)

// BroadcastPort is the UDP port of Broadcast; it is part of the protocol.
const BroadcastPort = 3739

const (
	broadcastLeast = time.Second // between two packets, at the start
	broadcastMost  = time.Minute // and later
	// broadcastAnswer is how soon at the earliest somebody new is answered.
	broadcastAnswer = 5 * time.Second
	// broadcastHeard is how many others are known to have been heard. Whoever
	// floods with more brings answers at that rate and no faster.
	broadcastHeard = 512
)

// broadcastHead begins a packet; a record follows, in the form for strangers.
var broadcastHead = []byte("drey\x01")

// A Broadcast finds machines on local networks that block multicast, as many
// cheap access points do. Every machine says its record to 255.255.255.255, to
// the broadcast address of each network, and to ff02::1, the IPv6 group that
// every switch floods: after 0, 1, 3, 6… seconds, then every minute, and when
// somebody new is heard. A packet is
//
//	head    [5]byte  "drey", 1
//	record           in the form that strangers may see
type Broadcast struct {
	port int

	mu struct {
		sync.Mutex
		packet []byte // nil while there is nothing to say
		heard  map[[32]byte]bool
	}
	again chan struct{} // holds one: say it now
}

// NewBroadcast makes a finder on a port; 0 means BroadcastPort.
func NewBroadcast(port int) *Broadcast {
	if port == 0 {
		port = BroadcastPort
	}
	return &Broadcast{port: port, again: make(chan struct{}, 1)}
}

// Name returns FinderBroadcast.
func (*Broadcast) Name() string { return FinderBroadcast }

// Announce says what is said from now on.
func (b *Broadcast) Announce(a Announcement) {
	b.mu.Lock()
	b.mu.packet = append(bytes.Clone(broadcastHead), a.Public...)
	b.mu.Unlock()
	b.nudge()
}

// isNew reports whether a packet was not heard before. Who says the same again
// is not answered: two who answered each other would never end.
func (b *Broadcast) isNew(packet []byte) bool {
	name := sha256.Sum256(packet)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.heard[name] {
		return false
	}
	if b.mu.heard == nil || len(b.mu.heard) >= broadcastHeard {
		b.mu.heard = map[[32]byte]bool{}
	}
	b.mu.heard[name] = true
	return true
}

func (b *Broadcast) nudge() {
	select {
	case b.again <- struct{}{}:
	default:
	}
}

func (b *Broadcast) packet() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.packet
}

// Run speaks and listens until ctx ends.
func (b *Broadcast) Run(ctx context.Context, found func(Candidate)) error {
	s, err := openLAN(ctx, b.port)
	if err != nil {
		return fmt.Errorf("udp port %d: %w", b.port, err)
	}
	defer s.close()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return s.hear(ctx, func(p heard) {
			record, ok := bytes.CutPrefix(p.data, broadcastHead)
			if !ok || bytes.Equal(p.data, b.packet()) || len(record) > mesh.MaxSealedRecord {
				return
			}
			found(Candidate{Record: record, From: p.from.Addr()})
			if b.isNew(p.data) {
				b.nudge()
			}
		})
	})
	group.Go(func() error { return b.speak(ctx, s) })
	return group.Wait()
}

// speak sends packets until ctx ends.
func (b *Broadcast) speak(ctx context.Context, s *lanSocket) error {
	pause := broadcastLeast
	var last time.Time
	for {
		if packet := b.packet(); len(packet) > len(broadcastHead) {
			b.send(s, packet)
			last = time.Now()
		}
		wait := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			wait.Stop()
			return nil
		case <-wait.C:
			pause = min(pause+pause/2+time.Second, broadcastMost)
		case <-b.again:
			wait.Stop()
			if rest := broadcastAnswer - time.Since(last); !last.IsZero() && rest > 0 {
				slow := time.NewTimer(min(rest, pause))
				select {
				case <-ctx.Done():
				case <-slow.C:
				}
				slow.Stop()
			}
		}
	}
}

var (
	limitedBroadcast = net.IPv4bcast
	allNodes         = net.ParseIP("ff02::1")
)

// send says a packet on every interface. What cannot be sent is lost: the next
// one follows.
func (b *Broadcast) send(s *lanSocket, packet []byte) {
	for _, i := range lanInterfaces(net.FlagBroadcast) {
		four, six := addressesOf(i)
		for _, p := range four {
			s.sendFour(packet, i, limitedBroadcast, b.port)
			if at, err := broadcastOf(p); err == nil {
				s.sendFour(packet, i, at.AsSlice(), b.port)
			}
		}
		if len(six) > 0 {
			s.sendSix(packet, i, allNodes, b.port)
		}
	}
}

// broadcastOf returns the broadcast address of an IPv4 network.
func broadcastOf(p netip.Prefix) (netip.Addr, error) {
	if !p.Addr().Is4() || p.Bits() > 30 {
		return netip.Addr{}, errors.New("no broadcast address")
	}
	a := p.Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		a[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(a), nil
}
