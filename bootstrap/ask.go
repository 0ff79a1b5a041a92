package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"drey/mesh"
)

// Knock learns who answers at a door and returns an invite without a token:
// with it Peek shows what is behind the door, and Join asks to belong. Join
// then gives a *JoinError with ErrWaiting until an admin has said yes.
func Knock(ctx context.Context, door mesh.Endpoint) (*mesh.Invite, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	fail := func(err error) (*mesh.Invite, error) {
		a := []Attempt{{door, err}}
		return nil, &JoinError{Reason: reasonOf(a), Attempts: a}
	}
	request := make([]byte, requestHead)
	request[0] = requestVersion
	answer, err := post(ctx, door, request)
	if err != nil {
		return fail(err)
	}
	defer answer.Close()
	b, err := io.ReadAll(io.LimitReader(answer, 33))
	if err != nil {
		return fail(err)
	}
	if len(b) != len(mesh.NodeKey{}) {
		return fail(ErrNoDrey)
	}
	return &mesh.Invite{Node: mesh.NodeKey(b), Endpoints: []mesh.Endpoint{door}}, nil
}

// met returns an invite with the inviter's key: one that is only an address
// after knocking there.
func met(ctx context.Context, v *mesh.Invite) (*mesh.Invite, error) {
	if v.Node != (mesh.NodeKey{}) || len(v.Endpoints) == 0 {
		return v, nil
	}
	return Knock(ctx, v.Endpoints[0])
}

// withoutInvite reports whether a request names no invite.
func withoutInvite(body []byte) bool {
	return len(body) >= requestHead && inviteID(body[33:requestHead]) == inviteID{}
}

// introduce tells this node's key.
func (i *Inviter) introduce(w io.Writer) error {
	if i.c.Ask == nil {
		return ErrUnknown
	}
	key := i.c.Identity.NodeKey()
	_, err := w.Write(key[:])
	return err
}

// hear answers a machine without an invite.
func (i *Inviter) hear(ctx context.Context, w io.Writer, head, message []byte) error {
	if i.c.Ask == nil {
		return ErrUnknown
	}
	_, psk := keysOf(mesh.InviteToken{})
	hs, key, q, err := openRequest(i.c.Identity.Node, psk, head, message)
	if errors.Is(err, errSeal) {
		return ErrSeal
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	switch q.verb {
	case verbPeek:
		return i.preview(w, hs, time.Unix(0, 0))
	case verbAsk:
	default:
		return fmt.Errorf("%w: verb %d needs an invite", ErrBadRequest, q.verb)
	}
	if err := i.vet(i.c.Admitter.Membership(), key, &q.joiner); err != nil {
		return fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	if err := i.c.Ask(ctx, &q.joiner); err != nil {
		return err
	}
	return i.welcome(w, hs, &q.joiner)
}
