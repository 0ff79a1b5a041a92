package hub

import (
	"fmt"

	"drey/mesh"
)

// The reasons under which refusals are counted; status shows them.
const (
	whyForm      = "form"      // private kind in the open, impossible topic
	whySignature = "signature" // does not hold
	whyExpired   = "expired"
	whyGone      = "gone"    // known once, held no more
	whyBanned    = "banned"  // by the roster
	whyBlocked   = "blocked" // by this node's operator
	whyStranger  = "unknown author"
	whyCrowd     = "waiting room full"
	whyRight     = "not allowed" // a guest who wants to decide, a roster event without the right
	whyRate      = "too fast"
	whyFuture    = "future date"
	whyEarly     = "not due yet"
	whyTopics    = "too many topics"
	whyBusy      = "busy" // the store had no room just then
	whyDisk      = "disk" // the store failed
)

// A refusal says why an event was not taken. It wraps one of the errors of
// package mesh.
type refusal struct {
	why   string // counted
	err   error
	about string // for people; may be empty
}

func (r *refusal) Error() string {
	if r.about == "" {
		return r.err.Error()
	}
	return r.err.Error() + ": " + r.about
}

func (r *refusal) Unwrap() error { return r.err }

// Reason names the refusal as Refused counts it.
func (r *refusal) Reason() string { return r.why }

func refuse(err error, why, format string, args ...any) error {
	return &refusal{why, err, fmt.Sprintf(format, args...)}
}

// gone answers for an event that was known once.
func gone(id mesh.EventID, why mesh.Reason) error {
	return &refusal{whyGone, fmt.Errorf("%w: %w", mesh.ErrDuplicate, &mesh.GoneError{ID: id, Reason: why}), ""}
}
