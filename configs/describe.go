package configs

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// The kinds of values.
const (
	KindText   = "text"
	KindFlag   = "flag"   // true or false
	KindNumber = "number" // a whole one
	KindList   = "list"   // texts
	KindTable  = "table"  // an array of tables: words on a line
)

// A Description is what a person needs to know of one key.
type Description struct {
	Section, Name string
	Kind          string
	Doc           string   // what it is for, as the struct's comment says
	Default       string   // in the form of Config.Text
	Choices       []string // of a text with few sensible values
	Columns       []string // of a table: the words of a line
	Live          bool     // a reload applies it without a restart of parts
}

// Path is the key as a file has it: "web.listen".
func (d Description) Path() string { return d.Section + "." + d.Name }

// Describe lists every key in the order of the file.
func Describe() []Description {
	docs := fileDocs()
	standard := Default()
	root := reflect.TypeFor[Config]()
	var all []Description
	for _, k := range keys() {
		section, name, _ := strings.Cut(k.path, ".")
		f := root.FieldByIndex(k.at)
		d := Description{Section: section, Name: name, Kind: kindOf(f.Type), Doc: docs[k.path], Live: k.live}
		d.Default, _ = standard.Text(k.path)
		if c := f.Tag.Get("choices"); c != "" {
			d.Choices = strings.Split(c, ",")
		}
		if d.Kind == KindTable {
			for i := range f.Type.Elem().NumField() {
				d.Columns = append(d.Columns, f.Type.Elem().Field(i).Tag.Get("toml"))
			}
		}
		all = append(all, d)
	}
	return all
}

// SectionDoc says in a sentence what a section is about.
func SectionDoc(section string) string { return fileDocs()["["+section] }

// fileDocs reads the comments out of an example file, which a test holds to
// the structs: by "web.listen" of a key and "[web" of a section.
func fileDocs() map[string]string {
	docs := map[string]string{}
	b, err := Example("home")
	if err != nil {
		return docs
	}
	section := ""
	var said []string
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		words, isComment := strings.CutPrefix(line, "# ")
		switch bare := strings.TrimPrefix(line, "#"); {
		case isComment:
			said = append(said, strings.TrimSuffix(words, " (live)"))
			continue
		case strings.HasPrefix(bare, "[["):
			docs[strings.Trim(bare, "[]")] = strings.Join(said, " ")
			section = "-" // the keys of a table are not keys of their own
		case strings.HasPrefix(bare, "["):
			section = strings.Trim(bare, "[]")
			docs["["+section] = strings.Join(said, " ")
		case strings.Contains(bare, " = "):
			name, _, _ := strings.Cut(bare, " = ")
			docs[section+"."+name] = strings.Join(said, " ")
		}
		said = nil
	}
	return docs
}

func kindOf(t reflect.Type) string {
	switch {
	case reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		return KindText
	case t.Kind() == reflect.Bool:
		return KindFlag
	case t.Kind() == reflect.Int:
		return KindNumber
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return KindTable
	case t.Kind() == reflect.Slice:
		return KindList
	}
	return KindText
}

// Text returns a setting as plain text: a list has an item on each line, a
// table its words separated by blanks. False where there is no such key.
func (c Config) Text(path string) (string, bool) {
	all := keys()
	i := slices.IndexFunc(all, func(k key) bool { return k.path == path })
	if i < 0 {
		return "", false
	}
	f := reflect.ValueOf(c).FieldByIndex(all[i].at)
	if f.Kind() != reflect.Slice {
		return fmt.Sprint(f.Interface()), true
	}
	var lines []string
	for j := range f.Len() {
		item := f.Index(j)
		if item.Kind() != reflect.Struct {
			lines = append(lines, item.String())
			continue
		}
		var words []string
		for n := range item.NumField() {
			words = append(words, fmt.Sprint(item.Field(n).Interface()))
		}
		lines = append(lines, strings.Join(words, " "))
	}
	return strings.Join(lines, "\n"), true
}

// Set puts plain text, in the form of Text, into a setting. It does not
// Validate.
func (c *Config) Set(path, text string) error {
	all := keys()
	i := slices.IndexFunc(all, func(k key) bool { return k.path == path })
	if i < 0 {
		return unknownKey(path)
	}
	f := reflect.ValueOf(c).Elem().FieldByIndex(all[i].at)
	if f.Kind() != reflect.Slice {
		text = strings.TrimSpace(text)
		if strings.ContainsAny(text, "\r\n") {
			return errors.New("takes one line")
		}
		return setText(f, text)
	}
	list := reflect.MakeSlice(f.Type(), 0, 0)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		item := reflect.New(f.Type().Elem()).Elem()
		if item.Kind() != reflect.Struct {
			item.SetString(line)
		} else if err := setWords(item, strings.Fields(line)); err != nil {
			return fmt.Errorf("line %.60q: %w", line, err)
		}
		list = reflect.Append(list, item)
	}
	f.Set(list)
	c.normalise()
	return nil
}

// setWords sets the fields of a table from the words of a line.
func setWords(item reflect.Value, words []string) error {
	if len(words) > item.NumField() {
		return fmt.Errorf("%d words, there are %d columns", len(words), item.NumField())
	}
	for i, w := range words {
		switch f := item.Field(i); f.Kind() {
		case reflect.String:
			f.SetString(w)
		case reflect.Int:
			n, err := strconv.Atoi(w)
			if err != nil {
				return fmt.Errorf("%.40q is not a whole number", w)
			}
			f.SetInt(int64(n))
		}
	}
	return nil
}

// Sources of a value.
const (
	SourceDefault     = "default"
	SourceFile        = "file"
	SourceEnvironment = "environment"
	SourceFlag        = "flag"
)

// Sources tells, for each key that the file or the environment sets, which of
// them does.
func Sources(file []byte, environ []string) map[string]string {
	from := map[string]string{}
	all := paths()
	for _, s := range statements(file) {
		path := s.path()
		if s.kind == header {
			path = s.table
		}
		if s.kind != remark && slices.Contains(all, path) {
			from[path] = SourceFile
		}
	}
	for _, line := range environ {
		name, _, _ := strings.Cut(line, "=")
		if rest, ours := strings.CutPrefix(name, "DREY_"); ours {
			section, last, _ := strings.Cut(rest, "__")
			if path := strings.ToLower(section + "." + last); slices.Contains(all, path) {
				from[path] = SourceEnvironment
			}
		}
	}
	return from
}
