package web

import (
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"

	"drey/web/lang"
)

// Views are made when they are first asked for; a fault in one shows here.
func TestEveryViewParses(t *testing.T) {
	p, err := newPages()
	if err != nil {
		t.Fatal(err)
	}
	local, err := p.in(lang.Base)
	if err != nil {
		t.Fatal(err)
	}
	names, err := fs.Glob(pageFiles, "pages/*.html")
	if err != nil || len(names) == 0 {
		t.Fatalf("pages: %v, %v", names, err)
	}
	for _, name := range names {
		if slices.Contains(sharedFiles, name) {
			continue
		}
		if _, err := local.view(strings.TrimSuffix(path.Base(name), ".html")); err != nil {
			t.Error(err)
		}
	}
}
