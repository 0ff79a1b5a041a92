package web

import (
	"bytes"
	"net/http"

	"drey/web/lang"
)

// toldProblem is an error in the words of a language.
type toldProblem struct {
	Code, What, Why, Fix string
	// Original is the error as this node's own words have it, where the others
	// say less.
	Original string
}

// tell translates an error. Its own words are English; other languages have
// what its code means, and the original beside it.
func tell(words *lang.Catalogue, e *Error) toldProblem {
	p := toldProblem{Code: e.Code, What: e.What, Why: e.Why, Fix: e.Fix}
	if e.key != "" {
		p.What, p.Why, p.Fix = words.T("errors."+e.key, e.args...), "", ""
		if fix := "errors." + e.key + "-fix"; knows(words, fix) {
			p.Fix = words.T(fix, e.args...)
		}
		return p
	}
	key := "errors.code-" + e.Code
	if words.Tag == lang.Base || !knows(words, key) {
		return p
	}
	p.Original = e.Error()
	if e.Fix != "" {
		p.Original += ". " + e.Fix
	}
	p.What, p.Why, p.Fix = words.T(key), "", ""
	return p
}

// knows reports whether T has a text for a key in some language.
func knows(words *lang.Catalogue, key string) bool { return words.T(key) != key }

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
	var b bytes.Buffer
	if err := local.views["error"].ExecuteTemplate(&b, "layout", shown{s.frame(r, c, "error", words), tell(words, e)}); err != nil {
		s.log.Error("error page", "err", err)
		return
	}
	sendPage(w, r, status, b.Bytes())
}
