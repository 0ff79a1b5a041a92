package bootstrap

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"drey/mesh"
)

// How long a joiner is patient.
const (
	headStart   = 500 * time.Millisecond // before the next address is tried beside the first
	connectTime = 5 * time.Second        // for one address to accept
	answerTime  = 20 * time.Second       // for one whole question and answer
)

// sealedType is the media type of what is sealed, both ways.
const sealedType = "application/octet-stream"

// A Self is the machine that wants to join.
type Self struct {
	Identity *mesh.Identity
	Name     string          // what people will call it
	Record   mesh.PeerRecord // what it says about itself; Join adds the community and signs

	// Progress, if not nil, is told in a short sentence what is going on.
	Progress func(string)
	// Confirm, if not nil, sees what joining means before anything is redeemed;
	// an error ends the attempt and is returned.
	Confirm func(*Preview) error
}

func (s *Self) progress(format string, args ...any) {
	if s.Progress != nil {
		s.Progress(fmt.Sprintf(format, args...))
	}
}

// Peek asks the inviting machine what an invite is for, without redeeming it.
// Errors are as Join's.
func Peek(ctx context.Context, v *mesh.Invite, self *Self) (*Preview, error) {
	v, err := met(ctx, v)
	if err != nil {
		return nil, err
	}
	p, _, err := peek(ctx, v, self)
	return p, err
}

// Join redeems an invite at the first of its web endpoints that answers as the
// inviting machine. Underlay endpoints are not asked: an exchange over them
// has its place here, beside the web's, and needs no other bytes.
//
// To join again with the same identity, after a crash on either side, gives
// the same welcome. The events' signatures are checked; whether they admit
// this machine is for a roster.Book to say. An invite with nothing but an
// address asks for admission there: ErrWaiting until an admin says yes. Errors are a *JoinError, Confirm's
// error, or one of ctx.
func Join(ctx context.Context, v *mesh.Invite, self *Self) (*Welcome, error) {
	if err := mesh.CheckName(self.Name); err != nil {
		return nil, err
	}
	v, err := met(ctx, v)
	if err != nil {
		return nil, err
	}
	p, door, err := peek(ctx, v, self)
	if err != nil {
		return nil, err
	}
	if self.Confirm != nil {
		if err := self.Confirm(p); err != nil {
			return nil, err
		}
	}
	j, err := self.joiner(p.Community)
	if err != nil {
		return nil, err
	}
	verb := byte(verbJoin)
	if v.Token == (mesh.InviteToken{}) {
		verb = verbAsk
		self.progress("asking to belong to %s", p.Community.Name)
	} else {
		self.progress("joining %s", p.Community.Name)
	}
	b, err := ask(ctx, door, v, self, &request{verb: verb, token: v.Token, joiner: *j})
	if err == nil {
		var w *Welcome
		if w, err = checkWelcome(b, v, p); err == nil {
			w.Own = j.Record
			return w, nil
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return nil, &JoinError{Reason: err, Attempts: []Attempt{{door, err}}}
}

// joiner signs what the inviter needs to know.
func (s *Self) joiner(c mesh.Community) (*Joiner, error) {
	r := s.Record
	r.Community = [8]byte(c.ID[:8])
	signed, err := s.Identity.SignPeerRecord(r)
	if err != nil {
		return nil, err
	}
	binding, err := s.Identity.Bind(r.Community)
	if err != nil {
		return nil, err
	}
	return &Joiner{Name: s.Name, Record: signed, Binding: binding}, nil
}

// checkWelcome reads a welcome and compares it with what was promised.
func checkWelcome(b []byte, v *mesh.Invite, p *Preview) (*Welcome, error) {
	w, err := parseWelcome(b)
	if err != nil {
		return nil, err
	}
	if w.Membership.Community != p.Community {
		return nil, errors.New("welcome: it is to another community than the preview said")
	}
	if w.Inviter.Node != v.Node {
		return nil, errors.New("welcome: the record is not the inviter's")
	}
	if err := w.Inviter.Verify(); err != nil {
		return nil, fmt.Errorf("welcome: %w", err)
	}
	for _, e := range w.Events {
		if err := e.Verify(); err != nil {
			return nil, fmt.Errorf("welcome: %w", err)
		}
	}
	return w, nil
}

// peek asks all doors, each a little after the one before it, and returns the
// first good answer and the door that gave it.
func peek(ctx context.Context, v *mesh.Invite, self *Self) (*Preview, mesh.Endpoint, error) {
	var doors []mesh.Endpoint
	for _, e := range v.Endpoints {
		if e.Scheme.Web() {
			doors = append(doors, e)
		}
	}
	type result struct {
		door mesh.Endpoint
		p    *Preview
		err  error
	}
	var asking sync.WaitGroup
	defer asking.Wait()
	within, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan result, len(doors))
	var attempts []Attempt
	next := time.NewTimer(0)
	defer next.Stop()
	for asked := 0; len(attempts) < len(doors); {
		var start <-chan time.Time
		if asked < len(doors) {
			start = next.C
		}
		select {
		case <-ctx.Done():
			return nil, mesh.Endpoint{}, ctx.Err()
		case <-start:
			door := doors[asked]
			asked++
			self.progress("asking %s", door)
			asking.Go(func() {
				p, err := peekAt(within, door, v, self)
				results <- result{door, p, err} // there is room for all
			})
			next.Reset(headStart)
		case r := <-results:
			if r.err == nil {
				return r.p, r.door, nil
			}
			attempts = append(attempts, Attempt{r.door, r.err})
			next.Reset(0)
		}
	}
	if ctx.Err() != nil { // the last answer and the end came at once
		return nil, mesh.Endpoint{}, ctx.Err()
	}
	return nil, mesh.Endpoint{}, &JoinError{Reason: reasonOf(attempts), Attempts: attempts}
}

func peekAt(ctx context.Context, door mesh.Endpoint, v *mesh.Invite, self *Self) (*Preview, error) {
	b, err := ask(ctx, door, v, self, &request{verb: verbPeek, token: v.Token})
	if err != nil {
		return nil, err
	}
	return parsePreview(b)
}

// reasonOf returns the most telling reason of all attempts.
func reasonOf(attempts []Attempt) error {
	for _, w := range words {
		if slices.ContainsFunc(attempts, func(a Attempt) bool { return errors.Is(a.Err, w.err) }) {
			return w.err
		}
	}
	if slices.ContainsFunc(attempts, func(a Attempt) bool { return errors.Is(a.Err, ErrNoDrey) }) {
		return ErrNoDrey
	}
	return ErrUnreachable
}

// ask sends one sealed request to a door and opens the answer.
func ask(ctx context.Context, door mesh.Endpoint, v *mesh.Invite, self *Self, q *request) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	body, hs, err := appendRequest(nil, self.Identity.Node, v, q)
	if err != nil {
		return nil, err
	}
	answer, err := post(ctx, door, body)
	if err != nil {
		return nil, err
	}
	defer answer.Close()
	plain, err := readAnswer(answer, hs)
	if errors.Is(err, errSeal) {
		return nil, ErrSeal
	}
	return plain, err
}

// post sends one request to a door and returns the body of a good answer.
func post(ctx context.Context, door mesh.Endpoint, body []byte) (io.ReadCloser, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, door.String()+"/J/", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", sealedType)
	transport := &http.Transport{
		DialContext:            (&net.Dialer{Timeout: connectTime}).DialContext,
		TLSHandshakeTimeout:    connectTime,
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: 16 << 10,
		// The seal proves who answers; a node's certificate is signed by nobody.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answer, err := client.Do(r)
	if err != nil {
		return nil, cause(err)
	}
	switch {
	case answer.StatusCode != http.StatusOK:
		err = refusal(answer)
	case answer.Header.Get("Content-Type") != sealedType:
		err = ErrNoDrey
	default:
		return answer.Body, nil
	}
	answer.Body.Close()
	return nil, err
}

// cause takes the method and address off an HTTP error: the attempt has them.
func cause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("no answer in time")
	}
	return errors.Unwrap(err)
}

// refusal reads the word by which an inviter says no.
func refusal(answer *http.Response) error {
	b, _ := io.ReadAll(io.LimitReader(answer.Body, 64))
	said := strings.TrimSpace(string(b))
	for _, w := range words {
		if w.text == said && w.status == answer.StatusCode {
			return w.err
		}
	}
	if said == "internal" {
		return errors.New("the inviting machine has a problem of its own; its log tells which")
	}
	return fmt.Errorf("%w (status %d)", ErrNoDrey, answer.StatusCode)
}
