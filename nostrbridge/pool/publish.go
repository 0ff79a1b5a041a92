package pool

import (
	"context"
	"fmt"
	"time"

	"drey/mesh"
)

// kindSignIn is the kind of event that proves a key to a relay (NIP-42).
const kindSignIn mesh.Kind = 22242

// challengeWait is how long a relay that asks for a proof may take to say of
// what.
const challengeWait = 3 * time.Second

// Publish offers an event to a relay and returns nil only when the relay said
// that it holds it. Else it is a *Refusal, ErrDown (not connected, or lost
// before the answer: whether the relay holds the event is not known), ErrSilent
// (an ErrDown), ErrURL, or ctx's error. It waits for the relay's pace, and 20 s
// at most for the answer.
//
// A relay that is not in the list is visited: connected to for as long as it
// is used, over wss and at public addresses only (see Config.Private), 16 at
// one time.
func (p *Pool) Publish(ctx context.Context, url string, e *mesh.Event) error {
	r, done, err := p.use(url)
	if err != nil {
		return err
	}
	defer done()
	err = r.publish(ctx, e)
	switch _, no := err.(*Refusal); {
	case err == nil:
		r.count(func(t *tally) { t.sent++ })
	case no:
		r.count(func(t *tally) { t.refused++ })
	}
	return err
}

func (r *relay) publish(ctx context.Context, e *mesh.Event) error {
	c, err := r.ready(ctx)
	if err != nil {
		return err
	}
	if most := r.information().MaxMessage; most > 0 {
		if n := len(appendEvent(nil, "EVENT", e)); n > most {
			return &Refusal{Prefix: "invalid", Message: fmt.Sprintf("%d bytes, the relay takes %d", n, most)}
		}
	}
	if err := r.turn(ctx, c); err != nil {
		return err
	}
	m, err := c.offer(ctx, "EVENT", e)
	if err != nil {
		return err
	}
	no := verdict(m)
	if no != nil && no.Prefix == "auth-required" && c.signIn(ctx) {
		if m, err = c.offer(ctx, "EVENT", e); err != nil {
			return err
		}
		no = verdict(m)
	}
	now := r.p.c.Clock()
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case no == nil:
		r.mu.pace.faster()
		return nil
	case no.Prefix == "rate-limited":
		no.after = r.mu.pace.slower(now)
	}
	return no
}

// verdict reads an OK; nil means that the relay holds the event.
func verdict(m message) *Refusal {
	if m.held() {
		return nil
	}
	return parseRefusal(m.text)
}

// turn waits until the relay's pace allows another event.
func (r *relay) turn(ctx context.Context, c *conn) error {
	r.mu.Lock()
	wait := r.mu.pace.take(r.p.c.Clock())
	r.mu.Unlock()
	if wait <= 0 {
		return nil
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-c.ctx.Done():
		return c.lost()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// signIn proves this node's key to the relay, and reports whether the relay
// knows it now. Of several callers one does it.
func (c *conn) signIn(ctx context.Context) bool {
	signer := c.r.p.c.Signer
	if signer == nil || c.r.aside() {
		return false // announcements go under keys of a day, which this one must not tie together
	}
	select {
	case c.signing <- struct{}{}:
		defer func() { <-c.signing }()
	case <-c.ctx.Done():
		return false
	case <-ctx.Done():
		return false
	}
	c.mu.Lock()
	signed, dared := c.mu.signed, c.mu.dared
	c.mu.Unlock()
	if signed {
		return true
	}
	t := time.NewTimer(challengeWait)
	defer t.Stop()
	select {
	case <-dared:
	case <-t.C:
		return false
	case <-c.ctx.Done():
		return false
	case <-ctx.Done():
		return false
	}
	c.mu.Lock()
	challenge := c.mu.challenge
	c.mu.Unlock()
	e, err := signer.Sign(mesh.Draft{
		CreatedAt: mesh.UnixOf(c.r.p.c.Clock()), Kind: kindSignIn,
		Tags: [][]string{{"relay", c.r.url}, {"challenge", challenge}},
	})
	if err != nil {
		return false
	}
	m, err := c.offer(ctx, "AUTH", e)
	if err != nil || !m.ok {
		c.r.p.c.Log.Debug("relay did not let us sign in", "relay", c.r.url, "err", err, "answer", clip(m.text))
		return false
	}
	c.mu.Lock()
	c.mu.signed = true
	c.mu.Unlock()
	return true
}

// challenged reports whether the relay would take a proof of a key.
func (c *conn) challenged() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.challenge != ""
}
