// Package hub is the heart of a node: it receives events from carriers,
// checks, remembers and stores them, and passes each to every carrier that
// should have it except the one it came from.
package hub
