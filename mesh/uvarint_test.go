package mesh

import (
	"bytes"
	"testing"
)

// An event has one binary form: a count that is written in ten bytes, of which
// the last overflows into nothing, is not another.
func TestBinaryHasOneForm(t *testing.T) {
	e, err := NewEvent(PubKey{1}, Signature{2}, Draft{Tags: [][]string{{"t"}}, Content: "hello"})
	if err != nil {
		t.Fatal(err)
	}
	b := e.AppendBinary(nil)
	long := append(bytes.Clone(b[:binaryHead]), 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02)
	long = append(long, b[binaryHead+1:]...)
	if _, err := ParseBinary(long); err == nil {
		t.Error("a count of 1 written in ten bytes was taken")
	}
}
