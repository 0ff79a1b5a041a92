//go:build e2e && !race

package nostrbridge

import "time"

// How many messages wait in the test of a long outage, and how long that is.
const (
	backlog = 10_000
	outage  = 72 * time.Hour
)
