package web

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"drey/mesh"
)

// Bounds of what one request may ask for.
const (
	defaultLimit = 100    // messages of a history without a beginning
	mostLimit    = 10_000 // messages of a limit; without a limit the answer is streamed whole
	mostWait     = 10 * time.Minute
	defaultWait  = 30 * time.Second
)

// A since is where a history begins.
type since struct {
	all  bool
	id   mesh.EventID // after this message, where isID
	isID bool
	from time.Time // received at or after
}

// parseSince reads "all", a duration back from now ("90s", "1h", "3d", "2w"),
// unix seconds, a date ("2026-03-01", "2026-03-01T08:00:00Z") or the id of the
// last message that is already known.
func parseSince(s string, now time.Time) (since, error) {
	switch {
	case s == "all":
		return since{all: true}, nil
	case len(s) == 64:
		id, err := mesh.ParseEventID(s)
		if err != nil {
			return since{}, fmt.Errorf("since: id: %w", err)
		}
		return since{id: id, isID: true}, nil
	}
	if n, err := strconv.ParseUint(s, 10, 32); err == nil {
		return since{from: time.Unix(int64(n), 0)}, nil
	}
	if d, ok := parseSpan(s); ok {
		return since{from: now.Add(-d)}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return since{from: t}, nil
		}
	}
	return since{}, fmt.Errorf("since: %.70q is not a span such as 1h or 3d, unix seconds, a date, a message's id, or all", s)
}

// maxSpan is far beyond what any node keeps.
const maxSpan = 100 * 365 * 24 * time.Hour

// parseSpan reads a duration that may also count days and weeks.
func parseSpan(s string) (time.Duration, bool) {
	if len(s) > 1 {
		unit := map[byte]time.Duration{'d': 24 * time.Hour, 'w': 7 * 24 * time.Hour}[s[len(s)-1]]
		if unit != 0 {
			n, err := strconv.ParseUint(s[:len(s)-1], 10, 16)
			if err != nil || time.Duration(n) > maxSpan/unit {
				return 0, false
			}
			return time.Duration(n) * unit, true
		}
	}
	d, err := time.ParseDuration(s)
	return d, err == nil && d >= 0 && d <= maxSpan
}

// A query is what a request for messages asks for.
type query struct {
	filter   mesh.Filter // without place and order
	since    *since      // nil: not given
	after    uint64      // a cursor; used where hasAfter
	hasAfter bool
	limit    int // 0: not given
	follow   bool
	records  bool // lines with envelope rather than bare events
}

// parseQuery reads the parameters since, after, limit, follow, form, topic,
// kind and author. Unknown ones are refused: a misspelt filter would show
// too much.
func parseQuery(v url.Values, now time.Time) (query, error) {
	var q query
	for name, values := range v {
		value := values[len(values)-1]
		var err error
		switch name {
		case "since":
			var at since
			at, err = parseSince(value, now)
			q.since = &at
		case "after":
			q.after, err = strconv.ParseUint(value, 10, 63)
			q.hasAfter = true
		case "limit":
			q.limit, err = strconv.Atoi(value)
			if err == nil && (q.limit < 1 || q.limit > mostLimit) {
				err = fmt.Errorf("limit: %d, allowed are 1 to %d", q.limit, mostLimit)
			}
		case "follow":
			q.follow, err = parseFlag(value)
		case "form":
			q.records = value == "record"
			if value != "record" && value != "event" {
				err = fmt.Errorf("form: %.20q, allowed are event and record", value)
			}
		case "topic":
			for _, t := range values {
				if t == "*" {
					continue
				}
				topic, err := mesh.ParseTopic(t)
				if err != nil {
					return q, err
				}
				q.filter.Topics = append(q.filter.Topics, topic)
			}
		case "kind":
			for _, k := range values {
				n, err := strconv.ParseUint(k, 10, 16)
				if err != nil {
					return q, fmt.Errorf("kind: %.20q is not a whole number from 0 to 65535", k)
				}
				q.filter.Kinds = append(q.filter.Kinds, mesh.Kind(n))
			}
		case "author":
			for _, a := range values {
				key, err := mesh.ParsePubKey(a)
				if err != nil {
					return q, fmt.Errorf("author: %w", err)
				}
				q.filter.Authors = append(q.filter.Authors, key)
			}
		default:
			err = fmt.Errorf("unknown parameter %.40q", name)
		}
		if err != nil {
			return q, err
		}
	}
	if q.since != nil && q.hasAfter {
		return q, fmt.Errorf("since and after exclude each other")
	}
	return q, nil
}

// parseFlag reads a parameter that is there or not: "", "1" and "true" say yes.
func parseFlag(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "", "1", "true", "yes":
		return true, nil
	case "0", "false", "no":
		return false, nil
	}
	return false, fmt.Errorf("%.20q is neither 1 nor 0", s)
}
