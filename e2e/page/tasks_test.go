//go:build e2e

package page

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
	"rsc.io/qr"
)

// The numbers are those of the newcomer's list: what somebody who has never
// seen drey does, and how long it may take.

// Task 2: a phone joins by the QR on the wall and writes its first message.
func TestTask2PhoneJoinsByQR(t *testing.T) {
	n := start(t, "school")
	n.run("pub", "commons", "welcome, neighbours")
	poster := filepath.Join(t.TempDir(), "phone.png")
	n.run("invite", "--phone", "--png", poster)
	p := open(t).tab()
	within(t, "2 phone joins by QR", 20*time.Second, func(context.Context) {
		p.to(strings.ToLower(readQR(t, poster)))
		p.shows("commons")
		p.shot("task2-home")
		p.click(`a[data-topic-row="commons"]`)
		p.shows("welcome, neighbours")
		p.write(`form[data-compose] textarea`, "hello from a phone")
		p.click(`form[data-compose] button.send`)
		p.until(`[...document.querySelectorAll("li.message .text")].some(m => m.textContent.includes("hello from a phone"))`)
	})
	p.shot("task2-posted")
	if said := n.said("commons"); !slices.Contains(said, "hello from a phone") {
		t.Errorf("the node holds %q", said)
	}
	p.clean("joining")
}

// readQR reads the code of a picture, as a phone's camera does.
func readQR(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	bits, err := gozxing.NewBinaryBitmapFromImage(img)
	if err != nil {
		t.Fatal(err)
	}
	code, err := qrcode.NewQRCodeReader().Decode(bits, nil)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return code.GetText()
}

// Task 3: a QR that another phone shows is read by the page over plain http,
// from a photograph.
func TestTask3QRIsReadOverHTTP(t *testing.T) {
	n, other := start(t, "school"), start(t, "mill")
	photo := filepath.Join(t.TempDir(), "photo.png")
	other.run("invite", "--png", filepath.Join(t.TempDir(), "plain.png"))
	link := strings.TrimSpace(other.run("invite"))
	photograph(t, link, photo)
	p := open(t).tab()
	p.to(n.lan + "/qr/scan")
	p.until(scripted)
	within(t, "3 a QR is read by the page over http", 15*time.Second, func(context.Context) {
		p.do(upload(`input[type=file]`, photo))
		// With the script the photo is read by itself; without it one presses.
		if p.waits(8*time.Second, `document.querySelector("#seen")`) != nil {
			p.click(`form[data-scan] button:not([type=button])`)
		}
		p.until(`document.querySelector("#seen")`)
	})
	p.shot("task3-scanned")
	p.clean("scanning")
}

// photograph draws a QR as a phone's camera sees it: small, off centre, on a
// grey table.
func photograph(t *testing.T, text, file string) {
	t.Helper()
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		t.Fatal(err)
	}
	picture := image.NewGray(image.Rect(0, 0, 1200, 1600))
	for i := range picture.Pix {
		picture.Pix[i] = uint8(120 + (i*7919)%17) // a table, with the noise of a camera
	}
	drawQR(picture, code, 260, 480, 12)
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := png.Encode(f, picture); err != nil {
		t.Fatal(err)
	}
}

// drawQR draws a code with its border at a place, cells of so many pixels.
func drawQR(on *image.Gray, code *qr.Code, left, top, cell int) {
	const border = 4
	for y := -border; y < code.Size+border; y++ {
		for x := -border; x < code.Size+border; x++ {
			shade := color.Gray{Y: 245}
			if code.Black(x, y) {
				shade.Y = 20
			}
			for dy := range cell {
				for dx := range cell {
					on.SetGray(left+(x+border)*cell+dx, top+(y+border)*cell+dy, shade)
				}
			}
		}
	}
}

// Task 4: the link to the rest of the world is cut; people at the machine read
// and write on, and nothing is lost when it comes back.
func TestTask4TheUplinkIsGone(t *testing.T) {
	uplink := start(t, "uplink")
	school := start(t, "school")
	school.run("join", "--yes", strings.TrimSpace(uplink.run("invite")))
	uplink.run("pub", "commons", "before the cut")
	p := open(t).tab()
	p.to(school.lan + "/t/commons")
	p.shows("before the cut")
	uplink.down()

	texts := []string{"one", "two", "three", "four", "five"}
	within(t, "4 without the uplink: five messages", 30*time.Second, func(context.Context) {
		for _, text := range texts {
			p.write(`form[data-compose] textarea`, "offline "+text)
			p.click(`form[data-compose] button.send`)
			p.until(fmt.Sprintf(`[...document.querySelectorAll("li.message .text")].some(m => m.textContent.includes(%q))`, "offline "+text))
		}
	})
	p.shot("task4-offline")
	uplink.up(":" + uplink.port)
	uplink.run("sub", "commons", "--since", "1h", "--timeout", "1m", "--count", fmt.Sprint(len(texts)+1))
	for _, text := range texts {
		if said := uplink.said("commons"); !slices.Contains(said, "offline "+text) {
			t.Errorf("%q is lost: the other machine holds %q", text, said)
		}
	}
}

// Task 6: somebody says whether a message was heard, within ten seconds of
// looking.
func TestTask6WasItHeard(t *testing.T) {
	n := start(t, "school", "--radio", "sim")
	awaits(t, "the radio is ready", func() bool { return strings.Contains(n.run("radio", "status"), "ready") })
	n.run("pub", "commons", "can anybody hear me", "--wait", "air", "--timeout", "30s")
	p := open(t).tab()
	within(t, "6 was it heard", 10*time.Second, func(context.Context) {
		p.to(n.lan + "/t/commons")
		p.until(`/on air/.test(document.querySelector("li.message [data-delivery]")?.textContent)`)
		p.click(`li.message a.time`)
		p.until(`document.querySelectorAll(".history li").length >= 2`)
	})
	p.shot("task6-delivery")
}

// Task 8: an operator finds out why no other machine is in contact.
func TestTask8WhyNoPeers(t *testing.T) {
	hall, n := start(t, "hall"), start(t, "school")
	n.run("join", "--yes", strings.TrimSpace(hall.run("invite")))
	hall.down() // its machine is on, and refuses
	p := open(t).tab()
	p.to(n.link("https://"))
	p.click(`form[data-pair] button`)
	p.shows("Paired browsers")
	within(t, "8 why are there no peers", time.Minute, func(ctx context.Context) {
		p.click(`.bar details.more summary`)
		p.shot("task8-more")
		p.click(`.sheet a[href="/health"]`)
		for p.waits(2*time.Second, `/refuse/.test(document.querySelector("main")?.innerText)`) != nil && ctx.Err() == nil {
			p.click(`.foot a`) // a link that is down is told after a while
		}
		p.shot("task8-health")
		p.click(`a[href^="/help/peers"]`)
		p.shows("refuse the port")
	})
	p.shot("task8-help")
	p.clean("health")
}

// Task 9: an operator adds a relay and pauses it.
func TestTask9AddAndPauseARelay(t *testing.T) {
	n, relay := start(t, "school"), start(t, "relay")
	address := "ws" + strings.TrimPrefix(relay.lan, "http")
	p := open(t).tab()
	p.to(n.link("https://"))
	p.click(`form[data-pair] button`)
	p.shows("Paired browsers")
	within(t, "9 add and pause a relay", 3*time.Minute, func(context.Context) {
		p.to(n.secure() + "/relays")
		p.write(`form[action="/relays/change"] input[name=url]:not([type=hidden])`, address)
		p.click(`form[action="/relays/change"] button[value=add]`)
		p.until(fmt.Sprintf(`[...document.querySelectorAll("li[data-id]")].some(li => li.textContent.includes(%q))`, strings.TrimPrefix(address, "ws://")))
		p.shot("task9-added")
		p.click(`li[data-id] button[value=pause]`)
		p.until(`document.querySelector("li[data-id] button[value=resume]")`)
	})
	p.shot("task9-paused")
	p.clean("relays")
}

// Task 12: keyboard only, in Arabic, dark, at 200 %: somebody writes.
func TestTask12KeyboardArabicDarkZoomed(t *testing.T) {
	n := start(t, "school")
	n.run("pub", "commons", "مرحبا")
	p := open(t, "lang=ar", "accept-lang=ar").tab("prefers-color-scheme=dark")
	p.size(phoneWidth, phoneHeight, 2)
	within(t, "12 keyboard, Arabic, dark, 200 %", time.Minute, func(context.Context) {
		p.to(n.lan + "/?lang=ar")
		if dir := eval[string](p, `document.documentElement.dir`); dir != "rtl" {
			t.Errorf("the page runs %s", dir)
		}
		p.tabTo(`a[data-topic-row="commons"]`)
		p.shot("task12-home")
		p.enter()
		p.until(`location.pathname == "/t/commons"`)
		p.tabTo(`form[data-compose] textarea`)
		p.keys("س", "ل", "ا", "م")
		p.tabTo(`form[data-compose] button.send`)
		p.shot("task12-compose")
		p.enter()
		p.until(`[...document.querySelectorAll("li.message .text")].some(m => m.textContent.includes("سلام"))`)
	})
	p.shot("task12-posted")
	if wide := eval[int](p, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); wide > 0 {
		t.Errorf("the page is %d px wider than the window", wide)
	}
	p.clean("keyboard")
}

// tabTo presses the tab key until something has the focus, and checks that it
// shows.
func (p *tab) tabTo(selector string) {
	p.t.Helper()
	for range 60 {
		if eval[bool](p, fmt.Sprintf(`document.activeElement.matches(%q)`, selector)) {
			if !eval[bool](p, `(() => { const s = getComputedStyle(document.activeElement); return s.outlineStyle !== "none" && parseFloat(s.outlineWidth) > 0 })()`) {
				p.t.Errorf("nothing shows that %s has the focus", selector)
			}
			return
		}
		p.keys(kb.Tab)
	}
	p.fail(fmt.Errorf("60 times the tab key do not lead to %s", selector))
}

// TestNostrToolsReadsWhatThePagePosted has an implementation that shares no
// code with ours judge what the page wrote: signed by the node for a guest,
// and by the visitor's own key.
func TestNostrToolsReadsWhatThePagePosted(t *testing.T) {
	n := start(t, "school")
	p := open(t).tab()
	p.to(n.lan + "/t/commons")
	p.do(chromedpSet(`form[data-compose] textarea`, "signed by the machine \u2028 \"quoted\" <b>"))
	p.click(`form[data-compose] button.send`)
	p.until(`document.querySelectorAll("li.message").length == 1`)
	out := n.run("sub", "commons", "--since", "1h", "--count", "1", "--timeout", "20s", "--json")
	cmd := exec.CommandContext(t.Context(), "node", "verify.mjs")
	cmd.Stdin = strings.NewReader(out)
	verdict, err := cmd.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(verdict), "ok ") {
		t.Errorf("nostr-tools says %s, %v of %s", verdict, err, out)
	}
	var e struct{ Content string }
	if err := json.Unmarshal([]byte(out), &e); err != nil || e.Content != "signed by the machine \u2028 \"quoted\" <b>" {
		t.Errorf("the text became %q", e.Content)
	}
}
