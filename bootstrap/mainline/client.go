// Package mainline is a client of BitTorrent's distributed table, as much as a
// rendezvous takes: it gets and puts mutable items (BEP 44) and answers nobody,
// which it says (BEP 43). A packet is a bencoded dictionary over UDP (BEP 5):
//
//	t  transaction, chosen by who asks      y  "q" query, "r" answer, "e" error
//	q  "get" or "put"                       a  what is asked
//	r  what is answered                     e  number and text
//
// An item is signed by an Ed25519 key over
//
//	"4:salt" ‖ bencoded salt ‖ "3:seqi" ‖ seq ‖ "e1:v" ‖ bencoded v
//
// and lies at the nodes nearest to SHA-1(key ‖ salt). Nothing here believes an
// answer that the signature does not cover.
package mainline

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	patience = 1500 * time.Millisecond // for an answer; a good one takes a tenth of it
	// What this node sends at most, in packets a second: a polite guest.
	pace      = rate.Limit(30)
	paceBurst = 30
	maxPacket = 4096 // bytes; an answer takes some 1,400
)

// A Client talks to nodes of the table over one socket. Safe for concurrent
// use.
type Client struct {
	conn net.PacketConn
	self id
	pace *rate.Limiter
	over chan struct{} // closed when the reading has ended

	mu struct {
		sync.Mutex
		waiting map[string]*question // by transaction
		err     error                // why nothing is read any more
	}
}

// A question is a query that waits for its answer.
type question struct {
	to     netip.AddrPort
	answer chan map[string]any // holds one
}

// Open takes over a UDP socket; Close closes it.
func Open(conn net.PacketConn) *Client {
	c := &Client{conn: conn, pace: rate.NewLimiter(pace, paceBurst), over: make(chan struct{})}
	rand.Read(c.self[:]) // never fails since Go 1.24
	c.mu.waiting = map[string]*question{}
	go c.read()
	return c
}

// Close ends all queries.
func (c *Client) Close() error {
	err := c.conn.Close()
	<-c.over
	return err
}

// read hands answers to whoever waits for them. What nobody asked for, and
// what does not come from where it was asked, is dropped.
func (c *Client) read() {
	defer close(c.over)
	b := make([]byte, maxPacket)
	for {
		n, from, err := c.conn.ReadFrom(b)
		if err != nil && !errors.Is(err, net.ErrClosed) {
			if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() || n > 0 {
				continue
			}
		}
		if err != nil {
			c.mu.Lock()
			c.mu.err = err
			c.mu.Unlock()
			return
		}
		addr, ok := from.(*net.UDPAddr)
		if !ok {
			continue
		}
		c.deliver(b[:n], addr.AddrPort())
	}
}

func (c *Client) deliver(b []byte, from netip.AddrPort) {
	v, err := parseBencode(b)
	m, ok := v.(map[string]any)
	if err != nil || !ok {
		return
	}
	kind, _ := m["y"].(string)
	name, _ := m["t"].(string)
	if kind != "r" && kind != "e" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	q := c.mu.waiting[name]
	if q == nil || unmapped(from) != q.to {
		return
	}
	delete(c.mu.waiting, name)
	q.answer <- m
}

func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// A refusal is an error that a node answered.
type refusal struct {
	number int64
	text   string
}

func (e *refusal) Error() string { return fmt.Sprintf("the node refused: %d %.80q", e.number, e.text) }

// refusedSeq refuses a put that somebody else's got ahead of (BEP 44).
const refusedSeq = 302

var errPatience = errors.New("no answer")

// ask sends a query and returns what a node answers.
func (c *Client) ask(ctx context.Context, to netip.AddrPort, query string, args map[string]any) (map[string]any, error) {
	if err := c.pace.Wait(ctx); err != nil {
		return nil, err
	}
	args["id"] = string(c.self[:])
	var name [4]byte
	rand.Read(name[:])
	q := &question{to: unmapped(to), answer: make(chan map[string]any, 1)}
	c.mu.Lock()
	if err := c.mu.err; err != nil {
		c.mu.Unlock()
		return nil, err
	}
	c.mu.waiting[string(name[:])] = q
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.mu.waiting, string(name[:]))
		c.mu.Unlock()
	}()
	packet := appendBencode(nil, map[string]any{"a": args, "q": query, "ro": int64(1), "t": string(name[:]), "y": "q"})
	if _, err := c.conn.WriteTo(packet, net.UDPAddrFromAddrPort(to)); err != nil {
		return nil, err
	}
	wait := time.NewTimer(patience)
	defer wait.Stop()
	select {
	case m := <-q.answer:
		return answered(m)
	case <-wait.C:
		return nil, errPatience
	case <-c.over:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// answered returns what an answer holds.
func answered(m map[string]any) (map[string]any, error) {
	if r, ok := m["r"].(map[string]any); ok && m["y"] == "r" {
		return r, nil
	}
	e := &refusal{}
	if list, ok := m["e"].([]any); ok && len(list) == 2 {
		e.number, _ = list[0].(int64)
		e.text, _ = list[1].(string)
	}
	return nil, e
}
