package carriertest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"drey/mesh"
)

// A Wire is one end of a pair of carriers in memory. What one end is owed the
// other receives; nothing is buffered between them, so an end that does not
// run loses nothing.
type Wire struct {
	name   string      // immutable
	peer   string      // immutable
	limits mesh.Limits // immutable
	out    chan parcel // immutable
	in     chan parcel // immutable
}

// A parcel is one event on the wire.
type parcel struct {
	event *mesh.Event
	topic mesh.Topic
	taken chan error // buffered: the receiver's answer
}

var _ mesh.Carrier = (*Wire)(nil)

// NewPair returns two carriers called name that reach each other.
func NewPair(name string, l mesh.Limits) (a, b *Wire) {
	if l.MaxEvent == 0 {
		l.MaxEvent = mesh.MaxEventSize
	}
	ab, ba := make(chan parcel), make(chan parcel)
	return &Wire{name, "b", l, ab, ba}, &Wire{name, "a", l, ba, ab}
}

// Name implements mesh.Carrier.
func (w *Wire) Name() string { return w.name }

// Limits implements mesh.Carrier.
func (w *Wire) Limits() mesh.Limits { return w.limits }

// Run implements mesh.Carrier.
func (w *Wire) Run(ctx context.Context, p mesh.Port) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { w.receive(ctx, p) })
	err := w.send(ctx, p)
	cancel()
	wg.Wait()
	return err
}

func (w *Wire) send(ctx context.Context, p mesh.Port) error {
	for {
		d, err := p.Next(ctx)
		if err != nil {
			return err
		}
		if size := len(d.Event.AppendBinary(nil)); size > w.limits.MaxEvent {
			d.Done(fmt.Errorf("event of %d bytes, limit %d", size, w.limits.MaxEvent))
			continue
		}
		x := parcel{d.Event, d.Topic, make(chan error, 1)}
		select {
		case w.out <- x:
		case <-ctx.Done():
			d.Release()
			return ctx.Err()
		}
		select {
		case err = <-x.taken:
		case <-ctx.Done():
			d.Release()
			return ctx.Err()
		}
		if errors.Is(err, mesh.ErrBusy) {
			d.Done(err)
			continue
		}
		d.Done(nil) // refused or not, it was carried
	}
}

func (w *Wire) receive(ctx context.Context, p mesh.Port) {
	for {
		select {
		case x := <-w.in:
			err := p.Receive(ctx, x.event, mesh.Origin{Peer: w.peer, Topic: x.topic})
			if ctx.Err() != nil && err != nil {
				err = mesh.ErrBusy // it may not have been taken
			}
			x.taken <- err
		case <-ctx.Done():
			return
		}
	}
}
