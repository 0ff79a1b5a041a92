//go:build e2e

package town

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"drey/web"
)

// A call is one system call of a traced node that matters here.
type call struct {
	what   string // "ask", "journal", "sync" or "answer"
	begins int    // line of the trace on which it begins
	ends   int    // and on which it is done
}

var (
	whole    = regexp.MustCompile(`^(\d+) +(\w+)\((.*)$`)
	resumed  = regexp.MustCompile(`^(\d+) +<\.\.\. (\w+) resumed>(.*)$`)
	requests = regexp.MustCompile(`"POST /v1/topics/`)
	answers  = regexp.MustCompile(`"HTTP/1\.1 202 `)
)

// calls reads what strace -f -y wrote: who asked, what went to the store's
// journal, when that was forced to the disk, and who was answered.
func calls(trace string) []call {
	var all []call
	open := map[string]int{} // by thread: the index in all of the call that has not returned, or -1
	for i, line := range strings.Split(trace, "\n") {
		if m := resumed.FindStringSubmatch(line); m != nil {
			k, ok := open[m[1]]
			delete(open, m[1])
			switch {
			case ok && k >= 0:
				all[k].ends = i
				if all[k].what == "sync" && !strings.HasSuffix(line, "= 0") {
					all[k].what = "failed"
				}
			case m[2] == "read" && requests.MatchString(m[3]):
				all = append(all, call{"ask", i, i})
			}
			continue
		}
		m := whole.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		unfinished := strings.HasSuffix(line, "<unfinished ...>")
		journal := strings.Contains(m[3], ".db-wal>")
		what := ""
		switch m[2] {
		case "read":
			if requests.MatchString(m[3]) {
				what = "ask"
			}
		case "pwrite64", "write":
			if journal {
				what = "journal"
			} else if answers.MatchString(m[3]) {
				what = "answer"
			}
		case "fsync", "fdatasync":
			if journal && (unfinished || strings.HasSuffix(line, "= 0")) {
				what = "sync"
			}
		}
		index := -1
		if what != "" {
			index = len(all)
			all = append(all, call{what, i, i})
		}
		if unfinished {
			open[m[1]] = index
		}
	}
	for _, k := range open {
		if k >= 0 {
			all[k].ends = len(trace) // never returned
		}
	}
	return all
}

// answeredFromDisk checks that between each question and its answer the
// journal was written, and that all of it was on the disk before the answer
// began. It returns how many answers there were.
func answeredFromDisk(all []call) (int, error) {
	n := 0
	for i, answer := range all {
		if answer.what != "answer" {
			continue
		}
		asked := -1
		for j := i - 1; j >= 0 && asked < 0; j-- {
			if all[j].what == "ask" {
				asked = j
			}
		}
		if asked < 0 {
			return n, fmt.Errorf("line %d: an answer to no question", answer.begins+1)
		}
		written := -1
		for j := asked; j < i; j++ {
			if all[j].what == "journal" {
				written = j
			}
		}
		if written < 0 {
			return n, fmt.Errorf("line %d: answered although nothing went to the journal", answer.begins+1)
		}
		safe := false
		for j := written; j < i; j++ {
			safe = safe || all[j].what == "sync" && all[j].begins > all[written].ends && all[j].ends < answer.begins
		}
		if !safe {
			return n, fmt.Errorf("line %d: answered before what line %d wrote was on the disk", answer.begins+1, all[written].begins+1)
		}
		n++
	}
	return n, nil
}

func TestTheOrderOfATraceIsJudged(t *testing.T) {
	const (
		ask    = `7 read(9<socket:[1]>, "POST /v1/topics/commons/messages"..., 4096) = 300`
		wal    = `7 pwrite64(5</h/events-1.db-wal>, "\0\0", 24, 0) = 24`
		sync   = `7 fdatasync(5</h/events-1.db-wal>) = 0`
		begun  = `7 fdatasync(5</h/events-1.db-wal> <unfinished ...>`
		done   = `7 <... fdatasync resumed>) = 0`
		failed = `7 fdatasync(5</h/events-1.db-wal>) = -1 EIO (Input/output error)`
		other  = `7 fsync(4</h/name>) = 0`
		answer = `8 write(9<socket:[1]>, "HTTP/1.1 202 Accepted\r\n"..., 200) = 200`
		late   = `8 read(9<socket:[1]>,  <unfinished ...>`
		heard  = `8 <... read resumed>"POST /v1/topics/commons/messages"..., 4096) = 300`
	)
	for _, tt := range []struct {
		name  string
		lines []string
		good  bool
	}{
		{"in order", []string{ask, wal, sync, answer}, true},
		{"a question that took long to come", []string{late, other, heard, wal, begun, done, answer}, true},
		{"answered before the sync", []string{ask, wal, answer, sync}, false},
		{"answered while the sync was under way", []string{ask, wal, begun, answer, done}, false},
		{"written again after the sync", []string{ask, wal, sync, wal, answer}, false},
		{"synced before the write", []string{ask, sync, wal, answer}, false},
		{"a sync that failed", []string{ask, wal, failed, answer}, false},
		{"another file's sync", []string{ask, wal, other, answer}, false},
		{"nothing written", []string{ask, answer}, false},
		{"the sync of the question before", []string{ask, wal, sync, answer, ask, wal, answer}, false},
	} {
		if _, err := answeredFromDisk(calls(strings.Join(tt.lines, "\n"))); (err == nil) != tt.good {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// A power cut takes what the kernel has not yet written. So no publisher may be
// answered before the disk has confirmed: the node's system calls tell.
func TestAnsweredOnlyFromTheDisk(t *testing.T) {
	drey := require(t, "strace")
	n := settle(t, drey, nil, "power")
	trace := filepath.Join(filepath.Dir(n.home), "trace")
	up := n.command("up", "--name", n.name, "--radio", "none", "--no-lan", "--web", "127.0.0.1:0", "--underlay", "tls://127.0.0.1:0")
	traced := append([]string{"strace", "-f", "-y", "-s", "48", "-o", trace, "-e", "trace=read,write,pwrite64,fsync,fdatasync"}, up.Args...)
	n.run(exec.Command(traced[0], traced[1:]...))
	n.await("answers", func(*web.Status) bool { return true })
	const many = 10
	for i := range many {
		n.pub(fmt.Sprintf("on the disk %d", i))
	}
	// strace passes no signal on: the node is its child.
	b, err := os.ReadFile(filepath.Join(n.home, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	syscall.Kill(pid, syscall.SIGINT)
	select {
	case <-n.ended:
	case <-time.After(patience):
		t.Fatal("the traced node does not end")
	}
	b, err = os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	got := calls(string(b))
	answered, err := answeredFromDisk(got)
	if err != nil {
		t.Errorf("%v\n%s", err, around(string(b), got))
	}
	if answered < many {
		t.Errorf("%d answers were traced, want %d", answered, many)
	}
	syncs := 0
	for _, c := range got {
		if c.what == "sync" {
			syncs++
		}
	}
	t.Logf("%d answers, each after its fdatasync; %d syncs of the journal in all", answered, syncs)
}

// around shows the calls that matter.
func around(trace string, all []call) string {
	lines := strings.Split(trace, "\n")
	var b strings.Builder
	for _, c := range all[max(0, len(all)-40):] {
		fmt.Fprintf(&b, "%d-%d %s %s\n", c.begins+1, c.ends+1, c.what, lines[c.begins])
	}
	return b.String()
}
