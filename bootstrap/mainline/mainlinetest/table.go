// Package mainlinetest makes BitTorrent's distributed table on loopback out of
// foreign nodes: those of github.com/anacrolix/dht.
package mainlinetest

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/anacrolix/dht/v2"
	"github.com/anacrolix/dht/v2/bep44"
	"golang.org/x/time/rate"
)

// Table runs n nodes that know each other until the test ends, and returns
// where they are.
func Table(t testing.TB, n int) []netip.AddrPort {
	t.Helper()
	var all []netip.AddrPort
	var servers []*dht.Server
	for range n {
		conn, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s, err := dht.NewServer(&dht.ServerConfig{
			Conn: conn, NoSecurity: true, StartingNodes: func() ([]dht.Addr, error) { return nil, nil },
			Store: bep44.NewMemory(), Exp: 2 * time.Hour, SendLimiter: rate.NewLimiter(rate.Inf, 1),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		servers, all = append(servers, s), append(all, conn.LocalAddr().(*net.UDPAddr).AddrPort())
	}
	for i, s := range servers {
		for j := range servers {
			if i == j {
				continue
			}
			if err := s.Ping(net.UDPAddrFromAddrPort(all[j])).ToError(); err != nil {
				t.Fatal(err)
			}
		}
	}
	return all
}
