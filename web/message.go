package web

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"strings"

	"drey/mesh"
)

// getMessage answers GET /v1/messages/{id}: the message and what became of it
// on this machine; with follow, one line per piece of news.
func (s *Server) getMessage(w http.ResponseWriter, r *http.Request, c caller) error {
	id, err := s.messageNamed(r.Context(), r.PathValue("id"), s.viewer(c))
	if err == nil || errors.Is(err, mesh.ErrNotFound) {
		if answered, err := s.mailLog(w, r, c); answered || err != nil {
			return err
		}
	}
	if err != nil {
		return err
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

// shortestID is how many digits of a message's id name it at the least.
const shortestID = 8

// messageNamed reads the id of a message, or its beginning where only one that
// the viewer may know of begins so.
func (s *Server) messageNamed(ctx context.Context, name string, v mesh.Viewer) (mesh.EventID, error) {
	id, err := mesh.ParseEventID(name)
	if err == nil {
		return id, nil
	}
	if len(name) < shortestID || len(name) >= 2*len(id) || strings.Trim(name, "0123456789abcdef") != "" {
		return id, usage(fmt.Errorf("%.70q is no id of a message: 64 hexadecimal digits, or the first %d and more", name, shortestID))
	}
	ids, err := s.config.Node.Beginning(ctx, name, 100)
	if err != nil {
		return id, err
	}
	var seen []mesh.EventID
	for _, id := range ids {
		_, err := s.config.Node.Record(ctx, id, v)
		if err == nil || errors.As(err, new(*mesh.GoneError)) {
			seen = append(seen, id)
		} else if !errors.Is(err, mesh.ErrNotFound) {
			return id, err
		}
	}
	switch len(seen) {
	case 0:
		return id, NewError(CodeNotFound, "no such message here", "this node has never seen one that begins with "+name, "ask another node, or wait for history to arrive", mesh.ErrNotFound)
	case 1:
		return seen[0], nil
	}
	return id, NewError(CodeNotFound, "which message?", fmt.Sprintf("%d begin with %s", len(seen), name), "give more digits of its id", mesh.ErrNotFound)
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
			if !yield(line{id: strconv.Itoa(n), data: appendJSON(nil, stepJSON(st))}, nil) {
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
