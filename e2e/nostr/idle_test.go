//go:build e2e

package nostr

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"drey/mesh"
	"drey/mesh/negentropy"
	"drey/web"
)

// Ten thousand connections that say nothing come to a node as people run it: a
// thousand find room at the relay, the rest is told so, memory stays bounded and
// a neighbour's notes arrive as before.
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
	neighbour, _, err := websocket.Dial(t.Context(), "ws://"+st.Web.Listen+"/", nil)
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
				c, err := net.DialTimeout("tcp", st.Web.Listen, 10*time.Second)
				if err != nil {
					other.Add(1)
					continue
				}
				c.SetDeadline(time.Now().Add(20 * time.Second))
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
	loaded := served("with a thousand")
	after := resident(t, pid)
	t.Logf("%d connections: %d open, %d were told that there is no room, %d otherwise; memory %d MB before, %d MB after, %d bytes a connection; a note and its query %v before, %v after",
		conns, taken.Load(), full.Load(), other.Load(), before>>20, after>>20, (after-before)/max(taken.Load(), 1), quiet, loaded)
	if n := taken.Load(); n < 900 || n > 1000 || other.Load() > conns/100 {
		t.Errorf("%d were let in, want 999; %d got no clear answer", n, other.Load())
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
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
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

// A node with a million events and one reconciliation of 50,000 stays small. The
// events are those that BenchmarkMillion of nostrbridge/relay left in the folder
// DREY_MILLION.
func TestMemoryWithAMillionEvents(t *testing.T) {
	dir := os.Getenv("DREY_MILLION")
	if dir == "" {
		t.Skip("set DREY_MILLION=DIR, see BenchmarkMillion of nostrbridge/relay")
	}
	drey := build(t)
	home := t.TempDir()
	if err := command(drey, home, "", "up", "--once", "--radio", "none", "--no-lan", "--web", "127.0.0.1:0", "--underlay", "tcp://127.0.0.1:0").Run(); err != nil {
		t.Fatalf("up --once: %v", err)
	}
	stores, err := filepath.Glob(filepath.Join(home, "events-*.db"))
	if err != nil || len(stores) != 1 {
		t.Fatalf("stores: %q, %v", stores, err)
	}
	copyFile(t, filepath.Join(dir, "drey.db"), stores[0])
	pid := start(t, drey, home)
	admit(t, home)
	c := web.NewClient(home)
	defer c.Close()
	st, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("at its start: %d events, %d MB", st.Store.Events, resident(t, pid)>>20)
	ws, _, err := websocket.Dial(t.Context(), "ws://"+st.Web.Listen+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	ws.SetReadLimit(1 << 20)
	set := &negentropy.Set{}
	set.Seal()
	ask, m := negentropy.Ask(set, 60<<10, 100_000)
	const filter = `{"kinds":[1],"limit":50000}`
	answer := say(t, ws, fmt.Sprintf(`["NEG-OPEN","n",%s,"%x"]`, filter, m), `["NEG-`)
	for {
		var digits string
		if _, err := fmt.Sscanf(answer, `["NEG-MSG","n",%q]`, &digits); err != nil {
			t.Fatalf("answered %.200s", answer)
		}
		b := make([]byte, len(digits)/2)
		if _, err := fmt.Sscanf(digits, "%x", &b); err != nil {
			t.Fatal(err)
		}
		if m, err = ask.Next(b); err != nil {
			t.Fatal(err)
		}
		if m == nil {
			break
		}
		answer = say(t, ws, fmt.Sprintf(`["NEG-MSG","n","%x"]`, m), `["NEG-`)
	}
	mem := resident(t, pid)
	t.Logf("with a reconciliation of %d: %d MB", len(ask.Need), mem>>20)
	if len(ask.Need) != 50_000 || mem > 90<<20 {
		t.Errorf("%d ids, %d MB; want 50,000 and at most 90 MB", len(ask.Need), mem>>20)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
}
