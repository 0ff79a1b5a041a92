package bootstrap

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"drey/mesh"
	"drey/mesh/roster"
)

// memory is a shelf that survives whatever restarts on it.
type memory struct {
	mu     sync.Mutex
	values map[string][]byte
	full   bool // Put fails
}

func (m *memory) Value(_ context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.values[key]
	if !ok {
		return nil, mesh.ErrNotFound
	}
	return bytes.Clone(b), nil
}

func (m *memory) Put(_ context.Context, key string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.full {
		return errors.New("no space left on device")
	}
	if m.values == nil {
		m.values = make(map[string][]byte)
	}
	m.values[key] = bytes.Clone(value)
	return nil
}

func (m *memory) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.values, key)
	return nil
}

func (m *memory) Keys(_ context.Context, prefix string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var keys []string
	for k := range m.values {
		if strings.HasPrefix(k, prefix) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys, nil
}

// house is an inviting node: a founder with a real roster.
type house struct {
	t      *testing.T
	id     *mesh.Identity
	member *mesh.Membership
	book   *roster.Book
	record *mesh.PeerRecord
	shelf  *memory
	log    bytes.Buffer

	mu       sync.Mutex
	now      time.Time
	admitted int   // decisions signed
	fail     error // Admit returns it, before admitting
	failLate error // Admit returns it, after admitting

	*Inviter
	server *httptest.Server
	door   mesh.Endpoint
}

func identity(t testing.TB, name string) *mesh.Identity {
	t.Helper()
	var seed mesh.Seed
	copy(seed[:], name)
	id, err := seed.Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, id: identity(t, "school"), shelf: &memory{}, now: time.Unix(1_800_000_000, 0)}
	var err error
	if h.member, err = Found(h.id.Author.PubKey(), "Riverside"); err != nil {
		t.Fatal(err)
	}
	h.record, err = h.id.SignPeerRecord(mesh.PeerRecord{
		Community: [8]byte(h.member.Community.ID[:8]),
		Seq:       1,
		Endpoints: []mesh.Endpoint{{Scheme: mesh.SchemeTLS, Host: "192.168.1.10", Port: 3740}},
	})
	if err != nil {
		t.Fatal(err)
	}
	h.book = roster.New(h.member.Community)
	e, err := roster.Found(h.id, h.member, h.record, "school", mesh.UnixOf(h.now))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.book.Apply(e); err != nil {
		t.Fatal(err)
	}
	h.open()
	h.server = httptest.NewServer(h)
	t.Cleanup(h.server.Close)
	if h.door, err = mesh.ParseEndpoint(h.server.URL); err != nil {
		t.Fatal(err)
	}
	return h
}

// open starts the inviter, or starts it again after a crash.
func (h *house) open() {
	h.Inviter = NewInviter(Config{
		Identity: h.id,
		Shelf:    h.shelf,
		Admitter: h,
		Log:      slog.New(slog.NewTextHandler(&h.log, nil)),
		Clock:    func() time.Time { h.mu.Lock(); defer h.mu.Unlock(); return h.now },
		Removed: func(j *Joiner) bool {
			return !h.book.Admits(j.Record.Node) && !h.book.Banned(j.Record.Node, j.Record.Author)
		},
	})
}

// ServeHTTP goes to whichever inviter runs now.
func (h *house) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.Inviter.ServeHTTP(w, r) }

func (h *house) wait(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

func (h *house) Membership() *mesh.Membership { return h.member }
func (h *house) Record() *mesh.PeerRecord     { return h.record }
func (h *house) Preview() (string, int)       { return "school", len(h.book.Members()) }

func (h *house) Admit(_ context.Context, j *Joiner) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fail != nil {
		return h.fail
	}
	if h.book.Admits(j.Record.Node) {
		return nil
	}
	d, err := h.book.DraftAdmit(j.Record, j.Binding, j.Name, mesh.UnixOf(h.now))
	if errors.Is(err, roster.ErrBanned) {
		return ErrBanned
	}
	if err != nil {
		return err
	}
	e, err := h.id.Author.Sign(d)
	if err != nil {
		return err
	}
	h.admitted++
	if _, err := h.book.Apply(e); err != nil {
		return err
	}
	return h.failLate
}

func (h *house) Roster(n mesh.NodeKey) []*mesh.Event { return h.book.Introduce(n) }

func (h *house) issue(uses int) *mesh.Invite {
	h.t.Helper()
	v, err := h.Issue(h.t.Context(), 10*time.Minute, uses, []mesh.Endpoint{h.door})
	if err != nil {
		h.t.Fatal(err)
	}
	return v
}

func self(t testing.TB, name string) *Self {
	return &Self{Identity: identity(t, name), Name: name, Record: mesh.PeerRecord{Seq: 1}}
}

func TestJoin(t *testing.T) {
	h := newHouse(t)
	v, err := mesh.ParseInvite(h.issue(1).Link())
	if err != nil {
		t.Fatal(err)
	}
	s := self(t, "clinic")
	var seen *Preview
	s.Confirm = func(p *Preview) error { seen = p; return nil }
	w, err := Join(t.Context(), v, s)
	if err != nil {
		t.Fatal(err)
	}
	if seen == nil || seen.Community != h.member.Community || seen.Inviter != "school" || seen.Members != 1 {
		t.Errorf("preview %+v, want Riverside by school with 1 member", seen)
	}
	if w.Membership.Secret() != h.member.Secret() || w.Membership.Community != h.member.Community {
		t.Error("the welcome holds another community or secret than the inviter")
	}
	if len(w.Inviter.Endpoints) != 1 || w.Inviter.Endpoints[0].String() != "tls://192.168.1.10:3740" {
		t.Errorf("underlay endpoints %v, want those of the inviter", w.Inviter.Endpoints)
	}
	book := roster.New(w.Membership.Community)
	for _, e := range w.Events {
		if _, err := book.Apply(e); err != nil {
			t.Fatal(err)
		}
	}
	if !book.Admits(s.Identity.NodeKey()) || !book.Admits(v.Node) {
		t.Error("the events of the welcome do not admit both machines")
	}
	_, err = Join(t.Context(), v, self(t, "thief"))
	if !errors.Is(err, ErrUsed) {
		t.Errorf("a second machine with the same invite: %v, want ErrUsed", err)
	}
}

func TestBrowserBurnsInvite(t *testing.T) {
	h := newHouse(t)
	v := h.issue(5)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get(h.server.URL + strings.ToLower(v.Link()[strings.Index(v.Link(), "/J/"):]))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(answer.Body)
	answer.Body.Close()
	if answer.StatusCode != http.StatusGone || !strings.Contains(string(b), pageBurnt.Title) {
		t.Errorf("a browser gets %d and %s, want 410 and %q", answer.StatusCode, b, pageBurnt.Title)
	}
	if _, err := Join(t.Context(), v, self(t, "clinic")); !errors.Is(err, ErrBurnt) {
		t.Errorf("joining with a burnt invite: %v, want ErrBurnt", err)
	}
}
