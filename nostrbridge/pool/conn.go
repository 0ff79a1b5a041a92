package pool

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"

	"drey/mesh"
)

// How long things may take, and how much one connection may bring.
const (
	dialTimeout  = 10 * time.Second
	writeTimeout = 15 * time.Second
	pulse        = 25 * time.Second // between pings
	pongTimeout  = 20 * time.Second // a half-open connection is noticed within pulse and this
	okTimeout    = 20 * time.Second // for an OK
	outbound     = 16               // messages that wait to be written; senders wait beyond
	maxForged    = 20               // events of a wrong form, id or signature before the connection is cut
	maxUnasked   = 5000             // messages that nobody asked for before it is cut
	shunned      = 5 * time.Minute  // how long a relay is left alone then
)

// A conn is one connection to a relay. Three goroutines serve it: the reader
// never waits for anybody, so that OKs and pongs get through whatever the rest
// does.
type conn struct {
	r   *relay
	ws  *websocket.Conn
	ctx context.Context // ends with the connection; its cause is why
	cut context.CancelCauseFunc
	out chan []byte

	signing chan struct{} // holds one while somebody signs in
	learnt  chan struct{} // closed when the relay has been asked for its document
	met     chan struct{} // closed at the first pong: what the relay says to a newcomer has come

	mu struct {
		sync.Mutex
		verdicts  map[mesh.EventID][]chan message
		subs      map[string]*sub
		n         int           // names of subscriptions
		challenge string        // of the relay's AUTH; "" before one came
		dared     chan struct{} // closed when one came
		signed    bool
		forged    int
		unasked   int
	}
}

func dial(ctx context.Context, r *relay) (*conn, error) {
	within, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	ws, _, err := websocket.Dial(within, r.url, &websocket.DialOptions{HTTPClient: r.client(), HTTPHeader: http.Header{"User-Agent": {userAgent}}})
	if err != nil {
		if at, ok := errors.AsType[*url.Error](err); ok {
			err = at.Err // the cause; which relay it is about is known
		}
		return nil, err
	}
	ws.SetReadLimit(maxMessage)
	c := &conn{r: r, ws: ws, out: make(chan []byte, outbound), signing: make(chan struct{}, 1), learnt: make(chan struct{}), met: make(chan struct{})}
	c.ctx, c.cut = context.WithCancelCause(ctx)
	c.mu.verdicts = map[mesh.EventID][]chan message{}
	c.mu.subs = map[string]*sub{}
	c.mu.dared = make(chan struct{})
	return c, nil
}

// userAgent names the program to relays, without its version.
const userAgent = "drey"

// close ends the connection; why tells its callers the reason.
func (c *conn) close(why error) { c.cut(why) }

// serve reads and writes until the connection ends, which closing announces
// when it is by our own will.
func (c *conn) serve(closing func()) error {
	var parts sync.WaitGroup
	part := func(f func() error) {
		parts.Go(func() { c.cut(f()) })
	}
	// Reads end with the socket, not with a context: a close of ours can then
	// still be said properly.
	reading, stop := context.WithCancel(context.WithoutCancel(c.ctx))
	defer stop()
	part(func() error { return c.read(reading) })
	part(c.write)
	part(c.beat)
	part(func() error {
		c.learn()
		<-c.ctx.Done()
		return nil
	})
	<-c.ctx.Done()
	why := context.Cause(c.ctx)
	if errors.Is(why, errPaused) || errors.Is(why, errIdle) || errors.Is(why, context.Canceled) {
		closing()
		c.bye(stop)
	}
	c.ws.CloseNow()
	stop()
	parts.Wait()
	return why
}

// bye says goodbye as long as that takes no time to speak of. CloseNow would
// wait for a Close that has begun; stop ends the read, and the socket with it.
func (c *conn) bye(stop func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.ws.Close(websocket.StatusNormalClosure, "")
	}()
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
		stop()
		<-done
	}
}

// read takes apart what comes, and never waits for who is to have it.
func (c *conn) read(ctx context.Context) error {
	for {
		_, b, err := c.ws.Read(ctx)
		if err != nil {
			return fmt.Errorf("connection lost: %w", err)
		}
		m, err := parseMessage(b)
		if err != nil {
			if err := c.forged(); err != nil {
				return err
			}
			continue
		}
		if err := c.take(m); err != nil {
			return err
		}
	}
}

// take brings a message to who waits for it.
func (c *conn) take(m message) error {
	switch m.verb {
	case "EVENT":
		return c.takeEvent(m)
	case "EOSE", "CLOSED", "NEG-MSG", "NEG-ERR":
		c.mu.Lock()
		s := c.mu.subs[m.sub]
		c.mu.Unlock()
		if s == nil {
			return c.unasked()
		}
		s.tell(m)
	case "OK":
		c.mu.Lock()
		waiting := c.mu.verdicts[m.id]
		delete(c.mu.verdicts, m.id)
		c.mu.Unlock()
		if waiting == nil {
			return c.unasked()
		}
		for _, w := range waiting {
			w <- m // has room for one, and is here once
		}
	case "AUTH":
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.mu.challenge == "" {
			close(c.mu.dared)
		}
		c.mu.challenge = m.text
	case "NOTICE":
		c.r.p.c.Log.Debug("relay says", "relay", c.r.url, "notice", clip(m.text))
		return c.unasked()
	default:
		return c.unasked()
	}
	return nil
}

func (c *conn) takeEvent(m message) error {
	c.mu.Lock()
	s := c.mu.subs[m.sub]
	c.mu.Unlock()
	if s == nil {
		return c.unasked() // or a late one of a subscription that has ended
	}
	e, err := mesh.ParseJSON(m.event)
	if err != nil {
		return c.forged()
	}
	if !chosen(s.filters, e) {
		return c.unasked()
	}
	if !s.offer(e) {
		c.r.count(func(t *tally) { t.dropped++ })
	}
	return nil
}

// forged counts what no honest relay passes on, and says when it is enough.
func (c *conn) forged() error {
	c.r.count(func(t *tally) { t.invalid++ })
	c.mu.Lock()
	c.mu.forged++
	n := c.mu.forged
	c.mu.Unlock()
	if n < maxForged {
		return nil
	}
	return c.shun(fmt.Errorf("the relay sent %d messages with a wrong form, id or signature", n))
}

// unasked counts what nobody asked for.
func (c *conn) unasked() error {
	c.r.count(func(t *tally) { t.unasked++ })
	c.mu.Lock()
	c.mu.unasked++
	n := c.mu.unasked
	c.mu.Unlock()
	if n < maxUnasked {
		return nil
	}
	return c.shun(fmt.Errorf("the relay sent %d messages that nobody asked for", n))
}

// shun has the relay left alone for a while.
func (c *conn) shun(why error) error {
	c.r.mu.Lock()
	c.r.mu.hold = shunned
	c.r.mu.Unlock()
	return why
}

// write brings messages out one after another.
func (c *conn) write() error {
	for {
		select {
		case <-c.ctx.Done():
			return nil
		case b := <-c.out:
			within, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), writeTimeout)
			err := c.ws.Write(within, websocket.MessageText, b)
			cancel()
			if err != nil {
				return fmt.Errorf("connection lost: %w", err)
			}
		}
	}
}

// beat pings until the relay no longer answers.
func (c *conn) beat() error {
	tick := time.NewTicker(pulse)
	defer tick.Stop()
	for {
		began := time.Now()
		within, cancel := context.WithTimeout(c.ctx, pongTimeout)
		err := c.ws.Ping(within)
		cancel()
		switch {
		case c.ctx.Err() != nil:
			return nil
		case err != nil:
			return errors.New("connection lost: a ping was not answered")
		}
		shut(c.met)
		c.r.mu.Lock()
		c.r.mu.rtt = time.Since(began)
		c.r.mu.Unlock()
		select {
		case <-c.ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// send queues a message.
func (c *conn) send(ctx context.Context, b []byte) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-c.ctx.Done():
		return c.lost()
	case c.out <- b:
		return nil
	}
}

// lost says why the connection is no more.
func (c *conn) lost() error { return fmt.Errorf("%w: %w", ErrDown, context.Cause(c.ctx)) }

// offer sends an event in a message called verb and awaits the relay's verdict.
func (c *conn) offer(ctx context.Context, verb string, e *mesh.Event) (message, error) {
	verdict := make(chan message, 1)
	c.mu.Lock()
	c.mu.verdicts[e.ID()] = append(c.mu.verdicts[e.ID()], verdict)
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.dropLocked(e.ID(), verdict)
	}()
	if err := c.send(ctx, appendEvent(nil, verb, e)); err != nil {
		return message{}, err
	}
	t := time.NewTimer(okTimeout)
	defer t.Stop()
	select {
	case m := <-verdict:
		return m, nil
	case <-c.ctx.Done():
	case <-ctx.Done():
	case <-t.C:
	}
	select {
	case m := <-verdict: // both came: the answer counts
		return m, nil
	default:
	}
	switch {
	case c.ctx.Err() != nil:
		return message{}, c.lost()
	case ctx.Err() != nil:
		return message{}, ctx.Err()
	}
	return message{}, ErrSilent
}

func (c *conn) dropLocked(id mesh.EventID, w chan message) {
	all := c.mu.verdicts[id]
	for i, v := range all {
		if v == w {
			all = append(all[:i:i], all[i+1:]...)
			break
		}
	}
	if len(all) == 0 {
		delete(c.mu.verdicts, id)
		return
	}
	c.mu.verdicts[id] = all
}

// name returns a new subscription's name.
func (c *conn) nameLocked() string {
	c.mu.n++
	return "d" + strconv.Itoa(c.mu.n)
}
