package sim

import "testing"

// longBubble leaves a test to the run without the race detector, which dies of
// itself in bubbles with hours of timers (golang/go#78156). The same code runs
// under it in shorter bubbles, here and in the radio's own tests.
func longBubble(t *testing.T) {
	t.Helper()
	if raceEnabled {
		t.Skip("not under the race detector: see longBubble")
	}
}
