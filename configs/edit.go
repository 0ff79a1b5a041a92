package configs

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sort"
	"strings"
)

// Edit changes settings in the text of a configuration file and leaves the
// rest of it, comments included, as it is. Set holds texts by key, in the form
// of Config.Text; what reset names is taken out, so that the default holds
// again. The new text is read back and compared: where the file is written in
// a way that Edit cannot change safely, it answers an error.
func Edit(file []byte, set map[string]string, reset []string) ([]byte, error) {
	want := Default()
	if _, err := parse(&want, "the file", file); err != nil {
		return nil, err
	}
	standard := Default()
	text := file
	for _, k := range keys() {
		to, ok := set[k.path]
		drop := slices.Contains(reset, k.path)
		if !ok && !drop {
			continue
		}
		if drop {
			reflect.ValueOf(&want).Elem().FieldByIndex(k.at).Set(reflect.ValueOf(standard).FieldByIndex(k.at))
		} else if err := want.Set(k.path, to); err != nil {
			return nil, fmt.Errorf("%s: %w", k.path, err)
		}
		text = edit(text, k, reflect.ValueOf(want).FieldByIndex(k.at), drop)
	}
	for _, path := range slices.Concat(reset, mapKeys(set)) {
		if !slices.Contains(paths(), path) {
			return nil, unknownKey(path)
		}
	}
	got := Default()
	if _, err := parse(&got, "the file", text); err != nil || !reflect.DeepEqual(got, want) {
		return nil, errUneditable
	}
	return text, nil
}

var errUneditable = errors.New("the file is written in a way that cannot be changed from here: change it with an editor")

func mapKeys(m map[string]string) []string {
	all := make([]string, 0, len(m))
	for k := range m {
		all = append(all, k)
	}
	sort.Strings(all)
	return all
}

// paths lists the keys, tables of an array as one.
func paths() []string {
	var all []string
	for _, k := range keys() {
		all = append(all, k.path)
	}
	return all
}

// edit puts one value into a file's text, or takes it out.
func edit(text []byte, k key, v reflect.Value, drop bool) []byte {
	section, name, _ := strings.Cut(k.path, ".")
	list := statements(text)
	if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct {
		return editTables(text, list, section, name, v)
	}
	line := name + " = " + value(v) + "\n"
	for _, s := range list {
		if s.kind != keyValue || s.path() != k.path {
			continue
		}
		if drop {
			return splice(text, s.start, s.end, "")
		}
		return splice(text, s.valueStart, s.valueEnd, value(v))
	}
	if drop {
		return text
	}
	at, found := placeFor(text, list, section, name)
	if !found {
		return appendSection(text, section, line)
	}
	return splice(text, at, at, newline(text, at)+line)
}

// editTables writes an array of tables anew.
func editTables(text []byte, list []statement, section, name string, v reflect.Value) []byte {
	var b strings.Builder
	for _, t := range tables(v) {
		fmt.Fprintf(&b, "[[%s.%s]]\n", section, name)
		for _, s := range t {
			fmt.Fprintf(&b, "%s = %s\n", s.Name, s.Value)
		}
	}
	at := -1
	for i := len(list) - 1; i >= 0; i-- {
		s := list[i]
		if s.table == section+"."+name && s.kind != remark {
			text = splice(text, s.start, s.end, "")
			at = s.start
		}
	}
	if b.Len() == 0 {
		return text
	}
	if at < 0 {
		var found bool
		if at, found = placeFor(text, list, section, "["+section+"."+name+"]"); !found {
			return splice(text, len(text), len(text), newline(text, len(text))+"\n"+b.String())
		}
		if end, ok := sectionEnd(list, section); ok {
			at = end // what follows a table's header belongs to the table
		}
	}
	return splice(text, at, at, newline(text, at)+b.String())
}

func splice(b []byte, from, to int, s string) []byte {
	return slices.Concat(b[:from], []byte(s), b[to:])
}

// newline is needed before a line that is put at an offset.
func newline(b []byte, at int) string {
	if at > 0 && b[at-1] != '\n' {
		return "\n"
	}
	return ""
}

func appendSection(b []byte, section, line string) []byte {
	gap := "\n"
	if len(bytes.TrimSpace(b)) == 0 {
		gap = ""
	}
	return slices.Concat(b, []byte(newline(b, len(b))+gap+"["+section+"]\n"+line))
}

// placeFor finds where a setting that is not in the file belongs: below the
// comment that shows its default, else at the end of its section.
func placeFor(text []byte, list []statement, section, name string) (at int, found bool) {
	for _, s := range list {
		if s.kind == remark && s.table == section && s.key == name {
			return s.end, true
		}
	}
	return sectionEnd(list, section)
}

// sectionEnd returns the end of the last setting of a section, shown ones
// included, or of its head.
func sectionEnd(list []statement, section string) (at int, found bool) {
	for _, s := range list {
		if s.table == section && !s.array && (s.kind != remark || s.key != "") {
			at, found = s.end, true
		}
	}
	return at, found
}

// The kinds of statements.
const (
	remark    = iota // a line of its own; key is set where it shows a setting
	header           // [table] or [[table]]
	keyValue         // key = value
	something        // what only a parser understands
)

// A statement is a part of a file's text, its line break included.
type statement struct {
	kind                 int
	start, end           int
	table                string // in force after it
	array                bool   // the table is one of an array
	key                  string
	valueStart, valueEnd int
}

func (s statement) path() string {
	if s.table == "" {
		return s.key
	}
	return s.table + "." + s.key
}

// statements takes a file's text apart. It need not understand everything:
// what Edit writes is read back by the real parser.
func statements(b []byte) []statement {
	var list []statement
	table, array := "", false
	for at := 0; at < len(b); {
		s := statement{start: at, table: table, array: array}
		i := skipBlank(b, at)
		switch {
		case i == len(b) || b[i] == '\n' || b[i] == '\r':
			at = lineEnd(b, i)
			continue
		case b[i] == '#':
			s.kind, s.end = remark, lineEnd(b, i)
			if name, _, ok := strings.Cut(string(b[i+1:s.end]), "="); ok && !strings.HasPrefix(name, " ") {
				s.key = strings.TrimSpace(name)
			}
			if shown, ok := strings.CutPrefix(strings.TrimSpace(string(b[i+1:s.end])), "[["); ok && strings.HasSuffix(shown, "]]") {
				s.key = "[" + strings.TrimSuffix(shown, "]]") + "]"
			}
		case b[i] == '[':
			s.kind, s.end = header, lineEnd(b, i)
			text, _, _ := strings.Cut(string(b[i:s.end]), "#")
			text = strings.TrimSpace(text)
			array = strings.HasPrefix(text, "[[")
			table = dotted(strings.Trim(text, "[]"))
			s.table, s.array = table, array
		default:
			s.kind = something
			s.end = lineEnd(b, i)
			if eq := bytes.IndexByte(b[i:s.end], '='); eq > 0 {
				s.key = dotted(string(b[i : i+eq]))
				s.valueStart = skipBlank(b, i+eq+1)
				if end := valueEnd(b, s.valueStart); end > s.valueStart {
					s.kind, s.valueEnd, s.end = keyValue, end, lineEnd(b, end)
				}
			}
		}
		list = append(list, s)
		at = s.end
	}
	return list
}

// dotted removes blanks and quotes from a dotted key.
func dotted(s string) string {
	parts := strings.Split(s, ".")
	for i, p := range parts {
		parts[i] = strings.Trim(strings.TrimSpace(p), `"'`)
	}
	return strings.Join(parts, ".")
}

func skipBlank(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t') {
		i++
	}
	return i
}

// lineEnd returns the offset behind the next line break.
func lineEnd(b []byte, i int) int {
	if n := bytes.IndexByte(b[i:], '\n'); n >= 0 {
		return i + n + 1
	}
	return len(b)
}

// valueEnd returns the offset behind the value that begins at i: a string, an
// array over several lines, an inline table, or a word.
func valueEnd(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		switch c := b[i]; {
		case c == '"' || c == '\'':
			if i = stringEnd(b, i); depth == 0 {
				return i
			}
			continue
		case c == '[' || c == '{':
			depth++
		case c == ']' || c == '}':
			if depth--; depth <= 0 {
				return i + 1
			}
		case c == '#':
			if depth == 0 {
				return i
			}
			i = lineEnd(b, i)
			continue
		case depth == 0 && (c == '\n' || c == '\r' || c == ' ' || c == '\t'):
			return i
		}
		i++
	}
	return i
}

// stringEnd returns the offset behind the string that begins at i.
func stringEnd(b []byte, i int) int {
	quote, long := b[i], 1
	if len(b) >= i+3 && b[i+1] == quote && b[i+2] == quote {
		long = 3
	}
	for j := i + long; j < len(b); j++ {
		switch {
		case b[j] == '\\' && quote == '"':
			j++
		case long == 1 && b[j] == '\n':
			return j
		case b[j] == quote && (long == 1 || bytes.HasPrefix(b[j:], bytes.Repeat([]byte{quote}, 3))):
			j += long
			for long == 3 && j < len(b) && b[j] == quote { // up to two more belong to it
				j++
			}
			return j
		}
	}
	return len(b)
}
