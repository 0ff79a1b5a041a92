//go:build e2e

package page

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestOperatorPairsAndChangesSettings takes the operator's way: a link of
// 'drey ui' over https, a setting changed with a preview, a refused one, and
// the end of the pairing.
func TestOperatorPairsAndChangesSettings(t *testing.T) {
	n := start(t, "school")
	p := open(t).tab()

	// Over plain http from elsewhere nothing can be done, and the page says why.
	p.to(n.lan + "/admin")
	p.shows("Pairing needs https")
	p.shot("admin-guest")
	if got := eval[int](p, `document.querySelectorAll('form[action^="/admin/settings"], a[href^="/admin/settings"]').length`); got != 0 {
		t.Errorf("a guest is shown %d forms of settings", got)
	}

	link := n.link("https://")
	p.to(link)
	p.until(`document.querySelector('#code').value.length > 10`)
	if at := eval[string](p, `location.href`); strings.Contains(at, "#") {
		t.Errorf("the code stays in the address: %s", at)
	}
	p.shot("pair")
	p.click(`form[data-pair] button`)
	p.shows("Paired browsers")
	p.shot("admin")
	if got := eval[string](p, `document.cookie`); strings.Contains(got, "drey") && strings.Contains(got, "Host") {
		t.Errorf("scripts can read the session: %s", got)
	}
	p.to(link)
	p.shows("paired already")

	p.to(n.secure() + "/admin/settings/node")
	p.shows("set by the command line")
	p.to(n.secure() + "/admin/settings/web")
	p.do(chromedpSet(`#set\.web\.hosts`, "school.example"))
	p.click(`form.card button`)
	p.shows("What will change")
	p.shot("settings-preview")
	p.click(`section form button`)
	p.until(`location.pathname == "/admin" && location.search.includes("saved")`)
	p.shows("Saved")
	p.shot("admin-saved")
	if file := n.run("config", "show"); !strings.Contains(file, `hosts = ["school.example"]`) {
		t.Errorf("the configuration says\n%s", file)
	}
	// The node's parts begin anew, with the name among its own.
	within(t, "a setting is in force", 20*time.Second, func(ctx context.Context) {
		awaits(t, "the node answers under the name", func() bool { return answers(ctx, n.here+"/healthz", "school.example") })
	})
	p.to(n.secure() + "/admin/settings/store")
	p.do(chromedpSet(`#set\.store\.max_bytes`, "lots"))
	p.click(`form.card button`)
	p.shows("cannot be used")
	if got := eval[string](p, `document.querySelector('#set\\.store\\.max_bytes').value`); got != "lots" {
		t.Errorf("what was typed is lost: %q", got)
	}
	p.shot("settings-refused")

	p.to(n.secure() + "/admin")
	p.click(`#sessions ~ ul form button`)
	p.until(`!document.querySelector("#sessions")`)
	p.to(n.secure() + "/admin/settings/node")
	p.shows("is for admins of this machine")
	p.clean("admin")
}

// answers reports whether a node takes a request under a name for its own.
func answers(ctx context.Context, address, host string) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false
	}
	r.Host = host
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
