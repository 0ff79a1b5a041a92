package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"drey/configs"
	"drey/mesh"
	"drey/web"
)

// A resident is a whole node in this process.
type resident struct {
	*parts
	end func() error
}

// settleNode makes a node in a folder of its own, as changes want it, and runs
// it until end.
func settleNode(t *testing.T, name string, join *resident, changes ...func(*setup)) *resident {
	t.Helper()
	h := home(filepath.Join(t.TempDir(), name))
	if err := h.create(); err != nil {
		t.Fatal(err)
	}
	seed, _, err := h.ensureSeed()
	if err != nil {
		t.Fatal(err)
	}
	who, err := seed.Identity()
	if err != nil {
		t.Fatal(err)
	}
	conf := configs.Default()
	conf.Web.Listen, conf.Overlay.Listen, conf.Overlay.LAN, conf.Radio.Device = "127.0.0.1:0", []string{"tls://127.0.0.1:0"}, false, "none"
	set := setup{home: h, conf: conf, who: who, name: name, log: slog.New(slog.DiscardHandler), clock: time.Now, kept: clockSynchronised}
	for _, change := range changes {
		change(&set)
	}
	s := &session{err: t.Output()}
	f := upFlags{}
	if join != nil {
		v, err := api{join.parts}.Invite(t.Context(), web.InviteRequest{TTLMS: 60_000, Uses: 1})
		if err != nil {
			t.Fatal(err)
		}
		f.join = v.URL
	}
	if err := s.belong(t.Context(), set, f); err != nil {
		t.Fatal(err)
	}
	r := begin(t, set)
	if _, err := r.overlay.Host(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

// begin runs the node of a home, and returns when its API answers.
func begin(t *testing.T, set setup) *resident {
	t.Helper()
	m, err := set.home.readMembership()
	if err != nil {
		t.Fatal(err)
	}
	p, err := wire(t.Context(), set, m)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	up, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := p.run(ctx, company{
			ready:  func(context.Context, *parts) error { close(up); return nil },
			reload: func(ctx context.Context, _ *parts) error { <-ctx.Done(); return nil },
		})
		ended <- err
	}()
	end := func() error { stop(); return <-ended }
	select {
	case <-up:
	case err := <-ended:
		t.Fatalf("%s ended: %v", set.name, err)
	}
	return &resident{p, end}
}

// waits follows a node's messages until one says text.
func (r *resident) waits(ctx context.Context, text string) error {
	for rec, err := range r.hub.Watch(ctx, mesh.Filter{Kinds: []mesh.Kind{mesh.KindNote}}, mesh.Self) {
		if err != nil {
			return fmt.Errorf("%s waits for %q: %w", r.name, text, err)
		}
		if rec.Event.Content() == text {
			return nil
		}
	}
	return fmt.Errorf("%s stopped watching", r.name)
}

// TestApp_TwoConcurrentInstances runs two whole nodes in one process: they talk
// to each other, share nothing, and leave no goroutine behind.
func TestApp_TwoConcurrentInstances(t *testing.T) {
	before := goleak.IgnoreCurrent()
	ctx, stop := context.WithTimeout(t.Context(), awaitPatience)
	defer stop()
	one := settleNode(t, "one", nil)
	two := settleNode(t, "two", one)
	for _, from := range []*resident{one, two} {
		to := one
		if from == one {
			to = two
		}
		text := "from " + from.name
		if _, err := (api{from.parts}).Publish(ctx, web.Post{Topic: mesh.TopicCommons, Text: text}); err != nil {
			t.Fatal(err)
		}
		if err := to.waits(ctx, text); err != nil {
			t.Fatal(err)
		}
	}
	st, err := api{two.parts}.Status(ctx)
	if err != nil || st.Community.Name != "one" || st.Community.Members != 2 {
		t.Errorf("two is in %+v, %v", st.Community, err)
	}
	for _, r := range []*resident{two, one} {
		if err := r.end(); err != nil {
			t.Errorf("%s ended with %v", r.name, err)
		}
	}
	goleak.VerifyNone(t, before)
}

// TestDemo plays the whole demonstration.
func TestDemo(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithTimeout(t.Context(), awaitPatience)
	defer stop()
	town := &town{s: &session{out: t.Output(), err: t.Output(), quiet: "error"}, began: time.Now()}
	if err := town.play(ctx); err != nil {
		t.Fatal(err)
	}
}

// TestTopicsAreTheSameEverywhere holds the rule that configs repeats, as it
// imports none of ours, to the one of mesh.
func TestTopicsAreTheSameEverywhere(t *testing.T) {
	for _, s := range []string{"commons", "town/alerts", "a-1/b", "", "Town", "a b", "ä", "a_b", fmt.Sprintf("%065d", 0), fmt.Sprintf("%064d", 0)} {
		c := configs.Default()
		c.Web.GuestTopics = []string{s}
		_, err := mesh.ParseTopic(s)
		if (c.Validate() == nil) != (err == nil) {
			t.Errorf("topic %q: configs says %v, mesh %v", s, c.Validate(), err)
		}
	}
}
