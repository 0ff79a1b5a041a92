//go:build e2e

package page

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// count says how often a text is among others.
func count(texts []string, text string) (n int) {
	for _, t := range texts {
		if t == text {
			n++
		}
	}
	return n
}

const shown = `[...document.querySelectorAll("li.message .text")].some(m => m.textContent.trim() == %q)`

// scripted is true when the script has taken the page over.
const scripted = `document.documentElement.dataset.script == "ready"`

// say writes in the conversation that is open and waits until it shows.
func (p *tab) say(text string) {
	p.t.Helper()
	p.write(`form[data-compose] textarea`, text)
	p.click(`form[data-compose] button.send`)
	p.until(fmt.Sprintf(shown, text))
}

// TestWithoutScript reads and writes with scripts switched off, over plain
// http, as an old or a careful browser does.
func TestWithoutScript(t *testing.T) {
	n := start(t, "school")
	n.run("pub", "commons", "anybody here?")
	p := open(t).tab()
	p.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	}))
	p.to(n.lan + "/t/commons")
	p.do(chromedp.WaitVisible(chromedp.CSS("li.message")))
	p.do(chromedp.SendKeys(chromedp.CSS(`form[data-compose] input[name=name]`), "Ana"))
	p.do(chromedp.SendKeys(chromedp.CSS(`form[data-compose] textarea`), "without a script"))
	p.do(chromedp.Click(chromedp.CSS(`form[data-compose] button.send`)))
	p.do(chromedp.WaitVisible(chromedp.CSS(`li.message ~ li.message`)))
	p.shot("no-script")
	if said := n.said("commons"); count(said, "without a script") != 1 {
		t.Errorf("the node holds %q", said)
	}
	for _, view := range []string{"/", "/search?q=anybody", "/people", "/qr", "/qr/scan", "/private", "/radio", "/map", "/relays", "/health", "/admin"} {
		p.to(n.lan + view)
		p.do(chromedp.WaitVisible(chromedp.CSS("main h1")))
	}
}

// TestAScriptThatDidNotComeIsTriedAgain keeps one module back, as a network that
// goes away while a page loads: the page says so and works as without a script;
// when the network is back it is live, and what was typed is still there.
func TestAScriptThatDidNotComeIsTriedAgain(t *testing.T) {
	n := start(t, "school")
	for _, missing := range []string{"queue.js", "words.js", "lang/en.json"} {
		t.Run(missing, func(t *testing.T) {
			p := open(t).tab()
			block := func(patterns ...*network.BlockPattern) {
				p.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
					if _, err := cdp.Call(ctx, t, network.Enable, network.EnableParams{}); err != nil {
						return err
					}
					_, err := cdp.Call(ctx, t, network.SetBlockedURLs, network.SetBlockedURLsParams{URLPatterns: patterns})
					return err
				}))
			}
			block(&network.BlockPattern{URLPattern: "*://*:*/static/*/" + missing, Block: true})
			p.to(n.lan + "/t/commons")
			p.until(`document.querySelector("[data-unready]").textContent.startsWith("Part of this page did not come")`)
			typed := "typed without " + missing
			p.write(`textarea[name=text]`, typed)
			p.shot("unready-" + strings.NewReplacer("/", "-", ".", "-").Replace(missing))
			block()
			eval[bool](p, `dispatchEvent(new Event("online"))`)
			p.until(`document.documentElement.dataset.script === "ready" && document.querySelector("[data-unready]").textContent === ""`)
			if got := eval[string](p, `document.querySelector("textarea[name=text]").value`); got != typed {
				t.Errorf("the text is %q", got)
			}
			p.click(`button.send`)
			p.shownOnce(typed)
			text := "live without " + missing
			n.run("pub", "commons", text)
			p.shownOnce(text)
			p.clean("tried again")
		})
	}
}

// TestScriptInNamesIsInert puts script and markup into every place that people
// fill: nothing runs, nothing is markup, and it reads as it was written.
func TestScriptInNamesIsInert(t *testing.T) {
	evil := `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`
	n := start(t, "school")
	p := open(t).tab()
	p.to(n.lan + "/t/commons")
	p.do(chromedpSet(`form[data-compose] input[name=name]`, `"><b>Ana</b>`))
	p.do(chromedpSet(`form[data-compose] textarea`, evil+" javascript:document.title='owned'"))
	p.click(`form[data-compose] button.send`)
	p.until(`document.querySelectorAll("li.message").length == 1`)
	for _, view := range []string{"/", "/t/commons", "/people", "/search?q=%3Cscript%3Ealert(1)%3C/script%3E", "/health"} {
		p.to(n.lan + view)
		p.until(`document.querySelector("main")`)
		if got := eval[int](p, `document.querySelectorAll("main img[src=x], main script:not([src]), main b").length`); got != 0 {
			t.Errorf("%s holds %d elements that a visitor wrote", view, got)
		}
		if title := eval[string](p, `document.title`); title == "owned" {
			t.Errorf("%s: a script ran", view)
		}
	}
	p.to(n.lan + "/t/commons")
	p.until(`document.querySelector("li.message .text")`)
	if got := eval[string](p, `document.querySelector("li.message .text").textContent`); !strings.Contains(got, evil) {
		t.Errorf("the text reads %q", got)
	}
	p.clean("evil texts") // not even a blocked one: it never was a script
}

// TestNothingTypedIsLost restarts the node, and the browser's page, while
// somebody writes.
func TestNothingTypedIsLost(t *testing.T) {
	n := start(t, "school")
	p := open(t).tab()
	p.to(n.lan + "/t/commons")
	p.until(scripted)
	p.write(`form[data-compose] textarea`, "half a thou")
	n.restart()
	p.write(`form[data-compose] textarea`, "ght")
	p.to(n.lan + "/t/commons")
	p.until(`document.querySelector("form[data-compose] textarea")?.value == "half a thought"`)
	p.click(`form[data-compose] button.send`)
	p.until(fmt.Sprintf(shown, "half a thought"))
	p.until(`document.querySelector("form[data-compose] textarea").value == ""`)
	if said := n.said("commons"); count(said, "half a thought") != 1 {
		t.Errorf("the node holds %q", said)
	}
}

// TestWiFiGoneAndBack writes while there is no network: it waits, in words,
// and is sent once when the network is back, also after the page was left.
func TestWiFiGoneAndBack(t *testing.T) {
	n := start(t, "school")
	p := open(t).tab()
	p.to(n.lan + "/t/commons")
	p.say("before")
	p.network(0, 0, true)
	for _, text := range []string{"under the bridge", "in the tunnel"} {
		p.write(`form[data-compose] textarea`, text)
		p.click(`form[data-compose] button.send`)
		p.shows(text)
	}
	p.shows("waiting")
	p.shot("offline-waiting")
	p.network(0, 0, false)
	for _, text := range []string{"under the bridge", "in the tunnel"} {
		p.until(fmt.Sprintf(`[...document.querySelectorAll("li.message[data-seq] .text")].some(m => m.textContent.trim() == %q)`, text))
	}
	p.shot("online-sent")

	// The node is away, and the page is left before it is back.
	n.down()
	p.write(`form[data-compose] textarea`, "left behind")
	p.click(`form[data-compose] button.send`)
	p.shows("left behind")
	p.to("about:blank")
	n.up(":" + n.port)
	p.to(n.lan + "/t/commons")
	p.until(fmt.Sprintf(`[...document.querySelectorAll("li.message[data-seq] .text")].some(m => m.textContent.trim() == %q)`, "left behind"))
	said := n.said("commons")
	for _, text := range []string{"before", "under the bridge", "in the tunnel", "left behind"} {
		if count(said, text) != 1 {
			t.Errorf("%q was sent %d times", text, count(said, text))
		}
	}
	if want := []string{"before", "under the bridge", "in the tunnel", "left behind"}; !slices.Equal(said, want) {
		t.Errorf("the order is %q", said)
	}
}

// TestHugePaste pastes far too much: the page says so and keeps it.
func TestHugePaste(t *testing.T) {
	n := start(t, "school")
	p := open(t).tab()
	p.to(n.lan + "/t/commons")
	p.until(scripted)
	eval[bool](p, `(() => { const a = document.querySelector("form[data-compose] textarea"); a.value = "long ".repeat(20000); a.dispatchEvent(new Event("input", {bubbles: true})); return true })()`)
	began := time.Now()
	p.until(`document.querySelector("form[data-compose] textarea").offsetHeight > 0`)
	t.Logf("a paste of a hundred thousand letters is laid out after %s", time.Since(began))
	p.click(`form[data-compose] button.send`)
	p.until(`/too long/i.test(document.body.innerText)`)
	p.shot("huge-paste")
	// In the field, or in the list with buttons to change it or try again.
	if kept := eval[int](p, `Math.max(document.querySelector("form[data-compose] textarea").value.length, document.querySelector("main").textContent.split("long").length * 5)`); kept < 99_999 {
		t.Errorf("%d letters are kept of a hundred thousand", kept)
	}
	if said := n.said("commons"); len(said) != 0 {
		t.Errorf("the node took %d messages", len(said))
	}
}

// TestGuestsFlood has one visitor send as fast as the browser can: the node
// holds her back, tells it in words, and others read on.
func TestGuestsFlood(t *testing.T) {
	n := start(t, "school")
	flood, other := open(t).tab(), open(t).tab()
	flood.to(n.lan + "/t/commons")
	flood.until(`document.querySelector("form[data-compose]")`)
	got := eval[map[string]int](flood, `(async () => {
		const by = {}
		await Promise.all(Array.from({length: 300}, (_, i) => fetch("/v1/topics/commons/messages", {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify({text: "flood " + i})})
			.then(r => { by[r.status] = (by[r.status] || 0) + 1 })))
		return by
	})()`)
	if got["202"] < 1 || got["202"] > 10 || got["429"] < 280 {
		t.Errorf("of 300 posts at once the answers are %v", got)
	}
	within(t, "another visitor reads during a flood", 15*time.Second, func(context.Context) {
		other.to(n.here + "/t/commons")
		other.shows("flood")
	})
}

// TestForeignNameInTheBrowser points another site's name at the node, as DNS
// rebinding does: the browser is shown nothing of the node's.
func TestForeignNameInTheBrowser(t *testing.T) {
	n := start(t, "school")
	n.run("pub", "commons", "for neighbours only")
	p := open(t, "host-resolver-rules=MAP evil.example "+strings.TrimPrefix(strings.TrimSuffix(n.lan, ":"+n.port), "http://")).tab()
	for _, view := range []string{"/", "/t/commons", "/people", "/qr", "/radio", "/map", "/relays", "/health", "/admin", "/pair", "/v1/status", "/v1/events"} {
		p.to("http://evil.example:" + n.port + view)
		text := eval[string](p, `document.body.innerText`)
		if strings.Contains(text, "neighbours only") || strings.Contains(text, "npub1") || !strings.Contains(text, "evil.example") {
			t.Errorf("%s under a foreign name says %.300s", view, text)
		}
	}
	// A page of another site can neither post nor read.
	site := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<!doctype html><title>other</title>")) })}
	l := listen(t)
	go site.Serve(l)
	t.Cleanup(func() { site.Close() })
	p.to("http://" + l.Addr().String())
	for what, script := range map[string]string{
		"post": `fetch(%q, {method: "POST", mode: "no-cors", body: "text=forged&topic=commons"}).then(() => "sent", e => "refused")`,
		"read": `fetch(%q).then(r => r.text(), e => "refused")`,
	} {
		got := eval[string](p, fmt.Sprintf(script, n.lan+"/t/commons"))
		if strings.Contains(got, "neighbours") {
			t.Errorf("%s from another site: %s", what, got)
		}
	}
	if said := n.said("commons"); len(said) != 1 {
		t.Errorf("another site posted: %q", said)
	}
}
