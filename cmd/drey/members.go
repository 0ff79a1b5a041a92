package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"drey/configs"
	"drey/web"
)

func (s *session) membersCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "members",
		Short: "who belongs to the community, and deciding that",
		Long: "members lists who belongs and who asks to. Admins decide: each decision is one\n" +
			"command, signed, and spreads to every machine by whatever carrier is left.",
	}
	c.AddCommand(s.membersLsCommand(), s.admitCommand(),
		s.revokeCommand(web.OpDemote, "take an admin's rights; membership stays"),
		s.revokeCommand(web.OpRemove, "end a membership; another invite may begin a new one"),
		s.revokeCommand(web.OpBan, "shut somebody out: a stolen machine, a key that leaked"),
		s.rotateCommand())
	return group(c)
}

func (s *session) membersLsCommand() *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use:   "ls",
		Short: "people and machines, their standing, since when; who asks",
		Args:  cobra.NoArgs,
		RunE: s.withNode(func(ctx context.Context, c *web.Client, _ []string) error {
			members, err := c.Members(ctx)
			if err != nil {
				return err
			}
			if asJSON {
				if members == nil {
					members = []web.Member{}
				}
				return s.printJSON(map[string]any{"v": 1, "members": members})
			}
			return s.listMembers(members)
		}),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

func (s *session) listMembers(members []web.Member) error {
	w := tabwriter.NewWriter(s.out, 0, 8, 2, ' ', 0)
	waiting := 0
	for _, m := range members {
		since := "-"
		if m.Since > 0 {
			since = time.Unix(m.Since, 0).Local().Format("2006-01-02")
		}
		more := m.NPub
		if m.Self {
			more += "  this node"
		}
		if m.Reason != "" {
			more += "  (" + m.Reason + ")"
		}
		if m.Standing == web.StandingWaiting {
			waiting++
		}
		name := m.Shown()
		if m.Called != "" {
			name += " (admitted as " + m.Name + ")"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", plain(name, false), m.Standing, since, plain(more, false))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(members) == 0 {
		fmt.Fprintln(s.err, "an open community has no roster: everybody who knows its name belongs")
	}
	if waiting > 0 {
		fmt.Fprintf(s.err, "%s: compare the npub with what the other machine shows, then on an admin's machine: drey members admit NAME\n", count(waiting, "machine")+" waiting")
	}
	return nil
}

func (s *session) admitCommand() *cobra.Command {
	change := web.MemberChange{Op: web.OpAdmit}
	asJSON, yes := false, false
	c := &cobra.Command{
		Use:   "admit NPUB|NAME|KEY",
		Short: "let in a machine that asks, or a person; --admin makes an admin",
		Args:  cobra.ExactArgs(1),
		RunE: s.withNode(func(ctx context.Context, c *web.Client, args []string) error {
			change.Who = args[0]
			return s.decide(ctx, c, change, asJSON, yes || !change.Lift && !change.Admin)
		}),
	}
	c.Flags().StringVar(&change.Name, "name", "", "what a person is called here (default: as in the person's profile)")
	c.Flags().BoolVar(&change.Admin, "admin", false, "make an admin, also of one who belongs")
	c.Flags().BoolVar(&change.Lift, "lift", false, "also one who is banned")
	s.decisionFlags(c, &asJSON, &yes)
	return c
}

func (s *session) revokeCommand(op, text string) *cobra.Command {
	change := web.MemberChange{Op: op}
	asJSON, yes := false, false
	c := &cobra.Command{
		Use:   op + " NPUB|NAME|KEY",
		Short: text,
		Args:  cobra.ExactArgs(1),
		RunE: s.withNode(func(ctx context.Context, c *web.Client, args []string) error {
			change.Who = args[0]
			return s.decide(ctx, c, change, asJSON, yes)
		}),
	}
	if op != web.OpDemote {
		c.Flags().StringVar(&change.Reason, "reason", "", "why, for the members to read")
	}
	s.decisionFlags(c, &asJSON, &yes)
	return c
}

func (s *session) rotateCommand() *cobra.Command {
	asJSON, yes, overlap := false, false, ""
	c := &cobra.Command{
		Use:   "rotate",
		Short: "a new secret for the private radio channel and for finding",
		Long: "rotate makes a new secret and seals it for every machine that belongs. Who was\n" +
			"banned or removed cannot open it. A machine that is away gets it when it next\n" +
			"meets a member; until the overlap ends, the old secret is listened for too.",
		Args: cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error {
			if _, err := parseOverlap(overlap); err != nil {
				return usagef("--overlap: %w", err)
			}
			return nil
		},
		RunE: s.withNode(func(ctx context.Context, c *web.Client, _ []string) error {
			ms, err := parseOverlap(overlap)
			if err != nil {
				return err
			}
			return s.decide(ctx, c, web.MemberChange{Op: web.OpRotate, OverlapMS: &ms}, asJSON, yes)
		}),
	}
	c.Flags().StringVar(&overlap, "overlap", "7d", "how long the old secret is still listened for, in whole hours; 0 ends it at once")
	s.decisionFlags(c, &asJSON, &yes)
	return c
}

func parseOverlap(text string) (ms int64, err error) {
	if text == "0" {
		return 0, nil
	}
	d, err := configs.ParseDuration(text)
	return d.Milliseconds(), err
}

func (s *session) decisionFlags(c *cobra.Command, asJSON, yes *bool) {
	c.Flags().BoolVar(asJSON, "json", false, "as JSON")
	c.Flags().BoolVar(yes, "yes", false, "do not ask")
}

// decide shows what a decision means, asks where it takes something away, and
// has the node sign it.
func (s *session) decide(ctx context.Context, c *web.Client, change web.MemberChange, asJSON, sure bool) error {
	change.Preview = true
	preview, err := c.ChangeMembers(ctx, change)
	if err != nil {
		return err
	}
	showEffects(s.err, preview.Effects)
	if !sure {
		if err := s.confirm(change.Op); err != nil {
			return err
		}
	}
	change.Preview = false
	if m := preview.Member; m != nil {
		change.Who = cmp.Or(m.Node, m.NPub) // whom was shown, should somebody else be called so by now
	}
	done, err := c.ChangeMembers(ctx, change)
	if err != nil {
		return err
	}
	if asJSON {
		return s.printJSON(done)
	}
	if !done.Done {
		return nil // the preview said that nothing changes
	}
	text := map[string]string{web.OpAdmit: "admitted", web.OpDemote: "demoted", web.OpRemove: "removed", web.OpBan: "banned", web.OpRotate: "rotated"}[change.Op]
	if done.Member != nil {
		text += " " + plain(done.Member.Name, false) + " " + done.Member.NPub
	}
	_, err = fmt.Fprintln(s.out, text)
	return err
}

// showEffects tells a person what a step means before it is taken.
func showEffects(w io.Writer, effects []string) {
	for _, e := range effects {
		text := "- " + plain(e, false)
		if terminal(w) {
			text = strings.ReplaceAll(wrapped(text, 78), "\n", "\n  ")
		}
		fmt.Fprintln(w, text)
	}
}
