package relay

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"drey/mesh"
)

// A filter is one of NIP-01. Its lists are sorted, so that thousands of authors
// cost little for each event that comes in.
type filter struct {
	ids     []mesh.EventID // nil does not choose; empty matches nothing
	authors []mesh.PubKey
	kinds   []mesh.Kind
	tags    []tagList
	since   uint32
	until   uint32
	never   bool // its times leave nothing
	limit   int  // of what is stored
	asked   int  // the limit as the client named it, -1 for none
	search  mesh.Search
	words   string // what the search was made from
	weight  int    // see Limits.Weight
}

type tagList struct {
	name   string
	values []string
}

// parseFilter reads a filter. Fields that NIP-01 does not know are left alone,
// but not those that would choose: whoever searches must not get everything.
func parseFilter(raw []byte, l *Limits) (*filter, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, err
	}
	if fields == nil {
		return nil, errors.New("a filter is an object")
	}
	f := &filter{until: math.MaxUint32, limit: l.Stored, asked: -1, weight: 1}
	for name, v := range fields {
		if string(v) == "null" {
			continue
		}
		if err := f.field(name, v, l); err != nil {
			return nil, fmt.Errorf("%.20s: %w", name, err)
		}
		if f.weight > l.Weight {
			return nil, fmt.Errorf("more than %d values", l.Weight)
		}
	}
	slices.SortFunc(f.tags, func(a, b tagList) int { return bytes.Compare([]byte(a.name), []byte(b.name)) })
	return f, nil
}

func (f *filter) field(name string, v json.RawMessage, l *Limits) (err error) {
	switch name {
	case "ids":
		f.ids, err = keys(f, v, mesh.ParseEventID)
	case "authors":
		f.authors, err = keys(f, v, mesh.ParsePubKey)
	case "kinds":
		var list []int64
		if err := json.Unmarshal(v, &list); err != nil {
			return errors.New("want a list of whole numbers")
		}
		f.kinds = make([]mesh.Kind, 0, len(list))
		for _, k := range list {
			if k < 0 || k > math.MaxUint16 {
				return fmt.Errorf("%d is not from 0 to 65535", k)
			}
			f.kinds = append(f.kinds, mesh.Kind(k))
		}
		f.weight += len(list)/8 + 1
		slices.Sort(f.kinds)
	case "since":
		t, err := seconds(v)
		if err != nil {
			return err
		}
		f.since = uint32(min(max(t, 0), math.MaxUint32))
		f.never = f.never || t > math.MaxUint32
	case "until":
		t, err := seconds(v)
		if err != nil {
			return err
		}
		f.until = uint32(min(max(t, 0), math.MaxUint32))
		f.never = f.never || t < 0
	case "limit":
		var n int64
		if err := json.Unmarshal(v, &n); err != nil || n < 0 {
			return fmt.Errorf("%.20s is not a whole number from 0 on", v)
		}
		f.limit, f.asked = int(min(n, int64(l.Stored))), int(min(n, math.MaxInt32))
	case "search":
		return f.find(v)
	default:
		if name[:min(1, len(name))] == "#" {
			return f.tag(name[1:], v)
		}
	}
	return err
}

// extensions are what NIP-50 lets a search ask for beside words. Relays that do
// not know them leave them out.
var extensions = []string{"include:", "domain:", "language:", "sentiment:", "nsfw:"}

// find reads a search (NIP-50).
func (f *filter) find(v json.RawMessage) error {
	var s string
	if err := json.Unmarshal(v, &s); err != nil {
		return errors.New("want a text")
	}
	if len(s) > mesh.MaxSearch {
		return fmt.Errorf("%d bytes, limit %d", len(s), mesh.MaxSearch)
	}
	words := slices.DeleteFunc(strings.Fields(s), func(w string) bool {
		return slices.ContainsFunc(extensions, func(x string) bool { return strings.HasPrefix(w, x) })
	})
	f.words = strings.Join(words, " ")
	f.search = mesh.ParseSearch(f.words)
	f.weight += searchWeight * (1 + len(f.search.Words()))
	return nil
}

// searchWeight is what a word weighs that is looked for: every text that comes
// in is read for it.
const searchWeight = 16

// tag reads the values of one tag's name, a letter.
func (f *filter) tag(name string, v json.RawMessage) error {
	if len(name) != 1 || (name[0]|0x20) < 'a' || (name[0]|0x20) > 'z' {
		return errors.New("tags are chosen by one letter, as #t")
	}
	var list []string
	if err := json.Unmarshal(v, &list); err != nil {
		return errors.New("want a list of texts")
	}
	for _, s := range list {
		f.weight += 1 + len(s)/32
	}
	if list == nil {
		list = []string{}
	}
	slices.Sort(list)
	f.tags = append(f.tags, tagList{name, slices.Compact(list)})
	return nil
}

// keys reads a list of 64 lower-case hexadecimal digits each.
func keys[T ~[32]byte](f *filter, v json.RawMessage, parse func(string) (T, error)) ([]T, error) {
	var list []string
	if err := json.Unmarshal(v, &list); err != nil {
		return nil, errors.New("want a list of texts")
	}
	out := make([]T, 0, len(list))
	for _, s := range list {
		k, err := parse(s)
		if err != nil {
			return nil, fmt.Errorf("%.70q: %w", s, err)
		}
		out = append(out, k)
	}
	f.weight += len(list)
	slices.SortFunc(out, compare[T])
	return slices.Compact(out), nil
}

func compare[T ~[32]byte](a, b T) int {
	x, y := [32]byte(a), [32]byte(b)
	return bytes.Compare(x[:], y[:])
}

// seconds reads a time; JavaScript writes some whole numbers as 1.7e9.
func seconds(v json.RawMessage) (int64, error) {
	x, err := strconv.ParseFloat(string(v), 64)
	if err != nil || x != math.Trunc(x) {
		return 0, fmt.Errorf("%.20s is not in whole seconds", v)
	}
	return int64(min(max(x, -1), 1<<53)), nil
}

// matches reports whether the filter chooses e.
func (f *filter) matches(e *mesh.Event) bool {
	return f.chooses(e) && (f.search.All() || f.search.In(mesh.SearchText(e)))
}

// chooses is matches without the search.
func (f *filter) chooses(e *mesh.Event) bool {
	at := uint32(e.CreatedAt())
	if f.never || at < f.since || at > f.until {
		return false
	}
	if f.kinds != nil {
		if _, ok := slices.BinarySearch(f.kinds, e.Kind()); !ok {
			return false
		}
	}
	if f.authors != nil {
		if _, ok := slices.BinarySearchFunc(f.authors, e.Author(), compare[mesh.PubKey]); !ok {
			return false
		}
	}
	if f.ids != nil {
		if _, ok := slices.BinarySearchFunc(f.ids, e.ID(), compare[mesh.EventID]); !ok {
			return false
		}
	}
	for _, t := range f.tags {
		if !t.matches(e) {
			return false
		}
	}
	return true
}

// matches looks at the first value of each tag of the name (NIP-01).
func (t *tagList) matches(e *mesh.Event) bool {
	for _, tag := range e.Tags() {
		if len(tag) < 2 || tag[0] != t.name {
			continue
		}
		if _, ok := slices.BinarySearch(t.values, tag[1]); ok {
			return true
		}
	}
	return false
}

// query returns the filter for the archive, newest first and without a bound;
// matches is to be asked again of what it yields.
func (f *filter) query() mesh.Filter {
	q := mesh.Filter{IDs: f.ids, Authors: f.authors, Kinds: f.kinds, Since: mesh.Unix(f.since), Search: f.words}
	if f.until < math.MaxUint32 {
		q.Until = mesh.Unix(max(f.until, 1)) // to the archive 0 means no bound
	}
	for _, t := range f.tags {
		if q.Tags == nil {
			q.Tags = make(map[string][]string, len(f.tags))
		}
		q.Tags[t.name] = t.values
	}
	return q
}

// empty reports whether nothing can match.
func (f *filter) empty() bool {
	return f.never || f.since > f.until || f.search.Empty() ||
		f.ids != nil && len(f.ids) == 0 || f.authors != nil && len(f.authors) == 0 || f.kinds != nil && len(f.kinds) == 0 ||
		slices.ContainsFunc(f.tags, func(t tagList) bool { return len(t.values) == 0 })
}

// private reports whether the filter asks for private messages and nothing
// else.
func (f *filter) private() bool {
	return len(f.kinds) > 0 && !slices.ContainsFunc(f.kinds, func(k mesh.Kind) bool { return k != mesh.KindGiftWrap })
}

// reaches reports whether the filter can choose what is addressed to one of
// keys.
func (f *filter) reaches(keys []mesh.PubKey) bool {
	for _, t := range f.tags {
		if t.name == "p" {
			return slices.ContainsFunc(keys, func(k mesh.PubKey) bool {
				_, ok := slices.BinarySearch(t.values, k.String())
				return ok
			})
		}
	}
	return true
}
