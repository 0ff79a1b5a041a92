// Package carriertest is what every carrier must pass, and the means to test
// one: a Port that stands in for the hub, and a pair of carriers in memory.
//
// A carrier's own test makes two carriers that reach each other and calls Run:
//
//	carriertest.Run(t, carriertest.Medium{
//		New: func(t *testing.T) (a, b mesh.Carrier) { … },
//	})
package carriertest
