package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"drey/configs"
	"drey/mesh"
	"drey/radio"
	"drey/web"
)

func (s *session) pubCommand() *cobra.Command {
	var (
		m       web.Message
		wait    string
		timeout string
		asJSON  bool
	)
	c := &cobra.Command{
		Use:   "pub TOPIC [TEXT|-]",
		Short: "say something in a topic; without TEXT, what standard input has",
		Long: "pub signs a text with this node's key and returns when it is on disk, or has\n" +
			"come as far as --wait asks: saved, gossip (another machine has it), air (the\n" +
			"radio has sent it) or relay (a public relay has it). It prints the message's id;\n" +
			"'drey log ID' tells what became of it later.",
		Args: cobra.RangeArgs(1, 2),
		PreRunE: func(*cobra.Command, []string) error {
			d, err := configs.ParseDuration(timeout)
			if err != nil {
				return usagef("--timeout: %w", err)
			}
			m.Timeout = d
			m.Wait = web.Wait(wait)
			switch m.Wait {
			case web.WaitSaved, web.WaitGossip, web.WaitAir, web.WaitRelay:
				return nil
			}
			return usagef("--wait %s: there are saved, gossip, air and relay", wait)
		},
		RunE: s.withNode(func(ctx context.Context, c *web.Client, args []string) error {
			topic, err := mesh.ParseTopic(args[0])
			if err != nil {
				return usagef("%w", err)
			}
			m.Topic = topic
			if m.Text, err = s.text(args[1:]); err != nil {
				return err
			}
			receipt, err := c.Publish(ctx, m)
			if e, ok := errors.AsType[*web.Error](err); ok && e.Code == web.CodeRefused {
				return failf(exitDenied, "'drey doctor' tells how this node stands", "%w", err)
			}
			if err != nil {
				return err
			}
			return s.tellReceipt(receipt, asJSON)
		}),
	}
	c.Flags().BoolVar(&m.Urgent, "urgent", false, "an emergency: goes before everything else; at most 3 an hour")
	c.Flags().StringVar(&wait, "wait", string(web.WaitSaved), "how far it must come: saved, gossip, air or relay")
	c.Flags().StringVar(&timeout, "timeout", "30s", "how long to wait for that")
	c.Flags().StringVar(&m.ReplyTo, "reply-to", "", "`ID` of the message that this one answers")
	c.Flags().BoolVar(&asJSON, "json", false, "the receipt as JSON")
	return c
}

// text returns what is to be said: the argument, or standard input.
func (s *session) text(args []string) (string, error) {
	if len(args) == 1 && args[0] != "-" {
		return args[0], nil
	}
	if f, ok := s.in.(*os.File); ok && len(args) == 0 && term.IsTerminal(int(f.Fd())) {
		return "", usagef("there is no text: write it after the topic, or pipe it in")
	}
	b, err := io.ReadAll(io.LimitReader(s.in, mesh.MaxEventSize+1))
	if err != nil {
		return "", err
	}
	if len(b) > mesh.MaxEventSize {
		return "", failf(exitError, "send it in parts", "the text is longer than %d bytes", mesh.MaxEventSize)
	}
	return strings.TrimSuffix(string(b), "\n"), nil
}

// tellReceipt prints what became of a message so far and turns a wait that
// was not rewarded into an exit code. The message itself is saved in any case.
func (s *session) tellReceipt(r *web.Receipt, asJSON bool) error {
	var err error
	if asJSON {
		err = s.printJSON(r)
	} else {
		_, err = fmt.Fprintln(s.out, r.ID)
		fmt.Fprintln(s.err, plain(r.State, false))
	}
	switch {
	case err != nil || r.Outcome == web.Reached:
		return err
	case r.Outcome == web.TimedOut:
		return failf(exitTimeout, "'drey log "+r.ID+"' tells how it goes on", "the message is saved, but the time is over before it came as far as %s (%s)", r.Wait, r.State)
	case strings.Contains(r.State, radio.TooLong):
		return failf(exitAirtime, "say it in fewer words, or in several messages", "the message is saved, but never goes by radio: %s", r.State)
	case strings.Contains(r.State, "airtime"):
		return failf(exitAirtime, "'drey status' shows when there is air again", "the message is saved, but not sent by radio: %s", r.State)
	}
	return failf(exitError, "'drey log "+r.ID+"' tells more", "the message is saved, but did not come as far as %s: %s", r.Wait, r.State)
}
