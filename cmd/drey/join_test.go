package main

import (
	"slices"
	"testing"

	"drey/mesh"
)

// TestUnderlays checks what a joiner calls of an inviter's record: neither
// pages nor addresses that mean nothing without a zone.
func TestUnderlays(t *testing.T) {
	r := &mesh.PeerRecord{}
	for _, uri := range []string{"tls://192.0.2.7:3740", "tls://[fe80::1]:3740", "tls://[2001:db8::7]:3740", "tls://drey.example.org:3740", "http://192.0.2.7:3739"} {
		e, err := mesh.ParseEndpoint(uri)
		if err != nil {
			t.Fatal(err)
		}
		r.Endpoints = append(r.Endpoints, e)
	}
	key := "?key=" + r.Node.String()
	want := []string{"tls://192.0.2.7:3740" + key, "tls://[2001:db8::7]:3740" + key, "tls://drey.example.org:3740" + key}
	if got := underlays(r); !slices.Equal(got, want) {
		t.Errorf("underlays: got %q, want %q", got, want)
	}
}
