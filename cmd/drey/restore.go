package main

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
	"github.com/spf13/cobra"
)

func (s *session) restoreCommand() *cobra.Command {
	passFile := ""
	c := &cobra.Command{
		Use:   "restore FILE",
		Short: "make a node of a backup, in a home that is empty",
		Long: "restore writes a backup's node into an empty home. One identity may live on one\n" +
			"machine only: at its first start the node asks its neighbours whether the other\n" +
			"one is still online, and refuses to start if it is.",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			h, err := s.home()
			if err != nil {
				return err
			}
			if err := h.empty(); err != nil {
				return err
			}
			f, err := os.Open(args[0])
			if err != nil {
				return failf(exitNotFound, "", "%w", err)
			}
			defer f.Close()
			pass, err := s.passphrase(passFile, false)
			if err != nil {
				return err
			}
			return s.restore(h, f, args[0], pass)
		},
	}
	c.Flags().StringVar(&passFile, "passphrase-file", "", "file that holds the passphrase, for its owner only")
	return c
}

// empty refuses a home in which a node lives or has lived.
func (h home) empty() error {
	entries, err := os.ReadDir(string(h))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return homeFault(h, err)
	}
	for _, e := range entries {
		if backupNames.MatchString(e.Name()) {
			return failf(exitError, "use --home with an empty folder, or move this one away first",
				"%s holds a node already (%s): a restore does not overwrite", h, e.Name())
		}
	}
	return nil
}

func (s *session) restore(h home, r io.Reader, name, pass string) error {
	identity, err := age.NewScryptIdentity(pass)
	if err != nil {
		return err
	}
	identity.SetMaxWorkFactor(backupWorkMost)
	opened, err := age.Decrypt(r, identity)
	if errors.As(err, new(*age.NoIdentityMatchError)) {
		return failf(exitDenied, "", "%s: the passphrase is wrong, or this is not a backup made with one", name)
	}
	if err != nil {
		return fmt.Errorf("%s is not a backup: %w", name, err)
	}
	unpacked, err := zstd.NewReader(opened, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return err
	}
	defer unpacked.Close()
	if err := h.create(); err != nil {
		return err
	}
	release, err := h.lock()
	if err != nil {
		return err
	}
	defer release()
	stage, err := os.MkdirTemp(string(h), ".restore-")
	if err != nil {
		return homeFault(h, err)
	}
	defer os.RemoveAll(stage)
	m, err := unpack(tar.NewReader(unpacked), stage)
	if err != nil {
		return fmt.Errorf("%s: %w; nothing was restored", name, err)
	}
	if err := h.settle(stage, m); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "restored into %s: %s, made %s\n", h, strings.Join(m.Files, ", "), m.Made.Local().Format("2006-01-02 15:04"))
	fmt.Fprintln(s.err, "switch the old machine off for good before 'drey up': one identity may live on one machine only")
	return nil
}

// unpack writes a backup's files into stage, and checks that what the manifest
// promises is there.
func unpack(t *tar.Reader, stage string) (manifest, error) {
	var m manifest
	got := map[string]bool{}
	for {
		head, err := t.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return m, err
		}
		if head.Name == manifestName {
			if err := json.NewDecoder(io.LimitReader(t, maxSmall)).Decode(&m); err != nil {
				return m, fmt.Errorf("%s: %w", manifestName, err)
			}
			if m.V != backupVersion {
				return m, fmt.Errorf("a backup of version %d; this drey knows %d", m.V, backupVersion)
			}
			continue
		}
		if m.V == 0 || !backupNames.MatchString(head.Name) || head.Typeflag != tar.TypeReg || got[head.Name] {
			return m, fmt.Errorf("a file %.80q does not belong in a backup", head.Name)
		}
		if !strings.HasSuffix(head.Name, ".db") && head.Size > maxSmall {
			return m, fmt.Errorf("%s has %d bytes, limit %d", head.Name, head.Size, maxSmall)
		}
		if err := writeNew(filepath.Join(stage, head.Name), t); err != nil {
			return m, err
		}
		got[head.Name] = true
	}
	for _, name := range m.Files {
		if !got[name] {
			return m, fmt.Errorf("%s is missing: the backup is cut off", name)
		}
	}
	if !got["identity"] {
		return m, errors.New("there is no identity in it")
	}
	b, err := os.ReadFile(filepath.Join(stage, "identity"))
	if err != nil {
		return m, err
	}
	_, err = parseSeed(b)
	return m, err
}

func writeNew(name string, r io.Reader) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.Copy(f, r); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

// settle moves the files into the home, the identity last: a restore that is
// cut short leaves no node behind. The mark makes the next start look for a
// twin.
func (h home) settle(stage string, m manifest) error {
	if err := h.markCopied(); err != nil {
		return err
	}
	for _, name := range append(without(m.Files, "identity"), "identity") {
		if err := os.Link(filepath.Join(stage, name), h.path(name)); err != nil {
			return fmt.Errorf("restore %s: %w", name, err)
		}
	}
	return syncDir(string(h))
}

func without(names []string, name string) []string {
	var rest []string
	for _, n := range names {
		if n != name {
			rest = append(rest, n)
		}
	}
	return rest
}
