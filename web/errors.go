package web

import (
	"errors"
	"fmt"
	"net/http"

	"drey/mesh"
	"drey/web/lang"
)

// A Problem is something wrong, for people: what, why, and what to do about
// it. Code is for programs and for 'drey help CODE'; it never changes.
type Problem struct {
	Code string `json:"code"`
	What string `json:"what"`
	Why  string `json:"why,omitempty"`
	Fix  string `json:"fix,omitempty"`

	// Said names the text that the page tells instead of What; with -why and
	// -fix behind its key are those of Why and Fix, where there are any. Without
	// it the page recognises what was said, or shows it as it is.
	Said lang.Phrase `json:"-"`
}

// The codes of errors.
const (
	CodeUsage         = "usage"          // the request makes no sense
	CodeNotRunning    = "not-running"    // no node answers; made by the client
	CodeForbidden     = "forbidden"      // whoever asks may not do this
	CodeNotFound      = "not-found"      // nothing here has this name
	CodeGone          = "gone"           // it was here
	CodeAirtime       = "airtime"        // the radio may not send so much
	CodeTimeout       = "timeout"        // it takes longer than was allowed
	CodeTooFast       = "too-fast"       // asked too often; Retry-After says when
	CodeTooLarge      = "too-large"      // the body is over the limit
	CodeBusy          = "busy"           // no room now; try again
	CodeInvalid       = "invalid-event"  // a signed event is malformed or its signature is wrong
	CodeUnknownAuthor = "unknown-author" // the author is not a member; the event is held for a while
	CodeExpired       = "expired"        // the event's own time has run out (NIP-40)
	CodeRefused       = "refused"        // policy: banned, not allowed here
	CodeKeyReused     = "key-reused"     // an Idempotency-Key came with another body
	CodeKeySpent      = "key-spent"      // an Idempotency-Key came again, and what was answered is forgotten
	CodeWrongTopic    = "wrong-topic"    // a signed event's tags belong to another topic
	CodeForeignHost   = "foreign-host"   // the request was meant for another name
	CodeCrossSite     = "cross-site"     // another website tried to post here
	CodeNotBuilt      = "not-built"      // this node has no such part
	CodeStopping      = "stopping"       // the node is going down
	CodeInternal      = "internal"       // a fault in this node; the log says more
)

// exits maps codes to the exit codes of the command line; others give 1.
var exits = map[string]int{
	CodeUsage: 2, CodeNotRunning: 3, CodeForbidden: 5, CodeNotFound: 6, CodeGone: 6, CodeAirtime: 7, CodeTimeout: 124,
}

// statuses maps codes to HTTP statuses. Others, which come from the node's own
// parts, give 409: the request was understood, and things are not so that it
// could be done.
var statuses = map[string]int{
	CodeUsage:         http.StatusBadRequest,
	CodeForbidden:     http.StatusForbidden,
	CodeNotFound:      http.StatusNotFound,
	CodeGone:          http.StatusGone,
	CodeAirtime:       http.StatusTooManyRequests,
	CodeTimeout:       http.StatusGatewayTimeout,
	CodeTooFast:       http.StatusTooManyRequests,
	CodeTooLarge:      http.StatusRequestEntityTooLarge,
	CodeBusy:          http.StatusServiceUnavailable,
	CodeInvalid:       http.StatusUnprocessableEntity,
	CodeUnknownAuthor: http.StatusForbidden,
	CodeExpired:       http.StatusUnprocessableEntity,
	CodeRefused:       http.StatusForbidden,
	CodeKeyReused:     http.StatusUnprocessableEntity,
	CodeWrongTopic:    http.StatusUnprocessableEntity,
	CodeForeignHost:   http.StatusMisdirectedRequest,
	CodeCrossSite:     http.StatusForbidden,
	CodeNotBuilt:      http.StatusNotImplemented,
	CodeStopping:      http.StatusServiceUnavailable,
	CodeInternal:      http.StatusInternalServerError,
}

// An Error is a Problem that ended a request. The server sends it, the client
// returns it, and the command line prints it and exits with ExitCode.
type Error struct {
	Problem
	err  error
	key  string // of the catalogue, "" where there is no text of its own
	args []any  // of that text
}

// NewError makes an error that clients see; cause may be nil and is not shown.
func NewError(code, what, why, fix string, cause error) *Error {
	return &Error{Problem: Problem{Code: code, What: what, Why: why, Fix: fix}, err: cause}
}

// in names the text of the catalogues, errors.KEY, that tells the error on the
// page, and errors.KEY-fix, if there is one, that says what to do.
func (e *Error) in(key string, args ...any) *Error {
	e.key, e.args = key, args
	return e
}

func (e *Error) Error() string {
	if e.Why == "" {
		return e.What
	}
	return fmt.Sprintf("%s: %s", e.What, e.Why)
}

// Unwrap returns what caused the error, or nil.
func (e *Error) Unwrap() error { return e.err }

// Hint says what to do next.
func (e *Error) Hint() string { return e.Fix }

// ExitCode returns the command line's exit code for the error.
func (e *Error) ExitCode() int {
	if code, ok := exits[e.Code]; ok {
		return code
	}
	return 1
}

// Status returns the HTTP status for the error.
func (e *Error) Status() int {
	if status, ok := statuses[e.Code]; ok {
		return status
	}
	return http.StatusConflict
}

// Is makes errors of one code equal for errors.Is.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// ErrNotRunning matches, by errors.Is, what the client returns when no node
// answers.
var ErrNotRunning error = &Error{Problem: Problem{Code: CodeNotRunning, What: "no node is running here", Fix: "start one with 'drey up'"}}

// errorOf translates what the node answered into what the client is told.
func errorOf(err error) *Error {
	var e *Error
	var gone *mesh.GoneError
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &gone):
		return NewError(CodeGone, "this message is gone", gone.Reason.String(), "", err)
	case errors.Is(err, mesh.ErrDuplicate):
		return NewError(CodeTooFast, "the same words were said just now", err.Error(), "wait a few seconds, or change them", err)
	case errors.As(err, &large):
		return NewError(CodeTooLarge, "the body is too large", fmt.Sprintf("the limit is %d bytes", large.Limit), "send less", err).in("body-large", "limit", int(large.Limit))
	case errors.Is(err, mesh.ErrNotFound):
		return NewError(CodeNotFound, "not found", err.Error(), "", err)
	case errors.Is(err, mesh.ErrUnknownAuthor):
		return NewError(CodeUnknownAuthor, "the author is not a member here", "the event is held for a while, in case that changes",
			"have an admin admit the author, or ask the node for a guest pass", err)
	case errors.Is(err, mesh.ErrExpired):
		return NewError(CodeExpired, "the event has expired", err.Error(), "", err)
	case errors.Is(err, mesh.ErrInvalid):
		return NewError(CodeInvalid, "the event is not valid", err.Error(), "sign it again; the id must be the hash of the NIP-01 serialisation", err)
	case errors.Is(err, mesh.ErrRefused):
		return NewError(CodeRefused, "the node refused this", err.Error(), "", err)
	case errors.Is(err, mesh.ErrBusy):
		fix := "try again in a moment"
		if hinted, ok := errors.AsType[interface {
			error
			Hint() string
		}](err); ok {
			fix = hinted.Hint() // a full disk does not mend itself
		}
		return NewError(CodeBusy, "the node has no room now", err.Error(), fix, err)
	}
	// An error that knows what to do about it was written for people.
	var hinted interface {
		error
		Hint() string
	}
	if errors.As(err, &hinted) {
		return NewError(CodeInternal, "the node failed", hinted.Error(), hinted.Hint(), err)
	}
	return NewError(CodeInternal, "the node failed", "its log says more", "run 'drey doctor'", err)
}

// errorFor is errorOf for one caller: what fails inside the machine is not a
// visitor's business.
func errorFor(c caller, err error) *Error {
	e := errorOf(err)
	if e.Code == CodeInternal && c.scope < ScopeMember {
		return NewError(CodeInternal, "the node failed", "", "tell whoever looks after this machine", err)
	}
	return e
}
