package overlay

import (
	"bufio"
	"net"
	"sync"
)

// A corked sits between TLS and TCP. TLS writes records of 16 kB one by one
// and reads them so too; corked hands the kernel many at a time, which saves
// most of the system calls and wake-ups of a busy link.
type corked struct {
	net.Conn
	in *bufio.Reader // the reader's own

	mu struct {
		sync.Mutex
		corked bool
		held   []byte // written while corked
	}
}

func newCorked(conn net.Conn) *corked {
	return &corked{Conn: conn, in: bufio.NewReaderSize(conn, 64<<10)}
}

func (c *corked) Read(p []byte) (int, error) { return c.in.Read(p) }

// Write holds p back while corked, else sends it at once.
func (c *corked) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.corked {
		c.mu.held = append(c.mu.held, p...)
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// cork holds writes back until uncork.
func (c *corked) cork() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.corked = true
}

// uncork sends what was held back.
func (c *corked) uncork() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.corked = false
	_, err := c.Conn.Write(c.mu.held)
	if c.mu.held = c.mu.held[:0]; cap(c.mu.held) > 4*keepBuffer {
		c.mu.held = nil
	}
	return err
}
