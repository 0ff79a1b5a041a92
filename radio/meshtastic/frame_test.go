package meshtastic

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseFrame(t *testing.T) {
	long := make([]byte, MaxPacket)
	for _, c := range []struct {
		name, in, packet, rest string
		err                    error
	}{
		{"empty packet", "94c30000", "", "", nil},
		{"five bytes and more", "94c3000568656c6c6f94", "68656c6c6f", "94", nil},
		{"nothing", "", "", "", ErrShort},
		{"half a start", "94", "", "", ErrShort},
		{"half a length", "94c300", "", "", ErrShort},
		{"half a packet", "94c3000568", "", "", ErrShort},
		{"another byte", "00", "", "", ErrNoFrame},
		{"half a start and another byte", "9494", "", "", ErrNoFrame},
		{"513 bytes", "94c30201", "", "", ErrNoFrame},
		{"65535 bytes", "94c3ffff", "", "", ErrNoFrame},
	} {
		packet, rest, err := ParseFrame(unhex(t, c.in))
		if !errors.Is(err, c.err) || hex.EncodeToString(packet) != c.packet || hex.EncodeToString(rest) != c.rest {
			t.Errorf("%s: ParseFrame(%s) = %x, %x, %v; want %s, %s, %v", c.name, c.in, packet, rest, err, c.packet, c.rest, c.err)
		}
	}
	if p, _, err := ParseFrame(AppendFrame(nil, long)); err != nil || len(p) != MaxPacket {
		t.Errorf("the longest packet is read as %d bytes, %v", len(p), err)
	}
}

// TestScannerLosesNoGoodFrame puts noise of every kind before, between and
// behind frames, and cuts the stream at every place.
func TestScannerLosesNoGoodFrame(t *testing.T) {
	good := AppendToRadio(nil, &ToRadio{WantConfigID: 77})
	frame := AppendFrame(nil, good)
	ok := func(p []byte) bool { m, err := ParseToRadio(p); return err == nil && m.WantConfigID == 77 }
	for name, noise := range map[string]string{
		"none":                  "",
		"a stray start":         "94",
		"two stray starts":      "9494",
		"half a header":         "94c3",
		"most of a header":      "94c300",
		"an oversize header":    "94c3ffff",
		"a header that lies":    "94c30010",
		"a header of 512":       "94c30200",
		"the wake-up":           hex.EncodeToString(AppendWake(nil)),
		"text":                  hex.EncodeToString([]byte("INFO | booted\r\n")),
		"an empty frame":        "94c30000",
		"a frame of rubbish":    "94c30003ffffff",
		"a frame that was cut":  hex.EncodeToString(frame[:len(frame)-2]),
		"an oversize and a cut": "94c3020194c30005",
	} {
		stream := append(unhex(t, noise), frame...)
		stream = append(append(stream, unhex(t, noise)...), frame...)
		for cut := range len(stream) + 1 {
			s := Scanner{OK: ok}
			got := 0
			take := func() {
				for p := s.Next(); p != nil; p = s.Next() {
					if !bytes.Equal(p, good) {
						t.Errorf("%s, cut at %d: packet %x", name, cut, p)
					}
					got++
				}
			}
			s.Write(stream[:cut])
			take()
			s.Write(stream[cut:])
			take()
			for s.Partial() { // the line falls silent
				s.Quiet()
				take()
			}
			if got != 2 {
				t.Errorf("%s, cut at %d: %d frames were found, want 2", name, cut, got)
			}
			if want := uint64(len(stream) - 2*len(frame)); s.Junk() != want {
				t.Errorf("%s, cut at %d: %d bytes of junk, want %d", name, cut, s.Junk(), want)
			}
		}
	}
}

// TestScannerIsBounded checks that a stream without frames is not kept.
func TestScannerIsBounded(t *testing.T) {
	var s Scanner
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, 512)
	for range 2000 {
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		s.Write(b)
		for s.Next() != nil {
		}
		if len(s.buf) > headSize+MaxPacket+len(b) {
			t.Fatalf("%d bytes are kept", len(s.buf))
		}
	}
}

// FuzzFrame checks that whatever parses is written back byte for byte.
func FuzzFrame(f *testing.F) {
	f.Add(AppendFrame(nil, []byte("hello")))
	f.Add([]byte{0x94, 0xc3, 0xff, 0xff})
	f.Add(AppendWake([]byte{0x94}))
	f.Fuzz(func(t *testing.T, b []byte) {
		packet, rest, err := ParseFrame(b)
		if err != nil {
			return
		}
		if got := append(AppendFrame(nil, packet), rest...); !bytes.Equal(got, b) {
			t.Errorf("frame %x was written back as %x", b, got)
		}
	})
}

// FuzzScanner checks that every byte is either in a frame or junk, and that a
// good frame behind any noise is found.
func FuzzScanner(f *testing.F) {
	f.Add([]byte("DEBUG | hello\r\n"), uint8(3))
	f.Add([]byte{0x94, 0x94, 0xc3, 0x00}, uint8(1))
	f.Add(AppendFrame([]byte{0x94}, []byte{0x18, 0x05}), uint8(2))
	f.Fuzz(func(t *testing.T, noise []byte, cut uint8) {
		mark := AppendToRadio(nil, &ToRadio{WantConfigID: 0xfeedbeef})
		stream := AppendFrame(bytes.Clone(noise), mark)
		s := Scanner{OK: func(p []byte) bool { _, err := ParseToRadio(p); return err == nil && len(p) > 0 }}
		in, found := 0, false
		take := func() {
			for p := s.Next(); p != nil; p = s.Next() {
				in += headSize + len(p)
				found = found || bytes.Equal(p, mark)
			}
		}
		at := min(int(cut), len(stream))
		s.Write(stream[:at])
		take()
		s.Write(stream[at:])
		take()
		for s.Partial() {
			s.Quiet()
			take()
		}
		if in+int(s.Junk()) != len(stream) {
			t.Errorf("%x: %d bytes in frames and %d of junk, want %d", stream, in, s.Junk(), len(stream))
		}
		// Noise may hold a header whose frame swallows the good one and still
		// makes sense as a message; otherwise the good one must be found.
		if !found && bytes.Count(noise, []byte{start1, start2}) == 0 && !bytes.HasSuffix(noise, []byte{start1}) {
			t.Errorf("%x: the good frame was lost", stream)
		}
	})
}

func BenchmarkScanner(b *testing.B) {
	frame := AppendFrame(nil, AppendFromRadio(nil, &FromRadio{ID: 9, Packet: textPacket()}))
	s := Scanner{OK: func(p []byte) bool { _, err := ParseFromRadio(p); return err == nil }}
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		s.Write(frame)
		if s.Next() == nil {
			b.Fatal("no frame")
		}
	}
}

func textPacket() *Packet {
	return &Packet{
		From: 0xa1b2c3d4, To: Broadcast, ID: 0x9f3c21aa, HopLimit: 3, HopStart: 3, RxSNR: 6.25, RxRSSI: -60,
		Data: &Data{Port: PortText, Payload: []byte("water is back"), Bitfield: BitOKToMQTT},
	}
}
