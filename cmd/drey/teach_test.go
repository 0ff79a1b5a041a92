package main

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// TestHelpTeaches reads every command's help as a newcomer does: it says more
// than its one line in the list, shows a command line to copy, and fits a
// terminal.
func TestHelpTeaches(t *testing.T) {
	root := (&session{}).root()
	for path := range lessons() {
		if c, _, err := root.Find(strings.Fields(path)); err != nil || c.CommandPath() != "drey "+path {
			t.Errorf("there is a lesson for %q but no such command", path)
		}
	}
	everyCommand(root, func(c *cobra.Command) {
		if c.Parent().Name() == "completion" {
			return // cobra's words
		}
		if c.Long == "" || c.Example == "" {
			t.Errorf("%s has an explanation of %d letters and examples of %d, want some of both", c.CommandPath(), len(c.Long), len(c.Example))
		}
		var out bytes.Buffer
		c.SetOut(&out)
		if err := c.Help(); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			line = strings.TrimSuffix(line, "\n")
			if n := utf8.RuneCountInString(line); n > 80 && !strings.Contains(line, "npub1") {
				t.Errorf("the help of %s is %d wide, want at most 80: %s", c.CommandPath(), n, line)
			}
		}
	})
}

// TestExamplesParse checks that the command lines of every help are ones that
// drey takes.
func TestExamplesParse(t *testing.T) {
	everyCommand((&session{}).root(), func(c *cobra.Command) {
		for line := range strings.Lines(c.Example) {
			line, _, _ = strings.Cut(line, "  #")
			begin := strings.Index(line, "drey ")
			if begin < 0 {
				t.Errorf("an example of %s does not name drey: %s", c.CommandPath(), line)
				continue
			}
			words := shellWords(line[begin:])[1:]
			root := (&session{}).root()
			command, rest, err := root.Find(words)
			if err != nil {
				t.Errorf("%s: %v", line, err)
				continue
			}
			if err := command.ParseFlags(rest); err != nil {
				t.Errorf("%s: %v", line, err)
			} else if err := command.ValidateArgs(command.Flags().Args()); err != nil {
				t.Errorf("%s: %v", line, err)
			}
		}
	})
}

// everyCommand calls f with each command below root, but not cobra's own.
func everyCommand(c *cobra.Command, f func(*cobra.Command)) {
	for _, sub := range c.Commands() {
		if sub.Hidden {
			continue
		}
		f(sub)
		if sub.Name() != "completion" {
			everyCommand(sub, f)
		}
	}
}

// shellWords splits an example as a shell does: quotes hold words together,
// and a redirection, a pipe or a closing bracket ends the command.
func shellWords(line string) []string {
	var words []string
	word, quote, begun := "", rune(0), false
	end := func() {
		if begun {
			words = append(words, word)
		}
		word, begun = "", false
	}
	for _, r := range line {
		switch {
		case r == quote:
			quote = 0
		case quote != 0:
			word += string(r)
		case r == '\'' || r == '"':
			quote, begun = r, true
		case r == ' ' || r == '\n':
			end()
		case strings.ContainsRune("<>|)", r):
			end()
			return words
		case r == '$':
			end()
			return append(words, "WORD") // what another command prints
		default:
			word, begun = word+string(r), true
		}
	}
	end()
	return words
}
