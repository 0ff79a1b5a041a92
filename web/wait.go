package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"drey/mesh"
)

// A Wait is how far a message must have come before its sender is answered.
type Wait string

// The waits, nearest first.
const (
	WaitSaved  Wait = "saved"  // on this machine's disk
	WaitGossip Wait = "gossip" // handed to another machine
	WaitAir    Wait = "air"    // sent by radio
	WaitRelay  Wait = "relay"  // on a public relay
)

// The outcomes of a wait.
const (
	Reached  = "reached"
	TimedOut = "timeout" // it is saved and still on its way
	Failed   = "failed"  // the carrier gave up; State says why
)

// A Receipt answers whoever posted a message.
type Receipt struct {
	V       int    `json:"v"`
	ID      string `json:"id"`
	State   string `json:"state"`   // the newest line of its history
	Wait    Wait   `json:"wait"`    // what was waited for
	Outcome string `json:"outcome"` // Reached, TimedOut or Failed
}

// waitCarriers names the carriers that each wait is about.
var waitCarriers = map[Wait]string{WaitGossip: "gossip", WaitAir: "radio", WaitRelay: "nostr"}

// parseWait reads the parameters wait and timeout.
func parseWait(v url.Values) (Wait, time.Duration, error) {
	wait := Wait(v.Get("wait"))
	if wait == "" {
		wait = WaitSaved
	}
	if _, ok := waitCarriers[wait]; !ok && wait != WaitSaved {
		return "", 0, fmt.Errorf("wait: %.20q, allowed are saved, gossip, air and relay", wait)
	}
	timeout := defaultWait
	if t := v.Get("timeout"); t != "" {
		d, ok := parseSpan(t)
		if !ok || d > mostWait {
			return "", 0, fmt.Errorf("timeout: %.20q, allowed are 0s to %s", t, mostWait)
		}
		timeout = d
	}
	return wait, timeout, nil
}

// judge reads one line of a history as an answer to w. The words are those
// that carriers use: see docs/PROTOCOL.md.
func (w Wait) judge(st mesh.Step) (outcome string, decided bool) {
	state := st.State
	if st.Carrier == "" && strings.HasPrefix(state, "superseded") {
		return Failed, true
	}
	if st.Carrier != waitCarriers[w] {
		return "", false
	}
	for _, bad := range []string{"failed", "expired", "refused"} {
		if strings.HasPrefix(state, bad) {
			// One relay of several may refuse what another takes.
			return Failed, w != WaitRelay || st.Target == ""
		}
	}
	good := map[Wait][]string{
		WaitGossip: {"gossiped to "},
		WaitAir:    {"on air", "heard", "acknowledged"},
		WaitRelay:  {"on "},
	}[w]
	for _, g := range good {
		if strings.HasPrefix(state, g) && !strings.HasPrefix(state, "on 0 ") && state != "gossiped to 0" {
			return Reached, true
		}
	}
	return "", false
}

// await fills in how far a saved message has come.
func (s *Server) await(ctx context.Context, w http.ResponseWriter, id mesh.EventID, wait Wait, timeout time.Duration) (Receipt, error) {
	receipt := Receipt{V: Version, ID: id.String(), State: "saved", Wait: wait, Outcome: Reached}
	if wait == WaitSaved {
		return receipt, nil
	}
	why, err := s.hopeless(ctx, id, wait)
	if err != nil {
		return receipt, err
	}
	if why != "" {
		receipt.State, receipt.Outcome = "failed: "+why, Failed
		return receipt, nil
	}
	receipt.Outcome = TimedOut
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(timeout + slowest)); err != nil {
		return receipt, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel()
	watch.Go(func() {
		select {
		case <-s.stopping:
			cancel()
		case <-ctx.Done():
		}
	})
	for st, err := range s.config.Node.WatchHistory(ctx, id) {
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			return receipt, err
		}
		receipt.State = st.State
		if outcome, decided := wait.judge(st); decided {
			receipt.Outcome = outcome
			break
		}
	}
	return receipt, nil
}

// hopeless tells why a message cannot come as far as wait from this machine, or "".
func (s *Server) hopeless(ctx context.Context, id mesh.EventID, wait Wait) (why string, err error) {
	if wait != WaitAir && wait != WaitRelay {
		return "", nil
	}
	st, err := s.config.Node.Status(ctx)
	switch {
	case err != nil:
		return "", err
	case wait == WaitAir && (st.Radio.State == "" || st.Radio.State == "none"):
		return "this machine has no radio", nil
	case wait == WaitRelay && (st.Nostr.State == "" || st.Nostr.State == "off" || !st.Nostr.Gateway) && st.Nostr.Gateways == 0:
		return "this machine is no gateway to public relays, and hears of none", nil
	case wait == WaitRelay:
		return "", nil
	}
	rec, err := s.config.Node.Record(ctx, id, mesh.Self)
	if errors.As(err, new(*mesh.GoneError)) {
		return "", nil // its history tells
	}
	if err != nil || s.config.Node.Airs(rec) {
		return "", err
	}
	return fmt.Sprintf("topic %s does not go by radio: no [[radio.topic]] in the configuration sends this out", rec.Topic), nil
}
