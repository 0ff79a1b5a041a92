package pool

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrDown reports that a relay is not connected, or was lost before it
// answered: whether it holds the event is not known.
var ErrDown = errors.New("relay is not connected")

// ErrSilent is an ErrDown: the relay is connected and did not answer in time.
var ErrSilent = fmt.Errorf("%w: no answer in time", ErrDown)

// ErrUnknown reports an address that the pool does not have.
var ErrUnknown = errors.New("relay is not in the list")

// ErrMany reports a list of relays that is full.
var ErrMany = errors.New("too many relays")

// A Refusal is a relay's no.
type Refusal struct {
	Prefix  string        // see the package comment; "" where the relay gave none that is known
	Message string        // what follows the prefix; text of the relay's, at most 200 letters
	after   time.Duration // rate-limited: when the relay's pace allows the next
}

// Error says it in the relay's own words.
func (r *Refusal) Error() string {
	if r.Prefix == "" {
		return fmt.Sprintf("refused: %q", r.Message)
	}
	return fmt.Sprintf("%s: %s", r.Prefix, r.Message)
}

// Retry returns after what time offering the same event again may help, and
// whether it may at all.
func (r *Refusal) Retry() (after time.Duration, ok bool) {
	switch r.Prefix {
	case "rate-limited":
		return max(r.after, firstPace), true
	case "auth-required", "":
		return 10 * time.Minute, true
	case "restricted", "pow":
		return time.Hour, true
	case "error":
		return time.Minute, true
	}
	return 0, false // blocked, invalid, mute
}

// prefixes are those of NIP-01, NIP-42 and what relays made of them.
var prefixes = []string{"rate-limited", "auth-required", "restricted", "pow", "error", "blocked", "invalid", "mute", "duplicate"}

// parseRefusal reads the text of an OK or CLOSED.
func parseRefusal(text string) *Refusal {
	r := &Refusal{Message: clip(text)}
	for _, p := range prefixes {
		if rest, ok := strings.CutPrefix(text, p+":"); ok {
			r.Prefix, r.Message = p, clip(strings.TrimSpace(rest))
			break
		}
	}
	return r
}

// clip keeps what a person may be shown of a relay's text.
func clip(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if letters := []rune(s); len(letters) > 200 {
		s = string(letters[:199]) + "…"
	}
	return s
}
