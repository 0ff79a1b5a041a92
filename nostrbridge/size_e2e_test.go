//go:build e2e

package nostrbridge

// backlog is how many messages wait in the test of a long outage.
const backlog = 10_000
