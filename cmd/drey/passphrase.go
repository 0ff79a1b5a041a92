package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"golang.org/x/term"

	"drey/configs"
)

// leastPassphrase is the shortest passphrase taken, in bytes: a backup may lie
// about for years where others can try guesses at leisure.
const leastPassphrase = 8

// passphrase reads a passphrase from a file of its owner's, or asks for it on
// the terminal; twice when it is a new one.
func (s *session) passphrase(file string, fresh bool) (string, error) {
	b, err := s.readPassphrase(file, fresh)
	if err != nil {
		return "", err
	}
	if len(b) == 0 || fresh && len(b) < leastPassphrase {
		return "", failf(exitError, "several words are easier to remember and harder to guess",
			"the passphrase has %d letters, at least %d are needed", len(b), leastPassphrase)
	}
	return string(b), nil
}

func (s *session) readPassphrase(file string, fresh bool) ([]byte, error) {
	if file != "" {
		b, err := configs.SecretFile(file).Read()
		if err != nil {
			return nil, failf(exitDenied, "", "passphrase: %w", err)
		}
		return bytes.TrimRight(b, "\r\n"), nil
	}
	f, ok := s.in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil, usagef("there is no terminal to ask for a passphrase: use --passphrase-file")
	}
	ask := func(prompt string) ([]byte, error) {
		fmt.Fprint(s.err, prompt)
		defer fmt.Fprintln(s.err)
		return term.ReadPassword(int(f.Fd()))
	}
	b, err := ask("passphrase: ")
	if err != nil || !fresh {
		return b, err
	}
	again, err := ask("once more: ")
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(b, again) {
		return nil, errors.New("the two passphrases differ")
	}
	return b, nil
}
