//go:build e2e

package nostr

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestNostrToolsAndThePage has nostr-tools judge what the page's scripts sign
// and seal, and the page open what nostr-tools sealed.
func TestNostrToolsAndThePage(t *testing.T) {
	tools(t)
	npm(t, ".", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	out, err := exec.CommandContext(t.Context(), "node", "--test", "page.test.mjs").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "# pass ") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestVendoredScriptsAreWhatTheirScriptMakes bundles the libraries anew, from
// the lock file, and compares.
func TestVendoredScriptsAreWhatTheirScriptMakes(t *testing.T) {
	tools(t)
	// A copy, so that the folder beside the sources stays as it is.
	static := t.TempDir()
	for _, dir := range []string{"build", "vendor"} {
		if err := os.CopyFS(filepath.Join(static, dir), os.DirFS(filepath.Join("../../web/static", dir))); err != nil {
			t.Fatal(err)
		}
	}
	build := filepath.Join(static, "build")
	npm(t, build, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	npm(t, build, "run", "check")
}

func tools(t *testing.T) {
	t.Helper()
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err == nil {
			continue
		}
		if os.Getenv("DREY_E2E") == "required" {
			t.Fatalf("%s is missing", tool)
		}
		t.Skipf("skipped: %s is missing (apt-get install nodejs npm)", tool)
	}
}

func npm(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "npm", args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("npm %v: %v\n%s", args, err, out)
	}
}
