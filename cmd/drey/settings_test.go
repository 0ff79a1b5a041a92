package main

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"drey/configs"
	"drey/web"
)

// bookOf makes the settings of a home with a file, an environment and flags.
func bookOf(t *testing.T, file string, environ []string, f upFlags) *settings {
	t.Helper()
	h := home(t.TempDir())
	if file != "" {
		if err := os.WriteFile(h.config(), []byte(file), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return newSettings(&session{environ: environ}, h, f)
}

func find(t *testing.T, list *web.SettingsList, key string) web.Setting {
	t.Helper()
	for _, s := range list.Sections {
		for _, x := range s.Settings {
			if x.Key == key {
				return x
			}
		}
	}
	t.Fatalf("there is no setting %s", key)
	return web.Setting{}
}

// TestSettingsSources tells where each value comes from, and what a change of
// the file cannot reach.
func TestSettingsSources(t *testing.T) {
	book := bookOf(t, "[store]\nkeep_days = 30\n[log]\nlevel = \"info\"\n", []string{"DREY_LOG__LEVEL=debug", "PATH=/bin"}, upFlags{web: ":4000", noLAN: true})
	list, err := book.Settings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string][3]string{ // value, source, fixed
		"store.keep_days": {"30", configs.SourceFile, ""},
		"log.level":       {"debug", configs.SourceEnvironment, "DREY_LOG__LEVEL"},
		"web.listen":      {":4000", configs.SourceFlag, "the command line"},
		"overlay.lan":     {"false", configs.SourceFlag, "the command line"},
		"store.max_bytes": {"2GB", configs.SourceDefault, ""},
	} {
		x := find(t, list, key)
		if got := [3]string{x.Value, x.Source, x.Fixed}; got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
		if x.Doc == "" {
			t.Errorf("%s has no explanation", key)
		}
	}
	if list.File != book.file || len(list.Sections) < 6 {
		t.Errorf("%d sections in %s", len(list.Sections), list.File)
	}
}

// TestSettingsChange previews, refuses and makes changes.
func TestSettingsChange(t *testing.T) {
	const before = "# ours\n[store]\nkeep_days = 30 # a month\n"
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		name   string
		change web.SettingsChange
		want   string // the file afterwards
		error  string
	}{
		{"a preview", web.SettingsChange{Set: map[string]string{"store.keep_days": "7"}, Preview: true}, before, ""},
		{"a change", web.SettingsChange{Set: map[string]string{"store.keep_days": "7"}}, "# ours\n[store]\nkeep_days = 7 # a month\n", ""},
		{"a reset", web.SettingsChange{Reset: []string{"store.keep_days"}}, "# ours\n[store]\n", ""},
		{"out of range", web.SettingsChange{Set: map[string]string{"store.keep_days": "-7"}}, before, "store.keep_days: -7 is not between"},
		{"no number", web.SettingsChange{Set: map[string]string{"store.keep_days": "week"}}, before, "not a whole number"},
		{"an unknown key", web.SettingsChange{Set: map[string]string{"store.keep_day": "7"}}, before, "did you mean store.keep_days"},
		{"a port in use", web.SettingsChange{Set: map[string]string{"web.listen": taken.Addr().String()}}, before, "address already in use"},
		{"a secret that others can read", web.SettingsChange{Set: map[string]string{"overlay.peers_file": "/etc/passwd"}}, before, "can be read by others"},
		{"half a certificate", web.SettingsChange{Set: map[string]string{"web.tls_cert_file": "/etc/ssl/a.pem"}}, before, "a certificate needs its key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			book := bookOf(t, before, nil, upFlags{})
			done, err := book.ChangeSettings(t.Context(), c.change)
			if c.error != "" {
				var e *web.Error
				if !errors.As(err, &e) || e.Code != web.CodeSettings || !strings.Contains(e.Why, c.error) {
					t.Errorf("answers %v, want %q", err, c.error)
				}
			} else if err != nil {
				t.Fatal(err)
			} else if done.Done == c.change.Preview || len(done.Changes) != 1 || done.Changes[0].From != "30" || !done.Interrupts {
				t.Errorf("done %+v", done)
			}
			got, err := os.ReadFile(book.file)
			if err != nil || string(got) != c.want {
				t.Errorf("the file holds %q, %v, want %q", got, err, c.want)
			}
			if info, err := os.Stat(book.file); err != nil || info.Mode().Perm() != 0o644 {
				t.Errorf("its mode is %v, %v", info.Mode(), err)
			}
			if told := len(book.changed) == 1; told != (c.error == "" && !c.change.Preview) {
				t.Errorf("the node is told to read it again: %v", told)
			}
		})
	}
	t.Run("where there is no file", func(t *testing.T) {
		book := bookOf(t, "", nil, upFlags{})
		if _, err := book.ChangeSettings(t.Context(), web.SettingsChange{Set: map[string]string{"log.level": "info"}}); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(book.file)
		if info, _ := os.Stat(book.file); err != nil || string(got) != "[log]\nlevel = \"info\"\n" || info.Mode().Perm() != 0o600 {
			t.Errorf("the file holds %q, %v, %v", got, err, info.Mode())
		}
	})
	t.Run("a link", func(t *testing.T) {
		book := bookOf(t, "", nil, upFlags{})
		if err := os.Symlink(filepath.Join(t.TempDir(), "elsewhere.toml"), book.file); err != nil {
			t.Fatal(err)
		}
		if _, err := book.ChangeSettings(t.Context(), web.SettingsChange{Set: map[string]string{"log.level": "info"}}); err == nil {
			t.Error("what a link leads to was replaced")
		}
	})
}
