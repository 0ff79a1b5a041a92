package web

import (
	"context"
	"strconv"
	"strings"

	"drey/mesh"
	"drey/web/lang"
)

// A delivery tells in words what became of a message on this machine.
type delivery struct {
	Class string   // "good", "waiting", "bad"; "" where there is nothing to tell
	Words []string // in the order in which it went on
}

// A milestone is how far a message came, in the order in which the words are
// put under it.
type milestone int

const (
	atNothing milestone = iota
	atSaved
	atGossip
	atRelays
	atAir
	atHeard
	atAcknowledged
	atWaiting // is told only while nothing further happened on that carrier
	atFailed
	atRemark // is told only on the message's own page
)

// A told is one line of a delivery history, understood.
type told struct {
	milestone milestone
	key       string // of the catalogue, below "delivery."
	args      []any
	reason    string // in the node's own words
}

// states are the lines of a history that begin so. The order matters: the
// first that fits counts.
var states = []struct {
	prefix    string
	milestone milestone
	key       string
}{
	{"saved", atSaved, "saved"},
	{"gossiped to ", atGossip, "gossiped"},
	{"on air, but no radio repeated it", atAir, "unheard"},
	{"on air, said by ", atAir, "air-by"},
	{"on air", atAir, "air"},
	{"heard by ", atHeard, "heard-by"},
	{"heard", atHeard, "heard"},
	{"acknowledged by ", atAcknowledged, "acknowledged-by"},
	{"acknowledged", atAcknowledged, "acknowledged"},
	{"read by ", atAcknowledged, "read-by"},
	{"waiting: ", atWaiting, "waiting"},
	{"failed: ", atFailed, "failed"},
	{"expired", atFailed, "expired"},
	{"no neighbour now", atWaiting, "no-neighbour"},
	{"not treated as an emergency: ", atRemark, "no-emergency"},
	{"superseded by ", atFailed, "superseded"},
}

// understand reads a line of a history; what nobody foresaw is told as it is.
func understand(state string) told {
	if n, of, ok := numbers(state, "on ", " of ", " relays"); ok {
		return told{milestone: atRelays, key: "relays", args: []any{"n", n, "of", of}}
	}
	if n, of, ok := numbers(state, "part ", " of ", " on its way"); ok {
		return told{milestone: atAir, key: "part", args: []any{"n", n, "of", of}}
	}
	if n, of, ok := numbers(state, "fragment ", " of ", " on its way"); ok {
		return told{milestone: atAir, key: "part", args: []any{"n", n, "of", of}}
	}
	for _, known := range states {
		rest, ok := strings.CutPrefix(state, known.prefix)
		if !ok {
			continue
		}
		t := told{milestone: known.milestone, key: known.key}
		switch known.key {
		case "gossiped":
			n, err := strconv.Atoi(rest)
			if err != nil {
				continue
			}
			t.args = []any{"n", n}
		case "air-by", "heard-by", "acknowledged-by", "read-by":
			t.args = []any{"who", rest}
		case "waiting", "failed", "no-emergency":
			t.reason = rest
		}
		return t
	}
	return told{milestone: atRemark, reason: state}
}

// numbers reads two numbers between three words.
func numbers(s, before, between, behind string) (a, b int, ok bool) {
	s, ok1 := strings.CutPrefix(s, before)
	s, ok2 := strings.CutSuffix(s, behind)
	x, y, ok3 := strings.Cut(s, between)
	a, err1 := strconv.Atoi(x)
	b, err2 := strconv.Atoi(y)
	return a, b, ok1 && ok2 && ok3 && err1 == nil && err2 == nil
}

// say puts a line into words.
func (t told) say(words *lang.Catalogue) string {
	if t.key == "" {
		return t.reason
	}
	if t.reason == "" {
		return words.T("delivery."+t.key, t.args...)
	}
	return words.T("delivery."+t.key, "why", sayReason(words, t.reason))
}

// spans are the units of "about 4 min", as the radio writes it.
var spans = map[string]string{"s": "seconds", "min": "minutes", "h": "hours"}

// sayReason translates why something waits or failed: "airtime, about 4 min".
func sayReason(words *lang.Catalogue, reason string) string {
	why, about, found := strings.Cut(reason, ", about ")
	said, _ := words.Recognise(why)
	if !found {
		return said
	}
	count, unit, ok := strings.Cut(about, " ")
	n, err := strconv.Atoi(count)
	if !ok || err != nil || spans[unit] == "" {
		return said + ", " + about
	}
	return words.T("delivery.about", "why", said, "span", words.T("time."+spans[unit], "n", n))
}

// summarise tells how far a message has come: the best of each milestone, and
// of what hinders it only what still does.
func summarise(words *lang.Catalogue, steps []mesh.Step) delivery {
	var best [atRemark + 1]told
	last := make(map[string]told) // by carrier and target: what was said last
	var order []string
	for _, st := range steps {
		t := understand(st.State)
		if t.milestone == atRemark {
			continue
		}
		way := st.Carrier + "\x00" + st.Target
		if _, known := last[way]; !known {
			order = append(order, way)
		}
		last[way] = t
		if t.milestone <= atAcknowledged {
			best[t.milestone] = better(best[t.milestone], t)
		}
	}
	var d delivery
	for m := atSaved; m <= atAcknowledged; m++ {
		if best[m].milestone == atNothing {
			continue
		}
		if m == atAir && best[m].key == "part" && best[atHeard].milestone != atNothing {
			continue
		}
		d.Words = append(d.Words, best[m].say(words))
		d.Class = "good"
	}
	for _, way := range order {
		switch t := last[way]; t.milestone {
		case atWaiting:
			if t.key == "no-neighbour" { // a machine alone is healthy
				if best[atAir].milestone == atNothing && best[atRelays].milestone == atNothing {
					d.Words = append(d.Words, t.say(words))
				}
				continue
			}
			d.Words, d.Class = append(d.Words, t.say(words)), "waiting"
		case atFailed:
			d.Words = append(d.Words, t.say(words))
			if d.Class != "waiting" {
				d.Class = "bad"
			}
		}
	}
	return d
}

// better chooses between two lines about one milestone: the higher count, else
// the later.
func better(a, b told) told {
	if a.key == b.key && len(a.args) > 1 && len(b.args) > 1 {
		x, ok1 := a.args[1].(int)
		y, ok2 := b.args[1].(int)
		if ok1 && ok2 && x > y {
			return a
		}
	}
	if a.key == "heard-by" && b.key == "heard" {
		return a
	}
	return b
}

// delivery reads what became of a message that entered the network here.
func (rd *reader) delivery(ctx context.Context, id mesh.EventID) delivery {
	steps, err := rd.s.config.Node.History(ctx, id)
	if err != nil {
		return delivery{}
	}
	return summarise(rd.words, steps)
}
