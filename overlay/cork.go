package overlay

import (
	"net"
	"sync"
)

// corkSize is how much a busy connection reads at once, in bytes.
const corkSize = 64 << 10

// A corked sits between TLS and TCP. TLS writes records of 16 kB one by one
// and reads them so too; corked hands the kernel many at a time, which saves
// most of the system calls and wake-ups of a busy link. An idle one holds no
// buffer.
type corked struct {
	net.Conn
	pool *sync.Pool // of *[corkSize]byte

	// The reader's own.
	full   bool            // the last read filled what it was given: more is likely there
	buffer *[corkSize]byte // nil while idle
	unread []byte          // of buffer

	mu struct {
		sync.Mutex
		corked bool
		held   []byte // written while corked
	}
}

func newCorked(conn net.Conn, pool *sync.Pool) *corked { return &corked{Conn: conn, pool: pool} }

func newCorkPool() *sync.Pool { return &sync.Pool{New: func() any { return new([corkSize]byte) }} }

// Read reads straight into p until that is too small for what comes, and
// through a large buffer for as long as one is filled.
func (c *corked) Read(p []byte) (int, error) {
	if len(c.unread) > 0 {
		n := copy(p, c.unread)
		c.unread = c.unread[n:]
		return n, nil
	}
	if !c.full || len(p) >= corkSize {
		c.release()
		n, err := c.Conn.Read(p)
		c.full = n == len(p)
		return n, err
	}
	if c.buffer == nil {
		c.buffer = c.pool.Get().(*[corkSize]byte)
	}
	n, err := c.Conn.Read(c.buffer[:])
	c.full = n > len(p)
	k := copy(p, c.buffer[:n])
	c.unread = c.buffer[k:n]
	if k < n {
		return k, nil // an error comes again
	}
	return k, err
}

func (c *corked) release() {
	if c.buffer != nil {
		c.pool.Put(c.buffer)
		c.buffer, c.unread = nil, nil
	}
}

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

// relax lets go of what only a busy link needs.
func (c *corked) relax() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.mu.corked {
		c.mu.held = nil
	}
}
