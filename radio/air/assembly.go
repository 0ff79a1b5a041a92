package air

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Bounds of an Assembly: 16 sets of at most 18 fragments of 223 bytes are
// 64,224 bytes.
const (
	MaxSets     = 16   // sets at a time
	maxTrials   = 64   // times that a set is put together in vain
	maxSpare    = 8    // fragments beyond those needed before maxTrials is reached
	maxComplete = 1024 // sets that are remembered as complete

	setLifetime = 6 * time.Hour // since the last fragment
	nackQuiet   = 15 * time.Second
	nackSpread  = 10 * time.Second
	setStale    = 10 * time.Minute // a set silent for so long gives way first
	// Nacks for one set without any answer: askLeast and one for each fragment
	// that is there, maxAsks at most, so that who invents a set does not make
	// the others spend much more airtime than it took to invent it.
	askLeast = 2
	maxAsks  = 8
)

// ErrComplete reports a fragment of a set that is complete already.
var ErrComplete = errors.New("set is complete already")

// An Assembly puts long events together from their fragments, and decides when
// to ask for more. It is pure: time and chance are arguments. It is not safe
// for concurrent use.
type Assembly struct {
	random   *rand.Rand
	sets     map[setKey]*partial
	complete []SetID // oldest first
	dropped  uint64
}

// A setKey keeps apart what can not be put together.
type setKey struct {
	id         SetID
	data, size int
}

// A partial is a set that is not complete.
type partial struct {
	shards [][]byte // by index; nil where missing
	order  []int    // indices as they came
	trials int
	last   time.Time // a fragment came
	ask    time.Time // when to send a Nack
	asks   int       // sent since a fragment came last
}

// NewAssembly returns an empty assembly.
func NewAssembly(random *rand.Rand) *Assembly {
	return &Assembly{random: random, sets: make(map[setKey]*partial)}
}

// Add takes in a fragment and returns the whole event frame, for
// Codec.UnpackWhole, when it completes a set, else nil. Errors wrap ErrForm,
// ErrUnknown or ErrComplete.
func (a *Assembly) Add(payload []byte, now time.Time) ([]byte, error) {
	f, err := parseFragment(payload)
	if err != nil {
		return nil, err
	}
	if slices.Contains(a.complete, f.set) {
		return nil, ErrComplete
	}
	a.expire(now)
	key := setKey{f.set, f.data, len(f.shard)}
	p := a.sets[key]
	if p == nil {
		p = a.open(key, now)
	}
	if p.shards[f.index] != nil {
		return nil, nil // no news: nobody is asked again for what was asked for
	}
	p.last, p.asks = now, 0
	p.ask = now.Add(a.pause(0))
	p.shards[f.index] = slices.Clone(f.shard)
	p.order = append(p.order, f.index)
	if len(p.order) < f.data {
		return nil, nil
	}
	whole, err := p.join(key)
	if err != nil {
		return nil, err
	}
	if whole != nil {
		delete(a.sets, key)
		a.finish(f.set)
		return whole, nil
	}
	if p.trials >= maxTrials {
		delete(a.sets, key)
		a.dropped++
	}
	return nil, nil
}

// open makes room for a new set.
func (a *Assembly) open(key setKey, now time.Time) *partial {
	if len(a.sets) >= MaxSets {
		var worst setKey
		var found *partial
		for _, k := range a.keys() {
			if p := a.sets[k]; found == nil || p.before(found, now) {
				worst, found = k, p
			}
		}
		delete(a.sets, worst)
		a.dropped++
	}
	p := &partial{shards: make([][]byte, setSize)}
	a.sets[key] = p
	return p
}

// before reports whether p gives way before q: what is stale, then what has the
// fewest fragments, so that sets of one invented fragment push out each other,
// then what was silent for longest.
func (p *partial) before(q *partial, now time.Time) bool {
	if x, y := now.Sub(p.last) > setStale, now.Sub(q.last) > setStale; x != y {
		return x
	} else if !x && len(p.order) != len(q.order) {
		return len(p.order) < len(q.order)
	}
	return p.last.Before(q.last)
}

// join tries to put the set together: of the fragments that are there, and,
// since one of them may be forged, without each of them in turn as far as
// there are enough. It returns nil when that does not give the set's content.
func (p *partial) join(key setKey) ([]byte, error) {
	rs, err := solomon(key.data)
	if err != nil {
		return nil, err
	}
	for without := -1; without < len(p.order); without++ {
		if without >= 0 && len(p.order) == key.data {
			break
		}
		if p.trials++; p.trials > maxTrials {
			break
		}
		shards := slices.Clone(p.shards)
		if without >= 0 {
			shards[p.order[without]] = nil
		}
		if err := rs.ReconstructData(shards); err != nil {
			return nil, fmt.Errorf("fragments: %w", err)
		}
		padded := slices.Concat(shards[:key.data]...)
		if setID(padded) != key.id {
			continue
		}
		return unpad(padded, key.data)
	}
	return nil, nil
}

func unpad(padded []byte, data int) ([]byte, error) {
	n := int(padded[len(padded)-1])
	if n < 1 || n > data || n >= len(padded) {
		return nil, fmt.Errorf("%w: %d bytes of padding in a set of %d fragments", ErrForm, n, data)
	}
	for _, c := range padded[len(padded)-n:] {
		if int(c) != n {
			return nil, fmt.Errorf("%w: padding is not what it should be", ErrForm)
		}
	}
	return padded[:len(padded)-n], nil
}

func (a *Assembly) finish(id SetID) {
	a.complete = append(a.complete, id)
	if len(a.complete) > maxComplete {
		a.complete = slices.Delete(a.complete, 0, 1)
	}
	for k := range a.sets {
		if k.id == id {
			delete(a.sets, k) // of another shape, so not of this content
		}
	}
}

func (a *Assembly) expire(now time.Time) {
	for k, p := range a.sets {
		if now.Sub(p.last) > setLifetime {
			delete(a.sets, k)
			a.dropped++
		}
	}
}

// pause returns how long a set must be quiet before the n-th Nack.
func (a *Assembly) pause(n int) time.Duration {
	return nackQuiet<<min(n, 6) + time.Duration(a.random.Int64N(int64(nackSpread)))<<min(n, 6)
}

// quiet reports whether the set was asked for often enough.
func (p *partial) quiet() bool { return p.asks >= min(askLeast+len(p.order), maxAsks) }

// Heard takes in another's Nack: who asks for as much as we need asks for us.
func (a *Assembly) Heard(n Nack, now time.Time) {
	for _, m := range n.Sets {
		for k, p := range a.sets {
			if k.id == m.Set && int(m.Count) >= k.data-len(p.order) {
				p.ask = now.Add(a.pause(p.asks))
			}
		}
	}
}

// Due returns what to ask for now, at most MaxNacks sets; the next time it
// asks for each is later. What has been asked for too often is waited for
// silently.
func (a *Assembly) Due(now time.Time) []Missing {
	a.expire(now)
	var due []Missing
	for _, k := range a.keys() {
		p := a.sets[k]
		if p.quiet() || p.ask.After(now) || len(due) == MaxNacks {
			continue
		}
		p.asks++
		p.ask = now.Add(a.pause(p.asks))
		// Enough fragments that do not fit together: one was forged.
		due = append(due, Missing{k.id, uint8(max(k.data-len(p.order), 1))})
	}
	return due
}

// Wake returns when Due next has something to say; zero means never as things
// are.
func (a *Assembly) Wake() time.Time {
	var wake time.Time
	for _, p := range a.sets {
		if !p.quiet() && (wake.IsZero() || p.ask.Before(wake)) {
			wake = p.ask
		}
	}
	return wake
}

// keys returns the sets in a fixed order.
func (a *Assembly) keys() []setKey {
	keys := make([]setKey, 0, len(a.sets))
	for k := range a.sets {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(x, y setKey) int {
		return cmp.Or(bytes.Compare(x.id[:], y.id[:]), cmp.Compare(x.data, y.data), cmp.Compare(x.size, y.size))
	})
	return keys
}

// Holds reports whether a set of that name is not complete.
func (a *Assembly) Holds(id SetID) bool {
	for k := range a.sets {
		if k.id == id {
			return true
		}
	}
	return false
}

// Sets returns how many sets are not complete, and Dropped how many were given
// up for want of room, time or sense.
func (a *Assembly) Sets() int { return len(a.sets) }

// Dropped returns how many sets were given up.
func (a *Assembly) Dropped() uint64 { return a.dropped }

// Fragments returns the payloads of what is not complete, at most MaxSets ×
// (MaxFragments + 8). Added to a new assembly after a restart they bring it to
// where this one is.
func (a *Assembly) Fragments() [][]byte {
	var all [][]byte
	for _, k := range a.keys() {
		p := a.sets[k]
		for _, i := range p.order {
			b := append([]byte{headFragment | byte(k.data-1)}, k.id[:]...)
			all = append(all, append(append(b, byte(i)), p.shards[i]...))
		}
	}
	return all
}
