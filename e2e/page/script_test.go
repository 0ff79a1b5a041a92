//go:build e2e

package page

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// before has a script run in front of every page's own.
func (p *tab) before(script string) {
	p.t.Helper()
	p.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: script})
		return err
	}))
}

// ready opens an address and waits for the page's scripts.
func (p *tab) ready(address string) {
	p.t.Helper()
	p.to(address)
	p.until(`document.documentElement.dataset.script === "ready"`)
}

// shownOnce waits until a message stands on the page, as the machine has it,
// once and nowhere as waiting.
func (p *tab) shownOnce(text string) {
	p.t.Helper()
	p.until(fmt.Sprintf(`[...document.querySelectorAll("li.message[data-seq] .text")].filter(m => m.textContent === %q).length === 1
		&& ![...document.querySelectorAll("li.waiting .text")].some(m => m.textContent === %q)`, text, text))
}

// streams is how many live streams the node serves.
func (n *node) streams() string {
	n.t.Helper()
	r, err := http.Get(n.here + "/metrics")
	if err != nil {
		n.t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "drey_web_streams "); ok {
			return strings.TrimSpace(v)
		}
	}
	n.t.Fatal("no figure of streams")
	return ""
}

// What a phone's browser may lack.
var lacks = []struct{ name, script, streams string }{
	{"shared worker", "", "1"},
	{"no shared worker", "delete window.SharedWorker", "1"},
	{"no channel either", "delete window.SharedWorker; delete window.BroadcastChannel", "3"},
}

// Three tabs of one phone need one connection, also after the tab that held it
// has gone; where browsers cannot share, each has its own.
func TestTabsShareOneStream(t *testing.T) {
	n := start(t, "school")
	for _, lack := range lacks {
		t.Run(lack.name, func(t *testing.T) {
			b := open(t)
			var tabs []*tab
			for range 3 {
				p := b.tab()
				p.before(lack.script)
				p.ready(n.lan + "/t/commons")
				tabs = append(tabs, p)
			}
			text := lack.name + " 1"
			n.run("pub", "commons", text)
			for _, p := range tabs {
				p.shownOnce(text)
			}
			if got := n.streams(); got != lack.streams {
				t.Errorf("%s streams for three tabs, want %s", got, lack.streams)
			}
			tabs[0].do(chromedp.Navigate("about:blank"))
			text = lack.name + " 2"
			n.run("pub", "commons", text)
			for _, p := range tabs[1:] {
				p.shownOnce(text)
				p.clean(lack.name)
			}
		})
	}
}

// The machine goes away while somebody writes: what is sent waits, what is typed
// stays, and both are there once when it is back; also what a closed tab left.
func TestTheMachineIsAwayWhileSomebodyWrites(t *testing.T) {
	for _, lack := range lacks[:2] {
		t.Run(lack.name, func(t *testing.T) {
			n := start(t, "school")
			p := open(t).tab()
			p.before(lack.script)
			p.ready(n.lan + "/t/commons")
			port := n.port
			n.down()
			p.write(`textarea[name=text]`, "said meanwhile")
			p.click(`button.send`)
			p.until(`/not on the machine/.test(document.querySelector("li.waiting .fate")?.textContent)`)
			p.write(`textarea[name=text]`, "half a sent")
			p.until(`document.querySelector(".contact").textContent.includes("No contact")`)
			p.shot("away-" + strings.ReplaceAll(lack.name, " ", "-"))
			n.up(":" + port)
			p.shownOnce("said meanwhile")
			p.until(`document.querySelector(".contact").textContent === ""`)
			p.ready(n.lan + "/t/commons")
			p.shownOnce("said meanwhile")
			if got := eval[string](p, `document.querySelector("textarea[name=text]").value`); got != "half a sent" {
				t.Errorf("after a reload the draft is %q", got)
			}

			n.down()
			p.click(`button.send`)
			p.until(`document.querySelector("li.waiting")`)
			p.do(chromedp.Navigate("about:blank"))
			n.up(":" + port)
			p.ready(n.lan + "/") // any page of the machine's will do
			p.until(`Object.keys(localStorage).every(k => !k.startsWith("drey.queue."))`)
			p.ready(n.lan + "/t/commons")
			p.shownOnce("half a sent")
			if said := n.said("commons"); len(said) != 2 {
				t.Errorf("the machine holds %q, want each once", said)
			}
		})
	}
}

// own makes a key in the browser and returns its npub.
func (p *tab) own(n *node, name string) string {
	p.t.Helper()
	p.ready(n.lan + "/private")
	p.write(`[data-private-make] input`, name)
	p.click(`[data-private-make] button`)
	p.until(`document.querySelector("[data-private-npub]").textContent.startsWith("npub1")`)
	return eval[string](p, `document.querySelector("[data-private-npub]").textContent`)
}

// A visitor signs with a key of his own: the machine gives it a pass, shows its
// name, and nostr-tools finds nothing to object to.
func TestAVisitorsOwnKey(t *testing.T) {
	n := start(t, "school")
	p := open(t).tab()
	p.own(n, "Olena")
	p.ready(n.lan + "/t/commons")
	p.until(`document.querySelector(".compose .check input")?.checked`)
	p.do(chromedpSet(`textarea[name=text]`, "mine \u2028 \"quoted\" <b>"))
	p.click(`button.send`)
	p.shownOnce("mine \u2028 \"quoted\" <b>")
	p.ready(n.lan + eval[string](p, `new URL(document.querySelector("li.message a.reply").href).pathname + new URL(document.querySelector("li.message a.reply").href).search`))
	p.until(`document.querySelector(".compose .check input")?.checked`)
	p.write(`textarea[name=text]`, "and an answer")
	p.click(`button.send`)
	p.shownOnce("and an answer")
	if got := eval[string](p, `document.querySelector("li.message .author").textContent`); got != "Olena" {
		t.Errorf("the author is shown as %q", got)
	}
	p.shot("own-key")
	p.clean("own key")

	out := n.run("sub", "commons", "--since", "1h", "--count", "2", "--timeout", "20s", "--json")
	cmd := exec.CommandContext(t.Context(), "node", "verify.mjs")
	cmd.Stdin = strings.NewReader(out)
	verdict, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(verdict), "ok ") != 2 {
		t.Errorf("nostr-tools says %s, %v of %s", verdict, err, out)
	}
	var first, second struct {
		ID, PubKey, Content string
		Tags                [][]string
	}
	d := json.NewDecoder(strings.NewReader(out))
	if err := d.Decode(&first); err != nil {
		t.Fatal(err)
	}
	if err := d.Decode(&second); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprint([][]string{{"t", "commons"}, {"e", first.ID, "", "root"}, {"p", first.PubKey}})
	if got := fmt.Sprint(second.Tags); got != want {
		t.Errorf("the answer has the tags %s, want %s", got, want)
	}
}

// A phone that believes it is three days later signs with the machine's time,
// and is told.
func TestThePhonesClockIsWrong(t *testing.T) {
	n := start(t, "school")
	p := open(t).tab()
	p.before(`{ const real = Date.now; Date.now = () => real() + 3 * 24 * 3600 * 1000; }`)
	p.own(n, "Olena")
	p.ready(n.lan + "/t/commons")
	p.until(`/clock is \d+ minutes off/.test(document.querySelector(".compose > .small").textContent)`)
	p.write(`textarea[name=text]`, "what time is it")
	p.click(`button.send`)
	p.shownOnce("what time is it")
	var e struct {
		Created int64 `json:"created_at"`
	}
	if err := json.Unmarshal([]byte(n.run("sub", "commons", "--since", "1h", "--count", "1", "--timeout", "20s", "--json")), &e); err != nil {
		t.Fatal(err)
	}
	if off := time.Since(time.Unix(e.Created, 0)); off.Abs() > time.Minute {
		t.Errorf("the message is dated %s away from now", off)
	}
}

// Two visitors write to each other; the machine carries what it cannot read.
func TestPrivateMessagesInTheBrowser(t *testing.T) {
	n := start(t, "school")
	ana, ben := open(t).tab(), open(t).tab()
	ana.own(n, "Ana")
	to := ben.own(n, "Ben")
	ana.write(`[data-private-to] input`, to)
	ana.click(`[data-private-to] button`)
	ana.write(`[data-private-compose] textarea`, "the key is under the mat")
	ana.click(`[data-private-compose] button`)
	ben.until(`document.querySelector("[data-conversations] .last")?.textContent.includes("under the mat")`)
	ben.until(`document.querySelector("[data-conversations] .name").textContent === "Ana"`)
	ana.until(`document.querySelector("[data-private-messages] .delivery").textContent.includes("saved")`)
	if got := eval[string](ben, `document.title`); !strings.HasPrefix(got, "(1) ") {
		t.Errorf("with an unread message the title is %q", got)
	}
	ben.click(`[data-conversations] a`)
	ana.until(`document.querySelector("[data-private-messages] .delivery").textContent.startsWith("opened by ")`)
	ben.write(`[data-private-compose] textarea`, "thank you")
	ben.click(`[data-private-compose] button`)
	ana.until(`document.querySelectorAll("[data-private-messages] li").length === 2`)
	ana.shot("private-thread")

	// It stays when the page is closed, and shows once.
	ana.ready(n.lan + "/private#to=" + to)
	ana.until(`document.querySelectorAll("[data-private-messages] li").length === 2`)
	// Over http the key is neither shown nor taken.
	ana.ready(n.lan + "/private")
	if eval[bool](ana, `isSecureContext`) || !eval[bool](ana, `document.querySelector("[data-private-secure]").hidden`) {
		t.Error("over http the page offers to show the key")
	}
	for _, p := range []*tab{ana, ben} {
		p.clean("private messages")
	}
	if out := n.run("sub", "commons", "--since", "1h", "--timeout", "1s", "--json"); strings.Contains(out, "under the mat") {
		t.Errorf("the machine shows %s", out)
	}
}

// One begins a group by ticking names and typing a key; whoever answers answers
// everybody, and what became of a message is told for each reader.
func TestAGroupInTheBrowser(t *testing.T) {
	n := start(t, "school")
	ana, ben, cem := open(t).tab(), open(t).tab(), open(t).tab()
	anaKey, benKey, cemKey := ana.own(n, "Ana"), ben.own(n, "Ben"), cem.own(n, "Cem")
	ben.ready(n.lan + "/t/commons") // who wrote lately can be chosen by name
	ben.until(`document.querySelector("form.compose .check input")?.checked`)
	ben.write(`textarea[name=text]`, "the well is dry")
	ben.click(`button.send`)
	ben.shownOnce("the well is dry")
	ben.ready(n.lan + "/private")

	ana.ready(n.lan + "/private")
	ana.click(`[data-private-to] summary`)
	ana.until(`document.querySelector("[data-private-choices]").innerText.includes("Ben")`)
	eval[bool](ana, `[...document.querySelectorAll("[data-private-choices] label")].find(l => l.textContent === "Ben").click() ?? true`)
	ana.write(`[data-private-to] [name=to]`, anaKey)
	ana.click(`[data-private-to] button`)
	ana.until(`document.querySelector("[data-private-to-said]").textContent === "This is your own key."`)
	ana.do(chromedpSet(`[data-private-to] [name=to]`, strings.Repeat(cemKey+",", 2)))
	ana.write(`[data-private-to] [name=subject]`, "The well")
	ana.shot("private-choose")
	ana.click(`[data-private-to] button`)
	ana.write(`[data-private-compose] textarea`, "shall we dig?")
	ana.click(`[data-private-compose] button`)
	ana.until(`document.querySelector("[data-private-messages] .delivery").textContent.includes("saved")`)
	for _, p := range []*tab{ben, cem} {
		p.until(`document.querySelector("[data-conversations] .name")?.textContent === "The well"`)
	}
	ben.click(`[data-conversations] a`)
	ben.until(`/2 other people:/.test(document.querySelector("[data-private-who]").textContent)`)
	ana.until(`[...document.querySelectorAll("[data-private-messages] .delivery")].map(d => d.textContent).sort().join() === "opened by Ben,sealed and saved on the machine for Cem"`)
	ben.until(fmt.Sprintf(`Date.now() >= %d`, 1000*(time.Now().Unix()+1))) // notes of one second stand in the order of their ids
	ben.write(`[data-private-compose] textarea`, "on Sunday")
	ben.click(`[data-private-compose] button`)
	for _, p := range []*tab{ana, cem} {
		p.until(`document.body.innerText.includes("on Sunday")`)
	}
	cem.click(`[data-conversations] a`)
	ana.until(`document.querySelector("[data-private-messages] .delivery").textContent === "opened by Ben, Cem" || document.querySelector("[data-private-messages] .delivery").textContent === "opened by Cem, Ben"`)
	ana.click(`[data-private-who] summary`)
	ana.shot("private-group")
	if got := eval[string](ana, `document.querySelector("[data-private-who]").textContent`); !strings.Contains(got, benKey) || !strings.Contains(got, cemKey) {
		t.Errorf("the conversation shows %q", got)
	}
	// The school is written to by its name, beside Ben, and answers with a plain form.
	ana.ready(n.lan + "/private")
	ana.write(`[data-private-to] [name=to]`, "school, "+benKey)
	ana.click(`[data-private-to] button`)
	ana.write(`[data-private-compose] textarea`, "may we use the yard?")
	ana.click(`[data-private-compose] button`)
	ana.until(`document.body.innerText.includes("saved on the machine") || document.body.innerText.includes("opened by school")`)
	p := open(t).tab()
	p.to(n.link("http://127"))
	p.click(`form[data-pair] button`)
	p.until(`location.pathname == "/admin"`)
	p.to(n.here + "/private/machine")
	p.click(`.topics a`)
	p.write(`form.compose textarea`, "gladly")
	p.click(`form.compose button`)
	p.shows("gladly")
	p.shot("private-machine-thread")
	for _, q := range []*tab{ana, ben} {
		q.until(`document.title.startsWith("(") || document.body.innerText.includes("gladly")`)
	}
	ana.shots("private-group")
	p.to(n.here + "/private/machine")
	p.shots("private-machine")

	for _, p := range []*tab{ana, ben, cem} {
		if p == ana {
			p.ready(n.lan + "/private#to=" + benKey + "," + cemKey)
		}
		if rows := eval[int](p, `document.querySelectorAll("[data-private-messages] li").length`); rows != 2 {
			t.Errorf("somebody sees %d messages, want 2", rows)
		}
		p.clean("a group")
	}
}

// shots keeps pictures on a desk and in the dark, too.
func (p *tab) shots(name string) {
	p.t.Helper()
	p.do(chromedp.EmulateViewport(desktopWidth, desktopHeight))
	p.shot(name + "-desktop")
	p.media("prefers-color-scheme=dark")
	p.size(phoneWidth, phoneHeight, 1)
	p.shot(name + "-dark")
	p.media()
}

// A key moves to another browser as an nsec, over https; it stays the same
// author, and what is no key takes the place of none.
func TestAKeyMovesOverHTTPS(t *testing.T) {
	n := start(t, "school")
	const npub = `document.querySelector("[data-private-npub]").textContent`
	own := func(p *tab, name string) string {
		p.ready(n.secure() + "/private")
		p.write(`[data-private-make] input`, name)
		p.click(`[data-private-make] button`)
		p.until(npub + `.startsWith("npub1")`)
		p.click(`[data-private-key] summary`)
		return eval[string](p, npub)
	}
	old := open(t).tab()
	author := own(old, "Olena")
	old.click(`[data-private-show]`)
	nsec := eval[string](old, `document.querySelector("[data-private-nsec]").textContent`)
	if !strings.HasPrefix(nsec, "nsec1") {
		t.Fatalf("the key reads %q", nsec)
	}
	old.click(`[data-private-show]`)
	if left := eval[string](old, `document.querySelector("[data-private-nsec]").textContent`); left != "" {
		t.Error("the key is not hidden again")
	}

	p := open(t).tab()
	p.before(`window.confirm = () => true`)
	before := own(p, "somebody")
	if before == author {
		t.Fatal("two browsers made one key")
	}
	p.write(`[data-private-import] input`, nsec[1:])
	p.click(`[data-private-import] button`)
	p.until(`document.querySelector("[data-private-key-said]").textContent`)
	if got := eval[string](p, npub); got != before {
		t.Errorf("what is no key made %s of %s", got, before)
	}
	p.write(`[data-private-import] input`, nsec)
	p.click(`[data-private-import] button`)
	p.until(fmt.Sprintf(npub+" === %q", author))
	p.clean("a key that moves")
}

// The machine's own key and a visitor's write to each other, with a file and
// receipts both ways: what the browser seals is what the node does.
func TestTheMachineAndABrowserWriteToEachOther(t *testing.T) {
	n := start(t, "school")
	p := open(t).tab()
	npub := p.own(n, "Olena")
	p.until(`localStorage.getItem("drey.announced")`)
	n.run("dm", npub, "are you home?")
	p.until(`document.querySelector("[data-conversations] .last")?.textContent.includes("are you home?")`)
	if inbox := n.run("inbox"); strings.Contains(inbox, "acknowledged") {
		t.Errorf("acknowledged before it was opened: %s", inbox)
	}
	p.click(`[data-conversations] a`)
	p.until(`document.querySelector("[data-private-with]").textContent === "school"`)
	n.run("dm", npub, "and this?", "--wait", "acknowledged", "--timeout", "60s")
	p.write(`[data-private-compose] textarea`, "yes, come in")
	p.click(`[data-private-compose] button`)
	p.until(`/saved|opened/.test(document.querySelector("[data-private-messages] .delivery")?.textContent)`) // the machine is quick
	awaits(t, "the answer is in the inbox", func() bool { return strings.Contains(n.run("inbox"), "yes, come in") })
	p.until(`document.querySelector("[data-private-messages] .delivery")?.textContent === "opened by school"`)

	file := filepath.Join(t.TempDir(), "map.bin")
	if err := os.WriteFile(file, bytes.Repeat([]byte("the way to the well "), 3000), 0o600); err != nil {
		t.Fatal(err)
	}
	n.run("dm", npub, "--file", file)
	p.until(`[...document.querySelectorAll("[data-private-messages] button")].some(b => b.textContent.includes("60000"))`)
	if got := eval[int](p, `document.querySelectorAll("[data-private-messages] li").length`); got != 4 {
		t.Errorf("%d lines in the conversation, want 4: the file is one", got)
	}
	p.shot("private-file")
	p.clean("machine and browser")
}

// A view that refreshes itself changes what differs and nothing else.
func TestARefreshedViewKeepsItsPlace(t *testing.T) {
	n := start(t, "school")
	p := open(t).tab()
	p.ready(n.lan + "/health")
	got := eval[string](p, `(async () => {
		const { morph } = await import(document.querySelector("script[type=module]").src.replace("app.js", "refresh.js"));
		const now = document.createElement("div");
		now.innerHTML = '<p>one</p><details id=d><summary>more</summary><input id=i value=a></details><ul><li data-id=1>first</li><li data-id=2>second</li></ul><section data-keep>mine</section>';
		document.body.append(now);
		now.querySelector("details").open = true;
		const input = now.querySelector("input"), second = now.querySelector("[data-id='2']");
		input.focus();
		input.value = "typed";
		input.setSelectionRange(2, 3);
		const then = document.createElement("div");
		then.innerHTML = '<p class=x>two</p><details id=d><summary>less</summary><input id=i value=b></details><ul><li data-id=0>new</li><li data-id=2>second, changed</li></ul><section data-keep>theirs</section>';
		morph(now, then);
		return JSON.stringify([now.querySelector("p").outerHTML, now.querySelector("details").open, document.activeElement === input, input.value, input.selectionStart,
			now.querySelector("summary").textContent, second.isConnected, now.querySelector("ul").textContent, now.querySelector("section").textContent]);
	})()`)
	want := `["<p class=\"x\">two</p>",true,true,"typed",2,"less",true,"newsecond, changed","mine"]`
	if got != want {
		t.Errorf("morph made\n%s, want\n%s", got, want)
	}
	// And the whole of it, on every view that asks for it.
	for _, view := range []string{"/health", "/people", "/radio", "/map", "/relays"} {
		p.ready(n.lan + view)
		ok := eval[bool](p, `import(document.querySelector("script[type=module]").src.replace("app.js", "refresh.js")).then(m => m.refresh([...document.querySelectorAll("[data-refresh][id]")].map(e => e.id)))`)
		if !ok || eval[int](p, `document.querySelectorAll("[data-refresh][id]").length`) == 0 {
			t.Errorf("%s does not refresh", view)
		}
		p.clean(view)
	}
}
