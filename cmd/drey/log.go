package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"drey/mesh"
	"drey/web"
)

func (s *session) logCommand() *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use:   "log ID",
		Short: "where a message is, and why not further",
		Long: "log tells line by line what became of a message on this node. ID is what\n" +
			"'drey pub' printed; its first 8 digits do, and more where several begin so.",
		Args: cobra.ExactArgs(1),
		RunE: s.withNode(func(ctx context.Context, c *web.Client, args []string) error {
			id := strings.ToLower(strings.TrimSpace(args[0]))
			if len(id) < 8 || len(id) > 64 || strings.Trim(id, "0123456789abcdef") != "" {
				return usagef("%s is not the id of a message: 64 hexadecimal digits, as 'drey pub' and 'drey sub --json' print them, or the first 8 and more", args[0])
			}
			l, err := c.Log(ctx, id)
			if err != nil {
				return err
			}
			if asJSON {
				return s.printJSON(logJSON(l.ID, l))
			}
			s.showLog(l.ID, l, learnNames(ctx, c))
			if l.Record == nil && l.Mail == nil {
				return failf(exitNotFound, "", "%w", errSilent)
			}
			return nil
		}),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

func (s *session) showLog(id mesh.EventID, l *web.Log, names *names) {
	switch r := l.Record; {
	case l.Mail != nil:
		fmt.Fprintln(s.out, when(time.UnixMilli(l.Mail.ReceivedMS), time.Now())+" "+mailLine(l.Mail))
	case r != nil:
		fmt.Fprintln(s.out, messageLine(r, names, time.Now()))
		by := "written here"
		if r.Carrier != "" {
			by = "came by " + r.Carrier
		}
		fmt.Fprintf(s.out, "%s %s\n", r.Received.Local().Format("15:04:05.000"), by)
	default:
		fmt.Fprintf(s.out, "%s is gone: %s\n", id, l.Gone)
	}
	for _, step := range l.Steps {
		where := strings.TrimSpace(step.Carrier + " " + step.Target)
		if where != "" {
			where += ": "
		}
		fmt.Fprintf(s.out, "%s %s%s\n", step.At.Local().Format("15:04:05.000"), plain(where, false), plain(step.State, false))
	}
}

// logLine is one step as JSON shows it.
type logLine struct {
	AtMS    int64  `json:"at_ms"`
	Carrier string `json:"carrier"`
	Target  string `json:"target,omitempty"`
	State   string `json:"state"`
}

func logJSON(id mesh.EventID, l *web.Log) any {
	steps := []logLine{}
	for _, st := range l.Steps {
		steps = append(steps, logLine{st.At.UnixMilli(), st.Carrier, st.Target, st.State})
	}
	out := map[string]any{"v": 1, "id": id.String(), "steps": steps}
	if l.Record != nil {
		out["topic"], out["event"] = l.Record.Topic, l.Record.Event
		out["received_ms"], out["came_by"] = l.Record.Received.UnixMilli(), l.Record.Carrier
	}
	if l.Mail != nil {
		out["mail"] = l.Mail
	}
	if l.Gone != "" {
		out["gone"] = l.Gone
	}
	return out
}
