package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"drey/web"
)

// uiCommand pairs a browser with the node, so that it may do on the page what
// its owner may do.
func (s *session) uiCommand() *cobra.Command {
	var (
		phone, asJSON, list bool
		end                 string
	)
	c := &cobra.Command{
		Use:   "ui",
		Short: "a one-time link that lets a browser look after this machine",
		Args:  cobra.NoArgs,
		RunE: s.withNode(func(ctx context.Context, c *web.Client, _ []string) error {
			if end != "" {
				if err := c.EndSession(ctx, end); err != nil {
					return err
				}
				fmt.Fprintln(s.err, "ended; that browser is a guest again")
				return nil
			}
			if list {
				return s.listSessions(ctx, c, asJSON)
			}
			p, err := c.Pair(ctx)
			if err != nil {
				return err
			}
			if phone {
				p.URLs = slices.DeleteFunc(p.URLs, func(u string) bool {
					return !strings.HasPrefix(u, "https://") || strings.Contains(u, "//127.") || strings.Contains(u, "//[::1]")
				})
				if len(p.URLs) == 0 {
					return failf(exitError, "connect a network, or start the node with --web :3739", "no phone can reach this node's page")
				}
			}
			if asJSON {
				return s.printJSON(p)
			}
			return s.showPairing(p, phone)
		}),
	}
	c.Flags().BoolVar(&phone, "phone", false, "a link and its code for another device, over https")
	c.Flags().BoolVar(&list, "list", false, "list the browsers that are paired")
	c.Flags().StringVar(&end, "end", "", "end the pairing of a browser by its `ID`, or of all")
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	c.MarkFlagsMutuallyExclusive("phone", "list", "end")
	return c
}

// showPairing tells where to go and what the browser will show.
func (s *session) showPairing(p *web.Pairing, phone bool) error {
	until := time.Unix(p.Expires, 0)
	fmt.Fprintf(s.err, "open one of these until %s; it works once, and whoever opens it looks after this machine:\n", until.Local().Format("15:04"))
	for _, u := range p.URLs {
		if _, err := fmt.Fprintln(s.out, u); err != nil {
			return err
		}
	}
	fmt.Fprintf(s.err, "or type the code %s at /pair on the page\n", p.Code)
	if slices.ContainsFunc(p.URLs, func(u string) bool { return strings.HasPrefix(u, "https") }) && p.TLS.Key != "" {
		fmt.Fprintf(s.err, "over https the browser warns once; go on where the certificate's fingerprint is (SHA-256)\n  %s\nor that of its public key\n  %s\n",
			twoLines(p.TLS.Certificate), twoLines(p.TLS.Key))
	}
	if phone && terminal(s.out) {
		return writeQR(s.out, p.URLs[0])
	}
	return nil
}

// twoLines breaks a fingerprint so that it fits a terminal.
func twoLines(fingerprint string) string {
	if len(fingerprint) < 60 {
		return fingerprint
	}
	return fingerprint[:48] + "\n  " + fingerprint[48:]
}

func (s *session) listSessions(ctx context.Context, c *web.Client, asJSON bool) error {
	all, err := c.Sessions(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		return s.printJSON(struct {
			V        int           `json:"v"`
			Sessions []web.Session `json:"sessions"`
		}{web.Version, all})
	}
	if len(all) == 0 {
		fmt.Fprintln(s.err, "no browser is paired; 'drey ui' pairs one")
		return nil
	}
	for _, x := range all {
		kind := "https"
		if !x.Secure {
			kind = "this machine"
		}
		if _, err := fmt.Fprintln(s.out, plain(fmt.Sprintf("%s  %-24s %-12s paired %s, used %s, %s", x.ID, x.Label, kind,
			time.Unix(x.Made, 0).Format(time.DateOnly), time.Unix(x.Seen, 0).Format(time.DateOnly), x.From), false)); err != nil {
			return err
		}
	}
	return nil
}
