package configs

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// maxFile bounds a configuration file, in bytes: a log file given by mistake
// should not be read to its end.
const maxFile = 1 << 20

// Load reads the file, when path is not empty, and then the environment (in
// the form of os.Environ) over the defaults. It does not Check: flags may
// come on top first. Its error names file, line and key; several faults are
// joined, and those that Check finds beside them.
func Load(path string, environ []string) (Config, error) {
	var b []byte
	if path != "" {
		var err error
		if b, err = readFile(path); err != nil {
			return Config{}, err
		}
	}
	return Parse(path, b, environ)
}

// Parse reads a file's text over the defaults, as Load does; name stands in
// its errors.
func Parse(name string, b []byte, environ []string) (Config, error) {
	c := Default()
	whole, err := parse(&c, name, b)
	err = errors.Join(err, fromEnviron(&c, environ))
	switch {
	case err == nil:
		return c, nil
	case whole: // what was understood of half a file may need the other half
		if bad := c.Validate(); bad != nil {
			err = errors.Join(err, c.locate(bad, name, b, environ))
		}
	}
	return Config{}, err
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s: %d bytes, limit %d", path, info.Size(), maxFile)
	}
	return os.ReadFile(path)
}

// maxFaults bounds the values of a wrong type that are told at once.
const maxFaults = 20

// parse puts what b says over c, which has the defaults. It reports whether it
// understood all of it but the faults it tells, whose keys keep their defaults;
// those of an entry of a list have none.
func parse(c *Config, name string, text []byte) (whole bool, err error) {
	var faults []error
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // some editors start a file with it
	b := bytes.Clone(text)
	for whole = true; ; {
		d := toml.NewDecoder(bytes.NewReader(b))
		d.DisallowUnknownFields()
		err := d.Decode(c)
		if unknown, ok := errors.AsType[*toml.StrictMissingError](err); ok {
			for _, e := range unknown.Errors {
				line, _ := e.Position()
				faults = append(faults, fmt.Errorf("%s:%d: %w", name, line, unknownKey(strings.Join(e.Key(), "."))))
			}
			err = nil
		}
		if err == nil {
			c.normalise()
			return whole, errors.Join(faults...)
		}
		at, ok := errors.AsType[*toml.DecodeError](err)
		if !ok {
			faults = append(faults, fmt.Errorf("%s: %s", name, strings.TrimPrefix(err.Error(), "toml: ")))
			return false, errors.Join(faults...)
		}
		faults = append(faults, decodeFault(name, text, at))
		blanked, entry := blank(b, at)
		if len(faults) == maxFaults || !blanked {
			return false, errors.Join(faults...)
		}
		whole = whole && !entry
		*c = Default()
	}
}

// decodeFault says where a file is not understood, and shows the place as it is
// in the text, where the decoder may have seen blanks.
func decodeFault(name string, text []byte, at *toml.DecodeError) error {
	line, column := at.Position()
	said := strings.TrimPrefix(at.Error(), "toml: ")
	what := wrongType(said)
	if k := strings.Join(at.Key(), "."); k != "" {
		what = k + ": " + what
	}
	shown := strings.Split(strings.Replace(at.String(), " "+said, "", 1), "\n") // said once is enough
	lines := strings.Split(string(text), "\n")
	for i, x := range shown {
		margin, _, ok := strings.Cut(x, "|")
		if n, err := strconv.Atoi(strings.TrimSpace(margin)); ok && err == nil && n >= 1 && n <= len(lines) {
			shown[i] = strings.TrimRight(margin+"| "+lines[n-1], " \r")
		}
	}
	return fmt.Errorf("%s:%d:%d: %s\n%s", name, line, column, what, strings.Join(shown, "\n"))
}

// blank overwrites a key whose value is of another type, so that the rest can be
// read. It reports whether it was such a fault, and whether the key belongs to an
// entry of a list of tables.
func blank(b []byte, at *toml.DecodeError) (done, entry bool) {
	if len(at.Key()) == 0 {
		return false, false
	}
	line, _ := at.Position()
	from := 0
	for range line - 1 {
		from = lineEnd(b, from)
	}
	for _, s := range statements(b) {
		if s.kind != keyValue || from < s.start || from >= s.end {
			continue
		}
		for i := s.start; i < s.end; i++ {
			if b[i] != '\n' {
				b[i] = ' '
			}
		}
		return true, s.array
	}
	return false, false
}

// wrongType says in plain words what go-toml says of a value of another type
// than its key has, and returns other messages as they are.
func wrongType(what string) string {
	rest, ok := strings.CutPrefix(what, "cannot decode TOML ")
	if !ok {
		return what
	}
	met, rest, _ := strings.Cut(rest, " into ")
	_, want, ok := strings.Cut(rest, " of type ")
	isA := map[string]string{"string": "a text", "integer": "a number", "float": "a number with a point", "boolean": "true or false", "array": "a list", "inline table": "a table"}
	needs := map[string]string{"string": `a text in quotes, such as "a"`, "int": "a whole number, without quotes", "bool": "true or false, without quotes", "[]string": `a list of texts, such as ["a", "b"]`}
	if !ok || isA[met] == "" || needs[want] == "" {
		return what
	}
	return fmt.Sprintf("this is %s, the key needs %s", isA[met], needs[want])
}

// normalise gives a table's omitted keys their defaults and empty lists one
// form, so that two configurations that say the same compare equal.
func (c *Config) normalise() {
	for i := range c.Radio.Topics {
		if c.Radio.Topics[i].Form == "" {
			c.Radio.Topics[i].Form = "text"
		}
	}
	v := reflect.ValueOf(c).Elem()
	for _, k := range keys() {
		f := v.FieldByIndex(k.at)
		if f.Kind() == reflect.Slice && f.Len() == 0 {
			f.Set(reflect.MakeSlice(f.Type(), 0, 0))
		}
	}
}

// fromEnviron puts the variables DREY_SECTION__KEY over c. Lists are separated
// by commas.
func fromEnviron(c *Config, environ []string) error {
	var faults []error
	all := keys()
	v := reflect.ValueOf(c).Elem()
	for _, line := range environ {
		name, value, _ := strings.Cut(line, "=")
		rest, ours := strings.CutPrefix(name, "DREY_")
		section, last, split := strings.Cut(rest, "__")
		if !ours || !split {
			continue
		}
		path := strings.ToLower(section + "." + last)
		i := slices.IndexFunc(all, func(k key) bool { return k.path == path })
		if i < 0 {
			faults = append(faults, fmt.Errorf("environment %s: %w", name, unknownKey(path)))
			continue
		}
		if err := setText(v.FieldByIndex(all[i].at), value); err != nil {
			faults = append(faults, fmt.Errorf("environment %s: %w", name, err))
		}
	}
	c.normalise()
	return errors.Join(faults...)
}

// setText sets a field from plain text.
func setText(f reflect.Value, s string) error {
	if u, ok := f.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(s))
	}
	switch f.Kind() {
	case reflect.String:
		f.SetString(s)
	case reflect.Bool:
		b, err := strconv.ParseBool(s)
		if err != nil {
			return fmt.Errorf("%.40q is neither true nor false", s)
		}
		f.SetBool(b)
	case reflect.Int:
		n, err := strconv.Atoi(s)
		if err != nil {
			return fmt.Errorf("%.40q is not a whole number", s)
		}
		f.SetInt(int64(n))
	case reflect.Slice:
		if f.Type().Elem().Kind() != reflect.String {
			return errors.New("can only stand in a file")
		}
		items := []string{}
		for item := range strings.SplitSeq(s, ",") {
			if item = strings.TrimSpace(item); item != "" {
				items = append(items, item)
			}
		}
		f.Set(reflect.ValueOf(items))
	}
	return nil
}
