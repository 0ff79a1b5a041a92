package configs

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed examples/*.toml
var examples embed.FS

// A Role is a kind of machine that a community has, with an example file.
type Role struct {
	Name  string
	About string // one sentence, heads the file
	set   func(*Config)
}

// Roles lists the roles that have an example.
func Roles() []Role {
	return []Role{
		{"home", "A machine at home, for the people who live there.", func(c *Config) {
			c.Node.Name = "willow street 4"
		}},
		{"school", "A machine that is always on and that others connect to: a school, a library, a roof.", func(c *Config) {
			c.Node.Name = "school"
			c.Web.Hosts = []string{"drey.local"}
			c.Overlay.Listen = []string{"tls://[::]:3740", "quic://[::]:3740"}
			c.Store.MaxBytes = 20 * GB
			c.Store.KeepDays = 0
		}},
		{"radio-gateway", "A machine with a Meshtastic radio: what matters goes on the air, what is heard comes in.", func(c *Config) {
			c.Node.Name = "hill radio"
			c.Radio.Topics = []RadioTopic{{"alerts", 0, "text"}, {"commons", 1, "text"}}
		}},
		{"internet-gateway", "A machine with an internet connection: it ties this place to machines elsewhere, and to public Nostr relays.", func(c *Config) {
			c.Node.Name = "uplink"
			c.Overlay.Peers = []string{"tls://192.0.2.7:3740"}
			c.Radio.Device = "none"
			c.Nostr.Gateway = true
			c.Nostr.Out, c.Nostr.In = []string{"alerts"}, []string{"alerts"}
		}},
		{"open", "A machine for an open community: start it with drey up --open NAME.", func(c *Config) {
			c.Node.Name = "market square"
			c.Web.GuestTopics = []string{"commons"}
			c.Store.MaxBytes = 500 * MB
			c.Store.KeepDays = 30
		}},
	}
}

// Config returns the configuration that the role's example holds.
func (r Role) Config() Config {
	c := Default()
	r.set(&c)
	return c
}

// Example returns the example file of a role.
func Example(role string) ([]byte, error) {
	var names []string
	for _, r := range Roles() {
		if r.Name == role {
			return examples.ReadFile("examples/" + role + ".toml")
		}
		names = append(names, r.Name)
	}
	return nil, fmt.Errorf("there is no example for %.40q; there are %s", role, strings.Join(names, ", "))
}
