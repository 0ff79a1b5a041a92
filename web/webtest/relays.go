package webtest

import (
	"context"
	"slices"
	"strings"

	"drey/mesh"
	"drey/web"
)

// AddRelay implements web.Relaying.
func (n *Node) AddRelay(_ context.Context, url string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !strings.HasPrefix(url, "ws") {
		return web.NewError(web.CodeUsage, "this is no relay", url, "relays look like wss://relay.example.org", nil)
	}
	n.mu.town.Relays = append(n.mu.town.Relays, web.RelayStatus{URL: url, State: "connecting"})
	return n.mu.fail
}

// RemoveRelay implements web.Relaying.
func (n *Node) RemoveRelay(_ context.Context, url string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	i := n.relayLocked(url)
	if i < 0 {
		return mesh.ErrNotFound
	}
	n.mu.town.Relays = slices.Delete(slices.Clone(n.mu.town.Relays), i, i+1)
	return n.mu.fail
}

// PauseRelay implements web.Relaying.
func (n *Node) PauseRelay(_ context.Context, url string, paused bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	i := n.relayLocked(url)
	if i < 0 {
		return mesh.ErrNotFound
	}
	n.mu.town.Relays = slices.Clone(n.mu.town.Relays)
	n.mu.town.Relays[i].Paused = paused
	return n.mu.fail
}

// TestRelay implements web.Relaying.
func (n *Node) TestRelay(_ context.Context, url string) (*web.RelayTest, error) {
	return &web.RelayTest{URL: url, OK: true, Steps: []web.RelayStep{{Name: "connect", Result: "ok", MS: 1.5, Says: "192.0.2.1:443"}}}, nil
}

func (n *Node) relayLocked(url string) int {
	return slices.IndexFunc(n.mu.town.Relays, func(r web.RelayStatus) bool { return r.URL == url })
}
