//go:build e2e

package page

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// A look is how somebody has set up the browser.
type look struct {
	name     string
	lang     string
	features []string
	zoom     float64
	wide     bool
}

var looks = []look{
	{name: "light", lang: "en", zoom: 1},
	{name: "dark", lang: "en", features: []string{"prefers-color-scheme=dark"}, zoom: 1},
	{name: "arabic", lang: "ar", zoom: 1},
	{name: "zoomed", lang: "es", zoom: 2},
	{name: "desktop", lang: "uk", zoom: 1, wide: true},
	{name: "desktop-dark", lang: "en", features: []string{"prefers-color-scheme=dark"}, zoom: 1, wide: true},
}

// guestViews are the pages that everybody may open, memberViews those that
// only show themselves to who is paired.
var (
	guestViews = []string{"/", "/t/commons", "/t/alerts", "/search?q=bridge", "/people", "/qr", "/qr/scan", "/qr/poster", "/private", "/radio", "/map", "/relays", "/health", "/help/peers-closed", "/admin", "/pair", "/nothing-here"}
	adminViews = []string{"/t/commons", "/people", "/qr", "/radio", "/map", "/relays", "/health", "/admin", "/admin/settings/web", "/admin/settings/radio", "/private/machine"}
)

// TestEverybodyCanUseEveryPage has axe-core judge every page in every look,
// checks that none is wider than the window, and keeps pictures.
func TestEverybodyCanUseEveryPage(t *testing.T) {
	axe, err := os.ReadFile("node_modules/axe-core/axe.min.js")
	if err != nil {
		t.Fatal(err)
	}
	n := start(t, "Old School", "--radio", "sim")
	n.run("pub", "commons", "the bakery opens at seven")
	n.run("pub", "alerts", "bridge closed", "--urgent")
	n.run("pub", "commons", "<script>alert(1)</script> & \u202eevil\u202c "+strings.Repeat("long", 60))
	message := strings.TrimSpace(n.run("pub", "commons", "is anybody at the mill?"))
	id, _, _ := strings.Cut(message, " ")
	for _, l := range looks {
		t.Run(l.name, func(t *testing.T) {
			b := open(t)
			p := b.tab(l.features...)
			if l.wide {
				p.do(chromedp.EmulateViewport(desktopWidth, desktopHeight))
			} else {
				p.size(phoneWidth, phoneHeight, l.zoom)
			}
			p.to(n.lan + "/?lang=" + l.lang)
			for _, view := range append(guestViews, "/m/"+id) {
				p.judge(string(axe), n.lan, view, l.name+"-guest")
			}
			p.to(n.link("https://"))
			p.click(`form[data-pair] button`)
			p.until(`location.pathname == "/admin"`)
			if lang := eval[string](p, `document.documentElement.lang`); lang != l.lang {
				t.Errorf("the operator's pages are in %s, want %s", lang, l.lang)
			}
			for _, view := range append(adminViews, "/m/"+id) {
				p.judge(string(axe), n.secure(), view, l.name+"-admin")
			}
			p.clean(l.name)
		})
	}
}

// judge opens a view and fails the test for each thing that axe-core finds.
func (p *tab) judge(axe, base, view, name string) {
	p.t.Helper()
	p.to(base + view)
	p.until(`document.querySelector("main")`)
	file := strings.Trim(strings.NewReplacer("/", "-", "?", "-", "=", "-").Replace(view), "-")
	if strings.HasPrefix(view, "/m/") {
		file = "message"
	}
	p.shot(name + "-" + file)
	if wide := eval[int](p, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); wide > 0 {
		p.t.Errorf("%s %s is %d px wider than the window", name, view, wide)
	}
	p.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := chromedp.Evaluate[bool](axe+"; true")(ctx, t)
		return err
	}))
	// What sticks to the window's edges covers some of what is scrolled beneath
	// it; that is no smaller a target, and where it is depends on the moment.
	eval[bool](p, `(() => { for (const e of document.querySelectorAll("body *")) if (["sticky", "fixed"].includes(getComputedStyle(e).position)) e.style.position = "static"; return true })()`)
	found := eval[string](p, `axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}).then(r => JSON.stringify(
		r.violations.map(v => ({id: v.id, help: v.help, nodes: v.nodes.slice(0, 3).map(n => n.target.join(" ") + ": " + n.failureSummary.replaceAll("\n", " "))}))))`)
	var violations []struct {
		ID, Help string
		Nodes    []string
	}
	if err := json.Unmarshal([]byte(found), &violations); err != nil {
		p.t.Fatalf("%s: %v", found, err)
	}
	for _, v := range violations {
		p.t.Errorf("%s %s: %s (%s)\n  %s", name, view, v.Help, v.ID, strings.Join(v.Nodes, "\n  "))
	}
}

// TestAxeFindsSomething holds the judge itself to a page with faults.
func TestAxeFindsSomething(t *testing.T) {
	axe, err := os.ReadFile("node_modules/axe-core/axe.min.js")
	if err != nil {
		t.Fatal(err)
	}
	p := open(t).tab()
	p.to("data:text/html,<main><img src=x><button></button><p style='color:%23bbb;background:%23fff'>pale</p></main>")
	p.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := chromedp.Evaluate[bool](string(axe)+"; true")(ctx, t)
		return err
	}))
	found := eval[string](p, `axe.run().then(r => r.violations.map(v => v.id).join(" "))`)
	for _, want := range []string{"image-alt", "button-name", "color-contrast", "html-has-lang"} {
		if !strings.Contains(found, want) {
			t.Errorf("axe-core finds %s, not %s", found, want)
		}
	}
}
