package configs

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Nostr is the tie to public Nostr relays, for a machine with internet.
type Nostr struct {
	// This machine carries topics to public relays and back. Several gateways
	// share the work.
	Gateway bool `toml:"gateway"`
	// The relays, three or more of different operators, such as
	// "wss://relay.example.org". Empty: a gateway uses well-known ones, and any
	// other machine none. 'drey relays add' and 'rm' change the list as it runs.
	Relays []string `toml:"relays"`
	// Topics that leave for the relays, where everybody reads them, such as
	// "alerts". What is private never leaves.
	Out []string `toml:"out"`
	// Topics that come in from the relays, by the roster's authors and those below.
	// What comes in stays off the radio, unless on_air is set.
	In []string `toml:"in"`
	// Let everybody's messages come in, not only those of the authors. Strangers
	// then write where neighbours read.
	InOpen bool `toml:"in_open"`
	// Let what comes in go on the radio, too, where its topic does. Every gateway
	// with a radio decides for its own.
	OnAir bool `toml:"on_air"`
	// People elsewhere whose messages come in, too: "npub1…", or 64 hexadecimal
	// digits.
	Authors []string `toml:"authors"`
}

// WellKnownRelays are public relays of different operators that take notes from
// everybody, as far as is known: the only place that names them.
func WellKnownRelays() []string {
	return []string{"wss://relay.damus.io", "wss://nos.lol", "wss://relay.primal.net"}
}

// RelayURLs returns the relays of the configuration; none means that no relay
// is ever called.
func (n Nostr) RelayURLs() []string {
	switch {
	case len(n.Relays) > 0:
		return slices.Clone(n.Relays)
	case n.Gateway:
		return WellKnownRelays()
	}
	return nil
}

// AnnounceURLs returns the relays that hold announcements while the finder
// "nostr" is on.
func (c *Config) AnnounceURLs() []string {
	switch {
	case !c.Finds("nostr"):
		return nil
	case len(c.Bootstrap.Relays) > 0:
		return slices.Clone(c.Bootstrap.Relays)
	case len(c.Nostr.RelayURLs()) > 0:
		return c.Nostr.RelayURLs()
	}
	return WellKnownRelays()
}

func (c *Config) validateNostr(f *faults) {
	n := c.Nostr
	for i, uri := range n.Relays {
		at := index("nostr.relays", i)
		f.add(at, checkRelay(uri))
		if slices.Index(n.Relays, uri) != i {
			f.add(at, fmt.Errorf("%q is there twice", uri))
		}
	}
	if len(n.Relays) > maxRelays {
		f.add("nostr.relays", fmt.Errorf("%d relays, at most %d are allowed", len(n.Relays), maxRelays))
	}
	for _, list := range []struct {
		key    string
		topics []string
	}{{"nostr.out", n.Out}, {"nostr.in", n.In}} {
		for i, t := range list.topics {
			f.add(index(list.key, i), checkTopic(t))
			if t == "mail" || t == "registry" {
				f.add(index(list.key, i), fmt.Errorf("topic %q is the community's own", t))
			}
		}
		if len(list.topics) > 0 && !n.Gateway {
			f.add(list.key, errors.New("needs nostr.gateway = true"))
		}
	}
	for i, a := range n.Authors {
		f.add(index("nostr.authors", i), checkAuthor(a))
	}
	if n.InOpen && len(n.In) == 0 {
		f.add("nostr.in_open", errors.New("nothing comes in while nostr.in is empty"))
	}
}

// checkAuthor repeats the rule of mesh.ParseAuthor, as this package imports none
// of ours; a test in cmd/drey holds the two together.
func checkAuthor(s string) error {
	fault := fmt.Errorf("%.80q is not the key of an author, \"npub1…\" or 64 hexadecimal digits", s)
	if len(s) == 64 && strings.Trim(s, "0123456789abcdef") == "" {
		return nil
	}
	low := strings.ToLower(s)
	if low != s && strings.ToUpper(s) != s || len(low) != 63 || !strings.HasPrefix(low, "npub1") {
		return fault
	}
	sum := uint32(1)
	feed := func(v uint32) {
		top := sum >> 25
		sum = sum&0x1ffffff<<5 ^ v
		for i, g := range [...]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
			if top>>i&1 == 1 {
				sum ^= g
			}
		}
	}
	for _, c := range []byte("npub") {
		feed(uint32(c >> 5))
	}
	feed(0)
	for _, c := range []byte("npub") {
		feed(uint32(c & 31))
	}
	for i, c := range []byte(low[5:]) {
		v := strings.IndexByte("qpzry9x8gf2tvdw0s3jn54khce6mua7l", c)
		if v < 0 || i == 51 && v&15 != 0 { // the last four bits are padding
			return fault
		}
		feed(uint32(v))
	}
	if sum != 1 {
		return fmt.Errorf("%.80q is misspelt: its checksum does not hold", s)
	}
	return nil
}
