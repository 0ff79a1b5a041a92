package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"
)

// Relaying changes which public relays the node is connected to. What it
// changes goes over the configuration, and lasts.
type Relaying interface {
	// AddRelay connects to a relay from now on; a paused one goes on.
	AddRelay(ctx context.Context, url string) error
	// RemoveRelay leaves a relay; mesh.ErrNotFound where it is not in the list.
	RemoveRelay(ctx context.Context, url string) error
	// PauseRelay ends the connection to a relay, or takes it up again, and leaves
	// it in the list; mesh.ErrNotFound where it is not there.
	PauseRelay(ctx context.Context, url string, paused bool) error
	// TestRelay writes to a relay, in the list or not, reads back, and tells step
	// by step what works. It may take a minute.
	TestRelay(ctx context.Context, url string) (*RelayTest, error)
}

// A RelayTest says what a relay does.
type RelayTest struct {
	V     int         `json:"v"`
	URL   string      `json:"url"` // as the node writes it
	OK    bool        `json:"ok"`  // it can be used: no step failed but "sync"
	Steps []RelayStep `json:"steps"`
}

// A RelayStep is one thing that was tried.
type RelayStep struct {
	Name   string  `json:"name"`   // "name", "connect", "tls", "websocket", "about", "write", "sign in", "read", "sync"
	Result string  `json:"result"` // "ok", "failed", or "none": not offered, or not needed
	MS     float64 `json:"ms"`
	Says   string  `json:"says"` // what was found, or why it failed
}

// relayBody names a relay to add, pause or test.
type relayBody struct {
	URL    string `json:"url"`
	Paused *bool  `json:"paused,omitempty"` // absent: add it
}

// testRelayFor bounds a test of a relay.
const testRelayFor = 90 * time.Second

func readRelay(w http.ResponseWriter, r *http.Request) (b relayBody, err error) {
	if err = readJSON(w, r, &b); err == nil && b.URL == "" {
		err = usage(errors.New(`body: "url" is needed`))
	}
	return b, err
}

func (s *Server) postRelay(w http.ResponseWriter, r *http.Request, _ caller) error {
	b, err := readRelay(w, r)
	if err != nil {
		return err
	}
	if b.Paused != nil {
		err = s.config.Node.PauseRelay(r.Context(), b.URL, *b.Paused)
	} else {
		err = s.config.Node.AddRelay(r.Context(), b.URL)
	}
	if err != nil {
		return err
	}
	return sendJSON(w, http.StatusOK, okBody{Version, true})
}

func (s *Server) deleteRelay(w http.ResponseWriter, r *http.Request, _ caller) error {
	at := r.URL.Query().Get("url")
	if at == "" {
		return usage(errors.New("the parameter url is needed"))
	}
	if err := s.config.Node.RemoveRelay(r.Context(), at); err != nil {
		return err
	}
	return sendJSON(w, http.StatusOK, okBody{Version, true})
}

func (s *Server) testRelay(w http.ResponseWriter, r *http.Request, _ caller) error {
	b, err := readRelay(w, r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), testRelayFor)
	defer cancel()
	t, err := s.config.Node.TestRelay(ctx, b.URL)
	if err != nil {
		return err
	}
	t.V = Version
	return sendJSON(w, http.StatusOK, t)
}

// AddRelay has the node connect to a public relay.
func (c *Client) AddRelay(ctx context.Context, at string) error {
	_, err := call[okBody](ctx, c, "POST", "/v1/relays", relayBody{URL: at})
	return err
}

// RemoveRelay has the node leave a public relay.
func (c *Client) RemoveRelay(ctx context.Context, at string) error {
	_, err := call[okBody](ctx, c, "DELETE", "/v1/relays?url="+url.QueryEscape(at), nil)
	return err
}

// PauseRelay has the node leave a relay for a while, or take it up again.
func (c *Client) PauseRelay(ctx context.Context, at string, paused bool) error {
	_, err := call[okBody](ctx, c, "POST", "/v1/relays", relayBody{URL: at, Paused: &paused})
	return err
}

// TestRelay has the node try a relay.
func (c *Client) TestRelay(ctx context.Context, at string) (*RelayTest, error) {
	return call[RelayTest](ctx, c, "POST", "/v1/relays/test", relayBody{URL: at})
}
