package main

import (
	"fmt"
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
		return []web.Check{well("relays", count(len(st.Relays), "relay")+" connected")}
	case pool.Degraded, pool.Down:
	default:
		return nil
	}
	if age < relayPatience {
		return []web.Check{well("relays", "connecting")}
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
		return []web.Check{well("relays", "connecting")}
	case len(away) < wanted:
		return []web.Check{ill("relays", "relays-degraded", fmt.Sprintf("%d of %s away", len(away), count(wanted, "relay")), lines,
			"'drey relays test "+away[0]+"' tells why; one that is gone for good: 'drey relays rm', and add another")}
	case network == len(away):
		return []web.Check{ill("relays", "relays-unreachable", "no relay is reached: this machine seems to have no internet", lines,
			"connect it; the relays are called again by themselves, and nothing waits for them here")}
	}
	return []web.Check{ill("relays", "relays-down", "none of "+count(wanted, "relay")+" is connected", lines,
		"'drey relays test "+away[0]+"' tells why; 'drey relays add URL' takes another")}
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
