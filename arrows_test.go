package drey_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// mayImport says which of our packages each part may know beside mesh, its own
// folders included. cmd/drey knows all; configs, and mesh, know nobody.
var mayImport = map[string][]string{
	"hub":              {},
	"mesh":             nil,
	"mesh/roster":      {"mesh"},
	"mesh/carriertest": {"mesh"},
	"mesh/negentropy":  {"mesh"},
	"store":            {},
	"overlay":          {},
	"pubsub":           {"overlay"},
	"radio":            {},
	"nostrbridge":      {},
	"bootstrap":        {},
	"web":              {},
	"configs":          nil,
}

// TestArrows lets no part grow an import that the design does not have. Tests
// may import what they like.
func TestArrows(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("the go command is not here")
	}
	out, err := exec.Command("go", "list", "-deps=false", "-json=ImportPath,Imports", "drey/...").Output()
	if err != nil {
		var failed *exec.ExitError
		if errors.As(err, &failed) {
			t.Fatalf("go list: %v\n%s", err, failed.Stderr)
		}
		t.Fatal(err)
	}
	d := json.NewDecoder(strings.NewReader(string(out)))
	seen := 0
	for {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		seen++
		from := strings.TrimPrefix(p.ImportPath, "drey/")
		for _, i := range p.Imports {
			to, ours := strings.CutPrefix(i, "drey/")
			if ours && !allowed(from, to) {
				t.Errorf("%s imports %s, which the design does not allow", from, to)
			}
		}
	}
	if seen < 5 {
		t.Errorf("go list named %d packages; the test looks at the wrong place", seen)
	}
}

// allowed reports whether the package from may import the package to.
func allowed(from, to string) bool {
	if strings.HasPrefix(from, "cmd/") {
		return true
	}
	for _, free := range []string{"sim", "e2e", "deps"} { // these join whole nodes
		if within(from, free) {
			return !strings.HasPrefix(to, "cmd/")
		}
	}
	if tested, ok := testedBy(from); ok && (within(to, tested) || isTest(to)) {
		return true // store/storetest knows store, and test packages each other
	}
	part := from
	for {
		if may, ok := mayImport[part]; ok {
			if may == nil && part != "mesh" && part != "configs" {
				return false
			}
			if within(to, part) && part != "mesh" {
				return !isTest(to)
			}
			return (to == "mesh" || to == "mesh/negentropy") && may != nil || slices.Contains(may, to)
		}
		up := strings.LastIndex(part, "/")
		if up < 0 {
			return false // a part that the design does not know
		}
		part = part[:up]
	}
}

func within(pkg, part string) bool { return pkg == part || strings.HasPrefix(pkg, part+"/") }

// isTest reports whether a package is there for tests only, as radio/radiotest.
func isTest(pkg string) bool { return strings.HasSuffix(pkg, "test") }

// testedBy returns the package that a test package is for.
func testedBy(pkg string) (string, bool) {
	up := strings.LastIndex(pkg, "/")
	if up < 0 || !isTest(pkg) {
		return "", false
	}
	return pkg[:up], true
}

// TestAllowed guards the rule itself.
func TestAllowed(t *testing.T) {
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{"hub", "mesh", true},
		{"hub", "store", false},
		{"hub", "mesh/roster", false},
		{"store", "hub", false},
		{"store/storetest", "store", true},
		{"store", "store/storetest", false},
		{"pubsub/pubsubtest", "store/storetest", true},
		{"pubsub/pubsubtest", "store", false},
		{"pubsub", "overlay", true},
		{"pubsub", "radio", false},
		{"pubsub", "mesh/negentropy", true},
		{"nostrbridge/pool", "mesh/negentropy", true},
		{"mesh/negentropy", "mesh", true},
		{"mesh", "mesh/negentropy", false},
		{"overlay", "pubsub", false},
		{"radio", "radio/air", true},
		{"radio/air", "radio/meshtastic", true},
		{"radio/radiotest", "radio/meshtastic", true},
		{"radio", "radio/radiotest", false},
		{"mesh", "hub", false},
		{"mesh/roster", "mesh", true},
		{"mesh/roster", "store", false},
		{"configs", "mesh", false},
		{"web", "mesh", true},
		{"web", "hub", false},
		{"cmd/drey", "radio/radiotest", true},
		{"sim", "hub", true},
		{"sim", "cmd/drey", false},
		{"newpart", "mesh", false},
	} {
		if got := allowed(c.from, c.to); got != c.want {
			t.Errorf("allowed(%s, %s) = %v, want %v", c.from, c.to, got, c.want)
		}
	}
}
