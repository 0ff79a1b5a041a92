package web

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// What the page offers beside the ops of a MemberChange.
const (
	opPromote = "promote" // admit as an admin
	opLift    = "lift"    // admit in spite of a ban
)

var pageOps = []string{OpAdmit, opPromote, opLift, OpDemote, OpRemove, OpBan}

// changePage is what people-change.html shows: what a decision means, before
// it is made.
type changePage struct {
	Op      string
	Who     string
	Name    string
	Effects []string
	Reason  string
	Asks    bool // a reason is asked for
}

// postPeopleChange shows what a decision about somebody would mean, and makes
// it when that was confirmed.
func (s *Server) postPeopleChange(w http.ResponseWriter, r *http.Request, c caller) error {
	form, err := smallForm(w, r)
	if err != nil {
		return err
	}
	op, who := form.Get("op"), form.Get("who")
	if !slices.Contains(pageOps, op) || who == "" || len(who) > 200 {
		return usage(errors.New("the form is malformed"))
	}
	change := MemberChange{Op: op, Who: who, Reason: strings.TrimSpace(form.Get("reason"))}
	switch op {
	case opPromote:
		change.Op, change.Admin = OpAdmit, true
	case opLift:
		change.Op, change.Lift = OpAdmit, true
	}
	if len(change.Reason) > 256 {
		return usage(fmt.Errorf("the reason has %d bytes, limit 256", len(change.Reason)))
	}
	change.Preview = form.Get("confirm") == ""
	changed, err := s.config.Node.ChangeMembers(r.Context(), change)
	if err != nil {
		return err
	}
	if !change.Preview {
		s.log.Info("members changed", "op", op, "by", c.peer)
		http.Redirect(w, r, "/people", http.StatusSeeOther)
		return nil
	}
	p := changePage{Op: op, Who: who, Name: shorter(who), Effects: sayAll(s.languageOf(r), changed.Said, changed.Effects), Reason: change.Reason, Asks: op == OpRemove || op == OpBan}
	if changed.Member != nil {
		p.Name = nameOr(changed.Member.Name, p.Name)
	}
	return s.render(w, r, c, "people-change", p)
}
