package web_test

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"drey/mesh"
	"drey/web"
	"drey/web/webtest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newKey(t testing.TB, n byte) *mesh.SecretKey {
	t.Helper()
	k, err := mesh.NewSecretKey([32]byte{31: n})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// running is a server that runs for the length of a test.
type running struct {
	*web.Server
	node   *webtest.Node
	client *web.Client
	home   string
	stop   func() error // waits for Run
}

// run starts a server on a socket and a free port.
func run(t testing.TB, change func(*web.Config)) *running {
	t.Helper()
	key := newKey(t, 3)
	r := &running{node: webtest.New(key, nil), home: t.TempDir()}
	c := web.Config{
		Home: r.home, Listen: "127.0.0.1:0", Name: "Old School", GuestTopics: []mesh.Topic{"commons", "alerts"},
		Token: web.Token(strings.Repeat("k", 40)), Author: key.PubKey(), Node: r.node, Log: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&c)
	}
	r.home = c.Home
	s, err := web.New(c)
	if err != nil {
		t.Fatal(err)
	}
	r.Server = s
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stopped := false
	r.stop = func() error {
		cancel()
		if stopped {
			return nil
		}
		stopped = true
		return <-done
	}
	t.Cleanup(func() {
		r.client.Close()
		if err := r.stop(); err != nil {
			t.Errorf("Run ended with %v", err)
		}
	})
	r.client = web.NewClient(r.home)
	select {
	case <-s.Ready():
	case err := <-done:
		stopped = true
		t.Fatalf("Run ended at once: %v", err)
	}
	return r
}

func TestClientSpeaksToServer(t *testing.T) {
	r := run(t, nil)
	ctx := t.Context()
	st, err := r.client.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if st.V != 1 || st.Scope != "admin" || st.Node.Name != "Old School" || st.Web.Listen != r.Listening().String() || len(st.Web.URLs) != 1 {
		t.Errorf("status = %+v", st)
	}
	receipt, err := r.client.Publish(ctx, web.Message{Topic: "town/alerts", Text: "bridge closed <&>\u2028", Urgent: true})
	if err != nil {
		t.Fatal(err)
	}
	if receipt.State != "saved" || receipt.Outcome != web.Reached {
		t.Errorf("receipt = %+v", receipt)
	}
	var got []*mesh.Record
	for rec, err := range r.client.Messages(ctx, web.Following{Topics: []mesh.Topic{"town/alerts"}}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, rec)
	}
	if len(got) != 1 || got[0].Event.ID().String() != receipt.ID || got[0].Event.Content() != "bridge closed <&>\u2028" ||
		got[0].Topic != "town/alerts" || got[0].Flags != mesh.FlagEmergency || got[0].Seq != 1 || got[0].Received.IsZero() {
		t.Errorf("history = %+v", got)
	}
	id := got[0].Event.ID()
	l, err := r.client.Log(ctx, id.String())
	if err != nil || len(l.Steps) != 1 || l.Steps[0].State != "saved" || l.Record.Event.ID() != id {
		t.Errorf("Log = %+v, %v", l, err)
	}
	r.node.Forget(id, mesh.ReasonPruned)
	if l, err = r.client.Log(ctx, id.String()); err != nil || l.Gone != "pruned" || l.Record != nil || len(l.Steps) != 1 {
		t.Errorf("Log of a pruned message = %+v, %v", l, err)
	}
	if err := r.client.AddPeer(ctx, "tls://192.0.2.7:3740?key=ab"); err != nil {
		t.Error(err)
	}
	if peers, err := r.client.Peers(ctx); err != nil || len(peers) != 1 || peers[0].URI != "tls://192.0.2.7:3740?key=ab" {
		t.Errorf("Peers = %+v, %v", peers, err)
	}
	if err := r.client.RemovePeer(ctx, "tls://192.0.2.7:3740?key=ab"); err != nil {
		t.Error(err)
	}
	var e *web.Error
	if err := r.client.RemovePeer(ctx, "tls://nowhere"); !errors.As(err, &e) || e.Code != web.CodeNotFound || e.ExitCode() != 6 {
		t.Errorf("RemovePeer of an unknown one: %v", err)
	}
	if d, err := r.client.Ping(ctx, "someone"); err != nil || d != 12500*time.Microsecond {
		t.Errorf("Ping = %v, %v", d, err)
	}
	if i, err := r.client.Invite(ctx, web.InviteRequest{}); err != nil || i.Uses != 1 || i.URL == "" || i.Expires == 0 {
		t.Errorf("Invite = %+v, %v", i, err)
	}
	if j, err := r.client.Join(ctx, web.JoinRequest{Invite: "x"}); err != nil || j.Now.Name != "Elsewhere" {
		t.Errorf("Join = %+v, %v", j, err)
	}
	if _, err := r.client.Join(ctx, web.JoinRequest{Invite: "burnt"}); !errors.As(err, &e) || e.Code != web.CodeGone || e.Fix != "ask for a new one" {
		t.Errorf("Join with a burnt invite: %v", err)
	}
	if m, err := r.client.Members(ctx); err != nil || len(m) != 1 || m[0].Standing != "founder" {
		t.Errorf("Members = %+v, %v", m, err)
	}
	if c, err := r.client.Doctor(ctx); err != nil || len(c) != 2 || c[1].Problem.Code != "disk" {
		t.Errorf("Doctor = %+v, %v", c, err)
	}
	if topics, err := r.client.Topics(ctx); err != nil || !slices.Contains(topics, "town/alerts") {
		t.Errorf("Topics = %v, %v", topics, err)
	}
	if radio, err := r.client.Radio(ctx); err != nil || radio.Preset != "LONG_FAST" {
		t.Errorf("Radio = %+v, %v", radio, err)
	}
	if nodes, err := r.client.RadioNodes(ctx); err != nil || len(nodes) != 1 || nodes[0].Name != "Maria" || nodes[0].Hops != 1 {
		t.Errorf("RadioNodes = %+v, %v", nodes, err)
	}
	if m, err := r.client.SendRadioMessage(ctx, web.RadioPost{To: "Maria", Text: "hello", TimeoutMS: 1000}); err != nil || m.State != "acknowledged by Maria" {
		t.Errorf("SendRadioMessage = %+v, %v", m, err)
	}
	if _, err := r.client.SendRadioMessage(ctx, web.RadioPost{To: "Zoe", Text: "hello"}); !errors.As(err, &e) || e.ExitCode() != 6 {
		t.Errorf("SendRadioMessage to nobody: %v", err)
	}
	if _, err := r.client.SendRadioMessage(ctx, web.RadioPost{To: "Maria"}); !errors.As(err, &e) || e.Code != web.CodeUsage {
		t.Errorf("SendRadioMessage without a text: %v", err)
	}
	if m, err := r.client.RadioMessages(ctx); err != nil || len(m) != 1 || m[0].Text != "for you alone" {
		t.Errorf("RadioMessages = %+v, %v", m, err)
	}
	if p, err := r.client.TestRadio(ctx); err != nil || !p.Heard || p.AfterMS != 1900 {
		t.Errorf("TestRadio = %+v, %v", p, err)
	}
	if p, err := r.client.SetUpRadio(ctx, web.RadioWish{Region: "US"}); err != nil || p.Done || len(p.Steps) != 1 || p.Channel != 1 {
		t.Errorf("SetUpRadio = %+v, %v", p, err)
	}
	if relays, err := r.client.Relays(ctx); err != nil || relays.State != "ready" {
		t.Errorf("Relays = %+v, %v", relays, err)
	}
}

func TestClientSaysThatNoNodeRuns(t *testing.T) {
	home := t.TempDir()
	for _, c := range []struct {
		name    string
		prepare func()
	}{
		{"no socket", func() {}},
		{"a socket nobody listens on", func() {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(home, web.SocketName), Net: "unix"})
			if err != nil {
				t.Fatal(err)
			}
			l.SetUnlinkOnClose(false)
			l.Close()
		}},
	} {
		c.prepare()
		_, err := web.NewClient(home).Status(t.Context())
		var e *web.Error
		if !errors.Is(err, web.ErrNotRunning) || !errors.As(err, &e) || e.ExitCode() != 3 || e.Hint() == "" {
			t.Errorf("%s: Status = %v", c.name, err)
		}
	}
}

func TestSocketModeAndRemoval(t *testing.T) {
	r := run(t, nil)
	info, err := os.Stat(r.Socket())
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode(); got != fs.ModeSocket|0o660 {
		t.Errorf("mode of the socket is %v, want %v", got, fs.ModeSocket|0o660)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(r.home)
	if err != nil {
		t.Fatal(err)
	}
	stays := []string{web.SocketName + ".lock", "web.crt", "web.key"}
	for _, f := range left {
		if !slices.Contains(stays, f.Name()) {
			t.Errorf("%s is left behind", f.Name())
		}
	}
}

func TestSecondNodeOnOneHome(t *testing.T) {
	r := run(t, nil)
	second, err := web.New(web.Config{Home: r.home, Node: r.node, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	err = second.Run(t.Context())
	var l *web.ListenError
	if !errors.Is(err, web.ErrSecondNode) || !errors.As(err, &l) || l.Hint() == "" {
		t.Errorf("second Run = %v, want ErrSecondNode with a hint", err)
	}
	if _, err := r.client.Status(t.Context()); err != nil {
		t.Errorf("the first node was hurt: %v", err)
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	home := t.TempDir()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(home, web.SocketName), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	r := run(t, func(c *web.Config) { c.Home = home })
	if _, err := r.client.Status(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestLongHome(t *testing.T) {
	home := filepath.Join(t.TempDir(), strings.Repeat("a-very-long-name/", 10))
	if err := os.MkdirAll(home, 0o700); err != nil {
		t.Fatal(err)
	}
	r := run(t, func(c *web.Config) { c.Home = home })
	if _, err := r.client.Status(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestPortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s, err := web.New(web.Config{Home: t.TempDir(), Listen: taken.Addr().String(), Node: webtest.New(newKey(t, 1), nil), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Run(t.Context())
	var l *web.ListenError
	if !errors.As(err, &l) || !strings.Contains(err.Error(), "another program uses this port") || !strings.Contains(l.Hint(), "--web") {
		t.Errorf("Run on a taken port = %v", err)
	}
	if _, err := os.Stat(s.Socket()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket was left behind: %v", err)
	}
}

func TestHomeThatIsMissing(t *testing.T) {
	s, err := web.New(web.Config{Home: filepath.Join(t.TempDir(), "nowhere"), Node: webtest.New(newKey(t, 1), nil), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Run(t.Context())
	var l *web.ListenError
	if !errors.As(err, &l) || !errors.Is(err, fs.ErrNotExist) || l.Hint() == "" {
		t.Errorf("Run in a home that is missing = %v", err)
	}
}

func TestToken(t *testing.T) {
	home := t.TempDir()
	first, err := web.LoadToken(home)
	if err != nil {
		t.Fatal(err)
	}
	again, err := web.LoadToken(home)
	if err != nil || again != first || len(first) != 64 {
		t.Errorf("LoadToken again = %d letters, %v", len(again), err)
	}
	if err := os.Chmod(filepath.Join(home, web.TokenName), 0o644); err != nil {
		t.Fatal(err)
	}
	var e *web.Error
	if _, err := web.LoadToken(home); !errors.As(err, &e) || !strings.HasPrefix(e.Fix, "chmod 600") {
		t.Errorf("a token that others can read: %v", err)
	}
}
