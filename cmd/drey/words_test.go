package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"drey/configs"
	"drey/mesh"
	"drey/web/lang"
)

// TestEveryCodeHasWords: the catalogues explain every code that doctor and
// status can name, and no other.
func TestEveryCodeHasWords(t *testing.T) {
	for _, c := range codes {
		if !lang.English().Has("codes." + c) {
			t.Errorf("nothing explains %s", c)
		}
	}
	for _, key := range lang.English().Keys() {
		if c, ok := strings.CutPrefix(key, "codes."); ok && !slices.Contains(codes, c) {
			t.Errorf("%s is the code of no problem", key)
		}
	}
	for _, h := range append(hurdles, hurdle{code: "peers-down"}) {
		if c := illFor("links", h.code, "no answer", "checks."+h.code); c.Problem.What == "checks."+h.code || c.Problem.Fix == "" {
			t.Errorf("%s has no words: %+v", h.code, c.Problem)
		}
	}
	for s := mesh.Stranger; s <= mesh.Founder+1; s++ {
		if p := standingPhrase(s); english(p) == p.Key {
			t.Errorf("%s has no words", p.Key)
		}
	}
}

// TestEverySettingHasWords: the page tells what a setting is for in the words
// of the configuration's own comments.
func TestEverySettingHasWords(t *testing.T) {
	want := map[string]string{}
	key := strings.NewReplacer(".", "-", "_", "-")
	for _, d := range configs.Describe() {
		want["settings."+key.Replace(d.Section)] = configs.SectionDoc(d.Section)
		want["settings."+key.Replace(d.Path())] = d.Doc
	}
	for k, doc := range want {
		if got := english(lang.Say(k)); got != doc {
			t.Errorf("%s is\n%q, the configuration says\n%q", k, got, doc)
		}
	}
	for _, k := range lang.English().Keys() {
		if strings.HasPrefix(k, "settings.") && want[k] == "" {
			t.Errorf("%s is no setting", k)
		}
	}
}

// TestEveryNameHasWords reads which checks and codes of errors the sources name.
func TestEveryNameHasWords(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("../../web/*.go")
	if err != nil {
		t.Fatal(err)
	}
	checks := regexp.MustCompile(`\b(?:well|ill|illFor|told)\("([a-z]+)"`)
	errors := regexp.MustCompile(`NewError\("([a-z-]+)"|\bCode[A-Z][A-Za-z]* += "([a-z-]+)"`)
	found := 0
	for _, name := range append(files, more...) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range checks.FindAllStringSubmatch(string(b), -1) {
			if found++; !lang.English().Has("checks.name-" + m[1]) {
				t.Errorf("%s: the check %q has no name in the catalogues", name, m[1])
			}
		}
		for _, m := range errors.FindAllStringSubmatch(string(b), -1) {
			if found++; !lang.English().Has("errors.code-" + m[1] + m[2]) {
				t.Errorf("%s: the error %q has no text in the catalogues", name, m[1]+m[2])
			}
		}
	}
	if found < 90 {
		t.Errorf("only %d names found", found)
	}
}

// TestDoctorSpeaks: what a node's doctor finds has words in every language.
func TestDoctorSpeaks(t *testing.T) {
	t.Parallel()
	one := settleNode(t, "one", nil)
	defer one.end()
	checks, err := api{one.parts}.Doctor(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range checks {
		said := c.Said
		if c.Problem != nil {
			said = c.Problem.Said
		}
		named := slices.Contains([]string{"home", "radio"}, c.Name) // a path, a device
		if (said.Key == "" || !lang.English().Has(said.Key)) && !named {
			t.Errorf("%s says %q%v in English only", c.Name, c.Detail, c.Problem)
		}
	}
	if len(checks) < 5 {
		t.Errorf("only %d checks: %+v", len(checks), checks)
	}
}
