package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// Settings are the node's configuration as the page shows and changes it.
// Methods are safe for concurrent use.
type Settings interface {
	// Settings lists every key in the order of the file.
	Settings(ctx context.Context) (*SettingsList, error)
	// ChangeSettings checks a change as the file is checked, and unless it is a
	// preview writes it into the file and has it applied as SIGHUP does: when
	// Interrupts is set, the node's parts are made anew after the answer.
	ChangeSettings(ctx context.Context, c SettingsChange) (*SettingsChanged, error)
}

// SettingsList is the whole configuration.
type SettingsList struct {
	V        int       `json:"v"`
	File     string    `json:"file"` // where changes are written
	Sections []Section `json:"sections"`
}

// A Section is a group of settings.
type Section struct {
	Name     string    `json:"name"`
	Doc      string    `json:"doc"`
	Settings []Setting `json:"settings"`
}

// A Setting is one key of the configuration. Values are plain text: lists have
// an item on each line, tables the words of a row. Secrets are never among
// them, only the names of files that hold some.
type Setting struct {
	Key     string   `json:"key"`  // "web.listen"
	Kind    string   `json:"kind"` // "text", "flag", "number", "list", "table"
	Doc     string   `json:"doc"`
	Value   string   `json:"value"` // in force
	Default string   `json:"default"`
	Source  string   `json:"source"`          // "flag", "environment", "file", "default"
	Fixed   string   `json:"fixed,omitempty"` // what overrides the file, so that a change of it has no effect
	Live    bool     `json:"live"`            // applies without interrupting anything
	Choices []string `json:"choices,omitempty"`
	Columns []string `json:"columns,omitempty"` // of a table
}

// Name is the key without its section.
func (s Setting) Name() string { return s.Key[lastDot(s.Key)+1:] }

func lastDot(s string) int {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] == '.' {
			return i
		}
	}
	return -1
}

// A SettingsChange asks for other values.
type SettingsChange struct {
	Set     map[string]string `json:"set,omitempty"`   // by key
	Reset   []string          `json:"reset,omitempty"` // keys that take their defaults again
	Preview bool              `json:"preview,omitempty"`
}

// SettingsChanged tells what a change did, or would do.
type SettingsChanged struct {
	V          int                 `json:"v"`
	Done       bool                `json:"done"` // false for a preview, and where nothing was different
	Changes    []SettingDifference `json:"changes"`
	Interrupts bool                `json:"interrupts"` // the node's parts are made anew, which takes about a second
	File       string              `json:"file"`
}

// A SettingDifference is one value before and after.
type SettingDifference struct {
	Key  string `json:"key"`
	From string `json:"from"`
	To   string `json:"to"`
}

// CodeSettings is the code of settings that the file's own check refuses.
const CodeSettings = "settings"

func (s *Server) settings() (Settings, error) {
	if s.config.Settings == nil {
		return nil, NewError(CodeNotBuilt, "settings cannot be changed here", "this node was not started from a file of settings", "start it with 'drey up' or 'drey run'", nil)
	}
	return s.config.Settings, nil
}

func (s *Server) getSettings(w http.ResponseWriter, r *http.Request, _ caller) error {
	book, err := s.settings()
	if err != nil {
		return err
	}
	list, err := book.Settings(r.Context())
	if err != nil {
		return err
	}
	list.V = Version
	return sendJSON(w, http.StatusOK, list)
}

func (s *Server) postSettings(w http.ResponseWriter, r *http.Request, _ caller) error {
	var change SettingsChange
	if err := readJSON(w, r, &change); err != nil {
		return err
	}
	done, err := s.changeSettings(r.Context(), change)
	if err != nil {
		return err
	}
	return sendJSON(w, http.StatusOK, done)
}

func (s *Server) changeSettings(ctx context.Context, change SettingsChange) (*SettingsChanged, error) {
	book, err := s.settings()
	if err != nil {
		return nil, err
	}
	if len(change.Set)+len(change.Reset) == 0 {
		return nil, usage(errors.New(`body: "set" or "reset" is needed`))
	}
	for _, key := range change.Reset {
		if _, both := change.Set[key]; both {
			return nil, usage(fmt.Errorf("%.60q is both set and reset", key))
		}
	}
	done, err := book.ChangeSettings(ctx, change)
	if err != nil {
		return nil, err
	}
	done.V = Version
	if done.Changes == nil {
		done.Changes = []SettingDifference{}
	}
	return done, nil
}
