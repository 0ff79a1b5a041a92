package configs

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// Settings returns every setting with its value as a file would hold it, in
// the order of the structs. What is set in a table has one line per table.
func (c Config) Settings() []Setting {
	var all []Setting
	v, standard := reflect.ValueOf(c), reflect.ValueOf(Default())
	for _, k := range keys() {
		f := v.FieldByIndex(k.at)
		section, name, _ := strings.Cut(k.path, ".")
		s := Setting{
			Section: section,
			Name:    name,
			Default: reflect.DeepEqual(f.Interface(), standard.FieldByIndex(k.at).Interface()),
			Live:    k.live,
		}
		if f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct {
			s.Tables = tables(f)
		} else {
			s.Value = value(f)
		}
		all = append(all, s)
	}
	return all
}

// A Setting is one key as a file would hold it.
type Setting struct {
	Section, Name string
	Value         string      // in TOML; empty for tables
	Tables        [][]Setting // an array of tables, such as radio.topic
	Default       bool        // the value is the default
	Live          bool        // a reload applies it without a restart of parts
}

func tables(f reflect.Value) [][]Setting {
	all := make([][]Setting, f.Len())
	for i := range f.Len() {
		t := f.Index(i)
		for j := range t.NumField() {
			all[i] = append(all[i], Setting{Name: t.Type().Field(j).Tag.Get("toml"), Value: value(t.Field(j))})
		}
	}
	return all
}

// value writes one value in TOML.
func value(f reflect.Value) string {
	b, err := toml.Marshal(map[string]any{"v": f.Interface()})
	if err != nil {
		panic(fmt.Sprintf("configs: a value of type %s cannot be written: %v", f.Type(), err))
	}
	s := strings.TrimSuffix(strings.TrimPrefix(string(b), "v = "), "\n")
	if inner, ok := strings.CutPrefix(s, "'"); ok && !strings.ContainsAny(inner, `\"`) {
		s = `"` + strings.TrimSuffix(inner, "'") + `"` // one kind of quotes for the reader
	}
	if f.Kind() == reflect.Slice && !strings.ContainsAny(s, `"\`) {
		s = strings.ReplaceAll(s, "'", `"`)
	}
	return s
}

// TOML returns the whole configuration as a file without comments.
func (c Config) TOML() []byte {
	var b, arrays strings.Builder
	section := ""
	flush := func() { b.WriteString(arrays.String()); arrays.Reset() }
	for _, s := range c.Settings() {
		if s.Section != section {
			flush()
			if section != "" {
				b.WriteByte('\n')
			}
			section = s.Section
			fmt.Fprintf(&b, "[%s]\n", section)
		}
		if s.Value != "" {
			fmt.Fprintf(&b, "%s = %s\n", s.Name, s.Value)
		}
		for _, t := range s.Tables {
			fmt.Fprintf(&arrays, "\n[[%s.%s]]\n", s.Section, s.Name)
			for _, in := range t {
				fmt.Fprintf(&arrays, "%s = %s\n", in.Name, in.Value)
			}
		}
	}
	flush()
	return []byte(b.String())
}
