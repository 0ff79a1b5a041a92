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

// thisMachine is the home of all loopback addresses.
var thisMachine = netip.MustParsePrefix("127.0.0.0/8")

// connLimit bounds connections. When all are taken, who has fewer goes before who
// has more: the home with the most loses its oldest one to a newcomer, and in a
// home that has its share, the address with the most does, so that nobody shuts
// others out by holding on. Connections of the machine itself are counted apart.
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
		c := &limitedConn{Conn: raw, limit: l, addr: from, from: visitorOf(from), here: from.IsLoopback()}
		if c.here {
			c.from = thisMachine
		}
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
	var home []*limitedConn // that has to make room
	switch n := len(l.mu.each[c.from]); {
	case n >= l.mostEach:
		home = l.mu.each[c.from]
	case !c.here && l.mu.all >= l.most:
		for _, list := range l.mu.each {
			if !list[0].here && len(list) > max(n+1, len(home)) {
				home = list
			}
		}
		if home == nil {
			return false, nil
		}
	}
	if home != nil {
		gone = c.outOf(home)
		l.removeLocked(gone)
	}
	l.mu.each[c.from] = append(l.mu.each[c.from], c)
	if !c.here {
		l.mu.all++
	}
	return true, gone
}

// outOf returns whose place a connection gets in its home: the oldest of the
// address with the most there, its own before others of as many.
func (c *limitedConn) outOf(home []*limitedConn) (gone *limitedConn) {
	n := make(map[netip.Addr]int)
	for _, x := range home {
		n[x.addr]++
	}
	for _, x := range home {
		if gone == nil || n[x.addr] > n[gone.addr] || n[x.addr] == n[gone.addr] && x.addr == c.addr && gone.addr != c.addr {
			gone = x
		}
	}
	return gone
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
	addr  netip.Addr
	from  netip.Prefix // its home
	here  bool         // from this machine
}

// Close closes the connection and makes room for another.
func (c *limitedConn) Close() error {
	c.limit.mu.Lock()
	c.limit.removeLocked(c)
	c.limit.mu.Unlock()
	return c.Conn.Close()
}
