package web

import (
	"errors"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"

	"drey/web/draw"
	"drey/web/lang"
)

// qrPage is what qr.html shows: the code that leads phones to the page, and
// for admins the one that lets a machine join.
type qrPage struct {
	Phone   phoneCode
	Machine *machineCode // made just now; nil unless asked for
	Invites []inviteRow
	Uses    []int
	Hours   []spanChoice
	Local   bool // another look at invites needs the machine itself or https
	HTTPS   string
}

// A phoneCode leads to the page; it is no secret.
type phoneCode struct {
	URL   string // as people type it; "" where no phone can reach this node
	More  []string
	QR    template.HTML
	Label string
}

// A machineCode is an invite, which is one.
type machineCode struct {
	URL     string
	QR      template.HTML
	Uses    int
	Until   string // the time of day, in words
	Expires string // RFC 3339
}

// An inviteRow is an invite that was made before.
type inviteRow struct {
	IssuedInvite
	Made  moment
	State string // "open", "used", "expired", "ended"
	Left  string // how long an open one can be used
}

// A spanChoice is how long an invite can be used.
type spanChoice struct {
	Minutes int
	Words   string
}

// Lives of an invite that the page offers, in minutes.
var inviteLives = []int{10, 60, 24 * 60, 7 * 24 * 60}

func (s *Server) getQR(w http.ResponseWriter, r *http.Request, c caller) error {
	p, err := s.qrPage(r, c)
	if err != nil {
		return err
	}
	return s.render(w, r, c, "qr", p)
}

func (s *Server) qrPage(r *http.Request, c caller) (*qrPage, error) {
	words := s.languageOf(r)
	p := &qrPage{Uses: []int{1, 2, 5, 20}, HTTPS: httpsHere(r, "/qr"), Local: c.scope >= ScopeAdmin}
	for _, m := range inviteLives {
		p.Hours = append(p.Hours, spanChoice{m, lifeWords(words, m)})
	}
	var err error
	if p.Phone, err = s.phoneCode(words); err != nil {
		return nil, err
	}
	if c.scope < ScopeAdmin {
		return p, nil
	}
	list, err := s.config.Node.Invites(r.Context())
	if err != nil {
		return nil, err
	}
	for _, v := range list[:min(len(list), 20)] {
		p.Invites = append(p.Invites, s.inviteRow(words, v))
	}
	return p, nil
}

func lifeWords(words *lang.Catalogue, minutes int) string {
	switch {
	case minutes < 120:
		return words.T("time.minutes", "n", minutes)
	case minutes <= 24*60:
		return words.T("time.hours", "n", minutes/60)
	}
	return words.T("time.days", "n", minutes/(24*60))
}

// phoneCode draws the address of the page, in upper case, which makes a
// smaller code that reads from farther away.
func (s *Server) phoneCode(words *lang.Catalogue) (phoneCode, error) {
	var urls []string
	if a := s.Listening(); a != nil {
		urls = s.hosts.pageURLs(a, s.now())
	}
	if len(urls) == 0 {
		return phoneCode{}, nil
	}
	p := phoneCode{URL: urls[0], More: urls[1:], Label: words.T("qr.phone-label", "url", urls[0])}
	var err error
	p.QR, err = draw.QR(strings.ToUpper(urls[0]), p.Label)
	return p, err
}

func (s *Server) inviteRow(words *lang.Catalogue, v IssuedInvite) inviteRow {
	x := inviteRow{IssuedInvite: v, Made: s.since(words, unix(v.Made)), State: "open"}
	left := unix(v.Expires).Sub(s.now())
	switch {
	case v.Ended:
		x.State = "ended"
	case v.Used >= v.Uses:
		x.State = "used"
	case left <= 0:
		x.State = "expired"
	default:
		x.Left = words.Span(left)
	}
	return x
}

// postQRInvite makes an invite and shows it, once: its secret is not kept.
func (s *Server) postQRInvite(w http.ResponseWriter, r *http.Request, c caller) error {
	form, err := smallForm(w, r)
	if err != nil {
		return err
	}
	minutes, err1 := strconv.Atoi(form.Get("minutes"))
	uses, err2 := strconv.Atoi(form.Get("uses"))
	ttl := time.Duration(minutes) * time.Minute
	if err := errors.Join(err1, err2); err != nil || minutes < 1 || ttl > mostTTL || uses < 1 || uses > mostUses {
		return usage(errors.New("the form is malformed"))
	}
	v, err := s.config.Node.Invite(r.Context(), InviteRequest{TTLMS: ttl.Milliseconds(), Uses: uses})
	if err != nil {
		return err
	}
	words := s.languageOf(r)
	p, err := s.qrPage(r, c)
	if err != nil {
		return err
	}
	until := time.Unix(v.Expires, 0)
	p.Machine = &machineCode{URL: v.URL, Uses: v.Uses, Until: dateWords(words, until, s.now()), Expires: until.UTC().Format(time.RFC3339)}
	if p.Machine.QR, err = draw.QR(v.URL, words.T("qr.machine-label")); err != nil {
		return err
	}
	return s.render(w, r, c, "qr", p)
}

func (s *Server) postQRWithdraw(w http.ResponseWriter, r *http.Request, _ caller) error {
	form, err := smallForm(w, r)
	if err != nil {
		return err
	}
	if err := s.config.Node.WithdrawInvite(r.Context(), form.Get("id")); err != nil {
		return err
	}
	http.Redirect(w, r, "/qr#invites", http.StatusSeeOther)
	return nil
}

// posterPage is what poster.html shows: a sheet to print.
type posterPage struct {
	Phone    phoneCode
	Name     string
	WiFi     string
	Password string
	Asked    bool // the names of the Wi-Fi were given
}

func (s *Server) getPoster(w http.ResponseWriter, r *http.Request, c caller) error {
	return s.poster(w, r, c, posterPage{})
}

// postPoster takes the Wi-Fi's name and password from a form, so that neither
// stands in an address or is kept anywhere.
func (s *Server) postPoster(w http.ResponseWriter, r *http.Request, c caller) error {
	form, err := smallForm(w, r)
	if err != nil {
		return err
	}
	return s.poster(w, r, c, posterPage{Asked: true, WiFi: clipped(strings.TrimSpace(form.Get("wifi")), 64), Password: clipped(strings.TrimSpace(form.Get("password")), 64)})
}

func (s *Server) poster(w http.ResponseWriter, r *http.Request, c caller, p posterPage) error {
	st, err := s.config.Node.Status(r.Context())
	if err != nil {
		return err
	}
	p.Name = nameOr(st.Community.Name, s.config.Name)
	if p.Phone, err = s.phoneCode(s.languageOf(r)); err != nil {
		return err
	}
	return s.render(w, r, c, "poster", p)
}
