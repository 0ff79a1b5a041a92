package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"

	"drey/mesh"
)

const (
	dnsMost     = 64               // records of one name
	dnsWait     = 2 * time.Second  // for one server's answer
	dnsServers  = 4                // asked, one after the other
	dnsTTLLeast = time.Minute      // between two questions when the answer was good
	dnsTTLMost  = 6 * time.Hour    //
	dnsLeast    = 5 * time.Second  // and when there was none
	dnsMostWait = 10 * time.Minute //
	dnsString   = 255              // bytes of one string of a TXT record
)

// systemResolvers says which servers this machine asks.
const systemResolvers = "/etc/resolv.conf"

// A DNS finds machines by signed TXT records at names that the operator has
// set: "drey1:" and a record in base64url, one TXT record for each node. What a
// zone or a resolver says is believed no more than what anybody else says.
type DNS struct {
	names   []string
	servers []string // host:port; empty for the system's
	wait    time.Duration
}

// NewDNS makes a finder for these names. Servers are addresses with or without
// a port; without any, the system's are asked.
func NewDNS(names, servers []string) *DNS {
	d := &DNS{wait: dnsWait}
	for _, n := range names {
		d.names = append(d.names, dns.Fqdn(n))
	}
	for _, s := range servers {
		if a, err := netip.ParseAddr(s); err == nil {
			s = netip.AddrPortFrom(a, 53).String()
		}
		d.servers = append(d.servers, s)
	}
	return d
}

// Name returns FinderDNS.
func (*DNS) Name() string { return FinderDNS }

// Run asks for every name until ctx ends, again when the answer's time to live
// is over. A name without an answer is asked for again after 5 s, doubling to
// 10 min; the finder fails only when no name has ever been answered.
func (d *DNS) Run(ctx context.Context, found func(Candidate)) error {
	if len(d.names) == 0 {
		<-ctx.Done()
		return nil
	}
	var answered struct {
		sync.Mutex
		any    bool
		failed int
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, name := range d.names {
		group.Go(func() error {
			pause := dnsLeast
			for {
				records, ttl, err := d.ask(ctx, name)
				if ctx.Err() != nil {
					return nil
				}
				wait := min(max(ttl, dnsTTLLeast), dnsTTLMost)
				answered.Lock()
				if err == nil {
					answered.any, pause = true, dnsLeast
				} else {
					answered.failed++
					wait, pause = pause, min(2*pause, dnsMostWait)
				}
				hopeless := !answered.any && answered.failed >= len(d.names)
				answered.Unlock()
				for _, r := range records {
					found(Candidate{Record: r})
				}
				if err != nil && hopeless {
					return fmt.Errorf("%s: %w", strings.TrimSuffix(name, "."), err)
				}
				timer := time.NewTimer(wait + rand.N(wait/8))
				select {
				case <-ctx.Done():
					timer.Stop()
					return nil
				case <-timer.C:
				}
			}
		})
	}
	return group.Wait()
}

var errNoServer = errors.New("this machine names no DNS server")

// ask asks for one name, all servers in turn.
func (d *DNS) ask(ctx context.Context, name string) (records [][]byte, ttl time.Duration, err error) {
	servers := d.servers
	if len(servers) == 0 {
		// Read each time: the network may have changed.
		conf, err := dns.ClientConfigFromFile(systemResolvers)
		if err != nil || len(conf.Servers) == 0 {
			return nil, 0, errNoServer
		}
		for _, s := range conf.Servers {
			servers = append(servers, net.JoinHostPort(s, conf.Port))
		}
	}
	var failed []error
	for _, server := range servers[:min(len(servers), dnsServers)] {
		m, err := d.exchange(ctx, server, name)
		if err == nil && m.Rcode == dns.RcodeSuccess {
			records, ttl := txtRecords(m)
			return records, ttl, nil
		}
		if err == nil {
			err = fmt.Errorf("%s answers %s", server, dns.RcodeToString[m.Rcode])
		}
		failed = append(failed, err)
	}
	return nil, 0, errors.Join(failed...)
}

// exchange asks one server, again over TCP when the answer was cut.
func (d *DNS) exchange(ctx context.Context, server, name string) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*d.wait)
	defer cancel()
	q := new(dns.Msg)
	q.SetQuestion(name, dns.TypeTXT)
	q.SetEdns0(1232, false) // fits every path (DNS flag day 2020)
	m, _, err := (&dns.Client{Timeout: d.wait}).ExchangeContext(ctx, q, server)
	if err == nil && m.Truncated {
		m, _, err = (&dns.Client{Net: "tcp", Timeout: d.wait}).ExchangeContext(ctx, q, server)
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

// txtRecords returns the peer records of an answer and the shortest time to
// live in it. The strings of a TXT record belong together; aliases are
// followed by the server.
func txtRecords(m *dns.Msg) (records [][]byte, ttl time.Duration) {
	ttl = dnsTTLMost
	for _, rr := range m.Answer {
		ttl = min(ttl, time.Duration(rr.Header().Ttl)*time.Second)
		txt, ok := rr.(*dns.TXT)
		if !ok || len(records) == dnsMost {
			continue
		}
		// Other texts may stand at the same name: they are not ours.
		if b, err := mesh.ParseRecordText(strings.Join(txt.Txt, "")); err == nil {
			records = append(records, b)
		}
	}
	return records, ttl
}

// ZoneLine returns the line that puts a record into a zone at a name, in the
// form that every name server reads: strings of at most 255 bytes.
func ZoneLine(name string, record []byte) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s 3600 IN TXT", dns.Fqdn(name))
	for text := mesh.RecordText(record); len(text) > 0; {
		n := min(len(text), dnsString)
		fmt.Fprintf(&b, " %q", text[:n]) // base64url needs no other escaping
		text = text[n:]
	}
	return b.String()
}
