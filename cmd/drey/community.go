package main

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"

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

// ensureMembership reads the community, or founds one of one at first run.
func (h home) ensureMembership(who *mesh.Identity, name string) (*mesh.Membership, error) {
	m, err := h.readMembership()
	if !errors.Is(err, fs.ErrNotExist) {
		return m, err
	}
	m = found(who.Author.PubKey(), name)
	return m, h.writeMembership(m)
}

// found makes a new community with a secret of its own.
func found(founder mesh.PubKey, name string) *mesh.Membership {
	m := &mesh.Membership{Epochs: []mesh.Epoch{{}}}
	rand.Read(m.Nonce[:]) // never fails since Go 1.24
	rand.Read(m.Epochs[0].Secret[:])
	m.Community = mesh.Found(founder, name, m.Nonce)
	return m
}

// enterOpen makes a home belong to an open community: at first run, or in the
// place of a community that is the same one.
func (h home) enterOpen(name string) (*mesh.Membership, error) {
	if err := mesh.CheckName(name); err != nil {
		return nil, usagef("--open: %w", err)
	}
	m := openMembership(name)
	old, err := h.readMembership()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return m, h.writeMembership(m)
	case err != nil:
		return nil, err
	case old.Community.ID == m.Community.ID:
		return old, nil
	}
	return nil, failf(exitError, "use --home with another folder for it", "this node belongs to %s already, not to the open community %s", old.Community.Name, name)
}

// openMembership returns what belongs to an open community: id and secret
// follow from its name, so whoever knows the name belongs.
func openMembership(name string) *mesh.Membership {
	c := mesh.OpenCommunity(name)
	return &mesh.Membership{Community: c, Epochs: []mesh.Epoch{{Secret: openSecret(name)}}}
}

// errNoCommunity reports a home without a community, for commands that need
// one.
func errNoCommunity(h home) error {
	return failf(exitNotFound, "'drey up' founds one, 'drey join' joins one", "%s belongs to no community yet", h)
}

// openSecret derives the secret of an open community.
func openSecret(name string) mesh.Secret {
	return mesh.Secret(sha256.Sum256([]byte("drey/1/open-secret/" + name)))
}
