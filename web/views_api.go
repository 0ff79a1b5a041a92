package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
)

func (s *Server) getInvites(w http.ResponseWriter, r *http.Request, _ caller) error {
	list, err := s.config.Node.Invites(r.Context())
	if err != nil {
		return err
	}
	if list == nil {
		list = []IssuedInvite{}
	}
	return sendJSON(w, http.StatusOK, struct {
		V       int            `json:"v"`
		Invites []IssuedInvite `json:"invites"`
	}{Version, list})
}

func (s *Server) deleteInvite(w http.ResponseWriter, r *http.Request, _ caller) error {
	id := r.URL.Query().Get("id")
	if id == "" {
		return usage(errors.New("the parameter id is needed"))
	}
	if err := s.config.Node.WithdrawInvite(r.Context(), id); err != nil {
		return err
	}
	return sendJSON(w, http.StatusOK, okBody{Version, true})
}

func (s *Server) getRadioDay(w http.ResponseWriter, r *http.Request, _ caller) error {
	day, err := s.config.Node.RadioDay(r.Context())
	if err != nil {
		return err
	}
	day.V = Version
	if day.Slots == nil {
		day.Slots = []RadioSlot{}
	}
	return sendJSON(w, http.StatusOK, day)
}

// Invites lists the invites for machines that the node remembers.
func (c *Client) Invites(ctx context.Context) ([]IssuedInvite, error) {
	r, err := call[struct{ Invites []IssuedInvite }](ctx, c, "GET", "/v1/invites", nil)
	if err != nil {
		return nil, err
	}
	return r.Invites, nil
}

// WithdrawInvite ends an invite before its time.
func (c *Client) WithdrawInvite(ctx context.Context, id string) error {
	_, err := call[okBody](ctx, c, "DELETE", "/v1/invites?id="+url.QueryEscape(id), nil)
	return err
}

// RadioDay tells what the radio measured in the last 24 hours.
func (c *Client) RadioDay(ctx context.Context) (*RadioDay, error) {
	return call[RadioDay](ctx, c, "GET", "/v1/radio/day", nil)
}
