//go:build e2e

package nostr

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"drey/mesh"
	"drey/web"
)

// Ten thousand connections that say nothing come from one address to a node as
// people run it: the newest 512 stay, memory stays bounded and a neighbour, at
// another address, is served over the connection that he had before.
func TestTenThousandIdleConnections(t *testing.T) {
	const conns = 10_000
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil || files.Max < conns+1000 {
		t.Skipf("skipped: at most %d open files are allowed (ulimit -Hn)", files.Max)
	}
	drey := build(t)
	home := t.TempDir()
	pid := start(t, drey, home)
	admit(t, home)
	c := web.NewClient(home)
	defer c.Close()
	st, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}
	client := &http.Client{Transport: &http.Transport{DialContext: from.DialContext}}
	neighbour, _, err := websocket.Dial(t.Context(), "ws://"+st.Web.Listen+"/", &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		t.Fatal(err)
	}
	defer neighbour.CloseNow()
	signer := author(t, home)
	served := func(text string) time.Duration {
		t.Helper()
		began := time.Now()
		e, err := signer.Sign(mesh.Draft{CreatedAt: mesh.UnixOf(began), Kind: 1, Content: text})
		if err != nil {
			t.Fatal(err)
		}
		say(t, neighbour, `["EVENT",`+string(e.AppendJSON(nil))+`]`, `["OK"`)
		say(t, neighbour, `["REQ","s",{"ids":["`+e.ID().String()+`"]}]`, `["EOSE"`)
		return time.Since(began)
	}
	quiet := served("before")
	before := resident(t, pid)
	var taken, full, other atomic.Int64
	var mu sync.Mutex
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range conns / 20 {
				c, err := net.DialTimeout("tcp", st.Web.Listen, time.Minute)
				if err != nil {
					other.Add(1)
					continue
				}
				c.SetDeadline(time.Now().Add(time.Minute))
				fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", st.Web.Listen)
				answer, err := http.ReadResponse(bufio.NewReaderSize(c, 512), nil)
				switch {
				case err == nil && answer.StatusCode == http.StatusSwitchingProtocols:
					taken.Add(1)
					mu.Lock()
					open = append(open, c)
					mu.Unlock()
					continue
				case err == nil && answer.StatusCode == http.StatusServiceUnavailable:
					full.Add(1)
				default:
					other.Add(1)
				}
				c.Close()
			}
		})
	}
	wg.Wait()
	loaded := served("beside them")
	after := resident(t, pid)
	stays := 0
	for _, c := range open {
		c.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			stays++
		}
	}
	t.Logf("%d connections: %d were let in, %d were told that there is no room, %d otherwise; %d stay; memory %d MB before, %d MB after; a note and its query %v before, %v after",
		conns, taken.Load(), full.Load(), other.Load(), stays, before>>20, after>>20, quiet, loaded)
	if stays < 400 || stays > 512 {
		t.Errorf("%d stay, want at most 512 and most of them", stays)
	}
	if after-before > 100<<20 {
		t.Errorf("memory grew by %d MB, want at most 100", (after-before)>>20)
	}
	if r, err := http.Get("http://" + st.Web.Listen + "/healthz"); err != nil || r.StatusCode != http.StatusOK {
		t.Errorf("the page meanwhile: %v, %v", r, err)
	}
	http.DefaultClient.CloseIdleConnections()
}

// say sends a message and reads until an answer that begins as wanted.
func say(t *testing.T, ws *websocket.Conn, text, want string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := ws.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		t.Fatal(err)
	}
	for {
		_, m, err := ws.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(string(m), want) {
			return string(m)
		}
	}
}

// resident returns a process's memory in bytes.
func resident(t *testing.T, pid int) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skipf("this system does not tell: %v", err)
	}
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	kB, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kB << 10
}
