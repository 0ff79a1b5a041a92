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
	"time"
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
				if !fits(got, want, c.texts[key].forms != nil) {
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
// the page, and what the node says to it. Texts of Own are for another test.
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
	read := func(path string, d fs.DirEntry, err error) error {
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
			if strings.HasSuffix(m[1], "-") {
				begun = append(begun, "errors."+m[1])
				continue
			}
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
				used[key], used[key+"-why"], used[key+"-fix"] = true, true, true
			case ext == ".html" || ext == ".js" && group == "js" || group == "checks" || group == "effects":
				missing[key] = path
			}
		}
		return nil
	}
	for _, root := range []string{"..", "../../cmd/drey"} {
		if err := filepath.WalkDir(root, read); err != nil {
			t.Fatal(err)
		}
	}
	for key, path := range missing {
		t.Errorf("%s uses %s, which no catalogue has", path, key)
	}
	for _, key := range base.Keys() {
		if used[key] || slices.ContainsFunc(begun, func(b string) bool { return strings.HasPrefix(key, b) && !strings.HasSuffix(b, ".") }) {
			continue
		}
		if group, _, _ := strings.Cut(key, "."); slices.Contains(begun, group+".") || group == Own {
			continue
		}
		t.Errorf("%s is used nowhere", key)
	}
}

// TestOwnTextsAreSaid: what the catalogues recognise is what some part of the
// node says, word by word.
func TestOwnTextsAreSaid(t *testing.T) {
	base, _ := load(t).Lookup(Base)
	left := make(map[string][]string) // pieces of each text
	for _, key := range base.Keys() {
		if strings.HasPrefix(key, Own+".") {
			s := regexp.MustCompile(`{[a-z]+}`).ReplaceAllString(Plain(base.Forms(key)["other"]), "\x00")
			left[key] = strings.Split(s, "\x00")
		}
	}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{"node_modules", "deps", ".git", "e2e", "sim"}, d.Name()) {
			return fs.SkipDir
		}
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		source := strings.ReplaceAll(string(b), `\"`, `"`)
		for key, pieces := range left {
			if !slices.ContainsFunc(pieces, func(piece string) bool { return !strings.Contains(source, piece) }) {
				delete(left, key)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for key, pieces := range left {
		t.Errorf("%s: nothing says %q", key, strings.Join(pieces, "…"))
	}
}

func TestRecognise(t *testing.T) {
	s := load(t)
	uk, _ := s.Lookup("uk")
	for said, want := range map[string]string{
		"airtime (legal limit)":                                  "ефірний час (межа закону)",
		"this is no relay":                                       "це не реле",
		"300 bytes, limit 200":                                   "300 байтів, межа 200",
		"'drey relays ls' shows it":                              "список показує `drey relays ls`",
		"'drey relays ls' shows it (tried x)":                    "список показує `drey relays ls` (спробувано: x)",
		"the invite has been used (tried http://192.0.2.1:3739)": "запрошення вже використано (спробувано: http://192.0.2.1:3739)",
	} {
		if got, ok := uk.Recognise(said); got != want || !ok {
			t.Errorf("%q is %q, %t, want %q", said, got, ok, want)
		}
	}
	for _, odd := range []string{"", "nothing says this", "nothing says this (tried x)", strings.Repeat("(tried ", 1000)} {
		if got, ok := uk.Recognise(odd); got != odd || ok {
			t.Errorf("%.40q is recognised as %q", odd, got)
		}
	}
}

// FuzzRecognise: whatever a relay or a radio says, what is not known comes back
// as it is, and English is recognised as itself.
func FuzzRecognise(f *testing.F) {
	s := load(f)
	base, _ := s.Lookup(Base)
	for _, key := range base.Keys() {
		if strings.HasPrefix(key, Own+".") {
			f.Add(Plain(base.Forms(key)["other"]))
		}
	}
	f.Add(strings.Repeat("x (tried ", 100) + ")")
	f.Fuzz(func(t *testing.T, said string) {
		got, known := base.Recognise(said)
		if !known && got != said {
			t.Errorf("%q is not known and became %q", said, got)
		}
		if known && tame(said) == said && !strings.Contains(said, isolate) && !hasRTL(said) && Plain(got) != said {
			t.Errorf("%q became %q", said, got)
		}
	})
}

// TestCommandsAreTheSame: what is to be typed is the same in every language.
func TestCommandsAreTheSame(t *testing.T) {
	s := load(t)
	base, _ := s.Lookup(Base)
	commands := func(text string) []string {
		var all []string
		for i, part := range strings.Split(text, "`") {
			if i%2 == 1 && strings.Contains(part, " ") {
				all = append(all, part)
			}
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	for _, key := range base.Keys() {
		for _, c := range s.All() {
			for form, text := range c.Forms(key) {
				if strings.Count(text, "`")%2 == 1 {
					t.Errorf("%s %s: an odd number of back quotes", c.Tag, key)
				}
				want := commands(base.Forms(key)["other"])
				if form == "other" && !slices.Equal(commands(text), want) {
					for _, command := range want {
						if !strings.Contains(text, command) {
							t.Errorf("%s %s lacks %q", c.Tag, key, command)
						}
					}
				}
			}
		}
	}
}

func TestPlain(t *testing.T) {
	for text, want := range map[string]string{
		"`chmod 600 x`":                    "chmod 600 x",
		"start one with `drey up`":         "start one with 'drey up'",
		"set it: `date -s 'YYYY'`":         "set it: date -s 'YYYY'",
		"`drey a` on one, `drey b` on two": "'drey a' on one, 'drey b' on two",
		"nothing to type":                  "nothing to type",
	} {
		if got := Plain(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
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
		{"a span and a phrase", en.T("checks.clock-differs", "off", Say("checks.clock-behind", "span", 3*time.Hour)), "the clock is 3 h behind the neighbours'"},
		{"back quotes of others are no commands", en.T("chat.as-node", "name", "`rm`"), "You write as 'rm'"},
		{"a name from the other side is set apart", en.T("chat.as-node", "name", "مريم"), "You write as \u2068مريم\u2069"},
		{"a name does not turn the sentence", en.T("chat.as-node", "name", "x\u202ey\u2069\u2067z"), "You write as xyz"},
		{"what is set apart in a name stays so", en.T("chat.as-node", "name", "x \u2068y\u2069"), "You write as x \u2068y\u2069"},
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
