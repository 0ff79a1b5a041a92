package main

import (
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"strings"

	"drey/mesh"
)

// The identity file holds one comment and the seed in hexadecimal:
//
//	# the secret of this node: whoever has it can speak as this node
//	drey-seed-1 6f1c…
const (
	identityHead = "# the secret of this node: whoever has it can speak as this node\n"
	seedWord     = "drey-seed-1 "
)

// formatSeed writes an identity file's content.
func formatSeed(s mesh.Seed) []byte {
	return []byte(identityHead + seedWord + hex.EncodeToString(s[:]) + "\n")
}

// parseSeed reads an identity file's content.
func parseSeed(b []byte) (mesh.Seed, error) {
	var seed mesh.Seed
	found := false
	for line := range strings.Lines(string(b)) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		digits, ok := strings.CutPrefix(line, seedWord)
		if !ok || found || hex.DecodedLen(len(digits)) != len(seed) {
			return mesh.Seed{}, errors.New("not an identity file: one line 'drey-seed-1' with 64 hexadecimal digits is wanted")
		}
		if n, err := hex.Decode(seed[:], []byte(digits)); err != nil || n != len(seed) {
			return mesh.Seed{}, errors.New("not an identity file: the seed is not hexadecimal")
		}
		found = true
	}
	if !found {
		return mesh.Seed{}, errors.New("not an identity file: there is no seed in it")
	}
	return seed, nil
}

// readSeed reads the identity of a home. It refuses one that others can read:
// they may have copied it already.
func (h home) readSeed() (mesh.Seed, error) {
	f, err := os.Open(h.identity())
	if err != nil {
		return mesh.Seed{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return mesh.Seed{}, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return mesh.Seed{}, failf(exitDenied, "chmod 600 "+h.identity(), "identity %s is readable by others (mode %04o)", h.identity(), info.Mode().Perm())
	}
	b := make([]byte, 1024)
	n, _ := f.Read(b)
	seed, err := parseSeed(b[:n])
	if err != nil {
		return mesh.Seed{}, failf(exitError, "bring it back with 'drey restore'; without a backup, move it away and the node begins as a new one", "%s: %w", h.identity(), err)
	}
	return seed, nil
}

// ensureSeed reads the identity, or draws one at first run.
func (h home) ensureSeed() (seed mesh.Seed, first bool, err error) {
	seed, err = h.readSeed()
	if !errors.Is(err, fs.ErrNotExist) {
		return seed, false, err
	}
	seed = mesh.NewSeed()
	if err := writeFile(h.identity(), formatSeed(seed), 0o600, false); err != nil {
		return mesh.Seed{}, false, homeFault(h, err)
	}
	return seed, true, nil
}
