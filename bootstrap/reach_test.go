package bootstrap

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"drey/mesh"
)

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
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, h.server.URL, http.StatusTemporaryRedirect)
		}, ErrNoDrey},
		"not found": {http.NotFound, ErrNoDrey},
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
