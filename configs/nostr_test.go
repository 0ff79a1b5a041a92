package configs

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

// Relays are called only by who asks for it, and the well-known ones belong to
// three operators or more.
func TestRelaysOnlyWhereAskedFor(t *testing.T) {
	own := []string{"wss://relay.example.org"}
	for _, tt := range []struct {
		name            string
		set             func(*Config)
		relays, finders []string
	}{
		{"default", func(*Config) {}, nil, nil},
		{"gateway", func(c *Config) { c.Nostr.Gateway = true }, WellKnownRelays(), nil},
		{"listed", func(c *Config) { c.Nostr.Relays = own }, own, nil},
		{"finder", func(c *Config) { c.Bootstrap.Finders = []string{"nostr"} }, nil, WellKnownRelays()},
		{"finder with relays", func(c *Config) { c.Bootstrap.Finders, c.Bootstrap.Relays = []string{"nostr"}, own }, nil, own},
		{"finder at the gateway's relays", func(c *Config) { c.Bootstrap.Finders, c.Nostr.Relays = []string{"nostr"}, own }, own, own},
	} {
		c := Default()
		tt.set(&c)
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if got := c.Nostr.RelayURLs(); !slices.Equal(got, tt.relays) {
			t.Errorf("%s: relays %q, want %q", tt.name, got, tt.relays)
		}
		if got := c.AnnounceURLs(); !slices.Equal(got, tt.finders) {
			t.Errorf("%s: announced at %q, want %q", tt.name, got, tt.finders)
		}
	}
	operators := map[string]bool{}
	for _, s := range WellKnownRelays() {
		u, err := url.Parse(s)
		if err != nil || checkRelay(s) != nil || u.Scheme != "wss" {
			t.Errorf("well-known relay %q: %v", s, err)
			continue
		}
		labels := strings.Split(u.Hostname(), ".")
		operators[strings.Join(labels[len(labels)-2:], ".")] = true
	}
	if len(operators) < 3 {
		t.Errorf("well-known relays of %d operators, want 3", len(operators))
	}
}

func TestNostrKeysAreChecked(t *testing.T) {
	const good = "npub10elfcs4fr0l0r8af98jlmgdh9c8tcxjvz9qkw038js35mp4dma8qzvjptg"
	c := Default()
	c.Nostr = Nostr{
		Gateway: false,
		Relays:  []string{"wss://relay.example.org", "https://relay.example.org", "wss://relay.example.org"},
		Out:     []string{"alerts", "Alerts", "mail", "registry"},
		InOpen:  true,
		Authors: []string{good, strings.ToUpper(good), good[:62] + "h", "npub1", strings.Repeat("0", 63), strings.Repeat("ab", 32), strings.Repeat("AB", 32), "nsec" + good[4:]},
	}
	err := c.Validate()
	if err == nil {
		t.Fatal("all of it was taken")
	}
	for _, bad := range []string{"relays[1]", "relays[2]", "nostr.out:", "out[1]", "out[2]", "out[3]", "in_open", "authors[2]", "authors[3]", "authors[4]", "authors[6]", "authors[7]"} {
		if !strings.Contains(err.Error(), bad) {
			t.Errorf("%s is not among the faults:\n%v", bad, err)
		}
	}
	for _, fine := range []string{"relays[0]", "out[0]", "authors[0]", "authors[1]", "authors[5]"} {
		if strings.Contains(err.Error(), fine) {
			t.Errorf("%s is among the faults:\n%v", fine, err)
		}
	}
	c = Default()
	c.Nostr.Gateway, c.Nostr.Out, c.Nostr.In, c.Nostr.InOpen = true, []string{"alerts"}, []string{"town/talk"}, true
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}
