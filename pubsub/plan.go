package pubsub

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"
)

// When this node asks a neighbour for what it missed.
const (
	maxAsking = 2               // sessions asked at once: two neighbours share the work
	syncEvery = 5 * time.Minute // one neighbour or the other, also when all is quiet
	deepEvery = time.Hour       // beyond the newest window, with one neighbour
	leastGap  = 2 * time.Second // between two sessions asked of one neighbour
	mostPause = 5 * time.Minute // after failures
)

// A span is a pause to be drawn from.
type span struct{ least, most time.Duration }

func (s span) draw() time.Duration {
	return s.least + rand.N(s.most-s.least+1)
}

// The pauses. Of two nodes that meet, the one with the lower peer ID asks and
// the other waits to be asked.
var (
	first  = span{0, 300 * time.Millisecond}
	second = span{1500 * time.Millisecond, 2500 * time.Millisecond}
	spread = span{100 * time.Millisecond, 600 * time.Millisecond}
	again  = span{3 * time.Second, 5 * time.Second}
)

// A plan decides whom to ask when, and whom to answer.
type plan struct {
	run  *run
	kick chan struct{} // buffered: something changed

	mu struct {
		sync.Mutex
		by                map[peer.ID]*neighbour
		asking, answering int
	}
}

// A neighbour is one peer as the plan sees it. It is forgotten a while after it
// left.
type neighbour struct {
	connected         bool
	left              time.Time
	due               time.Time
	why               string
	asking, answering bool
	began             time.Time // of the last session asked
	deep              time.Time // last compared down to the floor
	fails             int

	allow  *rate.Limiter // sessions it may ask
	hour   time.Time     // when the count of served began
	served int           // events given to it since
	most   int           // items in the largest comparison since
	last   *SyncReport
}

func newPlan(r *run) *plan {
	p := &plan{run: r, kick: make(chan struct{}, 1)}
	p.mu.by = make(map[peer.ID]*neighbour)
	return p
}

func (p *plan) wake() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

func (p *plan) neighbourLocked(id peer.ID) *neighbour {
	n := p.mu.by[id]
	if n != nil {
		return n
	}
	if len(p.mu.by) >= maxCulprits { // somebody is making up peers
		for q, old := range p.mu.by {
			if !old.connected && !old.answering {
				delete(p.mu.by, q)
				break
			}
		}
	}
	n = &neighbour{allow: rate.NewLimiter(rate.Every(leastGap), 8)}
	p.mu.by[id] = n
	return n
}

// met notes that a neighbour is there.
func (p *plan) met(id peer.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.neighbourLocked(id)
	if n.connected {
		return
	}
	n.connected, n.fails = true, 0
	pause := first
	if p.run.host.ID() > id {
		pause = second
	}
	n.due, n.why = time.Now().Add(pause.draw()), "connected"
	p.wake()
}

// lost notes that a neighbour is gone.
func (p *plan) lost(id peer.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := p.mu.by[id]; n != nil {
		n.connected, n.left = false, time.Now()
	}
}

// soon moves the next sync with a neighbour forward.
func (p *plan) soon(id peer.ID, pause span, why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.soonLocked(p.mu.by[id], pause, why)
	p.wake()
}

// others moves the next sync with all other neighbours forward.
func (p *plan) others(id peer.ID, pause span, why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for q, n := range p.mu.by {
		if q != id {
			p.soonLocked(n, pause, why)
		}
	}
	p.wake()
}

func (p *plan) soonLocked(n *neighbour, pause span, why string) {
	if n == nil || !n.connected || n.fails > 3 {
		return
	}
	due := time.Now().Add(pause.draw())
	if gap := n.began.Add(leastGap); due.Before(gap) {
		due = gap
	}
	if due.Before(n.due) {
		n.due, n.why = due, why
	}
}

// keep asks whoever is due until ctx ends, and waits for all sessions.
func (p *plan) keep(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.kick:
		case <-timer.C:
		}
		for {
			id, deep, ok := p.pick()
			if !ok {
				break
			}
			wg.Go(func() {
				t, err := p.run.ask(ctx, id, deep)
				p.asked(ctx, id, t, err)
			})
		}
		timer.Reset(p.rest())
	}
}

// pick returns the neighbour that is due longest.
func (p *plan) pick() (id peer.ID, deep, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.forgetLocked(now)
	if p.mu.asking >= maxAsking {
		return "", false, false
	}
	var best *neighbour
	for q, n := range p.mu.by {
		if !n.connected || n.asking || n.due.After(now) || best != nil && !n.due.Before(best.due) {
			continue
		}
		if n.answering { // it finds both sides' differences just now
			n.due = now.Add(spread.draw())
			continue
		}
		if p.run.cut.Contains(q) { // blocked, or no member yet: see mend
			n.due = now.Add(again.draw())
			continue
		}
		best, id = n, q
	}
	if best == nil {
		return "", false, false
	}
	p.mu.asking++
	best.asking, best.began = true, now
	return id, best.deep.IsZero() || now.Sub(best.deep) > deepEvery, true
}

func (p *plan) forgetLocked(now time.Time) {
	for q, n := range p.mu.by {
		if !n.connected && !n.asking && !n.answering && now.Sub(n.left) > deepEvery {
			delete(p.mu.by, q)
		}
	}
}

// rest returns how long nobody is due.
func (p *plan) rest() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	rest := syncEvery
	if p.mu.asking >= maxAsking {
		return rest // a session's end wakes the plan
	}
	for _, n := range p.mu.by {
		if n.connected && !n.asking {
			rest = min(rest, time.Until(n.due))
		}
	}
	return max(rest, time.Millisecond)
}

// asked takes the outcome of a session that this node asked.
func (p *plan) asked(ctx context.Context, id peer.ID, t Tally, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.wake()
	p.mu.asking--
	n := p.mu.by[id]
	if n == nil {
		return
	}
	n.asking = false
	n.last = p.report(id, t, err, n.began)
	switch {
	case err == nil:
		n.fails = 0
		if t.Deep {
			n.deep = time.Now()
		}
		if n.due.Before(time.Now()) { // unless something came up meanwhile
			p.quietLocked(n)
		}
	case ctx.Err() != nil:
	default:
		pause := min(time.Second<<min(n.fails, 10), mostPause)
		if errors.Is(err, errBusy) {
			pause = max(pause, again.most)
		}
		n.fails++
		n.due, n.why = time.Now().Add(span{pause / 2, pause * 3 / 2}.draw()), "after a failure"
		p.run.c.log.Debug("sync failed", "peer", id, "err", err, "retryIn", time.Until(n.due))
	}
}

// quietLocked sets the next sync with a neighbour when nothing calls for it.
func (p *plan) quietLocked(n *neighbour) {
	all := 0
	for _, m := range p.mu.by {
		if m.connected {
			all++
		}
	}
	every := syncEvery * time.Duration(max(all, 1))
	n.due, n.why = time.Now().Add(span{every / 2, every * 3 / 2}.draw()), "from time to time"
}

// admit decides whether a neighbour's question is heard now; release ends it.
func (p *plan) admit(id peer.ID) (release func(), ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.neighbourLocked(id)
	if n.answering || p.mu.answering >= maxAnswering || !n.allow.Allow() {
		return nil, false
	}
	n.answering = true
	p.mu.answering++
	if now := time.Now(); now.Sub(n.hour) > time.Hour {
		n.hour, n.served, n.most = now, 0, 0
	}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		n.answering = false
		p.mu.answering--
	}, true
}

// mayServe reports whether a neighbour may have so many events in the session
// under way, in which so many items were compared.
func (p *plan) mayServe(id peer.ID, events, compared int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.neighbourLocked(id)
	return n.served+events <= fetchAll*max(n.most, compared)+freeEvents
}

// answered takes the outcome of a session that a neighbour asked. It found the
// differences of both sides, so this node need not ask soon.
func (p *plan) answered(id peer.ID, t Tally, err error, began time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.wake()
	n := p.neighbourLocked(id)
	n.served += t.Sent
	n.most = max(n.most, t.Compared)
	if err == nil {
		n.last = p.report(id, t, err, began)
		if n.connected && !n.asking && n.why == "connected" {
			p.quietLocked(n)
		}
	}
}
