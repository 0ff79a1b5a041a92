package relay

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"drey/mesh"
)

// FuzzMessage checks that whatever a client sends is understood within its
// bounds or refused with words, and that a filter matches live what the archive
// would find.
func FuzzMessage(f *testing.F) {
	e := sign(key("ana"), mesh.Draft{CreatedAt: 1700000000, Kind: 1, Tags: [][]string{{"t", "x"}, {"d"}, {"p", keyHex("ben")}}, Content: "hello"})
	for _, s := range []string{
		`["EVENT",` + string(e.AppendJSON(nil)) + `]`,
		`["REQ","s",{"kinds":[1],"authors":["` + keyHex("ana") + `"],"#t":["x"],"since":1,"until":1800000000,"limit":5},{"ids":[]}]`,
		`["REQ","s",{"until":0},{"since":-1},{"until":1e99},{"#d":[""],"limit":0},{"x":1}]`,
		`["COUNT","s",{"ids":["` + e.ID().String() + `"]}]`,
		`["CLOSE","s"]`, `["AUTH",{}]`, `["REQ","s",{"kinds":[1,1,1]},null]`, `["REQ","\u0000",{}]`, `[[[[`, `["EVENT",{"tags":[["d"]]}]`, ``, `[`, "\xff",
		`["REQ","s",{"#":["x"]},{"#tt":[]},{"":1},{"ids":null}]`,
		`["REQ","s",{"search":"HELLO language:en"},{"search":"\"*"},{"search":7}]`,
		`["NEG-OPEN","s",{"kinds":[1],"limit":1000},"61"]`, `["NEG-MSG","s","6100"]`, `["NEG-CLOSE","s"]`,
	} {
		f.Add([]byte(s))
	}
	l := Limits{Filters: 4, Weight: 100}.filled()
	record := &mesh.Record{Event: e, Topic: "commons", Seq: 1}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parse(b, &l)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "invalid: ") {
				t.Errorf("%q: %v", b, err)
			}
			return
		}
		if len(m.filters) > 4 || (m.verb == "REQ" || m.verb == "COUNT" || m.verb == "NEG-OPEN") != (len(m.filters) > 0) {
			t.Errorf("%q has %d filters", b, len(m.filters))
		}
		if m.event != nil && !json.Valid(m.event) {
			t.Errorf("%q: the event %q is no JSON", b, m.event)
		}
		for _, f := range m.filters {
			if f.weight > 100 || f.limit < 0 || f.limit > l.Stored {
				t.Errorf("%q: weight %d, limit %d", b, f.weight, f.limit)
			}
			q := f.query()
			if live := f.matches(e); live != (q.Matches(record) && !f.never && uint32(e.CreatedAt()) <= f.until) {
				t.Errorf("%q: live %v, stored %v", b, live, !live)
			}
			if f.empty() && f.matches(e) {
				t.Errorf("%q matches though it is empty", b)
			}
			if !slices.IsSortedFunc(f.authors, compare[mesh.PubKey]) {
				t.Errorf("%q: the authors are not sorted", b)
			}
		}
		if out := appendMessage(nil, "CLOSED", m.id, "x"); !json.Valid(out) {
			t.Errorf("%q is answered with %q", b, out)
		}
		if m.id != "" {
			if out := (frame{m.id, e.AppendJSON(nil)}).appendTo(nil); !json.Valid(out) {
				t.Errorf("%q gets %q", b, out)
			}
		}
	})
}
