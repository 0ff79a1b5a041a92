package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"drey/mesh"
	"drey/web"
)

// scriptCommands are what the scripts may say beside testscript's own words.
func scriptCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"exits": cmdExits, "await": cmdAwait, "keep": cmdKeep, "events": cmdEvents, "mode": cmdMode, "port": cmdPort, "quietly": cmdQuietly, "link": cmdLink, "hup": cmdHup, "saved": cmdSaved, "gear": cmdGear, "browse": cmdBrowse, "lapse": cmdLapse, "few": cmdFew, "awaitcode": cmdAwaitCode,
		"relay": cmdRelay, "tinydisk": cmdTinyDisk, "fill": cmdFill, "frozen": cmdFrozen, "until": cmdUntil,
	}
}

// cmdExits runs a command and checks its exit code: exits 2 drey flie.
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARGUMENT...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if e, ok := err.(*exec.ExitError); ok {
		got = e.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v: %v", args[1:], err)
	}
	if got != want {
		ts.Fatalf("%v exited with %d, want %d", args[1:], got, want)
	}
}

// awaitPatience bounds how long a node may take to come to a state. It is long
// for the race detector on a busy machine: the models of the radio's compression
// alone, made at the first text, have taken a minute there.
const awaitPatience = 5 * time.Minute

// cmdAwait waits until the node of a home answers, and each further word
// NAME=NUMBER holds of its status: await home contact=1 members=2 events=5.
// What it waits for is a change in another process, so it has to ask.
func cmdAwait(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: await HOME [contact=N] [met=true] [members=N] [events=N] [community=NAME] [secret=EPOCH] [waiting=N] [knows=NAME]")
	}
	ctx, stop := context.WithTimeout(context.Background(), awaitPatience)
	defer stop()
	c := web.NewClient(ts.MkAbs(args[0]))
	defer c.Close()
	why := ""
	for {
		st, err := c.Status(ctx)
		if err == nil {
			if why = lacks(st, ts.MkAbs(args[0]), knows(ctx, c, args[1:])); why == "" {
				return
			}
		} else {
			why = err.Error()
		}
		if !pause(ctx, 20*time.Millisecond) {
			ts.Fatalf("%s: %s", args[0], why)
		}
	}
}

// knows takes out of the wishes the names of profiles that the node holds.
func knows(ctx context.Context, c *web.Client, wishes []string) []string {
	return slices.DeleteFunc(slices.Clone(wishes), func(w string) bool {
		name, ok := strings.CutPrefix(w, "knows=")
		if !ok {
			return false
		}
		for r, err := range c.Messages(ctx, web.Following{Since: "all", Topics: []mesh.Topic{mesh.TopicPeople}, Kinds: []mesh.Kind{mesh.KindProfile}}) {
			if err == nil && strings.Contains(r.Event.Content(), `"name":"`+name+`"`) {
				return true
			}
		}
		return false
	})
}

func connected(relays []web.RelayStatus) (n int) {
	for _, r := range relays {
		if r.Up {
			n++
		}
	}
	return n
}

func lacks(st *web.Status, dir string, wishes []string) string {
	is := map[string]string{
		"contact":   fmt.Sprint(st.PubSub.Peers),
		"members":   fmt.Sprint(st.Community.Members),
		"events":    fmt.Sprint(st.Store.Events),
		"community": st.Community.Name,
		"radio":     st.Radio.State,
		"nostr":     st.Nostr.State,
		"relays":    fmt.Sprint(connected(st.Nostr.Relays)),
		"name":      st.Node.Name,
		"peers":     fmt.Sprint(len(st.Overlay.Peers)),
		"met":       fmt.Sprint(st.PubSub.Peers > 0),
	}
	for _, w := range wishes {
		if strings.HasPrefix(w, "waiting=") {
			is["waiting"] = waitingAt(dir)
		}
	}
	if m, err := home(dir).readMembership(); err == nil {
		is["secret"] = fmt.Sprint(m.Epochs[0].Number)
	}
	for _, w := range wishes {
		name, want, _ := strings.Cut(w, "=")
		if is[name] != want {
			return fmt.Sprintf("%s is %q, want %q", name, is[name], want)
		}
	}
	return ""
}

// cmdKeep puts a file's text, such as an invite on stdout, into a variable:
// keep INVITE stdout.
func cmdKeep(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: keep NAME FILE")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile(args[1])))
}

// cmdEvents checks that a file holds exactly so many lines, each one NIP-01
// event whose id and signature hold and that would be written the same again,
// with these contents: events stdout 2 first.txt second.txt.
func cmdEvents(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: events FILE COUNT [CONTENT-FILE...]")
	}
	text := ts.ReadFile(args[0])
	if text != "" && !strings.HasSuffix(text, "\n") {
		ts.Fatalf("%s does not end with a line break", args[0])
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if text == "" {
		lines = nil
	}
	if fmt.Sprint(len(lines)) != args[1] {
		ts.Fatalf("%s holds %d lines, want %s", args[0], len(lines), args[1])
	}
	seen := map[mesh.EventID]bool{}
	for i, line := range lines {
		e, err := mesh.ParseJSON([]byte(line))
		if err == nil {
			err = e.Verify()
		}
		if err != nil {
			ts.Fatalf("line %d: %v\n%s", i+1, err, line)
		}
		if got := e.AppendJSON(nil); !bytes.Equal(got, []byte(line)) {
			ts.Fatalf("line %d is\n%s\nand would be written as\n%s", i+1, line, got)
		}
		if seen[e.ID()] {
			ts.Fatalf("line %d: %s is there twice", i+1, e.ID())
		}
		seen[e.ID()] = true
		if 2+i < len(args) {
			if want := strings.TrimSuffix(ts.ReadFile(args[2+i]), "\n"); e.Content() != want {
				ts.Fatalf("line %d says %q, want %q", i+1, e.Content(), want)
			}
		}
	}
}

// cmdMode checks a file's permissions: mode 0600 home/identity.
func cmdMode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mode MODE FILE")
	}
	ts.Check(checkMode(ts.MkAbs(args[1]), args[0]))
}

// cmdPort puts the port of a node's page into a variable: port PORT home.
func cmdPort(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: port NAME HOME")
	}
	c := web.NewClient(ts.MkAbs(args[1]))
	defer c.Close()
	st, err := c.Status(context.Background())
	ts.Check(err)
	_, port, err := net.SplitHostPort(st.Web.Listen)
	ts.Check(err)
	ts.Setenv(args[0], port)
}

// cmdQuietly makes the nodes of a script leave the machine's network alone.
func cmdQuietly(ts *testscript.TestScript, neg bool, args []string) {
	ts.Setenv("DREY_WEB__LISTEN", "127.0.0.1:0")
	ts.Setenv("DREY_OVERLAY__LISTEN", "tls://127.0.0.1:0")
	ts.Setenv("DREY_OVERLAY__LAN", "false")
	ts.Setenv("DREY_RADIO__DEVICE", "none")
}

// cmdLink puts the URI at which a node's underlay answers into a variable:
// link LINK home.
func cmdLink(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: link NAME HOME")
	}
	c := web.NewClient(ts.MkAbs(args[1]))
	defer c.Close()
	st, err := c.Status(context.Background())
	ts.Check(err)
	if len(st.Overlay.Listen) == 0 {
		ts.Fatalf("%s cannot be called", args[1])
	}
	ts.Setenv(args[0], st.Overlay.Listen[0])
}

// cmdHup tells the node of a home to read its configuration again.
func cmdHup(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: hup HOME")
	}
	b, err := os.ReadFile(filepath.Join(ts.MkAbs(args[0]), "lock"))
	ts.Check(err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	ts.Check(err)
	ts.Check(syscall.Kill(pid, syscall.SIGHUP))
}

// waitingAt counts the machines that ask to belong.
func waitingAt(dir string) string {
	c := web.NewClient(dir)
	defer c.Close()
	members, err := c.Members(context.Background())
	if err != nil {
		return err.Error()
	}
	n := 0
	for _, m := range members {
		if m.Standing == web.StandingWaiting {
			n++
		}
	}
	return strconv.Itoa(n)
}

// cmdBrowse opens the invite in a file as a phone's camera does: browse FILE.
func cmdBrowse(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: browse FILE")
	}
	r, err := http.Get(strings.TrimSpace(ts.ReadFile(args[0])))
	ts.Check(err)
	r.Body.Close()
}

// cmdLapse waits until the invite in a file has ended by its own word: lapse
// FILE.
func cmdLapse(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: lapse FILE")
	}
	v, err := mesh.ParseInvite(ts.ReadFile(args[0]))
	ts.Check(err)
	pause(context.Background(), time.Until(v.Expires.Time().Add(time.Second)))
}
