package radiotest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"

	"github.com/creack/pty"
	"golang.org/x/term"
)

// ServePTY offers the radio as a serial device until ctx ends or the radio is
// unplugged. link becomes a symbolic link to the device, as udev makes them,
// and is removed at the end.
func (r *Radio) ServePTY(ctx context.Context, link string) error {
	master, device, err := openPTY()
	if err != nil {
		return fmt.Errorf("open a pseudo-terminal: %w", err)
	}
	// The device stays open here, so that a client may come and go as on a
	// real line; it is closed with the master.
	defer device.Close()
	if _, err := term.MakeRaw(int(device.Fd())); err != nil {
		_ = master.Close()
		return fmt.Errorf("make the pseudo-terminal raw: %w", err)
	}
	if err := os.Symlink(device.Name(), link); err != nil {
		_ = master.Close()
		return err
	}
	defer os.Remove(link)
	err = r.Serve(ctx, master, true)
	if ctx.Err() != nil || errors.Is(err, errCut) {
		return nil
	}
	return err
}

// openPTY opens a pseudo-terminal whose master side can be closed while it is
// read, which takes a descriptor that does not block.
func openPTY() (master, device *os.File, err error) {
	blocking, device, err := pty.Open()
	if err != nil {
		return nil, nil, err
	}
	defer blocking.Close()
	fd, err := syscall.Dup(int(blocking.Fd()))
	if err == nil {
		err = syscall.SetNonblock(fd, true)
	}
	if err != nil {
		_ = device.Close()
		return nil, nil, err
	}
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), blocking.Name()), device, nil
}

// ServeTCP offers the radio to clients of l, as radios do on port 4403, until
// ctx ends. It closes l.
func (r *Radio) ServeTCP(ctx context.Context, l net.Listener) error {
	var clients sync.WaitGroup
	defer clients.Wait()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept a client: %w", err)
		}
		clients.Go(func() { _ = r.Serve(ctx, conn, false) })
	}
}

// newPipe returns the two ends of a line in memory. Unlike net.Pipe it has
// some room, as the kernel's lines do.
func newPipe() (a, b io.ReadWriteCloser) {
	there, back := newHalf(), newHalf()
	return &pipeEnd{there, back}, &pipeEnd{back, there}
}

type pipeEnd struct{ in, out *half }

func (p *pipeEnd) Read(b []byte) (int, error)  { return p.in.read(b) }
func (p *pipeEnd) Write(b []byte) (int, error) { return p.out.write(b) }
func (p *pipeEnd) Close() error {
	p.in.close()
	p.out.close()
	return nil
}

// A half is one direction of a line.
type half struct {
	changed *sync.Cond
	mu      struct {
		sync.Mutex
		buf    []byte
		closed bool
	}
}

// halfRoom is how much a line holds for a slow reader.
const halfRoom = 16 << 10

func newHalf() *half {
	h := new(half)
	h.changed = sync.NewCond(&h.mu)
	return h
}

func (h *half) read(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.mu.buf) == 0 {
		if h.mu.closed {
			return 0, io.EOF
		}
		h.changed.Wait()
	}
	n := copy(b, h.mu.buf)
	h.mu.buf = append(h.mu.buf[:0], h.mu.buf[n:]...)
	h.changed.Broadcast()
	return n, nil
}

func (h *half) write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for !h.mu.closed && len(h.mu.buf)+len(b) > halfRoom {
		h.changed.Wait()
	}
	if h.mu.closed {
		return 0, io.ErrClosedPipe
	}
	h.mu.buf = append(h.mu.buf, b...)
	h.changed.Broadcast()
	return len(b), nil
}

func (h *half) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.closed = true
	h.changed.Broadcast()
}
