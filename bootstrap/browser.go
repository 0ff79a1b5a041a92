package bootstrap

import (
	"errors"
	"html/template"
	"net/http"

	"drey/mesh"
)

// A page is what somebody reads who opened a machine's invite in a browser.
type page struct {
	Title, Text string
}

var (
	pageBurnt = page{
		"This invite is cancelled now",
		"It was meant for a machine, not for a browser. Opening it here sent its secret over the network where others may have read it, so it no longer works. " +
			"Make a new one with “drey invite” and give it to “drey join”. To read and write with this phone no invite is needed.",
	}
	pageSpent = page{
		"This invite no longer works",
		"It has been used, has expired or was cancelled before. To read and write with this phone no invite is needed.",
	}
	pageUnknown = page{
		"This invite is not known here",
		"It may be for another machine, or long past. To read and write with this phone no invite is needed.",
	}
	pageTrouble = page{
		"This machine has a problem",
		"The invite could not be cancelled. Tell whoever made it that it was opened in a browser.",
	}
)

var pageTemplate = template.Must(template.New("page").Parse(`<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{{.Title}}</title>
<h1>{{.Title}}</h1>
<p>{{.Text}}
<p><a href="/">Go to the page of this machine</a>
`))

// serveBrowser burns the invite whose token came in clear, and says so.
func (i *Inviter) serveBrowser(w http.ResponseWriter, r *http.Request, code string) {
	v, err := mesh.ParseInvite(code)
	if err != nil || v.Node != i.c.Identity.NodeKey() {
		writePage(w, http.StatusNotFound, pageUnknown)
		return
	}
	live, err := i.burn(r.Context(), idOf(v.Token))
	switch {
	case errors.Is(err, ErrUnknown):
		writePage(w, http.StatusNotFound, pageUnknown)
	case err != nil:
		i.c.Log.Error("invite not cancelled", "err", err)
		writePage(w, http.StatusInternalServerError, pageTrouble)
	case live:
		i.c.Log.Warn("invite opened in a browser and cancelled", "from", source(r.RemoteAddr))
		writePage(w, http.StatusGone, pageBurnt)
	default:
		writePage(w, http.StatusGone, pageSpent)
	}
}

func writePage(w http.ResponseWriter, status int, p page) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'")
	w.WriteHeader(status)
	pageTemplate.Execute(w, p) // a reader who left is no trouble of ours
}
