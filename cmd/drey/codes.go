package main

import "slices"

// A code names one kind of problem; doctor and status use it and drey help
// explains it without a network.
type code struct {
	name string
	text string
}

// codes lists every problem that doctor and status can name, root causes
// first: one further up often explains those below.
var codes = []code{
	{"disk-full", "The disk that holds the home is full or nearly so. The node keeps what it has answered for, and refuses new\nmessages until there is room. Remove other files, or lower store.max_bytes in drey.toml."},
	{"home-permissions", "Others can read the home folder or the identity in it. Whoever copies the identity can speak as this node.\nRun: chmod 700 HOME; chmod 600 HOME/identity HOME/community.json"},
	{"home-read-only", "The home folder cannot be written: its file system is read-only or belongs to another user. A worn-out SD\ncard often turns read-only by itself. Move the home with drey backup and drey restore."},
	{"store-fault", "The file that holds the messages cannot be written or read. A damaged file can be moved away: the other machines\nsend again what they hold. drey status shows what the disk said."},
	{"config", "The configuration file has faults. Run drey config check: it names file, line and the nearest key."},
	{"clock-wrong", "The clock of this machine shows a date before this program was made, or is far from its neighbours' clocks.\nMessages are not lost, but their dates will look odd elsewhere. Set the clock, or let NTP set it."},
	{"not-running", "No node runs in this home. Start one with drey up."},
	{"socket", "The node's socket does not answer although a node holds the home. It may still be starting, or be stuck; its\nlog says more. Only the socket's owner and group may use it."},
	{"port-taken", "Another program uses a port that this node wants. See which with: ss -ltnp. Choose another port with\nweb.listen or overlay.listen, or 0 for any free one."},
	{"no-multicast", "No network interface that is up can do multicast, so machines on the same network do not find each other by\nthemselves. Connect a network, or add peers by address with drey peers add."},
	{"no-peers", "This node is connected to no other machine. Alone it works and keeps everything; others get it when they meet.\nOn the same network peers appear by themselves within seconds, if multicast is let through and both belong to\nthe same community. Elsewhere: drey peers add tls://ADDRESS:3740, or accept an invite with drey join."},
	{"peers-down", "Peers are configured but none answers: the address may be wrong, the other machine off, or a firewall may\nblock its port (3740 by default)."},
	{"radio-permission", "The radio's device exists but this user may not open it. Add the user to the group that owns the device\n(dialout on Debian), then log in again."},
	{"radio-missing", "The radio that the configuration names is not there: unplugged, under another name, or its network address\ndoes not answer. The node goes on without it and takes it back when it returns."},
	{"radio-region", "Nobody has told the radio in which region it is, so it does not transmit: the law of the place decides on\nfrequencies and how long one may send. Run drey radio setup --region REGION, such as EU_868 or US."},
	{"radio-transmit", "The radio's transmitter is switched off in its own settings: it hears and says nothing. Run drey radio setup,\nor switch it on in the Meshtastic app under LoRa."},
	{"radio-channel", "A topic is to go over a channel that the radio does not have. Run drey radio setup for the community's private\nchannel; set up others in the Meshtastic app, or change [[radio.topic]] in drey.toml."},
	{"radio-not-shared", "Other programs cannot use the radio through this node, because the address of radio.share cannot be had:\nanother program holds the port. The node itself goes on. See which with: ss -ltnp. Choose another address, or \"off\"."},
	{"twin", "Another machine with the same identity is online. Two nodes with one identity take each other's messages away.\nSwitch the other off for good before this one starts."},
	{"events-refused", "The node refuses events of one kind again and again; drey status --json counts them by reason under refused."},
}

// explain returns what a code means.
func explain(name string) (code, bool) {
	i := slices.IndexFunc(codes, func(c code) bool { return c.name == name })
	if i < 0 {
		return code{}, false
	}
	return codes[i], true
}
