package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"
)

// asks reports whether somebody sits at the terminal who can be asked.
func (s *session) asks() bool {
	f, ok := s.in.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && terminal(s.err)
}

// confirm asks whether to go on. Where nobody can be asked, --yes is needed.
func (s *session) confirm(what string) error {
	if !s.asks() {
		return failf(exitUsage, "add --yes", "'%s' takes something away, and there is no terminal to ask on", what)
	}
	return s.askYes()
}

// askYes reads yes or no from the terminal.
func (s *session) askYes() error {
	fmt.Fprint(s.err, "go on? [y/N] ")
	line, err := bufio.NewReader(s.in).ReadString('\n')
	if err != nil && line == "" {
		return err
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return nil
	}
	return failf(exitError, "", "nothing was done")
}
