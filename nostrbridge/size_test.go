//go:build !e2e && !race

package nostrbridge

import "time"

// How many messages wait in the test of a long outage, and how long that is;
// with the tag e2e it is 10,000 and three days.
const (
	backlog = 500
	outage  = 5 * time.Hour
)
