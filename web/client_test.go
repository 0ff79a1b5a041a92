package web_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"drey/mesh"
	"drey/web"
)

// TestClientReconnects stops the server under a reader and starts another one
// on the same node.
func TestClientReconnects(t *testing.T) {
	first := run(t, nil)
	n, home := first.node, first.home
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	connected, got := make(chan struct{}, 10), make(chan string, 100)
	var reader sync.WaitGroup
	reader.Go(func() {
		for r, err := range first.client.Messages(ctx, web.Following{Live: true, Reconnect: true, Connected: func() { connected <- struct{}{} }}) {
			if err != nil {
				if !errors.Is(err, context.Canceled) {
					t.Errorf("the stream ended: %v", err)
				}
				return
			}
			got <- r.Event.Content()
		}
	})
	defer reader.Wait()
	defer cancel()
	say := func(text string) { n.Receive(sign(t, 5, "commons", text), "commons", "gossip", 0) }
	<-connected
	say("one")
	if text := <-got; text != "one" {
		t.Fatalf("got %q", text)
	}
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	say("two, while nobody listens")
	run(t, func(c *web.Config) { c.Home, c.Node = home, n })
	<-connected
	say("three")
	for _, want := range []string{"two, while nobody listens", "three"} {
		if text := <-got; text != want {
			t.Errorf("got %q, want %q", text, want)
		}
	}
}

func TestClientEndsWithoutReconnect(t *testing.T) {
	r := run(t, nil)
	var last error
	var stopping sync.WaitGroup
	for _, err := range r.client.Messages(t.Context(), web.Following{Live: true, Connected: func() { stopping.Go(func() { r.stop() }) }}) {
		last = err
	}
	stopping.Wait()
	var e *web.Error
	if !errors.As(last, &e) || e.Code != web.CodeStopping {
		t.Errorf("the stream of a node that stops ended with %v", last)
	}
}

func TestImport(t *testing.T) {
	r := run(t, nil)
	known := r.node.Receive(sign(t, 5, "commons", "known"), "commons", "gossip", 0)
	var file strings.Builder
	file.Write(known.Event.AppendJSON(nil))
	fmt.Fprintf(&file, "\n\n%s\n", sign(t, 5, "alerts", "new").AppendJSON(nil))
	fmt.Fprintf(&file, `{"v":1,"seq":7,"topic":"council","event":%s}`+"\n", sign(t, 5, "council", "with its topic").AppendJSON(nil))
	fmt.Fprintf(&file, "not an event\n{}\n")
	fmt.Fprintf(&file, "%s", sign(t, 5, "alerts", "without a last line break").AppendJSON(nil))
	got, err := r.client.Import(t.Context(), strings.NewReader(file.String()), nil)
	if err != nil || !got.Done || got.Lines != 6 || got.New != 3 || got.Known != 1 || got.Refused[web.CodeInvalid] != 2 {
		t.Errorf("Import = %+v, %v", got, err)
	}
	again, err := r.client.Import(t.Context(), strings.NewReader(file.String()), nil)
	if err != nil || again.New != 0 || again.Known != 4 {
		t.Errorf("Import again = %+v, %v", again, err)
	}
	if rec, err := r.node.Record(t.Context(), sign(t, 5, "council", "with its topic").ID(), mesh.Self); err != nil || rec.Topic != "council" {
		t.Errorf("a record came in as %+v, %v", rec, err)
	}
	r.node.Fail(errors.New("disk on fire"))
	var e *web.Error
	if _, err := r.client.Import(t.Context(), strings.NewReader(file.String()), nil); !errors.As(err, &e) || e.Code != web.CodeInternal {
		t.Errorf("Import into a broken node: %v", err)
	}
}
