//go:build !e2e

package main

import "time"

// machineClock returns this machine's clock, and whether the system keeps it
// right.
func machineClock(func(string) string) (now func() time.Time, kept func() bool) {
	return time.Now, clockSynchronised
}
