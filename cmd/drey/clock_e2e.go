//go:build e2e

package main

import "time"

// machineClock is this machine's clock, unless a test says when the process is
// to believe that it began: a clock of another year, which nobody keeps right.
// Only the binaries of end-to-end tests have it.
func machineClock(getenv func(string) string) (now func() time.Time, kept func() bool) {
	began, err := time.Parse(time.RFC3339, getenv("DREY_E2E_CLOCK"))
	if err != nil {
		return time.Now, clockSynchronised
	}
	real := time.Now()
	return func() time.Time { return began.Add(time.Since(real)) }, func() bool { return false }
}
