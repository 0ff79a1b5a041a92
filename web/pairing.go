package web

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Bounds of pairing codes.
const (
	codeLetters = 16               // of 32 each: 80 bits
	pairingFor  = 10 * time.Minute // how long one can be used
	maxPairings = 8                // open at once; beyond it the oldest goes
)

// codeAlphabet has no letters that look alike (Crockford's base 32).
const codeAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// pairings are the codes that make a browser the operator's, each once. They
// live in memory alone: a restart ends them.
type pairings struct {
	mu   sync.Mutex
	open []pairing // oldest first
}

type pairing struct {
	sum   [32]byte // of the code's letters
	until time.Time
}

// issue makes a code such as "7KQ2-M0XF-9TBD-E4HV".
func (p *pairings) issue(now time.Time) (code string, until time.Time) {
	var b [codeLetters]byte
	rand.Read(b[:]) // never fails since Go 1.24
	for i := range b {
		b[i] = codeAlphabet[b[i]%32]
	}
	until = now.Add(pairingFor)
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.open) >= maxPairings {
		p.open = p.open[1:]
	}
	p.open = append(p.open, pairing{sha256.Sum256(b[:]), until})
	s := string(b[:])
	return s[:4] + "-" + s[4:8] + "-" + s[8:12] + "-" + s[12:], until
}

// redeem uses a code up and reports whether it was good.
func (p *pairings) redeem(code string, now time.Time) bool {
	letters, ok := codeOf(code)
	if !ok {
		return false
	}
	sum := sha256.Sum256([]byte(letters))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = slices.DeleteFunc(p.open, func(x pairing) bool { return !now.Before(x.until) })
	i := slices.IndexFunc(p.open, func(x pairing) bool { return x.sum == sum })
	if i < 0 {
		return false
	}
	p.open = slices.Delete(p.open, i, i+1)
	return true
}

// codeOf reads a code as people type it.
func codeOf(s string) (letters string, ok bool) {
	if len(s) > 4*codeLetters {
		return "", false
	}
	var b strings.Builder
	for _, r := range strings.ToUpper(s) {
		switch r {
		case '-', ' ', '\t', '\r', '\n':
			continue
		case 'O':
			r = '0'
		case 'I', 'L':
			r = '1'
		}
		if !strings.ContainsRune(codeAlphabet, r) {
			return "", false
		}
		b.WriteRune(r)
	}
	return b.String(), b.Len() == codeLetters
}

// A Pairing lets one browser become the operator's.
type Pairing struct {
	V       int       `json:"v"`
	Code    string    `json:"code"`    // to type at /pair
	URLs    []string  `json:"urls"`    // with the code behind '#', which browsers send nowhere; first for this machine, then for phones
	Expires int64     `json:"expires"` // unix seconds
	TLS     TLSStatus `json:"tls"`     // to compare with what the browser shows
}

// A Session is a browser that is paired with the node.
type Session struct {
	ID     string `json:"id"`
	Label  string `json:"label"` // "Firefox, Android"
	From   string `json:"from"`  // the address where it was last seen
	Made   int64  `json:"made"`  // unix seconds
	Seen   int64  `json:"seen"`  // unix seconds, to within an hour
	Secure bool   `json:"secure"`
	Self   bool   `json:"self,omitempty"` // the one that asks
}

func (s *Server) postPairing(w http.ResponseWriter, r *http.Request, _ caller) error {
	if err := readNothing(w, r); err != nil {
		return err
	}
	addr := s.Listening()
	if addr == nil {
		return NewError("no-door", "there is no page to open", "this node answers on no port", "start it with --web :3739", nil)
	}
	code, until := s.pairings.issue(s.now())
	p := Pairing{V: Version, Code: code, Expires: until.Unix(), TLS: s.tlsStatus()}
	for _, u := range s.pairURLs(addr) {
		p.URLs = append(p.URLs, u+"pair#"+code)
	}
	return sendJSON(w, http.StatusCreated, p)
}

func (s *Server) getSessions(w http.ResponseWriter, _ *http.Request, c caller) error {
	list, err := s.sessionList(c)
	if err != nil {
		return err
	}
	return sendJSON(w, http.StatusOK, struct {
		V        int       `json:"v"`
		Sessions []Session `json:"sessions"`
	}{Version, list})
}

func (s *Server) sessionList(c caller) ([]Session, error) {
	all, err := s.sessions.all(s.now())
	if err != nil {
		return nil, err
	}
	list := make([]Session, len(all))
	for i, x := range all {
		list[i] = Session{ID: x.id(), Label: x.Label, From: x.From, Made: x.Made, Seen: x.Seen, Secure: x.Secure, Self: x.id() == c.session}
	}
	return list, nil
}

func (s *Server) deleteSession(w http.ResponseWriter, r *http.Request, _ caller) error {
	id := r.URL.Query().Get("id")
	if id == "" {
		return usage(errors.New("the parameter id is needed"))
	}
	if err := s.endSession(id); err != nil {
		return err
	}
	return sendJSON(w, http.StatusOK, okBody{Version, true})
}

func (s *Server) endSession(id string) error {
	had, err := s.sessions.end(id)
	if err == nil && !had && id != "all" {
		err = NewError(CodeNotFound, "there is no such session", "it may have ended by itself", "see /v1/sessions", nil)
	}
	return err
}

// readNothing refuses a body where none is expected.
func readNothing(w http.ResponseWriter, r *http.Request) error {
	b, err := readBody(w, r, maxSmallBody)
	if err != nil {
		return err
	}
	if text := strings.TrimSpace(string(b)); text != "" && text != "{}" {
		return usage(errors.New("body: nothing is expected"))
	}
	return nil
}

// Pair makes a code that lets one browser become the operator's.
func (c *Client) Pair(ctx context.Context) (*Pairing, error) {
	return call[Pairing](ctx, c, "POST", "/v1/pairings", nil)
}

// Sessions lists the browsers that are paired with the node.
func (c *Client) Sessions(ctx context.Context) ([]Session, error) {
	r, err := call[struct{ Sessions []Session }](ctx, c, "GET", "/v1/sessions", nil)
	if err != nil {
		return nil, err
	}
	return r.Sessions, nil
}

// EndSession ends a session by its id; "all" ends every one.
func (c *Client) EndSession(ctx context.Context, id string) error {
	_, err := call[okBody](ctx, c, "DELETE", "/v1/sessions?id="+url.QueryEscape(id), nil)
	return err
}
