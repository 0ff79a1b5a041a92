//go:build e2e && million

package nostr

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/coder/websocket"

	"drey/mesh/negentropy"
	"drey/web"
)

// A node with a million events and one reconciliation of 50,000 stays small. The
// events are those that BenchmarkMillion of nostrbridge/relay left in the folder
// DREY_MILLION.
func TestMemoryWithAMillionEvents(t *testing.T) {
	dir := os.Getenv("DREY_MILLION")
	if dir == "" {
		t.Fatal("set DREY_MILLION=DIR, see BenchmarkMillion of nostrbridge/relay")
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
