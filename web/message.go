package web

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"strconv"

	"drey/mesh"
)

// getMessage answers GET /v1/messages/{id}: the message and what became of it
// on this machine; with follow, one line per piece of news.
func (s *Server) getMessage(w http.ResponseWriter, r *http.Request, c caller) error {
	id, err := mesh.ParseEventID(r.PathValue("id"))
	if err != nil {
		return usage(err)
	}
	follow := false
	if v, ok := r.URL.Query()["follow"]; ok {
		if follow, err = parseFlag(v[0]); err != nil {
			return usage(err)
		}
	}
	rec, err := s.config.Node.Record(r.Context(), id, s.viewer(c))
	var gone *mesh.GoneError
	if errors.As(err, &gone) && c.scope >= ScopeMember {
		err = nil // its history may still be there
	}
	if errors.Is(err, mesh.ErrNotFound) {
		return NewError(CodeNotFound, "no such message here", "this node has never seen "+id.String(), "ask another node, or wait for history to arrive", err)
	}
	if err != nil {
		return err
	}
	if follow || wantsSSE(r) {
		s.stream(w, r, c, true, true, func(ctx context.Context) iter.Seq2[line, error] { return s.stepLines(ctx, id) })
		return nil
	}
	steps, err := s.config.Node.History(r.Context(), id)
	if err != nil {
		return err
	}
	b := append([]byte(`{"v":1,"id":"`), id.String()...)
	b = append(b, '"')
	if gone != nil {
		b = append(append(b, `,"gone":`...), appendJSON(nil, gone.Reason.String())...)
	}
	if rec != nil {
		b = append(append(b, `,"record":`...), appendRecord(nil, rec)...)
	}
	b = append(b, `,"steps":[`...)
	for i, st := range steps {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSON(b, stepJSON(st))
	}
	b = append(b, "]}\n"...)
	w.Header().Set("Content-Type", "application/json")
	w.Write(b)
	return nil
}

func (s *Server) stepLines(ctx context.Context, id mesh.EventID) iter.Seq2[line, error] {
	return func(yield func(line, error) bool) {
		n := 0
		for st, err := range s.config.Node.WatchHistory(ctx, id) {
			if err != nil {
				yield(line{}, err)
				return
			}
			n++
			if !yield(line{strconv.Itoa(n), appendJSON(nil, stepJSON(st))}, nil) {
				return
			}
		}
	}
}

// stepBody is one line of a message's delivery history as JSON.
type stepBody struct {
	V       int    `json:"v"`
	AtMS    int64  `json:"at_ms"`
	Carrier string `json:"carrier"`
	Target  string `json:"target,omitempty"`
	State   string `json:"state"`
}

func stepJSON(st mesh.Step) stepBody {
	return stepBody{Version, st.At.UnixMilli(), st.Carrier, st.Target, st.State}
}
