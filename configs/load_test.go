package configs

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func write(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "drey.toml")
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestDefaultIsValidAndNeedsNoFile(t *testing.T) {
	c, err := Load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(c, Default()) {
		t.Errorf("Load without a file gave\n%s", c.TOML())
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

func TestLoadNamesTheFault(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		want       []string // each must be in the error
	}{
		{"unknown key", "[web]\nlisten = \":1\"\nlisen = \":2\"\n", []string{"drey.toml:3: unknown key web.lisen, did you mean web.listen?"}},
		{"wrong section", "[node]\nlan = true\n", []string{"drey.toml:2: unknown key node.lan, did you mean overlay.lan?"}},
		{"unknown section", "[zzzzzzzzzzzz]\nq = 1\n", []string{"drey.toml:1: unknown key zzzzzzzzzzzz", "the sections are node, web, overlay, bootstrap, store, radio, nostr, log"}},
		{"swapped letters", "[stroe]\nkeep_days = 3\n", []string{":1: unknown key stroe, did you mean store?"}},
		{"in a table", "[[radio.topic]]\ntopic = \"a\"\nchanel = 1\n", []string{"drey.toml:3: unknown key radio.topic.chanel, did you mean radio.topic.channel?"}},
		{"two unknown keys", "[web]\nlisen = 1\n[overlay]\npers = []\n", []string{":2: unknown key web.lisen", ":4: unknown key overlay.pers, did you mean overlay.peers?"}},
		{"wrong type", "[web]\nlisten = 3739\n", []string{"drey.toml:2:10: web.listen: this is a number, the key needs a text in quotes", "2| listen = 3739\n |          ~~~~"}},
		{"text for a number", "[[radio.topic]]\ntopic = \"a\"\nchannel = \"1\"\n", []string{"drey.toml:3:11: radio.topic.channel: this is a text, the key needs a whole number, without quotes"}},
		{"size without unit", "[store]\nmax_bytes = \"2\"\n", []string{"drey.toml:2:", "store.max_bytes", "such as 500MB"}},
		{"size as bytes", "[store]\nmax_bytes = 2000\n", []string{"store.max_bytes: 2kB is less than 10MB"}},
		{"twice", "[web]\nlisten = \":1\"\nlisten = \":2\"\n", []string{"drey.toml:3:", "listen"}},
		{"not TOML", "web:\n  listen: 3\n", []string{"drey.toml:1:"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Load(write(t, tt.file), nil)
			if err == nil {
				err = c.Validate()
			}
			if err == nil {
				t.Fatalf("%q was taken as\n%s", tt.file, c.TOML())
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q gave %q, want %q in it", tt.file, err, w)
				}
			}
		})
	}
}

// One fault hides no other: of type, of name, of what a value may be, and of the
// environment.
func TestAllFaultsOfAFileAreTold(t *testing.T) {
	name := write(t, "[web]\nlisten = 3739\nlisen = \":1\"\n[overlay]\npeers = [\n  \"tls://a:1\",\n  7,\n]\n[store]\nmax_bytes = \"1B\"\nkeep_days = \"x\"\n[radio]\ndevice = \"tty\"\n")
	_, err := Load(name, []string{"DREY_OVERLAY__LAN=perhaps"})
	if err == nil {
		t.Fatal("the file was taken")
	}
	for _, w := range []string{":2:10: web.listen: this is a number", ":3: unknown key web.lisen", ":7:3: overlay.peers: ", ":11:13: store.keep_days: this is a text",
		"store.max_bytes: 1B is less", "radio.device: ", `DREY_OVERLAY__LAN: "perhaps"`} {
		if strings.Count(err.Error(), w) != 1 {
			t.Errorf("%q is not told once in\n%v", w, err)
		}
	}
	// An entry whose topic is of a wrong type has no empty one, and each fault
	// shows the file as it is.
	_, err = Load(write(t, "[[radio.topic]]\ntopic = 5\nchannel = \"0\"\n"), nil)
	if err == nil || strings.Contains(err.Error(), "radio.topic[0]") || strings.Count(err.Error(), "2| topic = 5\n") != 2 {
		t.Errorf("an entry with two faults gave %v", err)
	}
	// Where the form itself is broken, what comes behind it is not judged.
	_, err = Load(write(t, "[radio]\ndevice = \"tty\"\nshare = 7\n[store\nmax_bytes = 5\n"), nil)
	if err == nil || strings.Contains(err.Error(), "max_bytes: ") || strings.Contains(err.Error(), "radio.device") {
		t.Errorf("half a file gave %v", err)
	}
	// Nobody reads a thousand faults.
	_, err = Load(write(t, strings.Repeat("[[radio.topic]]\nchannel = \"1\"\n", 1000)), nil)
	if n := strings.Count(err.Error(), "radio.topic.channel"); n != maxFaults {
		t.Errorf("%d faults were told, want %d", n, maxFaults)
	}
}

func TestEnvironmentBeatsFile(t *testing.T) {
	name := write(t, "[web]\nlisten = \":1\"\n[store]\nkeep_days = 3\n")
	c, err := Load(name, []string{"DREY_WEB__LISTEN=:2", "DREY_OVERLAY__PEERS=tls://a:1, tls://b:2", "DREY_OVERLAY__LAN=false",
		"DREY_STORE__MAX_BYTES=1GiB", "DREY_HOME=/x", "HOME=/y", "DREY_RADIO__DEVICE=none"})
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Web.Listen = ":2"
	want.Store.KeepDays = 3
	want.Store.MaxBytes = 1 << 30
	want.Overlay.Peers = []string{"tls://a:1", "tls://b:2"}
	want.Overlay.LAN = false
	want.Radio.Device = "none"
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got\n%s\nwant\n%s", c.TOML(), want.TOML())
	}
	_, err = Load("", []string{"DREY_WEB__LISEN=:2", "DREY_OVERLAY__LAN=perhaps", "DREY_RADIO__TOPIC=x"})
	for _, w := range []string{"environment DREY_WEB__LISEN: unknown key web.lisen, did you mean web.listen?", `DREY_OVERLAY__LAN: "perhaps"`, "DREY_RADIO__TOPIC: can only stand in a file"} {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("got %v, want %q in it", err, w)
		}
	}
}

func TestValidateTellsAllFaultsAtOnce(t *testing.T) {
	c := Default()
	c.Node.Name = "a\x00b"
	c.Web.Listen = "3739"
	c.Web.GuestTopics = []string{"commons", "Town"}
	c.Web.Hosts = []string{"http://x"}
	c.Overlay.Listen = []string{"tls://[::]"}
	c.Overlay.Peers = []string{"tls://[::1]:70000", "tls://a:1?password=hunter2", "gopher://a:1", "tls://a:1?key=12"}
	c.Store = Store{MaxBytes: 5, KeepDays: -1}
	c.Radio.Device = "tty"
	c.Radio.Topics = []RadioTopic{{"alerts", 9, "text"}, {"a", 1, "text"}, {"b", 1, "speech"}}
	c.Log.Level = "loud"
	err := c.Validate()
	want := []string{"node.name", "web.listen", "web.guest_topics[1]", "web.hosts[0]", "overlay.listen[0]", "overlay.peers[0]",
		"overlay.peers[1]", "overlay.peers[2]", "overlay.peers[3]", "store.max_bytes", "store.keep_days", "radio.device",
		"radio.topic[0].channel", "radio.topic[2].channel", "radio.topic[2].form", "log.level"}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("got %v, want joined errors", err)
	}
	var got []string
	for _, e := range joined.Unwrap() {
		path, _, _ := strings.Cut(e.Error(), ": ")
		got = append(got, path)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("faults at\n%q\nwant\n%q", got, want)
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error tells a password: %v", err)
	}
}

func TestSecretsThatOthersCanReadAreRefused(t *testing.T) {
	name := filepath.Join(t.TempDir(), "peers")
	if err := os.WriteFile(name, []byte("# ours\ntls://a:1?password=x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := Default()
	c.Overlay.PeersFile = SecretFile(name)
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	peers, err := c.Overlay.PeerURIs()
	if err != nil || !reflect.DeepEqual(peers, []string{"tls://a:1?password=x"}) {
		t.Errorf("got %q, %v", peers, err)
	}
	if err := os.Chmod(name, 0o640); err != nil {
		t.Fatal(err)
	}
	err = c.Validate()
	if err == nil || !strings.Contains(err.Error(), "overlay.peers_file") || !strings.Contains(err.Error(), "chmod 600 "+name) {
		t.Errorf("a file of mode 0640 gave %v", err)
	}
	if _, err := c.Overlay.PeerURIs(); err == nil {
		t.Error("a file of mode 0640 was read")
	}
	c.Overlay.PeersFile = SecretFile(filepath.Join(t.TempDir(), "none"))
	if err := c.Validate(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file gave %v", err)
	}
}

func TestChangedTellsWhatAppliesLive(t *testing.T) {
	a, b := Default(), Default()
	b.Overlay.Peers = []string{"tls://a:1"}
	b.Log.Level = "debug"
	if paths, live := Changed(a, b); !live || !reflect.DeepEqual(paths, []string{"overlay.peers", "log.level"}) {
		t.Errorf("got %q, live %v", paths, live)
	}
	b.Web.Listen = ":1"
	if paths, live := Changed(a, b); live || len(paths) != 3 {
		t.Errorf("got %q, live %v", paths, live)
	}
	if paths, live := Changed(a, a); !live || paths != nil {
		t.Errorf("got %q, live %v", paths, live)
	}
}

func TestTOMLReadsBack(t *testing.T) {
	for _, r := range Roles() {
		c := r.Config()
		c.Node.Name = `quotes "double" and 'single', back\slash, ü`
		got := Default()
		if _, err := parse(&got, "x", c.TOML()); err != nil {
			t.Fatalf("%s:\n%s\n%v", r.Name, c.TOML(), err)
		}
		if !reflect.DeepEqual(got, c) {
			t.Errorf("%s: wrote\n%s\nread\n%s", r.Name, c.TOML(), got.TOML())
		}
	}
}

func TestSizesAndDurations(t *testing.T) {
	for s, want := range map[string]Size{"2GB": 2e9, "1.5MB": 15e5, "10 MiB": 10 << 20, "7B": 7, "0B": 0} {
		if got, err := ParseSize(s); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v, want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "2", "GB", "-1GB", "1e3GB", "9999999999TB", "1.2.3MB", "NaNB", "0x1B"} {
		if got, err := ParseSize(s); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", s, got)
		}
	}
	for _, s := range []string{"7d", "90s", "1h30m0s"} {
		if _, err := ParseDuration(s); err != nil {
			t.Errorf("ParseDuration(%q): %v", s, err)
		}
	}
	for _, s := range []string{"", "7", "-1s", "1.5d", "d"} {
		if got, err := ParseDuration(s); err == nil {
			t.Errorf("ParseDuration(%q) = %v, want an error", s, got)
		}
	}
}

// FuzzLoad checks that no file makes the reader fall over, and that what it
// takes is written back as the same configuration.
func FuzzLoad(f *testing.F) {
	for _, r := range Roles() {
		b, err := Example(r.Name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("[web]\nlisen = 1\n[[radio.topic]]\nchannel = 99\n"))
	f.Add([]byte("[store]\nmax_bytes = \"9e99GB\"\n"))
	f.Add([]byte("\ufeff[node]\nname = '''\n'''"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := Default()
		if _, err := parse(&c, "fuzz", b); err != nil {
			if err.Error() == "" {
				t.Error("an empty error")
			}
			return
		}
		if err := c.Validate(); err != nil && c.locate(err, "fuzz", b, nil) == nil {
			t.Errorf("%v was located as no fault", err)
		}
		again := Default()
		if _, err := parse(&again, "again", c.TOML()); err != nil {
			t.Fatalf("%q was written back as\n%s\n%v", b, c.TOML(), err)
		}
		if !reflect.DeepEqual(again, c) {
			t.Errorf("%q was written back as\n%s\nand read as\n%s", b, c.TOML(), again.TOML())
		}
	})
}
