package mesh

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"
)

// A Record is one event as a node keeps it.
type Record struct {
	Event    *Event
	Topic    Topic     // from the envelope
	Received time.Time // by this node's clock, when it first came in
	Seq      uint64    // order of receipt here, from 1, strictly rising; 0 before it is kept
	Carrier  string    // the carrier that first brought it; "" for this node itself
	Flags    Flags
}

// Flags are what this node found out about an event when it came in.
type Flags uint8

// The flags of a record.
const (
	FlagEmergency Flags = 1 << iota // granted, see Priority
	FlagGuest                       // the author had a guest's pass
	FlagFuture                      // dated after this node's clock when it came in
	FlagOrphan                      // its topic is a guess: not for radio or public relays
)

// ErrNotFound reports an id that was never seen here.
var ErrNotFound = errors.New("not found")

// A GoneError reports an event that was known here and is held no more.
type GoneError struct {
	ID     EventID
	Reason Reason
}

func (e *GoneError) Error() string { return fmt.Sprintf("gone: %s", e.Reason) }

// A Reason says why an event is held no more.
type Reason uint8

// The reasons of a tombstone. The numbers are part of the sync protocol.
const (
	ReasonPruned     Reason = 1 // too old, or no room
	ReasonDeleted    Reason = 2 // by its author (NIP-09)
	ReasonSuperseded Reason = 3 // a newer version, or a better translation
	ReasonExpired    Reason = 4 // NIP-40
	ReasonBanned     Reason = 5 // its author no longer belongs
)

var reasonNames = [...]string{1: "pruned", 2: "deleted", 3: "superseded", 4: "expired", 5: "banned"}

// String returns the reason's name.
func (r Reason) String() string {
	if r > 0 && int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// An Item is an event's place in the set that two nodes reconcile.
type Item struct {
	CreatedAt Unix
	ID        EventID
	Gone      Reason // 0 while the event is held
}

// An Archive reads what a node keeps. Every method leaves out what the viewer
// may not see (see Visible). Safe for concurrent use.
type Archive interface {
	// Record returns one event, ErrNotFound, or a *GoneError.
	Record(ctx context.Context, id EventID, v Viewer) (*Record, error)
	// Records yields what matches, in the filter's order, without loading all
	// of it. The caller may stop at any time.
	Records(ctx context.Context, f Filter, v Viewer) iter.Seq2[*Record, error]
	// Items yields everything once known with since ≤ created_at ≤ until,
	// tombstones included, in order of (created_at, id).
	Items(ctx context.Context, since, until Unix, v Viewer) iter.Seq2[Item, error]
	// Floor returns the created_at below which this node has pruned and no
	// longer remembers everything; 0 when it remembers all.
	Floor(ctx context.Context) (Unix, error)
}

// A Shelf holds small durable values of one part's own. A put value is on disk
// when Put returns. Safe for concurrent use.
type Shelf interface {
	Value(ctx context.Context, key string) ([]byte, error) // ErrNotFound where there is none
	Put(ctx context.Context, key string, value []byte) error
	Delete(ctx context.Context, key string) error
	Keys(ctx context.Context, prefix string) ([]string, error) // sorted
}

// A Filter chooses records. A nil list does not choose; an empty filter
// matches everything.
type Filter struct {
	IDs     []EventID
	Authors []PubKey
	Kinds   []Kind
	Topics  []Topic
	Tags    map[string][]string // by tag name: one letter, or "proxy"
	Since   Unix                // created_at ≥ Since
	Until   Unix                // created_at ≤ Until; 0 means no bound
	After   uint64              // Seq > After: what came in later
	Before  uint64              // Seq < Before: what came in earlier; 0 means no bound
	From    time.Time           // received at or after; zero means no bound
	Search  string              // words, each part of the text; see Search and SearchText
	Limit   int                 // at most so many; 0 means no bound
	Order   Order
}

// An Order is how records come out of an archive.
type Order uint8

// The orders. Receipt is how people read: an author's clock may be wrong.
const (
	NewestFirst   Order = iota // by created_at, falling, then id, rising (NIP-01)
	ReceiptFirst               // by Seq, rising
	ReceiptLatest              // by Seq, falling
)

// Matches reports whether the filter chooses r; it ignores Limit and Order.
func (f *Filter) Matches(r *Record) bool {
	e := r.Event
	if f.IDs != nil && !slices.Contains(f.IDs, e.ID()) ||
		f.Authors != nil && !slices.Contains(f.Authors, e.Author()) ||
		f.Kinds != nil && !slices.Contains(f.Kinds, e.Kind()) ||
		f.Topics != nil && !slices.Contains(f.Topics, r.Topic) {
		return false
	}
	if e.CreatedAt() < f.Since || f.Until != 0 && e.CreatedAt() > f.Until ||
		r.Seq <= f.After && f.After != 0 || r.Seq >= f.Before && f.Before != 0 || !f.From.IsZero() && r.Received.Before(f.From) {
		return false
	}
	for name, values := range f.Tags {
		if !slices.ContainsFunc(e.TagValues(name), func(v string) bool { return slices.Contains(values, v) }) {
			return false
		}
	}
	return f.Search == "" || ParseSearch(f.Search).In(SearchText(e))
}
