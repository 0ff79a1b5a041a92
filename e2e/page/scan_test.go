//go:build e2e

package page

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rsc.io/qr"
)

// film writes a video of a QR that somebody holds in front of a camera: 4:2:0
// frames without compression (YUV4MPEG2), grey.
func film(t *testing.T, text, file string) {
	t.Helper()
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		t.Fatal(err)
	}
	const width, height, frames = 640, 480, 10
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	fmt.Fprintf(w, "YUV4MPEG2 W%d H%d F10:1 Ip A1:1 C420jpeg\n", width, height)
	colourless := bytes.Repeat([]byte{128}, width*height/2)
	for i := range frames {
		picture := image.NewGray(image.Rect(0, 0, width, height))
		for j := range picture.Pix {
			picture.Pix[j] = uint8(110 + (j*31+i*17)%23)
		}
		drawQR(picture, code, 120+3*(i%4), 40+2*(i%3), 7) // no hand is still
		fmt.Fprint(w, "FRAME\n")
		w.Write(picture.Pix)
		w.Write(colourless)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
}

// TestLiveScan holds an invite in front of the camera of an operator's phone,
// over https; the page says what joining means, joins, and the machine is of
// the other's community.
func TestLiveScan(t *testing.T) {
	hall, n := start(t, "hall"), start(t, "school")
	video := filepath.Join(t.TempDir(), "qr.y4m")
	film(t, strings.TrimSpace(hall.run("invite")), video)
	b := open(t, "use-fake-device-for-media-stream", "use-fake-ui-for-media-stream", "use-file-for-fake-video-capture="+video)
	p := b.tab()
	p.to(n.lan + "/qr/scan") // in the clear there is no camera, and the page says how to get to one
	p.until(scripted)
	if eval[bool](p, `document.querySelector("[data-scan-camera]")?.offsetParent != null`) {
		t.Error("a live camera is offered where browsers have none")
	}
	p.shot("scan-http")
	p.to(n.link("https://"))
	p.click(`form[data-pair] button`)
	p.until(`location.pathname == "/admin"`)
	p.to(n.secure() + "/qr/scan")
	within(t, "live scan of an invite", 15*time.Second, func(context.Context) {
		p.click(`[data-scan-camera]`)
		p.until(`document.querySelector("#seen")`)
	})
	p.shot("scan-seen")
	within(t, "joining what was scanned", 30*time.Second, func(context.Context) {
		p.click(`form[action="/qr/join"] button[name=confirm]`)
		awaits(t, "it is of the hall", func() bool { return strings.Contains(n.ask("status"), "hall, 2 members") })
	})
	p.shot("scan-joined")
	p.clean("scanning")
}

// TestHostileQR scans codes that lie: a link to elsewhere, a script, far too
// much; each is told in words and nothing is done.
func TestHostileQR(t *testing.T) {
	n := start(t, "school")
	p := open(t).tab()
	for name, text := range map[string]string{
		"elsewhere":              "https://evil.example/login?next=drey",
		"a script":               `javascript:alert(document.domain)`,
		"markup":                 `<img src=x onerror=alert(1)>`,
		"an invite that is none": "HTTP://192.0.2.9:3739/J/" + strings.Repeat("A", 120),
		"control characters":     "\x00\x1b[2J\u202egnp.exe",
	} {
		photo := filepath.Join(t.TempDir(), "photo.png")
		photograph(t, text, photo)
		p.to(n.lan + "/qr/scan")
		p.until(scripted)
		p.do(upload(`input[type=file]`, photo))
		p.until(`document.querySelector("#seen, .note.bad, [data-scan-said]:not(:empty)") && document.documentElement.dataset.script == "ready" && !/Looking/.test(document.querySelector("[data-scan-said]")?.textContent)`)
		if at := eval[string](p, `location.host`); at != strings.TrimPrefix(n.lan, "http://") {
			t.Errorf("%s leads to %s", name, at)
		}
		if got := eval[int](p, `document.querySelectorAll('main img[src=x], main a[href^="javascript:"], form[action="/qr/join"]').length`); got != 0 {
			t.Errorf("%s makes %d elements", name, got)
		}
	}
	p.shot("scan-hostile")
	p.clean("hostile codes")
}
