package main

import (
	"context"
	"fmt"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"drey/configs"
	"drey/web"
)

func (s *session) inviteCommand() *cobra.Command {
	var (
		phone, asJSON bool
		ttl           string
		uses          int
		png           string
	)
	c := &cobra.Command{
		Use:   "invite",
		Short: "a code that lets another machine join, or leads a phone here",
		Args:  cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error {
			if _, err := configs.ParseDuration(ttl); err != nil {
				return usagef("--ttl: %w", err)
			}
			return nil
		},
		RunE: s.withNode(func(ctx context.Context, c *web.Client, _ []string) error {
			d, err := configs.ParseDuration(ttl)
			if err != nil {
				return err
			}
			v, err := c.Invite(ctx, web.InviteRequest{Phone: phone, TTLMS: d.Milliseconds(), Uses: uses})
			if err != nil {
				return err
			}
			if png != "" {
				b, err := qrPNG(v.URL)
				if err != nil {
					return err
				}
				mode := fs.FileMode(0o600) // whoever reads the code can join
				if phone {
					mode = 0o644
				}
				if err := writeFile(png, b, mode, true); err != nil {
					return err
				}
			}
			if asJSON {
				return s.printJSON(v)
			}
			// The code comes last: below it there would be no room for it on a
			// terminal of 24 lines.
			s.explainInvite(v)
			if _, err := fmt.Fprintln(s.out, v.URL); err != nil {
				return err
			}
			if terminal(s.out) && png == "" {
				return writeQR(s.out, v.URL)
			}
			return nil
		}),
	}
	c.Flags().BoolVar(&phone, "phone", false, "a code without a token: the page's address for a phone's camera")
	c.Flags().StringVar(&ttl, "ttl", "10m", "how long it can be used")
	c.Flags().IntVar(&uses, "uses", 1, "how many machines may use it")
	c.Flags().StringVar(&png, "png", "", "write the code into an image `FILE`")
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

func (s *session) explainInvite(v *web.Invite) {
	if v.Phone {
		fmt.Fprintln(s.err, "let a phone on the same network scan it, or type the address into its browser")
		return
	}
	until := time.Unix(v.Expires, 0)
	fmt.Fprintln(s.err, "on the other machine: drey up --join INVITE, with the line below as INVITE;")
	fmt.Fprintln(s.err, "'drey join -' reads it from standard input, where it stands in no history;")
	fmt.Fprintf(s.err, "it admits %s until %s; whoever has it can join, so show nobody else;\n", count(v.Uses, "machine"), until.Local().Format("15:04"))
	fmt.Fprintln(s.err, "a browser that opens it cancels it ('drey invite --phone' is for phones)")
}
