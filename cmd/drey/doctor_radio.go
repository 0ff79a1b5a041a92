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
		checks = append(checks, web.Check{Name: "radio", OK: true, Detail: strings.TrimSpace(st.Device + " " + st.Region + " " + st.Preset)})
	case radio.StateWaking, radio.StateConfiguring:
		checks = append(checks, well("radio", "checks.ok-radio-waking", "device", st.Device))
	default:
		if st.Device == "auto" {
			checks = append(checks, well("radio", "checks.ok-radio-none"))
			break
		}
		checks = append(checks, ill("radio", "radio-missing", "checks.radio-away", "device", st.Device))
	}
	if a := st.Airtime; st.State == radio.StateLive && a.Waiting > 0 && time.Duration(a.WaitMS)*time.Millisecond >= longWait {
		checks = append(checks, illFor("radio", "airtime", a.Paused, "checks.airtime", "n", a.Waiting, "span", time.Duration(a.WaitMS)*time.Millisecond))
	}
	return checks
}

// longWait is how long the next message may wait for the air before that is a
// problem.
const longWait = 10 * time.Minute
