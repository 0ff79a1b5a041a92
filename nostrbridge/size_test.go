//go:build !e2e

package nostrbridge

// backlog is how many messages wait in the test of a long outage; with the tag
// e2e there are 10,000.
const backlog = 300
