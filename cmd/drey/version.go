package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"
)

// release is the version; packagers set it with
// -ldflags "-X main.release=1.2.3 -X main.releaseTime=2026-11-21T00:00:00Z".
var (
	release     = "0.1.0-dev"
	releaseTime = ""
)

// earliest is a date before which this program did not exist, for builds that
// do not know their own.
var earliest = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// built tells when this program was made, at the earliest: a clock that shows
// less is wrong.
func built() time.Time {
	if t, err := time.Parse(time.RFC3339, releaseTime); err == nil && t.After(earliest) {
		return t
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if t, err := time.Parse(time.RFC3339, s.Value); s.Key == "vcs.time" && err == nil && t.After(earliest) {
				return t
			}
		}
	}
	return earliest
}

func (s *session) versionCommand() *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use:   "version",
		Short: "which drey this is",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if asJSON {
				return json.NewEncoder(s.out).Encode(map[string]any{
					"v": 1, "version": release, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH,
				})
			}
			_, err := fmt.Fprintf(s.out, "drey %s %s/%s %s\n", release, runtime.GOOS, runtime.GOARCH, runtime.Version())
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}
