package main

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"drey/configs"
	"drey/mesh"
	"drey/nostrbridge/pool"
	"drey/web"
)

func TestRelayCheck(t *testing.T) {
	relay := func(up, paused bool, err string) web.RelayStatus {
		return web.RelayStatus{URL: "wss://r.example", Up: up, Paused: paused, Error: err}
	}
	for _, tt := range []struct {
		name  string
		state pool.Health
		age   time.Duration
		all   []web.RelayStatus
		want  string // the code; "" where all is well
		says  string
	}{
		{"off", pool.Off, time.Hour, nil, "", ""},
		{"up", pool.Up, time.Hour, []web.RelayStatus{relay(true, false, ""), relay(false, true, "")}, "", "2 relays connected"},
		{"just begun", pool.Down, time.Second, []web.RelayStatus{relay(false, false, "")}, "", "connecting"},
		{"one of two", pool.Degraded, time.Hour, []web.RelayStatus{relay(true, false, ""), relay(false, false, "connection refused"), relay(false, true, "")}, "relays-degraded", "1 of 2 relays away"},
		{"all refuse", pool.Down, time.Hour, []web.RelayStatus{relay(false, false, "connection refused"), relay(false, false, "")}, "relays-down", "none of 2 relays"},
		{"one is not found", pool.Down, time.Hour, []web.RelayStatus{relay(false, false, "dial tcp: lookup r.example: no such host"), relay(false, false, "refused")}, "relays-down", "none of 2 relays"},
		{"no internet", pool.Down, time.Hour, []web.RelayStatus{relay(false, false, "dial tcp: lookup r.example: no such host"), relay(false, false, "connect: network is unreachable")}, "relays-unreachable", "no internet"},
	} {
		checks := relayCheck(web.NostrStatus{State: string(tt.state), Relays: tt.all}, tt.age)
		switch {
		case tt.says == "" && len(checks) == 0:
		case len(checks) != 1:
			t.Errorf("%s: %+v", tt.name, checks)
		case tt.want == "":
			if c := checks[0]; !c.OK || !strings.Contains(c.Detail, tt.says) {
				t.Errorf("%s: %+v", tt.name, c)
			}
		default:
			c := checks[0]
			if c.OK || c.Problem.Code != tt.want || !strings.Contains(c.Problem.What, tt.says) || c.Problem.Fix == "" {
				t.Errorf("%s: %+v", tt.name, c.Problem)
			}
			if _, known := explain(tt.want); !known {
				t.Errorf("%s: drey help %s knows nothing", tt.name, tt.want)
			}
		}
	}
}

// Three dead relays are DEGRADED, a problem that status and doctor name with what
// to do, half a minute after the start; the node's own work goes on.
func TestThreeDeadRelays(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64 // of the machine's clock
	n := settleNode(t, "gateway", nil, func(s *setup) {
		s.clock = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		s.conf.Nostr.Gateway, s.conf.Nostr.Relays = true, []string{"ws://127.0.0.1:1", "ws://127.0.0.1:2", "ws://127.0.0.1:3"}
	})
	defer n.end()
	ctx, stop := context.WithTimeout(t.Context(), awaitPatience)
	defer stop()
	for {
		change, failed := n.pool.Changed(), 0
		for _, r := range n.pool.Relays() {
			if r.State == pool.Failed {
				failed++
			}
		}
		if failed == 3 {
			break
		}
		select {
		case <-change:
		case <-ctx.Done():
			t.Fatalf("%d of 3 have failed", failed)
		}
	}
	ahead.Store(int64(relayPatience))
	st, err := api{n.parts}.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if text := statusText(&st); st.Health != web.HealthDegraded || !strings.Contains(text, "\nhealth      degraded, ") ||
		!strings.Contains(text, "none of 3 relays is connected") || !strings.Contains(text, "fix: 'drey relays test ws://127.0.0.1:1'") {
		t.Errorf("health %q: %s", st.Health, text)
	}
	if st.Nostr.State != string(pool.Down) || !st.Nostr.Gateway || len(st.Nostr.Relays) != 3 || st.Nostr.Relays[0].NextMS <= 0 || !strings.Contains(st.Nostr.Relays[0].Error, "refused") {
		t.Errorf("status: %+v", st.Nostr)
	}
	checks, err := api{n.parts}.Doctor(ctx)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, c := range checks {
		found = found || c.Problem != nil && c.Problem.Code == "relays-down"
	}
	if !found {
		t.Errorf("doctor says nothing of the relays: %+v", checks)
	}
	if _, err := (api{n.parts}).Publish(ctx, web.Post{Topic: mesh.TopicCommons, Text: "still here"}); err != nil {
		t.Errorf("local users notice: %v", err)
	}
}

// checkAuthor in package configs repeats a rule of package mesh.
func TestAuthorsOfTheConfiguration(t *testing.T) {
	const good = "npub10elfcs4fr0l0r8af98jlmgdh9c8tcxjvz9qkw038js35mp4dma8qzvjptg"
	for i := range len(good) {
		for _, c := range "qpzry9x8gf2tvdw0s3jn54khce6mua7lQ1b" {
			s := good[:i] + string(c) + good[i+1:]
			conf := configs.Default()
			conf.Nostr.Authors = []string{s}
			_, err := mesh.ParseAuthor(s)
			if got := conf.Validate(); (got == nil) != (err == nil) {
				t.Fatalf("%s: the configuration says %v, mesh %v", s, got, err)
			}
		}
	}
}
