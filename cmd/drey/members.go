package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"drey/web"
)

func (s *session) membersCommand() *cobra.Command {
	c := &cobra.Command{Use: "members", Short: "who belongs to the community"}
	asJSON := false
	ls := &cobra.Command{
		Use:   "ls",
		Short: "list people and machines, their standing and since when",
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
			w := tabwriter.NewWriter(s.out, 0, 8, 2, ' ', 0)
			for _, m := range members {
				since := "-"
				if m.Since > 0 {
					since = time.Unix(m.Since, 0).Local().Format("2006-01-02")
				}
				me := m.NPub
				if m.Self {
					me += "  this node"
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", plain(m.Name, false), m.Standing, since, m.Address, me)
			}
			return w.Flush()
		}),
	}
	ls.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	c.AddCommand(ls)
	return group(c)
}
