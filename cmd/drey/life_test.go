package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestLifeEndsPartsInReverse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var ended []string
		part := func(name string) func(context.Context) error {
			return func(ctx context.Context) error {
				<-ctx.Done()
				time.Sleep(time.Second) // on the fake clock: a slow goodbye
				mu.Lock()
				defer mu.Unlock()
				ended = append(ended, name)
				return ctx.Err()
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		l := newLife(ctx)
		for _, name := range []string{"store", "hub", "web"} {
			l.begin(name, part(name))
		}
		if err := l.wait(ctx); err != nil {
			t.Errorf("a life that was ended gave %v", err)
		}
		if want := []string{"web", "hub", "store"}; !slices.Equal(ended, want) {
			t.Errorf("parts ended in the order %q, want %q", ended, want)
		}
	})
}

func TestLifeEndsWithAFailedPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLife(t.Context())
		ended := false
		l.begin("store", func(ctx context.Context) error { <-ctx.Done(); ended = true; return nil })
		fault := errors.New("port in use")
		l.begin("web", func(context.Context) error { return fault })
		if err := l.wait(t.Context()); !errors.Is(err, fault) || err.Error() != "web: port in use" {
			t.Errorf("got %v, want web: port in use", err)
		}
		if !ended {
			t.Error("the store still runs")
		}
	})
}
