package overlay

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yggdrasil-network/yggdrasil-go/src/address"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"drey/mesh"
)

func TestAddressAndPeerFollowFromTheKey(t *testing.T) {
	for n := range byte(20) {
		private := testKey(t, n)
		key := publicOf(private)
		if got, want := AddressOf(key), netip.AddrFrom16(*address.AddrForKey(key[:])); got != want || !overlayPrefix.Contains(got) {
			t.Errorf("address of %s is %s, want %s", key, got, want)
		}
		id, err := PeerOf(key)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := KeyOf(id); err != nil || back != key {
			t.Errorf("key of %s is %s, %v; want %s", id, back, err, key)
		}
	}
	if _, err := KeyOf("nonsense"); err == nil {
		t.Error("a peer ID without a key has one")
	}
}

func TestMeta(t *testing.T) {
	private := testKey(t, 1)
	want := meta{major: metaMajor, minor: metaMinor, key: publicOf(private), priority: 3, neighbour: true}
	b, err := appendMeta(nil, want, private, "secret")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := readMeta(bytes.NewReader(b), "secret"); err != nil || got != want {
		t.Errorf("read %+v, %v; want %+v", got, err, want)
	}
	change := func(f func(b []byte) []byte) []byte { return f(slices.Clone(b)) }
	for name, bad := range map[string][]byte{
		"other magic":      change(func(b []byte) []byte { b[0] = 'M'; return b }),
		"cut short":        b[:len(b)-1],
		"empty":            nil,
		"length too small": change(func(b []byte) []byte { b[4], b[5] = 0, 10; return b }),
		"length too large": change(func(b []byte) []byte { b[4] = 0xff; return b }),
		"minor 4":          change(func(b []byte) []byte { b[17] = 4; return b }),
		"another key":      change(func(b []byte) []byte { b[22] ^= 1; return b }),
		"signature":        change(func(b []byte) []byte { b[len(b)-1] ^= 1; return b }),
		"field too long":   change(func(b []byte) []byte { b[9] = 200; return b }),
	} {
		if got, err := readMeta(bytes.NewReader(bad), "secret"); err == nil {
			t.Errorf("%s: read %+v", name, got)
		}
	}
	if _, err := readMeta(bytes.NewReader(b), "other"); err == nil {
		t.Error("another password was accepted")
	}
}

func FuzzMeta(f *testing.F) {
	private := testKey(f, 1)
	for _, neighbour := range []bool{false, true} {
		b, err := appendMeta(nil, meta{minor: metaMinor, key: publicOf(private), neighbour: neighbour}, private, "")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[metaHeaderLen:])
	}
	f.Add(make([]byte, 64))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMeta(b, "")
		if err == nil && (m.major != metaMajor || m.minor != metaMinor) {
			t.Errorf("accepted version %d.%d", m.major, m.minor)
		}
	})
}

func TestBeacon(t *testing.T) {
	want := beacon{key: publicOf(testKey(t, 1)), port: 3740}
	b, err := appendBeacon(nil, want)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := parseBeacon(append(slices.Clone(b), "more"...)); err != nil || got != want {
		t.Errorf("parsed %+v, %v; want %+v", got, err, want)
	}
	for i, bad := range [][]byte{nil, b[:10], b[:len(b)-1], append([]byte{1}, b[1:]...), slices.Concat(b[:36], []byte{0, 0}, b[38:]), slices.Concat(b[:len(b)-1], []byte{b[len(b)-1] ^ 1})} {
		if got, err := parseBeacon(bad); err == nil {
			t.Errorf("bad beacon %d was parsed: %+v", i, got)
		}
	}
}

func FuzzBeacon(f *testing.F) {
	b, err := appendBeacon(nil, beacon{key: publicOf(testKey(f, 1)), port: 3740})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:beaconHead])
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseBeacon(b)
		if err != nil {
			return
		}
		if back, err := appendBeacon(nil, m); err != nil || !bytes.HasPrefix(b, back) {
			t.Errorf("beacon %x was written back as %x, %v", b, back, err)
		}
	})
}

func FuzzPacket(f *testing.F) {
	a, b := AddressOf(publicOf(testKey(f, 1))), AddressOf(publicOf(testKey(f, 2)))
	f.Add(appendEcho(nil, header.ICMPv6EchoRequest, a, b, 7, 9, []byte("hello")))
	f.Add(make([]byte, 40))
	f.Add(append([]byte{0x60, 0, 0, 0, 0, 20, 6, 64}, make([]byte, 52)...))
	f.Fuzz(func(t *testing.T, p []byte) {
		h, ok := parsePacket(p)
		if !ok {
			return
		}
		if h.size != len(p) || h.proto != protoTCP && h.proto != protoICMPv6 {
			t.Errorf("packet %x was taken as %+v", p, h)
		}
		if h.proto != protoICMPv6 {
			return
		}
		if e, ok := parseEcho(p); ok {
			back := appendEcho(nil, e.kind, h.src, h.dst, e.ident, e.seq, e.data)
			if !bytes.Equal(back[ipv6HeaderLen:], p[ipv6HeaderLen:]) && !(p[42] == 0xff || back[42] == 0xff || p[42]|p[43] == 0) {
				t.Errorf("echo %x was written back as %x", p, back)
			}
		}
	})
}

func FuzzLeaf(f *testing.F) {
	self := publicOf(testKey(f, 1))
	other := publicOf(testKey(f, 2))
	f.Add(slices.Concat([]byte{frameTraffic, 1, 0, 2, 0}, other[:], self[:], []byte{9}))
	f.Add(slices.Concat([]byte{frameTraffic, 1, 0, 2, 0}, self[:], other[:], []byte{9}))
	f.Add([]byte{frameSigRequest, 1, 1})
	f.Add([]byte{4})
	f.Fuzz(func(t *testing.T, frame []byte) {
		if len(frame) == 0 {
			return
		}
		if got := concerns(frame, self); got && (frame[0] == frameSigRequest || frame[0] == frameTraffic && !bytes.Contains(frame, self[:])) {
			t.Errorf("a leaf lets %x in", frame)
		}
	})
}

// What passes a leaf is exactly the frames that concern it, whole.
func TestLeafLeavesOutOthersFrames(t *testing.T) {
	self, other := publicOf(testKey(t, 1)), publicOf(testKey(t, 2))
	frame := func(parts ...[]byte) []byte {
		body := slices.Concat(parts...)
		return append(binary.AppendUvarint(nil, uint64(len(body))), body...)
	}
	mine := frame([]byte{frameTraffic, 5, 0, 0}, other[:], self[:], []byte{200, 1}, make([]byte, 9000))
	others := frame([]byte{frameTraffic, 5, 0, 0}, self[:], other[:], []byte{200, 1}, make([]byte, 300))
	announce := frame([]byte{4}, other[:], other[:])
	request := frame([]byte{frameSigRequest, 1, 2})
	ours, theirs := net.Pipe()
	go func() {
		theirs.Write(slices.Concat(others, announce, request, mine, others, []byte{1, 1}))
		theirs.Close()
	}()
	got, err := io.ReadAll(newLeaf(ours, self))
	if err != nil {
		t.Fatal(err)
	}
	if want := slices.Concat(announce, mine, []byte{1, 1}); !bytes.Equal(got, want) {
		t.Errorf("%d bytes passed, want %d", len(got), len(want))
	}
}

func FuzzChunk(f *testing.F) {
	f.Add(appendChunk(appendChunk(nil, chunkYggdrasil, []byte("abc")), chunkPing, make([]byte, pingSize)))
	f.Add(appendChunk(nil, chunkPacket, make([]byte, ipv6HeaderLen)))
	f.Add([]byte{9, 0, 1, 0})
	f.Add([]byte{chunkYggdrasil, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		n := newNeighbour(readOnly{Reader: bytes.NewReader(b)}, time.Now(), new(atomic.Uint64), func(v *buffer.View) {
			if v.Size() < ipv6HeaderLen {
				t.Errorf("delivered a packet of %d bytes", v.Size())
			}
			v.Release()
		})
		if got, err := io.ReadAll(n); err == nil && len(got) > len(b) {
			t.Errorf("%d bytes came out of %d", len(got), len(b))
		}
	})
}

// readOnly is a connection that can only be read.
type readOnly struct {
	io.Reader
	net.Conn
}

func (r readOnly) Read(p []byte) (int, error)      { return r.Reader.Read(p) }
func (r readOnly) SetReadDeadline(time.Time) error { return nil }

// Yggdrasil's bytes and packets share a link without mixing.
func TestNeighbourCarriesBoth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left, right := net.Pipe()
		var packets [][]byte
		take := func(v *buffer.View) { packets = append(packets, slices.Clone(v.AsSlice())); v.Release() }
		a := newNeighbour(left, time.Now(), new(atomic.Uint64), func(v *buffer.View) { v.Release() })
		b := newNeighbour(right, time.Now(), new(atomic.Uint64), take)
		stop := make(chan struct{})
		go a.run(stop)
		go b.run(stop)
		go io.Copy(io.Discard, a) // pongs come in here
		long := bytes.Repeat([]byte("yggdrasil "), 20000)
		go a.Write(long)
		for i := range 20 {
			if !a.send([]byte{byte(i)}, make([]byte, ipv6HeaderLen)) {
				t.Errorf("packet %d found no room", i)
			}
		}
		got := make([]byte, len(long))
		if _, err := io.ReadFull(b, got); err != nil || !bytes.Equal(got, long) {
			t.Fatalf("Yggdrasil's bytes came out changed: %v", err)
		}
		go io.Copy(io.Discard, b)
		synctest.Wait()
		if len(packets) != 20 {
			t.Errorf("%d packets came, want 20", len(packets))
		}
		for i, p := range packets {
			if p[0] != byte(i) {
				t.Errorf("packet %d came as number %d", p[0], i)
			}
		}
		close(stop)
		synctest.Wait()
	})
}

// A neighbour that does not take what it is sent costs bounded memory, and one
// that never answers is given up.
func TestSilentNeighbourIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left, right := net.Pipe()
		go io.Copy(io.Discard, right)
		n := newNeighbour(left, time.Now(), new(atomic.Uint64), nil)
		began := time.Now()
		if err := n.run(nil); !errors.Is(err, errSilent) {
			t.Errorf("run gave %v, want %v", err, errSilent)
		}
		if took := time.Since(began); took > pingPatient+2*pingEvery {
			t.Errorf("it took %v", took)
		}
		packet := make([]byte, maxChunk)
		sent := 0
		for n.send(packet) {
			sent += len(packet)
		}
		if sent > maxQueued || n.dropped.Load() != 1 {
			t.Errorf("%d bytes were queued, limit %d; %d packets dropped", sent, maxQueued, n.dropped.Load())
		}
	})
}

func TestProvesNeedsTheCertificateOfTheKey(t *testing.T) {
	cert, err := newCertificate(testKey(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	left, right := net.Pipe()
	server, client := tls.Server(left, newTLS(cert)), tls.Client(right, newTLS(cert))
	go server.Handshake()
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	if !proves(client.ConnectionState(), publicOf(testKey(t, 1))) {
		t.Error("the right key is not proved")
	}
	if proves(client.ConnectionState(), publicOf(testKey(t, 2))) {
		t.Error("another key is proved")
	}
}

// exchangeOnce runs the roster protocol over a pipe.
func exchangeOnce(t *testing.T, name string, caller, answerer *testBook, callerKey, answererKey mesh.NodeKey) (callErr, answerErr error) {
	t.Helper()
	left, right := net.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- answer(t.Context(), right, answerer.roster.Community(), answerer, answerer.roster.Admits, answererKey, callerKey)
		right.Close()
	}()
	callErr = call(t.Context(), left, caller.roster.Community(), caller, caller.roster.Admits, callerKey, answererKey)
	left.Close()
	return callErr, <-done
}

func TestExchange(t *testing.T) {
	a, b, c := publicOf(testKey(t, 1)), publicOf(testKey(t, 2)), publicOf(testKey(t, 3))
	for _, test := range []struct {
		name              string
		caller, answerer  []mesh.NodeKey // whom each knows of a (answerer), b (caller), c
		other             bool           // another community
		callErr, answErr  error
		callsEnd, answEnd int // how many each knows afterwards
	}{
		{"both know the same", []mesh.NodeKey{a, b}, []mesh.NodeKey{a, b}, false, nil, nil, 2, 2},
		{"the caller is new", []mesh.NodeKey{a, b}, []mesh.NodeKey{a}, false, nil, nil, 2, 2},
		{"both learn", []mesh.NodeKey{a, b}, []mesh.NodeKey{a, c}, false, nil, nil, 3, 3},
		{"the caller learns", []mesh.NodeKey{a, b}, []mesh.NodeKey{a, b, c}, false, nil, nil, 3, 3},
		{"a stranger", []mesh.NodeKey{a}, []mesh.NodeKey{a, c}, false, errRefused, errProof, 1, 2},
		{"another community", []mesh.NodeKey{a, b}, []mesh.NodeKey{a, b}, true, errForeign, errForeign, 2, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			name := "town"
			if test.other {
				name = "village"
			}
			_, caller := bookOf(t, name, test.caller...)
			_, answerer := bookOf(t, "town", test.answerer...)
			callErr, answErr := exchangeOnce(t, test.name, caller, answerer, b, a)
			if !errors.Is(callErr, test.callErr) || (callErr == nil) != (test.callErr == nil) {
				t.Errorf("the caller got %v, want %v", callErr, test.callErr)
			}
			if !errors.Is(answErr, test.answErr) || (answErr == nil) != (test.answErr == nil) {
				t.Errorf("the answerer got %v, want %v", answErr, test.answErr)
			}
			if got := len(caller.roster.Nodes()); got != test.callsEnd {
				t.Errorf("the caller knows %d, want %d", got, test.callsEnd)
			}
			if got := len(answerer.roster.Nodes()); got != test.answEnd {
				t.Errorf("the answerer knows %d, want %d", got, test.answEnd)
			}
		})
	}
}

// A malformed caller is cut off before it costs anything.
func TestAnswerRefusesMalformedCallers(t *testing.T) {
	self, caller := publicOf(testKey(t, 1)), publicOf(testKey(t, 2))
	_, book := bookOf(t, "town", self, caller)
	good := token("call", book.roster.Community(), caller, self)
	hello := func(digest byte) []byte {
		return slices.Concat([]byte{messageHello, 0, 0, 0, helloSize}, good[:], bytes.Repeat([]byte{digest}, 32))
	}
	for name, input := range map[string][]byte{
		"nothing":            nil,
		"not hello":          {messageEvents, 0, 0, 0, 0},
		"short hello":        {messageHello, 0, 0, 0, 1, 0},
		"huge hello":         {messageHello, 0xff, 0xff, 0xff, 0xff},
		"huge events":        append(hello(9), messageEvents, 0xff, 0, 0, 0),
		"events end early":   append(hello(9), messageEvents, 0, 0, 0, 2, 5, 1),
		"something else":     append(hello(9), messageSame, 0, 0, 0, 0),
		"events of no sense": append(hello(9), messageEvents, 0, 0, 0, 2, 1, 0),
		"a crooked locator":  append(hello(9), messageKnown, 0, 0, 0, 1, 1),
		"a long locator":     append(append(hello(9), messageKnown, 0, 0, 65*32>>8, 65*32&0xff), make([]byte, 65*32)...),
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			s := struct {
				io.Reader
				io.Writer
			}{bytes.NewReader(input), &out}
			if err := answer(t.Context(), s, book.roster.Community(), book, book.roster.Admits, self, caller); err == nil {
				t.Errorf("%x was answered", input)
			}
		})
	}
}

func FuzzEvents(f *testing.F) {
	e := admission(f, publicOf(testKey(f, 1)))
	body, _ := appendEvents(nil, []*mesh.Event{e, e})
	f.Add(body)
	f.Add([]byte{1, 0})
	f.Add(binary.AppendUvarint(nil, 1<<40))
	f.Fuzz(func(t *testing.T, b []byte) {
		events, err := parseEvents(b)
		if err != nil {
			return
		}
		for _, e := range events {
			if e.Kind() != mesh.KindRoster && e.Kind() != mesh.KindPass {
				t.Errorf("an event of kind %d came through", e.Kind())
			}
		}
	})
}

func FuzzAnswer(f *testing.F) {
	self, caller := publicOf(testKey(f, 1)), publicOf(testKey(f, 2))
	roster := newTestRoster("town", self, caller)
	good := token("call", roster.Community(), caller, self)
	f.Add(slices.Concat([]byte{messageHello, 0, 0, 0, helloSize}, good[:], make([]byte, 32), []byte{messageEvents, 0, 0, 0, 0, messageKnown, 0, 0, 0, 0}))
	f.Add([]byte{messageHello, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var out bytes.Buffer
		s := struct {
			io.Reader
			io.Writer
		}{bytes.NewReader(b), &out}
		err := answer(context.Background(), s, roster.Community(), noBook{}, func(mesh.NodeKey) bool { return false }, self, caller)
		if err == nil {
			t.Errorf("a stranger was admitted by %x", b)
		}
		if bytes.Contains(out.Bytes(), self[:]) {
			t.Errorf("a stranger learned something from %x", b)
		}
	})
}

func FuzzPeering(f *testing.F) {
	for _, s := range []string{DefaultListen, "tls://203.0.113.5:443?key=" + strings.Repeat("ab", 32), "tcp://h:1?maxbackoff=30s&priority=3&password=x&sni=y",
		"tls://[fe80::1%25eth0]:9", "quic://1.2.3.4:5", "tls://[200::1]:1", "unix:///x", "://", "tls://[::ffff:1.2.3.4]:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parsePeering(s)
		if err != nil {
			return
		}
		again, err := parsePeering(p.redial())
		if err != nil {
			t.Errorf("%q became %q, which is refused: %v", s, p.redial(), err)
		} else if again.uri != p.uri || len(again.keys) != len(p.keys) {
			t.Errorf("%q became %q", p.uri, again.uri)
		}
		if at, err := netip.ParseAddrPort(p.url.Host); err == nil && p.ours() && overlayPrefix.Contains(at.Addr().Unmap().WithZone("")) {
			t.Errorf("%q leads into the overlay", s)
		}
	})
}

func TestPeeringRefusesNonsense(t *testing.T) {
	for _, bad := range []string{"", "tls://", "tls://host", "tls://host:x", "tls://host:70000", "http://h:1", "tls://[200::1]:1", "tls://[3ff::1]:1",
		"tls://[ff02::1]:1", "tls://h:1?key=12", "tls://h:1?priority=256", "tls://h:1?maxbackoff=soon", "tls://h:1?maxbackoff=10ms", "tls://h:1?password=" + strings.Repeat("x", 65)} {
		if p, err := parsePeering(bad); err == nil {
			t.Errorf("%q was taken as %+v", bad, p)
		}
	}
}

func TestChoicesMeetAndPreferNeighbours(t *testing.T) {
	var all []mesh.NodeKey
	for n := range byte(60) {
		all = append(all, publicOf(testKey(t, n)))
	}
	none := func(mesh.NodeKey) bool { return false }
	picks := map[mesh.NodeKey][]mesh.NodeKey{}
	for _, self := range all {
		others := slices.DeleteFunc(slices.Clone(all), func(k mesh.NodeKey) bool { return k == self })
		picks[self] = choose(self, others, none, connectAll)
		if got := len(picks[self]); got != connectAll {
			t.Fatalf("%d were chosen, want %d", got, connectAll)
		}
		near := others[len(others)-1]
		if got := choose(self, others, func(k mesh.NodeKey) bool { return k == near }, connectAll); got[0] != near {
			t.Errorf("the neighbour is not chosen first")
		}
	}
	mutual, total := 0, 0
	for self, picked := range picks {
		for _, k := range picked {
			total++
			if slices.Contains(picks[k], self) {
				mutual++
			}
		}
	}
	if mutual*3 < total*2 {
		t.Errorf("%d of %d choices are mutual, want two thirds", mutual, total)
	}
}
