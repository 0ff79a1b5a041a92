package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"unicode/utf8"

	"drey/mesh"
)

// mostHidden bounds what is collapsed on one node; the oldest stay.
const mostHidden = 10_000

// hiddenPrefix begins the keys of collapsed messages on the server's shelf.
const hiddenPrefix = "hidden/"

// A curtain remembers which messages members of this node's community
// collapsed here. It is this node's alone: nothing of it is sent.
type curtain struct {
	shelf mesh.Shelf // immutable; nil keeps it in memory only

	mu struct {
		sync.RWMutex
		read bool // the shelf was read
		ids  map[mesh.EventID]bool
	}
}

func newCurtain(shelf mesh.Shelf) *curtain {
	c := &curtain{shelf: shelf}
	c.mu.ids = make(map[mesh.EventID]bool)
	return c
}

// before reports whether a message is collapsed.
func (c *curtain) before(ctx context.Context, id mesh.EventID) (bool, error) {
	if err := c.load(ctx); err != nil {
		return false, err
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.mu.ids[id], nil
}

// load reads the shelf once.
func (c *curtain) load(ctx context.Context) error {
	c.mu.RLock()
	read := c.mu.read || c.shelf == nil
	c.mu.RUnlock()
	if read {
		return nil
	}
	keys, err := c.shelf.Keys(ctx, hiddenPrefix)
	if err != nil {
		return fmt.Errorf("hidden messages: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range keys {
		if id, err := mesh.ParseEventID(strings.TrimPrefix(key, hiddenPrefix)); err == nil {
			c.mu.ids[id] = true
		}
	}
	c.mu.read = true
	return nil
}

// draw collapses a message, or shows it again.
func (c *curtain) draw(ctx context.Context, id mesh.EventID, hide bool) error {
	if err := c.load(ctx); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if hide && !c.mu.ids[id] && len(c.mu.ids) >= mostHidden {
		return NewError(CodeBusy, "too many messages are hidden here", fmt.Sprintf("the limit is %d", mostHidden), "show some again, or ban the author", nil)
	}
	if c.shelf != nil {
		var err error
		if hide {
			err = c.shelf.Put(ctx, hiddenPrefix+id.String(), []byte{1})
		} else if err = c.shelf.Delete(ctx, hiddenPrefix+id.String()); errors.Is(err, mesh.ErrNotFound) {
			err = nil
		}
		if err != nil {
			return err
		}
	}
	delete(c.mu.ids, id)
	if hide {
		c.mu.ids[id] = true
	}
	return nil
}

// hidden says in words why a message is collapsed; "" where it is not.
func (rd *reader) hidden(ctx context.Context, e *mesh.Event) string {
	behind, err := rd.s.curtain.before(ctx, e.ID())
	if err != nil {
		rd.s.log.Warn("hidden messages are shown", "err", err)
	}
	if !behind {
		return ""
	}
	return rd.words.T("chat.hidden")
}

// postHide answers POST /m/{id}/hide: collapses a message on this node, or
// shows it again.
func (s *Server) postHide(w http.ResponseWriter, r *http.Request, c caller) error {
	v, err := smallForm(w, r)
	if err != nil {
		return err
	}
	rec, err := s.recordNamed(r, c)
	if err != nil {
		return err
	}
	id, hide := rec.Event.ID(), v.Get("hide") == "1"
	if err := s.curtain.draw(r.Context(), id, hide); err != nil {
		return err
	}
	s.fragments.forget()
	done := "shown"
	if hide {
		done = "hidden"
	}
	http.Redirect(w, r, "/m/"+id.String()+"?done="+done, http.StatusSeeOther)
	return nil
}

// maxReport is how long the words of a report may be, in bytes.
const maxReport = 500

// postReport answers POST /m/{id}/report: tells the community that a message
// is out of order.
func (s *Server) postReport(w http.ResponseWriter, r *http.Request, c caller) error {
	v, err := smallForm(w, r)
	if err != nil {
		return err
	}
	rec, err := s.recordNamed(r, c)
	if err != nil {
		return err
	}
	report := Report{About: rec.Event, Topic: rec.Topic, Kind: v.Get("kind"), Words: strings.TrimSpace(v.Get("words"))}
	if err := report.check(); err != nil {
		e := errorFor(c, err)
		return s.showMessage(w, r, c, e.Status(), report.Words, e)
	}
	if _, err := s.config.Node.Report(r.Context(), report); err != nil {
		e := errorFor(c, err)
		return s.showMessage(w, r, c, e.Status(), report.Words, e)
	}
	http.Redirect(w, r, "/m/"+rec.Event.ID().String()+"?done=reported", http.StatusSeeOther)
	return nil
}

func (r Report) check() error {
	known := false
	for _, k := range ReportKinds {
		known = known || k == r.Kind
	}
	switch {
	case !known:
		return usage(fmt.Errorf("kind: %.20q is not one of %v", r.Kind, ReportKinds))
	case !utf8.ValidString(r.Words):
		return usage(errors.New("the words are not valid UTF-8"))
	case len(r.Words) > maxReport:
		return NewError(CodeTooLarge, "the report is too long", fmt.Sprintf("%d bytes, limit %d", len(r.Words), maxReport), "say it shorter", nil).in("report-too-long", "n", len(r.Words), "limit", maxReport)
	}
	return nil
}

// recordNamed reads the message that an address names.
func (s *Server) recordNamed(r *http.Request, c caller) (*mesh.Record, error) {
	v := s.viewer(c)
	id, err := s.messageNamed(r.Context(), r.PathValue("id"), v)
	if err != nil {
		return nil, err
	}
	return s.config.Node.Record(r.Context(), id, v)
}
