package bootstrap

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"drey/mesh"
)

// collect runs a finder until it has found so many candidates.
func collect(t *testing.T, f Finder, many int) []Candidate {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	found := make(chan Candidate, 256)
	ended := make(chan error, 1)
	go func() {
		ended <- f.Run(ctx, func(c Candidate) {
			c.Record = bytes.Clone(c.Record)
			found <- c
		})
	}()
	var all []Candidate
	for len(all) < many {
		select {
		case c := <-found:
			all = append(all, c)
		case err := <-ended:
			t.Fatalf("%s ended after %d: %v", f.Name(), len(all), err)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("%s: %v", f.Name(), err)
	}
	return all
}

// records makes sealed records of so many nodes.
func sealedRecords(t testing.TB, many int) [][]byte {
	t.Helper()
	var all [][]byte
	for i := range many {
		_, r := someone(t, 10+i, mesh.OpenCommunity("town"), 1, "tls://192.0.2.1:3740", "tls://[2001:db8::1]:3740")
		all = append(all, Seal(r, townSecret))
	}
	return all
}

// A zone with the lines that ZoneLine prints gives the records back: over UDP,
// over TCP when they are many, and beside texts of other services.
func TestDNSFinder(t *testing.T) {
	records := sealedRecords(t, 12)
	var rrs []dns.RR
	for _, r := range records {
		line := ZoneLine("_drey.town.example", r)
		rr, err := dns.NewRR(line)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		for _, s := range rr.(*dns.TXT).Txt {
			if len(s) > 255 {
				t.Errorf("a string has %d bytes", len(s))
			}
		}
		rrs = append(rrs, rr)
	}
	spf, err := dns.NewRR(`_drey.town.example 300 IN TXT "v=spf1 -all"`)
	if err != nil {
		t.Fatal(err)
	}
	rrs = append(rrs, spf)
	var overTCP bool
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		m.Answer = rrs
		if w.LocalAddr().Network() == "udp" {
			m.Truncate(1232)
		} else {
			overTCP = true
		}
		w.WriteMsg(m)
	})
	packet, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stream, err := net.Listen("tcp", packet.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*dns.Server{{PacketConn: packet, Handler: handler}, {Listener: stream, Handler: handler}} {
		up := make(chan struct{})
		s.NotifyStartedFunc = func() { close(up) }
		ended := make(chan struct{})
		go func() { defer close(ended); s.ActivateAndServe() }()
		<-up
		t.Cleanup(func() { s.Shutdown(); <-ended })
	}
	got := collect(t, NewDNS([]string{"_drey.town.example"}, []string{packet.LocalAddr().String()}), len(records))
	for i, c := range got {
		if !bytes.Equal(c.Record, records[i]) {
			t.Errorf("record %d came as %x", i, c.Record)
		}
	}
	if !overTCP {
		t.Error("the answer was cut, and nobody asked over TCP")
	}
}

// A resolver that never answers makes the finder rest with a reason.
func TestDNSWithoutAnAnswer(t *testing.T) {
	hole, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hole.Close()
	d := NewDNS([]string{"_drey.town.example"}, []string{hole.LocalAddr().String()})
	d.wait = 50 * time.Millisecond
	if err := d.Run(t.Context(), func(Candidate) {}); err == nil || !strings.Contains(err.Error(), "_drey.town.example") {
		t.Errorf("ended with %v, want a reason that names the name", err)
	}
}

// A file on a stick is read when the stick comes, and again when it changes; a
// folder is read file by file.
func TestFileFinder(t *testing.T) {
	records := sealedRecords(t, 3)
	stick := filepath.Join(t.TempDir(), "stick")
	f := NewFile([]string{stick})
	f.look = time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	found, ended := make(chan []byte, 8), make(chan error, 1)
	go func() { ended <- f.Run(ctx, func(c Candidate) { found <- c.Record }) }()
	is := func(want []byte) {
		t.Helper()
		if got := <-found; !bytes.Equal(got, want) {
			t.Errorf("found %x, want %x", got, want)
		}
	}
	// Whole files appear, as from a copy that is renamed when it is done.
	put := func(name string, records ...[]byte) {
		t.Helper()
		half := filepath.Join(filepath.Dir(stick), "half")
		if err := os.WriteFile(half, AppendRecords(nil, records), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(half, name); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(stick, 0o700); err != nil {
		t.Fatal(err)
	}
	put(filepath.Join(stick, "notes.txt"), records[2])
	put(filepath.Join(stick, "town.drey"), records[0])
	is(records[0])
	put(filepath.Join(stick, "town.drey"), records[0], records[1])
	is(records[0])
	is(records[1])
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if len(found) > 0 {
		t.Errorf("found %d more", len(found))
	}
}

func TestReadRecords(t *testing.T) {
	r := sealedRecords(t, 2)
	text := "# a comment\r\n\r\n> " + mesh.RecordText(r[0]) + "\r\nHello, here are ours:\n  " + mesh.RecordText(r[1]) + "  \ndrey1:***\n"
	got, bad, err := ReadRecords(strings.NewReader(text))
	if err != nil || bad != 2 || len(got) != 2 || !bytes.Equal(got[0], r[0]) || !bytes.Equal(got[1], r[1]) {
		t.Errorf("read %d records, %d bad, %v; want 2 and 2", len(got), bad, err)
	}
	many := strings.Repeat(mesh.RecordText(r[0])+"\n", fileMost+1)
	if got, _, err := ReadRecords(strings.NewReader(many)); err == nil || len(got) != fileMost {
		t.Errorf("%d records of a file with more than the bound, %v", len(got), err)
	}
	if _, _, err := ReadRecords(strings.NewReader(strings.Repeat("#\n", fileBytes))); err == nil {
		t.Error("an endless file was read to its end")
	}
}

// FuzzReadRecords checks that what is read is written back as the same records.
func FuzzReadRecords(f *testing.F) {
	f.Add(string(AppendRecords(nil, sealedRecords(f, 2))))
	f.Add("drey1:\n> drey1:AA\n#\n")
	f.Fuzz(func(t *testing.T, s string) {
		got, _, err := ReadRecords(strings.NewReader(s))
		if err != nil {
			return
		}
		again, bad, err := ReadRecords(bytes.NewReader(AppendRecords(nil, got)))
		if err != nil || bad != 0 || !slices.EqualFunc(got, again, bytes.Equal) {
			t.Errorf("%d records were written back as %d, %d bad, %v", len(got), len(again), bad, err)
		}
	})
}

// What one node shows by mDNS another reads, a goodbye shows nothing, and
// questions are understood.
func TestMDNSMessages(t *testing.T) {
	record := sealedRecords(t, 1)[0]
	own := mdnsInstance{label: "drey-00112233", port: 3740, record: record}
	at := []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fe80::1%eth0")}
	pack := func(m *dns.Msg) *dns.Msg {
		t.Helper()
		b, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > 1400 {
			t.Errorf("a message of %d bytes does not fit a packet", len(b))
		}
		again, err := parseMDNS(b)
		if err != nil {
			t.Fatal(err)
		}
		return again
	}
	if got := mdnsRecords(pack(own.answer(at, false))); len(got) != 1 || !bytes.Equal(got[0], record) {
		t.Errorf("read %x", got)
	}
	size := 0
	for _, s := range own.strings() {
		size += 1 + len(s)
	}
	if size > 400 {
		t.Errorf("the TXT record has %d bytes, want at most 400", size)
	}
	if got := mdnsRecords(pack(own.answer(at, true))); len(got) != 0 {
		t.Errorf("a goodbye shows %d records", len(got))
	}
	ask := func(name string, kind uint16) *dns.Msg {
		return &dns.Msg{Question: []dns.Question{{Name: name, Qtype: kind, Qclass: dns.ClassINET | unicastBit}}}
	}
	stranger := mdnsInstance{label: "drey-44556677", record: record}
	for _, c := range []struct {
		m                  *dns.Msg
		instance, services bool
	}{
		{ask("_DREY._tcp.local.", dns.TypePTR), true, false},
		{ask(own.name(), dns.TypeSRV), true, false},
		{ask(own.name(), dns.TypeANY), true, false},
		{ask(own.host(), dns.TypeAAAA), true, false},
		{ask(mdnsServices, dns.TypePTR), false, true},
		{ask("_http._tcp.local.", dns.TypePTR), false, false},
		{ask(own.name(), dns.TypeMX), false, false},
		{pack(own.question()), false, false}, // its own: it knows the answer
		{pack(stranger.question()), true, false},
	} {
		if instance, services := own.asks(c.m); instance != c.instance || services != c.services {
			t.Errorf("%v asks for the instance %v, services %v; want %v, %v", c.m.Question, instance, services, c.instance, c.services)
		}
	}
}

// FuzzMDNS checks that no packet makes more of itself than the bounds allow.
func FuzzMDNS(f *testing.F) {
	own := mdnsInstance{label: "drey-00112233", port: 3740, record: sealedRecords(f, 1)[0]}
	for _, m := range []*dns.Msg{own.answer([]netip.Addr{netip.MustParseAddr("10.0.0.1")}, false), own.question(), servicesAnswer()} {
		b, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("\x00\x00\x84\x00\xff\xff\xff\xff\xff\xff\xff\xff\xc0\x0c"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMDNS(b)
		if err != nil {
			return
		}
		own.asks(m)
		records := mdnsRecords(m)
		if len(records) > mdnsMost {
			t.Errorf("%d records of one message", len(records))
		}
		for _, r := range records {
			if len(r) == 0 || len(r) > mesh.MaxSealedRecord {
				t.Errorf("a record of %d bytes", len(r))
			}
		}
	})
}

// Two machines on one network hear each other's broadcasts, and none its own.
func TestBroadcastIsHeard(t *testing.T) {
	if len(lanInterfaces(net.FlagBroadcast)) == 0 {
		t.Skip("missing: a network interface that can broadcast")
	}
	free, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.LocalAddr().(*net.UDPAddr).Port
	free.Close()
	records := sealedRecords(t, 2)
	speaker, hearer := NewBroadcast(port), NewBroadcast(port)
	speaker.Announce(Announcement{Public: records[0]})
	hearer.Announce(Announcement{Public: records[1]})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- speaker.Run(ctx, func(Candidate) {}) }()
	got := collect(t, hearer, 1)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if !bytes.Equal(got[0].Record, records[0]) || !got[0].From.IsValid() {
		t.Errorf("heard %x from %v", got[0].Record, got[0].From)
	}
}

func TestBroadcastAddresses(t *testing.T) {
	for network, want := range map[string]string{"10.1.2.3/8": "10.255.255.255", "192.168.7.9/26": "192.168.7.63", "10.0.0.1/30": "10.0.0.3"} {
		if got, err := broadcastOf(netip.MustParsePrefix(network)); err != nil || got.String() != want {
			t.Errorf("%s: %v, %v, want %s", network, got, err, want)
		}
	}
	for _, network := range []string{"10.0.0.1/31", "10.0.0.1/32", "fe80::1/64"} {
		if got, err := broadcastOf(netip.MustParsePrefix(network)); err == nil {
			t.Errorf("%s: %v, want none", network, got)
		}
	}
}

// Where a record was heard is tried first; a link-local address is tried in
// the zone it was heard in, or in all.
func TestPlaces(t *testing.T) {
	_, r := someone(t, 2, mesh.OpenCommunity("town"), 1, "tls://192.0.2.1:3740", "http://192.0.2.1:3739", "tls://[fe80::1]:3741")
	for _, c := range []struct {
		from  string
		zones []string
		want  []string
	}{
		{"", []string{"eth0", "wlan0"}, []string{"tls://192.0.2.1:3740", "tls://[fe80::1%25eth0]:3741", "tls://[fe80::1%25wlan0]:3741"}},
		{"10.0.0.9", nil, []string{"tls://10.0.0.9:3740", "tls://10.0.0.9:3741", "tls://192.0.2.1:3740"}},
		{"fe80::7%eth1", []string{"eth0"}, []string{"tls://[fe80::7%25eth1]:3740", "tls://[fe80::7%25eth1]:3741", "tls://192.0.2.1:3740", "tls://[fe80::1%25eth1]:3741"}},
	} {
		var from netip.Addr
		if c.from != "" {
			from = netip.MustParseAddr(c.from)
		}
		got := places(r, "", from, c.zones)
		if !slices.Equal(got, c.want) {
			t.Errorf("from %q in %v:\n%q, want\n%q", c.from, c.zones, got, c.want)
		}
		for _, uri := range got {
			if bare, _, err := splitURI(uri); err != nil || bare != uri {
				t.Errorf("%s does not stand for itself: %s, %v", uri, bare, err)
			}
		}
	}
}

func TestModes(t *testing.T) {
	link := func(at string, up bool) Link { return Link{Up: up, Remote: netip.MustParseAddr(at)} }
	for i, c := range []struct {
		links []Link
		want  Mode
	}{
		{nil, ModeAlone},
		{[]Link{link("203.0.113.5", false)}, ModeAlone},
		{[]Link{link("192.168.1.2", true)}, ModeLocal},
		{[]Link{link("fe80::1%eth0", true)}, ModeLocal},
		{[]Link{link("127.0.0.1", true), link("10.0.0.1", true), link("fd00::1", true)}, ModeLocal},
		{[]Link{{Up: true}}, ModeLocal},
		{[]Link{link("10.0.0.1", true), link("203.0.113.5", true)}, ModeInternet},
		{[]Link{link("100.64.0.1", true)}, ModeInternet},
		{[]Link{link("::ffff:10.0.0.1", true)}, ModeLocal},
		{[]Link{link("2001:db8::1", true)}, ModeInternet},
	} {
		if got := modeOf(c.links); got != c.want {
			t.Errorf("case %d: %s, want %s", i, got, c.want)
		}
	}
}

// FuzzSplitURI checks that what is called names one address in one form.
func FuzzSplitURI(f *testing.F) {
	for _, uri := range []string{"tls://192.0.2.1:3740", "TLS://[fe80::1%25eth0]:1?key=00", "ws://a.example:80/x?password=y", "tls://u:p@h:1", "tls:opaque", "TLS://[::%25eth\xff]:1"} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		bare, node, err := splitURI(uri)
		if err != nil {
			return
		}
		if strings.Contains(bare, "?") || strings.Contains(bare, "@") {
			t.Errorf("%q is called as %q", uri, bare)
		}
		again, key, err := splitURI(pinned(bare, node))
		if err != nil || again != bare || key != node {
			t.Errorf("%q became %q, then %q, %v", uri, bare, again, err)
		}
	})
}

// BenchmarkLook measures what one candidate costs: in turn one that is new,
// one that is forged, and one that is known.
func BenchmarkLook(b *testing.B) {
	roster := newFakeRoster(true)
	_, r := someone(b, 2, roster.community, 1, "tls://192.0.2.1:3740")
	forged := *r
	forged.Seq++
	guard := bouncer{roster: roster, secrets: func() []mesh.Secret { return []mesh.Secret{{1}, {2}, townSecret} },
		newest: func(mesh.NodeKey) *mesh.PeerRecord { return nil }, outdo: func(uint32) {}}
	for name, c := range map[string][]byte{"sealed": Seal(r, townSecret), "forged": wire(&forged), "foreign": Seal(r, mesh.Secret{9})} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				guard.look(Candidate{Record: c}, time.Time{})
			}
		})
	}
}

// Somebody new is answered once; two who hear each other fall silent.
func TestBroadcastAnswersOnce(t *testing.T) {
	b := NewBroadcast(1)
	if !b.isNew([]byte("a")) || b.isNew([]byte("a")) || !b.isNew([]byte("b")) || b.isNew([]byte("a")) {
		t.Error("what was heard before counts as new, or the other way round")
	}
	for i := range 3 * broadcastHeard {
		b.isNew([]byte{byte(i), byte(i >> 8), 1})
	}
	if len(b.mu.heard) > broadcastHeard {
		t.Errorf("%d are remembered, bound %d", len(b.mu.heard), broadcastHeard)
	}
}
