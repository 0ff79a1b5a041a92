package pool

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// clients make the connections.
type clients struct {
	wanted *http.Client // to where the operator said
	visit  *http.Client // to where strangers said
	own    bool         // made here, not by the caller
}

func newClients(c Config) clients {
	if c.Client != nil {
		return clients{wanted: c.Client, visit: c.Client}
	}
	k := clients{wanted: newClient(nil), own: true}
	k.visit = k.wanted
	if !c.Private {
		k.visit = newClient(onlyPublic)
		// A proxy would be dialled in the relay's place, and nobody would look
		// where it leads.
		k.visit.Transport.(*http.Transport).Proxy = nil
	}
	return k
}

// newClient returns a client that follows no redirect: a relay's address is
// where it is.
func newClient(control func(context.Context, string, string, syscall.RawConn) error) *http.Client {
	d := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second, ControlContext: control}
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            d.DialContext,
			TLSHandshakeTimeout:    dialTimeout,
			ResponseHeaderTimeout:  dialTimeout,
			MaxResponseHeaderBytes: 32 << 10,
			DisableKeepAlives:      true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("the relay redirects elsewhere") },
	}
}

// onlyPublic refuses to connect to what is no address of the internet: machines
// of the local network are not a stranger's to call.
func onlyPublic(_ context.Context, _, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if ip := at.Addr().Unmap(); !public(ip) {
		return fmt.Errorf("%s is no public address", ip)
	}
	return nil
}

func public(ip netip.Addr) bool {
	if !ip.IsGlobalUnicast() || ip.IsPrivate() {
		return false
	}
	for _, p := range notPublic {
		if p.Contains(ip) {
			return false
		}
	}
	return true
}

// notPublic are the special ranges (RFC 6890) that netip's words leave out:
// carriers' NAT, tests, NAT64, and Yggdrasil's own, 200::/7.
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("200::/7"),
	netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("2001::/32"),
}

func (k clients) close() {
	if k.own {
		k.wanted.CloseIdleConnections()
		k.visit.CloseIdleConnections()
	}
}
