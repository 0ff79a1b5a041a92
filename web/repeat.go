package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"drey/mesh"
)

// Bounds of answers that are kept for requests that are sent again.
const (
	maxRepeats    = 512
	maxRepeatSize = 16 << 10 // bytes of an answer; larger ones are not kept
	keepRepeats   = time.Hour
)

// repeats makes a managing request that comes again with the same
// Idempotency-Key act once: the first answer is given again. They live in
// memory alone, as some answers hold secrets; messages, and what must not happen
// twice, have a memory that lasts (see idempotency).
type repeats struct {
	now func() time.Time // immutable

	mu struct {
		sync.Mutex
		byName map[[32]byte]*repeat
		order  [][32]byte // oldest first
	}
}

// A repeat is one key with its answer.
type repeat struct {
	body   [32]byte      // SHA-256 of the request's; immutable
	at     time.Time     // immutable
	done   chan struct{} // closed when the rest is set
	status int           // 0: there is no answer to give again
	kind   string
	answer []byte

	location string // where the answer sends a browser
}

func newRepeats(now func() time.Time) *repeats {
	r := &repeats{now: now}
	r.mu.byName = make(map[[32]byte]*repeat)
	return r
}

// acting lets a route that makes something act once per Idempotency-Key, as
// long as the answer is remembered. What it makes is no worse when it is made
// again after that: the same setting, another code that nobody has seen.
func (s *Server) acting(handle func(http.ResponseWriter, *http.Request, caller) error) func(http.ResponseWriter, *http.Request, caller) error {
	return s.actingBy(handle, false)
}

// actingEver is acting for what must not happen twice, whether or not the node
// was restarted in between.
func (s *Server) actingEver(handle func(http.ResponseWriter, *http.Request, caller) error) func(http.ResponseWriter, *http.Request, caller) error {
	return s.actingBy(handle, true)
}

func (s *Server) actingBy(handle func(http.ResponseWriter, *http.Request, caller) error, ever bool) func(http.ResponseWriter, *http.Request, caller) error {
	return func(w http.ResponseWriter, r *http.Request, c caller) error {
		key := r.Header.Get("Idempotency-Key")
		if key == "" {
			return handle(w, r, c)
		}
		if len(key) > maxKeySize {
			return usage(fmt.Errorf("Idempotency-Key of %d bytes, limit %d", len(key), maxKeySize))
		}
		body, err := readBody(w, r, maxMailBody) // a route that takes less says so itself
		if err != nil {
			return err
		}
		r.Body = http.NoBody
		if len(body) > 0 {
			r.Body = replayedBody{bytes.NewReader(body)}
		}
		who := c.scope.String() + "\x00" + c.peer + "\x00" + r.Method + r.URL.RequestURI()
		act := func(w http.ResponseWriter) error { return handle(w, r, c) }
		if ever {
			act = s.everOnce(r.Context(), who, key, sha256.Sum256(body), act)
		}
		return s.actOnce(w, r, sha256.Sum256([]byte(who+"\x00"+key)), sha256.Sum256(body), act)
	}
}

// everOnce makes an act refuse a key that the node's shelf says was used. The
// answer of then is not there: it may have held secrets.
func (s *Server) everOnce(ctx context.Context, who, key string, body [32]byte, act func(http.ResponseWriter) error) func(http.ResponseWriter) error {
	return func(w http.ResponseWriter) (err error) {
		claim, err := s.once.claim(ctx, who, key, body)
		if err != nil {
			return err
		}
		if claim.done || claim.uncertain {
			if !claim.done {
				s.once.abandon(ctx, claim, true)
			}
			return NewError(CodeKeySpent, "this was asked for before", "the machine has been restarted since, or it was long ago, and the answer is forgotten",
				"look whether it was done; to have it done again use a new key", nil).in("key-spent")
		}
		rec := &recorder{ResponseWriter: w, status: http.StatusOK}
		certain := false // that nothing was done
		defer func() {
			if err == nil && rec.status < 400 {
				s.once.finish(claim, mesh.EventID{})
				return
			}
			s.once.abandon(ctx, claim, !certain)
		}()
		err = act(rec)
		certain = err != nil && refusal(err) || err == nil && rec.status < 500
		return err
	}
}

// actOnce has act answer the first request with a name; those after it get the
// same answer.
func (s *Server) actOnce(w http.ResponseWriter, r *http.Request, name, body [32]byte, act func(http.ResponseWriter) error) error {
	x, first := s.repeats.claim(name, body)
	if first {
		return s.repeats.perform(name, x, w, act)
	}
	if x.body != body {
		return NewError(CodeKeyReused, "this Idempotency-Key was used for another request", "the body differs", "use a new key for each request", nil)
	}
	select {
	case <-x.done:
	case <-r.Context().Done():
		return r.Context().Err()
	}
	if x.status == 0 {
		return NewError(CodeBusy, "the first request with this Idempotency-Key failed", "", "send it again", nil)
	}
	w.Header().Set("Content-Type", x.kind)
	if x.location != "" {
		w.Header().Set("Location", x.location)
	}
	w.WriteHeader(x.status)
	w.Write(x.answer)
	return nil
}

// replayedBody is a body that was read already.
type replayedBody struct{ *bytes.Reader }

// Close does nothing.
func (replayedBody) Close() error { return nil }

// claim takes a key; first says that nobody had it.
func (p *repeats) claim(name, body [32]byte) (x *repeat, first bool) {
	now := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.mu.order) > 0 {
		oldest := p.mu.byName[p.mu.order[0]]
		if len(p.mu.order) < maxRepeats && now.Sub(oldest.at) < keepRepeats {
			break
		}
		delete(p.mu.byName, p.mu.order[0])
		p.mu.order = p.mu.order[1:]
	}
	if x := p.mu.byName[name]; x != nil {
		return x, false
	}
	x = &repeat{body: body, at: now, done: make(chan struct{})}
	p.mu.byName[name] = x
	p.mu.order = append(p.mu.order, name)
	return x, true
}

// perform acts and keeps the answer. What failed may be tried again with the
// same key.
func (p *repeats) perform(name [32]byte, x *repeat, w http.ResponseWriter, act func(http.ResponseWriter) error) error {
	rec := &recorder{ResponseWriter: w, status: http.StatusOK}
	finished := false
	defer func() {
		p.mu.Lock()
		if finished && rec.status < 400 && rec.body.Len() <= maxRepeatSize {
			x.status, x.kind, x.answer, x.location = rec.status, w.Header().Get("Content-Type"), rec.body.Bytes(), w.Header().Get("Location")
		} else if p.mu.byName[name] == x {
			delete(p.mu.byName, name)
			p.mu.order = slices.DeleteFunc(p.mu.order, func(n [32]byte) bool { return n == name })
		}
		p.mu.Unlock()
		close(x.done)
	}()
	err := act(rec)
	finished = err == nil
	return err
}

// recorder passes an answer on and remembers it.
type recorder struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

// WriteHeader passes the status on.
func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Write passes bytes on, and remembers as many as may be kept.
func (r *recorder) Write(b []byte) (int, error) {
	if r.body.Len() <= maxRepeatSize {
		r.body.Write(b[:min(len(b), maxRepeatSize+1)])
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
