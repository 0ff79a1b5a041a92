package web

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
)

// SessionsName is the file name of the paired browsers in a node's home. It
// stays when the node joins another community, which is often done in one.
const SessionsName = "sessions.json"

// Bounds of sessions.
const (
	maxSessions  = 32                   // beyond it the one unused for longest goes
	sessionIdle  = 30 * 24 * time.Hour  // unused for so long it ends
	sessionMost  = 180 * 24 * time.Hour // then it ends in any case
	sessionNote  = time.Hour            // how exactly the last use is kept: flash memory wears
	sessionLabel = 60                   // letters of a browser's name
	maxSessFile  = 64 << 10
)

// The cookie of a session. Over https the prefix keeps everything that speaks
// plain http under the same name from setting it (RFC 6265bis, section 4.1.3).
const (
	cookieSecure = "__Host-drey"
	cookieHere   = "drey-session"
)

// A session is a browser that was paired with the machine. What the browser
// holds is not kept, only its hash.
type session struct {
	Hash   string `json:"hash"` // SHA-256 of the cookie, hexadecimal
	Made   int64  `json:"made"` // unix seconds
	Seen   int64  `json:"seen"` // unix seconds, to within an hour
	Label  string `json:"label"`
	From   string `json:"from"`   // the address at which it was last seen
	Secure bool   `json:"secure"` // paired over https, and good there only; else on this machine only
}

func (x *session) dead(now time.Time) bool {
	return now.Sub(time.Unix(x.Seen, 0)) > sessionIdle || now.Sub(time.Unix(x.Made, 0)) > sessionMost
}

// id names a session to people and in requests; it opens nothing.
func (x *session) id() string { return x.Hash[:12] }

// sessions are the paired browsers of a node, in a file that its owner alone
// can read.
type sessions struct {
	path string        // immutable
	port func() string // of the page; browsers keep cookies of one host's ports together

	mu struct {
		sync.Mutex
		list []*session
		read bool
	}
}

// find returns the session of a cookie that is good on such a
// connection; nil where there is none.
func (l *sessions) find(r *http.Request, here bool, from string, now time.Time) *session {
	name := cookieHere
	switch {
	case r.TLS != nil:
		name = cookieSecure
	case !here:
		return nil // in the clear anybody could have read it on the way
	}
	c, err := r.Cookie(name + l.port())
	if err != nil || len(c.Value) > 100 {
		return nil
	}
	sum := sha256.Sum256([]byte(c.Value))
	hash := hex.EncodeToString(sum[:])
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.loadLocked() != nil {
		return nil
	}
	for _, x := range l.mu.list {
		if x.Hash != hash || x.Secure != (r.TLS != nil) || x.dead(now) {
			continue
		}
		if now.Sub(time.Unix(x.Seen, 0)) > sessionNote || x.From != from {
			x.Seen, x.From = now.Unix(), from
			l.saveLocked() // if this fails the session ends a little early
		}
		was := *x
		return &was
	}
	return nil
}

// add makes a session and returns its cookie.
func (l *sessions) add(r *http.Request, from string, now time.Time) (*http.Cookie, error) {
	var b [32]byte
	rand.Read(b[:]) // never fails since Go 1.24
	value := base64.RawURLEncoding.EncodeToString(b[:])
	sum := sha256.Sum256([]byte(value))
	x := &session{Hash: hex.EncodeToString(sum[:]), Made: now.Unix(), Seen: now.Unix(), Label: browserName(r.UserAgent()), From: from, Secure: r.TLS != nil}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.loadLocked(); err != nil {
		return nil, err
	}
	l.mu.list = slices.DeleteFunc(l.mu.list, func(x *session) bool { return x.dead(now) })
	for len(l.mu.list) >= maxSessions {
		oldest := slices.MinFunc(l.mu.list, func(a, b *session) int { return int(a.Seen - b.Seen) })
		l.mu.list = slices.DeleteFunc(l.mu.list, func(x *session) bool { return x == oldest })
	}
	l.mu.list = append(l.mu.list, x)
	if err := l.saveLocked(); err != nil {
		return nil, err
	}
	c := &http.Cookie{Name: cookieHere, Value: value, Path: "/", MaxAge: int(sessionMost / time.Second), HttpOnly: true, SameSite: http.SameSiteStrictMode}
	if x.Secure {
		c.Name, c.Secure = cookieSecure, true
	}
	c.Name += l.port()
	return c, nil
}

// all lists the sessions that live, the last used first.
func (l *sessions) all(now time.Time) ([]session, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.loadLocked(); err != nil {
		return nil, err
	}
	var list []session
	for _, x := range l.mu.list {
		if !x.dead(now) {
			list = append(list, *x)
		}
	}
	slices.SortStableFunc(list, func(a, b session) int { return int(b.Seen - a.Seen) })
	return list, nil
}

// end ends the sessions whose id it is, all of them where id is "all", and
// reports whether there was one.
func (l *sessions) end(id string) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.loadLocked(); err != nil {
		return false, err
	}
	had := len(l.mu.list)
	l.mu.list = slices.DeleteFunc(l.mu.list, func(x *session) bool { return id == "all" || x.id() == id })
	if len(l.mu.list) == had {
		return false, nil
	}
	return true, l.saveLocked()
}

// sessionsFile is what the file holds.
type sessionsFile struct {
	V        int        `json:"v"`
	Sessions []*session `json:"sessions"`
}

func (l *sessions) loadLocked() error {
	if l.mu.read {
		return nil
	}
	b, err := os.ReadFile(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		l.mu.read = true
		return nil
	}
	if err != nil {
		return err
	}
	// A damaged file costs nobody more than pairing once more.
	l.mu.list, _ = parseSessions(b)
	l.mu.read = true
	return nil
}

func parseSessions(b []byte) ([]*session, error) {
	if len(b) > maxSessFile {
		return nil, fmt.Errorf("%d bytes, limit %d", len(b), maxSessFile)
	}
	var f sessionsFile
	if err := strictJSON(b, &f); err != nil {
		return nil, err
	}
	if f.V != Version || len(f.Sessions) > maxSessions {
		return nil, fmt.Errorf("version %d with %d sessions", f.V, len(f.Sessions))
	}
	for _, x := range f.Sessions {
		if x == nil || len(x.Hash) != 64 || strings.Trim(x.Hash, "0123456789abcdef") != "" {
			return nil, errors.New("a session without a hash")
		}
	}
	return f.Sessions, nil
}

func (l *sessions) saveLocked() error {
	b, err := json.Marshal(sessionsFile{Version, l.mu.list})
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(l.path), "."+filepath.Base(l.path)+"-") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(append(b, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), l.path)
}

// browserName makes of a User-Agent what people recognise: "Firefox, Android".
func browserName(agent string) string {
	name, system := "", ""
	for _, b := range []struct{ mark, name string }{
		{"Edg", "Edge"}, {"OPR/", "Opera"}, {"SamsungBrowser/", "Samsung Internet"}, {"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"},
		{"CriOS/", "Chrome"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}, {"curl/", "curl"},
	} {
		if name == "" && strings.Contains(agent, b.mark) {
			name = b.name
		}
	}
	for _, s := range []struct{ mark, name string }{
		{"Android", "Android"}, {"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Windows", "Windows"}, {"Mac OS X", "Mac"}, {"CrOS", "ChromeOS"}, {"Linux", "Linux"},
	} {
		if system == "" && strings.Contains(agent, s.mark) {
			system = s.name
		}
	}
	if name == "" {
		name, _, _ = strings.Cut(agent, " ")
		name = strings.Map(func(r rune) rune {
			if unicode.IsPrint(r) {
				return r
			}
			return -1
		}, strings.ToValidUTF8(name, ""))
		if letters := []rune(name); len(letters) > sessionLabel {
			name = string(letters[:sessionLabel])
		}
	}
	switch {
	case name == "":
		return system
	case system == "":
		return name
	}
	return name + ", " + system
}
