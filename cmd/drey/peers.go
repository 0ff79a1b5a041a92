package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"drey/web"
)

func (s *session) peersCommand() *cobra.Command {
	c := &cobra.Command{Use: "peers", Short: "links to other machines, and how they are found"}
	asJSON := false
	ls := &cobra.Command{
		Use:   "ls",
		Short: "list the links, up or wanted",
		Args:  cobra.NoArgs,
		RunE: s.withNode(func(ctx context.Context, c *web.Client, _ []string) error {
			peers, err := c.Peers(ctx)
			if err != nil {
				return err
			}
			if asJSON {
				if peers == nil {
					peers = []web.PeerStatus{}
				}
				return s.printJSON(map[string]any{"v": 1, "peers": peers})
			}
			if len(peers) == 0 {
				fmt.Fprintln(s.err, "no links; 'drey invite' asks another machine in, 'drey peers add' calls one")
			}
			w := tabwriter.NewWriter(s.out, 0, 8, 2, ' ', 0)
			for _, p := range peers {
				state, rtt := "down", "-"
				if p.Up {
					state = "up"
				}
				if p.RTTMS > 0 {
					rtt = fmt.Sprintf("%.1f ms", p.RTTMS)
				}
				last := strings.TrimSpace(shortKey(p.Key) + "  " + plain(p.Error, false))
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", state, rtt, p.Source, p.URI, last)
			}
			return w.Flush()
		}),
	}
	ls.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	ping := &cobra.Command{
		Use:   "ping KEY|ADDRESS|URI",
		Short: "measure the round trip to a machine through the overlay",
		Args:  cobra.ExactArgs(1),
		RunE: s.withNode(func(ctx context.Context, c *web.Client, args []string) error {
			rtt, err := c.Ping(ctx, args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(s.out, "%.2f ms\n", float64(rtt.Microseconds())/1000)
			return err
		}),
	}
	c.AddCommand(ls,
		s.changing("peer", "add URI", "connect to a machine, such as tls://192.0.2.7:3740, and keep at it", "added; 'drey peers ls' shows whether it answers", (*web.Client).AddPeer),
		s.changing("peer", "rm URI", "leave a machine that 'peers ls' lists", "removed", (*web.Client).RemovePeer),
		ping, s.peersFinders(), s.peersDNS(), s.peersExport(), s.peersImport())
	return group(c)
}

// shortKey shows the beginning of a key, enough to tell machines apart.
func shortKey(k string) string {
	if len(k) > 12 {
		return k[:12]
	}
	return k
}
