package main

import (
	"strings"
	"testing"

	"drey/configs"
	"drey/radio"
	"drey/web"
)

// TestSharing tells where a radio is offered, by where it is itself.
func TestSharing(t *testing.T) {
	usual := configs.Default().Radio.Share
	for _, c := range []struct{ device, share, want string }{
		{"auto", usual, usual},
		{"auto", "off", ""},
		{"/dev/ttyACM0", ":4403", ":4403"},
		{"sim", usual, ""},
		{"sim", "127.0.0.1:0", "127.0.0.1:0"},
		{"tcp://127.0.0.1:4403", usual, ""},
		{"tcp://localhost", usual, ""},
		{"tcp://192.0.2.7", usual, usual},
		{"tcp://192.0.2.7:4403", ":4403", ":4403"},
	} {
		r := configs.Default().Radio
		r.Device, r.Share = c.device, c.share
		if got := sharing(r); got.Listen != c.want || !got.Admin {
			t.Errorf("radio %s, share %q: %+v, want %q", c.device, c.share, got, c.want)
		}
	}
}

// A use of the channel that nobody has measured is no use of 0 %.
func TestAirtimeTextOfUse(t *testing.T) {
	for use, want := range map[*float64]string{
		nil: "\nchannel     its use is not measured yet\n", new(0.0): "\nchannel     0 % in use by everybody\n", new(0.18): "\nchannel     18 % in use by everybody\n",
	} {
		if got := airtimeText(&web.RadioStatus{State: radio.StateLive, ChannelUse: use}); !strings.Contains(got, want) {
			t.Errorf("airtime says\n%swant %q in it", got, want)
		}
	}
}
