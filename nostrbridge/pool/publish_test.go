package pool

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"drey/mesh"
	"drey/nostrbridge/pool/badrelay"
)

func TestPublish(t *testing.T) {
	inWorld(t, func(w *world) {
		r := w.relay("good.example", badrelay.Behaviour{})
		w.start(r.URL)
		w.state(r.URL, Connected)
		e := note(time.Now(), "hello")
		for range 2 { // the second time it is "duplicate:"
			if err := w.pool.Publish(w.ctx, r.URL, e); err != nil {
				w.Fatal(err)
			}
		}
		if !r.Holds(e.ID()) || r.Heard(e.ID()) != 2 {
			w.Errorf("held %v, heard %d times", r.Holds(e.ID()), r.Heard(e.ID()))
		}
		if s := w.one(r.URL); s.Sent != 2 || s.Name != "bad relay" || s.Software != "badrelay 1" || fmt.Sprint(s.NIPs) != "[1 11 42]" {
			w.Errorf("the relay stands as %+v", s)
		}
	})
}

// A connection that ends before OK is no acknowledgement, whether the relay
// kept the event or not.
func TestDroppedBeforeOKIsNoAcknowledgement(t *testing.T) {
	for _, keeps := range []bool{false, true} {
		inWorld(t, func(w *world) {
			r := w.relay("drops.example", badrelay.Behaviour{Drop: 3, DropKeeps: keeps})
			w.start(r.URL)
			e := note(time.Now(), "hello")
			for i := range 3 {
				if err := w.pool.Publish(w.ctx, r.URL, e); !errors.Is(err, ErrDown) {
					w.Fatalf("attempt %d: %v, want ErrDown", i, err)
				}
				w.sleep(10 * time.Second)
			}
			if err := w.pool.Publish(w.ctx, r.URL, e); err != nil {
				w.Errorf("then: %v", err)
			}
			if s := w.one(r.URL); s.Sent != 1 || s.Refused != 0 {
				w.Errorf("%d sent, %d refused", s.Sent, s.Refused)
			}
		})
	}
}

func TestSilenceIsNoAcknowledgement(t *testing.T) {
	inWorld(t, func(w *world) {
		mute := w.relay("mute.example", badrelay.Behaviour{Mute: true})
		slow := w.relay("slow.example", badrelay.Behaviour{Delay: 5 * time.Second})
		w.start(mute.URL, slow.URL)
		began := time.Now()
		if err := w.pool.Publish(w.ctx, mute.URL, note(began, "x")); !errors.Is(err, ErrSilent) || !errors.Is(err, ErrDown) || time.Since(began) != okTimeout {
			w.Errorf("mute: %v after %v", err, time.Since(began))
		}
		began = time.Now()
		if err := w.pool.Publish(w.ctx, slow.URL, note(began, "x")); err != nil || time.Since(began) != 5*time.Second {
			w.Errorf("slow: %v after %v", err, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(w.ctx, time.Second)
		defer cancel()
		if err := w.pool.Publish(ctx, mute.URL, note(began, "y")); !errors.Is(err, context.DeadlineExceeded) {
			w.Errorf("with a deadline: %v", err)
		}
		for url := range map[string]bool{mute.URL: true, slow.URL: true} {
			r, _ := w.pool.find(url)
			c, _ := r.current()
			c.mu.Lock()
			n := len(c.mu.verdicts)
			c.mu.Unlock()
			if n != 0 {
				w.Errorf("%s: %d verdicts are still awaited", url, n)
			}
		}
	})
}

// The table of the package comment.
func TestRefusals(t *testing.T) {
	for _, tt := range []struct {
		text, prefix string
		again        bool
		after        time.Duration
	}{
		{"rate-limited: slow down", "rate-limited", true, firstPace},
		{"auth-required: who?", "auth-required", true, 10 * time.Minute},
		{"restricted: members only", "restricted", true, time.Hour},
		{"pow: 28 bits needed", "pow", true, time.Hour},
		{"error: disk full", "error", true, time.Minute},
		{"we are closed", "", true, 10 * time.Minute},
		{"blocked: you are banned", "blocked", false, 0},
		{"invalid: created_at is too old", "invalid", false, 0},
		{"mute: nobody listens", "mute", false, 0},
		{"powerful: x", "", true, 10 * time.Minute},
	} {
		inWorld(t, func(w *world) {
			r := w.relay("no.example", badrelay.Behaviour{Refuse: func(*mesh.Event) string { return tt.text }})
			w.start(r.URL)
			err := w.pool.Publish(w.ctx, r.URL, note(time.Now(), "x"))
			no, ok := errors.AsType[*Refusal](err)
			if !ok {
				w.Fatalf("%q gave %v", tt.text, err)
			}
			after, again := no.Retry()
			if no.Prefix != tt.prefix || again != tt.again || after != tt.after || !strings.Contains(err.Error(), no.Message) {
				w.Errorf("%q was read as %q %q, again %v after %v", tt.text, no.Prefix, no.Message, again, after)
			}
			if s := w.one(r.URL); s.Refused != 1 || s.Sent != 0 {
				w.Errorf("%q: %d sent, %d refused", tt.text, s.Sent, s.Refused)
			}
		})
	}
}

func TestRefusalIsShownPlainly(t *testing.T) {
	no := parseRefusal("blocked: \x1b[31m" + strings.Repeat("é", 500) + "\xff\n")
	if no.Prefix != "blocked" || len([]rune(no.Message)) != 200 || !utf8.ValidString(no.Message) || strings.ContainsAny(no.Message, "\x1b\n") {
		t.Errorf("%q", no.Message)
	}
}

func TestOldEventsAreRefusedForGood(t *testing.T) {
	inWorld(t, func(w *world) {
		r := w.relay("young.example", badrelay.Behaviour{MaxAge: time.Hour})
		w.start(r.URL)
		err := w.pool.Publish(w.ctx, r.URL, note(time.Now().Add(-2*time.Hour), "old"))
		no, ok := errors.AsType[*Refusal](err)
		if !ok || no.Prefix != "invalid" {
			w.Fatal(err)
		}
		if _, again := no.Retry(); again {
			w.Error("it is to be offered again")
		}
	})
}

func TestTooLargeIsRefusedHere(t *testing.T) {
	inWorld(t, func(w *world) {
		r := w.relay("small.example", badrelay.Behaviour{Info: `{"limitation":{"max_message_length":"1000"}}`})
		w.start(r.URL)
		e := note(time.Now(), strings.Repeat("x", 1000))
		no, ok := errors.AsType[*Refusal](w.pool.Publish(w.ctx, r.URL, e))
		if !ok || no.Prefix != "invalid" || r.Heard(e.ID()) != 0 {
			w.Errorf("%v, heard %d times", no, r.Heard(e.ID()))
		}
	})
}

func TestSignIn(t *testing.T) {
	inWorld(t, func(w *world) {
		yes := w.relay("asks.example", badrelay.Behaviour{SignIn: true})
		no := w.relay("accepts-none.example", badrelay.Behaviour{SignIn: true, SignInNo: true})
		held := note(time.Now(), "held")
		yes.Put(held)
		w.start(yes.URL, no.URL)
		errs := make(chan error)
		for i := range 5 { // all of them ask for the same proof
			go func() { errs <- w.pool.Publish(w.ctx, yes.URL, note(time.Now(), fmt.Sprint(i))) }()
		}
		for range 5 {
			if err := <-errs; err != nil {
				w.Error(err)
			}
		}
		e, err := one(w, yes.URL, mesh.Filter{IDs: []mesh.EventID{held.ID()}})
		if err != nil || e == nil {
			w.Errorf("reading gave %v, %v", e, err)
		}
		refusal, ok := errors.AsType[*Refusal](w.pool.Publish(w.ctx, no.URL, held))
		if !ok || refusal.Prefix != "auth-required" {
			w.Errorf("who is not known: %v", refusal)
		}
		if _, err := one(w, no.URL, mesh.Filter{}); err == nil || !strings.HasPrefix(err.Error(), "auth-required") {
			w.Errorf("reading: %v", err)
		}
	})
}

// Announcements go under keys of a day: the machine's own is not shown there.
func TestNoSignInWhereAnnouncementsGo(t *testing.T) {
	inWorld(t, func(w *world) {
		r := w.relay("asks.example", badrelay.Behaviour{SignIn: true})
		w.conf.Side = []string{r.URL}
		w.start()
		no, ok := errors.AsType[*Refusal](w.pool.Publish(w.ctx, r.URL, note(time.Now(), "x")))
		if !ok || no.Prefix != "auth-required" || !w.one(r.URL).Side {
			w.Errorf("%v, %+v", no, w.one(r.URL))
		}
	})
}

// one returns the first event that Fetch yields.
func one(w *world, url string, f mesh.Filter) (*mesh.Event, error) {
	for e, err := range w.pool.Fetch(w.ctx, url, f) {
		return e, err
	}
	return nil, nil
}

// A relay's limit is learnt: nothing is lost, few are refused, and it takes
// little longer than the limit demands.
func TestPaceIsLearnt(t *testing.T) {
	for _, rate := range []float64{6, 0.1} {
		inWorld(t, func(w *world) {
			r := w.relay("limits.example", badrelay.Behaviour{Rate: rate, Burst: 5})
			w.start(r.URL)
			began := time.Now()
			events := numbered(150, began, "paced")
			refused := 0
			for _, e := range events {
				for {
					err := w.pool.Publish(w.ctx, r.URL, e)
					if err == nil {
						break
					}
					no, ok := errors.AsType[*Refusal](err)
					if !ok {
						w.Fatal(err)
					}
					after, _ := no.Retry()
					refused++
					w.sleep(after)
				}
			}
			least := time.Duration(float64(len(events)) / rate * float64(time.Second))
			took := time.Since(began)
			if len(r.Events()) != len(events) || refused > len(events)/5 || took > least*3/2 {
				w.Errorf("%v/s: %d of %d held, %d refused, %v where %v would do", rate, len(r.Events()), len(events), refused, took, least)
			}
			w.Logf("%v/s: %d events in %v (at least %v), %d refused, pace %v", rate, len(events), took, least, refused, w.one(r.URL).Pace)
		})
	}
}

func TestPublishWhereNothingRuns(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start("ws://nobody.example")
		e := note(time.Now(), "x")
		for url, want := range map[string]error{"ws://nobody.example": ErrDown, "ws://elsewhere.example": ErrDown, "ftp://x": ErrURL, "": ErrURL} {
			if err := w.pool.Publish(w.ctx, url, e); !errors.Is(err, want) {
				w.Errorf("%q: %v, want %v", url, err, want)
			}
		}
		w.end()
		if err := w.pool.Publish(context.Background(), "ws://nobody.example", e); !errors.Is(err, ErrDown) {
			w.Errorf("after the end: %v", err)
		}
	})
}

// A relay that is not in the list is connected to for as long as it is used.
func TestVisits(t *testing.T) {
	inWorld(t, func(w *world) {
		r := w.relay("theirs.example", badrelay.Behaviour{})
		w.start()
		for i := range 3 {
			if err := w.pool.Publish(w.ctx, r.URL, note(time.Now(), fmt.Sprint(i))); err != nil {
				w.Fatal(err)
			}
			w.sleep(visitIdle / 2)
		}
		if n := r.Counts(); n.Dials != 1 || n.Open != 1 {
			w.Errorf("three events within a visit took %d connections, %d are open", n.Dials, n.Open)
		}
		if len(w.pool.Relays()) != 0 || w.pool.Health() != Off {
			w.Errorf("a visit is listed: %v", w.pool.Relays())
		}
		w.sleep(2 * visitIdle)
		if n := r.Counts().Open; n != 0 || w.known() != 0 {
			w.Errorf("after the visit %d connections are open, %d relays known", n, w.known())
		}
		if err := w.pool.Publish(w.ctx, r.URL, note(time.Now(), "again")); err != nil {
			w.Error(err)
		}
		for i := range maxVisits {
			err := w.pool.Publish(w.ctx, fmt.Sprintf("ws://gone%d.example", i), note(time.Now(), "x"))
			if !errors.Is(err, ErrDown) {
				w.Errorf("visit %d: %v", i, err)
			}
		}
		if n := w.known(); n != maxVisits {
			w.Errorf("%d visits at one time, limit %d", n, maxVisits)
		}
		w.sleep(4 * visitIdle)
		if n := w.known(); n != 0 {
			w.Errorf("%d visits never end", n)
		}
	})
}

// Addresses that come from strangers lead to the internet only.
func TestVisitsStayOutside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config{Log: discard, Clock: time.Now})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.Run(ctx) }()
		synctest.Wait()
		if err := p.Publish(ctx, "ws://relay.example", note(time.Now(), "x")); !errors.Is(err, ErrURL) {
			t.Errorf("without TLS: %v", err)
		}
		stop()
		<-done
	})
	for at, want := range map[string]bool{
		"127.0.0.1:443": false, "10.0.0.1:443": false, "192.168.1.1:443": false, "169.254.169.254:443": false, "100.64.1.1:443": false,
		"0.0.0.0:443": false, "[::1]:443": false, "[fe80::1]:443": false, "[fd00::1]:443": false, "[200::1]:443": false, "[301:a::1]:443": false,
		"[::ffff:10.0.0.1]:443": false, "[64:ff9b::a00:1]:443": false, "224.0.0.1:443": false,
		"203.0.113.5:443": true, "[2001:db8::1]:443": true,
	} {
		if err := onlyPublic(t.Context(), "tcp", at, nil); (err == nil) != want {
			t.Errorf("%s: %v, want allowed %v", at, err, want)
		}
	}
}
