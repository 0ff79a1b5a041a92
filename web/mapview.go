package web

import (
	"cmp"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"drey/web/draw"
	"drey/web/lang"
)

// mapPage is what map.html shows: the drawing, and the same as lists.
type mapPage struct {
	Picture template.HTML
	Groups  []mapGroup
	Alone   bool
}

// A mapGroup is one line of the map as a list.
type mapGroup struct {
	Kind  draw.Kind
	Title string
	Stops []mapStop
}

// A mapStop is one node; its details have no room in the drawing.
type mapStop struct {
	draw.Stop
	Detail string
}

func (s *Server) getMap(w http.ResponseWriter, r *http.Request, c caller) error {
	words := s.languageOf(r)
	l, err := s.look(r.Context(), c)
	if err != nil {
		return err
	}
	groups := s.mapGroups(words, l, c)
	m := draw.Map{
		Title: words.T("map.title"), Mirror: words.Dir == "rtl",
		Self: draw.Stop{Name: nameOr(s.config.Name, l.status.Node.Name), Note: l.status.Community.Name},
	}
	if m.Self.Note == m.Self.Name { // as of a machine that has just founded its own
		m.Self.Note = ""
	}
	var told []string
	linked := 0
	for _, g := range groups {
		m.Groups = append(m.Groups, g.forDraw())
		told = append(told, g.Title)
		for _, stop := range g.Stops {
			if !stop.Down {
				linked++
			}
		}
	}
	m.Desc = words.T("map.desc") + " " + strings.Join(told, ", ")
	return s.render(w, r, c, "map", mapPage{m.Draw(), groups, linked == 0})
}

func (g mapGroup) forDraw() draw.Group {
	d := draw.Group{Kind: g.Kind, Title: g.Title}
	for _, x := range g.Stops {
		d.Stops = append(d.Stops, x.Stop)
	}
	return d
}

// mapGroups sorts everything that this node is linked to by how. Visitors get
// the machines of the community by name, and no more.
func (s *Server) mapGroups(words *lang.Catalogue, l *surroundings, c caller) []mapGroup {
	whole := c.scope >= ScopeMember
	by := make(map[draw.Kind][]mapStop)
	add := func(k draw.Kind, name, note, detail string, down bool) {
		if !whole {
			note, detail = "", ""
		}
		by[k] = append(by[k], mapStop{draw.Stop{Name: name, Note: note, Down: down}, detail})
	}
	known := make(map[string]bool)
	for _, m := range l.members {
		if m.Self || !isMachine(m) {
			continue
		}
		known[m.Node] = true
		name := nameOr(m.Name, shorter(m.NPub))
		if link, ok := l.links[m.Node]; ok {
			add(draw.Direct, name, roundTrip(link.RTTMS), linkNote(words, link), false)
		} else if l.met[m.Node] {
			add(draw.Routed, name, "", "", false)
		} else {
			add(draw.Away, name, "", "", true)
		}
	}
	if whole {
		s.addForeign(words, l, known, add)
	}
	var groups []mapGroup
	for _, k := range []draw.Kind{draw.Direct, draw.Routed, draw.Radio, draw.Relay, draw.Transit, draw.Away} {
		stops := by[k]
		if len(stops) == 0 {
			continue
		}
		slices.SortStableFunc(stops, func(a, b mapStop) int {
			return cmp.Or(boolOrder(a.Down, b.Down), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Note, b.Note))
		})
		groups = append(groups, mapGroup{k, words.T("map."+string(k), "n", len(stops)), stops})
	}
	return groups
}

func boolOrder(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// addForeign adds what is not a machine of the roster: links to others, radios
// heard within a day, public relays.
func (s *Server) addForeign(words *lang.Catalogue, l *surroundings, known map[string]bool, add func(k draw.Kind, name, note, detail string, down bool)) {
	for key, p := range l.links {
		switch {
		case known[key]:
		case l.met[key]: // of an open community, which keeps no list
			add(draw.Direct, hostOf(p.URI), roundTrip(p.RTTMS), linkNote(words, p), false)
		default:
			add(draw.Transit, hostOf(p.URI), roundTrip(p.RTTMS), linkNote(words, p), false)
		}
	}
	for _, n := range l.radios {
		x := s.radioRow(words, n)
		if n.Self || n.LastHeard == 0 || s.now().Sub(unix(n.LastHeard)) > mapRemembers {
			continue
		}
		detail := x.Signal()
		switch {
		case n.ViaMQTT:
			detail = words.T("people.via-internet")
		case n.Hops > 0:
			detail = strings.TrimPrefix(detail+" · "+words.T("people.hops", "n", n.Hops), " · ")
		}
		add(draw.Radio, x.Name, x.Signal(), detail, x.Far)
	}
	for _, rel := range l.status.Nostr.Relays {
		add(draw.Relay, hostOf(rel.URL), roundTrip(rel.RTTMS), roundTrip(rel.RTTMS), !rel.Up)
	}
}
