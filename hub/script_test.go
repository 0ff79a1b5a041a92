package hub

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"drey/store"
)

var rewrite = flag.Bool("rewrite", false, "write what the hub answers into testdata/*.txt")

// TestScripts plays the conversations in testdata. A file is a list of
// paragraphs: comments, commands, then "----" and what the hub answers.
// script_words_test.go explains the commands.
func TestScripts(t *testing.T) { playAll(t, func(*testing.T) keeper { return memory }) }

// TestScriptsOnDisk plays them on the real store.
func TestScriptsOnDisk(t *testing.T) {
	if *rewrite {
		t.Skip("TestScripts writes them")
	}
	playAll(t, func(t *testing.T) keeper {
		return func(clock func() time.Time) Store {
			s, err := store.Open(t.Context(), store.Config{Path: filepath.Join(t.TempDir(), "drey.db"), Clock: clock})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- s.Run(ctx) }()
			t.Cleanup(func() {
				cancel()
				<-done
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
			return s
		}
	})
}

func playAll(t *testing.T, keep func(*testing.T) keeper) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts in testdata: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			was, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			is := play(t, keep(t), file, string(was))
			if *rewrite {
				if err := os.WriteFile(file, []byte(is), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// play runs a script and returns it with the answers that came.
func play(t *testing.T, keep keeper, file, text string) string {
	w := newWorldOn(t, keep)
	var out bytes.Buffer
	for i, p := range strings.Split(strings.TrimRight(text, "\n"), "\n\n") {
		if i > 0 {
			out.WriteString("\n")
		}
		commands, want, asks := strings.Cut(p, "\n----")
		fmt.Fprintln(&out, commands)
		var got strings.Builder
		for _, line := range strings.Split(commands, "\n") {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				w.do(&got, line)
			}
		}
		want = strings.TrimSpace(want)
		is := strings.TrimSpace(got.String())
		if asks || is != "" {
			fmt.Fprintln(&out, strings.TrimRight("----\n"+is, "\n"))
		}
		if is != want && !*rewrite {
			t.Errorf("%s:\n%s\n---- got\n%s\n---- want\n%s", file, commands, is, want)
		}
	}
	return out.String()
}
