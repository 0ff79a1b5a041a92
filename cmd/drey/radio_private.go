package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"drey/configs"
	"drey/web"
)

func (s *session) radioDMCommand() *cobra.Command {
	timeout, asJSON := "", false
	c := &cobra.Command{
		Use:   "dm NODE [TEXT|-]",
		Short: "write to one handheld in private, by its name or its number",
		Long: "dm sends a text that only one handheld can read, and waits until that handheld has\n" +
			"acknowledged it. It is no message of a topic: nobody else gets it. Answers come to\n" +
			"'drey radio inbox'.",
		Args: cobra.RangeArgs(1, 2),
		RunE: s.withNode(func(ctx context.Context, c *web.Client, args []string) error {
			d, err := configs.ParseDuration(timeout)
			if err != nil {
				return usagef("--timeout: %w", err)
			}
			text, err := s.text(args[1:])
			if err != nil {
				return err
			}
			switch {
			case args[0] == "":
				return usagef("the name of the handheld is empty; 'drey radio ls' shows them")
			case strings.TrimSpace(text) == "":
				return usagef("there is nothing to say: write a text after the name")
			}
			m, err := c.SendRadioMessage(ctx, web.RadioPost{To: args[0], Text: text, TimeoutMS: d.Milliseconds()})
			if err != nil {
				return err
			}
			if asJSON {
				err = s.printJSON(struct {
					V int `json:"v"`
					*web.RadioMessage
				}{1, m})
			} else {
				_, err = fmt.Fprintln(s.out, plain(m.State, false))
			}
			switch {
			case err != nil || strings.HasPrefix(m.State, "acknowledged"):
				return err
			case m.Failed:
				return failf(exitError, "", "%w", errSilent)
			}
			return failf(exitTimeout, "'drey radio inbox' tells how it goes on", "no acknowledgement yet")
		}),
	}
	c.Flags().StringVar(&timeout, "timeout", "60s", "how long to wait for the acknowledgement")
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

func (s *session) radioInboxCommand() *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use:   "inbox",
		Short: "private messages with handhelds, both ways",
		Args:  cobra.NoArgs,
		RunE: s.withNode(func(ctx context.Context, c *web.Client, _ []string) error {
			list, err := c.RadioMessages(ctx)
			if err != nil {
				return err
			}
			if asJSON {
				if list == nil {
					list = []web.RadioMessage{}
				}
				return s.printJSON(map[string]any{"v": 1, "messages": list})
			}
			for _, m := range list {
				who, state := m.Name+" "+m.Node, ""
				if m.Out {
					who, state = "to "+who, " ("+m.State+")"
				} else if !m.Sealed {
					state = " (not encrypted)"
				}
				at := time.Unix(m.At, 0).Format("2006-01-02 15:04")
				fmt.Fprintf(s.out, "%s %s: %s%s\n", at, plain(who, false), plain(m.Text, false), plain(state, false))
			}
			return nil
		}),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}
