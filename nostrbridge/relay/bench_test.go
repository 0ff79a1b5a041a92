package relay

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"drey/mesh"
)

// notes signs notes of some authors in turn.
func notes(n int, authors ...string) []*mesh.Event {
	all := make([]*mesh.Event, n)
	var wg sync.WaitGroup
	for part := range 4 {
		wg.Go(func() {
			for i := part; i < n; i += 4 {
				all[i] = note(authors[i%len(authors)], fmt.Sprintf("note %d of a benchmark, as long as people write on average: about a hundred letters", i))
			}
		})
	}
	wg.Wait()
	return all
}

// members admits n people and returns their names.
func (w *world) members(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprint("member ", i)
		w.admit(names[i])
	}
	return names
}

// BenchmarkAccept measures notes of a hundred members through websockets to a real store, until OK
// says that they are on disk, beside checking as many signatures on as many
// goroutines, turn by turn in the same run. The clients' work is in it. cpu-ratio
// compares the processor's time, which other work on the machine changes less.
func BenchmarkAccept(b *testing.B) {
	const conns, turn = 8, 400
	w := newDiskWorld(b, generous)
	events := notes(b.N, w.members(100)...)
	var clients [conns]*client
	for i := range clients {
		clients[i] = w.connect(b)
	}
	var bare, took, bareCPU, tookCPU time.Duration
	b.ResetTimer()
	for list := range slices.Chunk(events, turn) {
		began, cpu := time.Now(), cpuTime()
		each(conns, list, func(_ int, list []*mesh.Event) {
			for _, e := range list {
				if err := e.Verify(); err != nil {
					b.Error(err)
				}
			}
		})
		bare += time.Since(began)
		bareCPU += cpuTime() - cpu
		began, cpu = time.Now(), cpuTime()
		each(conns, list, func(i int, list []*mesh.Event) {
			c := clients[i]
			var wg sync.WaitGroup
			wg.Go(func() {
				for range list {
					if _, m, err := c.ws.Read(context.Background()); err != nil || !strings.Contains(string(m), "true") {
						b.Errorf("answered %s, %v", m, err)
						return
					}
				}
			})
			for _, e := range list {
				c.send(`["EVENT",` + string(e.AppendJSON(nil)) + `]`)
			}
			wg.Wait()
		})
		took += time.Since(began)
		tookCPU += cpuTime() - cpu
	}
	b.ReportMetric(float64(b.N)/took.Seconds(), "accepted/s")
	b.ReportMetric(float64(b.N)/bare.Seconds(), "verified/s")
	b.ReportMetric(bare.Seconds()/took.Seconds(), "ratio")
	b.ReportMetric(bareCPU.Seconds()/tookCPU.Seconds(), "cpu-ratio")
}

// cpuTime is what this process has used of the processors.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// each hands equal parts of a list to n goroutines.
func each(n int, list []*mesh.Event, do func(int, []*mesh.Event)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { do(i, list[len(list)*i/n:len(list)*(i+1)/n]) })
	}
	wg.Wait()
}

// BenchmarkDelivery measures how long after its OK a note has reached each of
// 500 subscribers over websockets on this machine; before counts as 0.
func BenchmarkDelivery(b *testing.B) {
	const subscribers = 500
	w := newDiskWorld(b, generous)
	events := notes(b.N, "ana")
	var accepted sync.Map // id to time
	arrivals := make([][]arrival, subscribers)
	var wg sync.WaitGroup
	for i := range subscribers {
		c := w.connectAs(b, "ben")
		c.req("s", `{"kinds":[1]}`)
		wg.Go(func() {
			for range events {
				_, text, err := c.ws.Read(context.Background())
				at := time.Now()
				_, rest, ok := strings.Cut(string(text), `{"id":"`)
				if err != nil || !ok {
					b.Errorf("%v %s", err, text)
					return
				}
				arrivals[i] = append(arrivals[i], arrival{rest[:64], at})
			}
		})
	}
	c := w.connect(b)
	b.ResetTimer()
	beat := time.NewTicker(100 * time.Millisecond) // 5,000 messages a second
	defer beat.Stop()
	for _, e := range events {
		<-beat.C
		c.posted(e)
		accepted.Store(e.ID().String(), time.Now())
	}
	wg.Wait()
	var late []time.Duration
	for _, list := range arrivals {
		for _, a := range list {
			at, _ := accepted.Load(a.id)
			late = append(late, max(0, a.at.Sub(at.(time.Time))))
		}
	}
	slices.Sort(late)
	b.ReportMetric(float64(late[len(late)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(late[len(late)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(0, "ns/op")
}

type arrival struct {
	id string
	at time.Time
}

// BenchmarkQuery measures REQ by author with a limit of 20 over a websocket.
func BenchmarkQuery(b *testing.B) {
	w := newDiskWorld(b, generous)
	c := w.connectAs(b, "ana")
	for i := range 2000 {
		c.posted(at("ana", now()-mesh.Unix(i), "a note of one second"))
	}
	req := `["REQ","s",{"authors":["` + keyHex("ana") + `"],"kinds":[1],"limit":20}]`
	b.ResetTimer()
	for range b.N {
		c.send(req)
		for {
			_, m, err := c.ws.Read(context.Background())
			if err != nil {
				b.Fatal(err)
			}
			if m[2] == 'E' && m[3] == 'O' {
				break
			}
		}
	}
}

// BenchmarkSpread measures one event offered to 500 subscriptions that choose
// another author, each with 100 authors.
func BenchmarkSpread(b *testing.B) {
	f, _ := bareFront(b, Limits{})
	list := ""
	for i := range 100 {
		list += `"` + key(fmt.Sprint("author ", i)).PubKey().String() + `",`
	}
	flt, err := parseFilter([]byte(`{"kinds":[1],"authors":[`+list[:len(list)-1]+`]}`), &f.limits)
	if err != nil {
		b.Fatal(err)
	}
	f.mu.ctx = b.Context()
	for range 500 {
		c := &conn{front: f, addr: addrOf("[::1]:1")}
		if _, err := f.enter(c); err != nil {
			b.Fatal(err)
		}
		c.mu.subs = []*sub{{id: "s", filters: []*filter{flt}, live: true}}
	}
	r := &mesh.Record{Event: note("ana", "x"), Topic: "commons", Seq: 1}
	b.ResetTimer()
	for range b.N {
		f.spread(r)
	}
}
