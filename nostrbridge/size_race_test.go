//go:build race

package nostrbridge

import "time"

// How many messages wait in the test of a long outage, and how long that is:
// the race detector makes signatures twenty times as dear.
const (
	backlog = 100
	outage  = time.Hour
)
