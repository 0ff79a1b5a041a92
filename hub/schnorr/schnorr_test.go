package schnorr

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"

	"drey/mesh"
)

func secret(tb testing.TB, name string) *mesh.SecretKey {
	tb.Helper()
	k, err := mesh.NewSecretKey(sha256.Sum256([]byte(name)))
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func signed(tb testing.TB, name, text string) *mesh.Event {
	tb.Helper()
	e, err := secret(tb, name).Sign(mesh.Draft{Kind: mesh.KindNote, Content: text})
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

// with returns e with another author and signature.
func with(tb testing.TB, e *mesh.Event, author mesh.PubKey, sig mesh.Signature) *mesh.Event {
	tb.Helper()
	changed, err := mesh.NewEvent(author, sig, e.Draft())
	if err != nil {
		tb.Fatal(err)
	}
	return changed
}

// TestMultiply compares both ways with btcec's multiplication, at the edges of
// numbers and of columns, and for small and large points.
func TestMultiply(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var numbers [][32]byte
	for i := range 256 {
		var b [32]byte
		b[31-i/8] = 1 << (i % 8)
		numbers = append(numbers, b)
	}
	for range 40 {
		var b [32]byte
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		numbers = append(numbers, b)
	}
	numbers = append(numbers, [32]byte{}, [32]byte{31: 3}, [32]byte{31: 5})
	for _, point := range []uint16{1, 0xffff} {
		var p btcec.JacobianPoint
		var n btcec.ModNScalar
		n.SetInt(uint32(point))
		btcec.ScalarBaseMultNonConst(&n, &p)
		p.ToAffine()
		ways := map[string]multiplier{"general": newGeneral(&p).multiply, "table": newComb(&p).multiply}
		for _, b := range numbers {
			for _, minus := range []bool{false, true} {
				var k btcec.ModNScalar
				k.SetBytes(&b)
				if minus {
					k.Negate() // the group's order less b
				}
				var want btcec.JacobianPoint
				btcec.ScalarMultNonConst(&k, &p, &want)
				want.ToAffine()
				for way, multiply := range ways {
					var got btcec.JacobianPoint
					multiply(&k, &got)
					got.ToAffine()
					if !got.X.Equals(&want.X) || !got.Y.Equals(&want.Y) {
						t.Fatalf("%s: %x (minus %v) times %d·G = %v, %v, want %v, %v", way, b, minus, point, got.X, got.Y, want.X, want.Y)
					}
				}
			}
		}
	}
}

// TestSplit splits random numbers: the halves must be short, and digits must say
// what they are.
func TestSplit(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 20_000 {
		k := scalar(random.Uint64(), random.Uint64(), random.Uint64(), random.Uint64())
		a, b := split(&k)
		for _, half := range []btcec.ModNScalar{a, b} {
			var d [places]int8
			if !digits(&half, &d) {
				t.Fatalf("%v has a half of more than 128 bits: %v", k, half)
			}
			var sum btcec.ModNScalar
			for i := places - 1; i >= 0; i-- {
				sum.Add(&sum)
				digit := new(btcec.ModNScalar).SetInt(uint32(max(d[i], -d[i])))
				if d[i] < 0 {
					digit.Negate()
				}
				sum.Add(digit)
			}
			if !sum.Equals(&half) {
				t.Fatalf("the digits of %v say %v", half, sum)
			}
		}
	}
}

// TestVerify asks for good and bad signatures before and after the author has a
// table.
func TestVerify(t *testing.T) {
	good := signed(t, "ana", "a note")
	flipped := func(at int) *mesh.Event {
		sig := good.Sig()
		sig[at] ^= 1
		return with(t, good, good.Author(), sig)
	}
	high := good.Sig()
	for i := range 32 {
		high[i] = 0xff // above the field's prime
	}
	large := good.Sig()
	for i := range 32 {
		large[32+i] = 0xff // above the group's order
	}
	for name, bad := range map[string]*mesh.Event{
		"another's signature":     with(t, good, good.Author(), signed(t, "ben", "a note").Sig()),
		"signature of another":    with(t, good, good.Author(), signed(t, "ana", "another note").Sig()),
		"r changed":               flipped(31),
		"s changed":               flipped(63),
		"r too large":             with(t, good, good.Author(), high),
		"s too large":             with(t, good, good.Author(), large),
		"zeros":                   with(t, good, good.Author(), mesh.Signature{}),
		"author not on the curve": with(t, good, mesh.PubKey{31: 5}, good.Sig()),
	} {
		c := New()
		for i := range 2 * often {
			if err := c.Verify(good); err != nil {
				t.Fatalf("check %d of a good signature: %v", i+1, err)
			}
			if err := c.Verify(bad); err == nil {
				t.Errorf("%s holds at check %d", name, i+1)
			}
			if bad.Verify() == nil {
				t.Fatalf("%s is a good signature", name)
			}
		}
	}
}

// TestVectors are those of BIP-340. An event's id cannot be chosen, so they are
// asked below Verify.
func TestVectors(t *testing.T) {
	file, err := os.ReadFile("testdata/bip340.txt")
	if err != nil {
		t.Fatal(err)
	}
	_, lines, _ := strings.Cut(string(file), "\n")
	asked := 0
	for line := range strings.Lines(lines) {
		var key, message, signature []byte
		var want bool
		if _, err := fmt.Sscanf(line, "%x %x %x %t", &key, &message, &signature, &want); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		asked++
		p, err := parse(mesh.PubKey(key))
		if err != nil {
			if want {
				t.Errorf("key %x: %v", key, err)
			}
			continue
		}
		for way, multiply := range map[string]multiplier{"general": newGeneral(p).multiply, "table": newComb(p).multiply} {
			if got := holds(mesh.PubKey(key), mesh.EventID(message), mesh.Signature(signature), multiply); got != want {
				t.Errorf("%s: signature %x holds is %v, want %v", way, signature, got, want)
			}
		}
	}
	if asked < 14 {
		t.Errorf("asked %d vectors", asked)
	}
}

// TestBounded brings more authors than there is room for, by two at once.
func TestBounded(t *testing.T) {
	c := New()
	var wg sync.WaitGroup
	for part := range 2 {
		wg.Go(func() {
			for i := range tables + 20 {
				author := mesh.PubKey{byte(part), byte(i), byte(i >> 8)}
				c.keep(author, new(comb))
				c.lookUp(mesh.PubKey{byte(part), byte(i), byte(i >> 8), 1})
			}
		})
	}
	for i := range max(2*counted, keys+20) {
		author := mesh.PubKey{2, byte(i), byte(i >> 8)}
		c.lookUp(author)
		c.keepReady(author, new(general))
	}
	wg.Wait()
	if len(c.mu.combs) != tables || len(c.mu.ready) != keys || len(c.mu.checks) > counted {
		t.Errorf("%d tables, limit %d; %d keys, limit %d; %d authors counted, limit %d",
			len(c.mu.combs), tables, len(c.mu.ready), keys, len(c.mu.checks), counted)
	}
}

// TestVerifyByMany lets four at once ask for several authors' signatures, so that
// keys and tables are shared while they are made.
func TestVerifyByMany(t *testing.T) {
	var good, bad []*mesh.Event
	for _, name := range []string{"ana", "ben", "cleo"} {
		e := signed(t, name, "a note")
		sig := e.Sig()
		sig[63] ^= 1
		good, bad = append(good, e), append(bad, with(t, e, e.Author(), sig))
	}
	c := New()
	var wg sync.WaitGroup
	for first := range 4 {
		wg.Go(func() {
			for i := range 3 * len(good) {
				n := (first + i) % len(good)
				if err := c.Verify(good[n]); err != nil {
					t.Errorf("author %d, a good signature: %v", n, err)
				}
				if c.Verify(bad[n]) == nil {
					t.Errorf("author %d: a bad signature holds", n)
				}
			}
		})
	}
	wg.Wait()
	if len(c.mu.combs) != len(good) || len(c.mu.ready) > len(good) {
		t.Errorf("%d tables and %d keys of %d authors", len(c.mu.combs), len(c.mu.ready), len(good))
	}
}

// FuzzVerify compares with mesh.Event.Verify whatever is signed, by whom, and
// what is changed afterwards.
func FuzzVerify(f *testing.F) {
	f.Add("ana", "a note", uint8(0), uint8(0))
	f.Add("ben", "", uint8(3), uint8(0x80))
	f.Add("cleo", "ключ", uint8(70), uint8(1))
	f.Fuzz(func(t *testing.T, name, text string, at, change uint8) {
		e, err := secret(t, name).Sign(mesh.Draft{Content: text})
		if err != nil {
			t.Skip()
		}
		author, sig := e.Author(), e.Sig()
		if at < 64 {
			sig[at] ^= change
		} else {
			author[at%32] ^= change
		}
		e = with(t, e, author, sig)
		want := e.Verify() == nil
		c := New()
		for i := range often + 2 {
			if got := c.Verify(e) == nil; got != want {
				t.Fatalf("check %d of %x by %x: holds is %v, want %v", i+1, sig, author, got, want)
			}
		}
	})
}

// BenchmarkVerify checks one signature after the other: as mesh.Event does, of an
// author who is new, of one who signs rarely, of one who signs often; and makes a table.
func BenchmarkVerify(b *testing.B) {
	e := signed(b, "ana", "a note")
	for _, way := range []struct {
		name string
		do   func(c *Checker) error
	}{
		{"event", func(*Checker) error { return e.Verify() }},
		{"new", func(c *Checker) error { clear(c.mu.checks); clear(c.mu.ready); return c.Verify(e) }},
		{"rare", func(c *Checker) error { clear(c.mu.checks); return c.Verify(e) }},
		{"often", func(c *Checker) error { return c.Verify(e) }},
		{"table", func(*Checker) error {
			p, err := parse(e.Author())
			if err == nil {
				newComb(p)
			}
			return err
		}},
	} {
		b.Run(way.name, func(b *testing.B) {
			c := New()
			for b.Loop() {
				if err := way.do(c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
