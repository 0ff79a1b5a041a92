package bootstrap

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"drey/mesh"
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
