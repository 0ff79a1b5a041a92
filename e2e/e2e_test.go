//go:build !e2e && !race

// Package e2e names the suites that run real binaries; each is a folder here,
// behind the build tag e2e.
package e2e

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestEndToEnd says, under go test -v, what this machine lacks for each suite
// that did not run; a plain go test ./... lists them as [no test files]. CI, which tests with -race, runs the suites themselves.
func TestEndToEnd(t *testing.T) {
	for suite, tools := range map[string][]string{
		"bridge":  {"ip", "node", "npm"},
		"crash":   nil,
		"finders": {"ip", "unbound"},
		"nostr":   {"node", "npm"},
		"overlay": {"ip", "iperf3", "ping"},
		"page":    {"chromium", "node", "npm"},
		"qr":      {"Xvfb", "xterm", "import", "zbarimg", "node", "npm"},
		"radio":   {"node", "npm"},
		"relays":  nil,
		"town":    {"ip", "ping", "strace"},
	} {
		t.Run(suite, func(t *testing.T) {
			if _, err := os.Stat(suite); err != nil {
				t.Fatal(err)
			}
			var missing []string
			for _, tool := range tools {
				if _, err := exec.LookPath(tool); err != nil {
					missing = append(missing, tool)
				}
			}
			if missing != nil {
				t.Skipf("skipped: needs -tags e2e, and %s, missing here", strings.Join(missing, ", "))
			}
			t.Skip("skipped: needs -tags e2e; 'make e2e' runs all of them")
		})
	}
}
