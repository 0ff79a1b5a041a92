package overlay

import (
	"context"
	"errors"
	"net"
	"testing"
)

// A call makes one link, says whose it is, and is not made again by itself.
func TestCallMakesOneLink(t *testing.T) {
	one, two := testKey(t, 1), testKey(t, 2)
	roster := newTestRoster("town", publicOf(one), publicOf(two))
	a := start(t, Config{Key: one, Roster: roster})
	b := start(t, Config{Key: two, Roster: roster})
	changed := a.LinksChanged()
	uri := b.Listening()[0]
	key, err := a.Call(t.Context(), uri, "mdns")
	if err != nil || key != b.Key() {
		t.Fatalf("Call says %v, %v, want %v", key, err, b.Key())
	}
	<-changed
	if l := a.Links(); len(l) != 1 || !l[0].Up || l[0].Source != "mdns" || !l[0].Remote.IsLoopback() || !a.Linked(b.Key()) {
		t.Errorf("links %+v", l)
	}
	if _, err := a.Call(t.Context(), uri, "dns"); !errors.Is(err, ErrCalled) {
		t.Errorf("a second call says %v, want ErrCalled", err)
	}
	if err := a.Meet(t.Context(), b.Key()); err != nil || !a.Met(b.Key()) {
		t.Errorf("Meet says %v, met %v", err, a.Met(b.Key()))
	}
	changed = a.LinksChanged()
	if err := a.RemovePeer(uri); err != nil {
		t.Error(err)
	}
	<-changed
	until(t, "the link is gone for good", func() bool { return len(a.Links()) == 0 && !a.Linked(b.Key()) })
}

// A call that nobody answers as who he should be fails with the reason.
func TestCallFails(t *testing.T) {
	one, two, three := testKey(t, 1), testKey(t, 2), testKey(t, 3)
	roster := newTestRoster("town", publicOf(one), publicOf(two))
	a := start(t, Config{Key: one, Roster: roster})
	b := start(t, Config{Key: two, Roster: roster})
	p, err := parsePeering(b.Listening()[0])
	if err != nil {
		t.Fatal(err)
	}
	if key, err := a.Call(t.Context(), p.uri+"?key="+publicOf(three).String(), "dns"); err == nil {
		t.Errorf("another key answered as %v", key)
	}
	if key, err := a.Call(t.Context(), a.Listening()[0], "dns"); !errors.Is(err, errSelf) {
		t.Errorf("this node itself answered as %v, %v", key, err)
	}
	hole, err := net.Listen("tcp", "127.0.0.1:0") // accepts in the kernel, says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer hole.Close()
	ctx, cancel := context.WithCancel(t.Context())
	given := make(chan error, 1)
	go func() {
		_, err := a.Call(ctx, "tls://"+hole.Addr().String(), "dns")
		given <- err
	}()
	if _, err := hole.Accept(); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-given; !errors.Is(err, context.Canceled) {
		t.Errorf("a call given up says %v", err)
	}
	until(t, "nothing is being called", func() bool { return len(a.Links()) == 0 })
}
