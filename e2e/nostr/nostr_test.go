//go:build e2e

package nostr

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"drey/e2e/npm"
	"drey/mesh"
)

func TestNostrToolsVerifiesWhatSubPrints(t *testing.T) {
	drey := build(t)
	home := t.TempDir()
	start(t, drey, home)

	want := map[string]bool{}
	signer := author(t, home)
	for i, d := range nasty() {
		d.CreatedAt = mesh.UnixOf(time.Now()) // replaceable kinds are not among them, so each stays
		e, err := signer.Sign(d)
		if err != nil {
			t.Fatalf("draft %d: %v", i, err)
		}
		post(t, home, e)
		want[e.ID().String()] = true
	}
	for _, text := range []string{"plain", "\"quoted\" \\ and <tagged> & more", "line\nline\ttab", "\u2028\u2029 separators", "👩‍👩‍👧 family"} {
		out, err := command(drey, home, text, "pub", "commons", "-", "--json").Output()
		if err != nil {
			t.Fatalf("pub %q: %v", text, err)
		}
		_, after, ok := strings.Cut(string(out), `"id":"`)
		if !ok || len(after) < 64 {
			t.Fatalf("pub --json printed %s", out)
		}
		want[after[:64]] = true
	}

	out, err := command(drey, home, "", "sub", "--since", "1h", "--count", fmt.Sprint(len(want)), "--timeout", "2m", "--json").Output()
	if err != nil {
		t.Fatalf("sub: %v\n%s", err, out)
	}
	for id, verdict := range judge(t, out) {
		if verdict != "ok" {
			t.Errorf("nostr-tools says of %s: %s", id, verdict)
		}
		delete(want, id)
	}
	for id := range want {
		t.Errorf("%s was not printed", id)
	}
}

// nasty drafts what is hard to write as JSON.
func nasty() []mesh.Draft {
	var drafts []mesh.Draft
	for _, s := range []string{
		`"`, `\`, "\b\f\n\r\t", "\x01\x1f", "\u2028\u2029", "<>&", "😀👩‍👩‍👧", "\ufeffbom", "\\u0000", "e\u0301 é", "العربية עברית", strings.Repeat("long ", 5000),
	} {
		drafts = append(drafts,
			mesh.Draft{Kind: mesh.KindNote, Content: s},
			mesh.Draft{Kind: mesh.KindNote, Content: "in a tag", Tags: [][]string{{"x", s}, {s}}})
	}
	sixty := make([]string, 60)
	for i := range sixty {
		sixty[i] = fmt.Sprint(i)
	}
	return append(drafts,
		mesh.Draft{Kind: mesh.KindNote, Tags: [][]string{{}, {""}, {"", ""}, sixty}},
		mesh.Draft{Kind: 9999, Content: ""})
}

// author reads the node's own signing key from its home.
func author(t *testing.T, home string) mesh.Signer {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(home, "identity"))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(b))
	var seed mesh.Seed
	if _, err := hex.Decode(seed[:], []byte(fields[len(fields)-1])); err != nil {
		t.Fatal(err)
	}
	id, err := seed.Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id.Author
}

// post hands a signed event to the node as any program would.
func post(t *testing.T, home string, e *mesh.Event) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", filepath.Join(home, "drey.sock"))
		},
	}}
	r, err := client.Post("http://drey/v1/topics/commons/messages", "application/json", bytes.NewReader(e.AppendJSON(nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusAccepted {
		b, _ := io.ReadAll(r.Body)
		t.Fatalf("posting %.200s: %s %s", e.AppendJSON(nil), r.Status, b)
	}
}

// judge returns nostr-tools' verdict on each event by id.
func judge(t *testing.T, events []byte) map[string]string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "node", "verify.mjs")
	cmd.Stdin = bytes.NewReader(events)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("verify.mjs: %v", err)
	}
	verdicts := map[string]string{}
	for line := range strings.Lines(string(out)) {
		verdict, id, _ := strings.Cut(strings.TrimSpace(line), " ")
		if verdict != "ok" {
			verdict, id = line, fmt.Sprintf("line %d", len(verdicts))
		}
		verdicts[id] = verdict
	}
	if lines := bytes.Count(events, []byte("\n")); len(verdicts) != lines {
		t.Errorf("%d verdicts on %d lines", len(verdicts), lines)
	}
	return verdicts
}

// build makes the binary and installs nostr-tools. Without node or npm the
// test is skipped, except where CI says that nothing may be.
func build(t *testing.T) string {
	t.Helper()
	tools(t)
	drey := filepath.Join(t.TempDir(), "drey")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", drey, "drey/cmd/drey").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	if err := npm.Install(t.Context(), "."); err != nil {
		t.Fatal(err)
	}
	return drey
}

func command(drey, home, stdin string, args ...string) *exec.Cmd {
	cmd := exec.Command(drey, append([]string{"--home", home}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Stderr = os.Stderr
	return cmd
}

// start runs a lone node until the test ends. When it answers, start returns its
// process.
func start(t *testing.T, drey, home string) (pid int) {
	t.Helper()
	cmd := exec.Command(drey, "--home", home, "up", "--web", "127.0.0.1:0", "--underlay", "tcp://127.0.0.1:0", "--no-lan", "--radio", "none")
	said, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Errorf("drey up ended with %v", err)
		}
	})
	for lines := bufio.NewScanner(said); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "^C stops the node") { // the greeting is over: everything answers
			go io.Copy(io.Discard, said)
			return cmd.Process.Pid
		}
	}
	t.Fatal("drey up ended before it answered")
	return 0
}
