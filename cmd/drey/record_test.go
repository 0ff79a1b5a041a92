package main

import (
	"testing"
	"time"

	"drey/mesh"
)

// A node tells of a radio that it has met, not of one that it only looks for.
func TestRecordNamesTheRadio(t *testing.T) {
	t.Parallel()
	n := settleNode(t, "one", nil, func(s *setup) { s.conf.Radio.Device = "auto" })
	if r := n.record(); r.Abilities&mesh.AbleRadio != 0 {
		t.Errorf("without a radio: abilities %s", r.Abilities)
	}
	if err := n.end(); err != nil {
		t.Error(err)
	}
	for _, e := range []struct {
		since time.Duration
		want  bool
	}{{time.Second, true}, {radioWakes, false}} {
		n.parts.clock = func() time.Time { return n.began.Add(e.since) }
		if got := n.abilities(mesh.AbleRadio)&mesh.AbleRadio != 0; got != e.want {
			t.Errorf("%v after a start with a radio: it is told of: %v, want %v", e.since, got, e.want)
		}
	}
}

// A node tells that it is a Nostr relay exactly where it has a port for one.
func TestRecordNamesTheRelay(t *testing.T) {
	t.Parallel()
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
