package bootstrap

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"drey/mesh"
)

// Why an invite was not redeemed. JoinError wraps them.
var (
	ErrUnknown     = errors.New("the inviting machine does not know this invite")
	ErrOtherNode   = errors.New("another node than the inviting one answers there")
	ErrUsed        = errors.New("the invite has been used")
	ErrExpired     = errors.New("the invite has expired")
	ErrBurnt       = errors.New("the invite was opened in a browser and is cancelled")
	ErrBanned      = errors.New("this machine is banned from the community")
	ErrRefused     = errors.New("the inviting machine may not admit anybody")
	ErrWaiting     = errors.New("an admin has yet to say yes")
	ErrBusy        = errors.New("too many attempts, try again in a minute")
	ErrSeal        = errors.New("the answer is not from the inviting machine, or was changed on the way")
	ErrBadRequest  = errors.New("the inviting machine does not understand the request")
	ErrUnreachable = errors.New("no address of the inviting machine answers")
	ErrNoDrey      = errors.New("what answers there is not drey")
)

// A word is how a refusal travels.
type word struct {
	text   string
	status int
	err    error
}

// words lists the refusals, the more telling first.
var words = []word{
	{"banned", http.StatusForbidden, ErrBanned},
	{"burnt", http.StatusGone, ErrBurnt},
	{"used", http.StatusGone, ErrUsed},
	{"expired", http.StatusGone, ErrExpired},
	{"refused", http.StatusForbidden, ErrRefused},
	{"bad-seal", http.StatusBadRequest, ErrSeal},
	{"bad-request", http.StatusBadRequest, ErrBadRequest},
	{"unknown", http.StatusNotFound, ErrUnknown},
	{"other-node", http.StatusNotFound, ErrOtherNode},
	{"busy", http.StatusTooManyRequests, ErrBusy},
	{"waiting", http.StatusAccepted, ErrWaiting},
}

// wordFor returns the word for err; what has none is the inviter's own trouble.
func wordFor(err error) (word, bool) {
	for _, w := range words {
		if errors.Is(err, w.err) {
			return w, true
		}
	}
	return word{"internal", http.StatusInternalServerError, err}, false
}

// An Attempt is what became of asking at one address.
type Attempt struct {
	Endpoint mesh.Endpoint
	Err      error
}

// A JoinError tells why joining failed, with every address that was tried. It
// wraps the most telling of the reasons above.
type JoinError struct {
	Reason   error
	Attempts []Attempt
}

func (e *JoinError) Error() string {
	var b strings.Builder
	b.WriteString(e.Reason.Error())
	for i, a := range e.Attempts {
		sep := "; "
		if i == 0 {
			sep = " (tried "
		}
		fmt.Fprintf(&b, "%s%s", sep, a.Endpoint)
		if why := a.Err.Error(); why != e.Reason.Error() {
			b.WriteString(": " + why) // else it has been said
		}
	}
	if len(e.Attempts) > 0 {
		b.WriteByte(')')
	}
	return b.String()
}

func (e *JoinError) Unwrap() error { return e.Reason }

// Hint says what a person can do about it.
func (e *JoinError) Hint() string {
	switch {
	case errors.Is(e.Reason, ErrUnreachable):
		return "check that both machines are on the same network and that 'drey status' on the inviting one shows the address"
	case errors.Is(e.Reason, ErrOtherNode), errors.Is(e.Reason, ErrNoDrey):
		return "the inviting machine has moved to another address; make a new invite there with 'drey invite'"
	case errors.Is(e.Reason, ErrBurnt):
		return "make a new one with 'drey invite' and give it to 'drey join'; for phones there is 'drey invite --phone'"
	case errors.Is(e.Reason, ErrBanned):
		return "only an admin of the community can admit it again; an invite cannot"
	case errors.Is(e.Reason, ErrRefused):
		return "invites for machines are made on an admin's machine"
	case errors.Is(e.Reason, ErrWaiting):
		return "on an admin's machine: 'drey members ls' shows who waits, 'drey members admit NAME' says yes"
	case errors.Is(e.Reason, ErrBusy):
		return "wait a minute, then run the same command again"
	case errors.Is(e.Reason, ErrBadRequest):
		return "one of the two machines needs a newer drey"
	}
	return "make a new one with 'drey invite' on the inviting machine"
}
