package hub

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write what the hub answers into testdata/*.txt")

// TestScripts plays the conversations in testdata. A file is a list of
// paragraphs: comments, commands, then "----" and what the hub answers.
// script_words_test.go explains the commands.
func TestScripts(t *testing.T) {
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
			is := play(t, file, string(was))
			if *rewrite {
				if err := os.WriteFile(file, []byte(is), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// play runs a script and returns it with the answers that came.
func play(t *testing.T, file, text string) string {
	w := newWorld(t)
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
