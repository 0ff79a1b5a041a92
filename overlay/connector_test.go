package overlay

import (
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// A countedConn is a connection with so many streams.
type countedConn struct {
	network.Conn
	streams int
	opened  time.Time
	closed  bool
}

func (c *countedConn) GetStreams() []network.Stream { return make([]network.Stream, c.streams) }
func (c *countedConn) Stat() network.ConnStats {
	return network.ConnStats{Stats: network.Stats{Opened: c.opened}}
}
func (c *countedConn) Close() error { c.closed = true; return nil }

// Of connections that crossed, those that nothing uses go after a while; one
// stays in any case.
func TestSpare(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, c := range []struct {
		streams []int
		age     time.Duration
		closed  []bool
	}{
		{[]int{0}, time.Hour, []bool{false}},
		{[]int{2}, time.Hour, []bool{false}},
		{[]int{0, 2}, time.Hour, []bool{true, false}},
		{[]int{0, 2}, spareFor / 2, []bool{false, false}},
		{[]int{1, 2}, time.Hour, []bool{false, false}},
		{[]int{0, 0}, time.Hour, []bool{false, false}}, // which is to stay is not yet clear
		{[]int{0, 1, 0}, time.Hour, []bool{true, false, true}},
	} {
		var conns []network.Conn
		for _, n := range c.streams {
			conns = append(conns, &countedConn{streams: n, opened: now.Add(-c.age)})
		}
		spare(conns, now)
		var got []bool
		for _, conn := range conns {
			got = append(got, conn.(*countedConn).closed)
		}
		if !slices.Equal(got, c.closed) {
			t.Errorf("streams %v after %v: closed %v, want %v", c.streams, c.age, got, c.closed)
		}
	}
}
