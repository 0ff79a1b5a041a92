// Package lang holds the words of the page in several languages. A language is
// one file, TAG.json: groups of keys with their texts, and under "_" what the
// page must know about the language itself.
//
//	{
//	  "_": {"name": "English", "dir": "ltr", "plural": "one"},
//	  "chat": {
//	    "send": "Send",
//	    "unread": {"one": "{n} new message", "other": "{n} new messages"}
//	  }
//	}
//
// A text is named by its group and key, "chat.send". Words in braces are
// arguments; where a text has plural forms, the argument n chooses among them,
// by the rule that "plural" names (see plural.go).
package lang

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed *.json
var files embed.FS

// Base is the language that has every text; others fall back to it.
const Base = "en"

// A Set is the languages that the page speaks. It never changes after Load.
type Set struct {
	byTag map[string]*Catalogue
	tags  []string // sorted, Base first; without the pseudo-locale
}

// Load reads the languages that are built in.
func Load() (*Set, error) { return loadOver(files, English()) }

// LoadFS reads every TAG.json of a folder. Texts that a language lacks come
// from Base, which must be there.
func LoadFS(dir fs.FS) (*Set, error) { return loadOver(dir, nil) }

// loadOver is LoadFS; a base that is given is not read again.
func loadOver(dir fs.FS, base *Catalogue) (*Set, error) {
	names, err := fs.Glob(dir, "*.json")
	if err != nil {
		return nil, err
	}
	s := &Set{byTag: make(map[string]*Catalogue)}
	for _, name := range names {
		tag := strings.TrimSuffix(name, ".json")
		s.tags = append(s.tags, tag)
		if tag == Base && base != nil {
			continue
		}
		b, err := fs.ReadFile(dir, name)
		if err != nil {
			return nil, err
		}
		if s.byTag[tag], err = Parse(tag, b); err != nil {
			return nil, err
		}
	}
	if base == nil {
		if base = s.byTag[Base]; base == nil {
			return nil, fmt.Errorf("lang: %s.json is missing", Base)
		}
		base.base, base.own = base, ownOf(base)
	}
	s.byTag[Base] = base
	for tag, c := range s.byTag {
		if tag != Base {
			c.base = base
		}
	}
	slices.SortFunc(s.tags, func(a, b string) int {
		if (a == Base) != (b == Base) {
			if a == Base {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	s.byTag[PseudoTag] = pseudo(base)
	return s, nil
}

// All lists the languages, Base first, without the pseudo-locale.
func (s *Set) All() []*Catalogue {
	all := make([]*Catalogue, len(s.tags))
	for i, tag := range s.tags {
		all[i] = s.byTag[tag]
	}
	return all
}

// Lookup returns the language of a tag exactly as Catalogue.Tag writes it, or
// the pseudo-locale for PseudoTag.
func (s *Set) Lookup(tag string) (*Catalogue, bool) {
	c, ok := s.byTag[tag]
	return c, ok
}

// A Catalogue is one language. It never changes after Load.
type Catalogue struct {
	Tag  string // BCP 47: "en", "uk"
	Name string // in the language itself
	Dir  string // "ltr" or "rtl"

	rule  rule
	texts map[string]text
	base  *Catalogue
	own   *own // of Base alone
}

// A text is one entry: forms by plural category, or where these are nil plain.
// Most are plain, and a thousand maps would weigh more than the words in them.
type text struct {
	plain string
	forms map[category]string
}

// Parse reads one language's file.
func Parse(tag string, b []byte) (*Catalogue, error) {
	var groups map[string]map[string]json.RawMessage
	if err := json.Unmarshal(b, &groups); err != nil {
		return nil, fmt.Errorf("lang: %s: %w", tag, err)
	}
	c := &Catalogue{Tag: tag, texts: make(map[string]text)}
	var rule string
	for key, into := range map[string]*string{"name": &c.Name, "dir": &c.Dir, "plural": &rule} {
		if err := json.Unmarshal(groups["_"][key], into); err != nil {
			return nil, fmt.Errorf("lang: %s: _.%s: %w", tag, key, err)
		}
	}
	if c.Dir != "ltr" && c.Dir != "rtl" {
		return nil, fmt.Errorf("lang: %s: _.dir is %q, allowed are ltr and rtl", tag, c.Dir)
	}
	var ok bool
	if c.rule, ok = rules[rule]; !ok {
		return nil, fmt.Errorf("lang: %s: _.plural is %q, allowed are %s", tag, rule, strings.Join(slices.Sorted(maps.Keys(rules)), ", "))
	}
	for group, keys := range groups {
		if group == "_" {
			continue
		}
		for key, raw := range keys {
			t, err := c.parseText(raw)
			if err != nil {
				return nil, fmt.Errorf("lang: %s: %s.%s: %w", tag, group, key, err)
			}
			c.texts[group+"."+key] = t
		}
	}
	return c, nil
}

func (c *Catalogue) parseText(raw json.RawMessage) (text, error) {
	var plain string
	if json.Unmarshal(raw, &plain) == nil {
		_, err := Args(plain)
		return text{plain: plain}, err
	}
	var t text
	if err := json.Unmarshal(raw, &t.forms); err != nil {
		return t, err
	}
	for _, need := range c.rule.categories {
		if _, ok := t.forms[need]; !ok {
			return t, fmt.Errorf("the form %q is missing", need)
		}
	}
	for form, s := range t.forms {
		if !slices.Contains(c.rule.categories, form) {
			return t, fmt.Errorf("the form %q is not one of this language", form)
		}
		if _, err := Args(s); err != nil {
			return t, err
		}
	}
	return t, nil
}

// Args lists the arguments that a text names in braces, sorted, each once.
func Args(s string) ([]string, error) {
	var args []string
	for rest := s; ; {
		_, after, found := strings.Cut(rest, "{")
		if !found {
			slices.Sort(args)
			return slices.Compact(args), nil
		}
		name, next, closed := strings.Cut(after, "}")
		if !closed || name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz") != "" {
			return nil, fmt.Errorf("%.60q: an argument is written {name}, in lower-case letters", s)
		}
		args = append(args, name)
		rest = next
	}
}

// Keys lists every text the language has, sorted.
func (c *Catalogue) Keys() []string { return slices.Sorted(maps.Keys(c.texts)) }

// Has reports whether the language itself has a text for a key.
func (c *Catalogue) Has(key string) bool {
	_, ok := c.texts[key]
	return ok
}

// Forms returns a text as it stands in the file, by plural category; a text
// without plural forms has only "other".
func (c *Catalogue) Forms(key string) map[string]string {
	t := c.texts[key]
	if t.forms == nil {
		return map[string]string{string(other): t.plain}
	}
	forms := make(map[string]string)
	for form, s := range t.forms {
		forms[string(form)] = s
	}
	return forms
}

// Group returns the texts of one group by their keys, as JSON can carry them to
// a script: a string, or an object of plural forms.
func (c *Catalogue) Group(name string) map[string]any {
	all := make(map[string]any)
	for _, key := range c.base.Keys() {
		if !strings.HasPrefix(key, name+".") {
			continue
		}
		t, ok := c.texts[key]
		if !ok {
			t = c.base.texts[key]
		}
		if t.forms != nil {
			all[key] = t.forms
			continue
		}
		all[key] = t.plain
	}
	return all
}

// T returns the text of a key. Arguments come as pairs of name and value:
// T("chat.unread", "n", 3); a time.Duration is told as Span does, a Phrase in
// the same language. A key that no language has comes back as it is.
func (c *Catalogue) T(key string, args ...any) string {
	t, ok := c.texts[key]
	r := c.rule
	if !ok && c.base != nil {
		t, ok = c.base.texts[key]
		r = c.base.rule
	}
	if !ok {
		return key
	}
	form := t.plain
	if t.forms != nil {
		form = t.forms[r.choose(countOf(args))]
	}
	return c.fill(form, args)
}

// countOf finds the argument n.
func countOf(args []any) int {
	for i := 0; i+1 < len(args); i += 2 {
		if args[i] != "n" {
			continue
		}
		switch n := args[i+1].(type) {
		case int:
			return n
		case int64:
			return int(n)
		case uint64:
			return int(n)
		}
	}
	return 0
}

// Marks that keep an argument of the other direction from disturbing the
// sentence around it (UAX 9).
const (
	isolate = "\u2068"
	resume  = "\u2069"
)

// tame takes from an argument what would make it a command, or would turn the
// sentence around it.
func tame(value string) string {
	value = wild.Replace(value)
	open := 0
	for _, r := range value {
		switch string(r) {
		case isolate:
			open++
		case resume:
			if open--; open < 0 {
				return unmarked.Replace(value)
			}
		}
	}
	if open > 0 {
		return unmarked.Replace(value)
	}
	return value
}

var (
	wild     = strings.NewReplacer("`", "'", "\u202a", "", "\u202b", "", "\u202c", "", "\u202d", "", "\u202e", "", "\u2066", "", "\u2067", "")
	unmarked = strings.NewReplacer(isolate, "", resume, "")
)

// said is an argument that is in the language already.
type said string

func (c *Catalogue) fill(s string, args []any) string {
	if len(args) == 0 || !strings.Contains(s, "{") {
		return s
	}
	pairs := make([]string, 0, len(args))
	for i := 0; i+1 < len(args); i += 2 {
		var value string
		switch v := args[i+1].(type) {
		case int:
			value = strconv.Itoa(v)
		case time.Duration:
			value = c.Span(v)
		case Phrase:
			value = c.Say(v)
		case said:
			value = string(v)
		default:
			value = tame(fmt.Sprint(v))
			if c.Dir == "rtl" || hasRTL(value) {
				value = isolate + value + resume
			}
		}
		pairs = append(pairs, fmt.Sprintf("{%v}", args[i]), value)
	}
	return strings.NewReplacer(pairs...).Replace(s)
}

// hasRTL reports whether a text holds letters that run from right to left.
func hasRTL(s string) bool {
	for _, r := range s {
		if r >= 0x590 && r <= 0x8ff || r >= 0xfb1d && r <= 0xfdff || r >= 0xfe70 && r <= 0xfeff {
			return true
		}
	}
	return false
}
