package bootstrap

import (
	"net/netip"
	"time"
)

// Limits on failed attempts. A token cannot be guessed; this keeps those who
// try from costing much.
const (
	maxGuesses    = 20              // failed attempts of one source before it must wait
	guessEvery    = 3 * time.Second // one more is allowed after each
	maxGuessers   = 1024            // sources remembered
	forgetGuesser = maxGuesses * guessEvery
)

// guesses counts failed attempts by source: for each, when the bucket of its
// failures will have run empty.
type guesses map[netip.Prefix]time.Time

// tooMany reports whether a source must wait.
func (g guesses) tooMany(from netip.Prefix, now time.Time) bool {
	return g[from].Sub(now) > forgetGuesser-guessEvery
}

// missed notes a failed attempt. When too many sources are remembered those
// who have waited long enough are forgotten, and in need anybody.
func (g guesses) missed(from netip.Prefix, now time.Time) {
	empty := g[from]
	if empty.Before(now) {
		empty = now
	}
	if _, known := g[from]; !known && len(g) >= maxGuessers {
		g.shrink(now)
	}
	g[from] = empty.Add(guessEvery)
}

func (g guesses) shrink(now time.Time) {
	for k, empty := range g {
		if !empty.After(now) {
			delete(g, k)
		}
	}
	for k := range g {
		if len(g) < maxGuessers {
			return
		}
		delete(g, k)
	}
}

// source returns whose failures count together: an IPv4 address, or an IPv6
// network of 64 bits. What is no address counts as one source.
func source(remote string) netip.Prefix {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	a := ap.Addr().Unmap().WithZone("")
	size := 64
	if a.Is4() {
		size = 32
	}
	p, err := a.Prefix(size)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

func (i *Inviter) tooMany(from netip.Prefix) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.mu.guesses.tooMany(from, i.c.Clock())
}

func (i *Inviter) missed(from netip.Prefix) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.mu.guesses.missed(from, i.c.Clock())
}
