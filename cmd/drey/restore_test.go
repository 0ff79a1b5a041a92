package main

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"

	"drey/mesh"
)

// tarOf makes an archive of names and contents, in turn.
func tarOf(t testing.TB, pairs ...string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(pairs); i += 2 {
		if err := w.WriteHeader(&tar.Header{Name: pairs[i], Mode: 0o600, Size: int64(len(pairs[i+1]))}); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, pairs[i+1])
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestUnpackTakesOnlyWhatBelongsInABackup(t *testing.T) {
	seed := string(formatSeed(mesh.Seed{1}))
	for _, tt := range []struct {
		name  string
		files []string
		good  bool
	}{
		{"whole", []string{manifestName, `{"v":1,"files":["identity"]}`, "identity", seed}, true},
		{"without a manifest", []string{"identity", seed}, false},
		{"of another version", []string{manifestName, `{"v":2}`, "identity", seed}, false},
		{"cut off", []string{manifestName, `{"v":1,"files":["identity","community.json"]}`, "identity", seed}, false},
		{"a path that leads out", []string{manifestName, `{"v":1}`, "../identity", seed}, false},
		{"a file of its own", []string{manifestName, `{"v":1}`, "identity", seed, "authorized_keys", "x"}, false},
		{"one file twice", []string{manifestName, `{"v":1}`, "identity", seed, "identity", seed}, false},
		{"no identity", []string{manifestName, `{"v":1,"files":[]}`}, false},
		{"a bad identity", []string{manifestName, `{"v":1}`, "identity", "drey-seed-1 12"}, false},
		{"too large a file", []string{manifestName, `{"v":1}`, "identity", string(make([]byte, maxSmall+1))}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			stage := t.TempDir()
			_, err := unpack(tar.NewReader(bytes.NewReader(tarOf(t, tt.files...))), stage)
			if (err == nil) != tt.good {
				t.Errorf("got %v, want good: %v", err, tt.good)
			}
			outside, _ := os.ReadDir(filepath.Dir(stage))
			for _, e := range outside {
				if e.Name() == "identity" {
					t.Error("a file was written outside of the stage")
				}
			}
		})
	}
}

// TestBackupIsPlainAge shows that a backup opens with age and a passphrase
// alone, without drey.
func TestBackupIsPlainAge(t *testing.T) {
	name := filepath.Join(t.TempDir(), "identity")
	if err := os.WriteFile(name, formatSeed(mesh.Seed{7}), 0o600); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := writeBackup(&b, []string{name}, "correct horse", 10); err != nil {
		t.Fatal(err)
	}
	identity, err := age.NewScryptIdentity("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	opened, err := age.Decrypt(&b, identity)
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := zstd.NewReader(opened)
	if err != nil {
		t.Fatal(err)
	}
	defer unpacked.Close()
	m, err := unpack(tar.NewReader(unpacked), t.TempDir())
	if err != nil || len(m.Files) != 1 || m.Files[0] != "identity" {
		t.Errorf("unpacked %+v, %v", m, err)
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(tarOf(f, manifestName, `{"v":1,"files":["identity"]}`, "identity", string(formatSeed(mesh.Seed{1}))))
	f.Add(tarOf(f, "../x", "y"))
	f.Add([]byte("no tar"))
	f.Fuzz(func(t *testing.T, b []byte) {
		stage := t.TempDir()
		m, err := unpack(tar.NewReader(bytes.NewReader(b)), stage)
		if err != nil {
			return
		}
		if _, err := os.Stat(filepath.Join(stage, "identity")); err != nil {
			t.Errorf("%+v was taken without an identity: %v", m, err)
		}
	})
}
