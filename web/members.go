package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"drey/web/lang"
)

// StandingWaiting is the standing of a machine that asks to belong.
const StandingWaiting = "waiting"

// The decisions about who belongs.
const (
	OpAdmit  = "admit"
	OpDemote = "demote"
	OpRemove = "remove"
	OpBan    = "ban"
	OpRotate = "rotate"
)

var ops = []string{OpAdmit, OpDemote, OpRemove, OpBan, OpRotate}

// A MemberChange asks for a decision about who belongs, or for what it would
// mean.
type MemberChange struct {
	Op        string `json:"op"`                   // one of the Op constants
	Who       string `json:"who,omitempty"`        // an npub, a name, a node key or its address; not for rotate
	Name      string `json:"name,omitempty"`       // admit: what a person is called
	Admin     bool   `json:"admin,omitempty"`      // admit: make an admin, also of one who belongs
	Lift      bool   `json:"lift,omitempty"`       // admit: also one who is banned
	Reason    string `json:"reason,omitempty"`     // remove, ban: up to 256 bytes, for members to read
	OverlapMS *int64 `json:"overlap_ms,omitempty"` // rotate: how long the old secret is still listened for; none means a week
	Preview   bool   `json:"preview,omitempty"`    // only say what it would mean
}

// A MemberChanged tells what a decision did, or would do.
type MemberChanged struct {
	V       int      `json:"v"`
	Done    bool     `json:"done"`             // false for a preview, and where nothing was left to do
	Member  *Member  `json:"member,omitempty"` // whom it is about, before it
	Effects []string `json:"effects"`          // what it means, a sentence each

	Said []lang.Phrase `json:"-"` // Effects, for the page
}

// An Admission decides who belongs.
type Admission interface {
	// ChangeMembers signs a decision and returns when it is on disk.
	ChangeMembers(ctx context.Context, c MemberChange) (*MemberChanged, error)
}

func (s *Server) postMember(w http.ResponseWriter, r *http.Request, _ caller) error {
	var b MemberChange
	if err := readJSON(w, r, &b); err != nil {
		return err
	}
	if !slices.Contains(ops, b.Op) {
		return usage(fmt.Errorf("op: %.20q is not one of %v", b.Op, ops))
	}
	if (b.Who == "") != (b.Op == OpRotate) {
		return usage(errors.New(`body: "who" is needed, except to rotate`))
	}
	changed, err := s.config.Node.ChangeMembers(r.Context(), b)
	if err != nil {
		return err
	}
	changed.V = Version
	if changed.Effects == nil {
		changed.Effects = []string{}
	}
	return sendJSON(w, http.StatusOK, changed)
}

// ChangeMembers decides who belongs, or says what a decision would mean.
func (c *Client) ChangeMembers(ctx context.Context, change MemberChange) (*MemberChanged, error) {
	return call[MemberChanged](ctx, c, "POST", "/v1/members", change)
}
