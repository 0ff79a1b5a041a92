package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"drey/configs"
	"drey/web"
)

func (s *session) inboxCommand() *cobra.Command {
	var (
		since   string
		follow  bool
		count   int
		timeout string
		save    string
		output  string
		asJSON  bool
		end     time.Duration
	)
	c := &cobra.Command{
		Use:   "inbox",
		Short: "private messages, written and received",
		Long: "inbox prints the private messages of this node's key in the order in which they came\n" +
			"here, each once, whichever way and however often it came. Behind what was written here\n" +
			"stands how far it has come; a name with '?' is not of the community. With --follow it goes\n" +
			"on with what comes. --save writes the file of a message.",
		Args: cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) (err error) {
			if timeout != "" {
				if end, err = configs.ParseDuration(timeout); err != nil {
					return usagef("--timeout: %w", err)
				}
			}
			switch {
			case count < 0:
				return usagef("--count %d is less than 0", count)
			case output != "" && save == "":
				return usagef("--output is for --save")
			}
			return nil
		},
		RunE: s.withNode(func(ctx context.Context, c *web.Client, _ []string) error {
			if save != "" {
				return s.saveFile(ctx, c, strings.ToLower(strings.TrimSpace(save)), output)
			}
			if end > 0 {
				var stop context.CancelFunc
				ctx, stop = context.WithTimeout(ctx, end)
				defer stop()
			}
			return s.inbox(ctx, c, since, follow, count, asJSON)
		}),
	}
	c.Flags().StringVar(&since, "since", "", "begin there: 1h, 3d, a date, all, or after the message with this id (default the last 100)")
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what comes, until ^C")
	c.Flags().IntVar(&count, "count", 0, "end after so many")
	c.Flags().StringVar(&timeout, "timeout", "", "end after so long; with --count, fewer messages then end with 124")
	c.Flags().StringVar(&save, "save", "", "write the file of the message `ID`")
	c.Flags().StringVarP(&output, "output", "o", "", "where --save writes: a `FILE` that is not there yet, a folder, or - for standard output")
	c.Flags().BoolVar(&asJSON, "json", false, "one message per line, as JSON")
	return c
}

// inbox prints what it has of private mail.
func (s *session) inbox(ctx context.Context, c *web.Client, since string, follow bool, count int, asJSON bool) error {
	n := 0
	for m, err := range c.Inbox(ctx, since, 0, follow) {
		if err != nil {
			return ended(err, n, count)
		}
		if asJSON {
			err = json.NewEncoder(s.out).Encode(m)
		} else {
			line := when(time.UnixMilli(m.ReceivedMS), time.Now()) + " " + mailLine(m)
			_, err = fmt.Fprintln(s.out, strings.ReplaceAll(strings.TrimRight(line, "\n"), "\n", "\n      "))
		}
		if err != nil {
			return err
		}
		if n++; n == count {
			return nil
		}
	}
	if count > 0 && n < count && ctx.Err() != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return ended(ctx.Err(), n, count)
	}
	return nil
}
