package store

import (
	"math"
	"math/bits"
	"sync/atomic"
)

const (
	// bloomLeast and bloomMost bound the words of a bloom: 32 kB, and 4 MB, with
	// which one look-up in four hundred is made in vain at a million events.
	bloomLeast = 1 << 12
	bloomMost  = 1 << 19
	// bloomProbes is how many bits each term sets.
	bloomProbes = 4
	// learnRows is how many rows are read at a time while a bloom is made.
	learnRows = 512
)

// A bloom remembers terms (Bloom, CACM 1970), so that of one it lacks no row is
// sought. It may have terms that nobody added. What is deleted stays in it. One
// goroutine adds while others ask.
type bloom struct {
	words []atomic.Uint64 // immutable; as many as a power of two
	terms int             // about how many were added; for whoever adds
}

// newBloom returns an empty bloom of so many words or a little more, within bounds.
func newBloom(words int) *bloom {
	words = min(max(words, bloomLeast), bloomMost)
	return &bloom{words: make([]atomic.Uint64, 1<<bits.Len(uint(words-1)))}
}

// bit returns where a term's bit is. Terms are hashes already.
func (b *bloom) bit(term int64, probe int) (word *atomic.Uint64, bit uint64) {
	at := uint32(term) + uint32(probe)*(uint32(term>>32)|1)
	return &b.words[int(at>>6)&(len(b.words)-1)], 1 << (at & 63)
}

func (b *bloom) add(term int64) {
	added := false
	for i := range bloomProbes {
		word, bit := b.bit(term, i)
		added = word.Or(bit)&bit == 0 || added
	}
	if added {
		b.terms++
	}
}

// lacks reports that a term was never added.
func (b *bloom) lacks(term int64) bool {
	for i := range bloomProbes {
		if word, bit := b.bit(term, i); word.Load()&bit == 0 {
			return true
		}
	}
	return false
}

// full reports whether a larger one would spare look-ups: with less than eight bits
// for each term, more than one of forty is made in vain.
func (b *bloom) full() bool { return b.terms > 8*len(b.words) && len(b.words) < bloomMost }

// A learner makes a bloom of the terms in the tables, a few rows at a time.
type learner struct {
	bloom *bloom // nil while none is made
	next  int64  // the term to read on from
}

// learned remembers terms that go into the tables, before they do.
func (s *Store) learned(ps []posting) {
	for _, b := range []*bloom{s.q.had.Load(), s.writer.learner.bloom} {
		if b == nil {
			continue
		}
		for _, p := range ps {
			b.add(p.term)
		}
	}
}

// beginLearningLocked begins a bloom where one is worth it: after a fold, so that a node
// that hears little never reads its tables for it, and when the last one is full.
func (s *Store) beginLearningLocked() {
	words := (s.mu.held + s.mu.gone) / 2 // 32 bits for each event
	if had := s.q.had.Load(); had != nil {
		if !had.full() {
			return
		}
		words = max(words, 2*len(had.words))
	}
	if s.writer.learner.bloom == nil {
		s.writer.learner = learner{newBloom(words), math.MinInt64}
	}
}

// learn reads the next terms. Of a term of many rows it reads few.
func (s *Store) learn() {
	l := &s.writer.learner
	terms, err := collect(s.q.next, scanTerm, l.next, learnRows)
	if err != nil {
		s.log.Warn("store's terms cannot be read", "err", err)
		l.bloom = nil // until the next fold
		return
	}
	for _, t := range terms {
		l.bloom.add(t)
	}
	if len(terms) == learnRows && terms[learnRows-1] < math.MaxInt64 {
		l.next = terms[learnRows-1] + 1
		return
	}
	s.q.had.Store(l.bloom)
	l.bloom = nil
}
