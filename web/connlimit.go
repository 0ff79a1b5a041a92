package web

import (
	"net"
	"net/netip"
	"slices"
	"sync"
)

// Bounds of TCP connections: enough for a street of phones, also where a router
// gives all of them one address, and well below the files a process may open.
const (
	maxConns        = 1500
	maxConnsPerHome = 512 // of one IPv4 address, of one IPv6 network, and of this machine
)

// connLimit closes connections beyond a bound at once. When all are taken, who
// has fewer goes before who has more: the visitor with the most loses his oldest
// one to a newcomer, so that nobody shuts others out by holding on. Connections of
// the machine itself are counted apart and always have room.
type connLimit struct {
	net.Listener
	most, mostEach int

	mu struct {
		sync.Mutex
		all  int                             // without those of the machine itself
		each map[netip.Prefix][]*limitedConn // oldest first
	}
}

func newConnLimit(l net.Listener, most, mostEach int) *connLimit {
	c := &connLimit{Listener: l, most: most, mostEach: mostEach}
	c.mu.each = make(map[netip.Prefix][]*limitedConn)
	return c
}

// Accept returns the next connection within the bounds.
func (l *connLimit) Accept() (net.Conn, error) {
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := addrOf(raw.RemoteAddr().String())
		c := &limitedConn{raw, l, visitorOf(from), from.IsLoopback()}
		ok, gone := l.enter(c)
		if gone != nil {
			gone.Conn.Close()
		}
		if ok {
			return c, nil
		}
		raw.Close()
	}
}

// enter counts a connection if there is room, or if another, gone, makes room
// for it; the caller closes that.
func (l *connLimit) enter(c *limitedConn) (ok bool, gone *limitedConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.mu.each[c.from])
	if n >= l.mostEach {
		return false, nil
	}
	if !c.here && l.mu.all >= l.most {
		for _, list := range l.mu.each {
			if !list[0].here && len(list) > n+1 && (gone == nil || len(list) > len(l.mu.each[gone.from])) {
				gone = list[0]
			}
		}
		if gone == nil {
			return false, nil
		}
		l.removeLocked(gone)
	}
	l.mu.each[c.from] = append(l.mu.each[c.from], c)
	if !c.here {
		l.mu.all++
	}
	return true, gone
}

// removeLocked forgets a connection; one that is not counted is none.
func (l *connLimit) removeLocked(c *limitedConn) {
	i := slices.Index(l.mu.each[c.from], c)
	if i < 0 {
		return
	}
	if !c.here {
		l.mu.all--
	}
	if l.mu.each[c.from] = slices.Delete(l.mu.each[c.from], i, i+1); len(l.mu.each[c.from]) == 0 {
		delete(l.mu.each, c.from)
	}
}

type limitedConn struct {
	net.Conn
	limit *connLimit
	from  netip.Prefix
	here  bool // from this machine
}

// Close closes the connection and makes room for another.
func (c *limitedConn) Close() error {
	c.limit.mu.Lock()
	c.limit.removeLocked(c)
	c.limit.mu.Unlock()
	return c.Conn.Close()
}
