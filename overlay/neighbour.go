package overlay

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
)

// After the meta frames, a TLS link between two nodes of ours carries chunks,
// so that IPv6 packets for the neighbour itself need not wait for Yggdrasil to
// find a path, nor be sealed and routed by it:
//
//	kind   byte     see below
//	length uint16   of the body, big endian
//	body
//
// Both sides have proved their keys by the certificates of TLS 1.3.
const (
	chunkYggdrasil = 0 // body: a piece of the Yggdrasil byte stream
	chunkPacket    = 1 // body: one IPv6 packet from the sender to the receiver
	chunkPing      = 2 // body: 8 bytes of the sender's choice
	chunkPong      = 3 // body: the 8 bytes of a ping
)

const (
	chunkHeader = 3
	maxChunk    = 1<<16 - 1
	pingSize    = 8

	// maxQueued bounds the bytes that wait for a slow link. TCP inside the
	// overlay keeps less than this in flight, so it is reached only by many
	// connections at once, and then the newest packet is dropped and counted.
	maxQueued = 2 << 20
	// keepBuffer is how large a buffer an idle link may hold on to.
	keepBuffer = 64 << 10

	// tlsRecord is the most that TLS puts into one record.
	tlsRecord = 16 << 10

	// A neighbour that was cut off is missed after 8 to 12 s: at the first
	// ping for which the last answer is older than pingPatient.
	pingEvery   = 4 * time.Second
	pingPatient = 11 * time.Second
)

// appendChunk appends one chunk; body is at most maxChunk bytes.
func appendChunk(b []byte, kind byte, body []byte) []byte {
	b = append(b, kind, byte(len(body)>>8), byte(len(body)))
	return append(b, body...)
}

// parseChunkHeader reads a header and refuses kinds and lengths that this
// node would never write.
func parseChunkHeader(h [chunkHeader]byte) (kind byte, size int, err error) {
	kind, size = h[0], int(binary.BigEndian.Uint16(h[1:]))
	switch kind {
	case chunkYggdrasil:
	case chunkPacket:
		if size < ipv6HeaderLen {
			return 0, 0, fmt.Errorf("packet chunk of %d bytes, want at least %d", size, ipv6HeaderLen)
		}
	case chunkPing, chunkPong:
		if size != pingSize {
			return 0, 0, fmt.Errorf("ping chunk of %d bytes, want %d", size, pingSize)
		}
	default:
		return 0, 0, fmt.Errorf("chunk of unknown kind %d", kind)
	}
	return kind, size, nil
}

// A neighbour is a link to a node of ours. Yggdrasil reads and writes it as a
// net.Conn and sees only its own bytes; Send carries packets past it.
type neighbour struct {
	net.Conn
	cork    *corked            // beneath Conn; nil when there is none
	deliver func(*buffer.View) // called by the reader with a packet that it owns
	began   time.Time          // pings carry the time since then
	beat    time.Time          // pings go out at this time and whole multiples of pingEvery after it

	// The reader's own: Yggdrasil reads from one goroutine.
	in   *bufio.Reader
	rest int // unread bytes of the current Yggdrasil chunk

	writing sync.Mutex // held while bytes go to Conn
	scratch []byte     // under writing
	ended   bool       // under writing: nothing goes to Conn after a goodbye

	queue struct {
		sync.Mutex
		pending []byte // whole chunks, oldest first
	}
	wake chan struct{} // holds one: pending is not empty

	rtt       atomic.Int64   // nanoseconds; 0 before the first pong
	lastPong  atomic.Int64   // nanoseconds since began
	dropped   *atomic.Uint64 // packets that found the queue full; shared by all links
	impatient atomic.Int64   // deadline Yggdrasil asked for, unix nanoseconds; 0 for none
}

func newNeighbour(conn net.Conn, now time.Time, dropped *atomic.Uint64, deliver func(*buffer.View)) *neighbour {
	return &neighbour{
		Conn:    conn,
		deliver: deliver,
		dropped: dropped,
		began:   now,
		beat:    now,
		in:      bufio.NewReaderSize(conn, 4<<10), // packets are read past it
		wake:    make(chan struct{}, 1),
	}
}

// Read gives Yggdrasil its bytes and handles whatever else comes before them.
func (n *neighbour) Read(p []byte) (int, error) {
	for n.rest == 0 {
		if err := n.readChunk(); err != nil {
			return 0, err
		}
	}
	k, err := n.in.Read(p[:min(len(p), n.rest)])
	n.rest -= k
	return k, err
}

func (n *neighbour) readChunk() error {
	var head [chunkHeader]byte
	if _, err := io.ReadFull(n.in, head[:]); err != nil {
		return err
	}
	kind, size, err := parseChunkHeader(head)
	if err != nil {
		return err
	}
	if kind == chunkYggdrasil {
		n.rest = size
		return nil
	}
	if kind == chunkPacket {
		packet := buffer.NewViewSize(size)
		if _, err := io.ReadFull(n.in, packet.AsSlice()); err != nil {
			packet.Release()
			return err
		}
		n.relent()
		n.deliver(packet)
		return nil
	}
	var body [pingSize]byte
	if _, err := io.ReadFull(n.in, body[:]); err != nil {
		return err
	}
	n.relent()
	if kind == chunkPing {
		n.enqueue(chunkPong, body[:])
		return nil
	}
	now := int64(time.Since(n.began))
	n.lastPong.Store(now)
	if sent := int64(binary.BigEndian.Uint64(body[:])); sent > 0 && sent <= now {
		n.rtt.Store(now - sent)
	}
	return nil
}

// SetReadDeadline remembers what Yggdrasil asked for: it counts only its own
// bytes as signs of life.
func (n *neighbour) SetReadDeadline(t time.Time) error {
	var at int64
	if !t.IsZero() {
		at = t.UnixNano()
	}
	n.impatient.Store(at)
	return n.Conn.SetReadDeadline(t)
}

// relent puts Yggdrasil's deadline off while other chunks show that the
// neighbour lives: its own bytes may be queued behind them.
func (n *neighbour) relent() {
	at := n.impatient.Load()
	if at == 0 {
		return
	}
	const grace, step = 3 * time.Second, 500 * time.Millisecond
	if until := time.Now().Add(grace); until.UnixNano()-at > int64(step) && n.impatient.CompareAndSwap(at, until.UnixNano()) {
		n.Conn.SetReadDeadline(until)
	}
}

// Write takes a piece of Yggdrasil's byte stream.
func (n *neighbour) Write(p []byte) (int, error) {
	n.writing.Lock()
	defer n.writing.Unlock()
	if n.ended {
		return len(p), nil
	}
	done := 0
	for done < len(p) {
		piece := p[done:min(done+maxChunk, len(p))]
		n.scratch = appendChunk(n.scratch[:0], chunkYggdrasil, piece)
		if _, err := n.Conn.Write(n.scratch); err != nil {
			return done, err
		}
		done += len(piece)
	}
	if cap(n.scratch) > keepBuffer {
		n.scratch = nil
	}
	return done, nil
}

// send queues an IPv6 packet for the neighbour; it copies packet. It reports
// false when the queue is full and the packet was dropped.
func (n *neighbour) send(packet ...[]byte) bool {
	size := 0
	for _, part := range packet {
		size += len(part)
	}
	n.queue.Lock()
	if size > maxChunk || len(n.queue.pending)+chunkHeader+size > maxQueued {
		n.queue.Unlock()
		n.dropped.Add(1)
		return false
	}
	n.queue.pending = append(n.queue.pending, chunkPacket, byte(size>>8), byte(size))
	for _, part := range packet {
		n.queue.pending = append(n.queue.pending, part...)
	}
	n.queue.Unlock()
	n.nudge()
	return true
}

func (n *neighbour) enqueue(kind byte, body []byte) {
	n.queue.Lock()
	if len(n.queue.pending)+chunkHeader+len(body) <= maxQueued {
		n.queue.pending = appendChunk(n.queue.pending, kind, body)
	}
	n.queue.Unlock()
	n.nudge()
}

func (n *neighbour) nudge() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

var errSilent = errors.New("the neighbour does not answer")

// run writes what is queued and asks for signs of life, until stop is closed
// or the link fails; then the link is closed.
func (n *neighbour) run(stop <-chan struct{}) error {
	defer n.Conn.Close()
	tick := time.NewTimer(n.untilBeat())
	defer tick.Stop()
	n.ping()
	var batch []byte
	busy := false // since the last tick, a large buffer was needed
	for {
		select {
		case <-stop:
			return nil
		case <-tick.C:
			tick.Reset(n.untilBeat())
			if !busy {
				batch = nil // an idle link holds no large buffers
				if n.cork != nil {
					n.cork.relax()
				}
				n.queue.Lock()
				if len(n.queue.pending) == 0 {
					n.queue.pending = nil
				}
				n.queue.Unlock()
			}
			busy = false
			if time.Since(n.began)-time.Duration(n.lastPong.Load()) > pingPatient {
				return errSilent
			}
			n.ping()
			continue
		case <-n.wake:
		}
		var err error
		if batch, err = n.flush(batch); err != nil {
			return err
		}
		busy = busy || len(batch) > keepBuffer
	}
}

// untilBeat returns the time until the next ping.
func (n *neighbour) untilBeat() time.Duration {
	return pingEvery - time.Since(n.beat)%pingEvery
}

// take returns the queued chunks and leaves room for others in spare.
func (n *neighbour) take(spare []byte) (batch []byte) {
	n.queue.Lock()
	defer n.queue.Unlock()
	batch, n.queue.pending = n.queue.pending, spare[:0]
	return batch
}

// flush writes the chunks that are queued, in pieces that fit the kernel's
// buffers, and leaves room for others in spare. When it returns nothing of what
// was queued before is in anybody else's hands.
func (n *neighbour) flush(spare []byte) (batch []byte, err error) {
	n.writing.Lock()
	defer n.writing.Unlock()
	batch = n.take(spare)
	for rest := batch; len(rest) > 0 && !n.ended; {
		piece := rest[:min(len(rest), 2*keepBuffer)]
		rest = rest[len(piece):]
		if n.cork != nil && len(piece) > tlsRecord {
			n.cork.cork()
		}
		_, err := n.Conn.Write(piece)
		if n.cork != nil && len(piece) > tlsRecord {
			err = errors.Join(err, n.cork.uncork())
		}
		if err != nil {
			return batch, err
		}
	}
	return batch, nil
}

// goodbye writes what is queued and then that nothing more comes; the other
// end hangs up. It is read from until it has: to close a connection on unread
// bytes resets it, and the other end then loses what it has not read itself.
func (n *neighbour) goodbye() {
	n.flush(nil) // what a link does not take is lost, as the link is
	n.writing.Lock()
	defer n.writing.Unlock()
	n.ended = true
	if c, ok := n.Conn.(interface{ CloseWrite() error }); ok {
		c.CloseWrite()
	}
}

func (n *neighbour) ping() {
	var body [pingSize]byte
	binary.BigEndian.PutUint64(body[:], uint64(max(1, time.Since(n.began))))
	n.enqueue(chunkPing, body[:])
}
