package main

import (
	"strings"
	"time"

	"drey/radio"
	"drey/web"
)

// radioCheck reads a running node's status of its radio.
func radioCheck(st web.RadioStatus) []web.Check {
	var checks []web.Check
	switch st.State {
	case "", radio.StateNone:
	case radio.StateLive:
		checks = append(checks, well("radio", strings.TrimSpace(st.Device+" "+st.Region+" "+st.Preset)))
	case radio.StateWaking, radio.StateConfiguring:
		checks = append(checks, well("radio", "connecting to "+st.Device))
	default:
		if st.Device == "auto" {
			checks = append(checks, well("radio", "none found; it is taken as soon as it is plugged in"))
			break
		}
		checks = append(checks, ill("radio", "radio-missing", "the radio is "+st.State, st.Device, "check cable and power; the node takes it back by itself"))
	}
	if a := st.Airtime; st.State == radio.StateLive && a.Waiting > 0 && time.Duration(a.WaitMS)*time.Millisecond >= longWait {
		checks = append(checks, ill("radio", "airtime", count(a.Waiting, "message")+" wait for the air, the next for "+short(time.Duration(a.WaitMS)*time.Millisecond),
			a.Paused, "map fewer topics to the radio, or wait: 'drey radio airtime' tells how much is left"))
	}
	return checks
}

// longWait is how long the next message may wait for the air before that is a
// problem.
const longWait = 10 * time.Minute
