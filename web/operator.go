package web

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"drey/mesh"
	"drey/web/lang"
)

// operatorViews are the pages about machines rather than messages: who is
// there, how they are reached, and what ails this one.
func (s *Server) operatorViews() []route {
	return []route{
		view("GET", "/people", ScopeGuest, s.getPeople),
		view("POST", "/people/change", ScopeAdmin, s.postPeopleChange),
		view("GET", "/qr", ScopeGuest, s.getQR),
		view("POST", "/qr/invite", ScopeAdmin, s.postQRInvite),
		view("POST", "/qr/withdraw", ScopeAdmin, s.postQRWithdraw),
		view("GET", "/qr/poster", ScopeGuest, s.getPoster),
		view("POST", "/qr/poster", ScopeGuest, s.postPoster),
		view("GET", "/qr/scan", ScopeGuest, s.getScan),
		view("POST", "/qr/scan", ScopeGuest, s.postScan),
		view("POST", "/qr/join", ScopeAdmin, s.postScanJoin),
		view("GET", "/radio", ScopeGuest, s.getRadioView),
		view("GET", "/map", ScopeGuest, s.getMap),
		view("GET", "/relays", ScopeGuest, s.getRelaysView),
		view("POST", "/relays/change", ScopeAdmin, s.postRelaysChange),
		view("GET", "/health", ScopeGuest, s.getHealthView),
		view("GET", "/help/{code}", ScopeGuest, s.getHelp),
	}
}

// A surroundings is everybody this node knows of, as much of it as one caller
// may see.
type surroundings struct {
	status  Status // whole, whoever asks
	members []Member
	met     map[string]bool       // machines in contact, by key
	links   map[string]PeerStatus // the best link to each machine, by key
	radios  []RadioNode           // none for guests
}

// look gathers the surroundings. Visitors learn the names of machines and
// admins, and who of them is in contact; not where they are, nor who else
// belongs: profiles of people are for members.
func (s *Server) look(ctx context.Context, c caller) (*surroundings, error) {
	st, err := s.config.Node.Status(ctx)
	if err != nil {
		return nil, err
	}
	l := &surroundings{status: st.filled(), met: make(map[string]bool), links: make(map[string]PeerStatus)}
	if l.members, err = s.members(ctx); err != nil {
		return nil, err
	}
	for _, key := range s.config.Node.Met(ctx) {
		l.met[key] = true
	}
	for _, p := range st.Overlay.Peers {
		if best, known := l.links[p.Key]; p.Up && p.Key != "" && (!known || p.RTTMS > 0 && (best.RTTMS == 0 || p.RTTMS < best.RTTMS)) {
			l.links[p.Key] = p
		}
	}
	if c.scope < ScopeMember {
		l.members = slices.DeleteFunc(l.members, func(m Member) bool {
			return m.Standing != mesh.Founder.String() && m.Standing != mesh.Admin.String() && m.Standing != mesh.Machine.String()
		})
		return l, nil
	}
	if st.Radio.State != "" && st.Radio.State != "none" {
		if l.radios, err = s.config.Node.RadioNodes(ctx); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// isMachine reports whether a member is a machine that belongs.
func isMachine(m Member) bool {
	return m.Node != "" && (m.Standing == mesh.Founder.String() || m.Standing == mesh.Admin.String() || m.Standing == mesh.Machine.String())
}

// linkNote says how a link is: its round trip, and where it comes from.
func linkNote(words *lang.Catalogue, p PeerStatus) string {
	var parts []string
	if took := roundTrip(p.RTTMS); took != "" {
		parts = append(parts, took)
	}
	if key, ok := linkSources[p.Source]; ok {
		parts = append(parts, words.T("people.link-"+key))
	}
	return strings.Join(parts, " · ")
}

// linkSources are the keys, below "people.link-", of where a link comes from.
var linkSources = map[string]string{
	"config": "config", "cli": "config", "lan": "lan", "mdns": "lan", "broadcast": "lan", "multicast": "lan",
	"invite": "invite", "incoming": "incoming", "cache": "cache", "roster": "cache", "lora": "radio", "nostr": "internet",
	"dns": "internet", "kademlia": "internet", "mainline": "internet", "file": "config",
}

// roundTrip writes a round trip as people read it; "" where it is not known.
func roundTrip(ms float64) string {
	switch {
	case ms <= 0:
		return ""
	case ms < 0.1:
		return "< 0.1 ms"
	}
	digits := 0
	if ms < 10 {
		digits = 1
	}
	return strconv.FormatFloat(ms, 'f', digits, 64) + " ms"
}

// hostOf returns the host of a URI, or all of what is none.
func hostOf(uri string) string {
	if u, err := url.Parse(uri); err == nil && u.Host != "" {
		return u.Hostname()
	}
	return uri
}

// nameOr returns a name, or what stands for one that is missing.
func nameOr(name, other string) string { return cmp.Or(strings.TrimSpace(name), other) }

// shorter cuts the middle out of a key.
func shorter(key string) string {
	if len(key) <= 20 {
		return key
	}
	return key[:12] + "…" + key[len(key)-6:]
}

// moment is a time for a <time> element.
type moment struct {
	Machine string // RFC 3339; "" for never
	Words   string // "5 minutes ago"
}

// since makes a moment of a time that is past; zero is never.
func (s *Server) since(words *lang.Catalogue, t time.Time) moment {
	if t.IsZero() {
		return moment{}
	}
	return moment{t.UTC().Format(time.RFC3339), ago(words, s.now().Sub(t))}
}

// unix makes a time of seconds; 0 is the zero time.
func unix(seconds int64) time.Time {
	if seconds <= 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}

// mapRemembers is how long a radio that is silent stays on the map.
const mapRemembers = 24 * time.Hour

// decibels writes the strength of a signal.
func decibels(v float64) string { return fmt.Sprintf("%+.1f dB", v) }

// shortNumber writes a number with one digit behind the point where that
// tells something.
func shortNumber(v float64) string {
	if v >= 10 || v == float64(int64(v)) {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'f', 1, 64)
}
