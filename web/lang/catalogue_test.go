package lang

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func load(t testing.TB) *Set {
	t.Helper()
	s, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestEveryLanguageIsWhole: each language has every text of the base and no
// other, with the same arguments.
func TestEveryLanguageIsWhole(t *testing.T) {
	s := load(t)
	base, _ := s.Lookup(Base)
	if n := len(base.Keys()); n < 100 {
		t.Fatalf("only %d texts", n)
	}
	for _, c := range s.All()[1:] {
		for _, key := range base.Keys() {
			if !c.Has(key) {
				t.Errorf("%s lacks %s", c.Tag, key)
			}
		}
		for _, key := range c.Keys() {
			if !base.Has(key) {
				t.Errorf("%s has %s, which %s has not", c.Tag, key, Base)
				continue
			}
			want := argsOf(t, base.Forms(key))
			for form, text := range c.Forms(key) {
				if strings.TrimSpace(text) == "" {
					t.Errorf("%s %s (%s) is empty", c.Tag, key, form)
				}
				got, err := Args(text)
				if err != nil {
					t.Error(err)
				}
				if !fits(got, want, c.texts[key].plural) {
					t.Errorf("%s %s (%s) has the arguments %v, %s has %v", c.Tag, key, form, got, Base, want)
				}
			}
		}
	}
}

func argsOf(t *testing.T, forms map[string]string) []string {
	t.Helper()
	var all []string
	for _, text := range forms {
		args, err := Args(text)
		if err != nil {
			t.Error(err)
		}
		all = append(all, args...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// fits compares arguments. A plural form may say the number as a word.
func fits(got, want []string, plural bool) bool {
	if plural {
		drop := func(s string) bool { return s == "n" }
		got, want = slices.DeleteFunc(slices.Clone(got), drop), slices.DeleteFunc(slices.Clone(want), drop)
	}
	return slices.Equal(got, want)
}

// A key stands in the sources as a literal; of one that is put together, its
// beginning does.
var literal = regexp.MustCompile("[\"'`(]((?:[a-z]+)\\.[a-z0-9-]*)[\"'`)]")

// errorKey matches an error that names its own text.
var errorKey = regexp.MustCompile(`\.in\("([a-z-]+)"`)

// TestEveryTextIsUsed reads the templates, the Go sources and the scripts of
// the page.
func TestEveryTextIsUsed(t *testing.T) {
	s := load(t)
	base, _ := s.Lookup(Base)
	groups := make(map[string]bool)
	for _, key := range base.Keys() {
		group, _, _ := strings.Cut(key, ".")
		groups[group] = true
	}
	used := make(map[string]bool)
	var begun []string
	missing := make(map[string]string)
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == "vendor" || d.Name() == "jstest") {
			return fs.SkipDir
		}
		ext := filepath.Ext(path)
		if d.IsDir() || !slices.Contains([]string{".html", ".go", ".js"}, ext) || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range errorKey.FindAllStringSubmatch(string(b), -1) {
			used["errors."+m[1]], used["errors."+m[1]+"-fix"] = true, true
			if ext == ".go" && !base.Has("errors."+m[1]) {
				missing["errors."+m[1]] = path
			}
		}
		for _, m := range literal.FindAllStringSubmatch(string(b), -1) {
			key := m[1]
			group, rest, _ := strings.Cut(key, ".")
			switch {
			case !groups[group]:
			case rest == "" || strings.HasSuffix(rest, "-"):
				begun = append(begun, key)
			case base.Has(key):
				used[key] = true
			case ext == ".html" || ext == ".js" && group == "js":
				missing[key] = path
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for key, path := range missing {
		t.Errorf("%s uses %s, which no catalogue has", path, key)
	}
	for _, key := range base.Keys() {
		if used[key] || slices.ContainsFunc(begun, func(b string) bool { return strings.HasPrefix(key, b) && !strings.HasSuffix(b, ".") }) {
			continue
		}
		if group, _, _ := strings.Cut(key, "."); slices.Contains(begun, group+".") {
			continue
		}
		t.Errorf("%s is used nowhere", key)
	}
}

func TestT(t *testing.T) {
	s := load(t)
	en, _ := s.Lookup("en")
	uk, _ := s.Lookup("uk")
	ar, _ := s.Lookup("ar")
	for _, c := range []struct {
		name string
		got  string
		want string
	}{
		{"plain", en.T("chat.send"), "Send"},
		{"one", en.T("chat.unread", "n", 1), "1 new message"},
		{"many", en.T("chat.unread", "n", 5), "5 new messages"},
		{"few in Ukrainian", uk.T("chat.unread", "n", 22), "22 нові повідомлення"},
		{"dual in Arabic", ar.T("chat.unread", "n", 2), "رسالتان جديدتان"},
		{"no such key", en.T("chat.nothing-like-it"), "chat.nothing-like-it"},
		{"a name from the other side is set apart", en.T("chat.as-node", "name", "مريم"), "You write as \u2068مريم\u2069"},
		{"a name of this side is not", en.T("chat.as-node", "name", "Ana"), "You write as Ana"},
		{"an argument in braces stays", en.T("chat.as-node", "name", "{name}"), "You write as {name}"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", c.name, c.got, c.want)
		}
	}
}

func TestPlurals(t *testing.T) {
	for rule, want := range map[string]string{ // of 0 1 2 3 5 11 12 21 22 100 102 111
		"none":     "other other other other other other other other other other other other",
		"one":      "other one other other other other other other other other other other",
		"zero-one": "one one other other other other other other other other other other",
		"slavic":   "many one few few many many many one few many few many",
		"czech":    "other one few few other other other other other other other other",
		"polish":   "many one few few many many many many few many few many",
		"romanian": "few one few few few few few other other other few few",
		"arabic":   "zero one two few few many many many many other other many",
	} {
		var got []string
		for _, n := range []int{0, 1, 2, 3, 5, 11, 12, 21, 22, 100, 102, 111} {
			form := rules[rule].choose(n)
			if !slices.Contains(rules[rule].categories, form) {
				t.Errorf("%s chooses %s, which it does not have", rule, form)
			}
			got = append(got, string(form))
		}
		if g := strings.Join(got, " "); g != want {
			t.Errorf("%s:\n got %s\nwant %s", rule, g, want)
		}
	}
	if len(rules) != 8 {
		t.Errorf("%d rules, of which 8 are tested", len(rules))
	}
}

func TestMatch(t *testing.T) {
	s := load(t)
	for accept, want := range map[string]string{
		"": "en", "*": "en", "uk": "uk", "uk-UA,uk;q=0.9,en;q=0.8": "uk", "de, es;q=0.5": "es", "fr;q=1, ar-EG;q=0.4, en;q=0.3": "ar",
		"EN-gb": "en", "es;q=0, uk;q=0.1": "uk", "es;q=nonsense": "en", ";;;,,,": "en", "en-XA": "en",
	} {
		if got := s.Match(accept).Tag; got != want {
			t.Errorf("%q gives %s, want %s", accept, got, want)
		}
	}
}

func TestPseudoLocale(t *testing.T) {
	s := load(t)
	p, ok := s.Lookup(PseudoTag)
	if !ok {
		t.Fatal("no pseudo-locale")
	}
	got := p.T("chat.as-node", "name", "Ana")
	if !strings.HasPrefix(got, "[") || !strings.HasSuffix(got, "]") || !strings.Contains(got, "Ana") || strings.Contains(got, "write") {
		t.Errorf("%q", got)
	}
	for _, c := range s.All() {
		if c.Tag == PseudoTag {
			t.Error("the pseudo-locale is offered to people")
		}
	}
}

// TestOneFileIsALanguage: whoever adds a file has added a language; what it
// lacks comes from the base.
func TestOneFileIsALanguage(t *testing.T) {
	s, err := LoadFS(fstest.MapFS{
		"en.json": {Data: []byte(`{"_":{"name":"English","dir":"ltr","plural":"one"},"a":{"b":"hello","c":{"one":"{n} egg","other":"{n} eggs"}}}`)},
		"cs.json": {Data: []byte(`{"_":{"name":"Čeština","dir":"ltr","plural":"czech"},"a":{"b":"ahoj"}}`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	cs := s.Match("cs-CZ")
	if cs.T("a.b") != "ahoj" || cs.T("a.c", "n", 2) != "2 eggs" {
		t.Errorf("%q %q", cs.T("a.b"), cs.T("a.c", "n", 2))
	}
	if g := cs.Group("a"); g["a.b"] != "ahoj" || len(g) != 2 {
		t.Errorf("group: %v", g)
	}
}

func TestParseRefuses(t *testing.T) {
	head := `{"_":{"name":"X","dir":"ltr","plural":"slavic"},`
	for name, b := range map[string]string{
		"no JSON":           `{`,
		"nothing about it":  `{"a":{"b":"c"}}`,
		"a strange side":    `{"_":{"name":"X","dir":"up","plural":"one"}}`,
		"a strange rule":    `{"_":{"name":"X","dir":"ltr","plural":"klingon"}}`,
		"a form missing":    head + `"a":{"b":{"one":"x","few":"y"}}}`,
		"a form too many":   head + `"a":{"b":{"one":"x","few":"y","many":"z","other":"w"}}}`,
		"an open brace":     head + `"a":{"b":"hello {name"}}`,
		"an empty argument": head + `"a":{"b":"hello {}"}}`,
		"a number":          head + `"a":{"b":3}}`,
	} {
		if _, err := Parse("xx", []byte(b)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// FuzzParse: whatever a file holds, what parses can be said.
func FuzzParse(f *testing.F) {
	en, err := files.ReadFile("en.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(en)
	f.Add([]byte(`{"_":{"name":"X","dir":"rtl","plural":"arabic"},"a":{"b":"{n} {n}","c":{"zero":"","one":"","two":"","few":"","many":"","other":"{x}"}}}`))
	f.Add([]byte(`{"_":{"name":"X","dir":"ltr","plural":"none"},"a":{"b":null}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Parse("xx", b)
		if err != nil {
			return
		}
		for _, key := range c.Keys() {
			for _, n := range []int{0, 1, 2, 7, 100} {
				c.T(key, "n", n, "name", "x")
			}
		}
		pseudo(c)
	})
}

// FuzzMatch: every header gives a language.
func FuzzMatch(f *testing.F) {
	s := load(f)
	f.Add("uk-UA,uk;q=0.9,en;q=0.8")
	f.Add(strings.Repeat("-", 100) + ",;q=1")
	f.Fuzz(func(t *testing.T, accept string) {
		if c := s.Match(accept); c == nil || c.Tag == PseudoTag {
			t.Errorf("%q gives %v", accept, c)
		}
	})
}
