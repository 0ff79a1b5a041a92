package web

import (
	"bytes"
	"net/http"
)

// errorPage answers with an error as a page.
func (s *Server) errorPage(w http.ResponseWriter, r *http.Request, status int, e *Error) {
	c, err := s.callerOf(r)
	if err != nil {
		c = caller{}
	}
	words := s.languageOf(r)
	local, err := s.pages.in(words.Tag)
	if err != nil {
		s.log.Error("error page", "err", err)
		return
	}
	view, err := local.view("error")
	if err != nil {
		s.log.Error("error page", "err", err)
		return
	}
	var b bytes.Buffer
	if err := view.ExecuteTemplate(&b, "layout", shown{s.frame(r, c, "error", words), tell(words, e)}); err != nil {
		s.log.Error("error page", "err", err)
		return
	}
	sendPage(w, r, status, b.Bytes())
}
