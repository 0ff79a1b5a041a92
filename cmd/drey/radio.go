package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"drey/radio"
	"drey/web"
)

func (s *session) radioCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "radio",
		Short: "the LoRa radio: state, who is on the air, airtime, set-up, test",
		Long: "radio shows and sets up the Meshtastic radio of the running node, and writes to\n" +
			"single handhelds. Topics go over it as [[radio.topic]] in drey.toml says.",
	}
	c.AddCommand(s.radioStatusCommand(), s.radioListCommand(), s.radioAirtimeCommand(), s.radioSetupCommand(),
		s.radioTestCommand(), s.radioDMCommand(), s.radioInboxCommand())
	return group(c)
}

func (s *session) radioStatusCommand() *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use:   "status",
		Short: "the radio's state, channels, and who else uses it",
		Args:  cobra.NoArgs,
		RunE: s.withNode(func(ctx context.Context, c *web.Client, _ []string) error {
			st, err := c.Status(ctx)
			if err != nil {
				return err
			}
			if asJSON {
				return s.printJSON(struct {
					V int `json:"v"`
					web.RadioStatus
				}{1, st.Radio})
			}
			_, err = io.WriteString(s.out, radioText(st))
			return err
		}),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

// radioText shows the radio's state to a person.
func radioText(st *web.Status) string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-11s %s\n", name, plain(fmt.Sprintf(format, args...), false))
	}
	r := st.Radio
	line("radio", "%s", radioLine(r))
	if r.Firmware != "" {
		line("node", "%s %s, firmware %s", r.Node, r.Name, r.Firmware)
		line("on the air", "%s known, %d heard within two hours, %s", count(r.Nodes, "radio"), r.Heard, count(r.Gateways, "other gateway"))
	}
	for _, c := range r.Channels {
		key, topics := "private", "no topic"
		if c.Public {
			key = "anybody can listen"
		}
		if len(c.Topics) > 0 {
			topics = strings.Join(c.Topics, ", ")
		}
		line(fmt.Sprintf("channel %d", c.Index), "%s (%s): %s", c.Name, key, topics)
	}
	if r.Share != nil && r.Share.Listen != "" {
		line("shared", "at %s, %s now", r.Share.Listen, count(r.Share.Clients, "program"))
	}
	for _, p := range st.Problems {
		if strings.HasPrefix(p.Code, "radio-") {
			line("problem", "%s", p.What)
			line("", "fix: %s (drey help %s)", p.Fix, p.Code)
		}
	}
	return b.String()
}

func (s *session) radioListCommand() *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use:   "ls",
		Short: "the radios on the air: name, when heard, how well, battery, key",
		Args:  cobra.NoArgs,
		RunE: s.withNode(func(ctx context.Context, c *web.Client, _ []string) error {
			nodes, err := c.RadioNodes(ctx)
			if err != nil {
				return err
			}
			if asJSON {
				if nodes == nil {
					nodes = []web.RadioNode{}
				}
				return s.printJSON(map[string]any{"v": 1, "nodes": nodes})
			}
			if !slices.ContainsFunc(nodes, func(n web.RadioNode) bool { return !n.Self }) {
				fmt.Fprintln(s.err, "no other radio is known yet; 'drey radio test' asks whether anybody is near")
			}
			w := tabwriter.NewWriter(s.out, 0, 8, 2, ' ', 0)
			for _, n := range nodes {
				columns := nodeColumns(n, time.Now())
				for i, text := range columns {
					columns[i] = plain(text, false)
				}
				fmt.Fprintln(w, strings.TrimRight(strings.Join(columns, "\t"), "\t"))
			}
			return w.Flush()
		}),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

// nodeColumns are a radio's line: number, name, heard, hops, SNR, battery, key,
// place.
func nodeColumns(n web.RadioNode, now time.Time) []string {
	name, heard, hops, snr, battery, key, place := n.Name, "never heard", "-", "-", "-", "no key", ""
	if name == "" {
		name = "?"
	}
	switch {
	case n.Self:
		heard = "this radio"
	case n.LastHeard > 0:
		heard = short(max(now.Sub(time.Unix(n.LastHeard, 0)), 0)) + " ago"
		if n.ViaMQTT {
			heard += ", over the internet"
		} else {
			snr = fmt.Sprintf("%.1f dB", n.SNR)
		}
	}
	switch {
	case n.Self || n.Hops < 0:
	case n.Hops == 0:
		hops = "direct"
	default:
		hops = count(n.Hops, "hop")
	}
	switch {
	case n.Battery > 100:
		battery = "powered"
	case n.Battery > 0:
		battery = fmt.Sprintf("%d %%", n.Battery)
	}
	if n.KeyKnown {
		key = "key known"
	}
	if p := n.Place; p != nil {
		place = fmt.Sprintf("%.5f, %.5f", p.Latitude, p.Longitude)
	}
	return []string{n.Node, name, heard, hops, snr, battery, key, place}
}

func (s *session) radioAirtimeCommand() *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use:   "airtime",
		Short: "time on the air: spent, left, what waits, and when the next may go",
		Args:  cobra.NoArgs,
		RunE: s.withNode(func(ctx context.Context, c *web.Client, _ []string) error {
			r, err := c.Radio(ctx)
			if err != nil {
				return err
			}
			if asJSON {
				return s.printJSON(struct {
					V          int      `json:"v"`
					ChannelUse *float64 `json:"channel_use,omitempty"`
					web.AirtimeStatus
				}{1, r.ChannelUse, r.Airtime})
			}
			_, err = io.WriteString(s.out, airtimeText(r))
			return err
		}),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

// airtimeText shows the governor's books to a person.
func airtimeText(r *web.RadioStatus) string {
	if r.State != radio.StateLive {
		return "radio       " + radioLine(*r) + "\n"
	}
	var b strings.Builder
	a := r.Airtime
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-11s %s\n", name, fmt.Sprintf(format, args...))
	}
	limit := "no limit but the law's"
	if a.LimitMS > 0 {
		limit = fmt.Sprintf("%s of %s left", seconds(a.LeftMS), seconds(a.LimitMS))
	}
	line("budget", "%s", limit)
	law := "no legal limit here"
	if a.LegalMS > 0 {
		law = "the law allows " + seconds(a.LegalMS)
	}
	line("last hour", "%s sent; %s", seconds(a.HourMS), law)
	if r.ChannelUse == nil {
		line("channel", "its use is not measured yet")
	} else {
		line("channel", "%.0f %% in use by everybody", 100**r.ChannelUse)
	}
	if a.Paused != "" {
		line("paused", "%s, for %s", a.Paused, seconds(a.PausedMS))
	}
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	for _, x := range a.Shares {
		left := "what the law leaves"
		if x.LimitMS > 0 {
			left = seconds(x.LeftMS) + " of " + seconds(x.LimitMS) + " left"
		}
		next := "now"
		if x.WaitMS > 0 {
			next = "in " + seconds(x.WaitMS) + " (" + x.Why + ")"
		}
		fmt.Fprintf(w, "%-11s %s\t%d waiting\tnext %s\n", x.Name, left, x.Waiting, next)
	}
	w.Flush()
	return b.String()
}

// seconds says a time in milliseconds as people do.
func seconds(ms int64) string {
	if ms < 10_000 {
		return fmt.Sprintf("%.1f s", float64(ms)/1000)
	}
	return short(time.Duration(ms) * time.Millisecond)
}

func (s *session) radioTestCommand() *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use:   "test",
		Short: "send a short packet and tell whether any radio repeated it",
		Long: "test sends a packet of one byte, which no handheld shows, and listens for a radio\n" +
			"that repeats it. Without an answer it is sent three times, over half a minute.",
		Args: cobra.NoArgs,
		RunE: s.withNode(func(ctx context.Context, c *web.Client, _ []string) error {
			t, err := c.TestRadio(ctx)
			if err != nil {
				return err
			}
			if asJSON {
				if err := s.printJSON(t); err != nil || t.Heard {
					return err
				}
				return failf(exitError, "", "%w", errSilent)
			}
			switch {
			case t.Heard:
				fmt.Fprintf(s.out, "heard: another radio repeated it after %s\n", seconds(t.AfterMS))
				return nil
			case t.Sent:
				return failf(exitError, "raise the antenna, or go nearer to another radio; all must use the same region, preset and channel", "it was on the air, but %s", t.Why)
			}
			return failf(exitError, "'drey doctor' tells what ails the radio", "nothing was sent: %s", t.Why)
		}),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}
