package overlay

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"

	"drey/mesh"
)

// A leaf hides this node's ability to forward from Yggdrasil's router at the
// other end: it never answers a request to become a parent in the spanning
// tree, and drops traffic that is for somebody else. What Yggdrasil offers no
// switch for is done here by leaving out the frames (uvarint length, then the
// type) that would make us a transit node.
type leaf struct {
	net.Conn
	self  mesh.NodeKey
	in    *bufio.Reader
	frame []byte // allowed bytes that Read has not given out yet
	buf   []byte
}

// The frame types of Yggdrasil 0.5 that matter to a leaf.
const (
	frameSigRequest = 2
	frameTraffic    = 9
)

func newLeaf(conn net.Conn, self mesh.NodeKey) *leaf {
	return &leaf{Conn: conn, self: self, in: bufio.NewReaderSize(conn, 4<<10)}
}

// Read gives out only whole frames that concern this node.
func (l *leaf) Read(p []byte) (int, error) {
	for len(l.frame) == 0 {
		size, err := binary.ReadUvarint(l.in)
		if err != nil {
			return 0, err
		}
		if size == 0 || size > maxMessage {
			return 0, fmt.Errorf("frame of %d bytes, limit %d", size, maxMessage)
		}
		l.buf = binary.AppendUvarint(l.buf[:0], size)
		start := len(l.buf)
		l.buf = append(l.buf, make([]byte, size)...)
		if _, err := io.ReadFull(l.in, l.buf[start:]); err != nil {
			return 0, err
		}
		if concerns(l.buf[start:], l.self) {
			l.frame = l.buf
		}
	}
	n := copy(p, l.frame)
	l.frame = l.frame[n:]
	return n, nil
}

// concerns reports whether a leaf with the key self lets a frame in.
func concerns(frame []byte, self mesh.NodeKey) bool {
	switch frame[0] {
	case frameSigRequest:
		return false
	case frameTraffic:
		rest := frame[1:]
		for range 2 { // the path, then the way back: uvarints up to a zero
			for {
				port, n := binary.Uvarint(rest)
				if n <= 0 {
					return false
				}
				rest = rest[n:]
				if port == 0 {
					break
				}
			}
		}
		const keys = 2 * len(self) // source, destination
		return len(rest) >= keys && mesh.NodeKey(rest[len(self):keys]) == self
	}
	return true
}
