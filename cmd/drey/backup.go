package main

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
	"github.com/spf13/cobra"
	_ "modernc.org/sqlite"
)

// A backup is one file: a tar archive, compressed with zstd, encrypted by age
// with a passphrase. It begins with manifest.json and holds the identity, the
// community, the configuration and a snapshot of the store.
const (
	backupVersion  = 1
	manifestName   = "manifest.json"
	backupWork     = 16      // scrypt with 2^16 rounds takes 64 MB: a small machine has 512
	backupWorkMost = 20      // what restore will spend at most: 1 GB
	maxSmall       = 1 << 20 // bytes of any file in a backup but the store
)

// backupNames are the files that a backup may hold.
var backupNames = regexp.MustCompile(`^(identity|name|community\.json|drey\.toml|events-[0-9a-f]{16}\.db)$`)

// A manifest heads a backup: what is in it, and of whom.
type manifest struct {
	V       int       `json:"v"`
	Made    time.Time `json:"made"`
	Version string    `json:"version"`
	Files   []string  `json:"files"`
}

func (s *session) backupCommand() *cobra.Command {
	passFile := ""
	c := &cobra.Command{
		Use:   "backup FILE",
		Short: "write everything this node is into one encrypted file",
		Long: "backup writes everything that makes this node into one file, encrypted with a\n" +
			"passphrase (age, so that 'age -d' opens it too). The node may go on running.",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			h, err := s.home()
			if err != nil {
				return err
			}
			if _, err := h.readSeed(); errors.Is(err, fs.ErrNotExist) {
				return failf(exitNotFound, "'drey up' makes one", "there is no node in %s", h)
			} else if err != nil {
				return err
			}
			if _, err := os.Lstat(args[0]); err == nil {
				return failf(exitError, "name a new file; a good backup is not overwritten", "%s is there already", args[0])
			}
			pass, err := s.passphrase(passFile, true)
			if err != nil {
				return err
			}
			return s.backup(c.Context(), h, args[0], pass)
		},
	}
	c.Flags().StringVar(&passFile, "passphrase-file", "", "file that holds the passphrase, for its owner only")
	return c
}

func (s *session) backup(ctx context.Context, h home, name, pass string) error {
	began := time.Now()
	stage, err := os.MkdirTemp(string(h), ".backup-")
	if err != nil {
		return homeFault(h, err)
	}
	defer os.RemoveAll(stage)
	files, err := h.snapshot(ctx, stage)
	if err != nil {
		return err
	}
	out, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	if err := writeBackup(out, files, pass, backupWork); err != nil {
		return err
	}
	if err := out.Sync(); err != nil {
		return err
	}
	info, err := out.Stat()
	if err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	if err := os.Link(out.Name(), name); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(name)); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "%s: %s, %s\n", name, count(len(files), "file"), size(info.Size()))
	fmt.Fprintf(s.err, "done in %s; try it: drey restore %s --home FOLDER\n", short(time.Since(began)), name)
	return nil
}

// snapshot gathers the files of a backup. The stores are copied into stage by
// SQLite itself, so that a running node may go on writing.
func (h home) snapshot(ctx context.Context, stage string) ([]string, error) {
	files := []string{h.identity()}
	for _, name := range []string{h.path("name"), h.community(), h.config()} {
		if _, err := os.Stat(name); err == nil {
			files = append(files, name)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	stores, err := filepath.Glob(h.store("*"))
	if err != nil {
		return nil, err
	}
	release, err := h.lock()
	if err == nil {
		defer release()
	} else if !h.running() {
		return nil, err
	}
	live := ""
	if m, err := h.readMembership(); err == nil && release == nil {
		live = h.store(m.Community.Tag())
	}
	for _, name := range stores {
		copied := filepath.Join(stage, filepath.Base(name))
		copyOne := func() error { return copyStore(ctx, name, copied) }
		if name == live {
			copyOne = func() error { return h.fetchSnapshot(ctx, copied) }
		}
		if err := copyOne(); err != nil {
			return nil, fmt.Errorf("copy %s: %w", name, err)
		}
		files = append(files, copied)
	}
	return files, nil
}

func writeBackup(w io.Writer, files []string, pass string, work int) error {
	recipient, err := age.NewScryptRecipient(pass)
	if err != nil {
		return err
	}
	recipient.SetWorkFactor(work)
	sealed, err := age.Encrypt(w, recipient)
	if err != nil {
		return err
	}
	packed, err := zstd.NewWriter(sealed, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	t := tar.NewWriter(packed)
	m := manifest{V: backupVersion, Made: time.Now().UTC().Truncate(time.Second), Version: release}
	for _, f := range files {
		m.Files = append(m.Files, filepath.Base(f))
	}
	head, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := t.WriteHeader(&tar.Header{Name: manifestName, Mode: 0o600, Size: int64(len(head)), ModTime: m.Made}); err != nil {
		return err
	}
	if _, err := t.Write(head); err != nil {
		return err
	}
	for _, f := range files {
		if err := addFile(t, f, m.Made); err != nil {
			return err
		}
	}
	return errors.Join(t.Close(), packed.Close(), sealed.Close())
}

func addFile(t *tar.Writer, name string, made time.Time) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := t.WriteHeader(&tar.Header{Name: filepath.Base(name), Mode: 0o600, Size: info.Size(), ModTime: made}); err != nil {
		return err
	}
	_, err = io.CopyN(t, f, info.Size())
	return err
}
