package bootstrap

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/miekg/dns"

	"drey/mesh"
)

// The service as DNS-SD names it (RFC 6763).
const (
	mdnsService  = "_drey._tcp.local."
	mdnsServices = "_services._dns-sd._udp.local."

	mdnsTTL     = 75 * 60 // seconds, of what does not depend on an address (RFC 6762, section 10)
	mdnsHostTTL = 120     // seconds
	cacheFlush  = 1 << 15 // the top bit of a class: this is all there is
	unicastBit  = 1 << 15 // the top bit of a question's class: an answer to me alone will do
	// mdnsPiece is how much of a record's text stands in one string of the TXT
	// record: a string holds 255 bytes.
	mdnsPiece = 240
	mdnsMost  = 32 // services looked at in one message
)

// A mdnsInstance is what one node shows by mDNS. Its name is drawn by chance at
// each start, so that it tells nothing.
type mdnsInstance struct {
	label  string // "drey-1f3a9c20"
	port   uint16 // of the underlay
	record []byte // in the form that strangers may see
}

func (i mdnsInstance) name() string { return i.label + "." + mdnsService }
func (i mdnsInstance) host() string { return i.label + ".local." }

// strings returns the TXT record: v=1, then the record as unpadded base64url
// in pieces, r0=, r1= and so on.
func (i mdnsInstance) strings() []string {
	all := []string{"v=1"}
	text := base64.RawURLEncoding.EncodeToString(i.record)
	for n := 0; len(text) > 0; n++ {
		k := min(mdnsPiece, len(text))
		all = append(all, fmt.Sprintf("r%d=%s", n, text[:k]))
		text = text[k:]
	}
	return all
}

// answer makes a response that shows the instance, reached at these addresses.
// A time to live of 0 says goodbye.
func (i mdnsInstance) answer(at []netip.Addr, goodbye bool) *dns.Msg {
	ttl, hostTTL := uint32(mdnsTTL), uint32(mdnsHostTTL)
	if goodbye {
		ttl, hostTTL = 0, 0
	}
	head := func(name string, kind uint16, ttl uint32, flush uint16) dns.RR_Header {
		return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET | flush, Ttl: ttl}
	}
	m := &dns.Msg{MsgHdr: dns.MsgHdr{Response: true, Authoritative: true}, Compress: true}
	m.Answer = []dns.RR{
		&dns.PTR{Hdr: head(mdnsService, dns.TypePTR, ttl, 0), Ptr: i.name()},
		&dns.SRV{Hdr: head(i.name(), dns.TypeSRV, hostTTL, cacheFlush), Port: i.port, Target: i.host()},
		&dns.TXT{Hdr: head(i.name(), dns.TypeTXT, ttl, cacheFlush), Txt: i.strings()},
	}
	for _, a := range at {
		if a.Is4() {
			m.Answer = append(m.Answer, &dns.A{Hdr: head(i.host(), dns.TypeA, hostTTL, cacheFlush), A: a.AsSlice()})
		} else {
			m.Answer = append(m.Answer, &dns.AAAA{Hdr: head(i.host(), dns.TypeAAAA, hostTTL, cacheFlush), AAAA: a.WithZone("").AsSlice()})
		}
	}
	return m
}

// servicesAnswer names the service to those who ask which ones there are.
func servicesAnswer() *dns.Msg {
	return &dns.Msg{MsgHdr: dns.MsgHdr{Response: true, Authoritative: true}, Answer: []dns.RR{
		&dns.PTR{Hdr: dns.RR_Header{Name: mdnsServices, Rrtype: dns.TypePTR, Class: dns.ClassINET, Ttl: mdnsTTL}, Ptr: mdnsService},
	}}
}

// question asks who offers the service. It names the instance itself as an
// answer that is known (RFC 6762, section 7.1), or the node would answer its
// own question and then rest when others ask.
func (i mdnsInstance) question() *dns.Msg {
	m := &dns.Msg{Question: []dns.Question{{Name: mdnsService, Qtype: dns.TypePTR, Qclass: dns.ClassINET}}}
	if len(i.record) > 0 {
		m.Answer = []dns.RR{&dns.PTR{Hdr: dns.RR_Header{Name: mdnsService, Rrtype: dns.TypePTR, Class: dns.ClassINET, Ttl: mdnsTTL}, Ptr: i.name()}}
	}
	return m
}

// known reports whether whoever asks knows this instance well enough.
func (i mdnsInstance) known(m *dns.Msg) bool {
	for _, rr := range m.Answer {
		if p, ok := rr.(*dns.PTR); ok && strings.EqualFold(p.Ptr, i.name()) && p.Hdr.Ttl >= mdnsTTL/2 {
			return true
		}
	}
	return false
}

// asks reports what a query wants of this instance: everything about it, or
// which services there are.
func (i mdnsInstance) asks(m *dns.Msg) (instance, services bool) {
	for _, q := range m.Question {
		if class := q.Qclass &^ unicastBit; class != dns.ClassINET && class != dns.ClassANY {
			continue
		}
		is := func(name string, kinds ...uint16) bool {
			if !strings.EqualFold(q.Name, name) {
				return false
			}
			for _, k := range append(kinds, dns.TypeANY) {
				if q.Qtype == k {
					return true
				}
			}
			return false
		}
		switch {
		case is(mdnsService, dns.TypePTR):
			instance = instance || !i.known(m)
		case is(i.name(), dns.TypeSRV, dns.TypeTXT), is(i.host(), dns.TypeA, dns.TypeAAAA):
			instance = true
		case is(mdnsServices, dns.TypePTR):
			services = true
		}
	}
	return instance, services
}

var errNotMDNS = errors.New("not a message of multicast DNS")

// parseMDNS reads a message. Nothing in it is trusted.
func parseMDNS(b []byte) (m *dns.Msg, err error) {
	defer func() {
		// The library reads hostile bytes; should it ever fail on some, they are
		// a bad message and no more.
		if recover() != nil {
			m, err = nil, errNotMDNS
		}
	}()
	m = new(dns.Msg)
	if err := m.Unpack(b); err != nil {
		return nil, errNotMDNS
	}
	return m, nil
}

// mdnsRecords returns the records that a response shows. Goodbyes are left out.
func mdnsRecords(m *dns.Msg) [][]byte {
	if !m.Response {
		return nil
	}
	var all [][]byte
	for _, section := range [][]dns.RR{m.Answer, m.Extra} {
		for _, rr := range section {
			txt, ok := rr.(*dns.TXT)
			if !ok || txt.Hdr.Ttl == 0 || len(all) == mdnsMost || !under(txt.Hdr.Name, mdnsService) {
				continue
			}
			if record, ok := recordOf(txt.Txt); ok {
				all = append(all, record)
			}
		}
	}
	return all
}

func under(name, zone string) bool {
	return len(name) > len(zone) && strings.EqualFold(name[len(name)-len(zone):], zone) && name[len(name)-len(zone)-1] == '.'
}

// recordOf joins the pieces of a TXT record, which stand in their order.
func recordOf(pieces []string) ([]byte, bool) {
	var text strings.Builder
	n := 0
	for _, s := range pieces {
		rest, ok := strings.CutPrefix(s, fmt.Sprintf("r%d=", n))
		if !ok {
			continue
		}
		if text.WriteString(rest); text.Len() > base64.RawURLEncoding.EncodedLen(mesh.MaxSealedRecord) {
			return nil, false
		}
		n++
	}
	b, err := base64.RawURLEncoding.DecodeString(text.String())
	return b, err == nil && len(b) > 0
}

// addressesToShow lists where an interface's neighbours reach this node.
func addressesToShow(i net.Interface) []netip.Addr {
	four, six := addressesOf(i)
	var all []netip.Addr
	for _, p := range append(four, six...) {
		if !overlayPrefix.Contains(p.Addr()) {
			all = append(all, p.Addr())
		}
	}
	const most = 6
	return all[:min(len(all), most)]
}
