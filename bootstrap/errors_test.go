package bootstrap

import (
	"errors"
	"testing"

	"drey/mesh"
)

// TestJoinErrorSaysOnce checks that a reason stands once, and that what other
// addresses answered stands with them.
func TestJoinErrorSaysOnce(t *testing.T) {
	one, err := mesh.ParseEndpoint("http://192.0.2.1:3739")
	if err != nil {
		t.Fatal(err)
	}
	two, err := mesh.ParseEndpoint("http://192.0.2.2:3739")
	if err != nil {
		t.Fatal(err)
	}
	used, silent := errors.New("the invite has been used"), errors.New("no answer")
	e := &JoinError{Reason: used, Attempts: []Attempt{{one, used}, {two, silent}}}
	const want = "the invite has been used (tried http://192.0.2.1:3739; http://192.0.2.2:3739: no answer)"
	if got := e.Error(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
