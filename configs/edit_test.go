package configs

import (
	"reflect"
	"strings"
	"testing"
)

func TestEdit(t *testing.T) {
	example, err := Example("home")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, file string
		set        map[string]string
		reset      []string
		want       string // "" only compares what is read
	}{
		{"into nothing", "", map[string]string{"web.listen": ":80"}, nil, "[web]\nlisten = \":80\"\n"},
		{"a value in its place", "# mine\n[web] # port\nlisten = ':1' # old\nhosts = []\n", map[string]string{"web.listen": ":2"}, nil,
			"# mine\n[web] # port\nlisten = \":2\" # old\nhosts = []\n"},
		{"below the default's comment", "[web]\n# Where.\n#listen = \":3739\"\n# Who.\n#hosts = []\n\n[log]\n", map[string]string{"web.listen": ":2"}, nil,
			"[web]\n# Where.\n#listen = \":3739\"\nlisten = \":2\"\n# Who.\n#hosts = []\n\n[log]\n"},
		{"at the section's end", "[web]\nlisten = \":1\"\n\n# Next.\n[log]\nlevel = \"info\"", map[string]string{"web.hosts": "a.local\nb.local"}, nil,
			"[web]\nlisten = \":1\"\nhosts = [\"a.local\", \"b.local\"]\n\n# Next.\n[log]\nlevel = \"info\""},
		{"a list over lines", "[overlay]\npeers = [ # all\n  \"tls://192.0.2.1:1\", # ]\n  'tls://192.0.2.2:2',\n]\nlan = false\n", map[string]string{"overlay.peers": ""}, nil,
			"[overlay]\npeers = []\nlan = false\n"},
		{"taken out", "[web]\nlisten = \":1\"\nhosts = []\n", nil, []string{"web.listen"}, "[web]\nhosts = []\n"},
		{"taken out where it is not", "[web]\nhosts = []\n", nil, []string{"web.listen"}, "[web]\nhosts = []\n"},
		{"a table", "[radio]\ndevice = \"none\"\n[[radio.topic]]\n# loud\ntopic = \"alerts\"\nchannel = 1\n[log]\nlevel = \"info\"\n",
			map[string]string{"radio.topic": "alerts 0 both\ncommons 2"}, nil,
			"[radio]\ndevice = \"none\"\n[[radio.topic]]\ntopic = \"alerts\"\nchannel = 0\nform = \"both\"\n[[radio.topic]]\ntopic = \"commons\"\nchannel = 2\nform = \"text\"\n# loud\n[log]\nlevel = \"info\"\n"},
		{"tables gone", "[[radio.topic]]\ntopic = \"alerts\"\n", map[string]string{"radio.topic": ""}, nil, ""},
		{"a first table", "[radio]\ndevice = \"none\"\n", map[string]string{"radio.topic": "alerts 3 text"}, nil,
			"[radio]\ndevice = \"none\"\n[[radio.topic]]\ntopic = \"alerts\"\nchannel = 3\nform = \"text\"\n"},
		{"a dotted key", "web.listen = \":1\"\n", map[string]string{"web.listen": ":2"}, nil, "web.listen = \":2\"\n"},
		{"line breaks of Windows", "[web]\r\nlisten = \":1\"\r\n", map[string]string{"web.listen": ":2"}, nil, "[web]\r\nlisten = \":2\"\r\n"},
		{"numbers and flags", "[store]\nkeep_days = 1\n[overlay]\nlan = true\n", map[string]string{"store.keep_days": "30", "overlay.lan": "false", "store.max_bytes": "5GB"}, nil,
			"[store]\nkeep_days = 30\nmax_bytes = \"5GB\"\n[overlay]\nlan = false\n"},
		{"the example", string(example), map[string]string{"web.hosts": "x.local", "radio.topic": "alerts 0 text", "log.level": "info"}, []string{"node.name"}, ""},
		{"quotes in a text", "[node]\nname = \"\"\"a\"\"\"\n", map[string]string{"node.name": `it's "b" \`}, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Edit([]byte(c.file), c.set, c.reset)
			if err != nil {
				t.Fatal(err)
			}
			if c.want != "" && string(got) != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			conf, err := Parse("test", got, nil)
			if err != nil {
				t.Fatal(err)
			}
			for k, v := range c.set {
				want := Default()
				if err := want.Set(k, v); err != nil {
					t.Fatal(err)
				}
				text, _ := want.Text(k)
				if now, _ := conf.Text(k); now != text {
					t.Errorf("%s is %q, want %q", k, now, text)
				}
			}
			for _, k := range c.reset {
				standard, _ := Default().Text(k)
				if now, _ := conf.Text(k); now != standard {
					t.Errorf("%s is %q, want the default", k, now)
				}
			}
		})
	}
}

func TestEditRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		set  map[string]string
	}{
		"an unknown key":       {"", map[string]string{"web.lisen": ":1"}},
		"a section":            {"", map[string]string{"web": ":1"}},
		"an inline table":      {"web = { listen = ':1' }\n", map[string]string{"web.hosts": "a"}},
		"a file with faults":   {"[web\n", map[string]string{"web.listen": ":1"}},
		"two lines for a word": {"", map[string]string{"node.name": "a\nb"}},
		"not a number":         {"", map[string]string{"store.keep_days": "many"}},
		"not a flag":           {"", map[string]string{"overlay.lan": "perhaps"}},
		"too many words":       {"", map[string]string{"radio.topic": "alerts 0 text more"}},
		"a control character":  {"", map[string]string{"node.name": "a\x00b", "web.listen": "x\ny"}},
	} {
		if got, err := Edit([]byte(c.file), c.set, nil); err == nil {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestDescribe(t *testing.T) {
	all := Describe()
	if len(all) != len(keys()) {
		t.Fatalf("%d of %d keys", len(all), len(keys()))
	}
	for _, d := range all {
		if d.Doc == "" || strings.Contains(d.Doc, "#") || SectionDoc(d.Section) == "" {
			t.Errorf("%s says %q, its section %q", d.Path(), d.Doc, SectionDoc(d.Section))
		}
		text, ok := Default().Text(d.Path())
		if !ok || text != d.Default {
			t.Errorf("%s: default %q, text %q", d.Path(), d.Default, text)
		}
		c := Default()
		if err := c.Set(d.Path(), text); err != nil || !reflect.DeepEqual(c, Default()) {
			t.Errorf("%s: its own text makes %v, %v", d.Path(), c, err)
		}
		if len(d.Choices) > 0 {
			for _, choice := range d.Choices {
				c := Default()
				if c.Set(d.Path(), choice); c.Validate() != nil {
					t.Errorf("%s: choice %q is refused: %v", d.Path(), choice, c.Validate())
				}
			}
		}
	}
}

func TestSources(t *testing.T) {
	got := Sources([]byte("[web]\nlisten = ':1'\n#hosts = []\nhosts = []\n[[radio.topic]]\ntopic = 'a'\n"), []string{"DREY_WEB__HOSTS=a", "PATH=x", "DREY_LOG__LEVEL=info", "DREY_NO__KEY=1"})
	want := map[string]string{"web.listen": SourceFile, "web.hosts": SourceEnvironment, "radio.topic": SourceFile, "log.level": SourceEnvironment}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// FuzzEdit changes a setting in whatever file: what Edit answers says what was
// asked, and nothing else has changed.
func FuzzEdit(f *testing.F) {
	example, _ := Example("school")
	f.Add(string(example), "web.hosts", "a.local\nb.local")
	f.Add("[web]\nlisten = ':1' # x\n", "web.listen", ":2")
	f.Add("[overlay]\npeers = [ '''a''', # ]\n \"b\\\"\" ]", "overlay.peers", "")
	f.Add("[[radio.topic]]\ntopic='a'\n[radio]\n", "radio.topic", "alerts 1 both")
	f.Add("web.listen=\"\"\"\n\"\"\"\"\"", "web.listen", ":9")
	f.Fuzz(func(t *testing.T, file, key, text string) {
		was, err := Parse("file", []byte(file), nil)
		if err != nil {
			return
		}
		got, err := Edit([]byte(file), map[string]string{key: text}, nil)
		if err != nil {
			return
		}
		if err := was.Set(key, text); err != nil {
			t.Fatalf("Edit took %q for %s, Set does not: %v", text, key, err)
		}
		now, err := Parse("file", got, nil)
		if err != nil || !reflect.DeepEqual(now, was) {
			t.Errorf("%q with %s = %q became %q, %v", file, key, text, got, err)
		}
	})
}
