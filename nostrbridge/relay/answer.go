package relay

import (
	"errors"
	"strings"

	"drey/mesh"
)

// answer says to a client why an event was not taken, with the prefixes of
// NIP-01.
func answer(err error) string {
	var no denial
	var gone *mesh.GoneError
	switch {
	case errors.As(err, &no):
		return string(no)
	case errors.As(err, &gone):
		return goneAnswer(gone.Reason)
	case errors.Is(err, mesh.ErrExpired):
		return sentence("invalid", mesh.ErrExpired, err)
	case errors.Is(err, mesh.ErrInvalid):
		return sentence("invalid", mesh.ErrInvalid, err)
	case errors.Is(err, mesh.ErrUnknownAuthor):
		return sentence("restricted", nil, err)
	case errors.Is(err, mesh.ErrRefused):
		return sentence(prefixOf(err), mesh.ErrRefused, err)
	}
	return "error: it could not be saved; try again later"
}

func goneAnswer(r mesh.Reason) string {
	switch r {
	case mesh.ReasonDeleted:
		return "blocked: its author deleted it"
	case mesh.ReasonSuperseded:
		return "blocked: a newer version of it is here"
	case mesh.ReasonExpired:
		return "invalid: it has expired"
	case mesh.ReasonBanned:
		return "blocked: the community has banned its author"
	}
	return "blocked: it was here, and made room for others"
}

// prefixOf tells a refusal's kind by the reason under which the node counts it.
func prefixOf(err error) string {
	var r interface{ Reason() string }
	if !errors.As(err, &r) {
		return "blocked"
	}
	switch r.Reason() {
	case "too fast":
		return "rate-limited"
	case "future date", "not due yet", "form", "expired":
		return "invalid"
	case "not allowed", "too many topics":
		return "restricted"
	}
	return "blocked"
}

// sentence puts an error behind a prefix; what is the sort that the prefix says
// already.
func sentence(prefix string, what, err error) string {
	s := err.Error()
	if what != nil {
		s = strings.TrimPrefix(s, what.Error())
		s = strings.TrimPrefix(s, ": ")
	}
	if s == "" {
		s = what.Error()
	}
	return prefix + ": " + s
}
