package share

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"drey/radio/meshtastic"
)

// Times and rates of a connection.
const (
	readChunk   = 1 << 10
	bytesPerSec = 16 << 10 // what is read from one client in a second; more waits
	quietAfter  = 250 * time.Millisecond
	idleAfter   = 15 * time.Minute // as radios do
	writeWait   = 30 * time.Second
	maxJunk     = 4 << 10                // bytes in a row that are no frame
	configWait  = 250 * time.Millisecond // for the next message after want_config, which costs much
	idsKept     = 128                    // packets of all clients that are known when they come again
	idsFor      = 10 * time.Minute
)

// A client is one connection. What mu holds is guarded by the server's lock.
type client struct {
	server *Server
	conn   net.Conn
	scope  Scope
	from   string        // address, for logs
	wake   chan struct{} // holds one: there may be something to write
	id     ClientID      // set once by admit

	mu struct {
		answers [][]byte // to the client's own messages, oldest first
		replay  [][]byte // what is left of the answer to want_config
		asked   uint32   // nonce of a want_config that waits for the radio; 0 is none
		told    bool     // an account was begun
		live    bool     // it was told whole: what the radio hears follows
		queue   []item
		send    []*meshtastic.Packet // waiting for the air
		with    []meshtastic.NodeNum // written to in private
		lastID  uint32
	}
}

type item struct {
	raw  []byte
	text bool
}

// A sentID is a packet that was taken: its id and its content. A client that
// lost its connection before the answer came says it again on the next.
type sentID struct {
	id   uint32
	data [sha256.Size]byte
	at   time.Time
}

// Serve speaks with one client until it leaves, misbehaves or ctx ends. It
// closes conn.
func (s *Server) Serve(ctx context.Context, conn net.Conn, scope Scope, from string) error {
	c := &client{server: s, conn: conn, scope: scope, from: from, wake: make(chan struct{}, 1)}
	if err := s.admit(c); err != nil {
		_ = conn.Close()
		return err
	}
	defer s.dismiss(c)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	closing := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer closing()
	var writer sync.WaitGroup
	defer writer.Wait()
	defer func() { _ = conn.Close() }()
	done := make(chan struct{})
	defer close(done)
	writer.Go(func() {
		if err := c.write(done); err != nil {
			stop(err)
		}
	})
	err := c.read(ctx)
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// read takes in what the client says.
func (c *client) read(ctx context.Context) error {
	scanner := meshtastic.Scanner{OK: func(p []byte) bool {
		_, err := meshtastic.ParseToRadio(p)
		return err == nil
	}}
	buf := make([]byte, readChunk)
	first, junk, last := true, uint64(0), time.Now()
	for {
		wait := time.Until(last.Add(idleAfter))
		if scanner.Partial() {
			wait = quietAfter
		}
		_ = c.conn.SetReadDeadline(time.Now().Add(wait))
		n, err := c.conn.Read(buf)
		asked := false
		if n > 0 {
			last = time.Now()
			if first && !begins(buf[0]) {
				c.server.refused()
				return fmt.Errorf("%w: it began with byte %#02x", errForeign, buf[0])
			}
			first = false
			_, _ = scanner.Write(buf[:n])
		}
		timedOut := errors.Is(err, os.ErrDeadlineExceeded)
		if timedOut && scanner.Partial() {
			scanner.Quiet()
		}
		for p := scanner.Next(); p != nil; p = scanner.Next() {
			junk = scanner.Junk()
			if m, err := meshtastic.ParseToRadio(p); err == nil {
				c.take(m)
				asked = asked || m.WantConfigID != 0
			}
		}
		switch {
		case scanner.Junk()-junk > maxJunk:
			c.server.refused()
			return fmt.Errorf("%w: %d bytes of no frame", errForeign, scanner.Junk()-junk)
		case timedOut && time.Since(last) >= idleAfter:
			return errIdle
		case err != nil && !timedOut:
			return err
		}
		wait = time.Duration(n) * time.Second / bytesPerSec
		if asked {
			wait = max(wait, configWait)
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

// begins reports whether a connection may begin with a byte: those of programs
// for radios begin with a frame or a wake-up. Letters come from browsers, which
// a page somewhere may have told to connect.
func begins(b byte) bool { return b == 0x94 || b == 0xc3 }

// pause slows down whoever says much.
func pause(ctx context.Context, d time.Duration) error {
	if d < 5*time.Millisecond {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// take handles one message.
func (c *client) take(m *meshtastic.ToRadio) {
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case m.Packet != nil:
		c.packetLocked(m.Packet)
	case m.Heartbeat != nil: // nonce 1 would have the radio tell its name to everybody: that is the node's business
		c.statusLocked(meshtastic.ErrorNone, 0)
	case m.Disconnect:
		c.mu.live, c.mu.replay, c.mu.asked = false, nil, 0
	case m.WantConfigID != 0:
		c.mu.live = false
		c.mu.asked, c.mu.replay = m.WantConfigID, nil
	}
	c.nudge()
}

// packetLocked takes a packet for the air, or says why not.
func (c *client) packetLocked(p *meshtastic.Packet) {
	s := c.server
	q, e := s.judge(c.scope, p, s.mu.book.self)
	if e == meshtastic.ErrorNone && !s.mu.live {
		e = meshtastic.ErrorNoInterface
	}
	if e != meshtastic.ErrorNone {
		if e == meshtastic.ErrorNotAuthorized {
			s.mu.status.Refused++
		}
		c.statusLocked(meshtastic.ErrorNone, p.ID)
		c.routingLocked(p.ID, e)
		return
	}
	now := time.Now()
	same := sentID{p.ID, sha256.Sum256(meshtastic.AppendPacket(nil, q)), now}
	s.mu.sent = slices.DeleteFunc(s.mu.sent, func(o sentID) bool { return now.Sub(o.at) > idsFor })
	if p.ID != 0 && slices.ContainsFunc(s.mu.sent, func(o sentID) bool { return o.id == same.id && o.data == same.data }) {
		c.statusLocked(meshtastic.ErrorNone, p.ID) // said before: it is on its way
		return
	}
	if len(c.mu.send) >= sendSize {
		c.statusLocked(meshtastic.ErrorBadRequest, p.ID)
		return
	}
	if s.mu.sent = append(s.mu.sent, same); len(s.mu.sent) > idsKept {
		s.mu.sent = slices.Delete(s.mu.sent, 0, 1)
	}
	if q.To != meshtastic.Broadcast && q.To != s.mu.book.self && q.Data.Port == meshtastic.PortText && !c.partnerLocked(q.To) {
		if c.mu.with = append(c.mu.with, q.To); len(c.mu.with) > maxPartners {
			c.mu.with = slices.Delete(c.mu.with, 0, 1)
		}
	}
	c.mu.send = append(c.mu.send, q)
	c.statusLocked(meshtastic.ErrorNone, p.ID)
	s.nudge()
}

// partnerLocked reports whether the client has written to a radio in private.
func (c *client) partnerLocked(num meshtastic.NodeNum) bool { return slices.Contains(c.mu.with, num) }

// statusLocked answers as the radio's queue does; the queue is the client's own.
func (c *client) statusLocked(result meshtastic.RoutingError, id uint32) {
	c.answerLocked(&meshtastic.FromRadio{QueueStatus: &meshtastic.QueueStatus{
		Result: result, Free: uint32(sendSize - len(c.mu.send)), MaxLen: sendSize, ID: id,
	}})
}

// routingLocked answers as the radio does about a packet.
func (c *client) routingLocked(id uint32, e meshtastic.RoutingError) {
	if id == 0 {
		return
	}
	self := c.server.mu.book.self
	c.answerLocked(&meshtastic.FromRadio{Packet: &meshtastic.Packet{
		From: self, To: self, ID: id ^ 0x5a5a5a5a, Priority: 120,
		Data: &meshtastic.Data{Port: meshtastic.PortRouting, Payload: meshtastic.AppendRouting(nil, e), RequestID: id},
	}})
}

// answerLocked queues an answer; the oldest go when nobody reads them.
func (c *client) answerLocked(m *meshtastic.FromRadio) {
	if len(c.mu.answers) >= answersSize {
		c.mu.answers = slices.Delete(c.mu.answers, 0, 1)
		c.server.mu.status.Dropped++
	}
	c.mu.answers = append(c.mu.answers, meshtastic.AppendFromRadio(nil, m))
	c.nudge()
}

// putLocked queues what the radio heard. As in the firmware, a text that finds
// no room pushes out the oldest text, and anything else is dropped.
func (c *client) putLocked(raw []byte, text bool) {
	if len(c.mu.queue) >= queueSize {
		c.server.mu.status.Dropped++
		if !text {
			return
		}
		oldest := max(0, slices.IndexFunc(c.mu.queue, func(i item) bool { return i.text }))
		c.mu.queue = slices.Delete(c.mu.queue, oldest, oldest+1)
	}
	c.mu.queue = append(c.mu.queue, item{raw, text})
	c.nudge()
}

// restartLocked has the client ask for the account again.
func (c *client) restartLocked() {
	c.mu.told, c.mu.live, c.mu.replay = false, false, nil
	c.answerLocked(&meshtastic.FromRadio{Rebooted: true})
}

func (c *client) nudge() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// write sends what there is for the client, one message at a time.
func (c *client) write(done <-chan struct{}) error {
	for {
		raw := c.next()
		if raw == nil {
			select {
			case <-done:
				return nil
			case <-c.wake:
			}
			continue
		}
		_ = c.conn.SetWriteDeadline(time.Now().Add(writeWait))
		if _, err := c.conn.Write(meshtastic.AppendFrame(nil, raw)); err != nil {
			return fmt.Errorf("write to a client: %w", err)
		}
	}
}

// next returns the next message for the client, nil when there is none.
func (c *client) next() []byte {
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.mu.asked != 0 && c.mu.replay == nil {
		if c.mu.replay = s.mu.book.replay(c.mu.asked, c.scope); c.mu.replay != nil {
			c.mu.asked, c.mu.told = 0, true
		}
	}
	var raw []byte
	switch {
	case len(c.mu.answers) > 0:
		raw, c.mu.answers = c.mu.answers[0], c.mu.answers[1:]
	case len(c.mu.replay) > 0:
		raw, c.mu.replay = c.mu.replay[0], c.mu.replay[1:]
		if len(c.mu.replay) == 0 {
			c.mu.replay, c.mu.live = nil, true
		}
	case c.mu.live && len(c.mu.queue) > 0:
		raw, c.mu.queue = c.mu.queue[0].raw, c.mu.queue[1:]
	default:
		return nil
	}
	c.mu.lastID++
	out, err := meshtastic.WithID(raw, c.mu.lastID)
	if err != nil || len(out) > meshtastic.MaxPacket {
		return raw // as it was
	}
	return out
}

func (s *Server) refused() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.status.Refused++
}
