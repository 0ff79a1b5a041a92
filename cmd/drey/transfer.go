package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/spf13/cobra"

	"drey/mesh"
	"drey/web"
)

// tellEvery is how often a long transfer says how far it is.
const tellEvery = time.Second

func (s *session) exportCommand() *cobra.Command {
	var f web.Following
	var topics []string
	records := false
	c := &cobra.Command{
		Use:   "export [FILE|-]",
		Short: "write messages as NIP-01 JSON lines; zstd when FILE ends in .zst",
		Args:  cobra.MaximumNArgs(1),
		PreRunE: func(*cobra.Command, []string) error {
			for _, name := range topics {
				t, err := mesh.ParseTopic(name)
				if err != nil {
					return usagef("--topic: %w", err)
				}
				f.Topics = append(f.Topics, t)
			}
			return nil
		},
		RunE: s.withNode(func(ctx context.Context, c *web.Client, args []string) error {
			if len(args) == 0 || args[0] == "-" {
				return s.export(ctx, c, f, records, s.out, "")
			}
			return s.exportFile(ctx, c, f, records, args[0])
		}),
	}
	c.Flags().StringSliceVar(&topics, "topic", nil, "only this `TOPIC`; may be given again")
	c.Flags().StringVar(&f.Since, "since", "all", "begin there: 1h, 3d, a date, or after the message with this id")
	c.Flags().BoolVar(&records, "records", false, "keep topic and time of receipt around each event")
	return c
}

// exportFile writes a file that is there whole or not at all.
func (s *session) exportFile(ctx context.Context, c *web.Client, f web.Following, records bool, name string) error {
	if _, err := os.Lstat(name); err == nil {
		return failf(exitError, "name a new file", "%s is there already", name)
	}
	file, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	var w io.WriteCloser = file
	if strings.HasSuffix(name, ".zst") {
		if w, err = zstd.NewWriter(file); err != nil {
			return err
		}
	}
	if err := s.export(ctx, c, f, records, w, name); err != nil {
		return err
	}
	if w != io.WriteCloser(file) {
		if err := w.Close(); err != nil {
			return err
		}
	}
	if err := file.Sync(); err != nil {
		return err
	}
	if err := os.Link(file.Name(), name); err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}

func (s *session) export(ctx context.Context, c *web.Client, f web.Following, records bool, w io.Writer, name string) error {
	out := bufio.NewWriterSize(w, 1<<16)
	tell := s.newTally("exported")
	for r, err := range c.Messages(ctx, f) {
		if err != nil {
			return err
		}
		b := exportLine(r, records)
		if _, err := out.Write(b); err != nil {
			return err
		}
		tell.add(len(b))
	}
	if err := out.Flush(); err != nil {
		return err
	}
	tell.done(name)
	return nil
}

// exportLine writes a record as import reads it.
func exportLine(r *mesh.Record, records bool) []byte {
	if !records {
		return append(r.Event.AppendJSON(nil), '\n')
	}
	topic, _ := json.Marshal(r.Topic) // a checked topic always marshals
	b := fmt.Appendf(nil, `{"v":1,"topic":%s,"received_ms":%d,"event":`, topic, r.Received.UnixMilli())
	return append(r.Event.AppendJSON(b), '}', '\n')
}

func (s *session) importCommand() *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use:   "import [FILE|-]",
		Short: "read NIP-01 JSON lines, each but once; zstd when FILE ends in .zst",
		Args:  cobra.MaximumNArgs(1),
		RunE: s.withNode(func(ctx context.Context, c *web.Client, args []string) error {
			in := s.in
			if len(args) == 1 && args[0] != "-" {
				file, err := os.Open(args[0])
				if err != nil {
					return failf(exitNotFound, "", "%w", err)
				}
				defer file.Close()
				in = file
				if strings.HasSuffix(args[0], ".zst") {
					z, err := zstd.NewReader(file, zstd.WithDecoderMaxMemory(256<<20))
					if err != nil {
						return err
					}
					defer z.Close()
					in = z
				}
			}
			return s.importFrom(ctx, c, in, asJSON)
		}),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "the final counts as JSON")
	return c
}

func (s *session) importFrom(ctx context.Context, c *web.Client, in io.Reader, asJSON bool) error {
	began := time.Now()
	sent := &countedReader{r: in}
	last, err := c.Import(ctx, sent, func(i web.Imported) {
		if !i.Done {
			fmt.Fprintf(s.err, "%s read, %d new, %d known, %d refused, %s\n", count(int(i.Lines), "event"), i.New, i.Known, total(i.Refused), rate(i.Lines, time.Since(began)))
		}
	})
	if err != nil {
		if last.Lines > 0 {
			fmt.Fprintf(s.err, "stopped after %s; running the import again takes up where it is\n", count(int(last.Lines), "event"))
		}
		return err
	}
	if asJSON {
		return s.printJSON(last)
	}
	fmt.Fprintf(s.err, "done: %s in %s, %s\n", size(sent.n.Load()), short(time.Since(began)), rate(last.Lines, time.Since(began)))
	fmt.Fprintf(s.out, "%d new, %d known", last.New, last.Known)
	for _, reason := range slices.Sorted(maps.Keys(last.Refused)) {
		fmt.Fprintf(s.out, ", %d refused (%s)", last.Refused[reason], reason)
	}
	if _, err := fmt.Fprintln(s.out); err != nil {
		return err
	}
	if last.New+last.Known == 0 && total(last.Refused) > 0 {
		return failf(exitError, "'drey export' writes what 'drey import' reads: one signed Nostr event a line", "nothing of it was taken")
	}
	return nil
}

func total(by map[string]uint64) (n uint64) {
	for _, v := range by {
		n += v
	}
	return n
}

func rate(n uint64, d time.Duration) string {
	return fmt.Sprintf("%.0f/s", float64(n)/max(d.Seconds(), 0.001))
}

type countedReader struct {
	r io.Reader
	n atomic.Int64
}

func (c *countedReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// A tally says on standard error how far a transfer is.
type tally struct {
	s           *session
	verb        string
	began, told time.Time
	n           uint64
	bytes       int64
}

func (s *session) newTally(verb string) *tally {
	return &tally{s: s, verb: verb, began: time.Now(), told: time.Now()}
}

func (t *tally) add(bytes int) {
	t.n++
	t.bytes += int64(bytes)
	if time.Since(t.told) < tellEvery {
		return
	}
	t.told = time.Now()
	fmt.Fprintf(t.s.err, "%s %s, %s, %s\n", t.verb, count(int(t.n), "event"), size(t.bytes), rate(t.n, time.Since(t.began)))
}

func (t *tally) done(name string) {
	if name != "" {
		name = " into " + name
	}
	fmt.Fprintf(t.s.err, "done: %s %s%s, %s in %s\n", t.verb, count(int(t.n), "event"), name, size(t.bytes), short(time.Since(t.began)))
}
