package web

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"drey/mesh"
)

// readCookie keeps how far this browser has read each topic.
const readCookie = "drey-read"

// Bounds of the cookie.
const (
	mostRead      = 3000 // bytes; browsers keep 4096
	sameVisitTime = 15 * time.Minute
)

// A mark is how far a browser has read a topic.
type mark struct {
	topic mesh.Topic
	read  uint64    // the newest that was shown
	since uint64    // the newest that was shown before this visit
	at    time.Time // of the last look, in whole minutes
}

// readMarks reads the cookie; what does not hold is left out. It is a list of
// topic:read:since:minutes, with dots in between and the last used topic first.
func readMarks(r *http.Request) []mark {
	c, err := r.Cookie(readCookie)
	if err != nil || len(c.Value) > mostRead {
		return nil
	}
	return parseMarks(c.Value)
}

func parseMarks(s string) []mark {
	var marks []mark
	for part := range strings.SplitSeq(s, ".") {
		f := strings.Split(part, ":")
		if len(f) != 4 {
			continue
		}
		topic, err := mesh.ParseTopic(f[0])
		read, err1 := strconv.ParseUint(f[1], 10, 63)
		since, err2 := strconv.ParseUint(f[2], 10, 63)
		at, err3 := strconv.ParseUint(f[3], 10, 40)
		if err != nil || err1 != nil || err2 != nil || err3 != nil || since > read ||
			slices.ContainsFunc(marks, func(m mark) bool { return m.topic == topic }) {
			continue
		}
		marks = append(marks, mark{topic, read, since, time.Unix(int64(at)*60, 0)})
	}
	return marks
}

func spellMarks(marks []mark) string {
	var b strings.Builder
	for _, m := range marks {
		part := string(m.topic) + ":" + strconv.FormatUint(m.read, 10) + ":" + strconv.FormatUint(m.since, 10) + ":" + strconv.FormatInt(m.at.Unix()/60, 10)
		if b.Len()+1+len(part) > mostRead {
			break
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(part)
	}
	return b.String()
}

// markOf returns the mark of a topic; the zero mark where there is none.
func markOf(marks []mark, t mesh.Topic) mark {
	for _, m := range marks {
		if m.topic == t {
			return m
		}
	}
	return mark{topic: t}
}

// look notes that a topic was read up to a place, and puts it first. Within one
// visit the place where it began stays, so that loading the page again does
// not lose it.
func look(marks []mark, t mesh.Topic, upTo uint64, now time.Time) []mark {
	m := markOf(marks, t)
	if now.Sub(m.at) > sameVisitTime || now.Before(m.at.Add(-time.Minute)) {
		m.since = m.read
	}
	m.read, m.at = max(m.read, upTo), now
	rest := slices.DeleteFunc(slices.Clone(marks), func(o mark) bool { return o.topic == t })
	return append([]mark{m}, rest...)
}
