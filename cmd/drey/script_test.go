package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	// The nodes of these tests mostly wait, for a radio's air and a relay's turn:
	// so more of them run at once than there are processors.
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	testscript.Main(m, map[string]func(){"drey": main})
}

// TestScripts runs the command as people type it: see testdata.
func TestScripts(t *testing.T) {
	t.Parallel()
	nasty, err := filepath.Abs("../../mesh/testdata/nasty.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Cmds:                scriptCommands(),
		Condition:           scriptCondition,
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("DREY_HOME", "")
			e.Setenv("XDG_STATE_HOME", "")
			b, err := os.ReadFile(nasty)
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(e.WorkDir, "nasty.jsonl"), b, 0o600)
		},
	})
}

func checkMode(name, want string) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != want {
		return fmt.Errorf("%s has mode %s, want %s", name, got, want)
	}
	return nil
}
