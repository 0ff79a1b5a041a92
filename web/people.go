package web

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"drey/mesh"
	"drey/web/lang"
)

// peoplePage is what people.html shows.
type peoplePage struct {
	Query, Sort string
	Sorts       []string
	Community   CommunityStatus
	Waiting     []personRow
	Machines    []personRow
	People      []personRow
	Banned      []personRow
	Guests      []guestRow
	Radios      []radioRow
	Total       int  // people and machines that belong, found or not
	Found       int  // rows that are left of a search
	Whole       bool // the caller sees everybody, not only machines
	Heard       int  // radios heard, for those who do not see which
	RadioOn     bool
}

// A personRow is one who belongs, belonged or asks to.
type personRow struct {
	Member
	Machine  bool
	Short    string // of its key
	Met      bool   // in contact now
	Link     string // how
	rtt      float64
	Seen     moment
	seenAt   time.Time
	Since    moment
	ByName   string
	Admitted string   // the roster's name, where it is another
	Ops      []string // what an admin may do about it
}

// A guestRow is a visitor who wrote lately, by the name of his own choice.
type guestRow struct {
	Name string
	Seen moment
}

// A radioRow is one radio on the air.
type radioRow struct {
	RadioNode
	Seen moment
	Far  bool // not heard lately
}

// The orders of the list.
var peopleSorts = []string{"name", "seen", "link"}

// mostRows bounds the lists of the page.
const mostRows = 500

func (s *Server) getPeople(w http.ResponseWriter, r *http.Request, c caller) error {
	words := s.languageOf(r)
	l, err := s.look(r.Context(), c)
	if err != nil {
		return err
	}
	p := peoplePage{
		Query: clipped(r.URL.Query().Get("q"), 64), Sort: r.URL.Query().Get("sort"), Sorts: peopleSorts,
		Community: l.status.Community, Total: l.status.Community.Members, Whole: c.scope >= ScopeMember,
		Heard: l.status.Radio.Heard, RadioOn: l.status.Radio.State == "ready",
	}
	if !slices.Contains(peopleSorts, p.Sort) {
		p.Sort = peopleSorts[0]
	}
	rows := s.personRows(r.Context(), c, words, l)
	rows = slices.DeleteFunc(rows, func(x personRow) bool { return !x.matches(p.Query) })
	sortPeople(rows, p.Sort)
	p.Found = len(rows)
	for _, x := range rows[:min(len(rows), mostRows)] {
		switch {
		case x.Standing == StandingWaiting:
			p.Waiting = append(p.Waiting, x)
		case x.Standing == mesh.Banned.String():
			p.Banned = append(p.Banned, x)
		case x.Machine:
			p.Machines = append(p.Machines, x)
		default:
			p.People = append(p.People, x)
		}
	}
	for _, n := range l.radios[:min(len(l.radios), mostRows)] {
		if !n.Self && holds(p.Query, n.Name, n.ShortName, n.Node) {
			p.Radios = append(p.Radios, s.radioRow(words, n))
		}
	}
	p.Found += len(p.Radios)
	if p.Guests, err = s.guestRows(r.Context(), words, p.Query); err != nil {
		return err
	}
	return s.render(w, r, c, "people", p)
}

// forGuests is the row without what is not for visitors.
func (x personRow) forGuests() personRow {
	return personRow{Member: Member{Name: x.Name, Standing: x.Standing, Self: x.Self}, Machine: x.Machine, Met: x.Met}
}

func (s *Server) personRows(ctx context.Context, c caller, words *lang.Catalogue, l *surroundings) []personRow {
	names := Distinct(l.members)
	last := s.lastHeard(ctx)
	rows := make([]personRow, 0, len(l.members))
	for _, m := range l.members {
		x := personRow{Member: m, Machine: m.Node != "", Short: shorter(m.NPub), Since: s.since(words, unix(m.Since)), ByName: cmp.Or(names[m.By], shorter(m.By))}
		x.Name = nameOr(names[m.NPub], x.Short)
		if m.Called != "" {
			x.Admitted = m.Name
		}
		if link, ok := l.links[m.Node]; ok && m.Node != "" {
			x.Met, x.Link, x.rtt = true, linkNote(words, link), link.RTTMS
		} else if x.Met = l.met[m.Node]; x.Met {
			x.Link = words.T("people.link-routed")
		}
		if c.scope >= ScopeMember && !m.Self && !x.Met {
			x.seenAt = last(m.NPub)
		}
		if x.Met || m.Self {
			x.seenAt = s.now()
		}
		x.Seen = s.since(words, x.seenAt)
		if c.scope >= ScopeAdmin && !m.Self && !l.status.Community.Open {
			x.Ops = opsFor(m)
		}
		if c.scope < ScopeMember {
			x = x.forGuests()
		}
		rows = append(rows, x)
	}
	return rows
}

// opsFor lists what may be decided about a member: ops of MemberChange, with
// "promote" for admit as an admin and "lift" for admit in spite of a ban.
func opsFor(m Member) []string {
	switch m.Standing {
	case StandingWaiting:
		return []string{OpAdmit, OpBan}
	case mesh.Banned.String():
		return []string{opLift}
	case mesh.Founder.String(), mesh.Admin.String():
		return []string{OpDemote, OpRemove, OpBan}
	case mesh.Machine.String(), mesh.Person.String():
		return []string{opPromote, OpRemove, OpBan}
	}
	return nil
}

// guestRows lists visitors who wrote in the last day.
func (s *Server) guestRows(ctx context.Context, words *lang.Catalogue, query string) ([]guestRow, error) {
	if len(s.config.GuestTopics) == 0 {
		return nil, nil
	}
	const among = 200 // the newest messages
	f := mesh.Filter{Topics: s.config.GuestTopics, Kinds: []mesh.Kind{mesh.KindNote}, Order: mesh.ReceiptLatest, Limit: among}
	var rows []guestRow
	seen := make(map[string]bool)
	for rec, err := range s.config.Node.Records(ctx, f, mesh.Viewer{Topics: s.config.GuestTopics}) {
		if err != nil {
			return nil, err
		}
		name, ok := mesh.GuestName(rec.Event)
		if !ok || seen[name] || s.now().Sub(rec.Received) > 24*time.Hour || !holds(query, name) {
			continue
		}
		seen[name] = true
		rows = append(rows, guestRow{name, s.since(words, rec.Received)})
	}
	return rows, nil
}

// lately is how long a radio counts as heard.
const lately = 2 * time.Hour

func (s *Server) radioRow(words *lang.Catalogue, n RadioNode) radioRow {
	at := unix(n.LastHeard)
	n.Name = nameOr(n.Name, n.Node)
	return radioRow{RadioNode: n, Seen: s.since(words, at), Far: at.IsZero() || s.now().Sub(at) > lately}
}

// Level is the battery in words; "" when not known.
func (n radioRow) Level() string {
	if n.Battery <= 0 || n.Battery > 100 {
		return ""
	}
	return fmt.Sprintf("%d %%", n.Battery)
}

// Powered reports whether the radio hangs on a supply.
func (n radioRow) Powered() bool { return n.Battery > 100 }

// Signal is how strongly it was heard; "" when not known.
func (n radioRow) Signal() string {
	if n.SNR == 0 || n.ViaMQTT {
		return ""
	}
	return decibels(float64(n.SNR))
}

func (x personRow) matches(query string) bool {
	return holds(query, x.Name, x.Admitted, x.NPub, x.Node, x.Address)
}

// holds reports whether one of the texts holds the query; an empty one is held
// by all.
func holds(query string, texts ...string) bool {
	query = mesh.Fold(strings.TrimSpace(query))
	return query == "" || slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(mesh.Fold(t), query) })
}

// sortPeople puts rows in an order; equals are by name, then by key.
func sortPeople(rows []personRow, by string) {
	far := func(x personRow) float64 {
		switch {
		case x.Met && x.rtt > 0:
			return x.rtt
		case x.Met:
			return 1e6
		}
		return 1e9
	}
	slices.SortStableFunc(rows, func(a, b personRow) int {
		first := 0
		switch by {
		case "seen":
			first = b.seenAt.Compare(a.seenAt)
		case "link":
			first = cmp.Compare(far(a), far(b))
		}
		return cmp.Or(first, cmp.Compare(mesh.Fold(a.Name), mesh.Fold(b.Name)), cmp.Compare(a.NPub, b.NPub))
	})
}

// clipped cuts a text to so many bytes, at a letter.
func clipped(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "")
}
