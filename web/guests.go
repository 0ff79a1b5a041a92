package web

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/time/rate"
)

// GuestLimits bound what visitors may do. A zero field means its default.
type GuestLimits struct {
	Burst    int           // posts of one address at once; default 5
	Every    time.Duration // then one in so long; default 6 s
	AllBurst int           // posts of all visitors together at once; default 30
	AllEvery time.Duration // then one in so long; default 1 s
	Bytes    int           // of one post's text; default 2000
}

func (l GuestLimits) filled() GuestLimits {
	d := GuestLimits{Burst: 5, Every: 6 * time.Second, AllBurst: 30, AllEvery: time.Second, Bytes: 2000}
	if l.Burst > 0 {
		d.Burst = l.Burst
	}
	if l.Every > 0 {
		d.Every = l.Every
	}
	if l.AllBurst > 0 {
		d.AllBurst = l.AllBurst
	}
	if l.AllEvery > 0 {
		d.AllEvery = l.AllEvery
	}
	if l.Bytes > 0 {
		d.Bytes = l.Bytes
	}
	return d
}

// Requests of one visitor, reading included: a page with its parts is four.
const (
	guestRequests      = 100 // at once
	guestRequestsEvery = 50 * time.Millisecond
	maxGuests          = 4096 // addresses remembered
)

// guests keeps visitors within their rates.
type guests struct {
	limits GuestLimits // immutable

	mu struct {
		sync.Mutex
		all     *rate.Limiter
		visitor map[netip.Prefix]*visitor
		refused uint64
	}
}

type visitor struct {
	posts, requests *rate.Limiter
	seen            time.Time
}

func newGuests(l GuestLimits) *guests {
	g := &guests{limits: l.filled()}
	g.mu.all = rate.NewLimiter(rate.Every(g.limits.AllEvery), g.limits.AllBurst)
	g.mu.visitor = make(map[netip.Prefix]*visitor)
	return g
}

// visitorOf names who shares one allowance: an IPv4 address, or the 64 bits
// of an IPv6 network, within which a machine picks addresses as it likes.
func visitorOf(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// request counts one request and says how long to wait when it is one too
// many, else 0.
func (g *guests) request(a netip.Addr, now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.visitorLocked(a, now)
	if v == nil {
		g.mu.refused++
		return guestRequestsEvery
	}
	return g.takeLocked(now, v.requests)
}

// post counts one post likewise.
func (g *guests) post(a netip.Addr, now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.visitorLocked(a, now)
	if v == nil {
		g.mu.refused++
		return g.limits.Every
	}
	return g.takeLocked(now, v.posts, g.mu.all)
}

// takeLocked takes one from each limiter, or from none.
func (g *guests) takeLocked(now time.Time, limiters ...*rate.Limiter) time.Duration {
	var taken []*rate.Reservation
	for _, l := range limiters {
		r := l.ReserveN(now, 1)
		taken = append(taken, r)
		if wait := r.DelayFrom(now); wait > 0 {
			for _, t := range taken {
				t.CancelAt(now)
			}
			g.mu.refused++
			return wait
		}
	}
	return 0
}

// visitorLocked returns the visitor, nil when too many others are active.
func (g *guests) visitorLocked(a netip.Addr, now time.Time) *visitor {
	p := visitorOf(a)
	v := g.mu.visitor[p]
	if v == nil {
		if len(g.mu.visitor) >= maxGuests {
			g.sweepLocked(now)
		}
		if len(g.mu.visitor) >= maxGuests {
			return nil
		}
		v = &visitor{
			posts:    rate.NewLimiter(rate.Every(g.limits.Every), g.limits.Burst),
			requests: rate.NewLimiter(rate.Every(guestRequestsEvery), guestRequests),
		}
		g.mu.visitor[p] = v
	}
	v.seen = now
	return v
}

// sweepLocked forgets visitors whose allowance is whole again.
func (g *guests) sweepLocked(now time.Time) {
	for p, v := range g.mu.visitor {
		if v.posts.TokensAt(now) >= float64(g.limits.Burst) && v.requests.TokensAt(now) >= guestRequests {
			delete(g.mu.visitor, p)
		}
	}
}

func (g *guests) count() (refused uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mu.refused
}

// What visitors are called.
const (
	maxGuestName = 32      // letters
	guestName    = "guest" // who chose none
)

// parseGuestName checks a name that a visitor chose. What could make it look
// like something else is refused: controls, and marks that turn the direction
// of what follows.
func parseGuestName(s string) (string, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return guestName, nil
	}
	if !utf8.ValidString(s) {
		return "", fmt.Errorf("the name is not valid UTF-8")
	}
	if n := utf8.RuneCountInString(s); n > maxGuestName {
		return "", NewError(CodeUsage, fmt.Sprintf("the name has %d letters, at most %d fit", n, maxGuestName), "", "", nil).in("name-long", "n", n, "limit", maxGuestName)
	}
	for _, r := range s {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			return "", NewError(CodeUsage, fmt.Sprintf("the name holds %U, which cannot be shown safely", r), "", "", nil).in("name-odd")
		}
	}
	if !strings.ContainsFunc(s, isSeen) {
		return guestName, nil
	}
	return s, nil
}

// isSeen reports whether a letter leaves a mark of its own. A name without one
// would be no name to anybody.
func isSeen(r rune) bool {
	const emptyBraille = '\u2800'
	return unicode.IsGraphic(r) && !unicode.IsSpace(r) && !unicode.IsMark(r) && r != emptyBraille && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}
