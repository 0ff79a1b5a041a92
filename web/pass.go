package web

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"drey/mesh"
)

// admit has a visitor's own key judged before its event is taken; the first
// time it gets a guest's pass.
func (s *Server) admit(ctx context.Context, c caller, e *mesh.Event) error {
	if c.scope >= ScopeMember || s.config.Admit == nil {
		return nil
	}
	err := s.config.Admit(ctx, e, c.remote)
	if err == nil || errorOf(err).Code != CodeInternal {
		return err
	}
	class, why, ok := strings.Cut(err.Error(), ": ")
	switch {
	case ok && class == "restricted":
		return NewError(CodeForbidden, "this key may not write this here", why, "write without a key of your own, or ask a member to admit you", err)
	case ok && class == "blocked":
		return NewError(CodeRefused, "the node refused this", why, "", err)
	case ok && class == "rate-limited":
		return NewError(CodeTooFast, "too many new keys at once", why, "write without a key of your own, or try again in a few minutes", err)
	}
	return fmt.Errorf("admit: %w", err)
}

// pageKey matches the Idempotency-Keys that the page's own script draws. They
// are random enough not to need the caller's address beside them, and a phone
// that comes back may have another one.
var pageKey = regexp.MustCompile(`^page-[0-9a-f]{32}$`)

// holder tells whose an Idempotency-Key is.
func holder(c caller, key string) string {
	if pageKey.MatchString(key) {
		return "page"
	}
	return c.peer
}
