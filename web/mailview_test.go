package web_test

import (
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"drey/web"
)

// TestMailWithoutScript writes to a group from the form, reads it, and answers,
// as a browser without JavaScript does.
func TestMailWithoutScript(t *testing.T) {
	s, node := newServer(t, nil)
	d := open(t, s, os.Getuid(), socket)
	post := func(v url.Values) answer {
		t.Helper()
		return d.do("POST", "/private/machine", v.Encode(), "Content-Type: application/x-www-form-urlencoded", "Accept: text/html")
	}
	mails := func() (all []*web.MailMessage) {
		for m, err := range node.Mail(t.Context(), 0, false) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, m)
		}
		return all
	}

	form := url.Values{"to": {"Ana, away,"}, "npub": {"Ben"}, "subject": {"The <well>"}, "text": {"shall we\r\ndig?"}, "key": {"k1"}}
	a := post(form)
	at := a.header.Get("Location")
	if a.status != http.StatusSeeOther || at != "/private/machine?with=Ana,Ben,away#write" {
		t.Fatalf("a message to three: %d to %q", a.status, at)
	}
	if again := post(form); again.status != http.StatusSeeOther || again.header.Get("Location") != at || len(mails()) != 1 {
		t.Errorf("the form again: %d to %q, %d messages", again.status, again.header.Get("Location"), len(mails()))
	}
	if m := mails()[0]; m.Text != "shall we\ndig?" || m.Subject != "The <well>" || len(m.To) != 3 {
		t.Errorf("the node was given %+v", m)
	}
	page := d.do("GET", "/private/machine?with=Ana,Ben,away", "", "Accept: text/html").body
	for _, want := range []string{"The &lt;well&gt;", "3 other people:", "opened by Ben, Ana", "sealed and saved on the machine for away"} {
		if !strings.Contains(page, want) {
			t.Errorf("the conversation does not say %q", want)
		}
	}
	if a := post(url.Values{"with": {"Ana,Ben,away"}, "text": {"on Sunday"}}); a.header.Get("Location") != at || len(mails()) != 2 || len(mails()[1].To) != 3 {
		t.Errorf("an answer: %d, %d messages", a.status, len(mails()))
	}
	if list := d.do("GET", "/private/machine", "", "Accept: text/html").body; strings.Count(list, "?with=") != 1 || !strings.Contains(list, "on Sunday") {
		t.Errorf("the list has %d conversations", strings.Count(list, "?with="))
	}

	for name, v := range map[string]url.Values{
		"no text":    {"to": {"Ana"}, "text": {" "}},
		"no reader":  {"text": {"kept"}},
		"too many":   {"to": {strings.Repeat("a,b,", 3) + "c,d,e,f,g,h,i,j,k"}, "text": {"kept"}},
		"a node ill": {"to": {"Ana"}, "text": {"kept"}, "subject": {"ill"}},
	} {
		if name == "a node ill" {
			node.Fail(web.NewError(web.CodeBusy, "no room", "", "", nil))
		}
		a := post(v)
		if a.status < 400 || !strings.Contains(a.body, `role="alert"`) || !strings.Contains(a.body, v.Get("text")) {
			t.Errorf("%s: %d, and the text is lost: %t", name, a.status, !strings.Contains(a.body, v.Get("text")))
		}
		node.Fail(nil)
	}
	if a := d.do("GET", "/private/machine?with=nobody", "", "Accept: text/html"); a.status != http.StatusNotFound {
		t.Errorf("a conversation that is not: %d", a.status)
	}
	if n := len(mails()); n != 2 {
		t.Errorf("%d messages were written, want 2", n)
	}
	for who, door := range map[string]*door{"a guest": open(t, s, -1, lan), "a member": open(t, s, 4242, socket)} {
		if a := door.do("GET", "/private/machine", "", "Accept: text/html"); a.status != http.StatusForbidden {
			t.Errorf("%s reads the machine's mail: %d", who, a.status)
		}
		if a := door.do("GET", "/private", "", "Accept: text/html"); strings.Contains(a.body, "/private/machine") {
			t.Errorf("%s is offered the machine's mail", who)
		}
	}
}
