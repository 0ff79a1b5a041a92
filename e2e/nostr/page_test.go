//go:build e2e

package nostr

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"drey/e2e/npm"
)

// TestNostrToolsAndThePage has nostr-tools judge what the page's scripts sign
// and seal, and the page open what nostr-tools sealed.
func TestNostrToolsAndThePage(t *testing.T) {
	tools(t)
	if err := npm.Install(t.Context(), "."); err != nil {
		t.Fatal(err)
	}
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
	if err := npm.Install(t.Context(), build); err != nil {
		t.Fatal(err)
	}
	check := exec.CommandContext(t.Context(), "npm", "run", "check")
	check.Dir = build
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("npm run check: %v\n%s", err, out)
	}
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
