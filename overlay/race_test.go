//go:build race

package overlay

const raceDetector = true
