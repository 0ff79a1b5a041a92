package pubsub

import (
	"bufio"
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"drey/mesh"
)

// patience is how long one side waits for the other's next frame, or for room
// to write one.
const patience = 30 * time.Second

// A link is a sync stream that counts its bytes and never waits for ever. It
// belongs to one goroutine.
type link struct {
	s       network.Stream
	r       *bufio.Reader
	buf     []byte // of the frame read last
	out     []byte // of the frame written last
	in, sum int64  // bytes received and sent
}

func newLink(s network.Stream) *link {
	l := &link{s: s}
	l.r = bufio.NewReaderSize(counted{l}, 4<<10)
	return l
}

// counted counts what is read from a link's stream.
type counted struct{ l *link }

func (c counted) Read(b []byte) (int, error) {
	n, err := c.l.s.Read(b)
	c.l.in += int64(n)
	return n, err
}

// write sends one frame.
func (l *link) write(kind byte, body []byte) error {
	l.out = appendFrame(l.out[:0], kind, body)
	return l.send()
}

// writeTwo sends two frames at once.
func (l *link) writeTwo(kind byte, body []byte, then byte, more []byte) error {
	l.out = appendFrame(l.out[:0], kind, body)
	l.out = appendFrame(l.out, then, more)
	return l.send()
}

func (l *link) send() error {
	if err := l.s.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	n, err := l.s.Write(l.out)
	l.sum += int64(n)
	return err
}

// read waits for the next frame. The body is good until the next read.
func (l *link) read() (kind byte, body []byte, err error) {
	if err := l.s.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, nil, err
	}
	kind, body, err = readFrame(l.r, l.r, l.buf)
	if cap(body) > cap(l.buf) {
		l.buf = body
	}
	if err == nil && kind == frameSorry {
		return 0, nil, sorryFrom(body)
	}
	return kind, body, err
}

// expect reads a frame that must be of one kind.
func (l *link) expect(want byte) ([]byte, error) {
	kind, body, err := l.read()
	if err != nil {
		return nil, err
	}
	if kind != want {
		return nil, broken("frame of type %d, want %d", kind, want)
	}
	return body, nil
}

// greet exchanges floors.
func (l *link) greet(floor mesh.Unix) (theirs mesh.Unix, err error) {
	if err := l.write(frameHello, appendHello(nil, floor)); err != nil {
		return 0, err
	}
	body, err := l.expect(frameHello)
	if err != nil {
		return 0, err
	}
	return parseHello(body)
}

// apologise says why the stream ends; nobody may be listening.
func (l *link) apologise(code byte) {
	_ = l.write(frameSorry, []byte{code})
}

func sorryFrom(body []byte) error {
	if len(body) == 1 && body[0] == sorryBusy {
		return errBusy
	}
	return broken("the other side says so")
}

// guard ends the stream when ctx does; the caller ends the guard.
func guard(ctx context.Context, s network.Stream) (stop func() bool) {
	return context.AfterFunc(ctx, func() { _ = s.Reset() })
}
