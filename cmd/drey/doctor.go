package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"drey/configs"
	"drey/web"
)

func (s *session) doctorCommand() *cobra.Command {
	asJSON, file := false, ""
	c := &cobra.Command{
		Use:   "doctor",
		Short: "look for problems, root causes first; 'drey help CODE' tells more",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			h, err := s.home()
			if err != nil {
				return err
			}
			d := s.examine(c.Context(), h, file)
			if asJSON {
				err = json.NewEncoder(s.out).Encode(d)
			} else {
				err = s.showDiagnosis(d)
			}
			if !d.OK && err == nil {
				return failf(exitProblems, "", "%w", errSilent)
			}
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	c.Flags().StringVar(&file, "config", "", "configuration file (default drey.toml in the home)")
	return c
}

// A diagnosis is what doctor found.
type diagnosis struct {
	V      int          `json:"v"`
	OK     bool         `json:"ok"`              // there are no problems
	Cause  *web.Problem `json:"cause,omitempty"` // why no other machine is in contact; absent where one is, or it is too early to tell
	Checks []web.Check  `json:"checks"`
}

// examine checks the machine from here, and asks the node for what only it
// can know.
func (s *session) examine(ctx context.Context, h home, file string) *diagnosis {
	conf, err := s.loadConfig(h, file, nil)
	checks := []web.Check{checkConfig(file, err)}
	if err != nil {
		conf = configs.Default()
	}
	running := h.running()
	checks = append(checks, localChecks(h, conf, running, time.Now())...)
	if !running {
		checks = append(checks, checkKept(h)...)
		checks = append(checks, ill("node", "not-running", "checks.not-running", "dir", string(h)))
		return diagnose(checks, 0, false)
	}
	ctx, stop := context.WithTimeout(ctx, 10*time.Second)
	defer stop()
	c := client(h)
	defer c.Close()
	status, err := c.Status(ctx)
	var told []web.Check
	if err == nil {
		told, err = c.Doctor(ctx)
	}
	if err != nil {
		checks = append(checks, illFor("socket", "socket", err.Error(), "checks.socket", "path", h.socket()))
		return diagnose(checks, 0, false)
	}
	checks = append(checks, well("socket", "checks.ok-socket", "path", h.socket()))
	checks = slices.DeleteFunc(checks, func(c web.Check) bool {
		// The node sees the same machine, and more of it; what is seen as this
		// user, and only from here, stays.
		return slices.ContainsFunc(told, func(t web.Check) bool { return t.Name == c.Name && t.OK == c.OK })
	})
	return diagnose(append(checks, told...), status.PubSub.Peers, true)
}

// diagnose puts checks in order and names the cause of having no contact.
func diagnose(checks []web.Check, contacts int, running bool) *diagnosis {
	checks = rootCausesFirst(checks)
	d := &diagnosis{V: 1, Checks: checks, OK: !slices.ContainsFunc(checks, func(c web.Check) bool { return !c.OK })}
	if contacts > 0 {
		return d
	}
	causes := cutOff
	if !running {
		causes = notUp
	}
	for _, name := range causes {
		for _, c := range checks {
			if c.Problem != nil && c.Problem.Code == name {
				d.Cause = c.Problem
				return d
			}
			if name == aloneCode && c.Name == aloneCheck {
				d.Cause = &web.Problem{Code: aloneCode, What: c.Detail, Fix: "drey invite"}
				return d
			}
		}
	}
	return d
}

// notUp lists what keeps a node from running, and cutOff what keeps one that
// runs from the others: codes, the cause before what follows from it.
var (
	notUp = []string{"home-permissions", "home-read-only", "disk-full", "identity-damaged", "community-damaged", "config", "store-fault", "twin", "port-taken", "socket", "not-running"}

	cutOff = []string{"store-fault", "banned", "not-member", "twin", "no-network", aloneCode, "unwelcome", "wrong-community",
		"peers-name", "peers-route", "peers-closed", "firewall", "peers-down", "no-multicast", "no-path", "no-peers", "memory", "files"}
)

func (s *session) showDiagnosis(d *diagnosis) error {
	var b strings.Builder
	if d.Cause != nil {
		fmt.Fprintf(&b, "cause    no other machine is in contact: %s\n         fix: %s\n         more: drey help %s\n", plain(d.Cause.What, false), d.Cause.Fix, d.Cause.Code)
	}
	for _, c := range d.Checks {
		if c.OK {
			fmt.Fprintf(&b, "ok       %-10s %s\n", c.Name, plain(c.Detail, false))
			continue
		}
		if c.Problem == d.Cause && c.Problem.Why == "" {
			continue // all said above
		}
		fmt.Fprintf(&b, "problem  %-10s %s\n", c.Name, plain(c.Problem.What, false))
		if c.Problem.Why != "" {
			fmt.Fprintf(&b, "         why: %s\n", strings.ReplaceAll(plain(c.Problem.Why, true), "\n", "\n              "))
		}
		if c.Problem != d.Cause {
			fmt.Fprintf(&b, "         fix: %s\n         more: drey help %s\n", c.Problem.Fix, c.Problem.Code)
		}
	}
	_, err := io.WriteString(s.out, b.String())
	return err
}

// rootCausesFirst puts problems before what is well, in the order of codes,
// and leaves out what was said already.
func rootCausesFirst(checks []web.Check) []web.Check {
	said := map[string]bool{}
	checks = slices.DeleteFunc(slices.Clone(checks), func(c web.Check) bool {
		if c.Problem == nil {
			return false
		}
		key := c.Problem.Code + " " + c.Problem.What
		defer func() { said[key] = true }()
		return said[key]
	})
	rank := func(c web.Check) int {
		if c.OK {
			return len(codes) + 1
		}
		if i := slices.Index(codes, c.Problem.Code); i >= 0 {
			return i
		}
		return len(codes)
	}
	slices.SortStableFunc(checks, func(a, b web.Check) int { return rank(a) - rank(b) })
	return checks
}
