//go:build e2e

package page

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"drey/mesh"
)

// history writes a month of talk in the node's own name into it.
func (n *node) history(messages int) {
	n.t.Helper()
	b, err := os.ReadFile(filepath.Join(n.home, "identity"))
	if err != nil {
		n.t.Fatal(err)
	}
	fields := strings.Fields(string(b))
	var seed mesh.Seed
	if _, err := hex.Decode(seed[:], []byte(fields[len(fields)-1])); err != nil {
		n.t.Fatal(err)
	}
	who, err := seed.Identity()
	if err != nil {
		n.t.Fatal(err)
	}
	var lines bytes.Buffer
	began := time.Now().Add(-30 * 24 * time.Hour)
	for i := range messages {
		at := began.Add(time.Duration(i) * 30 * 24 * time.Hour / time.Duration(messages+1))
		e, err := who.Author.Sign(mesh.Draft{Kind: mesh.KindNote, CreatedAt: mesh.UnixOf(at), Tags: [][]string{{"t", "commons"}},
			Content: fmt.Sprintf("message %d: %s", i, strings.Repeat("words of a neighbour ", 1+i%5))})
		if err != nil {
			n.t.Fatal(err)
		}
		lines.Write(e.AppendJSON(nil))
		lines.WriteByte('\n')
	}
	file := filepath.Join(n.t.TempDir(), "month.jsonl")
	if err := os.WriteFile(file, lines.Bytes(), 0o600); err != nil {
		n.t.Fatal(err)
	}
	n.run("import", file)
}

// The aims of docs/BENCHMARKS.md are for a machine with nothing else to do. The
// bounds of times here are three times as wide: they find what is broken, on a
// busy machine too.

// TestFigureColdPage loads the page for the first time at 1 Mbit/s and 100 ms
// and looks when the messages are painted.
func TestFigureColdPage(t *testing.T) {
	n := start(t, "school")
	n.history(60)
	var took []float64
	for range 3 {
		p := open(t).tab() // a browser that has never been here
		p.network(100*time.Millisecond, 1e6/8, false)
		p.to(n.lan + "/t/commons")
		p.until(`performance.getEntriesByName("first-contentful-paint").length && document.querySelectorAll("li.message").length == 50`)
		took = append(took, eval[float64](p, `performance.getEntriesByName("first-contentful-paint")[0].startTime`))
		if seen := eval[bool](p, `(() => { const r = [...document.querySelectorAll("li.message")].some(m => { const r = m.getBoundingClientRect(); return r.bottom > 0 && r.top < innerHeight }); return r })()`); !seen {
			t.Error("what was painted first holds no message")
		}
	}
	slices.Sort(took)
	t.Logf("FIGURE cold page at 1 Mbit/s, 100 ms: messages painted after %.0f ms (of %.0f)", took[1], took)
	if took[1] > 3*1000 {
		t.Errorf("the first message is seen after %.0f ms; 1000 is the aim, three times that the bound", took[1])
	}
}

// TestFigure200Phones keeps 200 live streams open and times each message from
// the post to every phone.
func TestFigure200Phones(t *testing.T) {
	const phones, messages = 200, 60
	n := start(t, "school")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	transport := &http.Transport{MaxIdleConnsPerHost: 4}
	client := &http.Client{Transport: transport}
	defer transport.CloseIdleConnections()

	var mu sync.Mutex
	sent := make([]time.Time, messages)
	var delays []time.Duration
	all := make(chan struct{})
	var ready, ended sync.WaitGroup
	marked := regexp.MustCompile(`probe (\d+) end`)
	for range phones {
		ready.Add(1)
		ended.Go(func() {
			r, _ := http.NewRequestWithContext(ctx, http.MethodGet, n.here+"/live?topic=commons", nil)
			r.Header.Set("Accept", "text/event-stream")
			resp, err := client.Do(r)
			if err != nil || resp.StatusCode != http.StatusOK {
				t.Errorf("a phone gets no stream: %v", err)
				ready.Done()
				return
			}
			defer resp.Body.Close()
			ready.Done()
			lines := bufio.NewScanner(resp.Body)
			lines.Buffer(nil, 1<<20)
			for lines.Scan() {
				m := marked.FindSubmatch(lines.Bytes())
				if m == nil {
					continue
				}
				now := time.Now()
				i, _ := strconv.Atoi(string(m[1]))
				mu.Lock()
				delays = append(delays, now.Sub(sent[i]))
				if len(delays) == phones*messages {
					close(all)
				}
				mu.Unlock()
			}
		})
	}
	ready.Wait()
	tick := time.NewTicker(150 * time.Millisecond)
	defer tick.Stop()
	for i := range messages {
		<-tick.C
		mu.Lock()
		sent[i] = time.Now()
		mu.Unlock()
		n.run1(i)
	}
	select {
	case <-all:
	case <-time.After(time.Minute):
		t.Errorf("after a minute %d of %d have come", len(delays), phones*messages)
	}
	rss := n.memory()
	cancel()
	ended.Wait()
	slices.Sort(delays)
	p50, p95, worst := delays[len(delays)/2], delays[len(delays)*95/100], delays[len(delays)-1]
	t.Logf("FIGURE %d phones, %d messages: post to seen p50 %s, p95 %s, worst %s; resident %d MB", phones, messages, p50, p95, worst, rss>>20)
	if p95 > 3*300*time.Millisecond {
		t.Errorf("p95 is %s; 300 ms is the aim, three times that the bound", p95)
	}
	if rss > 120e6 {
		t.Errorf("the node takes %d MB, limit 120", rss/1e6)
	}
}

// run1 posts one probe over the socket's HTTP, as a program does.
func (n *node) run1(i int) {
	n.t.Helper()
	token, err := os.ReadFile(filepath.Join(n.home, "token"))
	if err != nil {
		n.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(n.t.Context(), http.MethodPost, n.here+"/v1/topics/commons/messages", strings.NewReader(fmt.Sprintf("probe %d end", i)))
	if err != nil {
		n.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		n.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		n.t.Fatalf("probe %d: %s", i, resp.Status)
	}
}

// memory is what the node's process holds in RAM, in bytes.
func (n *node) memory() int64 {
	n.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.cmd.Process.Pid))
	if err != nil {
		n.t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				n.t.Fatal(err)
			}
			return kb << 10
		}
	}
	n.t.Fatal("no VmRSS")
	return 0
}

// TestFigureNothingShifts lets messages arrive while somebody reads, at the
// end and further up, and adds up what chromium calls layout shifts.
func TestFigureNothingShifts(t *testing.T) {
	n := start(t, "school")
	n.history(60)
	for _, where := range []string{"end", "middle"} {
		p := open(t).tab()
		p.to(n.lan + "/t/commons")
		p.until(scripted)
		if where == "middle" {
			eval[bool](p, `(scrollTo({top: document.documentElement.scrollHeight / 2, behavior: "instant"}), true)`)
		} else {
			eval[bool](p, `(scrollTo({top: document.documentElement.scrollHeight, behavior: "instant"}), true)`)
		}
		eval[bool](p, `new Promise(done => { window.shifts = []; new PerformanceObserver(l => { for (const e of l.getEntries()) window.shifts.push(e.value) }).observe({type: "layout-shift"}); requestAnimationFrame(() => requestAnimationFrame(() => done(true))) })`)
		before := eval[int](p, `document.querySelectorAll("li.message").length`)
		at := eval[float64](p, `scrollY`)
		for i := range 10 {
			n.run1(1000 + i)
		}
		p.until(fmt.Sprintf(`document.querySelectorAll("li.message").length >= %d || document.querySelector(".new-marker")`, before+10))
		eval[bool](p, `new Promise(done => setTimeout(() => done(true), 700))`)
		moved := eval[float64](p, `window.shifts.reduce((a, b) => a + b, 0)`)
		t.Logf("FIGURE layout shift while ten messages arrive, reading at the %s: %g", where, moved)
		if moved > 0 {
			t.Errorf("reading at the %s the page shifts by %g", where, moved)
		}
		if now := eval[float64](p, `scrollY`); where == "middle" && now != at {
			t.Errorf("the reader at %g is moved to %g", at, now)
		}
		p.shot("shift-" + where)
	}
}

// TestFigureAMonthScrolls reads back through fifty thousand messages.
func TestFigureAMonthScrolls(t *testing.T) {
	n := start(t, "school")
	began := time.Now()
	n.history(50_000)
	t.Logf("50,000 messages imported in %s", time.Since(began).Round(time.Second))
	p := open(t).tab()
	p.to(n.lan + "/t/commons")
	p.until(scripted)
	var tasks []float64 // the longest of each page
	var worstPage float64
	for range 20 {
		eval[bool](p, `(window.longest = 0, new PerformanceObserver(l => { for (const e of l.getEntries()) window.longest = Math.max(window.longest, e.duration) }).observe({type: "longtask", buffered: true}), true)`)
		for y := 0; y < 5; y++ {
			eval[bool](p, `new Promise(done => { scrollBy({top: -innerHeight, behavior: "instant"}); requestAnimationFrame(() => done(true)) })`)
		}
		tasks = append(tasks, eval[float64](p, `window.longest`))
		oldest := eval[string](p, `document.querySelector("li.message").dataset.id`)
		from := time.Now()
		if eval[bool](p, `!!document.querySelector("a[rel=prev]")`) {
			p.click(`a[rel=prev]`)
		}
		p.until(fmt.Sprintf(`document.querySelector("li.message") && document.querySelector("li.message").dataset.id != %q`, oldest))
		worstPage = max(worstPage, float64(time.Since(from).Milliseconds()))
	}
	slices.Sort(tasks)
	t.Logf("FIGURE 50,000 messages, 20 pages back: longest task %.0f ms (median of the pages' longest %.0f), slowest page %.0f ms, resident %d MB", tasks[19], tasks[10], worstPage, n.memory()>>20)
	if tasks[10] > 500 || tasks[19] > 3*500 { // the machine may be busy for one of them
		t.Errorf("the page stands still for %.0f ms, of one after the other for %.0f", tasks[19], tasks[10])
	}
	// The very first page of the month is as near as the last.
	from := time.Now()
	p.to(n.lan + "/search?q=%22message+17%22&topic=commons")
	p.until(`document.querySelector("main ol.messages li, .empty")`)
	t.Logf("search in 50,000: %s", time.Since(from).Round(time.Millisecond))
}
