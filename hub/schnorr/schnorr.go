// Package schnorr checks signatures (BIP-340) in about three quarters of btcec's time, and
// those of authors who sign often in less than half.
//
// Most of a check is a number times the author's key; see general. Who has signed a
// few times gets a table of sums of the key's doublings, by which the number is read in
// columns of six bits (a comb; Lim and Lee, CRYPTO '94): 43 doublings and at most
// 43 additions of points, where the general way takes 128 and as many. The
// verdict is always that of mesh.Event.Verify.
package schnorr

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"

	"drey/mesh"
)

const (
	// tables is how many authors have one at a time, of 5 kB.
	tables = 256
	// keys is of how many authors the key is kept ready for the general way, in 1.4 kB.
	keys = 2048
	// counted is how many authors' checks are counted at a time.
	counted = 1024
	// often is after how many checks an author gets a table, which costs about
	// as much as a check to make.
	often = 4
)

// A Checker checks signatures and remembers who signs often. Safe for concurrent
// use.
type Checker struct {
	mu struct {
		sync.Mutex
		combs  map[mesh.PubKey]*comb    // at most tables
		ready  map[mesh.PubKey]*general // of authors without a table; at most keys
		checks map[mesh.PubKey]int      // of authors without a table; at most counted
	}
}

// New returns a Checker that knows nobody.
func New() *Checker {
	c := new(Checker)
	c.mu.combs = make(map[mesh.PubKey]*comb)
	c.mu.ready = make(map[mesh.PubKey]*general)
	c.mu.checks = make(map[mesh.PubKey]int)
	return c
}

// Verify reports whether the author signed the event, as mesh.Event.Verify does.
func (c *Checker) Verify(e *mesh.Event) error {
	author := e.Author()
	multiply, g, due := c.lookUp(author)
	if multiply == nil {
		if g == nil {
			p, err := parse(author)
			if err != nil {
				return fmt.Errorf("%w: author: %w", mesh.ErrInvalid, err)
			}
			g = newGeneral(p)
			c.keepReady(author, g)
		}
		multiply = g.multiply
		if due {
			t := newComb(&g.p)
			c.keep(author, t)
			multiply = t.multiply
		}
	}
	if !holds(author, e.ID(), e.Sig(), multiply) {
		return fmt.Errorf("%w: signature does not match", mesh.ErrInvalid)
	}
	return nil
}

// lookUp returns the way of an author who has a table, or his key, if it is ready,
// and tells whether it is time to make a table.
func (c *Checker) lookUp(author mesh.PubKey) (multiply multiplier, g *general, due bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.mu.combs[author]; t != nil {
		return t.multiply, nil, false
	}
	g = c.mu.ready[author]
	n := c.mu.checks[author] + 1
	if n > often {
		delete(c.mu.checks, author)
		return nil, g, true
	}
	if n == 1 && len(c.mu.checks) >= counted {
		clear(c.mu.checks)
	}
	c.mu.checks[author] = n
	return nil, g, false
}

// keep remembers a table, in the place of any other when there are too many.
func (c *Checker) keep(author mesh.PubKey, t *comb) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.mu.ready, author)
	put(c.mu.combs, author, t, tables)
}

// keepReady remembers a key likewise.
func (c *Checker) keepReady(author mesh.PubKey, g *general) {
	c.mu.Lock()
	defer c.mu.Unlock()
	put(c.mu.ready, author, g, keys)
}

func put[T any](m map[mesh.PubKey]T, author mesh.PubKey, v T, most int) {
	for old := range m {
		if len(m) < most {
			break
		}
		delete(m, old)
	}
	m[author] = v
}

func parse(author mesh.PubKey) (*btcec.JacobianPoint, error) {
	key, err := schnorr.ParsePubKey(author[:])
	if err != nil {
		return nil, err
	}
	p := new(btcec.JacobianPoint)
	key.AsJacobian(p)
	return p, nil
}

// holds follows BIP-340 and has its names.
func holds(author mesh.PubKey, m mesh.EventID, sig mesh.Signature, multiply multiplier) bool {
	var r btcec.FieldVal
	var s, e btcec.ModNScalar
	if r.SetByteSlice(sig[:32]) || s.SetByteSlice(sig[32:]) {
		return false // not below the field's prime, or the group's order
	}
	tag := sha256.Sum256([]byte("BIP0340/challenge"))
	challenge := sha256.Sum256(slices.Concat(tag[:], tag[:], sig[:32], author[:], m[:]))
	e.SetBytes(&challenge)
	var sG, eP, R btcec.JacobianPoint
	btcec.ScalarBaseMultNonConst(&s, &sG)
	multiply(e.Negate(), &eP)
	btcec.AddNonConst(&sG, &eP, &R) // s·G − e·P
	if R.Z.IsZero() || R.X.IsZero() && R.Y.IsZero() {
		return false // infinite
	}
	R.ToAffine()
	return !R.Y.IsOdd() && R.X.Equals(&r)
}
