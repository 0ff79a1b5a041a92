package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

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
			"--restore writes saved settings back; the name of a file in the home is enough.\n" +
			"--json shows the plan, and with --yes what was done.",
		Args: cobra.NoArgs,
		RunE: s.withNode(func(ctx context.Context, c *web.Client, _ []string) error {
			h, err := s.home()
			if err != nil {
				return err
			}
			w := web.RadioWish{Region: region}
			if restore != "" {
				if region != "" {
					return usagef("--region and --restore exclude each other")
				}
				if w.Restore, err = h.readRadio(restore); err != nil {
					return err
				}
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
			switch {
			case yes:
			case asJSON:
				if err := s.printJSON(plan); err != nil {
					return err
				}
				return failf(exitUsage, "add --yes", "this is the plan; the radio is not changed unasked")
			case !s.asks():
				return failf(exitUsage, "add --yes", "the radio is not changed unasked, and there is no terminal to ask on")
			default:
				if err := s.askYes(); err != nil {
					return err
				}
			}
			w.Apply = true
			if !asJSON {
				fmt.Fprintln(s.err, "writing; the radio may restart, which takes about half a minute")
			}
			had := h.savedRadios(plan.Node)
			node := plan.Node
			if plan, err = c.SetUpRadio(ctx, w); err != nil {
				if ctx.Err() != nil {
					return h.setupCut(node, had)
				}
				return err
			}
			return s.planDone(plan, asJSON)
		}),
	}
	c.Flags().StringVar(&region, "region", "", "`REGION` whose law holds, such as EU_868 or US")
	c.Flags().StringVar(&restore, "restore", "", "`FILE` of saved settings to write back, such as radio-a1b2c3d4-20260102-150405.json")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

// readRadio reads a file of saved settings: as it is named, or else in the home,
// where setup puts them.
func (h home) readRadio(name string) (string, error) {
	b, err := os.ReadFile(name)
	looked := name
	if errors.Is(err, fs.ErrNotExist) && filepath.IsLocal(name) {
		looked += " and " + h.path(name)
		b, err = os.ReadFile(h.path(name))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return "", failf(exitNotFound, "'drey radio setup' says which file it writes", "there are no saved settings %s", looked)
	}
	return string(b), err
}

// savedRadios lists the files of saved settings of a radio.
func (h home) savedRadios(node string) []string {
	found, _ := filepath.Glob(h.savedAs(node, "*"))
	return found
}

// savedAs is the name of a file of a radio's saved settings.
func (h home) savedAs(node, when string) string {
	return h.path("radio-" + strings.TrimPrefix(node, "!") + "-" + when + ".json")
}

// setupCut says where a set-up stands that was interrupted here: the node does
// not leave it half done.
func (h home) setupCut(node string, had []string) error {
	saved := h.savedAs(node, "TIME")
	if fresh := slices.DeleteFunc(h.savedRadios(node), func(f string) bool { return slices.Contains(had, f) }); len(fresh) > 0 {
		saved = fresh[0]
	}
	return failf(exitError, "what was there is saved in "+saved+"; run 'drey radio setup' again to see how it ended: that is safe",
		"interrupted; the node goes on and writes to the radio")
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
