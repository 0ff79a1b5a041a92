package relay

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"

	"drey/mesh"
)

const (
	// publishing is how many events of one connection may wait for the disk: at
	// a commit in 20 ms that is 6,400 a second.
	publishing = 128
	// Of messages that do not hold, so many at once and then one in so long are
	// answered; then the connection is closed.
	faultBurst = 50
	faultEvery = time.Second
)

// A conn is one client.
type conn struct {
	front     *Front
	addr      netip.Addr
	host      string // as the client calls this relay
	foreign   bool   // a website opened it, see foreign
	challenge string // NIP-42
	ctx       context.Context
	cancel    context.CancelFunc
	ws        *websocket.Conn
	out       *outbox
	flights   chan struct{} // one for each event that waits for the disk

	asks, members, guests, faults *rate.Limiter // of this connection's messages

	sight atomic.Pointer[sight]

	mu struct {
		sync.Mutex
		subs   []*sub
		recons []*recon // at most Limits.Neg
		weight int
		shut   bool
	}
}

// A sight is what a connection may see, as the roster was when it was judged.
type sight struct {
	roster uint64
	keys   []mesh.PubKey // that the client has proved to hold; at most maxKeys
	viewer mesh.Viewer
}

// prepare readies what other goroutines may touch as soon as c is listed.
func (c *conn) prepare() {
	l := &c.front.limits
	c.challenge = rand.Text()
	c.asks = rate.NewLimiter(rate.Every(l.AskEvery), l.AskBurst)
	c.members = rate.NewLimiter(rate.Every(l.MemberEvery), l.MemberBurst)
	c.guests = rate.NewLimiter(rate.Every(l.GuestEvery), l.GuestBurst)
	c.faults = rate.NewLimiter(rate.Every(faultEvery), faultBurst)
	c.flights = make(chan struct{}, publishing)
	c.out = newOutbox(l.Queue, c.cancel)
	c.sight.Store(&sight{viewer: c.stranger()})
}

// serve reads until the client goes or is to go.
func (c *conn) serve(ctx context.Context, ws *websocket.Conn, net *corked) {
	c.ws = ws
	ws.SetReadLimit(int64(c.front.limits.Message))
	// A client that does not read would hold up what is written to it, the
	// good-bye too.
	defer context.AfterFunc(ctx, func() { net.Close() })()
	c.out.begin(ws, net)
	defer func() {
		c.unsubscribeAll()
		c.negDropIf(func(*recon) bool { return true })
		c.out.bye()
		c.cancel()
		ws.CloseNow()
		slow, dropped := c.out.end()
		if slow {
			c.front.stats.slow.Add(1)
		}
		c.front.stats.dropped.Add(dropped)
	}()
	if c.say("AUTH", c.challenge) != nil {
		return
	}
	for {
		b, err := c.read(ctx)
		if err != nil {
			return
		}
		if err := c.handle(b); err != nil {
			return
		}
	}
}

// read returns the next message. Most are small; a large one waits for room, so
// that many half-sent ones cannot fill the memory.
func (c *conn) read(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	_, r, err := c.ws.Reader(ctx)
	if err != nil {
		return nil, err
	}
	late := time.AfterFunc(bodyFor, cancel)
	defer late.Stop()
	b, err := io.ReadAll(io.LimitReader(r, small))
	if err != nil || len(b) < small {
		return b, err
	}
	select {
	case c.front.large <- struct{}{}:
		defer func() { <-c.front.large }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	rest, err := io.ReadAll(r)
	return append(b, rest...), err
}

// handle answers one message; an error ends the connection.
func (c *conn) handle(b []byte) error {
	m, err := parse(b, &c.front.limits)
	if err != nil {
		return c.answerFault(m, err)
	}
	switch m.verb {
	case "EVENT":
		return c.publish(m.event)
	case "REQ":
		return c.subscribe(m)
	case "COUNT":
		return c.count(m)
	case "CLOSE":
		c.unsubscribe(m.id)
	case "AUTH":
		return c.authenticate(m.event)
	case "NEG-OPEN":
		return c.negOpen(m)
	case "NEG-MSG":
		return c.negNext(m)
	case "NEG-CLOSE":
		c.negDrop(m.id)
	}
	return nil
}

var errFaults = errors.New("too many invalid messages")

// fault counts a message that does not hold.
func (c *conn) fault() error {
	if c.faults.AllowN(c.front.config.Clock(), 1) {
		return nil
	}
	c.out.close(websocket.StatusPolicyViolation, errFaults.Error())
	<-c.ctx.Done() // until the good-bye is out
	return errFaults
}

// answerFault answers a message that could not be read.
func (c *conn) answerFault(m *message, err error) error {
	if e := c.fault(); e != nil {
		return e
	}
	switch {
	case m.id == "" || m.verb == "CLOSE" || m.verb == "NEG-CLOSE":
	case strings.HasPrefix(m.verb, "NEG-"):
		return c.negEnd(m.id, err.Error())
	default:
		return c.say("CLOSED", m.id, err.Error())
	}
	return c.say("NOTICE", err.Error())
}

// say sends an answer.
func (c *conn) say(parts ...any) error {
	return c.out.reply(c.ctx, frame{body: appendMessage(nil, parts...)})
}

// look returns what the connection may see now.
func (c *conn) look() *sight {
	for {
		s := c.sight.Load()
		at := c.front.roster.Load()
		if s.roster == at {
			return s
		}
		n := &sight{roster: at, keys: s.keys, viewer: c.judge(s.keys)}
		if c.sight.CompareAndSwap(s, n) {
			return n
		}
	}
}

func (c *conn) stranger() mesh.Viewer {
	if c.foreign {
		return mesh.Viewer{}
	}
	return c.front.guests
}

// judge tells what the holder of keys may see.
func (c *conn) judge(keys []mesh.PubKey) mesh.Viewer {
	v := c.stranger()
	v.Keys = keys
	for _, k := range keys {
		if c.front.node.Standing(k).Member() {
			v.Member = true
		}
	}
	return v
}

// holds reports whether the client has proved to hold a key.
func (c *conn) holds(k mesh.PubKey) bool { return slices.Contains(c.sight.Load().keys, k) }

// foreign reports whether a website that is not this node's opened the
// connection. Such pages run in neighbours' browsers wherever they come from, so
// without a member's signature they see nothing. Apps are no websites: they
// name no origin, or one of their own scheme, or this very machine.
func foreign(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return err != nil || origin == "null"
	}
	if strings.EqualFold(u.Host, r.Host) || strings.EqualFold(u.Hostname(), "localhost") {
		return false
	}
	a := net.ParseIP(u.Hostname())
	return a == nil || !a.IsLoopback()
}
