package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"drey/configs"
	"drey/mesh"
	"drey/web"
)

// machineTopics are what machines say among themselves: sub shows them only
// when they are named.
var machineTopics = []mesh.Topic{mesh.TopicPeople, mesh.TopicMail, mesh.TopicRegistry}

// refreshEvery bounds how often sub asks for the names of authors it does not
// know.
const refreshEvery = 5 * time.Second

func (s *session) subCommand() *cobra.Command {
	var (
		f       web.Following
		count   int
		timeout string
		asJSON  bool
		end     time.Duration
	)
	c := &cobra.Command{
		Use:   "sub [TOPIC...]",
		Short: "read messages as they come in; without TOPIC, all that people say",
		Long: "sub prints messages in the order in which they came in here, until ^C. With\n" +
			"--since it begins in the past. --json prints each as one NIP-01 event per line,\n" +
			"exactly as its author signed it.",
		PreRunE: func(_ *cobra.Command, args []string) (err error) {
			for _, a := range args {
				t, err := mesh.ParseTopic(a)
				if err != nil {
					return usagef("%w", err)
				}
				f.Topics = append(f.Topics, t)
			}
			if timeout != "" {
				if end, err = configs.ParseDuration(timeout); err != nil {
					return usagef("--timeout: %w", err)
				}
			}
			if count < 0 {
				return usagef("--count %d is less than 0", count)
			}
			return nil
		},
		RunE: s.withNode(func(ctx context.Context, c *web.Client, _ []string) error {
			if end > 0 {
				var stop context.CancelFunc
				ctx, stop = context.WithTimeout(ctx, end)
				defer stop()
			}
			f.Live, f.Reconnect = true, true
			return s.sub(ctx, c, f, count, asJSON)
		}),
	}
	c.Flags().StringVar(&f.Since, "since", "", "begin in the past: 1h, 3d, a date, all, or after the message with this id")
	c.Flags().IntVar(&count, "count", 0, "end after so many")
	c.Flags().StringVar(&timeout, "timeout", "", "end after so long; with --count, fewer messages then end with 124")
	c.Flags().BoolVar(&asJSON, "json", false, "one NIP-01 event per line")
	return c
}

// sub prints what f chooses until count messages are out or ctx ends.
func (s *session) sub(ctx context.Context, c *web.Client, f web.Following, count int, asJSON bool) error {
	if _, err := c.Status(ctx); err != nil {
		return ended(err, 0, count) // a node that is not there at the start is not waited for
	}
	var who *names
	if !asJSON {
		who = learnNames(ctx, c)
	}
	stands := 0
	f.Connected = func() {
		if stands++; stands > 1 {
			fmt.Fprintln(s.err, "drey: the node is back")
		}
	}
	n, asked := 0, time.Time{} // whoever was admitted since the names were learnt is asked for at once
	for r, err := range c.Messages(ctx, f) {
		if err != nil {
			return ended(err, n, count)
		}
		if len(f.Topics) == 0 && slices.Contains(machineTopics, r.Topic) {
			if who != nil {
				who.learn(r)
			}
			continue
		}
		if asJSON {
			_, err = s.out.Write(append(r.Event.AppendJSON(nil), '\n'))
		} else {
			if !who.known(r.Event.Author()) && time.Since(asked) > refreshEvery {
				who.refresh(ctx, c)
				asked = time.Now()
			}
			_, err = fmt.Fprintln(s.out, messageLine(r, who, time.Now()))
		}
		if err != nil {
			return err
		}
		if n++; n == count {
			return nil
		}
	}
	return nil
}

// ended tells whether a stream ended as it was meant to.
func ended(err error, n, count int) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded) && count > 0:
		return failf(exitTimeout, "", "the time is over after %d of %d messages", n, count)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return nil
	}
	return err
}

// messageLine shows a message to a person: "12:04 ana  commons  water is back".
func messageLine(r *mesh.Record, who *names, now time.Time) string {
	text := plain(r.Event.Content(), true)
	if k := r.Event.Kind(); k != mesh.KindNote {
		text = fmt.Sprintf("(%s) %s", kindName(k), text)
	}
	if r.Flags&mesh.FlagEmergency != 0 {
		text = "URGENT " + text
	}
	if odd := oddity(r.Event.CreatedAt().Time(), r.Received); odd != "" {
		text += "  " + odd
	}
	head := fmt.Sprintf("%s %s  %s  ", when(r.Received, now), fit(who.author(r.Event), 12), fit(string(r.Topic), 8))
	return head + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+strings.Repeat(" ", 6))
}

// kindName says what an event is when it is not a note.
func kindName(k mesh.Kind) string {
	switch k {
	case mesh.KindProfile:
		return "profile"
	case mesh.KindDeletion:
		return "deletes"
	case mesh.KindRepost:
		return "passes on"
	case mesh.KindReaction:
		return "reacts"
	case mesh.KindGiftWrap:
		return "sealed mail"
	case mesh.KindRoster:
		return "roster"
	case mesh.KindPass:
		return "pass"
	case mesh.KindTopic:
		return "new topic"
	}
	return fmt.Sprintf("kind %d", k)
}
