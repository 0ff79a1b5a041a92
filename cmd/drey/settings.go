package main

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"sync"

	"drey/configs"
	"drey/web"
)

// settings are the configuration as the page shows and changes it: the file,
// with what the environment and the command line put over it.
type settings struct {
	home    home
	file    string // where changes are written
	environ []string
	flags   func(*configs.Config) // puts the command line over it
	changed chan struct{}         // holds one: the file is to be read again

	writing sync.Mutex
}

func newSettings(s *session, h home, f upFlags) *settings {
	file := f.config
	if file == "" {
		file = h.config()
	}
	return &settings{home: h, file: file, environ: s.environ, flags: f.apply, changed: make(chan struct{}, 1)}
}

// forPage returns what package web wants; nil where there are no settings.
func (s *settings) forPage() web.Settings {
	if s == nil {
		return nil
	}
	return s
}

// text reads the file; one that is not there yet is empty.
func (s *settings) text() ([]byte, error) {
	b, err := os.ReadFile(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

// parse reads a file's text as the start of a node does.
func (s *settings) parse(text []byte) (configs.Config, error) {
	c, err := configs.Parse(s.file, text, s.environ)
	if err != nil {
		return configs.Config{}, err
	}
	s.flags(&c)
	return c, c.Validate()
}

// Settings lists every key.
func (s *settings) Settings(context.Context) (*web.SettingsList, error) {
	text, err := s.text()
	if err != nil {
		return nil, err
	}
	c, err := s.parse(text)
	if err != nil {
		return nil, s.refused(err)
	}
	from := configs.Sources(text, s.environ)
	byFlag := s.flagged(text)
	list := &web.SettingsList{File: s.file}
	for _, d := range configs.Describe() {
		if n := len(list.Sections); n == 0 || list.Sections[n-1].Name != d.Section {
			list.Sections = append(list.Sections, web.Section{Name: d.Section, Doc: configs.SectionDoc(d.Section)})
		}
		x := web.Setting{Key: d.Path(), Kind: d.Kind, Doc: d.Doc, Default: d.Default, Live: d.Live, Choices: d.Choices, Columns: d.Columns, Source: configs.SourceDefault}
		x.Value, _ = c.Text(x.Key)
		if source, ok := from[x.Key]; ok {
			x.Source = source
		}
		if x.Source == configs.SourceEnvironment {
			x.Fixed = "DREY_" + strings.ToUpper(d.Section+"__"+d.Name)
		}
		if slices.Contains(byFlag, x.Key) {
			x.Source, x.Fixed = configs.SourceFlag, "the command line"
		}
		last := &list.Sections[len(list.Sections)-1]
		last.Settings = append(last.Settings, x)
	}
	return list, nil
}

// flagged lists the keys that the command line decides.
func (s *settings) flagged(text []byte) []string {
	var keys []string
	for _, base := range []func() (configs.Config, error){
		func() (configs.Config, error) { return configs.Parse(s.file, text, s.environ) },
		func() (configs.Config, error) { return odd(), nil }, // also where the file says the same
	} {
		before, err := base()
		if err != nil {
			continue
		}
		after := before
		s.flags(&after)
		changed, _ := configs.Changed(before, after)
		keys = append(keys, changed...)
	}
	return keys
}

// odd is a configuration that no flag asks for.
func odd() configs.Config {
	c := configs.Default()
	c.Node.Name, c.Web.Listen, c.Radio.Device, c.Overlay.Listen = "\x00", "\x00", "\x00", []string{"\x00"}
	return c
}

// ChangeSettings checks a change and writes it into the file.
func (s *settings) ChangeSettings(_ context.Context, change web.SettingsChange) (*web.SettingsChanged, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	text, err := s.text()
	if err != nil {
		return nil, err
	}
	before, err := s.parse(text)
	if err != nil {
		return nil, s.refused(err)
	}
	next, err := configs.Edit(text, change.Set, change.Reset)
	if err != nil {
		return nil, s.refused(err)
	}
	after, err := s.parse(next)
	if err != nil {
		return nil, s.refused(err)
	}
	if err := canListen(before.Web.Listen, after.Web.Listen); err != nil {
		return nil, s.refused(err)
	}
	keys, live := configs.Changed(before, after)
	done := &web.SettingsChanged{Interrupts: !live, File: s.file}
	for _, k := range keys {
		was, _ := before.Text(k)
		is, _ := after.Text(k)
		done.Changes = append(done.Changes, web.SettingDifference{Key: k, From: was, To: is})
	}
	if change.Preview || string(next) == string(text) {
		return done, nil
	}
	mode := fs.FileMode(0o600)
	if info, err := os.Stat(s.file); err == nil {
		mode = info.Mode().Perm()
	}
	path := s.file
	if real, err := os.Readlink(path); err == nil && real != "" {
		return nil, s.refused(errors.New(path + " is a link to " + real + ": change that file with an editor"))
	}
	if err := writeFile(path, next, mode, true); err != nil {
		return nil, s.refused(err)
	}
	done.Done = true
	select {
	case s.changed <- struct{}{}:
	default: // it is to be read again already
	}
	return done, nil
}

// refused tells why a change cannot be made.
func (s *settings) refused(err error) error {
	return web.NewError(web.CodeSettings, "these settings cannot be used", err.Error(), "nothing was changed; see 'drey config example' for what each setting takes", err)
}

// canListen tries a new address of the page: a node that cannot take it would
// not come back, and there would be no page to mend it from.
func canListen(had, wanted string) error {
	if had == wanted || wanted == "none" {
		return nil
	}
	_, hadPort, _ := net.SplitHostPort(had)
	if _, port, err := net.SplitHostPort(wanted); err == nil && port == hadPort {
		return nil // this node has the port itself now
	}
	l, err := net.Listen("tcp", wanted)
	if err != nil {
		return err
	}
	return l.Close()
}
