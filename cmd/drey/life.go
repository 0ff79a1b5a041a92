package main

import (
	"context"
	"errors"
	"fmt"
)

// A life runs a node's parts and ends them in the reverse order of their
// beginning, so that whoever uses a part is gone before the part is.
type life struct {
	ctx    context.Context
	parts  []*part
	failed chan *part // holds one for every part
}

type part struct {
	name string
	stop context.CancelFunc
	done chan struct{} // closed when Run has returned
	err  error         // set before done
}

// newLife begins an empty life; ctx only passes values, its end is for wait.
func newLife(ctx context.Context) *life {
	return &life{ctx: context.WithoutCancel(ctx), failed: make(chan *part, 32)}
}

// begin runs a part until the life ends.
func (l *life) begin(name string, run func(context.Context) error) {
	ctx, stop := context.WithCancel(l.ctx)
	p := &part{name: name, stop: stop, done: make(chan struct{})}
	l.parts = append(l.parts, p)
	go func() {
		p.err = run(ctx)
		close(p.done)
		l.failed <- p
	}()
}

// wait blocks until ctx ends or a part returns by itself, then ends all parts.
// It returns what the part that ended it all said, and what went wrong in
// ending the others.
func (l *life) wait(ctx context.Context) error {
	var errs []error
	select {
	case <-ctx.Done():
	case p := <-l.failed:
		if p.err == nil {
			p.err = errors.New("ended by itself")
		}
		errs = append(errs, fmt.Errorf("%s: %w", p.name, p.err))
		p.err = nil
	}
	return errors.Join(append(errs, l.end())...)
}

// end stops every part, the youngest first. A wish to begin anew that comes too
// late is no fault.
func (l *life) end() error {
	var errs []error
	for i := len(l.parts) - 1; i >= 0; i-- {
		p := l.parts[i]
		p.stop()
		<-p.done
		if p.err != nil && !errors.Is(p.err, context.Canceled) && !errors.Is(p.err, errRewire) {
			errs = append(errs, fmt.Errorf("%s: %w", p.name, p.err))
		}
	}
	return errors.Join(errs...)
}
