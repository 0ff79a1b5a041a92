package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"drey/web"
)

// withNode makes the body of a command that speaks to the running node.
func (s *session) withNode(do func(ctx context.Context, c *web.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		h, err := s.home()
		if err != nil {
			return err
		}
		node := client(h)
		defer node.Close()
		return h.explain(do(c.Context(), node, args))
	}
}

func client(h home) *web.Client { return web.NewClient(string(h)) }

// explain adds to the fault of a node that does not answer what the home
// tells: whether there is a node at all, or one that is just starting.
func (h home) explain(err error) error {
	if !errors.Is(err, web.ErrNotRunning) {
		return err
	}
	if h.running() {
		return failf(exitNotUp, "wait a moment and try again; 'drey doctor' tells more", "the node in %s is starting or stopping", h)
	}
	if _, statErr := os.Stat(h.identity()); statErr != nil {
		return failf(exitNotUp, "'drey up' makes one and starts it; --home names another folder", "no node is running: there is none in %s", h)
	}
	return failf(exitNotUp, "start it with 'drey up' in another terminal", "the node in %s is not running", h)
}

// printJSON writes one object on a line, as scripts read it.
func (s *session) printJSON(v any) error {
	e := json.NewEncoder(s.out)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
