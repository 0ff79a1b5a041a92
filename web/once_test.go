package web_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"drey/mesh"
	"drey/web"
	"drey/web/webtest"
)

// shelf is a mesh.Shelf in memory.
type shelf struct {
	mu     sync.Mutex
	values map[string][]byte
	fail   error
	stuck  error // of Delete
}

func (s *shelf) Value(_ context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.values[key]
	if !ok {
		return nil, mesh.ErrNotFound
	}
	return v, nil
}

func (s *shelf) Put(_ context.Context, key string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	s.values[key] = slices.Clone(value)
	return nil
}

func (s *shelf) Delete(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stuck != nil {
		return s.stuck
	}
	delete(s.values, key)
	return nil
}

func (s *shelf) Keys(_ context.Context, prefix string) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []string
	for k := range s.values {
		if strings.HasPrefix(k, prefix) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys, nil
}

func TestIdempotencyKeyActsOnce(t *testing.T) {
	s, n := newServer(t, nil)
	d := open(t, s, os.Getuid(), socket)
	answers := make([]answer, 8)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() {
			answers[i] = d.do("POST", "/v1/topics/commons/messages", "hello", "Idempotency-Key: abc")
		})
	}
	all.Wait()
	for i, a := range answers {
		if a.status != 202 || a.body != answers[0].body {
			t.Errorf("answer %d: %d %s, the first was %s", i, a.status, a.body, answers[0].body)
		}
	}
	if n.Posts() != 1 {
		t.Errorf("published %d times", n.Posts())
	}
	if a := d.do("POST", "/v1/topics/commons/messages", "something else", "Idempotency-Key: abc"); a.status != 422 || a.code() != web.CodeKeyReused {
		t.Errorf("the key with another body: %d %s", a.status, a.body)
	}
	if a := d.do("POST", "/v1/topics/alerts/messages", "hello", "Idempotency-Key: abc"); a.status != 422 {
		t.Errorf("the key with another topic: %d %s", a.status, a.body)
	}
	if a := d.do("POST", "/v1/topics/commons/messages", "hello", "Idempotency-Key: "+strings.Repeat("k", 201)); a.status != 400 {
		t.Errorf("a huge key: %d %s", a.status, a.body)
	}
	guest := open(t, s, -1, lan)
	if a := guest.do("POST", "/v1/topics/commons/messages", "hello", "Idempotency-Key: abc"); a.status != 202 || a.body == answers[0].body {
		t.Errorf("another caller's key of the same name: %d %s", a.status, a.body)
	}
}

func TestIdempotencyAfterAFailure(t *testing.T) {
	s, n := newServer(t, nil)
	d := open(t, s, os.Getuid(), socket)
	n.Fail(mesh.ErrBusy)
	if a := d.do("POST", "/v1/topics/commons/messages", "hello", "Idempotency-Key: abc"); a.status != 503 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	n.Fail(nil)
	if a := d.do("POST", "/v1/topics/commons/messages", "hello", "Idempotency-Key: abc"); a.status != 202 {
		t.Errorf("the same again: %d %s", a.status, a.body)
	}
}

// lostAnswer is a node that keeps a message and then fails to say so, as one
// does that is killed in between.
type lostAnswer struct{ *webtest.Node }

func (n lostAnswer) Publish(ctx context.Context, p web.Post) (*mesh.Record, error) {
	if _, err := n.Node.Publish(ctx, p); err != nil {
		return nil, err
	}
	return nil, errors.New("killed")
}

// TestIdempotencySurvivesACrash: the node dies after the message is on disk
// and before the answer; the next life finds the message again.
func TestIdempotencySurvivesACrash(t *testing.T) {
	desk := &shelf{values: map[string][]byte{}}
	n := webtest.New(newKey(t, 3), nil)
	first := run(t, func(c *web.Config) { c.Shelf, c.Node = desk, lostAnswer{n} })
	m := web.Message{Topic: "commons", Text: "hello", Key: "abc"}
	if _, err := first.client.Publish(t.Context(), m); err == nil {
		t.Fatal("the lost answer arrived")
	}
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	second := run(t, func(c *web.Config) { c.Shelf, c.Node = desk, n })
	for range 2 {
		receipt, err := second.client.Publish(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		if n.Posts() != 1 {
			t.Errorf("published %d times", n.Posts())
		}
		for r := range n.Records(t.Context(), mesh.Filter{}, mesh.Self) {
			if r.Event.ID().String() != receipt.ID {
				t.Errorf("receipt for %s, kept is %s", receipt.ID, r.Event.ID())
			}
		}
	}
	m.Key = "another"
	if _, err := second.client.Publish(t.Context(), m); err != nil || n.Posts() != 2 {
		t.Errorf("the same text with another key: %v, published %d times", err, n.Posts())
	}
}

// TestIdempotencyBeforeACrash: the node dies before the message is kept; the
// next life publishes it.
func TestIdempotencyBeforeACrash(t *testing.T) {
	desk := &shelf{values: map[string][]byte{}}
	n := webtest.New(newKey(t, 3), nil)
	n.Fail(errors.New("killed"))
	first := run(t, func(c *web.Config) { c.Shelf, c.Node = desk, n })
	m := web.Message{Topic: "commons", Text: "hello", Key: "abc"}
	if _, err := first.client.Publish(t.Context(), m); err == nil {
		t.Fatal("a broken node published")
	}
	first.stop()
	n.Fail(nil)
	second := run(t, func(c *web.Config) { c.Shelf, c.Node = desk, n })
	if _, err := second.client.Publish(t.Context(), m); err != nil || n.Posts() != 2 {
		t.Errorf("the next life: %v, Publish was called %d times, want 2", err, n.Posts())
	}
}

func TestIdempotencyKeysAreForgotten(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	desk := &shelf{values: map[string][]byte{}}
	s, _ := newServer(t, func(c *web.Config) {
		c.Shelf = desk
		c.Clock = func() time.Time { return now }
	})
	claim := func(key string) (done bool) {
		t.Helper()
		done, err := s.Claim(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		return done
	}
	for i := range web.MaxKeys + 10 {
		claim(fmt.Sprint(i))
	}
	if s.Keys() != web.MaxKeys || len(desk.values) != web.MaxKeys {
		t.Errorf("%d keys in memory, %d on the shelf, want %d", s.Keys(), len(desk.values), web.MaxKeys)
	}
	if claim("0") {
		t.Error("the oldest key is still known beyond the bound")
	}
	if !claim("20") {
		t.Error("a key within the bound is forgotten")
	}
	now = now.Add(web.KeepKeys)
	claim("new")
	if s.Keys() != 1 || len(desk.values) != 1 {
		t.Errorf("after a day %d keys in memory, %d on the shelf, want 1", s.Keys(), len(desk.values))
	}
	if claim("20") {
		t.Error("a key is still known after a day")
	}

	// What cannot be taken off the shelf holds up neither the key nor those after it.
	now = now.Add(web.KeepKeys)
	desk.stuck = errors.New("disk full")
	if _, err := s.Claim(t.Context(), "late"); !errors.Is(err, desk.stuck) {
		t.Fatalf("a claim with a shelf that is stuck: %v", err)
	}
	desk.stuck = nil
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if done, err := s.Claim(ctx, "late"); done || err != nil {
		t.Errorf("the key again: %t, %v", done, err)
	}
	now = now.Add(web.KeepKeys)
	claim("next")
	if s.Keys() != 1 {
		t.Errorf("%d keys in memory after another day, want 1", s.Keys())
	}
}

func TestIdempotencyNeedsItsShelf(t *testing.T) {
	desk := &shelf{values: map[string][]byte{}}
	s, n := newServer(t, func(c *web.Config) { c.Shelf = desk })
	d := open(t, s, os.Getuid(), socket)
	desk.fail = errors.New("disk full")
	if a := d.do("POST", "/v1/topics/commons/messages", "hello", "Idempotency-Key: abc"); a.status != 500 || n.Posts() != 0 {
		t.Errorf("with a full disk: %d %s, published %d times", a.status, a.body, n.Posts())
	}
	desk.fail = nil
	if a := d.do("POST", "/v1/topics/commons/messages", "hello", "Idempotency-Key: abc"); a.status != 202 {
		t.Errorf("with room again: %d %s", a.status, a.body)
	}
}
