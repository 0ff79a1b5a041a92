package bootstrap

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
)

const (
	mdnsPort = 5353
	// defaultUnderlay is the port shown where a record names none.
	defaultUnderlay = 3740
	mdnsLeast       = time.Second // between two questions, at the start
	mdnsMostPause   = 2 * time.Minute
	// mdnsDelay spreads the answers of many to one question (RFC 6762, section 6).
	mdnsDelay = 120 * time.Millisecond
	// mdnsRest is how soon at the earliest the same is said again.
	mdnsRest = time.Second
	// Answers to one asker alone, a second. Each is many times as long as its
	// question.
	mdnsAlone      = rate.Limit(5)
	mdnsAloneBurst = 20
)

var (
	mdnsFour = net.IPv4(224, 0, 0, 251)
	mdnsSix  = net.ParseIP("ff02::fb")
)

// A MDNS finds machines on the local network by multicast DNS and DNS-SD (RFC
// 6762, RFC 6763), as printers are found. It shows the service _drey._tcp with
// the node's record in the form that strangers may see, and lives beside a
// system's own responder on the same port.
type MDNS struct {
	label string // immutable
	again chan struct{}
	asked chan question

	mu struct {
		sync.Mutex
		instance mdnsInstance
	}
}

// A question is one that somebody asked, to be answered on its interface.
type question struct {
	zone     int
	services bool
	instance bool
	// alone is where an answer goes to the asker alone: a program that asked
	// from another port than multicast DNS's and cannot hear the group.
	alone *net.UDPAddr
	id    uint16
	asks  []dns.Question
	at    time.Time
}

// NewMDNS makes a finder with a name drawn by chance.
func NewMDNS() *MDNS {
	var b [4]byte
	rand.Read(b[:]) // never fails since Go 1.24
	const asksWaiting = 16
	return &MDNS{label: "drey-" + hex.EncodeToString(b[:]), again: make(chan struct{}, 1), asked: make(chan question, asksWaiting)}
}

// Name returns FinderMDNS.
func (*MDNS) Name() string { return FinderMDNS }

// Announce says what is shown from now on.
func (d *MDNS) Announce(a Announcement) {
	i := mdnsInstance{label: d.label, port: defaultUnderlay, record: a.Public}
	for _, e := range a.Record.Endpoints {
		if e.Scheme.Underlay() {
			i.port = e.Port
			break
		}
	}
	d.mu.Lock()
	d.mu.instance = i
	d.mu.Unlock()
	select {
	case d.again <- struct{}{}:
	default:
	}
}

func (d *MDNS) instance() mdnsInstance {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.instance
}

// Run asks, answers and listens until ctx ends, and then says goodbye.
func (d *MDNS) Run(ctx context.Context, found func(Candidate)) error {
	// The goodbye goes out after ctx has ended.
	s, err := openLAN(context.WithoutCancel(ctx), mdnsPort)
	if err != nil {
		return fmt.Errorf("udp port %d: %w", mdnsPort, err)
	}
	defer s.close()
	group, inner := errgroup.WithContext(ctx)
	living, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	group.Go(func() error {
		defer end()
		return d.speak(inner, s)
	})
	group.Go(func() error {
		return s.hear(living, func(p heard) { d.take(p, found) })
	})
	return group.Wait()
}

// take looks at one packet.
func (d *MDNS) take(p heard, found func(Candidate)) {
	m, err := parseMDNS(p.data)
	if err != nil {
		return
	}
	own := d.instance()
	if m.Response {
		for _, record := range mdnsRecords(m) {
			if !bytes.Equal(record, own.record) {
				found(Candidate{Record: record, From: p.from.Addr()})
			}
		}
		return
	}
	q := question{zone: p.zone, id: m.Id, asks: m.Question, at: time.Now()}
	if q.instance, q.services = own.asks(m); len(own.record) == 0 || !q.instance && !q.services {
		return
	}
	if p.from.Port() != mdnsPort {
		q.alone = net.UDPAddrFromAddrPort(p.from)
	}
	select {
	case d.asked <- q:
	default: // many ask at once; the answer to one serves all
	}
}

// speak sends questions and answers until ctx ends.
func (d *MDNS) speak(ctx context.Context, s *lanSocket) error {
	pause := mdnsLeast
	said := mdnsSaid{at: map[saying]time.Time{}, alone: rate.NewLimiter(mdnsAlone, mdnsAloneBurst)}
	announces := 0 // how often the present instance was shown unasked
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			d.show(s, d.instance(), true)
			return nil
		case <-d.again:
			announces = 0
			next.Reset(0)
		case <-next.C:
			d.join(s)
			own := d.instance()
			d.multicast(s, own.question(), 0)
			if len(own.record) > 0 && announces < 3 {
				announces++
				d.show(s, own, false)
			}
			next.Reset(pause - mathrand.N(pause/4))
			pause = min(2*pause, mdnsMostPause)
		case q := <-d.asked:
			d.reply(ctx, s, q, &said)
		}
	}
}

// A mdnsSaid is what was answered lately.
type mdnsSaid struct {
	at    map[saying]time.Time
	alone *rate.Limiter
}

// A saying is an answer to all on one interface.
type saying struct {
	zone     int
	services bool // else the instance
}

// reply answers one question.
func (d *MDNS) reply(ctx context.Context, s *lanSocket, q question, said *mdnsSaid) {
	i, err := net.InterfaceByIndex(q.zone)
	if err != nil {
		return
	}
	own := d.instance()
	if q.alone != nil {
		four, six := addressesOf(*i)
		if at := q.alone.AddrPort().Addr().Unmap(); !onLink(at, append(four, six...)) || !said.alone.Allow() {
			return
		}
		m := own.answer(addressesToShow(*i), false)
		if !q.instance {
			m = servicesAnswer()
		}
		m.Id, m.Question = q.id, q.asks
		if b, err := m.Pack(); err == nil && q.alone.IP.To4() != nil {
			s.sendFour(b, *i, q.alone.IP, q.alone.Port)
		} else if err == nil {
			s.sendSix(b, *i, q.alone.IP, q.alone.Port)
		}
		return
	}
	all := saying{q.zone, !q.instance}
	if q.at.Before(said.at[all]) {
		return // whoever asked has heard the answer to another
	}
	wait := time.NewTimer(max(mdnsDelay/6+mathrand.N(mdnsDelay), mdnsRest-time.Since(said.at[all])))
	defer wait.Stop()
	select {
	case <-ctx.Done():
		return
	case <-wait.C:
	}
	said.at[all] = time.Now()
	if q.services {
		d.multicast(s, servicesAnswer(), q.zone)
	}
	if q.instance {
		d.on(s, own.answer(addressesToShow(*i), false), *i)
	}
}

// join makes the groups reach this node on every interface; it is repeated, as
// interfaces come and go.
func (d *MDNS) join(s *lanSocket) {
	for _, i := range lanInterfaces(net.FlagMulticast) {
		if s.four != nil {
			s.four.JoinGroup(&i, &net.UDPAddr{IP: mdnsFour}) // fails when joined already
		}
		if s.six != nil {
			s.six.JoinGroup(&i, &net.UDPAddr{IP: mdnsSix})
		}
	}
}

// show shows an instance on every interface, with the addresses it has there.
func (d *MDNS) show(s *lanSocket, own mdnsInstance, goodbye bool) {
	if len(own.record) == 0 {
		return
	}
	for _, i := range lanInterfaces(net.FlagMulticast) {
		if at := addressesToShow(i); len(at) > 0 {
			d.on(s, own.answer(at, goodbye), i)
		}
	}
}

// multicast sends a message on one interface, or on all for 0.
func (d *MDNS) multicast(s *lanSocket, m *dns.Msg, zone int) {
	for _, i := range lanInterfaces(net.FlagMulticast) {
		if zone == 0 || i.Index == zone {
			d.on(s, m, i)
		}
	}
}

// on sends a message to both groups on one interface. What cannot be sent is
// lost; the next follows.
func (d *MDNS) on(s *lanSocket, m *dns.Msg, i net.Interface) {
	b, err := m.Pack()
	if err != nil {
		return
	}
	s.sendFour(b, i, mdnsFour, mdnsPort)
	s.sendSix(b, i, mdnsSix, mdnsPort)
}
