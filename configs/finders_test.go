package configs

import (
	"strings"
	"testing"
)

func TestBootstrapFaults(t *testing.T) {
	c := Default()
	c.Bootstrap = Bootstrap{
		Finders:    []string{"mdns", "carrier pigeon", "mdns"},
		Endpoints:  []string{"tls://drey.example.org:3740", "tls://192.0.2.7:3740?key=00", "http://192.0.2.7:80", "drey.example.org", "tls://" + strings.Repeat("a", 38) + ":1"},
		DNS:        []string{"_drey.example.org.", "two words.org", ""},
		DNSServers: []string{"192.0.2.53", "[2001:db8::53]:53", "ns.example.org"},
		Files:      []string{"/media/stick", "stick"},
	}
	err := c.Validate()
	if err == nil {
		t.Fatal("no fault was found")
	}
	for _, at := range []string{
		"bootstrap.finders[1]", "bootstrap.finders[2]", "bootstrap.endpoints[1]", "bootstrap.endpoints[2]", "bootstrap.endpoints[3]", "bootstrap.endpoints[4]",
		"bootstrap.dns[1]", "bootstrap.dns[2]", "bootstrap.dns_servers[2]", "bootstrap.files[1]",
	} {
		if !strings.Contains(err.Error(), at+":") {
			t.Errorf("no fault at %s in\n%v", at, err)
		}
	}
	for _, at := range []string{"finders[0]", "endpoints[0]", "dns[0]", "dns_servers[0]", "dns_servers[1]", "files[0]"} {
		if strings.Contains(err.Error(), "bootstrap."+at+":") {
			t.Errorf("a fault at %s in\n%v", at, err)
		}
	}
}

func TestPublicAnnouncementsAreForGateways(t *testing.T) {
	for _, c := range []struct {
		name      string
		finders   []string
		endpoints []string
		fault     string
	}{
		{"a gateway", []string{"nostr"}, []string{"tls://drey.example.org:3740"}, ""},
		{"nobody can call it", []string{"nostr"}, nil, "bootstrap.endpoints"},
		{"nostr is off", defaultFinders(), []string{"tls://drey.example.org:3740"}, "bootstrap.finders"},
	} {
		conf := Default()
		if conf.Bootstrap.PublicNostr {
			t.Fatal("on by default")
		}
		conf.Bootstrap.PublicNostr, conf.Bootstrap.Finders, conf.Bootstrap.Endpoints = true, c.finders, c.endpoints
		err := conf.Validate()
		if c.fault == "" && err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.fault != "" && (err == nil || !strings.Contains(err.Error(), "bootstrap.public_nostr: ") || !strings.Contains(err.Error(), c.fault)) {
			t.Errorf("%s: %v, want a fault that names %s", c.name, err, c.fault)
		}
	}
}

func TestNoLANSwitchesLocalFindersOff(t *testing.T) {
	c := Default()
	for _, name := range defaultFinders() {
		if !c.Finds(name) {
			t.Errorf("%s is off by default", name)
		}
	}
	c.Overlay.LAN = false
	for name, want := range map[string]bool{"mdns": false, "broadcast": false, "multicast": false, "cache": true, "dns": true} {
		if c.Finds(name) != want {
			t.Errorf("without a LAN %s is on: %v, want %v", name, !want, want)
		}
	}
	c.Bootstrap.Finders = []string{"dns"}
	if c.Finds("cache") {
		t.Error("cache is on though it is not in the list")
	}
}
