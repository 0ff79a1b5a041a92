package main

import (
	"context"
	"errors"
	"time"

	"drey/mesh"
	"drey/nostrbridge/pool"
	"drey/web"
)

// AddRelay connects to a public relay from now on.
func (a api) AddRelay(ctx context.Context, url string) error { return relayFault(a.pool.Add(ctx, url)) }

// RemoveRelay leaves a public relay.
func (a api) RemoveRelay(ctx context.Context, url string) error {
	return relayFault(a.pool.Remove(ctx, url))
}

// PauseRelay leaves a public relay for a while, or takes it up again.
func (a api) PauseRelay(ctx context.Context, url string, paused bool) error {
	if paused {
		return relayFault(a.pool.Pause(ctx, url))
	}
	return relayFault(a.pool.Resume(ctx, url))
}

// TestRelay tries a public relay.
func (a api) TestRelay(ctx context.Context, url string) (*web.RelayTest, error) {
	steps, err := a.pool.Test(ctx, url)
	if err != nil {
		return nil, relayFault(err)
	}
	at, _ := pool.Normalize(url)
	t := &web.RelayTest{URL: at, OK: true, Steps: []web.RelayStep{}}
	for _, s := range steps {
		t.Steps = append(t.Steps, web.RelayStep{Name: s.Name, Result: string(s.Result), MS: float64(s.Took.Microseconds()) / 1000, Says: s.Says})
		t.OK = t.OK && (s.Result != pool.Fails || s.Name == "sync")
	}
	return t, nil
}

// relayFault says to a client why the list of relays was not changed.
func relayFault(err error) error {
	switch {
	case errors.Is(err, pool.ErrUnknown):
		return web.NewError(web.CodeNotFound, "this relay is not in the list", err.Error(), "'drey relays ls' shows it", mesh.ErrNotFound)
	case errors.Is(err, pool.ErrURL):
		return web.NewError(web.CodeUsage, "this is no relay", err.Error(), "relays look like wss://relay.example.org", err)
	case errors.Is(err, pool.ErrMany):
		return web.NewError(web.CodeRefused, "the list of relays is full", err.Error(), "'drey relays rm' makes room", err)
	}
	return err
}

// relayStatuses is the pool's state in the words of the API.
func (p *parts) relayStatuses() web.NostrStatus {
	st := web.NostrStatus{State: string(p.pool.Health()), Gateway: p.conf.Nostr.Gateway, Gateways: p.bridge.Status().Gateways}
	now := p.clock()
	for _, r := range p.pool.Relays() {
		w := web.RelayStatus{
			URL: r.URL, Up: r.State == pool.Connected, RTTMS: float64(r.RTT.Microseconds()) / 1000, Error: r.Error,
			State: string(r.State), Paused: r.Paused, Side: r.Side, PaceMS: r.Pace.Milliseconds(),
			Sent: r.Sent, Refused: r.Refused, Got: r.Got, Invalid: r.Invalid, Unasked: r.Unasked, Dropped: r.Dropped,
			Name: r.Name, Software: r.Software, NIPs: r.NIPs,
		}
		if !r.Since.IsZero() {
			w.Since = r.Since.Unix()
		}
		if !r.NextTry.IsZero() {
			w.NextMS = max(r.NextTry.Sub(now), time.Millisecond).Milliseconds()
		}
		st.Relays = append(st.Relays, w)
	}
	return st
}

// poolSamples are the pool's figures for /metrics.
func (p *parts) poolSamples() []web.Sample {
	var up, sent, refused, invalid, dropped uint64
	all := p.pool.Relays()
	for _, r := range all {
		if r.State == pool.Connected {
			up++
		}
		sent, refused, invalid, dropped = sent+r.Sent, refused+r.Refused, invalid+r.Invalid, dropped+r.Dropped
	}
	return []web.Sample{
		{Name: "drey_relays_wanted", Help: "Public relays in the list.", Value: float64(len(all))},
		{Name: "drey_relays_connected", Help: "Public relays that are connected.", Value: float64(up)},
		{Name: "drey_relays_sent_total", Help: "Messages that relays acknowledged.", Value: float64(sent), Counter: true},
		{Name: "drey_relays_refused_total", Help: "Messages that relays refused.", Value: float64(refused), Counter: true},
		{Name: "drey_relays_invalid_total", Help: "What relays sent with a wrong form, id or signature.", Value: float64(invalid), Counter: true},
		{Name: "drey_relays_dropped_total", Help: "Messages of relays that came too fast and were asked for again.", Value: float64(dropped), Counter: true},
	}
}
