package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"drey/mesh"
	"drey/web/scan"
)

// Bounds of a photograph that somebody sends to be read. One is read at a time:
// unpacked it takes up to mostUnpacked bytes of a small machine's memory. Few
// may be on their way or wait: each takes twice its size.
const (
	mostPhoto    = 12 << 20
	mostArriving = 3 // of visitors
	mostUnpacked = 96 << 20
	photoWithin  = time.Minute      // to arrive, over a weak Wi-Fi
	lookFor      = 20 * time.Second // for a code in it
	// mostCode is more than any QR code holds.
	mostCode = 8 << 10
)

// scanPage is what scan.html shows.
type scanPage struct {
	HTTPS   string // this page where a live camera may be used; "" when it is that already
	Text    string // what was typed
	Print   string // of the certificate there, to compare
	Problem string // key, below "qr.scan-", of why nothing was read; "" where something was or nothing was asked
	Seen    *seen  // what a code says
}

// A seen is what somebody's code turned out to be.
type seen struct {
	Kind    string // "invite", "door", "web", "text"
	Text    string // as it may be shown: without controls, cut where long
	Full    string // an invite or a door as it was read, to go on with; only for admins
	Admin   bool   // whoever looks may join
	Inviter string // where the machine says it is
	Expires string // of an invite: until when, in words
	Expired bool
	Preview *Joined // what joining means
	Shared  bool    // others share the community that would be left
	Failed  *toldProblem
	Effects []string
}

func (s *Server) getScan(w http.ResponseWriter, r *http.Request, c caller) error {
	return s.render(w, r, c, "scan", s.scanPage(r))
}

func (s *Server) scanPage(r *http.Request) *scanPage {
	p := new(scanPage)
	if k, _ := r.Context().Value(connKey{}).(conn); r.TLS == nil && !k.remote.IsLoopback() && !k.socket {
		p.HTTPS, p.Print = httpsHere(r, "/qr/scan"), s.tlsStatus().Certificate
	}
	return p
}

// postScan reads a code, from a photograph or as text, and shows what it is.
func (s *Server) postScan(w http.ResponseWriter, r *http.Request, c caller) error {
	if c.scope < ScopeMember {
		if !s.arriving.enter() {
			return NewError(CodeBusy, "other photographs are being read", "", "try again in a moment", nil)
		}
		defer s.arriving.leave()
	}
	photo, text, err := readScan(w, r)
	if err != nil {
		return err
	}
	p := s.scanPage(r)
	if len(photo) > 0 {
		if text, err = s.readPhoto(r.Context(), photo); err != nil {
			p.Problem = scanProblem(err)
			if p.Problem == "" {
				return err
			}
			return s.renderStatus(w, r, c, http.StatusUnprocessableEntity, "scan", p)
		}
	}
	if text = strings.TrimSpace(text); text == "" {
		p.Problem = "nothing"
		return s.renderStatus(w, r, c, http.StatusUnprocessableEntity, "scan", p)
	}
	p.Seen = s.judge(r, c, text)
	return s.render(w, r, c, "scan", p)
}

// readScan takes a form with a photograph, a text, or both apart.
func readScan(w http.ResponseWriter, r *http.Request) (photo []byte, text string, err error) {
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" {
		form, err := smallForm(w, r)
		return nil, clipped(form.Get("text"), mostCode), err
	}
	if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(photoWithin)); err != nil {
		return nil, "", err
	}
	parts := multipart.NewReader(http.MaxBytesReader(w, r.Body, mostPhoto+mostCode), params["boundary"])
	for range 8 { // fields of a form; the page sends two
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return photo, text, nil
		}
		if err != nil {
			return nil, "", formError(err)
		}
		b, err := io.ReadAll(part)
		if err != nil {
			return nil, "", formError(err)
		}
		switch part.FormName() {
		case "photo":
			photo = b
		case "text":
			text = clipped(string(b), mostCode)
		}
	}
	return nil, "", usage(errors.New("the form is malformed"))
}

func formError(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return err
	}
	return usage(fmt.Errorf("form: %w", err))
}

// readPhoto looks for a code in a photograph, one at a time.
func (s *Server) readPhoto(ctx context.Context, photo []byte) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	select {
	case s.photos <- struct{}{}:
		defer func() { <-s.photos }()
	case <-ctx.Done():
		return "", NewError(CodeBusy, "another photograph is being read", "", "try again in a moment", ctx.Err())
	}
	return scan.Read(ctx, photo, mostUnpacked)
}

// scanProblem is why a photograph gave no text, as a key below "qr.scan-"; ""
// for what is no fault of the photograph.
func scanProblem(err error) string {
	switch {
	case errors.Is(err, scan.ErrFormat):
		return "format"
	case errors.Is(err, scan.ErrLarge):
		return "large"
	case errors.Is(err, scan.ErrNoCode):
		return "no-code"
	case errors.Is(err, context.DeadlineExceeded):
		return "slow"
	}
	return ""
}

// judge says what the text of a code is. Anybody may have made it: nothing is
// opened or done for it, and only an admin's node asks the machine that it names.
func (s *Server) judge(r *http.Request, c caller, text string) *seen {
	words := s.languageOf(r)
	k := &seen{Kind: "text", Text: legible(text), Admin: c.scope >= ScopeAdmin}
	if v, err := mesh.ParseInvite(text); err == nil {
		k.Kind, k.Inviter = "invite", v.Endpoints[0].String()
		k.Text = "" // a secret, and nothing for people to read
		if v.Expires > 0 {
			k.Expires, k.Expired = dateWords(words, v.Expires.Time(), s.now()), v.Expires.Time().Before(s.now())
		}
	} else if door, err := mesh.ParseDoorLink(text); err == nil {
		k.Kind, k.Inviter = "door", door.String()
	} else if low := strings.ToLower(text); strings.HasPrefix(low, "http://") || strings.HasPrefix(low, "https://") {
		k.Kind = "web"
	}
	if !k.Admin || k.Kind != "invite" && k.Kind != "door" {
		return k
	}
	k.Full = text
	ctx, cancel := context.WithTimeout(r.Context(), joinFor)
	defer cancel()
	joined, err := s.config.Node.Join(ctx, JoinRequest{Invite: text, Preview: true})
	if errors.Is(err, &Error{Problem: Problem{Code: codeShared}}) {
		k.Shared = true
		joined, err = s.config.Node.Join(ctx, JoinRequest{Invite: text, Leave: true, Preview: true})
	}
	if err != nil {
		told := tell(words, errorFor(c, err))
		k.Failed = &told
		return k
	}
	k.Preview, k.Effects = joined, sayAll(words, joined.Said, joined.Effects)
	return k
}

// legible makes a text that anybody wrote fit to be shown in one place: what is
// not to be seen is told by its number, and what is long is cut.
func legible(text string) string {
	const most = 300
	var b strings.Builder
	for _, r := range text {
		if b.Len() >= most {
			b.WriteString("…")
			break
		}
		switch {
		case r == '\n' || r == '\t':
			b.WriteByte(' ')
		case r == utf8.RuneError, unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Co, r):
			fmt.Fprintf(&b, "[U+%04X]", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// codeShared is the node's answer where joining leaves a community that others
// share, and nobody said that it may.
const codeShared = "shared-community"

// joinPage is what joined.html shows.
type joinPage struct{ Joined *Joined }

// postScanJoin joins, after the preview.
func (s *Server) postScanJoin(w http.ResponseWriter, r *http.Request, c caller) error {
	form, err := smallForm(w, r)
	if err != nil {
		return err
	}
	invite := form.Get("invite")
	if invite == "" || form.Get("confirm") == "" {
		return usage(errors.New("the form is malformed"))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), joinFor)
	defer cancel()
	joined, err := s.config.Node.Join(ctx, JoinRequest{Invite: invite, Leave: form.Get("leave") != ""})
	if err != nil {
		return err
	}
	return s.render(w, r, c, "joined", joinPage{joined})
}
