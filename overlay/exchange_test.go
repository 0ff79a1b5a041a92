package overlay

import (
	"errors"
	"io"
	"net"
	"testing"

	"drey/mesh"
)

// crowd makes a book of machines that do not exist.
func crowd(t *testing.T, n int, more ...mesh.NodeKey) *testBook {
	t.Helper()
	b := &testBook{roster: newTestRoster("town")}
	var events []*mesh.Event
	for i := range n {
		events = append(events, admission(t, mesh.NodeKey{1, byte(i), byte(i >> 8)}))
	}
	for _, k := range more {
		events = append(events, admission(t, k))
	}
	b.events = events
	b.roster.set(more...)
	return b
}

// counted counts what is read and written.
type counted struct {
	io.ReadWriter
	n int
}

func (c *counted) Write(b []byte) (int, error) { c.n += len(b); return c.ReadWriter.Write(b) }

// TestLargeRosterCrosses lets a newcomer show a roster of more than a stranger
// may show: its own admission goes first, and then it is no stranger.
func TestLargeRosterCrosses(t *testing.T) {
	a, b := publicOf(testKey(t, 1)), publicOf(testKey(t, 2))
	const machines = 8000
	caller := crowd(t, machines, a, b)
	_, answerer := bookOf(t, "town", a)
	callErr, answErr := exchangeOnce(t, "large", caller, answerer, b, a)
	if callErr != nil || answErr != nil {
		t.Fatalf("the caller got %v, the answerer %v", callErr, answErr)
	}
	if got := len(answerer.Locator()); got != machines+2 {
		t.Errorf("%d decisions crossed, want %d", got, machines+2)
	}
	_, stranger := bookOf(t, "town", a)
	caller = crowd(t, machines, a)
	if callErr, answErr = exchangeOnce(t, "stranger", caller, stranger, b, a); callErr == nil || !errors.Is(answErr, errProof) {
		t.Errorf("of a stranger who shows %d decisions the answerer said %v, want no proof", machines, answErr)
	}
}

// TestOnlyWhatIsMissingCrosses compares what is written with what is known.
func TestOnlyWhatIsMissingCrosses(t *testing.T) {
	a, b := publicOf(testKey(t, 1)), publicOf(testKey(t, 2))
	one, other := crowd(t, 40, a, b), crowd(t, 40, a, b)
	late := admission(t, mesh.NodeKey{9})
	other.Merge(t.Context(), []*mesh.Event{late})
	left, right := net.Pipe()
	up, down := &counted{ReadWriter: left}, &counted{ReadWriter: right}
	done := make(chan error, 1)
	go func() {
		done <- answer(t.Context(), down, other.roster.Community(), other, other.roster.Admits, a, b)
		right.Close()
	}()
	if err := call(t.Context(), up, one.roster.Community(), one, one.roster.Admits, b, a); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	ids, size := maxLocator*len(mesh.EventID{}), len(late.AppendBinary(nil))
	if most := ids + 200; up.n > most {
		t.Errorf("the caller, who had nothing to show, wrote %d bytes, want at most %d", up.n, most)
	}
	if most := ids + size + 200; down.n > most {
		t.Errorf("the answerer wrote %d bytes to show one decision of %d, want at most %d", down.n, size, most)
	}
}
