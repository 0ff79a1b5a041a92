// Package sim runs whole towns in one process on a fake clock: real carriers on
// a simulated network, so that what takes days and hundreds of machines is
// tested in seconds on one. It holds only tests.
package sim
