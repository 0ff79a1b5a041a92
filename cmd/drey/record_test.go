package main

import (
	"testing"

	"drey/mesh"
)

// A node tells that it is a Nostr relay exactly where it has a port for one.
func TestRecordNamesTheRelay(t *testing.T) {
	for listen, want := range map[string]bool{"127.0.0.1:0": true, "none": false} {
		n := settleNode(t, "one", nil, func(s *setup) { s.conf.Web.Listen = listen })
		if r := n.record(); (r.Abilities&mesh.AbleRelay != 0) != want {
			t.Errorf("web.listen = %q: abilities %s, want a relay: %v", listen, r.Abilities, want)
		}
		if err := n.end(); err != nil {
			t.Error(err)
		}
	}
}
