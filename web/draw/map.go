package draw

import (
	"fmt"
	"html/template"
	"slices"
	"strings"
)

// A Map is a node with everything it is linked to, in groups by medium. It is
// drawn as lines of a town's transport are: each group has a line of its own,
// which leaves this node, runs along the side and calls at the group's nodes
// row by row. So no line crosses another, a node or a word, whether there are
// five nodes or two hundred, and the picture is as narrow as a phone.
type Map struct {
	Title, Desc string
	Self        Stop
	Groups      []Group // empty ones are left out
	Mirror      bool    // for languages that are written from right to left
}

// A Group is one line of the map.
type Group struct {
	Kind  Kind
	Title string
	Stops []Stop
}

// A Stop is a node on a line.
type Stop struct {
	Name string
	Note string // one short line below the name: a round trip, a signal
	Down bool   // it is known, and not linked now
}

// A Kind is how the nodes of a group are reached.
type Kind string

// The kinds; each has its own shape and colour.
const (
	Direct  Kind = "direct"  // machines of the community with a link of their own
	Routed  Kind = "routed"  // machines of the community met through others
	Transit Kind = "transit" // nodes of Yggdrasil that are not of the community
	Radio   Kind = "radio"   // radios heard on the air
	Relay   Kind = "relay"   // public relays
	Away    Kind = "away"    // machines of the community out of contact
)

// Measures of the map, in its own units.
const (
	mapWidth = 360.0
	lane     = 8.0 // between the lines along the side
	laneEdge = 8.0
	margin   = 6.0

	columns   = 3
	rowHeight = 66.0
	noteLine  = 12.0 // less, where no node of a row has a note
	headRoom  = 26.0 // of a group's title
	groupGap  = 14.0
	dropTo    = 24.0 // from a row's top to the middle of its nodes
	nodeSize  = 9.0  // half of a node's breadth

	selfY    = 30.0
	selfSize = 20.0
	headEnd  = 98.0 // of this node and its name
	nameSize = letter
	noteSize = 10.0
)

// box is a rectangle of the picture.
type box struct{ x, y, w, h float64 }

// placed is where something of the map stands: a node or its words.
type placed struct {
	box
	node bool
	what string
}

// layout is a map with places.
type layout struct {
	height float64
	lanes  []laneAt
	rows   []rowAt
	heads  []headAt
	stops  []stopAt
}

type laneAt struct {
	kind       Kind
	x, out, to float64 // of the side; where it leaves this node; of its last row
}

type rowAt struct {
	kind      Kind
	x, y, end float64
}

type headAt struct {
	x, y  float64
	words string
}

type stopAt struct {
	kind       Kind
	stop       Stop
	x, y, from float64 // its middle; the row's line above
	name, note string  // cut to the room there is
}

// lay finds a place for everything.
func (m Map) lay() layout {
	var groups []Group
	for _, g := range m.Groups {
		if len(g.Stops) > 0 {
			groups = append(groups, g)
		}
	}
	n := len(groups)
	left := laneEdge + lane*float64(n) + 2
	cell := (mapWidth - margin - left) / columns
	l := layout{height: headEnd}
	y := headEnd
	for i, g := range groups {
		// The first group's line runs innermost and leaves lowest, so that those
		// of later groups pass outside it.
		at := laneAt{kind: g.Kind, x: laneEdge + lane*float64(n-1-i), out: selfY + (float64(n-1)/2-float64(i))*5}
		l.heads = append(l.heads, headAt{left, y + 16, fit(g.Title, 12, mapWidth-margin-left)})
		y += headRoom
		for from := 0; from < len(g.Stops); from += columns {
			row := g.Stops[from:min(from+columns, len(g.Stops))]
			for j, s := range row {
				x := left + cell*(float64(j)+0.5)
				l.stops = append(l.stops, stopAt{
					kind: g.Kind, stop: s, x: x, y: y + dropTo, from: y + 6,
					name: fit(s.Name, nameSize, cell-4), note: fit(s.Note, noteSize, cell-4),
				})
			}
			at.to = y + 6
			l.rows = append(l.rows, rowAt{g.Kind, at.x, at.to, left + cell*(float64(len(row))-0.5)})
			y += rowHeight
			if !slices.ContainsFunc(row, func(s Stop) bool { return s.Note != "" }) {
				y -= noteLine
			}
		}
		l.lanes = append(l.lanes, at)
		y += groupGap
	}
	l.height = y
	return l
}

// boxes lists what must not overlap: nodes, and the words beside them.
func (l layout) boxes(self Stop) []placed {
	words := func(s string, size, x, y float64) placed {
		w := breadth(s, size)
		return placed{box{x - w/2, y - size, w, size + 2}, false, s}
	}
	all := []placed{
		{box{mapWidth/2 - selfSize, selfY - selfSize, 2 * selfSize, 2 * selfSize}, true, "this node"},
		words(fit(self.Name, 13, 240), 13, mapWidth/2, selfY+selfSize+18),
		words(fit(self.Note, noteSize, 240), noteSize, mapWidth/2, selfY+selfSize+32),
	}
	for _, h := range l.heads {
		all = append(all, placed{box{h.x, h.y - 12, breadth(h.words, 12), 14}, false, h.words})
	}
	for _, s := range l.stops {
		all = append(all, placed{box{s.x - nodeSize, s.y - nodeSize, 2 * nodeSize, 2 * nodeSize}, true, "node of " + s.name},
			words(s.name, nameSize, s.x, s.y+24))
		if s.note != "" {
			all = append(all, words(s.note, noteSize, s.x, s.y+37))
		}
	}
	return all
}

// Draw makes the picture.
func (m Map) Draw() template.HTML {
	l := m.lay()
	var p pen
	p.open("draw links", "links", int(mapWidth), int(l.height), m.Title, m.Desc)
	x := func(v float64) float64 { return v }
	start := "start"
	if m.Mirror {
		x = func(v float64) float64 { return mapWidth - v }
		start = "end"
	}
	for _, a := range l.lanes {
		p.line(`<path class="way %s" d="M%s %sH%sQ%s %s %s %sV%s"/>`, a.kind, num(x(mapWidth/2)), num(a.out), num(x(a.x+6)),
			num(x(a.x)), num(a.out), num(x(a.x)), num(a.out+6), num(a.to-6))
	}
	for i, r := range l.rows {
		p.line(`<path class="way %s" d="M%s %sQ%s %s %s %sH%s"/>`, r.kind, num(x(r.x)), num(r.y-6), num(x(r.x)), num(r.y), num(x(r.x+6)), num(r.y), num(x(r.end)))
		if i+1 < len(l.rows) && l.rows[i+1].x == r.x {
			p.line(`<path class="way %s" d="M%s %sV%s"/>`, r.kind, num(x(r.x)), num(r.y-6), num(l.rows[i+1].y-6))
		}
	}
	for _, h := range l.heads {
		p.text("title", start, x(h.x), h.y, h.words)
	}
	for _, s := range l.stops {
		s.draw(&p, x(s.x))
	}
	m.drawSelf(&p)
	return p.close()
}

// draw draws a node with its name, and the line that leads to it.
func (s stopAt) draw(p *pen, x float64) {
	class := string(s.kind)
	if s.stop.Down {
		class += " down"
	}
	p.f(`<g class="stop %s"><title>%s</title>`, class, esc(strings.TrimSpace(s.stop.Name+" "+s.stop.Note)))
	p.f(`<path class="way %s" d="M%s %sV%s"/>`, class, num(x), num(s.from), num(s.y-nodeSize))
	p.f(`<path class="node" d="%s"/>`, shape(s.kind, x, s.y))
	p.text("name", "middle", x, s.y+24, s.name)
	if s.note != "" {
		p.text("remark", "middle", x, s.y+37, s.note)
	}
	p.line(`</g>`)
}

// shape returns the outline of a node of a kind around its middle: machines are
// square, radios round, relays stand on a corner.
func shape(k Kind, x, y float64) string {
	const r = nodeSize
	switch k {
	case Radio:
		return fmt.Sprintf("M%s %sa%[3]s %[3]s 0 1 1 %[4]s 0a%[3]s %[3]s 0 1 1 -%[4]s 0z", num(x-r), num(y), num(r), num(2*r))
	case Relay, Transit:
		return fmt.Sprintf("M%s %sl%[3]s %[3]sl-%[3]s %[3]sl-%[3]s -%[3]sz", num(x), num(y-r), num(r))
	}
	const c = 3.0 // of the corners
	side := num(2 * (r - c))
	return fmt.Sprintf("M%s %sh%[3]sq%[4]s 0 %[4]s %[4]sv%[3]sq0 %[4]s -%[4]s %[4]sh-%[3]sq-%[4]s 0 -%[4]s -%[4]sv-%[3]sq0 -%[4]s %[4]s -%[4]sz",
		num(x-r+c), num(y-r), side, num(c))
}

// drawSelf draws this node, as a nest in a tree.
func (m Map) drawSelf(p *pen) {
	const x = mapWidth / 2
	p.f(`<g class="self"><title>%s</title>`, esc(m.Self.Name))
	p.f(`<circle class="node" cx="%s" cy="%s" r="%s"/>`, num(x), num(selfY), num(selfSize))
	p.f(`<path class="sign" d="M%s %sl11 -9l11 9v10h-22zM%s %sv-6h6v6"/>`, num(x-11), num(selfY-1), num(x-3), num(selfY+9))
	p.text("name", "middle", x, selfY+selfSize+18, fit(m.Self.Name, 13, 240))
	p.text("remark", "middle", x, selfY+selfSize+32, fit(m.Self.Note, noteSize, 240))
	p.line(`</g>`)
}
