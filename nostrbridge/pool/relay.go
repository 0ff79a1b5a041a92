package pool

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// When a lost relay is called again.
const (
	pauseLeast = time.Second
	pauseMost  = 5 * time.Minute
	stable     = time.Minute     // a connection that held so long begins anew with pauseLeast
	visitIdle  = 2 * time.Minute // a visit without a use ends
)

// A relay is the pool's side of one relay: its life, and what is known of it.
type relay struct {
	p    *Pool  // immutable
	url  string // immutable, normalised
	stop func() // ends run; guarded by the pool's lock, nil before run

	mu struct {
		sync.Mutex
		ended               chan struct{} // closed when run has returned; another for each run
		side, visit, paused bool
		stranger            bool // its address came from one, see onlyPublic
		state               State
		since, nextTry      time.Time
		fault               string
		conn                *conn         // while Connected
		kick                chan struct{} // closed when a wait is to end: resumed, wanted by somebody
		moved               chan struct{} // closed at the next change of state
		hold                time.Duration // the next pause is at least this
		users               int           // calls in progress
		used                time.Time     // when the last one ended
		liar                bool          // about NIP-77
		tally
		info   Info
		learnt time.Time // when info came
		pace   pace
		rtt    time.Duration
	}
}

// A tally counts what went over all connections to a relay.
type tally struct{ sent, refused, got, invalid, unasked, dropped uint64 }

func newRelay(p *Pool, url string) *relay {
	r := &relay{p: p, url: url}
	r.mu.state, r.mu.ended = Closed, make(chan struct{})
	r.mu.kick, r.mu.moved = make(chan struct{}), make(chan struct{})
	return r
}

// look returns the relay as others see it, and whether it is wanted.
func (r *relay) look() (s Relay, wanted bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := &r.mu
	return Relay{
		URL: r.url, State: m.state, Since: m.since, Error: m.fault, NextTry: m.nextTry, RTT: m.rtt, Pace: m.pace.gap,
		Paused: m.paused, Side: m.side,
		Sent: m.sent, Refused: m.refused, Got: m.got, Invalid: m.invalid, Unasked: m.unasked, Dropped: m.dropped,
		Name: m.info.Name, Software: m.info.Software, NIPs: m.info.NIPs,
	}, !m.visit
}

// move is the one place where a relay changes its state.
func (r *relay) move(to State, c *conn, fault error, next time.Time) {
	r.mu.Lock()
	r.mu.state, r.mu.conn, r.mu.nextTry, r.mu.since = to, c, next, r.p.c.Clock()
	if fault != nil {
		r.mu.fault = clip(fault.Error())
	} else if to == Connected || to == Closed {
		r.mu.fault = ""
	}
	close(r.mu.moved)
	r.mu.moved = make(chan struct{})
	visit := r.mu.visit
	r.mu.Unlock()
	if !visit {
		r.p.changed()
	}
}

// want applies what the operator said.
func (r *relay) want(c change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.visit, r.mu.stranger, r.mu.paused, r.mu.side = false, false, c.Paused, c.Side
	r.kickLocked()
}

func (r *relay) kickLocked() {
	close(r.mu.kick)
	r.mu.kick = make(chan struct{})
}

func (r *relay) paused() (bool, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.paused, r.mu.kick
}

// client returns what makes connections to the relay.
func (r *relay) client() *http.Client {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.stranger {
		return r.p.client.visit
	}
	return r.p.client.wanted
}

func (r *relay) visiting() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.visit
}

// aside reports whether the relay is one for announcements only.
func (r *relay) aside() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.side
}

// idle reports whether a visit may end.
func (r *relay) idle() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.visit && r.mu.users == 0 && r.p.c.Clock().Sub(r.mu.used) >= visitIdle
}

// visited reports whether the relay is visited, whether nobody uses it now, and
// since when.
func (r *relay) visited() (last time.Time, free, visit bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.used, r.mu.visit && r.mu.users == 0, r.mu.visit
}

// use says that somebody needs the relay until the returned function is called.
func (r *relay) use() (done func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.users++
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.mu.users--
		r.mu.used = r.p.c.Clock()
	}
}

// end ends the relay's life. The pool's lock is not held.
func (r *relay) end() {
	r.p.mu.Lock()
	stop := r.stop
	r.p.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// begin says that run has begun; end that it has returned.
func (r *relay) begin() (end func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ended := make(chan struct{})
	r.mu.ended = ended
	return func() { close(ended) }
}

// run keeps the relay connected until ctx ends, or until nobody needs a visit
// any more.
func (r *relay) run(ctx context.Context) {
	defer r.begin()()
	defer r.move(Closed, nil, nil, time.Time{})
	pause := pauseLeast
	for ctx.Err() == nil {
		if paused, kick := r.paused(); paused {
			r.move(Closed, nil, nil, time.Time{})
			select {
			case <-ctx.Done():
			case <-kick:
			}
			continue
		}
		held, err := r.connect(ctx)
		if ctx.Err() != nil || errors.Is(err, errIdle) && r.p.forget(r) {
			return
		}
		if errors.Is(err, errPaused) || errors.Is(err, errIdle) {
			continue
		}
		if held >= stable {
			pause = pauseLeast
		}
		wait := max(pause, r.held())
		wait += rand.N(wait/4 + 1)
		pause = min(2*pause, pauseMost)
		r.p.c.Log.Debug("relay lost", "relay", r.url, "err", err, "retryIn", wait)
		if !r.rest(ctx, wait, err) && r.p.forget(r) {
			return
		}
	}
}

// rest waits until the relay is to be called again. It reports false when it
// ends a visit's last wait without anybody having asked for the relay.
func (r *relay) rest(ctx context.Context, wait time.Duration, fault error) bool {
	_, kick := r.paused()
	r.move(Failed, nil, fault, r.p.c.Clock().Add(wait))
	if r.visiting() {
		wait = max(wait, visitIdle)
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-kick:
	case <-t.C:
		return !r.idle()
	}
	return true
}

// held takes what the last connection found about how long to leave the relay
// alone.
func (r *relay) held() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.mu.hold
	r.mu.hold = 0
	return d
}

var (
	errIdle   = errors.New("nobody needs the relay")
	errPaused = errors.New("paused")
)

// connect makes one connection and serves it to its end. It returns how long
// that held.
func (r *relay) connect(ctx context.Context) (held time.Duration, err error) {
	r.move(Connecting, nil, nil, time.Time{})
	c, err := dial(ctx, r)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	r.move(Connected, c, nil, time.Time{})
	// Pausing and the end of a visit are the two ways to close by our own will.
	watch := make(chan struct{})
	go func() {
		defer close(watch)
		r.watch(c)
	}()
	err = c.serve(func() { r.move(Closing, nil, nil, time.Time{}) })
	<-watch
	return time.Since(began), err
}

// watch closes the connection when it is not wanted any more.
func (r *relay) watch(c *conn) {
	tick := time.NewTicker(visitIdle / 2)
	defer tick.Stop()
	for {
		paused, kick := r.paused()
		switch {
		case paused:
			c.close(errPaused)
			return
		case r.idle():
			c.close(errIdle)
			return
		}
		select {
		case <-c.ctx.Done():
			return
		case <-kick:
		case <-tick.C:
		}
	}
}

// current returns the connection, or a channel that is closed when the state
// changes.
func (r *relay) current() (*conn, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.conn, r.mu.moved
}

// await returns the next connection there is that lives.
func (r *relay) await(ctx context.Context) (*conn, error) {
	for {
		c, moved := r.current()
		if c != nil && c.ctx.Err() == nil {
			return c, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-moved:
		}
	}
}

// ready returns the connection for a call that does not wait for one: of a
// visit that is being made it awaits the outcome.
func (r *relay) ready(ctx context.Context) (*conn, error) {
	for {
		r.mu.Lock()
		c, state, moved, ended := r.mu.conn, r.mu.state, r.mu.moved, r.mu.ended
		r.mu.Unlock()
		if c != nil {
			return c, nil
		}
		if !r.visiting() || state == Failed {
			s, _ := r.look()
			if s.Error != "" {
				return nil, fmt.Errorf("%w: %s", ErrDown, s.Error)
			}
			return nil, ErrDown
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-ended:
			return nil, ErrDown
		case <-moved:
		}
	}
}

// count changes the tally.
func (r *relay) count(do func(*tally)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	do(&r.mu.tally)
}
