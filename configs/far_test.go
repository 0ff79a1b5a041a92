package configs

import (
	"strings"
	"testing"
)

// What a node does without being told shows strangers on the internet nothing.
func TestFarFindersAreOffByDefault(t *testing.T) {
	c := Default()
	for _, name := range []string{"mainline", "nostr"} {
		if c.Finds(name) {
			t.Errorf("%s is on by default", name)
		}
		c.Bootstrap.Finders = append(c.Bootstrap.Finders, name)
	}
	if err := c.Validate(); err != nil || !c.Finds("mainline") || !c.Finds("nostr") || !c.Finds("kademlia") || !c.Finds("lora") {
		t.Errorf("all on: %v", err)
	}
	for i, at := range c.Bootstrap.TableNodes() {
		if err := checkTable(at); err != nil {
			t.Errorf("default table %d: %v", i, err)
		}
	}
}

func TestFarKeysAreChecked(t *testing.T) {
	c := Default()
	c.Bootstrap.Tables = []string{"router.example.org", "[2001:db8::1]:6881", ":1", "host:0", "host:99999"}
	c.Bootstrap.Relays = []string{"wss://relay.example.org", "https://relay.example.org", "wss://", "wss://a:b@relay.example.org"}
	err := c.Validate()
	for _, bad := range []string{"tables[0]", "tables[2]", "tables[3]", "tables[4]", "relays[1]", "relays[2]", "relays[3]"} {
		if err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("%s is not among the faults: %v", bad, err)
		}
	}
	for _, good := range []string{"tables[1]", "relays[0]"} {
		if err != nil && strings.Contains(err.Error(), good) {
			t.Errorf("%s is refused: %v", good, err)
		}
	}
	c = Default()
	c.Bootstrap.Relays = make([]string, maxRelays+1)
	for i := range c.Bootstrap.Relays {
		c.Bootstrap.Relays[i] = "wss://relay.example.org"
	}
	if err := c.Validate(); err == nil {
		t.Errorf("%d relays are allowed", maxRelays+1)
	}
}
