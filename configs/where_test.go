package configs

import (
	"strings"
	"testing"
)

// Each bad value is told with its file and line, as a wrong type or key is, or
// with the variable that has it.
func TestCheckSaysWhere(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		environ    []string
		want       []string // each a line of the error
	}{
		{"a number", "[radio]\n# far\nhop_limit = 9\n", nil, []string{"drey.toml:3: radio.hop_limit: 9 is not between 0 and 7"}},
		{"behind a mark of the byte order", "\ufeff[radio]\nhop_limit = 9\n", nil, []string{"drey.toml:2: radio.hop_limit: "}},
		{"a dotted key", "radio.hop_limit = 9\n", nil, []string{"drey.toml:1: radio.hop_limit: "}},
		{"texts", "[radio]\nshare = \"4403\"\npositions = \"yes\"\ndevice = \"tty\"\n", nil,
			[]string{"drey.toml:4: radio.device: ", "drey.toml:2: radio.share: ", "drey.toml:3: radio.positions: "}},
		{"an empty share", "[radio]\nshare = \"\"\n", nil, []string{`drey.toml:2: radio.share: "" is not "off" or`}},
		{"tables", "[[radio.topic]]\ntopic = \"a\"\n\n[[radio.topic]]\nchannel = 9 # too many\nform = \"loud\"\ntopic = \"Alerts\"\n", nil,
			[]string{"drey.toml:7: radio.topic[1].topic: ", "drey.toml:5: radio.topic[1].channel: ", "drey.toml:6: radio.topic[1].form: "}},
		{"a table without its key", "[[radio.topic]]\ntopic = \"a\"\n\n[[radio.topic]]\nchannel = 1\n", nil, []string{"drey.toml:4: radio.topic[1].topic: "}},
		{"tables on a line", "[radio]\ntopic = [{topic = \"a\", channel = 9}]\n", nil, []string{"drey.toml:2: radio.topic[0].channel: "}},
		{"an entry of a list", "[web]\nguest_topics = [\"a\", \"B\"]\n", nil, []string{"drey.toml:2: web.guest_topics[1]: "}},
		{"mail as a text", "[[radio.topic]]\ntopic = \"mail\"\nform = \"text\"\n", nil, []string{`drey.toml:3: radio.topic[0].form: nothing in topic "mail" can be read on a handheld`}},
		{"a topic in both forms", "[[radio.topic]]\ntopic = \"a\"\n[[radio.topic]]\ntopic = \"a\"\nform = \"signed\"\n", nil,
			[]string{`drey.toml:4: radio.topic[1].topic: "a" is on channel 0 already, by radio.topic[0]: form = "both" there sends text and signed`}},
		{"a topic twice", "[[radio.topic]]\ntopic = \"a\"\n[[radio.topic]]\ntopic = \"a\"\n", nil, []string{`drey.toml:4: radio.topic[1].topic: "a" is on channel 0 already, by radio.topic[0]`}},
		{"from the environment", "[radio]\nhop_limit = 3\n", []string{"DREY_RADIO__HOP_LIMIT=9"}, []string{"environment DREY_RADIO__HOP_LIMIT: radio.hop_limit: 9 is not"}},
		{"beside a wrong key", "[radio]\nhop_limits = 3\npositions = \"yes\"\n", nil, []string{"drey.toml:2: unknown key radio.hop_limits", "drey.toml:3: radio.positions: "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			name := write(t, tt.file)
			c, err := Load(name, tt.environ)
			if err == nil {
				err = c.Check(name, tt.environ)
			}
			if err == nil {
				t.Fatalf("%q was taken", tt.file)
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(tt.want) {
				t.Fatalf("%q gave %d faults, want %d:\n%v", tt.file, len(lines), len(tt.want), err)
			}
			for i, want := range tt.want {
				if !strings.HasPrefix(strings.TrimPrefix(lines[i], strings.TrimSuffix(name, "drey.toml")), want) {
					t.Errorf("%q gave %q, want %q", tt.file, lines[i], want)
				}
			}
		})
	}
}

// What a flag said stands in no file.
func TestCheckKnowsFlags(t *testing.T) {
	name := write(t, "[radio]\ndevice = \"auto\"\n")
	c, err := Load(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Radio.Device = "tty"
	if err := c.Check(name, nil); err == nil || !strings.HasPrefix(err.Error(), "radio.device: ") {
		t.Errorf("a flag's fault is told as %v", err)
	}
}

func TestCheckDevice(t *testing.T) {
	for device, good := range map[string]bool{
		"tcp://roof": true, "tcp://192.0.2.7": true, "tcp://roof.lan:4404": true, "tcp://[2001:db8::7]": true, "tcp://2001:db8::7": true, "tcp://[::1]:4403": true,
		"tcp://": false, "tcp://:4403": false, "tcp://roof:": false, "tcp://roof:1:2": false, "tcp://roof/x": false, "tcp://a b": false, "tcp://[::1": false, "tcp://[]": false,
	} {
		if err := checkDevice(device); (err == nil) != good {
			t.Errorf("%s: %v, want good %v", device, err, good)
		}
	}
}
