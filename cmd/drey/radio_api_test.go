package main

import (
	"testing"

	"drey/configs"
)

// TestSharing tells where a radio is offered, by where it is itself.
func TestSharing(t *testing.T) {
	usual := configs.Default().Radio.Share
	for _, c := range []struct{ device, share, want string }{
		{"auto", usual, usual},
		{"auto", "off", ""},
		{"auto", "", ""},
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
