package main

import (
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdSaved puts the name of the one file of saved radio settings in a home into
// a variable: saved HOME NAME.
func cmdSaved(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: saved HOME NAME")
	}
	found, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), "radio-*.json"))
	ts.Check(err)
	if len(found) != 1 {
		ts.Fatalf("%d files of saved settings, want 1: %q", len(found), found)
	}
	ts.Setenv(args[1], found[0])
}
