package main

import (
	"context"
	"testing"
	"time"
)

// TestTogether has machines leave: one without a radio lacks nothing that the
// radio could bring; one that has not said whether it has one may.
func TestTogether(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithTimeout(t.Context(), awaitPatience)
	defer stop()
	one := settleNode(t, "one", nil)
	defer one.end()
	if !one.together() {
		t.Error("whoever is alone lacks somebody")
	}
	two := settleNode(t, "two", one)
	three := settleNode(t, "three", one)
	await := func(what string, ok func() bool) {
		t.Helper()
		for !ok() {
			if !pause(ctx, 5*time.Millisecond) {
				t.Fatalf("%s: not seen", what)
			}
		}
	}
	met := func(r *resident) bool { return one.overlay.Met(r.who.NodeKey()) }
	await("both machines connected", func() bool { return met(two) && met(three) })
	if !one.together() {
		t.Error("two is lacking, or three")
	}
	if err := two.publishRecord(ctx, two.record()); err != nil {
		t.Fatal(err)
	}
	await("two's word that it has no radio", func() bool { return !one.mayHaveRadio(two.who.Author.PubKey()) })
	if err := two.end(); err != nil {
		t.Error(err)
	}
	await("two gone", func() bool { return !met(two) })
	if !one.together() {
		t.Error("two is lacking, which has no radio")
	}
	if err := three.end(); err != nil {
		t.Error(err)
	}
	await("three gone", func() bool { return !met(three) })
	if one.together() == one.mayHaveRadio(three.who.Author.PubKey()) { // it had time to say that it has none, or not
		t.Errorf("three may have a radio: %v, and so it is lacking or not", one.mayHaveRadio(three.who.Author.PubKey()))
	}
}
