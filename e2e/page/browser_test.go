//go:build e2e

package page

import (
	"context"
	"errors"
	"fmt"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// patience bounds every single step in the browser.
const patience = 2 * time.Minute

// A browser is one chromium with a profile of its own: one phone.
type browser struct {
	t   *testing.T
	ctx context.Context
}

// open starts a browser; more are further flags, "name" or "name=value".
func open(t *testing.T, more ...string) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.Flag("disable-gpu", true), chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("hide-scrollbars", true),
		chromedp.Flag("ignore-certificate-errors", true), // as a person who went on
		chromedp.WSURLReadTimeout(2*patience), chromedp.CombinedOutput(io.Discard))
	for _, f := range more {
		name, value, ok := strings.Cut(f, "=")
		if !ok {
			options = append(options, chromedp.Flag(name, true))
			continue
		}
		options = append(options, chromedp.Flag(name, value))
	}
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(ctx, chromedp.WithErrorf(func(string, ...any) {}))
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("chromium does not start: %v", err)
	}
	return &browser{t, ctx}
}

// A tab is one page of a browser at the size of a phone.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu     sync.Mutex
	faults []string // what the console complained of
}

// The sizes at which pictures are taken.
const (
	phoneWidth, phoneHeight     = 390, 844
	desktopWidth, desktopHeight = 1280, 800
)

// tab opens a page of the size of a phone.
func (b *browser) tab(features ...string) *tab {
	b.t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx)
	b.t.Cleanup(cancel)
	p := &tab{t: b.t, ctx: ctx}
	p.do(chromedp.Steps())
	if err := chromedp.Listen(ctx, p.hear); err != nil {
		b.t.Fatal(err)
	}
	p.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		if _, err := cdp.Call(ctx, t, log.Enable, cdp.Empty{}); err != nil {
			return err
		}
		_, err := cdp.Call(ctx, t, runtime.Enable, cdp.Empty{})
		return err
	}))
	p.size(phoneWidth, phoneHeight, 1)
	p.media(features...)
	return p
}

// hear notes what a page complains of in the console: blocked scripts,
// exceptions.
func (p *tab) hear(ev any) {
	said := ""
	switch e := ev.(type) {
	case *runtime.EventExceptionThrown:
		said = e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			said += " " + e.ExceptionDetails.Exception.Description
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError && !strings.Contains(e.Entry.Text, "net::ERR_") && !strings.Contains(e.Entry.Text, "the server responded with a status of") {
			said = e.Entry.Text
		}
	}
	if said != "" {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.faults = append(p.faults, said)
	}
}

// complaints returns what the console has said since the last call.
func (p *tab) complaints() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	said := p.faults
	p.faults = nil
	return said
}

// clean fails the test where a script failed or was blocked.
func (p *tab) clean(where string) {
	p.t.Helper()
	for _, c := range p.complaints() {
		p.t.Errorf("%s: the console says: %s", where, c)
	}
}

func (p *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	err := p.try(steps...)
	// Between finding an element and using it the page may have drawn it anew:
	// then nothing was done to either.
	for again := 0; again < 10 && err != nil && strings.Contains(err.Error(), "Could not find node with given id"); again++ {
		err = p.try(steps...)
	}
	if err != nil {
		p.fail(err)
	}
}

func (p *tab) try(steps ...chromedp.Action[chromedp.Void]) error {
	if chromedp.FromContext(p.ctx).Target == nil {
		return chromedp.Do(p.ctx, steps...) // the first call makes the tab; it has no limit
	}
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	return chromedp.Do(ctx, steps...)
}

// fail ends the test with a picture of what is on the screen.
func (p *tab) fail(err error) {
	p.t.Helper()
	where, _ := chromedp.Run(p.ctx, chromedp.Location())
	p.shot("failed-" + strings.ReplaceAll(p.t.Name(), "/", "-"))
	text, _ := chromedp.Run(p.ctx, chromedp.Evaluate[string](`document.body ? document.body.innerText.slice(0, 1500) : ''`))
	p.t.Fatalf("at %s: %v\nthe page says:\n%s\nthe console says: %q", where, err, text, p.complaints())
}

// size sets the window in CSS pixels; zoom 2 is what 200 % makes of it.
func (p *tab) size(width, height int64, zoom float64) {
	p.t.Helper()
	p.do(chromedp.EmulateViewport(int64(float64(width)/zoom), int64(float64(height)/zoom), chromedp.EmulateScale(zoom), chromedp.EmulateMobile))
}

// media sets what the person prefers: "prefers-color-scheme=dark".
func (p *tab) media(features ...string) {
	p.t.Helper()
	var list []*emulation.MediaFeature
	for _, f := range features {
		name, value, _ := strings.Cut(f, "=")
		list = append(list, &emulation.MediaFeature{Name: name, Value: value})
	}
	p.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: list})
		return err
	}))
}

// network slows the tab down, or cuts it off; zero values are as fast as can be.
func (p *tab) network(latency time.Duration, bytesPerSecond float64, offline bool) {
	p.t.Helper()
	if bytesPerSecond == 0 {
		bytesPerSecond = -1
	}
	c := &network.Conditions{Latency: float64(latency.Milliseconds()), DownloadThroughput: bytesPerSecond, UploadThroughput: bytesPerSecond, Offline: offline}
	p.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		if _, err := cdp.Call(ctx, t, network.Enable, network.EnableParams{}); err != nil {
			return err
		}
		if _, err := cdp.Call(ctx, t, network.OverrideNetworkState, network.OverrideNetworkStateParams{
			Offline: offline, Latency: c.Latency, DownloadThroughput: bytesPerSecond, UploadThroughput: bytesPerSecond}); err != nil {
			return err
		}
		_, err := cdp.Call(ctx, t, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{MatchedNetworkConditions: []*network.Conditions{c}})
		return err
	}))
}

func (p *tab) to(address string) {
	p.t.Helper()
	p.do(chromedp.Navigate(address))
}

// aim brings an element to the middle of the window, where no bar covers it, and
// tells where it is once it has stood still for a moment with nothing in front.
// Should something else be there when the press comes, that is not pressed.
const aim = `(async () => {
	const e = document.querySelector(%q);
	if (!e) return [];
	e.scrollIntoView({block: "center", behavior: "instant"});
	const place = () => { const b = e.getClientRects()[0]; return b ? [b.x + b.width / 2, b.y + b.height / 2] : [] };
	const was = place();
	await new Promise(done => setTimeout(done, 30));
	const is = place();
	if (!is.length || is.join() !== was.join() || !e.contains(document.elementFromPoint(...is))) return [];
	window.endPress?.();
	window.pressMissed = false;
	const presses = ["pointerdown", "mousedown", "pointerup", "mouseup", "click"];
	const guard = ev => {
		if (!e.contains(ev.target)) {
			window.pressMissed = true;
			ev.preventDefault();
			ev.stopImmediatePropagation();
		}
		if (ev.type === "click") window.endPress();
	};
	presses.forEach(p => window.addEventListener(p, guard, true));
	window.endPress = () => presses.forEach(p => window.removeEventListener(p, guard, true));
	return is;
})()`

// click follows a link or presses a button as a finger does.
func (p *tab) click(selector string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	for {
		at, err := chromedp.Run(ctx, chromedp.Evaluate[[]float64](fmt.Sprintf(aim, selector), chromedp.EvalAwaitPromise))
		if ctx.Err() != nil {
			p.fail(fmt.Errorf("%s does not stand still in sight: %w", selector, ctx.Err()))
		}
		if err != nil || len(at) != 2 {
			continue // the page was left, or draws
		}
		p.do(chromedp.MouseClickXY(at[0], at[1]))
		missed, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`window.pressMissed === true`))
		if err != nil || !missed {
			return // or the press led away
		}
	}
}

// write types into a field.
func (p *tab) write(selector, text string) {
	p.t.Helper()
	p.do(chromedp.WaitVisible(chromedp.CSS(selector)), chromedp.SendKeys(chromedp.CSS(selector), text))
}

// keys presses keys wherever the focus is.
func (p *tab) keys(keys ...string) {
	p.t.Helper()
	for _, k := range keys {
		p.do(chromedp.KeyEvent(k))
	}
}

// until waits for an expression to become true.
func (p *tab) until(expression string) {
	p.t.Helper()
	if err := p.waits(patience, expression); err != nil {
		p.fail(fmt.Errorf("waiting for %s: %w", expression, err))
	}
}

func (p *tab) waits(limit time.Duration, expression string) error {
	ctx, cancel := context.WithTimeout(p.ctx, limit)
	defer cancel()
	for {
		_, err := chromedp.Run(ctx, chromedp.Poll[bool]("!!("+expression+")", chromedp.WithPollingInterval(20*time.Millisecond), chromedp.WithPollingTimeout(limit)))
		if err == nil || ctx.Err() != nil || errors.Is(err, chromedp.ErrPollingTimeout) {
			return err
		}
		// The page was left while it was asked: ask the next one.
	}
}

// shows waits for a text to be on the page.
func (p *tab) shows(text string) {
	p.t.Helper()
	p.until(fmt.Sprintf("document.body && document.body.innerText.includes(%q)", text))
}

// eval evaluates an expression, promises included.
func eval[T any](p *tab, expression string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.fail(fmt.Errorf("%s: %w", expression, err))
	}
	return v
}

// enter presses the key.
func (p *tab) enter() {
	p.t.Helper()
	p.keys(kb.Enter)
}

// artifacts is where pictures go.
var artifacts = sync.OnceValue(func() string {
	dir := os.Getenv("ARTIFACTS")
	if dir == "" {
		dir = filepath.Join(os.TempDir(), "drey-page-pictures")
	}
	os.MkdirAll(dir, 0o755)
	return dir
})

// shot keeps a picture of what the window shows.
func (p *tab) shot(name string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	b, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Logf("no picture %s: %v", name, err)
		return
	}
	file := filepath.Join(artifacts(), name+".png")
	if err := os.WriteFile(file, b, 0o644); err != nil {
		p.t.Error(err)
		return
	}
	if _, err := png.DecodeConfig(strings.NewReader(string(b))); err != nil {
		p.t.Errorf("%s is no picture: %v", file, err)
	}
}

// chromedpSet puts a value into a field in place of what is there.
func chromedpSet(selector, value string) chromedp.Action[chromedp.Void] {
	return chromedp.SetValue(chromedp.CSS(selector), value)
}

// upload chooses a file for a field.
func upload(selector, file string) chromedp.Action[chromedp.Void] {
	return chromedp.SetUploadFiles(chromedp.CSS(selector), []string{file}, chromedp.NodeReady)
}
