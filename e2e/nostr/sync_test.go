//go:build e2e

package nostr

import (
	"strings"
	"testing"

	"drey/web"
)

// nostr-tools fetches 3000 notes by reconciliation, and finds nothing to fetch
// the second time. Posting them takes some seconds: 2000 go at once, then 200 a
// second.
func TestNostrToolsReconciles(t *testing.T) {
	drey := build(t)
	home := t.TempDir()
	start(t, drey, home)
	admit(t, home)
	c := web.NewClient(home)
	defer c.Close()
	st, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out, err := app(t.Context(), nil, "sync", "ws://"+st.Web.Listen+"/", "3000").CombinedOutput()
	if err != nil {
		t.Fatalf("relay.mjs: %v\n%s", err, out)
	}
	t.Log(strings.TrimSpace(string(out)))
}
