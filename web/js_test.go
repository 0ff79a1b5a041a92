package web

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestScripts runs the tests of the page's scripts that need no browser, in
// jstest. CI has node, and says so.
func TestScripts(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		if os.Getenv("DREY_E2E") == "required" {
			t.Fatal("node is missing")
		}
		t.Skip("skipped: node is missing (apt-get install nodejs)")
	}
	cmd := exec.CommandContext(t.Context(), node, "jstest/all.mjs")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	files, err := filepath.Glob("jstest/*.test.mjs")
	if err != nil {
		t.Fatal(err)
	}
	all, err := os.ReadFile("jstest/all.mjs")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.Contains(string(all), "'./"+filepath.Base(f)+"'") {
			t.Errorf("%s is not among all.mjs", f)
		}
	}
	if n := strings.Count(string(out), "\nok "); n < 40 {
		t.Errorf("only %d tests ran:\n%s", n, out)
	}
}

// TestVendoredScriptsAreAsLocked compares the versions that the bundles name
// with those of the lock file, and looks for what neither may hold. Whether
// the bundles are what the lock gives is asked in e2e/script.
func TestVendoredScriptsAreAsLocked(t *testing.T) {
	raw, err := os.ReadFile("static/build/package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(raw), `"resolved"`) {
		t.Error("the lock file names the host of a registry")
	}
	var lock struct {
		Packages map[string]struct{ Version, License string }
	}
	if err := json.Unmarshal(raw, &lock); err != nil {
		t.Fatal(err)
	}
	for file, packages := range map[string][]string{
		"noble.js": {"@noble/ciphers", "@noble/curves", "@noble/hashes"},
		"jsqr.js":  {"jsqr"},
	} {
		b, err := os.ReadFile("static/vendor/" + file)
		if err != nil {
			t.Fatal(err)
		}
		head, body, _ := strings.Cut(string(b), "\n")
		for _, p := range packages {
			locked := lock.Packages["node_modules/"+p]
			if want := p + " " + locked.Version + " (" + locked.License + ")"; !strings.Contains(head, want) {
				t.Errorf("%s begins with %q, want %q in it", file, head, want)
			}
		}
		for _, never := range []string{"eval(", "new Function(", "sourceMappingURL", "document.write"} {
			if strings.Contains(body, never) {
				t.Errorf("%s holds %s", file, never)
			}
		}
	}
}
