package bootstrap

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"drey/mesh"
)

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
