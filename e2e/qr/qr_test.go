//go:build e2e

package qr

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"rsc.io/qr"

	"drey/e2e/npm"
	"drey/mesh"
)

// A theme is how somebody has set up the terminal.
type theme struct {
	name string
	args []string
}

var themes = []theme{
	{"dark", []string{"-bg", "black", "-fg", "gray90"}},
	{"light", []string{"-bg", "white", "-fg", "black"}},
	{"solarized dark", []string{"-bg", "#002b36", "-fg", "#839496", "-xrm", "XTerm*color0: #073642", "-xrm", "XTerm*color15: #fdf6e3"}},
	{"black and white exchanged", []string{"-bg", "white", "-fg", "black", "-xrm", "XTerm*color0: white", "-xrm", "XTerm*color15: black"}},
	{"reverse video", []string{"-rv"}},
	{"small letters", []string{"-bg", "black", "-fg", "gray90", "-fs", "7"}},
	{"large letters", []string{"-bg", "white", "-fg", "black", "-fs", "14"}},
}

// TestTerminalCodeIsReadByOthers shows an invite, and the page's address, in
// terminals of 80 columns and 24 lines, takes pictures, and has zbarimg and
// jsQR read them.
func TestTerminalCodeIsReadByOthers(t *testing.T) {
	for _, tool := range []string{"Xvfb", "xterm", "import", "zbarimg", "node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing(t, tool)
		}
	}
	drey, home := build(t), t.TempDir()
	start(t, drey, home)
	display := screen(t)
	var pictures, wants []string
	for i, th := range themes {
		for _, kind := range []string{"", "--phone"} {
			picture := filepath.Join(t.TempDir(), fmt.Sprintf("%d%s.png", i, kind))
			want := show(t, display, drey, home, kind, th, picture)
			pictures, wants = append(pictures, picture), append(wants, want)
			code, err := qr.Encode(want, qr.L)
			if err != nil {
				t.Fatal(err)
			}
			if version := (code.Size - 17) / 4; version > 6 {
				t.Errorf("%s%s: the code has version %d, want at most 6", th.name, kind, version)
			}
			out, err := exec.Command("zbarimg", "-q", "--raw", picture).Output()
			if got := strings.TrimSpace(string(out)); err != nil || got != want {
				t.Errorf("%s%s: zbarimg reads %q, %v, want %q", th.name, kind, got, err, want)
			}
		}
	}
	for i, got := range jsQR(t, pictures) {
		if got != wants[i] {
			t.Errorf("%s: jsQR reads %q, want %q", filepath.Base(pictures[i]), got, wants[i])
		}
	}
	t.Logf("%d pictures of terminals were read by zbarimg and jsQR", len(pictures))
}

// TestImageIsReadByOthers has both read what --png wrote.
func TestImageIsReadByOthers(t *testing.T) {
	for _, tool := range []string{"zbarimg", "node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing(t, tool)
		}
	}
	drey, home := build(t), t.TempDir()
	start(t, drey, home)
	image := filepath.Join(t.TempDir(), "invite.png")
	out, err := exec.Command(drey, "invite", "--home", home, "--png", image).Output()
	if err != nil {
		t.Fatal(err)
	}
	want := strings.TrimSpace(string(out))
	if _, err := mesh.ParseInvite(want); err != nil {
		t.Fatal(err)
	}
	got, err := exec.Command("zbarimg", "-q", "--raw", image).Output()
	if err != nil || strings.TrimSpace(string(got)) != want {
		t.Errorf("zbarimg reads %q, %v, want %q", got, err, want)
	}
	if got := jsQR(t, []string{image})[0]; got != want {
		t.Errorf("jsQR reads %q, want %q", got, want)
	}
}

// show runs 'drey invite' in a terminal, waits until it has shown all, takes a
// picture of the window and returns the text that the code should hold.
func show(t *testing.T, display, drey, home, kind string, th theme, picture string) string {
	t.Helper()
	dir := t.TempDir()
	shown, seen := filepath.Join(dir, "shown"), filepath.Join(dir, "typescript")
	// script(1) keeps what the terminal was given, from which the link is taken.
	script := fmt.Sprintf("exec script -qefc '%s invite --home %s %s && touch %s && sleep 300' %s", drey, home, kind, shown, seen)
	// Letters of 12 points: at 10 a cell of the code is 8 pixels wide, which is
	// how wide jsQR's own squares are in which it tells light from dark; it then
	// reads nothing, whoever drew the code. No photograph is that exact.
	args := append([]string{"-geometry", "80x24+0+0", "-fa", "DejaVu Sans Mono", "-fs", "12", "-en", "UTF-8"}, th.args...)
	c := exec.Command("xterm", append(args, "-e", "sh", "-c", script)...)
	c.Env = append(os.Environ(), "DISPLAY="+display, "LANG=C.UTF-8", "TERM=xterm-256color")
	c.Stderr = t.Output()
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
		c.Wait()
	}()
	link := ""
	within(t, th.name+" is shown", func() bool {
		b, _ := os.ReadFile(seen)
		for line := range strings.Lines(string(b)) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "HTTP://") {
				link = line
			}
		}
		_, err := os.Stat(shown)
		return err == nil && link != ""
	})
	// The terminal draws a moment after it was told: the picture is good when
	// the next one is the same.
	last := ""
	within(t, th.name+" stands still", func() bool {
		if out, err := exec.Command("import", "-display", display, "-window", "root", picture).CombinedOutput(); err != nil {
			t.Fatalf("import: %v\n%s", err, out)
		}
		b, err := os.ReadFile(picture)
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("identify", "-format", "%#", picture).Output() // of the pixels alone
		if err != nil {
			t.Fatal(err)
		}
		still := last == string(out) && len(b) > 2000
		last = string(out)
		return still
	})
	return link
}

// screen starts a virtual screen and returns its display.
func screen(t *testing.T) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	c := exec.Command("Xvfb", "-displayfd", "3", "-screen", "0", "1280x800x24", "-nolisten", "tcp")
	c.ExtraFiles = []*os.File{w}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	r.SetReadDeadline(time.Now().Add(time.Minute))
	name, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatalf("Xvfb names no display: %v", err)
	}
	return ":" + strings.TrimSpace(name)
}

// jsQR reads pictures with the library that pages use.
func jsQR(t *testing.T, pictures []string) []string {
	t.Helper()
	if _, err := os.Stat("node_modules/.package-lock.json"); err != nil {
		if err := npm.Install(t.Context(), "."); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("node", append([]string{"read.mjs"}, pictures...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
}

func missing(t *testing.T, tool string) {
	t.Helper()
	if os.Getenv("DREY_E2E") == "required" {
		t.Fatalf("%s is missing", tool)
	}
	t.Skipf("skipped: %s is missing", tool)
}

func build(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "drey")
	c := exec.Command("go", "build", "-o", name, "drey/cmd/drey")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return name
}

// start runs a node that answers at one IPv4 address.
func start(t *testing.T, drey, home string) {
	t.Helper()
	c := exec.Command(drey, "run", "--home", home, "--name", "school", "--web", "127.0.0.1:0", "--underlay", "none", "--no-lan", "--radio", "none")
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Signal(os.Interrupt); c.Wait() })
	within(t, "the node answers", func() bool {
		return exec.Command(drey, "status", "--home", home).Run() == nil
	})
}

// within waits for what another process does; it is asked often.
func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: not within two minutes", what)
		}
	}
}
