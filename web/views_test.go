package web_test

import (
	"errors"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"drey/web"
	"drey/web/webtest"
)

func TestRadioView(t *testing.T) {
	_, member, _, _ := townServer(t, func(town *webtest.Town) {
		town.Radio.Airtime.Paused, town.Radio.Airtime.PausedMS = "airtime (legal limit)", 600_000
	})
	doc := mainOf(t, member.seen("/radio"))
	text := words(doc)
	for _, want := range []string{
		"Channel in use 18 %", "Sent in the last hour 31 s", "Waiting 3", "Nothing is sent now:",
		"The law of the region allows 10 % of each hour.", "Messages 3 in 4 min", "Emergency 0 at once", "LongFast public key alerts", "Ridge",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the radio's page lacks %q: %s", want, text)
		}
	}
	charts := find(doc, "svg", "class", "air")
	if len(charts) != 1 || len(find(charts[0], "path", "class", "legal")) != 1 || len(find(charts[0], "path", "class", "stop")) != 1 || len(find(charts[0], "title", "", "")) != 1 {
		t.Fatalf("%d charts, or lines are missing", len(charts))
	}
	if rows := find(find(doc, "table", "", "")[0], "tr", "", ""); len(rows) != 2 || words(rows[1]) != "now 12 % 36 s 24 +4.5 dB" {
		t.Errorf("the table of the day has %d rows, the last %q", len(rows), words(rows[len(rows)-1]))
	}
}

// TestRadioStates tells of a radio that is not there, or cannot send.
func TestRadioStates(t *testing.T) {
	for _, c := range []struct {
		state, device string
		want          string
		chart         bool
	}{
		{"none", "none", "This machine has no radio", false},
		{"unplugged", "auto", "This machine has no radio", false},
		{"unplugged", "/dev/ttyUSB0", "The radio does not answer", true},
		{"connecting", "auto", "The radio is starting.", true},
		{"ready", "auto", "Channel in use", true},
	} {
		guest, member, _, _ := townServer(t, func(town *webtest.Town) {
			town.Radio.State, town.Radio.Device = c.state, c.device
		})
		for _, d := range []*door{guest, member} {
			doc := mainOf(t, d.seen("/radio"))
			if text := words(doc); !strings.Contains(text, c.want) || (len(find(doc, "svg", "class", "air")) == 1) != c.chart {
				t.Errorf("%s on %s: %q, want %q, chart %v", c.state, c.device, text, c.want, c.chart)
			}
		}
	}
}

// TestMapView compares the drawing with the list beside it.
func TestMapView(t *testing.T) {
	_, member, _, _ := townServer(t, nil)
	doc := mainOf(t, member.seen("/map"))
	pictures := find(doc, "svg", "class", "links")
	if len(pictures) != 1 {
		t.Fatalf("%d drawings", len(pictures))
	}
	want := map[string][]string{
		"direct": {"Mill"}, "routed": {"School"}, "radio": {"Ridge", "!0000cafe"}, "relay": {"relay.example"}, "transit": {"203.0.113.9"}, "away": {"Bakery"},
	}
	for kind, names := range want {
		var drawn []string
		for _, g := range find(pictures[0], "g", "class", kind) {
			drawn = append(drawn, words(find(g, "text", "class", "name")[0]))
		}
		if !slices.Equal(drawn, names) {
			t.Errorf("drawn as %s: %q, want %q", kind, drawn, names)
		}
	}
	list := ""
	for _, ul := range find(doc, "ul", "class", "rows") {
		list += words(ul) + "\n"
	}
	for _, names := range want {
		for _, n := range names {
			if !strings.Contains(list, n) {
				t.Errorf("%q is drawn and not in the list %q", n, list)
			}
		}
	}
	for _, want := range []string{"Mill 12 ms · same network", "Ridge +6.2 dB · 2 hops", "!0000cafe -4.0 dB · not heard lately", "Bakery not linked now"} {
		if !strings.Contains(list, want) {
			t.Errorf("the list lacks %q: %s", want, list)
		}
	}
}

// TestMapAlone draws a node that nobody is linked to.
func TestMapAlone(t *testing.T) {
	s, _ := newServer(t, nil)
	doc := mainOf(t, open(t, s, -1, lan).seen("/map"))
	if text := words(doc); !strings.Contains(text, "Nobody is linked now.") || len(find(doc, "svg", "class", "links")) != 1 {
		t.Errorf("alone: %s", text)
	}
}

// TestHealthView has the root cause first, commands to copy, and every code
// lead to what it means.
func TestHealthView(t *testing.T) {
	guest, member, _, _ := townServer(t, nil)
	doc := mainOf(t, member.seen("/health"))
	first := find(doc, "section", "aria-labelledby", "cause")
	if len(first) != 1 || !strings.HasPrefix(words(first[0]), "Begin here 40 MB are left on the disk of /home/drey") {
		t.Fatalf("the first problem is not the first: %s", words(doc))
	}
	var commands []string
	for _, x := range find(doc, "code", "class", "copy") {
		commands = append(commands, words(x))
	}
	if want := []string{"drey doctor", "sudo timedatectl set-ntp true", "drey doctor"}; !slices.Equal(commands, want) {
		t.Errorf("commands to copy %q, want %q", commands, want)
	}
	explained := 0
	for _, x := range find(doc, "a", "href", "*") {
		if href := attrOf(x, "href"); strings.HasPrefix(href, "/help/") {
			explained++
			if text := words(mainOf(t, member.seen(href))); !strings.Contains(text, "The ") {
				t.Errorf("%s explains %q", href, text)
			}
		}
	}
	if explained != 2 {
		t.Errorf("%d problems are explained, want 2", explained)
	}
	if a := guest.do("GET", "/help/no-such-code", "", "Accept: text/html"); a.status != http.StatusNotFound {
		t.Errorf("an unknown code: %d", a.status)
	}
	if text := words(mainOf(t, guest.seen("/health"))); !strings.Contains(text, "Something needs a look.") {
		t.Errorf("a visitor reads %q", text)
	}
	_, member, _, _ = townServer(t, func(town *webtest.Town) { town.Checks = []web.Check{{Name: "disk", OK: true}} })
	if text := words(mainOf(t, member.seen("/health"))); !strings.Contains(text, "All is well.") || !strings.Contains(text, "1 check is fine") {
		t.Errorf("where all is well: %q", text)
	}
}

func TestCommandsIn(t *testing.T) {
	for fix, want := range map[string][]string{
		"run `drey radio setup --region REGION`, or the app": {"drey radio setup --region REGION"},
		"`drey invite` here, `drey join` there, `drey join`": {"drey invite", "drey join"},
		"set it: `sudo date -u -s 'YYYY'`":                   {"sudo date -u -s 'YYYY'"},
		"`chmod 700 \u2068/home/x\u2069`":                    {"chmod 700 /home/x"},
		"lower `store.max_bytes`, or `reached at`":           nil,
		"connect a network":                                  nil,
		"":                                                   nil,
	} {
		if got := web.CommandsIn(fix); !slices.Equal(got, want) {
			t.Errorf("%q names %q, want %q", fix, got, want)
		}
	}
}

// TestRelaysView adds, pauses, tries and removes relays.
func TestRelaysView(t *testing.T) {
	guest, member, admin, n := townServer(t, func(town *webtest.Town) {
		town.Relays = append(town.Relays, web.RelayStatus{URL: "wss://slow.example", Error: "no answer"}, web.RelayStatus{URL: "wss://tired.example", Paused: true})
	})
	if text := words(mainOf(t, guest.seen("/relays"))); strings.Contains(text, "example") {
		t.Errorf("a visitor sees which relays: %s", text)
	}
	doc := mainOf(t, member.seen("/relays"))
	rows := find(doc, "li", "data-id", "*")
	said := func(x *html.Node) string { return words(x) }
	if len(rows) != 3 || !strings.Contains(said(rows[0]), "answers · 40 ms") || !strings.Contains(said(rows[1]), "does not answer · no answer") || !strings.Contains(said(rows[2]), "paused") {
		t.Errorf("relays: %q", words(doc))
	}
	if len(find(doc, "form", "", "")) != 0 {
		t.Error("a member who is no admin can change relays")
	}
	if forms := find(mainOf(t, admin.seen("/relays")), "form", "action", "/relays/change"); len(forms) != 4 {
		t.Errorf("%d forms, want one for each relay and one to add", len(forms))
	}
	for _, op := range []string{"add", "pause", "resume", "remove"} {
		if a := admin.posted("/relays/change", url.Values{"op": {op}, "url": {"wss://new.example"}}); a.status != http.StatusSeeOther {
			t.Errorf("%s: %d", op, a.status)
		}
	}
	a := admin.posted("/relays/change", url.Values{"op": {"test"}, "url": {"wss://new.example"}})
	if text := words(mainOf(t, parsed(t, a.body))); a.status != http.StatusOK || !strings.Contains(text, "wss://new.example") {
		t.Errorf("test: %d %s", a.status, text)
	}
	for _, bad := range []url.Values{{}, {"op": {"add"}}, {"op": {"burn"}, "url": {"wss://x"}}} {
		if a := admin.posted("/relays/change", bad); a.status != http.StatusBadRequest {
			t.Errorf("%v: %d, want 400", bad, a.status)
		}
	}
	n.Fail(errors.New("broken"))
	if a := member.do("GET", "/relays", "", "Accept: text/html"); a.status != http.StatusInternalServerError {
		t.Errorf("a node that fails: %d", a.status)
	}
}

// TestViewsAPI has a client ask for what the views show.
func TestViewsAPI(t *testing.T) {
	s, n := newServer(t, nil)
	n.SetTown(webtest.Town{Invites: []web.IssuedInvite{{ID: "a b", Uses: 2}}})
	admin := web.NewTCPClient(open(t, s, os.Getuid(), socket).base, "")
	guest := web.NewTCPClient(open(t, s, -1, lan).base, "")
	defer admin.Close()
	defer guest.Close()
	if list, err := admin.Invites(t.Context()); err != nil || len(list) != 1 || list[0].Uses != 2 {
		t.Errorf("invites: %+v, %v", list, err)
	}
	if err := admin.WithdrawInvite(t.Context(), "a b"); err != nil {
		t.Error(err)
	}
	if list, err := admin.Invites(t.Context()); err != nil || !list[0].Ended {
		t.Errorf("withdrawn: %+v, %v", list, err)
	}
	if err := admin.WithdrawInvite(t.Context(), "c"); !errors.Is(err, &web.Error{Problem: web.Problem{Code: web.CodeNotFound}}) {
		t.Errorf("withdrawing what is not there: %v", err)
	}
	if day, err := admin.RadioDay(t.Context()); err != nil || len(day.Slots) != 288 || day.V != web.Version {
		t.Errorf("the radio's day: %v", err)
	}
	forbidden := &web.Error{Problem: web.Problem{Code: web.CodeForbidden}}
	_, err1 := guest.Invites(t.Context())
	_, err2 := guest.RadioDay(t.Context())
	for _, err := range []error{err1, err2, guest.WithdrawInvite(t.Context(), "a b")} {
		if !errors.Is(err, forbidden) {
			t.Errorf("a visitor gets %v", err)
		}
	}
}

// BenchmarkMapPage draws the map of a town of 200.
func BenchmarkMapPage(b *testing.B) {
	s, n := newServer(b, nil)
	town := someTown(b)
	for i := range 100 {
		town.Members = append(town.Members, web.Member{Name: "machine", NPub: "npub1x", Node: machineKey(1000 + i), Standing: "machine"})
		town.Radios = append(town.Radios, web.RadioNode{Node: "!00000001", LastHeard: time.Now().Unix(), SNR: 3})
	}
	n.SetTown(town)
	d := open(b, s, -1, socket)
	for b.Loop() {
		if a := d.do("GET", "/map", "", "Accept: text/html"); a.status != http.StatusOK {
			b.Fatal(a.status)
		}
	}
}
