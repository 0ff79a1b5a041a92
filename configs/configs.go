// Package configs holds a node's configuration: its keys, their defaults, the
// reading of files and the environment, and one example file per role.
//
// The comments of the structs below are the documentation of the file: the
// examples are generated from them. Precedence is flag, then environment
// (DREY_SECTION__KEY), then file, then default.
package configs

import "time"

// Config is everything that a person may set. Default returns one that works.
type Config struct {
	Node      Node      `toml:"node"`
	Web       Web       `toml:"web"`
	Overlay   Overlay   `toml:"overlay"`
	Bootstrap Bootstrap `toml:"bootstrap"`
	Store     Store     `toml:"store"`
	Radio     Radio     `toml:"radio"`
	Nostr     Nostr     `toml:"nostr"`
	Log       Log       `toml:"log"`
}

// Node is who this machine is to its neighbours.
type Node struct {
	// What neighbours see, up to 64 bytes. Empty: the machine's own name.
	Name string `toml:"name"`
}

// Web is the page, the API and the Nostr relay, all on one TCP port.
type Web struct {
	// Address and port; port 0 picks a free one; "none" turns the port off and
	// leaves the unix socket in the home.
	Listen string `toml:"listen"`
	// Topics that a visitor without a key may read, and post to within a rate.
	GuestTopics []string `toml:"guest_topics"`
	// A Nostr app whose key is new here gets a guest's pass when it first writes
	// to one of those topics. false: only members write with keys of their own.
	GuestPasses bool `toml:"guest_passes"`
	// Other names under which browsers reach this page, such as "drey.local".
	Hosts []string `toml:"hosts"`
	// A certificate for https, in PEM, with its chain. Empty: the node makes its
	// own, which browsers warn about once. Read again on SIGHUP.
	TLSCertFile string `toml:"tls_cert_file"`
	// The certificate's key, in PEM. Only its owner may read the file.
	TLSKeyFile SecretFile `toml:"tls_key_file"`
}

// Overlay is the encrypted network between machines (Yggdrasil).
type Overlay struct {
	// Where other machines may connect: tls://, tcp://, quic:// or ws:// URIs.
	Listen []string `toml:"listen"`
	// Machines to connect to, such as "tls://203.0.113.5:443?key=…".
	Peers []string `toml:"peers" reload:"live"`
	// More peers, one URI per line, for URIs with a password. Only its owner
	// may read the file.
	PeersFile SecretFile `toml:"peers_file" reload:"live"`
	// Find machines on the same network by multicast.
	LAN bool `toml:"lan"`
	// Carry other people's encrypted traffic, as every Yggdrasil node does.
	Transit bool `toml:"transit"`
}

// Bootstrap is how this machine and others find each other.
type Bootstrap struct {
	// Ways to find machines; leave one out to switch it off. overlay.lan = false
	// switches off multicast, mdns and broadcast together. There are two more,
	// "mainline" and "nostr": they show computers on the internet this machine's
	// address, and when it is on, and so are off until they are named here.
	Finders []string `toml:"finders"`
	// Addresses at which this machine is reached from outside and which it cannot
	// know itself, such as "tls://drey.example.org:3740". They come first in what
	// it tells of itself.
	Endpoints []string `toml:"endpoints"`
	// Names whose TXT records hold machines, such as "_drey.example.org".
	DNS []string `toml:"dns"`
	// DNS servers to ask, such as "192.0.2.53". Empty: the system's.
	DNSServers []string `toml:"dns_servers"`
	// Files of records, or folders with files that end in .drey, as on a stick.
	Files []string `toml:"files"`
	// For mainline: where BitTorrent's table is entered, such as
	// "router.example.org:6881". Empty: well-known places.
	Tables []string `toml:"tables"`
	// For nostr: relays that hold the announcements, three or more of different
	// operators, such as "wss://relay.example.org". Empty: those of nostr.relays,
	// or well-known ones.
	Relays []string `toml:"relays"`
	// Let strangers see this machine's key and addresses: on the local network
	// and in DNS its record is not sealed for the community.
	Public bool `toml:"public"`
	// For nostr, where this machine is a gateway that others reach at its
	// endpoints: announce it in clear too, so that members who missed a new
	// secret find it. Strangers see its key and addresses, and who signs for it.
	PublicNostr bool `toml:"public_nostr"`
}

// AllFinders lists the names that bootstrap.finders may hold.
func AllFinders() []string {
	return []string{
		"cache", "roster", "multicast", "mdns", "broadcast", "static", "invite", "dns", "file",
		"kademlia", "mainline", "nostr", "lora",
	}
}

// Store is the memory of the node: one SQLite file in the home.
type Store struct {
	// Room for events, such as "500MB" or "2GiB". Pruned oldest first; roster,
	// passes and mail last.
	MaxBytes Size `toml:"max_bytes"`
	// Days after which an event is pruned, by the time it came in. 0 keeps
	// events for as long as there is room.
	KeepDays int `toml:"keep_days"`
}

// Radio is a Meshtastic LoRa radio on a cable or on the network.
type Radio struct {
	// "auto" finds one by itself; or a path such as "/dev/ttyACM0",
	// "tcp://host:4403", "sim" for a simulated one, or "none".
	Device string `toml:"device"`
	// How often other radios pass on what is signed, 1 to 7. 0 chooses by how
	// many radios are in range: 3 where there are many, else 5.
	HopLimit int `toml:"hop_limit"`
	// Where phones and other programs may use the radio too, as if it were theirs:
	// "127.0.0.1:4403" for programs on this machine, ":4403" for the network, "off".
	Share string `toml:"share"`
	// Programs on this machine may change the radio's settings through it. Those
	// on the network never may.
	ShareAdmin bool `toml:"share_admin"`
	// Handhelds' positions and telemetry: "here" shows them on this machine only,
	// "share" to the community's machines, "off" to nobody.
	Positions string `toml:"positions" choices:"here,share,off"`
	// Which topics go over which channel. Without any, the radio only listens,
	// and what it hears goes to the topic "radio".
	Topics []RadioTopic `toml:"topic"`
}

// RadioTopic ties a topic to a channel of the radio.
type RadioTopic struct {
	// The topic, such as "alerts".
	Topic string `toml:"topic"`
	// The channel's number on the radio, 0 to 7. What is signed goes over the
	// community's own channel, which 'drey radio setup' makes, where there is one.
	Channel int `toml:"channel"`
	// "text": handhelds read it; "signed": other nodes get the message itself,
	// with its author's signature; "both".
	Form string `toml:"form"`
}

// Log is what the node writes to standard error.
type Log struct {
	// "debug", "info", "warn" or "error"; --log-level overrides it. Empty: "warn"
	// for drey run, "error" for drey up, which tells in words what happens.
	Level string `toml:"level" reload:"live" choices:",debug,info,warn,error"`
}

// Default returns the configuration of a node without a file.
func Default() Config {
	return Config{
		Web: Web{
			Listen:      ":3739",
			GuestTopics: []string{"commons", "alerts"},
			GuestPasses: true,
			Hosts:       []string{},
		},
		Overlay: Overlay{
			Listen:  []string{"tls://[::]:3740"},
			Peers:   []string{},
			LAN:     true,
			Transit: true,
		},
		Bootstrap: Bootstrap{
			Finders:    defaultFinders(),
			Endpoints:  []string{},
			DNS:        []string{},
			DNSServers: []string{},
			Files:      []string{},
			Tables:     []string{},
			Relays:     []string{},
		},
		Store: Store{MaxBytes: 2 * GB, KeepDays: 365},
		Radio: Radio{Device: "auto", Share: "127.0.0.1:4403", ShareAdmin: true, Positions: "here", Topics: []RadioTopic{}},
		Nostr: Nostr{Relays: []string{}, Out: []string{}, In: []string{}, Authors: []string{}},
		Log:   Log{},
	}
}

// KeepFor returns how long an event is kept; 0 means for as long as there is
// room.
func (s Store) KeepFor() time.Duration { return time.Duration(s.KeepDays) * 24 * time.Hour }
