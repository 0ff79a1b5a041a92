//go:build e2e

package finders

import (
	"fmt"
	"testing"
	"time"

	"drey/web"
)

// Forty machines of a town get their power back at the same moment. No router
// gives out addresses: each has its link-local one only. No clock is right:
// each says some day of 2024. All they have is what they remember, and every
// finder but that memory is off. They are one community within a minute.
func TestFortyMachinesColdFromCache(t *testing.T) {
	const many, limit = 40, time.Minute
	net := newNetwork(t)
	net.bare = true
	var nodes []*node
	for i := range many {
		n, _ := net.node(fmt.Sprintf("n%d", i), "--open", "town")
		nodes = append(nodes, n)
	}
	// The years before: each has met a few of the others, the next four on the
	// street. Nobody has met everybody.
	const street = 5
	for i := 0; i < many; i += street - 1 {
		var block []*node
		for j := range street {
			block = append(block, nodes[(i+j)%many])
		}
		for _, n := range block {
			n.only("broadcast").launch("--web", "none")
		}
		for _, n := range block {
			n.await("has met its block", func(st *web.Status) bool { return st.PubSub.Peers >= street-1 && st.Finding.Known >= street-1 })
		}
		stopAll(block...)
	}
	began := time.Now()
	for i, n := range nodes {
		day := time.Date(2024, 1, 1+7*i%300, 3, 0, 0, 0, time.UTC).Format(time.RFC3339)
		n.with("BOOTSTRAP__FINDERS=cache", "E2E_CLOCK="+day).launch("--web", "none")
	}
	// One community: what each of them says reaches all the others.
	for _, n := range nodes {
		n.await("answers", func(*web.Status) bool { return true })
	}
	started := time.Since(began)
	for i, n := range nodes {
		n.says("pub", "commons", fmt.Sprintf("here is %d", i))
	}
	for _, n := range nodes {
		n.await("holds what everybody said", func(st *web.Status) bool { return n.notes() >= many })
	}
	took := time.Since(began)
	t.Logf("%d machines: all answer after %v, all hold what each has said after %v (limit %v)", many, started.Round(time.Millisecond), took.Round(time.Millisecond), limit)
	if err := late(took, limit, 0); err != nil {
		t.Error(err)
	}
	for _, n := range nodes {
		n.links("cache")
	}
}
