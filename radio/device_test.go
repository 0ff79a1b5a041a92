package radio

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Every failure of the line comes with something to do about it.
func TestHints(t *testing.T) {
	for _, tt := range []struct {
		err             error
		problem, advice string // parts of what is told
	}{
		{&lineError{"tcp://roof:4403", "read from", io.EOF}, "the radio at tcp://roof:4403 closed the line", "one program at a time"},
		{&lineError{"/dev/ttyACM0", "write to", fs.ErrClosed}, "write to /dev/ttyACM0: file already closed", "cable"},
		{&deviceError{"tcp://roof:4403", errSilent}, "open radio tcp://roof:4403", "check the address"},
		{&deviceError{"/dev/ttyACM0", fs.ErrPermission}, "permission", "dialout"},
		{errors.New("odd"), "odd", "cable"},
	} {
		if got := hintOf(tt.err); !strings.Contains(tt.err.Error(), tt.problem) || !strings.Contains(got, tt.advice) {
			t.Errorf("%q comes with the hint %q, want %q and %q in them", tt.err, got, tt.problem, tt.advice)
		}
	}
}

func TestWithPort(t *testing.T) {
	for host, want := range map[string]string{
		"roof.lan": "roof.lan:4403", "192.0.2.7": "192.0.2.7:4403", "roof:4404": "roof:4404",
		"[2001:db8::7]": "[2001:db8::7]:4403", "2001:db8::7": "[2001:db8::7]:4403", "[2001:db8::7]:1": "[2001:db8::7]:1",
	} {
		if got := withPort(host); got != want {
			t.Errorf("withPort(%q) = %q, want %q", host, got, want)
		}
	}
}

// A radio on the network that takes the connection and closes it at once is a
// problem with words and with a fix.
func TestTCPCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var work sync.WaitGroup
		defer work.Wait()
		defer cancel()
		h := newFakeHub(t, "a")
		h.radio = New(Config{
			Device: "tcp://roof:4403", Archive: h, Shelf: h, Signer: h.signer,
			Dial: func(context.Context) (io.ReadWriteCloser, error) {
				mine, yours := net.Pipe()
				return mine, yours.Close()
			},
		})
		work.Go(func() { h.radio.Run(ctx, h) })
		time.Sleep(time.Second)
		synctest.Wait()
		if s := h.radio.Status(); s.Code != CodeMissing || !strings.Contains(s.Problem, "tcp://roof:4403") || !strings.Contains(s.Fix, "one program at a time") {
			t.Errorf("told is %q, fix %q", s.Problem, s.Fix)
		}
	})
}
