package main

import (
	"bufio"
	"context"
	"io"
	"slices"
	"strings"
	"testing"
)

// TestNarrate reads what 'drey up' tells at the terminal while another machine
// joins: the link, the decision and the contact.
func TestNarrate(t *testing.T) {
	t.Parallel()
	one := settleNode(t, "one", nil)
	defer one.end()
	ctx, stop := context.WithTimeout(t.Context(), awaitPatience)
	defer stop()
	said, says := io.Pipe()
	ended := make(chan error, 1)
	a := api{one.parts}
	first := a.look(ctx)
	go func() {
		err := (&session{out: says}).narrate(ctx, a, first)
		says.CloseWithError(io.EOF)
		ended <- err
	}()
	two := settleNode(t, "two", one)
	defer two.end()
	missing := []string{" linked with ", " the community has 2 members now", " 1 machine of the community in contact"}
	for lines := bufio.NewScanner(said); lines.Scan(); {
		missing = slices.DeleteFunc(missing, func(text string) bool { return strings.Contains(lines.Text(), text) })
		if len(missing) == 0 {
			stop()
		}
	}
	if err := <-ended; err != nil {
		t.Errorf("narrate ended with %v", err)
	}
	for _, text := range missing {
		t.Errorf("never told: %q", text)
	}
}
