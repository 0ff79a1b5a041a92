package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"drey/radio"
	"drey/web"
)

// watchEvery is how often status --watch looks.
const watchEvery = time.Second

func (s *session) statusCommand() *cobra.Command {
	asJSON, watch := false, false
	c := &cobra.Command{
		Use:   "status",
		Short: "how the node fares: links, radio, store, problems",
		Args:  cobra.NoArgs,
		RunE: s.withNode(func(ctx context.Context, c *web.Client, _ []string) error {
			last := ""
			for {
				st, err := c.Status(ctx)
				if err != nil {
					return err
				}
				if asJSON {
					if err := s.printJSON(st); err != nil {
						return err
					}
				} else if text := statusText(st); text != last {
					last = text
					if watch && terminal(s.out) {
						fmt.Fprint(s.out, "\x1b[H\x1b[2J")
					}
					if _, err := io.WriteString(s.out, text); err != nil {
						return err
					}
				}
				if !watch || !pause(ctx, watchEvery) {
					return nil
				}
			}
		}),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	c.Flags().BoolVar(&watch, "watch", false, "go on, and show what changes")
	return c
}

// pause waits and reports whether ctx still lives.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// statusText shows a status to a person.
func statusText(st *web.Status) string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-11s %s\n", name, plain(fmt.Sprintf(format, args...), false))
	}
	line("node", "%s  %s", st.Node.Name, st.Node.NPub)
	health := string(st.Health)
	if n := len(st.Problems); n > 0 {
		health += ", " + count(n, "problem")
	}
	line("health", "%s", health)
	line("community", "%s, %s", communityName(st.Community), count(st.Community.Members, "member"))
	line("address", "%s", st.Node.Address)
	lines := func(name string, values []string) {
		for _, v := range values {
			line(name, "%s", v)
			name = ""
		}
	}
	lines("reached at", bareURIs(st.Overlay.Listen))
	lines("page", st.Web.URLs)
	lines("over https", st.Web.HTTPS)
	if st.Web.TLS.Key != "" {
		line("", "key %s", st.Web.TLS.Key)
	}
	line("reach", "%s", reachLine(st.Finding))
	line("contact", "%s of the community, %s", count(st.PubSub.Peers, "machine"), count(st.PubSub.Topics, "topic"))
	for _, p := range st.Overlay.Peers {
		if p.Up || p.Source == "config" || p.Source == "invite" {
			line("link", "%s", peerLine(p)) // what finders are trying is for 'peers finders'
		}
	}
	line("radio", "%s", radioLine(st.Radio))
	if st.Nostr.State != "off" {
		line("relays", "%s", relaysLine(st.Nostr))
	}
	if m := st.Mail; m.Messages > 0 || m.Kept > 0 {
		line("mail", "%s, %s", mailLineOf(m), size(m.KeptBytes))
	}
	line("store", "%s, %s", count(int(st.Store.Events), "event"), size(st.Store.Bytes))
	for _, reason := range slices.Sorted(maps.Keys(st.Refused)) {
		line("refused", "%d: %s", st.Refused[reason], reason)
	}
	for _, p := range st.Problems {
		line("problem", "%s", p.What)
		if p.Fix != "" {
			line("", "fix: %s (drey help %s)", p.Fix, p.Code)
		}
	}
	return b.String()
}

func communityName(c web.CommunityStatus) string {
	if c.Open {
		return c.Name + " (open to everybody who knows the name)"
	}
	return c.Name
}

func peerLine(p web.PeerStatus) string {
	state := "down"
	if p.Up {
		state = "up"
	}
	if p.RTTMS > 0 {
		state += fmt.Sprintf(" %.1f ms", p.RTTMS)
	}
	text := fmt.Sprintf("%-12s %s (%s)", state, p.URI, p.Source)
	if p.Error != "" {
		text += ": " + p.Error
	}
	return text
}

func radioLine(r web.RadioStatus) string {
	switch r.State {
	case "", radio.StateNone:
		return "none"
	case radio.StateClosed:
		if r.Device == "auto" {
			return "none found yet; it is taken as soon as it is plugged in"
		}
	}
	text := strings.Join(strings.Fields(strings.Join([]string{r.State, r.Device, r.Node, r.Region, r.Preset}, " ")), " ")
	if r.Airtime.LimitMS > 0 {
		used := min(100, 100*float64(r.Airtime.UsedMS)/float64(r.Airtime.LimitMS))
		text += fmt.Sprintf(", %.0f%% of its airtime used", used)
	}
	if r.Airtime.Waiting > 0 {
		text += fmt.Sprintf(", %d waiting", r.Airtime.Waiting)
	}
	if r.Airtime.WaitMS > 0 {
		text += " for " + short(time.Duration(r.Airtime.WaitMS)*time.Millisecond)
	}
	return text
}
