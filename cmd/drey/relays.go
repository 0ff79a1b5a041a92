package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"drey/web"
)

func (s *session) relaysCommand() *cobra.Command {
	c := &cobra.Command{Use: "relays", Short: "public Nostr relays: which, how they fare, and whether they work"}
	asJSON := false
	ls := &cobra.Command{
		Use:   "ls",
		Short: "list the relays and how they fare",
		Args:  cobra.NoArgs,
		RunE: s.withNode(func(ctx context.Context, c *web.Client, _ []string) error {
			st, err := c.Relays(ctx)
			if err != nil {
				return err
			}
			if asJSON {
				return s.printJSON(map[string]any{"v": 1, "state": st.State, "gateway": st.Gateway, "relays": st.Relays})
			}
			if len(st.Relays) == 0 {
				fmt.Fprintln(s.err, "no relays; 'drey relays add wss://relay.example.org' takes one")
			}
			w := tabwriter.NewWriter(s.out, 0, 8, 2, ' ', 0)
			for _, r := range st.Relays {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", relayState(r), r.URL, relayTally(r), plain(r.Error, false))
			}
			return w.Flush()
		}),
	}
	ls.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	c.AddCommand(ls,
		s.changing("relay", "add URL", "connect to a relay, now and after each start", "added; 'drey relays test' tells whether it takes messages", (*web.Client).AddRelay),
		s.changing("relay", "rm URL", "leave a relay for good", "removed", (*web.Client).RemoveRelay),
		s.changing("relay", "pause URL", "leave a relay until 'resume'", "paused", func(c *web.Client, ctx context.Context, at string) error { return c.PauseRelay(ctx, at, true) }),
		s.changing("relay", "resume URL", "take up a paused relay again", "resumed", func(c *web.Client, ctx context.Context, at string) error { return c.PauseRelay(ctx, at, false) }),
		s.relaysTest())
	return group(c)
}

// changing makes a command that changes the node's list of relays or peers at one
// address.
func (s *session) changing(noun, use, short, done string, do func(*web.Client, context.Context, string) error) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: s.withNode(func(ctx context.Context, c *web.Client, args []string) error {
			err := do(c, ctx, args[0])
			if e, ok := errors.AsType[*web.Error](err); ok && e.Code == web.CodeNotFound {
				return failf(exitNotFound, "'drey "+noun+"s ls' lists them, each as it is to be written", "there is no %s %s", noun, args[0])
			}
			if err == nil {
				fmt.Fprintln(s.err, done)
			}
			return err
		}),
	}
}

// relayState is a relay's state in a word or two.
func relayState(r web.RelayStatus) string {
	switch {
	case r.Paused:
		return "paused"
	case r.Up && r.RTTMS > 0:
		return fmt.Sprintf("up %.0f ms", r.RTTMS)
	case r.Up:
		return "up"
	case r.NextMS > 0:
		return "down, again in " + short(time.Duration(r.NextMS)*time.Millisecond)
	}
	return r.State
}

func relayTally(r web.RelayStatus) string {
	all := []string{fmt.Sprintf("%d out", r.Sent), fmt.Sprintf("%d in", r.Got)}
	if r.Refused > 0 {
		all = append(all, fmt.Sprintf("%d refused", r.Refused))
	}
	if r.Invalid > 0 {
		all = append(all, fmt.Sprintf("%d invalid", r.Invalid))
	}
	if r.PaceMS > 0 {
		all = append(all, "one in "+short(time.Duration(r.PaceMS)*time.Millisecond))
	}
	if r.Side {
		all = append(all, "announcements only")
	}
	return strings.Join(all, ", ")
}

func (s *session) relaysTest() *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use:   "test URL",
		Short: "write to a relay, read back, and say step by step what works",
		Args:  cobra.ExactArgs(1),
		RunE: s.withNode(func(ctx context.Context, c *web.Client, args []string) error {
			t, err := c.TestRelay(ctx, args[0])
			if err != nil {
				return err
			}
			if asJSON {
				err = s.printJSON(t)
			} else {
				w := tabwriter.NewWriter(s.out, 0, 8, 2, ' ', 0)
				for _, x := range t.Steps {
					took := "-"
					if x.Result != "none" {
						took = fmt.Sprintf("%.0f ms", x.MS)
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", x.Result, x.Name, took, plain(x.Says, false))
				}
				err = w.Flush()
			}
			if err == nil && !t.OK {
				return failf(exitError, "'drey help relays-down' tells what the usual causes are", "%s cannot be used", t.URL)
			}
			return err
		}),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

// relaysLine sums up the relays for the status.
func relaysLine(st web.NostrStatus) string {
	up, wanted := 0, 0
	for _, r := range st.Relays {
		if r.Up {
			up++
		}
		if !r.Paused {
			wanted++
		}
	}
	text := fmt.Sprintf("%s, %d of %d connected", st.State, up, wanted)
	if st.Gateway {
		text += ", gateway"
	}
	return text
}
