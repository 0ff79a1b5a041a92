package main

import (
	"errors"
	"io/fs"
	"os"

	"drey/bootstrap"
	"drey/mesh"
)

// readMembership reads which community a home belongs to; fs.ErrNotExist when
// it belongs to none yet. The file holds a secret, but one that lets nobody
// in, so that a wrong mode is mended and not refused.
func (h home) readMembership() (*mesh.Membership, error) {
	b, err := os.ReadFile(h.community())
	if err != nil {
		return nil, err
	}
	m, err := mesh.ParseMembership(b)
	if err != nil {
		return nil, failf(exitError, "restore the file from a backup; without it the next start founds a new community", "%s: %w", h.community(), err)
	}
	os.Chmod(h.community(), 0o600)
	return m, nil
}

func (h home) writeMembership(m *mesh.Membership) error {
	b, err := m.Marshal()
	if err != nil {
		return err
	}
	if err := writeFile(h.community(), b, 0o600, true); err != nil {
		return homeFault(h, err)
	}
	return nil
}

// enterOpen makes a home belong to an open community: at first run, or in the
// place of a community that is the same one.
func (h home) enterOpen(name string) error {
	m, err := bootstrap.Open(name)
	if err != nil {
		return usagef("--open: %w", err)
	}
	old, err := h.readMembership()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return h.writeMembership(m)
	case err != nil:
		return err
	case old.Community.ID == m.Community.ID:
		return nil
	}
	return failf(exitError, "use --home with another folder for it", "this node belongs to %s already, not to the open community %s", old.Community.Name, name)
}
