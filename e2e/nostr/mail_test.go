//go:build e2e

package nostr

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"drey/mesh"
	"drey/nostrbridge/pool/relaystest"
	"drey/web"
)

// Gift wraps of nostr-tools open here and ours there, and its receipt counts.
func TestPrivateMessagesAtTheRelay(t *testing.T) {
	drey := build(t)
	home := t.TempDir()
	start(t, drey, home)
	m := newMailer(t, home, "")
	id := m.run("send", m.url, m.node.String(), "from nostr-tools \u2028 👩‍👩‍👧")
	got := m.arrives(id)
	if got.Text != "from nostr-tools \u2028 👩‍👩‍👧" || got.From.Name != "ana" || got.Out {
		t.Errorf("it came as %+v", got)
	}
	m.answered("to nostr-tools <&> 👍", m.url)
}

// The same through a relay of other code, with a gateway in between: nobody but
// the gateway's own pool speaks to the node.
func TestPrivateMessagesThroughAForeignRelay(t *testing.T) {
	drey := build(t)
	foreign := relaystest.Serve(t, nil)
	home := t.TempDir()
	t.Setenv("DREY_NOSTR__GATEWAY", "true")
	t.Setenv("DREY_NOSTR__RELAYS", foreign.URL)
	start(t, drey, home)
	m := newMailer(t, home, foreign.URL)
	m.run("list", m.url, foreign.URL) // her list is known at home; the mail goes abroad
	id := m.run("send", foreign.URL, m.node.String(), "from far away")
	if got := m.arrives(id); got.Text != "from far away" || got.Via != "nostr" {
		t.Errorf("it came as %+v", got)
	}
	m.answered("to far away", foreign.URL)
}

// A mailer is ana with nostr-tools, and a node.
type mailer struct {
	t    *testing.T
	c    *web.Client
	node mesh.PubKey
	url  string // of the node's relay
	at   string // where ana reads
}

func newMailer(t *testing.T, home, at string) *mailer {
	t.Helper()
	c := web.NewClient(home)
	t.Cleanup(c.Close)
	st, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m := &mailer{t: t, c: c, url: "ws://" + st.Web.Listen + "/", at: at}
	if m.at == "" {
		m.at = m.url
	}
	if m.node, err = mesh.ParseAuthor(st.Node.NPub); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ChangeMembers(t.Context(), web.MemberChange{Op: web.OpAdmit, Who: m.run("key"), Name: "ana"}); err != nil {
		t.Fatal(err)
	}
	return m
}

// run runs mail.mjs and returns what it prints.
func (m *mailer) run(args ...string) string {
	m.t.Helper()
	out, err := m.try(args...)
	if err != nil {
		m.t.Fatalf("mail.mjs %q: %v", args, err)
	}
	return out
}

func (m *mailer) try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(m.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", append([]string{"mail.mjs"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}

// arrives waits for a message in the node's inbox.
func (m *mailer) arrives(id string) *web.MailMessage {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), 2*time.Minute)
	defer cancel()
	for got, err := range m.c.Inbox(ctx, "all", 0, true) {
		if err != nil {
			m.t.Fatalf("message %s did not come: %v", id, err)
		}
		if got.ID == id {
			return got
		}
	}
	m.t.Fatalf("message %s did not come", id)
	return nil
}

// answered has the node write to ana, who opens it under the same name and says
// so.
func (m *mailer) answered(text, receipt string) {
	m.t.Helper()
	type opened struct {
		out string
		err error
	}
	read := make(chan opened, 1)
	go func() {
		out, err := m.try("read", m.at, text, receipt)
		read <- opened{out, err}
	}()
	began := time.Now()
	sent, err := m.c.SendMail(m.t.Context(), web.MailPost{To: []string{"ana"}, Text: text, Wait: web.WaitAcknowledged, TimeoutMS: 120_000})
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Logf("written, opened by nostr-tools and acknowledged in %v", time.Since(began).Round(time.Millisecond))
	var rumor struct{ ID, PubKey, Content string }
	got := <-read
	if got.err != nil {
		m.t.Fatalf("mail.mjs read: %v", got.err)
	}
	if err := json.Unmarshal([]byte(got.out), &rumor); err != nil {
		m.t.Fatal(err)
	}
	if rumor.ID != sent.ID || rumor.PubKey != m.node.String() || rumor.Content != text {
		m.t.Errorf("nostr-tools opened %+v, sent was %+v", rumor, sent)
	}
	if sent.Outcome != web.Reached || len(sent.To) != 1 || sent.To[0].AcknowledgedMS == 0 {
		m.t.Errorf("acknowledged: %+v", sent)
	}
}
