package web

import (
	"net/http"
	"net/url"

	"drey/web/lang"
)

// langCookie keeps the language that a visitor chose.
const langCookie = "drey-lang"

// cookieYear is how long choices are kept in the browser, in seconds.
const cookieYear = 365 * 24 * 3600

// language chooses the language of a page: the one just chosen with ?lang=,
// which is kept, or chosen before, or what the browser asks for.
func (s *Server) language(w http.ResponseWriter, r *http.Request) *lang.Catalogue {
	if c, ok := s.pages.languages.Lookup(r.URL.Query().Get("lang")); ok {
		setCookie(w, r, langCookie, c.Tag)
		return c
	}
	return s.languageOf(r)
}

// languageOf is language without keeping a choice.
func (s *Server) languageOf(r *http.Request) *lang.Catalogue {
	if c, ok := s.pages.languages.Lookup(r.URL.Query().Get("lang")); ok {
		return c
	}
	if cookie, err := r.Cookie(langCookie); err == nil {
		if c, ok := s.pages.languages.Lookup(cookie.Value); ok {
			return c
		}
	}
	return s.pages.languages.Match(r.Header.Get("Accept-Language"))
}

// setCookie keeps a choice in the browser for a year. The value must be safe
// in a cookie as it is.
func setCookie(w http.ResponseWriter, r *http.Request, name, value string) {
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: cookieYear,
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil})
}

// withLanguage is the address of the same view in another language. What a
// form sent cannot be asked for again, so its view is the one to go to.
func withLanguage(r *http.Request, tag string) string {
	v := make(url.Values)
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		v = r.URL.Query()
	}
	v.Set("lang", tag)
	return (&url.URL{Path: r.URL.Path, RawQuery: v.Encode()}).String()
}
