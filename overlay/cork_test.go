package overlay

import (
	"bytes"
	"io"
	"net"
	"testing"
)

// What is read does not depend on how much the reader asks for at a time, and
// nothing is held once the connection is idle.
func TestCorkedRead(t *testing.T) {
	want := make([]byte, 300<<10)
	for i := range want {
		want[i] = byte(i * 7)
	}
	for _, size := range []int{1, 5, 517, 16 << 10, corkSize, 2 * corkSize} {
		near, far := net.Pipe()
		go func() {
			for rest := want; len(rest) > 0; {
				n := min(len(rest), 40<<10)
				far.Write(rest[:n])
				rest = rest[n:]
			}
			far.Write([]byte{1})
			far.Close()
		}()
		c := newCorked(near, newCorkPool())
		var got bytes.Buffer
		p := make([]byte, size)
		var err error
		for err == nil {
			var n int
			n, err = c.Read(p)
			got.Write(p[:n])
		}
		if err != io.EOF {
			t.Errorf("size %d: %v", size, err)
		}
		if !bytes.Equal(got.Bytes(), append(want[:len(want):len(want)], 1)) {
			t.Errorf("size %d: read %d bytes that differ from the %d written", size, got.Len(), len(want)+1)
		}
		near.Close()
	}
}

func TestCorkedIdleHoldsNothing(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	c := newCorked(near, newCorkPool())
	p := make([]byte, 1<<10)
	go far.Write(make([]byte, 200<<10))
	for left := 200 << 10; left > 0; {
		n, err := c.Read(p)
		if err != nil {
			t.Fatal(err)
		}
		left -= n
	}
	if c.buffer == nil {
		t.Fatal("a busy connection reads without its buffer: the test tests nothing")
	}
	for range 3 { // pings
		go far.Write(make([]byte, 11))
		if _, err := c.Read(p); err != nil {
			t.Fatal(err)
		}
	}
	if c.buffer != nil {
		t.Error("an idle connection holds its buffer")
	}
}
