package main

import (
	"context"
	"slices"
	"testing"
	"time"

	"drey/mesh"
	"drey/web"
)

// TestBanCutsAtOnce bans a machine that is connected: its connection is closed
// at the machine that decided, none stands at one that only heard of it, and what the
// banned machine says afterwards counts nowhere.
func TestBanCutsAtOnce(t *testing.T) {
	t.Parallel()
	one := settleNode(t, "one", nil)
	defer one.end()
	two := settleNode(t, "two", one)
	defer two.end()
	three := settleNode(t, "three", one)
	defer three.end()
	ctx, stop := context.WithTimeout(t.Context(), awaitPatience)
	defer stop()
	until := func(what string, ok func() bool) {
		t.Helper()
		for !ok() {
			if !pause(ctx, time.Millisecond) {
				t.Fatal(what)
			}
		}
	}
	thief := two.who.NodeKey()
	linked := func(r *resident) bool { return slices.Contains(r.overlay.Connected(), thief) }
	until("the machines do not meet", func() bool { return linked(one) && one.gossip.Status().Peers == 2 })

	began := time.Now()
	one.decide(t, web.MemberChange{Op: web.OpBan, Who: "two", Reason: "stolen"})
	until("the connection stays", func() bool { return !linked(one) })
	cut := time.Since(began)
	until("the other machine does not hear of it", func() bool { return three.book.Banned(thief, mesh.PubKey{}) && !linked(three) })
	t.Logf("cut after %v where it was decided, known at another machine after %v", cut, time.Since(began))
	if cut > 5*time.Second {
		t.Errorf("it took %v to cut the connection", cut)
	}
	e, err := two.who.Author.Sign(mesh.Draft{CreatedAt: two.now(), Kind: mesh.KindNote, Content: "hello", Tags: [][]string{{"t", "commons"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := three.accept(ctx, e); err == nil {
		t.Error("what a banned machine says was taken")
	}
}

// TestTwoAdminsAgainstEachOther lets two islands ban each other's admin and
// rotate: when they meet, both agree on who belongs and on the secret.
func TestTwoAdminsAgainstEachOther(t *testing.T) {
	t.Parallel()
	one := settleNode(t, "one", nil)
	defer one.end()
	two := settleNode(t, "two", one)
	defer two.end()
	ctx, stop := context.WithTimeout(t.Context(), awaitPatience)
	defer stop()
	one.decide(t, web.MemberChange{Op: web.OpAdmit, Who: "two", Admin: true})
	for two.book.Standing(two.who.Author.PubKey(), time.Now()) != mesh.Admin {
		if !pause(ctx, 5*time.Millisecond) {
			t.Fatal("the promotion does not come")
		}
	}
	// Each decides without the other's knowledge: the drafts are made before
	// either is published.
	at := one.now()
	both := two.book.Nodes()
	byOne, err := one.book.DraftRotation(mesh.Secret{1}, both, time.Hour, at)
	if err != nil {
		t.Fatal(err)
	}
	byTwo, err := two.book.DraftRotation(mesh.Secret{2}, both, time.Hour, at)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range byOne {
		if _, err := one.say(ctx, mesh.TopicRegistry, d); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range byTwo {
		if _, err := two.say(ctx, mesh.TopicRegistry, d); err != nil {
			t.Fatal(err)
		}
	}
	// The founder is nearest to itself, so its secret is in force.
	for one.secrets()[0] != (mesh.Secret{1}) || two.secrets()[0] != (mesh.Secret{1}) || len(one.secrets()) != len(two.secrets()) {
		if !pause(ctx, 5*time.Millisecond) {
			t.Fatalf("the secrets in force differ, or the overlaps: %d and %d are held", len(one.secrets()), len(two.secrets()))
		}
	}
}
