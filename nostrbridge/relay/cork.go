package relay

import (
	"bufio"
	"net"
	"net/http"
	"sync"
	"time"
)

// corkMost is how many bytes gather before they are sent all the same.
const corkMost = 32 << 10

// A corked connection can gather what is written and send it in one piece: a
// call to the system for each small message costs more than the message.
type corked struct {
	net.Conn

	mu struct {
		sync.Mutex
		on  bool
		buf []byte
	}
}

// Write implements net.Conn. What gathers is reported as written; uncork tells
// whether it was.
func (c *corked) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.mu.on {
		return c.Conn.Write(b)
	}
	c.mu.buf = append(c.mu.buf, b...)
	if len(c.mu.buf) < corkMost {
		return len(b), nil
	}
	return len(b), c.flushLocked()
}

func (c *corked) cork() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.on = true
}

// uncork sends what has gathered, within writeFor.
func (c *corked) uncork() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.on = false
	err := c.flushLocked()
	c.mu.buf = nil // an idle connection holds nothing
	return err
}

func (c *corked) flushLocked() error {
	if len(c.mu.buf) == 0 {
		return nil
	}
	if err := c.SetWriteDeadline(time.Now().Add(writeFor)); err != nil {
		return err
	}
	_, err := c.Conn.Write(c.mu.buf)
	c.mu.buf = c.mu.buf[:0]
	if err != nil {
		return err
	}
	return c.SetWriteDeadline(time.Time{})
}

// A hijacker gives a websocket a corked connection.
type hijacker struct {
	http.ResponseWriter
	conn *corked // once it was asked
}

// Hijack implements http.Hijacker.
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.conn = &corked{Conn: conn}
	rw.Writer.Reset(h.conn)
	return h.conn, rw, nil
}
