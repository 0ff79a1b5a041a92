//go:build !race

package sim

// raceEnabled tells that the race detector is on.
const raceEnabled = false
