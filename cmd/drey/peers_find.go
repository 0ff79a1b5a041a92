package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"drey/bootstrap"
	"drey/mesh"
	"drey/web"
)

// findingStatus is the finders' state in the words of the status.
func (a api) findingStatus() web.FindingStatus {
	st := a.finders.Status()
	f := web.FindingStatus{Mode: string(st.Mode), Known: st.Known}
	for _, s := range st.Finders {
		one := web.FinderStatus{Name: s.Name, State: string(s.State), Found: s.Found, Peers: s.Peers, Links: s.Links, Error: s.Err}
		if !s.Last.IsZero() {
			one.LastFound = s.Last.Unix()
		}
		for why, n := range s.Count {
			if one.Refused == nil {
				one.Refused = map[string]uint64{}
			}
			one.Refused[string(why)] = n
		}
		f.Finders = append(f.Finders, one)
	}
	return f
}

// PeerRecords returns this node's record, and those of other members.
func (a api) PeerRecords(ctx context.Context, own, public bool) ([]string, error) {
	all := []*mesh.PeerRecord{a.record()}
	if !own {
		for _, r := range a.finders.Records() {
			if r.Node != a.who.NodeKey() {
				all = append(all, r)
			}
		}
	}
	secrets := a.secrets()
	var texts []string
	for _, r := range all {
		b := r.AppendBinary(nil)
		if !public && len(secrets) > 0 {
			b = bootstrap.Seal(r, secrets[0])
		}
		texts = append(texts, mesh.RecordText(b))
	}
	return texts, nil
}

// ImportPeers looks at records and calls whom they name.
func (a api) ImportPeers(_ context.Context, texts []string) (*web.PeersImported, error) {
	const most = 4096
	if len(texts) > most {
		return nil, web.NewError(web.CodeUsage, fmt.Sprintf("%d records at once, allowed are %d", len(texts), most), "", "bring them in parts", nil)
	}
	done := &web.PeersImported{Refused: map[string]int{}}
	var records [][]byte
	for _, text := range texts {
		b, err := mesh.ParseRecordText(text)
		if err != nil {
			done.Refused[string(bootstrap.RefusedForm)]++
			continue
		}
		records = append(records, b)
	}
	taken, refused := a.finders.Import(records)
	done.Taken = taken
	for why, n := range refused {
		done.Refused[string(why)] += n
	}
	return done, nil
}

// reachLine tells how far a node reaches, and by which finders.
func reachLine(f web.FindingStatus) string {
	var by []string
	for _, s := range f.Finders {
		if s.Links > 0 {
			by = append(by, fmt.Sprintf("%s %d", s.Name, s.Links))
		}
	}
	text := f.Mode
	switch {
	case len(by) > 0:
		text += ": links through " + strings.Join(by, ", ")
	case f.Mode == string(bootstrap.ModeAlone):
		text += fmt.Sprintf(": it can be found, and looks in %s", count(len(f.Finders), "way"))
	}
	return text
}

func (s *session) peersFinders() *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use:   "finders",
		Short: "how this machine looks for others, and what came of it",
		Args:  cobra.NoArgs,
		RunE: s.withNode(func(ctx context.Context, c *web.Client, _ []string) error {
			st, err := c.Status(ctx)
			if err != nil {
				return err
			}
			if asJSON {
				return s.printJSON(map[string]any{"v": 1, "finding": st.Finding})
			}
			fmt.Fprintln(s.err, plain(reachLine(st.Finding), false))
			w := tabwriter.NewWriter(s.out, 0, 8, 2, ' ', 0)
			fmt.Fprintln(w, "FINDER\tSTATE\tLINKS\tPEERS\tFOUND\tLAST\tREFUSED")
			for _, f := range st.Finding.Finders {
				last := "-"
				if f.LastFound > 0 {
					last = short(time.Since(time.Unix(f.LastFound, 0))) + " ago"
				}
				var refused []string
				for _, why := range slices.Sorted(maps.Keys(f.Refused)) {
					refused = append(refused, fmt.Sprintf("%d %s", f.Refused[why], why))
				}
				tail := strings.Join(refused, ", ")
				if f.Error != "" {
					tail = strings.TrimPrefix(tail+"; "+f.Error, "; ")
				}
				fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%s\t%s\n", f.Name, f.State, f.Links, f.Peers, f.Found, last, plain(tail, false))
			}
			return w.Flush()
		}),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

func (s *session) peersDNS() *cobra.Command {
	public := false
	c := &cobra.Command{
		Use:   "dns NAME",
		Short: "print the line for a DNS zone by which others find this machine",
		Long: "dns prints the TXT record that goes into a zone at a name such as\n" +
			"_drey.example.org. Machines whose bootstrap.dns lists that name find this one by\n" +
			"it. It is sealed: strangers see that there is something, not what. Several\n" +
			"machines stand at one name, a line each.",
		Args: cobra.ExactArgs(1),
		RunE: s.withNode(func(ctx context.Context, c *web.Client, args []string) error {
			records, err := c.PeerRecords(ctx, true, public)
			if err != nil {
				return err
			}
			for _, text := range records {
				b, err := mesh.ParseRecordText(text)
				if err != nil {
					return err
				}
				if _, err := fmt.Fprintln(s.out, bootstrap.ZoneLine(args[0], b)); err != nil {
					return err
				}
			}
			fmt.Fprintln(s.err, "print it anew when the machine's address changes, or the secret is rotated")
			return nil
		}),
	}
	c.Flags().BoolVar(&public, "public", false, "in clear: strangers may read the machine's key and addresses")
	return c
}

func (s *session) peersExport() *cobra.Command {
	public := false
	c := &cobra.Command{
		Use:   "export FILE|-",
		Short: "write the machines known here to a file, for a stick or a mail",
		Args:  cobra.ExactArgs(1),
		RunE: s.withNode(func(ctx context.Context, c *web.Client, args []string) error {
			texts, err := c.PeerRecords(ctx, false, public)
			if err != nil {
				return err
			}
			var records [][]byte
			for _, text := range texts {
				b, err := mesh.ParseRecordText(text)
				if err != nil {
					return err
				}
				records = append(records, b)
			}
			file := bootstrap.AppendRecords(nil, records)
			if args[0] == "-" {
				_, err = s.out.Write(file)
			} else {
				err = writeFile(args[0], file, 0o644, true) // sealed, and meant to be carried
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(s.err, "%s written\n", count(len(records), "record"))
			return nil
		}),
	}
	c.Flags().BoolVar(&public, "public", false, "in clear: whoever finds the file can read keys and addresses")
	return c
}

func (s *session) peersImport() *cobra.Command {
	return &cobra.Command{
		Use:   "import FILE|-",
		Short: "call the machines in a file that 'peers export' wrote",
		Args:  cobra.ExactArgs(1),
		RunE: s.withNode(func(ctx context.Context, c *web.Client, args []string) error {
			return s.importPeers(ctx, c, args[0])
		}),
	}
}

// importPeers brings a file of records to the node.
func (s *session) importPeers(ctx context.Context, c *web.Client, name string) error {
	var in io.Reader = s.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	records, bad, err := bootstrap.ReadRecords(in)
	if err != nil {
		return err
	}
	if len(records) == 0 {
		return failf(exitError, "make one with 'drey peers export FILE' on a machine of the community", "%s holds no records of machines", name)
	}
	var texts []string
	for _, b := range records {
		texts = append(texts, mesh.RecordText(b))
	}
	done, err := c.ImportPeers(ctx, texts)
	if err != nil {
		return err
	}
	if bad > 0 {
		done.Refused[string(bootstrap.RefusedForm)] += bad
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s to call", count(done.Taken, "machine"))
	for _, why := range slices.Sorted(maps.Keys(done.Refused)) {
		fmt.Fprintf(&b, ", %d refused: %s", done.Refused[why], why)
	}
	fmt.Fprintln(s.err, b.String())
	if done.Taken == 0 {
		return failf(exitError, "records of this very machine, or older than what is known, do not count; those of another community cannot be read", "nobody in %s is to be called", name)
	}
	fmt.Fprintln(s.err, "'drey peers ls' shows who answers")
	return nil
}
