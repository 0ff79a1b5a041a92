//go:build e2e

package netns

import "testing"

// A Trunk joins two switches, so that all machines on them share one network
// while it is up.
type Trunk struct {
	near *Switch
	port string
}

// NewTrunk joins two switches by a cable, which is up.
func NewTrunk(t testing.TB, a, b *Switch) *Trunk {
	t.Helper()
	one, two := short("ta"), short("tb")
	run(t, "ip", "link", "add", one, "netns", a.m.Name, "type", "veth", "peer", "name", two, "netns", b.m.Name)
	a.m.Run("ip", "link", "set", one, "master", a.bridge)
	b.m.Run("ip", "link", "set", two, "master", b.bridge)
	a.m.Run("ip", "link", "set", one, "up")
	b.m.Run("ip", "link", "set", two, "up")
	return &Trunk{near: a, port: one}
}

// Cut takes the cable down: what is under way is lost, and nobody is told.
func (k *Trunk) Cut() { k.near.m.Run("ip", "link", "set", k.port, "down") }

// Mend takes the cable up again.
func (k *Trunk) Mend() { k.near.m.Run("ip", "link", "set", k.port, "up") }
