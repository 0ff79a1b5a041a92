//go:build race

package pool

// raceDetector says whether the test runs under it.
const raceDetector = true
