package main

import (
	"bufio"
	"context"
	"io"
	"strings"
	"testing"

	"drey/mesh"
	"drey/web"
)

// TestSubNamesNewcomers reads one topic while a machine joins and speaks at
// once: it is called by its name, though it was none of those that sub knew.
func TestSubNamesNewcomers(t *testing.T) {
	t.Parallel()
	one := settleNode(t, "one", nil)
	defer one.end()
	ctx, stop := context.WithTimeout(t.Context(), awaitPatience)
	defer stop()
	c := web.NewClient(string(one.home))
	defer c.Close()
	said, says := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := (&session{out: says, err: t.Output()}).sub(ctx, c, web.Following{Topics: []mesh.Topic{mesh.TopicCommons}, Since: "all", Live: true}, 2, false)
		says.CloseWithError(io.EOF)
		ended <- err
	}()
	lines := bufio.NewScanner(said)
	from := one
	for range 2 {
		if _, err := (api{from.parts}).Publish(ctx, web.Post{Topic: mesh.TopicCommons, Text: "hello"}); err != nil {
			t.Fatal(err)
		}
		if !lines.Scan() || !strings.Contains(lines.Text(), " "+from.name+" ") {
			t.Errorf("what %s said is shown as %q", from.name, lines.Text())
		}
		if from == one {
			from = settleNode(t, "two", one)
			defer from.end()
		}
	}
	if err := <-ended; err != nil {
		t.Errorf("sub ended with %v", err)
	}
}
