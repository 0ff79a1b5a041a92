// Package pool keeps connections to public Nostr relays, publishes events to
// them and follows what comes in (NIP-01, 11, 42, 77).
//
// A relay's connection moves between five states:
//
//	           ┌──────────── pause over ───────────┐
//	           ▼                                   │
//	Closed → Connecting ── no answer, refused ──→ Failed
//	  ▲        │                                   ▲
//	  │        └─ upgraded ─→ Connected ── lost ───┘
//	  │                          │
//	  └────────── Closing ←──────┴─ paused, removed, the pool ends
//
// After a failure the next attempt comes in 1, 2, 4, 8 s … 5 min, each with up
// to a quarter more by lot, so that a relay that comes back is not stormed by
// all of its readers at once. A connection that held for a minute begins anew
// with 1 s. A relay that sends what is forged is left alone for 5 min.
//
// # What counts as an acknowledgement
//
// Publish returns nil on ["OK", id, true, …], and on an OK whose text begins
// with "duplicate:". A connection that ends first is no answer: ErrDown. A
// refusal is a *Refusal; whether and when to offer the event again is in its
// prefix:
//
//	prefix          meaning                              again after
//	rate-limited    this relay takes no more now         its pace, see below
//	auth-required   signing in did not help              10 min
//	restricted      not for everybody (whitelist, fee)   1 h
//	pow             it wants work put into the id        1 h
//	error           the relay itself is in trouble       1 min
//	(none)          a text without a known prefix        10 min
//	blocked         this author is banned there          never
//	invalid         too old, too new, too big, broken    never
//	mute            nobody there listens to it           never
//
// "auth-required:" is answered by signing in (NIP-42) and offering the event
// once more before anybody hears of it.
//
// # Pace
//
// A relay that says "rate-limited:" is given events further apart: 100 ms, and
// twice that with each further refusal, 10 min at most; each taken event
// shortens the distance by a hundredth. Publish waits its turn.
//
// # Watermarks
//
// For each feed and relay the shelf holds when the relay was last read to the
// end, by this node's clock. A filter's "since" is about created_at, and events
// come late: so stored events are asked for from 15 min before the mark (from
// 2 days and 15 min for gift wraps, whose dates are made up, NIP-59), and once
// a day from 3 days before it. Live events are asked for without a bound. The
// mark moves only after everything older was handed on and taken.
package pool
