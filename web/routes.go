package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// A route is one thing the API can do, and who may.
type route struct {
	method  string
	pattern string // of http.ServeMux
	path    string // as openapi.json writes it; "" means the pattern
	least   Scope
	handle  func(w http.ResponseWriter, r *http.Request, c caller) error
}

// A view is a page or a file for browsers: it is part of no API and stands in
// no openapi.json.
func view(method, pattern string, least Scope, handle func(http.ResponseWriter, *http.Request, caller) error) route {
	return route{method, pattern, viewPath, least, handle}
}

// viewPath stands in for the path of what openapi.json does not describe.
const viewPath = "-"

// views lists what browsers are shown, one list for each part of the page.
func (s *Server) views() []route {
	return slices.Concat(s.chatViews(), s.adminViews(), s.privateViews(), s.operatorViews())
}

// routes is all that is served; openapi.json is tested against it.
func (s *Server) routes() []route {
	return append(s.views(), []route{
		{"GET", "/healthz", "", ScopeGuest, s.getHealth},
		{"GET", "/readyz", "", ScopeGuest, s.getReady},
		{"GET", "/metrics", "", ScopeLocal, s.metricsHandler()},
		{"GET", "/v1/openapi.json", "", ScopeGuest, s.getOpenAPI},
		{"GET", "/v1/status", "", ScopeGuest, s.getStatus},
		{"GET", "/v1/topics", "", ScopeGuest, s.getTopics},
		{"GET", "/v1/topics/{rest...}", "/v1/topics/{topic}/messages", ScopeGuest, s.getTopic},
		{"POST", "/v1/topics/{rest...}", "/v1/topics/{topic}/messages", ScopeGuest, s.postMessage},
		{"GET", "/v1/events", "", ScopeGuest, s.getEvents},
		{"POST", "/v1/events", "", ScopeGuest, s.postEvent},
		{"GET", "/v1/messages/{id}", "", ScopeGuest, s.getMessage},
		{"GET", "/v1/preview", "", ScopeGuest, s.getPreview},
		{"POST", "/v1/preview", "", ScopeGuest, s.postPreview},
		{"POST", "/v1/import", "", ScopeAdmin, s.postImport},
		{"GET", "/v1/peers", "", ScopeMember, s.getPeers},
		{"POST", "/v1/peers", "", ScopeAdmin, s.acting(s.postPeer)},
		{"DELETE", "/v1/peers", "", ScopeAdmin, s.deletePeer},
		{"GET", "/v1/peers/records", "", ScopeMember, s.getPeerRecords},
		{"POST", "/v1/peers/records", "", ScopeAdmin, s.postPeerRecords},
		{"POST", "/v1/peers/ping", "", ScopeMember, s.pingPeer},
		{"GET", "/v1/radio", "", ScopeMember, s.getRadio},
		{"GET", "/v1/radio/day", "", ScopeMember, s.getRadioDay},
		{"GET", "/v1/radio/nodes", "", ScopeMember, s.getRadioNodes},
		{"GET", "/v1/radio/messages", "", ScopeAdmin, s.getRadioMessages},
		{"POST", "/v1/radio/messages", "", ScopeAdmin, s.actingEver(s.postRadioMessage)},
		{"POST", "/v1/radio/test", "", ScopeMember, s.acting(s.postRadioTest)},
		{"POST", "/v1/radio/setup", "", ScopeAdmin, s.acting(s.postRadioSetup)},
		{"POST", "/v1/dm", "", ScopeAdmin, s.actingEver(s.postMail)},
		{"GET", "/v1/inbox", "", ScopeAdmin, s.getInbox},
		{"GET", "/v1/inbox/{id}/file", "", ScopeAdmin, s.getMailFile},
		{"GET", "/v1/relays", "", ScopeMember, s.getRelays},
		{"POST", "/v1/relays", "", ScopeAdmin, s.acting(s.postRelay)},
		{"DELETE", "/v1/relays", "", ScopeAdmin, s.deleteRelay},
		{"POST", "/v1/relays/test", "", ScopeAdmin, s.testRelay},
		{"GET", "/v1/members", "", ScopeMember, s.getMembers},
		{"POST", "/v1/members", "", ScopeAdmin, s.actingEver(s.postMember)},
		{"GET", "/v1/invites", "", ScopeAdmin, s.getInvites},
		{"POST", "/v1/invites", "", ScopeAdmin, s.acting(s.postInvite)},
		{"DELETE", "/v1/invites", "", ScopeAdmin, s.deleteInvite},
		{"POST", "/v1/join", "", ScopeAdmin, s.acting(s.postJoin)},
		{"POST", "/v1/pairings", "", ScopeAdmin, s.acting(s.postPairing)},
		{"GET", "/v1/sessions", "", ScopeAdmin, s.getSessions},
		{"DELETE", "/v1/sessions", "", ScopeAdmin, s.deleteSession},
		{"GET", "/v1/settings", "", ScopeAdmin, s.getSettings},
		{"POST", "/v1/settings", "", ScopeAdmin, s.acting(s.postSettings)},
		{"GET", "/v1/doctor", "", ScopeMember, s.getDoctor},
	}...)
}

// build joins routes and guards into one handler.
func (s *Server) build() http.Handler {
	mux := http.NewServeMux()
	for _, route := range s.routes() {
		mux.Handle(route.method+" "+route.pattern, s.serveRoute(route))
	}
	if s.config.Invites != nil {
		mux.Handle("/J/", http.MaxBytesHandler(s.config.Invites, maxBody))
		mux.Handle("/j/", http.MaxBytesHandler(s.config.Invites, maxBody))
	}
	return s.guard(s.count(s.upgrade(s.explain(mux))))
}

// serveRoute judges the caller before a route's own work.
func (s *Server) serveRoute(route route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := s.callerOf(r)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		if c.scope < ScopeLocal && !strings.HasPrefix(r.URL.Path, "/static/") { // one phone needs a dozen files at once
			if wait := s.guests.request(c.remote, s.now()); wait > 0 {
				s.fail(w, r, tooFast(w, wait))
				return
			}
		}
		if c.scope < route.least {
			s.fail(w, r, NewError(CodeForbidden, fmt.Sprintf("%s %s is not for you", route.method, r.URL.Path),
				fmt.Sprintf("it needs to be %s, and you are %s here", route.least, c.scope),
				"use the socket "+SocketName+" in the node's home, or its token on the machine itself", nil).in("for-"+route.least.String()))
			return
		}
		if err := route.handle(w, r, c); err != nil {
			s.fail(w, r, errorFor(c, err))
		}
	})
}

// explain answers what no route takes in the form of every other error.
func (s *Server) explain(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		probe := &statusProbe{header: make(http.Header)}
		h.ServeHTTP(probe, r)
		switch {
		case probe.status == http.StatusMethodNotAllowed:
			w.Header().Set("Allow", probe.header.Get("Allow"))
			s.failStatus(w, r, http.StatusMethodNotAllowed, NewError(CodeUsage, fmt.Sprintf("%s is not possible at %.100s", r.Method, r.URL.Path), "", "allowed: "+probe.header.Get("Allow"), nil))
		default:
			s.fail(w, r, NewError(CodeNotFound, fmt.Sprintf("there is nothing at %.100s", r.URL.Path), "", "see /v1/openapi.json for what there is", nil).in("nothing-here"))
		}
	})
}

// statusProbe learns what http.ServeMux would have answered.
type statusProbe struct {
	header http.Header
	status int
}

func (p *statusProbe) Header() http.Header         { return p.header }
func (p *statusProbe) WriteHeader(status int)      { p.status = status }
func (p *statusProbe) Write(b []byte) (int, error) { return len(b), nil }

// upgrade hands websockets at the root to the Nostr relay, and questions for
// its information document (NIP-11).
func (s *Server) upgrade(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked := s.config.Relay != nil && r.Method != http.MethodPost && strings.Contains(r.Header.Get("Accept"), "application/nostr+json")
		if r.URL.Path != "/" || !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") && !asked {
			next.ServeHTTP(w, r)
			return
		}
		if s.config.Relay != nil {
			s.config.Relay.ServeHTTP(w, r)
			return
		}
		s.fail(w, r, NewError(CodeNotBuilt, "this node is no Nostr relay", "it has no relay part", "read live messages from /v1/events with Accept: text/event-stream", nil))
	})
}

// count counts answers by status for /metrics.
func (s *Server) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cw := &countingWriter{ResponseWriter: w, status: http.StatusOK}
		defer func() { s.requests.add(cw.status) }()
		next.ServeHTTP(cw, r)
	})
}

type countingWriter struct {
	http.ResponseWriter
	status int
}

func (w *countingWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *countingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// requestCount counts answers by class.
type requestCount struct {
	mu sync.Mutex
	by map[int]uint64
}

func newRequestCount() *requestCount { return &requestCount{by: make(map[int]uint64)} }

func (c *requestCount) add(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.by[status]++
}

func (c *requestCount) all() map[int]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := make(map[int]uint64, len(c.by))
	for k, v := range c.by {
		m[k] = v
	}
	return m
}

// errorBody is every error's JSON.
type errorBody struct {
	V     int     `json:"v"`
	Error Problem `json:"error"`
}

// usage makes an error of the request itself, unless it already says more.
func usage(err error) error {
	var e *Error
	if errors.As(err, &e) || errorOf(err).Code != CodeInternal {
		return err
	}
	return NewError(CodeUsage, err.Error(), "", "", err)
}

func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := errorOf(err)
	s.failStatus(w, r, e.Status(), e)
}

func (s *Server) failStatus(w http.ResponseWriter, r *http.Request, status int, e *Error) {
	if e.Code == CodeInternal {
		if r.Context().Err() != nil {
			return // the client is gone
		}
		s.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "err", e.err)
	}
	if wantsHTML(r) {
		s.errorPage(w, r, status, e)
		return
	}
	b, err := json.Marshal(errorBody{Version, e.Problem})
	if err != nil {
		b = []byte(`{"v":1}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(b, '\n'))
}

func wantsHTML(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}

// sendJSON answers with one object. HTML characters stay as they are: the
// type is JSON and browsers are told not to guess.
func sendJSON(w http.ResponseWriter, status int, v any) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
