package relay

import (
	"context"
	"sync"

	"drey/mesh"
)

// A disk waits for the disk for all publishers together: one flush answers
// everybody whose event was taken before it.
type disk struct {
	news chan struct{} // holds one

	mu struct {
		sync.Mutex
		waiting []ack // at most publishing for each connection
	}
}

// An ack is an OK that waits for the disk.
type ack struct {
	c    *conn
	id   mesh.EventID
	text string
}

func (d *disk) add(a ack) {
	d.mu.Lock()
	d.mu.waiting = append(d.mu.waiting, a)
	d.mu.Unlock()
	nudge(d.news)
}

func (d *disk) take() []ack {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := d.mu.waiting
	d.mu.waiting = nil
	return all
}

// run answers until ctx ends.
func (d *disk) run(ctx context.Context, n Node) {
	for {
		select {
		case <-d.news:
		case <-ctx.Done():
			return
		}
		all := d.take()
		err := n.Flush(ctx)
		for _, a := range all {
			a.answer(err)
		}
	}
}

func (a *ack) answer(err error) {
	ok, text := true, a.text
	if err != nil {
		ok, text = false, "error: it could not be saved; try again later"
	} else {
		a.c.front.stats.events.Add(1)
	}
	a.c.out.force(frame{body: appendMessage(nil, "OK", a.id.String(), ok, text)})
	<-a.c.flights
}
