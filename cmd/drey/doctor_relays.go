package main

import (
	"strings"
	"time"

	"drey/nostrbridge/pool"
	"drey/web"
)

// relayPatience is how long a relay may be away before that is a problem: one
// that restarts is back by then.
const relayPatience = 30 * time.Second

// relayCheck reads a running node's status of its relays.
func relayCheck(st web.NostrStatus, age time.Duration) []web.Check {
	switch pool.Health(st.State) {
	case pool.Up:
		return []web.Check{well("relays", "checks.ok-relays", "n", len(st.Relays))}
	case pool.Degraded, pool.Down:
	default:
		return nil
	}
	if age < relayPatience {
		return []web.Check{well("relays", "checks.ok-relays-waking")}
	}
	var away, why []string
	wanted, network := 0, 0
	for _, r := range st.Relays {
		if r.Paused {
			continue
		}
		wanted++
		if r.Up {
			continue
		}
		away = append(away, r.URL)
		said := r.Error
		if said == "" {
			said = "it is being called"
		}
		why = append(why, r.URL+": "+said)
		if unreachable(said) {
			network++
		}
	}
	lines := strings.Join(why, "\n")
	switch {
	case len(away) == 0:
		return []web.Check{well("relays", "checks.ok-relays-waking")}
	case len(away) < wanted:
		return []web.Check{illFor("relays", "relays-degraded", lines, "checks.relays-degraded", "n", len(away), "of", wanted, "url", away[0])}
	case network == len(away):
		return []web.Check{illFor("relays", "relays-unreachable", lines, "checks.relays-unreachable")}
	}
	return []web.Check{illFor("relays", "relays-down", lines, "checks.relays-down", "n", wanted, "url", away[0])}
}

// unreachable reports whether a fault is the way's, not the relay's.
func unreachable(fault string) bool {
	for _, s := range []string{"network is unreachable", "no route to host", "no such host", "server misbehaving", "i/o timeout", "temporary failure"} {
		if strings.Contains(fault, s) {
			return true
		}
	}
	return false
}
