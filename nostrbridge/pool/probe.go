package pool

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http/httptrace"
	"slices"
	"strconv"
	"sync"
	"time"

	"drey/mesh"
	"drey/mesh/negentropy"
)

// A Step is one thing that Test tried.
type Step struct {
	Name   string // see Test
	Result Result
	Took   time.Duration
	Says   string // what was found, or why it failed
}

// A Result is how a step ended.
type Result string

// The results.
const (
	Works  Result = "ok"
	Fails  Result = "failed"
	Absent Result = "none" // the relay does not offer it, or it was not needed
)

const (
	testFor  = 60 * time.Second // for all steps
	testLife = 10 * time.Minute // of the event that is written, if the relay does not delete it
	testName = "drey/test"      // its "d" tag
)

// Test tries a relay, which need not be in the list, over a connection of its
// own and returns the steps in order: "name" (DNS), "connect" (TCP), "tls",
// "websocket", "about" (NIP-11), "write" (an event of kind 30078 that expires
// in 10 min and is deleted at the end), "sign in" (NIP-42, Absent where nobody
// asked), "read" (the event comes back) and "sync" (NIP-77). Steps that
// depend on one that failed are left out. It returns an error only for what is
// no address.
func (p *Pool) Test(ctx context.Context, url string) ([]Step, error) {
	at, err := Normalize(url)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, testFor)
	defer cancel()
	t := &trial{began: time.Now()}
	r := newRelay(p, at)
	r.mu.visit = true
	c, err := dial(httptrace.WithClientTrace(ctx, t.trace()), r)
	t.dialled(err)
	if err != nil {
		return t.steps, nil
	}
	var serving sync.WaitGroup
	serving.Go(func() { c.serve(func() {}) })
	defer serving.Wait()
	defer c.close(errIdle)
	r.move(Connected, c, nil, time.Time{})
	t.about(c)
	if p.c.Signer != nil {
		t.use(ctx, r, c, p.c.Signer)
	}
	return t.steps, nil
}

// A trial gathers steps.
type trial struct {
	steps []Step

	mu     sync.Mutex // the dialler's traces come from its goroutines
	began  time.Time  // of the step in progress
	traced []Step
}

func (t *trial) add(name string, err error, says string, args ...any) {
	s := Step{Name: name, Result: Works, Took: time.Since(t.began), Says: clip(fmt.Sprintf(says, args...))}
	if err != nil {
		s.Result, s.Says = Fails, clip(err.Error())
	}
	t.steps = append(t.steps, s)
	t.began = time.Now()
}

func (t *trial) none(name, why string) {
	t.steps = append(t.steps, Step{Name: name, Result: Absent, Says: why})
	t.began = time.Now()
}

// trace times what happens below the websocket.
func (t *trial) trace() *httptrace.ClientTrace {
	note := func(name string, err error, says string) {
		t.mu.Lock()
		defer t.mu.Unlock()
		if i := slices.IndexFunc(t.traced, func(s Step) bool { return s.Name == name }); i >= 0 {
			if err != nil || t.traced[i].Result == Works {
				return // a second address is tried where the first one failed
			}
			t.traced = slices.Delete(t.traced, i, i+1)
		}
		s := Step{Name: name, Result: Works, Took: time.Since(t.began), Says: says}
		if err != nil {
			s.Result, s.Says = Fails, clip(err.Error())
		}
		t.traced = append(t.traced, s)
		t.began = time.Now()
	}
	return &httptrace.ClientTrace{
		DNSDone: func(i httptrace.DNSDoneInfo) {
			says := ""
			for n, a := range i.Addrs {
				if n == 3 {
					says += " …"
					break
				}
				says += " " + a.String()
			}
			if i.Err == nil && says != "" {
				says = says[1:]
			}
			note("name", i.Err, says)
		},
		ConnectDone: func(_, address string, err error) { note("connect", err, address) },
		TLSHandshakeDone: func(s tls.ConnectionState, err error) {
			note("tls", err, tls.VersionName(s.Version))
		},
	}
}

// dialled ends the steps of the dialler.
func (t *trial) dialled(err error) {
	t.mu.Lock()
	t.steps = slices.Clone(t.traced)
	t.mu.Unlock()
	if err != nil && slices.ContainsFunc(t.steps, func(s Step) bool { return s.Result == Fails }) {
		return // it is said where it failed
	}
	t.add("websocket", err, "")
}

func (t *trial) about(c *conn) {
	<-c.learnt
	i := c.r.information()
	switch {
	case i.Name == "" && i.Software == "" && i.NIPs == nil:
		t.none("about", "the relay tells nothing about itself")
	default:
		t.add("about", nil, "%s %s, NIPs %s%s", i.Name, i.Software, numbers(i.NIPs), terms(i))
	}
}

func numbers(all []int) string {
	s := ""
	for _, n := range all {
		s += " " + strconv.Itoa(n)
	}
	if s == "" {
		return "none"
	}
	return s[1:]
}

func terms(i Info) string {
	switch {
	case i.Payment:
		return "; it wants payment"
	case i.Restricted:
		return "; not everybody may write"
	case i.SignIn:
		return "; it wants a key proved"
	}
	return ""
}

// use writes, reads back and cleans up.
func (t *trial) use(ctx context.Context, r *relay, c *conn, by mesh.Signer) {
	now := r.p.c.Clock()
	e, err := by.Sign(mesh.Draft{
		CreatedAt: mesh.UnixOf(now), Kind: mesh.KindPeerRecord, Content: "test",
		Tags: [][]string{{"d", testName}, {"expiration", strconv.FormatInt(now.Add(testLife).Unix(), 10)}},
	})
	if err == nil {
		err = r.publish(ctx, e)
	}
	t.add("write", err, "taken")
	if err != nil {
		t.signed(c, err)
		return
	}
	began := time.Now()
	shown, err := c.shows(ctx, e)
	if err == nil && !shown && c.challenged() && c.signIn(ctx) {
		// Some show things to whom they know, and do not say that they hide any.
		shown, err = c.shows(ctx, e)
	}
	t.signed(c, err)
	if err == nil && !shown {
		err = errors.New("the relay said OK and does not show the event")
	}
	t.began = began
	t.add("read", err, "came back")
	if err == nil {
		t.sync(ctx, r, c, e)
	}
	if gone, err := by.Sign(mesh.Draft{CreatedAt: mesh.UnixOf(now), Kind: mesh.KindDeletion, Tags: [][]string{{"e", e.ID().String()}, {"k", strconv.Itoa(int(mesh.KindPeerRecord))}}}); err == nil {
		r.publish(ctx, gone) // else it expires
	}
}

// signed tells whether the relay knows this machine's key.
func (t *trial) signed(c *conn, err error) {
	c.mu.Lock()
	signed := c.mu.signed
	c.mu.Unlock()
	no, _ := errors.AsType[*Refusal](err)
	switch {
	case signed:
		t.add("sign in", nil, "the relay knows this machine's key")
	case no != nil && no.Prefix == "auth-required":
		t.add("sign in", errors.New("the relay did not accept the proof of this machine's key"), "")
	default:
		t.none("sign in", "not needed")
	}
}

// shows reports whether the relay holds an event and gives it out.
func (c *conn) shows(ctx context.Context, e *mesh.Event) (shown bool, err error) {
	err = c.pages(ctx, mesh.Filter{IDs: []mesh.EventID{e.ID()}}, func(events []*mesh.Event) error {
		shown = slices.ContainsFunc(events, func(got *mesh.Event) bool { return got.ID() == e.ID() && got.Verify() == nil })
		return nil
	})
	return shown, err
}

// sync sees whether reconciliation finds the event that was written.
func (t *trial) sync(ctx context.Context, r *relay, c *conn, e *mesh.Event) {
	if !slices.Contains(r.information().NIPs, nipSync) {
		t.none("sync", "the relay does not offer it; it is asked by filters")
		return
	}
	f := mesh.Filter{Kinds: []mesh.Kind{e.Kind()}, Authors: []mesh.PubKey{e.Author()}, Tags: map[string][]string{"d": {testName}}}
	need, err := c.compare(ctx, f, &negentropy.Set{})
	if err == nil && !slices.Contains(need, e.ID()) {
		err = noSync("it does not tell of the event that it shows")
	}
	t.add("sync", err, "works")
}
