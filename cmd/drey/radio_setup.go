package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"drey/mesh"
	"drey/web"
)

func (s *session) radioSetupCommand() *cobra.Command {
	region, restore, yes, asJSON := "", "", false, false
	c := &cobra.Command{
		Use:   "setup",
		Short: "give the radio its region and the community's private channel",
		Long: "setup shows what it will change on the radio, asks, saves what was there to a file\n" +
			"in the home, and writes region and private channel. Channel 0 is never touched.\n" +
			"--restore writes saved settings back.",
		Args: cobra.NoArgs,
		RunE: s.withNode(func(ctx context.Context, c *web.Client, _ []string) error {
			w := web.RadioWish{Region: region}
			if restore != "" {
				if region != "" {
					return usagef("--region and --restore exclude each other")
				}
				b, err := os.ReadFile(restore)
				if err != nil {
					return failf(exitNotFound, "'drey radio setup' says which file it writes", "%w", err)
				}
				w.Restore = string(b)
			}
			plan, err := c.SetUpRadio(ctx, w)
			if err != nil {
				return err
			}
			if !asJSON {
				s.tellPlan(plan)
			}
			if plan.Done || len(plan.Steps) == 0 {
				return s.planDone(plan, asJSON)
			}
			if !yes {
				if !s.asks() {
					return failf(exitUsage, "add --yes", "the radio is not changed unasked, and there is no terminal to ask on")
				}
				if err := s.askYes(); err != nil {
					return err
				}
			}
			w.Apply = true
			if !asJSON {
				fmt.Fprintln(s.err, "writing; the radio may restart, which takes about half a minute")
			}
			if plan, err = c.SetUpRadio(ctx, w); err != nil {
				return err
			}
			return s.planDone(plan, asJSON)
		}),
	}
	c.Flags().StringVar(&region, "region", "", "`REGION` whose law holds, such as EU_868 or US")
	c.Flags().StringVar(&restore, "restore", "", "`FILE` of saved settings to write back")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

// tellPlan shows what would change.
func (s *session) tellPlan(p *web.RadioPlan) {
	for _, step := range p.Steps {
		fmt.Fprintf(s.out, "%s: %s\n", p.Node, plain(step, false))
	}
	for _, note := range p.Notes {
		fmt.Fprintf(s.out, "%s: %s\n", p.Node, plain(note, false))
	}
}

func (s *session) planDone(p *web.RadioPlan, asJSON bool) error {
	if asJSON {
		return s.printJSON(p)
	}
	if len(p.Steps) == 0 {
		fmt.Fprintln(s.out, "the radio is as it should be; nothing was changed")
		return nil
	}
	fmt.Fprintf(s.out, "done; what was there is in %s\n", plain(p.Saved, false))
	if p.Channel > 0 {
		fmt.Fprintf(s.err, "a topic goes over the private channel with this in drey.toml:\n\n  [[radio.topic]]\n  topic = %q\n  channel = %d\n  form = \"signed\"\n", mesh.TopicAlerts, p.Channel)
	}
	return nil
}
