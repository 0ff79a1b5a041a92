package configs

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// A fault is what is wrong with the value of one key.
type fault struct {
	path string // "radio.hop_limit", "radio.topic[1].form"
	err  error
}

func (f *fault) Error() string { return f.path + ": " + f.err.Error() }
func (f *fault) Unwrap() error { return f.err }

// Check is Validate for a configuration that Load has read from a file and the
// environment: it says where each bad value stands, in which line of the file or
// in which variable. What came from elsewhere, as from a flag, is told by its
// key alone.
func (c *Config) Check(path string, environ []string) error {
	err := c.Validate()
	if err == nil {
		return nil
	}
	var text []byte
	if path != "" {
		text, _ = readFile(path) // without it, the keys must do
	}
	return c.locate(err, path, text, environ)
}

// locate puts before each fault of Validate where its value stands.
func (c *Config) locate(err error, name string, text []byte, environ []string) error {
	all, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return err
	}
	written := Default()
	_, _ = parse(&written, name, text) // of its own faults Load has told
	var located []error
	for i, e := range all.Unwrap() {
		if f, ok := e.(*fault); ok && i < maxFaults { // nobody reads more
			if at := c.placeOf(f.path, &written, name, text, environ); at != "" {
				e = fmt.Errorf("%s: %w", at, e)
			}
		}
		located = append(located, e)
	}
	return errors.Join(located...)
}

// placeOf says where the value of a fault's key stands: "drey.toml:3", the
// variable, or "" where it is from neither.
func (c *Config) placeOf(path string, written *Config, name string, text []byte, environ []string) string {
	base, _, _ := strings.Cut(path, "[")
	for _, k := range keys() {
		if k.path != base {
			continue
		}
		value := func(c *Config) any { return reflect.ValueOf(c).Elem().FieldByIndex(k.at).Interface() }
		variable := "DREY_" + strings.ToUpper(strings.Replace(k.path, ".", "__", 1))
		for _, line := range environ {
			said := Default()
			if strings.HasPrefix(line, variable+"=") && fromEnviron(&said, []string{line}) == nil && reflect.DeepEqual(value(&said), value(c)) {
				return "environment " + variable
			}
		}
		if line := lineOf(text, path); line > 0 && reflect.DeepEqual(value(written), value(c)) {
			return fmt.Sprintf("%s:%d", name, line)
		}
	}
	return ""
}

// lineOf returns the line of a file's text, from 1, where a key or the key of a
// table of an array stands; where a table leaves it out, that of the table's
// head; 0 where there is none.
func lineOf(text []byte, path string) int {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	base, rest, _ := strings.Cut(path, "[")
	number, rest, _ := strings.Cut(rest, "]")
	wanted, _ := strconv.Atoi(number)
	name := strings.TrimPrefix(rest, ".")
	found, table := -1, -1
	for _, s := range statements(text) {
		switch {
		case s.kind == header && s.array && s.table == base:
			if table++; table == wanted {
				found = s.start
			}
		case s.kind == keyValue && !s.array && s.path() == base,
			s.kind == keyValue && s.array && s.table == base && table == wanted && s.key == name:
			found = s.start
		}
	}
	if found < 0 {
		return 0
	}
	return 1 + bytes.Count(text[:found], []byte("\n"))
}
