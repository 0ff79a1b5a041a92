package bootstrap

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"drey/mesh"
	"drey/mesh/roster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// joinRequest seals a join as a joiner would send it.
func joinRequest(t *testing.T, h *house, v *mesh.Invite, s *Self) []byte {
	t.Helper()
	j, err := s.joiner(h.member.Community)
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := appendRequest(nil, s.Identity.Node, v, &request{verb: verbJoin, token: v.Token, joiner: *j})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// visit opens an address as a browser would.
func visit(t *testing.T, url string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, answer.Body)
	answer.Body.Close()
}

func TestJoiningAgainGivesTheSame(t *testing.T) {
	h := newHouse(t)
	v := h.issue(1)
	s := self(t, "clinic")
	first, err := Join(t.Context(), v, s)
	if err != nil {
		t.Fatal(err)
	}
	for name, happens := range map[string]func(){
		"the joiner crashed":     func() {},
		"the inviter crashed":    h.open,
		"the invite ran out":     func() { h.wait(time.Hour) },
		"the invite was burnt":   func() { visit(t, v.Link()) },
		"a place was taken then": func() { Join(t.Context(), v, self(t, "thief")) },
	} {
		happens()
		again, err := Join(t.Context(), v, s)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if again.Membership.Secret() != first.Membership.Secret() || len(again.Events) != len(first.Events) {
			t.Errorf("%s: another answer than at first", name)
		}
	}
	if h.admitted != 1 {
		t.Errorf("%d admissions were signed, want 1", h.admitted)
	}
}

func TestCrashBetweenAdmissionAndAnswer(t *testing.T) {
	h := newHouse(t)
	v := h.issue(1)
	s := self(t, "clinic")
	h.failLate = errors.New("power cut")
	if _, err := Join(t.Context(), v, s); err == nil || !strings.Contains(err.Error(), "problem of its own") {
		t.Errorf("Join = %v, want the inviter's own trouble", err)
	}
	h.failLate = nil
	h.open()
	if _, err := Join(t.Context(), v, s); err != nil {
		t.Errorf("after the crash: %v", err)
	}
	if h.admitted != 1 {
		t.Errorf("%d admissions were signed, want 1", h.admitted)
	}
}

func TestCrashBeforeAdmissionKeepsThePlace(t *testing.T) {
	h := newHouse(t)
	v := h.issue(1)
	h.fail = errors.New("power cut")
	if _, err := Join(t.Context(), v, self(t, "clinic")); err == nil {
		t.Fatal("Join is no error")
	}
	h.fail = nil
	h.open()
	if _, err := Join(t.Context(), v, self(t, "thief")); !errors.Is(err, ErrUsed) {
		t.Errorf("another machine takes the place: %v, want ErrUsed", err)
	}
	if _, err := Join(t.Context(), v, self(t, "clinic")); err != nil {
		t.Errorf("the machine whose place it is: %v", err)
	}
}

func TestRefusedJoinerLeavesThePlaceFree(t *testing.T) {
	for _, want := range []error{ErrBanned, ErrRefused} {
		h := newHouse(t)
		v := h.issue(1)
		h.fail = want
		if _, err := Join(t.Context(), v, self(t, "bad")); !errors.Is(err, want) {
			t.Errorf("Join = %v, want %v", err, want)
		}
		h.fail = nil
		if _, err := Join(t.Context(), v, self(t, "clinic")); err != nil {
			t.Errorf("after %v to another: %v", want, err)
		}
	}
}

func TestBannedMachineIsRefused(t *testing.T) {
	h := newHouse(t)
	v := h.issue(2)
	s := self(t, "clinic")
	if _, err := Join(t.Context(), v, s); err != nil {
		t.Fatal(err)
	}
	d, err := h.book.DraftBan(roster.Subject{Author: s.Identity.Author.PubKey()}, "stolen", mesh.UnixOf(h.now))
	if err != nil {
		t.Fatal(err)
	}
	e, err := h.id.Author.Sign(d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.book.Apply(e); err != nil {
		t.Fatal(err)
	}
	_, err = Join(t.Context(), v, s)
	if !errors.Is(err, ErrBanned) {
		t.Errorf("Join = %v, want ErrBanned", err)
	}
	var hint interface{ Hint() string }
	if !errors.As(err, &hint) || !strings.Contains(hint.Hint(), "members admit") {
		t.Errorf("%v has no hint that helps", err)
	}
}

func TestLateAndUnknownInvites(t *testing.T) {
	h := newHouse(t)
	late := h.issue(1)
	h.wait(10 * time.Minute)
	if _, err := Join(t.Context(), late, self(t, "clinic")); !errors.Is(err, ErrExpired) {
		t.Errorf("a late invite: %v, want ErrExpired", err)
	}
	forged := *h.issue(1)
	forged.Token[0] ^= 1
	if _, err := Join(t.Context(), &forged, self(t, "clinic")); !errors.Is(err, ErrUnknown) {
		t.Errorf("a forged token: %v, want ErrUnknown", err)
	}
	h.wait(remembered)
	h.issue(1)
	if _, err := Join(t.Context(), late, self(t, "clinic")); !errors.Is(err, ErrUnknown) {
		t.Errorf("an invite long past: %v, want ErrUnknown", err)
	}
}

func TestWithdraw(t *testing.T) {
	h := newHouse(t)
	v := h.issue(1)
	list, err := h.Invites(t.Context())
	if err != nil || len(list) != 1 {
		t.Fatalf("Invites = %v, %v", list, err)
	}
	if err := h.Withdraw(t.Context(), list[0].ID); err != nil {
		t.Fatal(err)
	}
	if _, err := Join(t.Context(), v, self(t, "clinic")); !errors.Is(err, ErrBurnt) {
		t.Errorf("a withdrawn invite: %v, want ErrBurnt", err)
	}
	if err := h.Withdraw(t.Context(), "xyz"); !errors.Is(err, ErrUnknown) {
		t.Errorf("Withdraw of nothing: %v, want ErrUnknown", err)
	}
}

func TestIssueLimits(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	doors := []mesh.Endpoint{h.door}
	for _, c := range []struct {
		ttl  time.Duration
		uses int
	}{{0, 1}, {-1, 1}, {MaxTTL + 1, 1}, {time.Hour, 0}, {time.Hour, MaxUses + 1}} {
		if _, err := h.Issue(ctx, c.ttl, c.uses, doors); err == nil {
			t.Errorf("Issue for %v and %d uses is no error", c.ttl, c.uses)
		}
	}
	if _, err := h.Issue(ctx, time.Hour, 1, nil); !errors.Is(err, mesh.ErrInvite) {
		t.Errorf("Issue without a door: %v, want ErrInvite", err)
	}
	h.shelf.full = true
	if v, err := h.Issue(ctx, time.Hour, 1, doors); err == nil {
		t.Errorf("Issue on a full disk gives %v", v)
	}
	h.shelf.full = false
	for range maxInvites {
		h.issue(1)
	}
	if _, err := h.Issue(ctx, time.Hour, 1, doors); err == nil {
		t.Error("there is no limit on invites")
	}
	h.wait(time.Hour + remembered)
	h.issue(1)
}

func TestOnePlaceForMany(t *testing.T) {
	h := newHouse(t)
	v := h.issue(3)
	var wg sync.WaitGroup
	results := make(chan error, 8)
	for i := range cap(results) {
		s := self(t, fmt.Sprint("machine ", i))
		wg.Go(func() {
			_, err := Join(t.Context(), v, s)
			results <- err
		})
	}
	wg.Wait()
	close(results)
	joined := 0
	for err := range results {
		if err == nil {
			joined++
		} else if !errors.Is(err, ErrUsed) {
			t.Error(err)
		}
	}
	if joined != 3 || h.admitted != 3 {
		t.Errorf("%d joined and %d were admitted, want 3", joined, h.admitted)
	}
}

func TestEveryRequestByteMatters(t *testing.T) {
	h := newHouse(t)
	v := h.issue(1)
	good := joinRequest(t, h, v, self(t, "clinic"))
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if err := h.redeem(t.Context(), io.Discard, bad); err == nil {
			t.Errorf("byte %d of %d changed on the way: admitted all the same", i, len(good))
		}
	}
	for _, n := range []int{0, 1, requestHead, len(good) - 1} {
		if err := h.redeem(t.Context(), io.Discard, good[:n]); err == nil {
			t.Errorf("%d of %d bytes: admitted all the same", n, len(good))
		}
	}
	if h.admitted != 0 {
		t.Errorf("%d were admitted, want none", h.admitted)
	}
	if err := h.redeem(t.Context(), io.Discard, good); err != nil {
		t.Errorf("the request as it was: %v", err)
	}
}

func TestEveryAnswerByteMatters(t *testing.T) {
	h := newHouse(t)
	v := h.issue(1)
	s := self(t, "clinic")
	// read lets spoil change one fresh answer on its way.
	read := func(spoil func(b []byte) []byte) (size int, err error) {
		t.Helper()
		b, hs, err := appendRequest(nil, s.Identity.Node, v, &request{verb: verbPeek, token: v.Token})
		if err != nil {
			t.Fatal(err)
		}
		var answer bytes.Buffer
		if err := h.redeem(t.Context(), &answer, b); err != nil {
			t.Fatal(err)
		}
		size = answer.Len()
		_, err = readAnswer(bytes.NewReader(spoil(answer.Bytes())), hs)
		return size, err
	}
	size, err := read(func(b []byte) []byte { return b })
	if err != nil {
		t.Fatalf("the answer as it was: %v", err)
	}
	for i := range size {
		if _, err := read(func(b []byte) []byte { b[i] ^= 1; return b }); err == nil {
			t.Errorf("byte %d of %d changed on the way, and was read", i, size)
		}
		if _, err := read(func(b []byte) []byte { return b[:i] }); err == nil {
			t.Errorf("%d of %d bytes were read as the whole", i, size)
		}
	}
	if _, err := read(func(b []byte) []byte { return append(b, 0) }); err == nil {
		t.Error("a byte was added on the way, and all was read")
	}
}

func TestReplayTellsNothingAndAdmitsNobody(t *testing.T) {
	h := newHouse(t)
	v := h.issue(5)
	s := self(t, "clinic")
	sent := joinRequest(t, h, v, s)
	var first, second bytes.Buffer
	if err := h.redeem(t.Context(), &first, sent); err != nil {
		t.Fatal(err)
	}
	if err := h.redeem(t.Context(), &second, sent); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("a replayed request gets the same sealed bytes: the seal repeats itself")
	}
	list, err := h.Invites(t.Context())
	if err != nil || list[0].Used != 1 || h.admitted != 1 {
		t.Errorf("used %d, admitted %d, %v; want 1 and 1", list[0].Used, h.admitted, err)
	}
	// A thief who has heard it all and knows the token still holds another key.
	_, hs, err := appendRequest(nil, identity(t, "thief").Node, v, &request{verb: verbPeek, token: v.Token})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readAnswer(&second, hs); !errors.Is(err, errSeal) {
		t.Errorf("another machine opens the answer: %v", err)
	}
}

func TestRecordMustBeTheAskersOwn(t *testing.T) {
	h := newHouse(t)
	v := h.issue(1)
	clinic, err := self(t, "clinic").joiner(h.member.Community)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := self(t, "thief").joiner(mesh.OpenCommunity("elsewhere"))
	if err != nil {
		t.Fatal(err)
	}
	unbound, err := self(t, "thief").joiner(h.member.Community)
	if err != nil {
		t.Fatal(err)
	}
	unbound.Binding = clinic.Binding
	own, err := (&Self{Identity: h.id, Name: "school"}).joiner(h.member.Community)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		by *mesh.Identity
		j  *Joiner
	}{
		"another's record":               {identity(t, "thief"), clinic},
		"a record for another community": {identity(t, "thief"), elsewhere},
		"another's binding":              {identity(t, "thief"), unbound},
		"the inviter itself":             {h.id, own},
	} {
		b, _, err := appendRequest(nil, c.by.Node, v, &request{verb: verbJoin, token: v.Token, joiner: *c.j})
		if err != nil {
			t.Fatal(err)
		}
		if err := h.redeem(t.Context(), io.Discard, b); !errors.Is(err, ErrBadRequest) {
			t.Errorf("%s: %v, want ErrBadRequest", name, err)
		}
	}
}

func TestStolenShelfRedeemsNothing(t *testing.T) {
	h := newHouse(t)
	v := h.issue(1)
	for _, b := range h.shelf.values {
		if bytes.Contains(b, []byte(hex.EncodeToString(v.Token[:]))) {
			t.Error("the shelf holds the token")
		}
	}
	// The thief has id and pre-shared key from the shelf, but not the token.
	thief := self(t, "thief")
	j, err := thief.joiner(h.member.Community)
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := appendRequest(nil, thief.Identity.Node, v, &request{verb: verbJoin, token: mesh.InviteToken{}, joiner: *j})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.redeem(t.Context(), io.Discard, b); !errors.Is(err, ErrSeal) {
		t.Errorf("redeem = %v, want ErrSeal", err)
	}
}

func TestNothingSecretCrossesInClear(t *testing.T) {
	h := newHouse(t)
	var mu sync.Mutex
	var wire bytes.Buffer
	tap := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, r)
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintln(&wire, r.Method, r.URL, r.Header, answer.Header())
		wire.Write(body)
		wire.Write(answer.Body.Bytes())
		w.Header().Set("Content-Type", answer.Header().Get("Content-Type"))
		w.WriteHeader(answer.Code)
		w.Write(answer.Body.Bytes())
	}))
	defer tap.Close()
	door, err := mesh.ParseEndpoint(tap.URL)
	if err != nil {
		t.Fatal(err)
	}
	v := *h.issue(1)
	v.Endpoints = []mesh.Endpoint{door}
	var said strings.Builder
	s := self(t, "clinic")
	s.Progress = func(text string) { said.WriteString(text + "\n") }
	if _, err := Join(t.Context(), &v, s); err != nil {
		t.Fatal(err)
	}
	_, again := Join(t.Context(), &v, self(t, "thief"))
	visit(t, tap.URL+v.Link()[strings.Index(v.Link(), "/J/"):]) // a browser tells the path; the log must not
	secret := h.member.Secret()
	for name, key := range map[string][]byte{"token": v.Token[:], "secret": secret[:]} {
		for _, form := range []string{string(key), hex.EncodeToString(key), base64.StdEncoding.EncodeToString(key), base64.RawURLEncoding.EncodeToString(key)} {
			if i := strings.Index(wire.String(), form); i >= 0 && name == "secret" {
				t.Errorf("the %s crosses in clear", name)
			}
			for where, text := range map[string]string{"the log": h.log.String(), "progress": said.String(), "an error": fmt.Sprint(again)} {
				if strings.Contains(text, form) {
					t.Errorf("%s holds the %s", where, name)
				}
			}
		}
	}
	beforeBrowser, _, _ := strings.Cut(wire.String(), "GET ")
	if strings.Contains(beforeBrowser, string(v.Token[:])) || strings.Contains(beforeBrowser, "Riverside") || strings.Contains(beforeBrowser, "clinic") {
		t.Error("the exchange is not sealed")
	}
	if _, code, _ := strings.Cut(v.Link(), "/J/"); strings.Contains(h.log.String(), code[60:90]) {
		t.Error("the log holds the invite's path")
	}
}

func TestOtherNodeAtTheAddress(t *testing.T) {
	h := newHouse(t)
	v := *h.issue(1)
	v.Node = identity(t, "elsewhere").NodeKey()
	if _, err := Join(t.Context(), &v, self(t, "clinic")); !errors.Is(err, ErrOtherNode) {
		t.Errorf("Join = %v, want ErrOtherNode", err)
	}
}

func TestSomethingElseAtTheAddress(t *testing.T) {
	h := newHouse(t)
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   error
	}{
		"a router's page": {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>welcome to your router") }, ErrNoDrey},
		"a redirect":      {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, h.server.URL, http.StatusTemporaryRedirect) }, ErrNoDrey},
		"not found":       {http.NotFound, ErrNoDrey},
		"an endless reply": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", sealedType)
			w.Write(make([]byte, 1<<20))
		}, ErrSeal},
	} {
		other := httptest.NewServer(c.answer)
		v := *h.issue(1)
		door, err := mesh.ParseEndpoint(other.URL)
		if err != nil {
			t.Fatal(err)
		}
		v.Endpoints = []mesh.Endpoint{door}
		_, err = Join(t.Context(), &v, self(t, "clinic"))
		if !errors.Is(err, c.want) {
			t.Errorf("%s: Join = %v, want %v", name, err, c.want)
		}
		other.Close()
	}
}

// silent accepts connections and never answers.
func silent(t *testing.T) mesh.Endpoint {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return endpoint(t, l.Addr())
}

// closed is a port where nothing listens.
func closed(t *testing.T) mesh.Endpoint {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	return endpoint(t, l.Addr())
}

func endpoint(t *testing.T, a net.Addr) mesh.Endpoint {
	t.Helper()
	e, err := mesh.ParseEndpoint("http://" + a.String())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestDeadAddressesDelayLittle(t *testing.T) {
	h := newHouse(t)
	v := *h.issue(1)
	v.Endpoints = []mesh.Endpoint{closed(t), silent(t), h.door}
	began := time.Now()
	if _, err := Join(t.Context(), &v, self(t, "clinic")); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > headStart+5*time.Second {
		t.Errorf("joining past a closed and a silent address took %v", took)
	}
}

func TestUnreachableNamesWhatWasTried(t *testing.T) {
	h := newHouse(t)
	v := *h.issue(1)
	a, b := closed(t), closed(t)
	v.Endpoints = []mesh.Endpoint{a, b, {Scheme: mesh.SchemeTLS, Host: "192.0.2.1", Port: 3740}}
	_, err := Join(t.Context(), &v, self(t, "clinic"))
	var failed *JoinError
	if !errors.Is(err, ErrUnreachable) || !errors.As(err, &failed) {
		t.Fatalf("Join = %v, want ErrUnreachable", err)
	}
	for _, e := range []mesh.Endpoint{a, b} {
		if !strings.Contains(err.Error(), e.String()) {
			t.Errorf("%v does not name %s", err, e)
		}
	}
	if failed.Hint() == "" {
		t.Error("no hint")
	}
}

func TestCancelledJoinLeavesNothingBehind(t *testing.T) {
	h := newHouse(t)
	v := *h.issue(1)
	v.Endpoints = []mesh.Endpoint{silent(t)}
	ctx, cancel := context.WithCancel(t.Context())
	s := self(t, "clinic")
	s.Progress = func(string) { cancel() }
	if _, err := Join(ctx, &v, s); !errors.Is(err, context.Canceled) {
		t.Errorf("Join = %v, want context.Canceled", err)
	}
}

func TestConfirmStopsBeforeAnythingIsRedeemed(t *testing.T) {
	h := newHouse(t)
	v := h.issue(1)
	s := self(t, "clinic")
	no := errors.New("not today")
	s.Confirm = func(*Preview) error { return no }
	if _, err := Join(t.Context(), v, s); !errors.Is(err, no) {
		t.Errorf("Join = %v, want Confirm's error", err)
	}
	if p, err := Peek(t.Context(), v, self(t, "thief")); err != nil || p.Community.Name != "Riverside" {
		t.Errorf("Peek = %v, %v; want the invite to be whole", p, err)
	}
}

func TestAnyRequestForThePathBurns(t *testing.T) {
	h := newHouse(t)
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodOptions} {
		v := h.issue(1)
		path := v.Link()[strings.Index(v.Link(), "/J/"):]
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		if w.Code != http.StatusGone || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v, want 410 and no-store", method, w.Code, w.Header())
		}
		if _, err := Join(t.Context(), v, self(t, "clinic")); !errors.Is(err, ErrBurnt) {
			t.Errorf("%s: Join = %v, want ErrBurnt", method, err)
		}
		w = httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		if w.Code != http.StatusGone || strings.Contains(w.Body.String(), pageBurnt.Title) {
			t.Errorf("%s a second time: %d %s", method, w.Code, w.Body)
		}
	}
	other := *h.issue(1)
	other.Node[0] ^= 1
	for name, path := range map[string]string{
		"another machine's": other.Link()[strings.Index(other.Link(), "/J/"):], "nonsense": "/J/AAAA", "nothing": "/J/", "too much": "/j/" + strings.Repeat("A", 5000),
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != http.StatusNotFound {
			t.Errorf("%s: %d, want 404", name, w.Code)
		}
	}
}

func TestGuessingIsSlow(t *testing.T) {
	h := newHouse(t)
	v := h.issue(1)
	forged := *v
	try := func() error {
		forged.Token = mesh.NewInviteToken()
		_, err := Peek(t.Context(), &forged, self(t, "thief"))
		return err
	}
	for range maxGuesses {
		if err := try(); !errors.Is(err, ErrUnknown) {
			t.Fatalf("Peek = %v, want ErrUnknown", err)
		}
	}
	if err := try(); !errors.Is(err, ErrBusy) {
		t.Errorf("after %d guesses: %v, want ErrBusy", maxGuesses, err)
	}
	h.wait(guessEvery)
	if err := try(); !errors.Is(err, ErrUnknown) {
		t.Errorf("after a pause: %v, want one more try", err)
	}
	if err := try(); !errors.Is(err, ErrBusy) {
		t.Errorf("and another: %v, want ErrBusy", err)
	}
	h.wait(forgetGuesser)
	if _, err := Join(t.Context(), v, self(t, "clinic")); err != nil {
		t.Errorf("after a longer pause: %v", err)
	}
}

func TestGuessersAreBounded(t *testing.T) {
	g := make(guesses)
	now := time.Unix(0, 0)
	for i := range 3 * maxGuessers {
		g.missed(source(fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255)), now)
	}
	if len(g) > maxGuessers {
		t.Errorf("%d sources are remembered, limit %d", len(g), maxGuessers)
	}
	if a, b := source("[2001:db8::1]:1"), source("[2001:db8::ffff:2]:9"); a != b {
		t.Errorf("two addresses of one network count apart: %v and %v", a, b)
	}
	if a, b := source("10.0.0.1:1"), source("[::ffff:10.0.0.1]:2"); a != b {
		t.Errorf("one address in two forms counts apart: %v and %v", a, b)
	}
}

func TestLargeBodyIsRefused(t *testing.T) {
	h := newHouse(t)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/J/", bytes.NewReader(make([]byte, maxRequest+1))))
	if w.Code != http.StatusBadRequest {
		t.Errorf("%d bytes: status %d, want 400", maxRequest+1, w.Code)
	}
}

func TestLargeRosterArrives(t *testing.T) {
	h := newHouse(t)
	v := h.issue(200)
	for i := range 120 {
		s := self(t, fmt.Sprint("machine ", i))
		if err := h.redeem(t.Context(), io.Discard, joinRequest(t, h, v, s)); err != nil {
			t.Fatal(err)
		}
	}
	w, err := Join(t.Context(), v, self(t, "clinic"))
	if err != nil {
		t.Fatal(err)
	}
	if len(w.Events) != 122 {
		t.Errorf("%d events arrive, want 122", len(w.Events))
	}
}

const openVector = "5850c692f147dfb5db1c9dc9f5fa058fbe86337aead7d0108943b82d3abae9f9"

func TestOpenAndFound(t *testing.T) {
	a, err := Open("market")
	if err != nil {
		t.Fatal(err)
	}
	secret := a.Secret()
	// HKDF-SHA256 of "market" by another implementation.
	if got, want := hex.EncodeToString(secret[:]), openVector; got != want {
		t.Errorf("the secret of the open community is %s, want %s", got, want)
	}
	x, err := Found(mesh.PubKey{1}, "Riverside")
	if err != nil {
		t.Fatal(err)
	}
	y, err := Found(mesh.PubKey{1}, "Riverside")
	if err != nil {
		t.Fatal(err)
	}
	if x.Community.ID == y.Community.ID || x.Secret() == y.Secret() || x.Secret() == (mesh.Secret{}) {
		t.Error("two communities of one name and founder share an id or a secret")
	}
	for _, name := range []string{"", "a\n", strings.Repeat("x", 65)} {
		if _, err := Open(name); err == nil {
			t.Errorf("Open(%q) is no error", name)
		}
		if _, err := Found(mesh.PubKey{1}, name); err == nil {
			t.Errorf("Found(%q) is no error", name)
		}
	}
}
