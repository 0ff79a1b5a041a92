package web

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// hosts decides which Host headers are ours. Without it a website could point
// its own name at this machine and let a visitor's browser talk to it (DNS
// rebinding).
type hosts struct {
	names []string // immutable, lower case

	mu struct {
		sync.Mutex
		own   []netip.Addr // of this machine's interfaces
		asked time.Time
	}
}

func newHosts(name string, more []string) *hosts {
	h := &hosts{names: []string{"localhost"}}
	if label := hostLabel(name); label != "" {
		h.names = append(h.names, label+".local")
	}
	if machine, err := os.Hostname(); err == nil {
		machine = strings.ToLower(machine)
		label, _, _ := strings.Cut(machine, ".")
		h.names = append(h.names, machine, label+".local")
	}
	for _, m := range more {
		h.names = append(h.names, strings.TrimSuffix(strings.ToLower(m), "."))
	}
	return h
}

// hostLabel makes a DNS label of a node's name: "Old School" is "old-school".
func hostLabel(name string) string {
	label := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(name))
	return strings.Trim(label, "-")
}

// ours reports whether a request for host, on a connection to the address
// local, was meant for this node.
func (h *hosts) ours(host string, local netip.Addr, now time.Time) bool {
	name := host
	if n, _, err := net.SplitHostPort(host); err == nil {
		name = n
	}
	name = strings.TrimSuffix(strings.ToLower(strings.Trim(name, "[]")), ".")
	if slices.Contains(h.names, name) {
		return true
	}
	a, err := netip.ParseAddr(name)
	if err != nil {
		return false
	}
	a = a.Unmap().WithZone("")
	return a.IsLoopback() || a == local || slices.Contains(h.addresses(now), a)
}

// Ours reports whether a host, without its port, is one of this machine's names
// and addresses.
func (s *Server) Ours(host string) bool { return s.hosts.ours(host, netip.Addr{}, s.now()) }

// addressesFor is how long the list of own addresses is believed.
const addressesFor = 10 * time.Second

// addresses lists the addresses of this machine.
func (h *hosts) addresses(now time.Time) []netip.Addr {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mu.own != nil && now.Sub(h.mu.asked) < addressesFor && !now.Before(h.mu.asked) {
		return h.mu.own
	}
	list, err := net.InterfaceAddrs()
	if err != nil {
		return h.mu.own
	}
	own := make([]netip.Addr, 0, len(list))
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			own = append(own, p.Addr().Unmap().WithZone(""))
		}
	}
	h.mu.own, h.mu.asked = own, now
	return own
}

// pageURLs lists the addresses at which a phone may find the page: those of
// this machine's own networks, IPv4 first as people can type it. Without a
// network the page is still there for who sits at this machine.
func (h *hosts) pageURLs(bound net.Addr, now time.Time) []string {
	tcp, ok := bound.(*net.TCPAddr)
	if !ok {
		return nil
	}
	candidates := h.addresses(now)
	if at, ok := netip.AddrFromSlice(tcp.IP); ok && !at.IsUnspecified() {
		candidates = []netip.Addr{at.Unmap()}
	}
	var v4, v6 []string
	here := !slices.ContainsFunc(candidates, func(a netip.Addr) bool { return !a.IsLoopback() && !a.IsLinkLocalUnicast() })
	for _, a := range candidates {
		url := fmt.Sprintf("http://%s/", netip.AddrPortFrom(a, uint16(tcp.Port)))
		switch {
		case a.IsLinkLocalUnicast(), a.IsLoopback() && !here:
		case a.Is4():
			v4 = append(v4, url)
		default:
			v6 = append(v6, url)
		}
	}
	return append(v4, v6...)
}

// guard refuses what was not meant for this node before anything else sees
// it, and puts the headers on that keep browsers strict.
func (s *Server) guard(next http.Handler) http.Handler {
	cross := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k, _ := r.Context().Value(connKey{}).(conn)
		if k.tls != nil {
			r.TLS = k.tls() // what the rest of the program asks
		}
		head := w.Header()
		head.Set("X-Content-Type-Options", "nosniff")
		head.Set("Referrer-Policy", "same-origin") // with less, browsers name no origin when a form is posted in the clear
		head.Set("Cross-Origin-Resource-Policy", "same-origin")
		head.Set("Cache-Control", "no-store")
		if !k.socket && !isInvite(r.URL.Path) && !s.hosts.ours(r.Host, k.local, s.now()) {
			s.fail(w, r, NewError(CodeForeignHost, fmt.Sprintf("this is not %.100q", r.Host),
				"the request was meant for another name than this node's",
				"open the page by its IP address, or add the name to web.hosts in the configuration", nil))
			return
		}
		if err := cross.Check(r); err != nil {
			s.fail(w, r, NewError(CodeCrossSite, "another website tried to send this", err.Error(), "open the page itself and try again", nil))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isInvite reports whether a path belongs to the invite door. It is open under
// any name: what it hands out is sealed for whoever holds the token.
func isInvite(path string) bool {
	return strings.HasPrefix(path, "/J/") || strings.HasPrefix(path, "/j/")
}
