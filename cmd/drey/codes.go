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
	{"identity-damaged", "The file identity in the home cannot be used. It holds the one seed from which all of the node's keys follow;\nnothing else can replace it. Restore it from a backup with drey restore; without one the machine begins anew\nunder another key, and an admin admits that and bans the old one."},
	{"community-damaged", "The file community.json in the home cannot be used: it was changed by hand, or the disk lost a part of it. It\nsays which community the node belongs to. Restore it from a backup, or join again with a new invite."},
	{"config", "The configuration file has faults. Run drey config check: it names file, line and the nearest key."},
	{"clock-wrong", "The clock of this machine shows a date before this program was made, or is far from its neighbours' clocks.\nMessages are not lost, but their dates will look odd elsewhere. Set the clock, or let NTP set it."},
	{"not-running", "No node runs in this home. Start one with drey up."},
	{"memory", "The machine, or the control group that the node runs in, has next to no memory left; the system may end the node\nat any moment. Stop other programs. GOMEMLIMIT=120MiB in the node's environment keeps it small."},
	{"files", "This user may hold too few files open for a node: every link, visitor and follower takes one. Raise the limit with\nulimit -n 4096, or LimitNOFILE=4096 in a service's unit."},
	{"socket", "The node's socket does not answer although a node holds the home. It may still be starting, or be stuck; its\nlog says more. Only the socket's owner and group may use it."},
	{"port-taken", "Another program uses a port that this node wants. See which with: ss -ltnp. Choose another port with\nweb.listen or overlay.listen, or 0 for any free one."},
	{"banned", "The roster says that this machine is banned: every machine of the community refuses it, whatever the carrier, and\nno invite lets it in again. drey members ls shows by whom and why. An admin can lift the ban with\ndrey members admit --lift; or the machine joins another community."},
	{"not-member", "The roster does not list this machine: it was removed, or whoever admitted it had lost the right to, which came\nout when two islands met. Its messages count nowhere until an admin admits it again or invites it."},
	{"no-network", "No network interface but the loopback is up with an address. The node works on and keeps everything; others get\nit when they meet, or over the radio."},
	{"alone", "No other machine belongs to the community yet: that is healthy, and no fault. The node reads, writes, searches and\nserves its page. drey invite asks another machine in; drey join accepts an invite from elsewhere."},
	{"unwelcome", "A machine of the community answered and said that this one is not on its roster: it was banned or removed there,\nand the decision has not come here, since nobody talks to this machine any more. An admin sees it in\ndrey members ls."},
	{"wrong-community", "Machines on this network are linked, but none belongs to the same community, so the gate lets neither in. Two\ncommunities may have one name: drey status --json shows the tag, which never lies. Machines become one community\nby an invite: drey invite on one, drey join on the other."},
	{"peers-name", "The name of a peer cannot be turned into an address: it is misspelt, or the name server does not answer. An\naddress in its place always works; drey peers ls shows each."},
	{"peers-route", "The system knows no way to the addresses of the peers: the network is down, or they are on another one. ip route\nshows where packets go; an IPv6 address needs IPv6 on both sides."},
	{"peers-closed", "The machines of the peers answer and refuse the port: no node runs there, or it listens on another port. Start it,\nor correct the port; drey status there shows it under 'reached at'."},
	{"firewall", "The addresses of the peers are called and nothing answers, not even a refusal. Either the machines are off, or a\nfirewall swallows the packets. A node needs TCP 3740 open for other machines, TCP 3739 for phones, and multicast\n(UDP 9001) to be found on its network. On Debian: ufw allow 3740/tcp; ufw allow 3739/tcp."},
	{"no-multicast", "No network interface that is up can do multicast, so machines on the same network do not find each other by\nthemselves. Connect a network, or add peers by address with drey peers add."},
	{"no-peers", "This node is connected to no other machine. Alone it works and keeps everything; others get it when they meet.\nOn the same network peers appear by themselves within seconds, if multicast is let through and both belong to\nthe same community. Elsewhere: drey peers add tls://ADDRESS:3740, or accept an invite with drey join."},
	{"peers-down", "Peers are configured but none answers: the address may be wrong, the other machine off, or a firewall may\nblock its port (3740 by default)."},
	{"no-path", "Links are up, but they lead to no machine of the community: the others are off, or linked to none of the same\nnetwork. One peer that all of them share is enough."},
	{"secret-missing", "An admin rotated the community's secret while this machine was away, and the roster holds no copy for it. The next\nmember that it meets over the network gives it. Until then its private radio channel is the old one."},
	{"rotation-due", "A machine that was banned or removed may still know the community's secret, which keys the private radio channel\nand hides announcements; it lets nobody in. drey members rotate makes a new one in one step."},
	{"radio-permission", "The radio's device exists but this user may not open it. Add the user to the group that owns the device\n(dialout on Debian), then log in again."},
	{"radio-busy", "Another program has the radio's device open, and only one can speak to it: a Meshtastic client, a monitor, a second\nnode. Stop it; or let it speak to the radio through drey: see radio.share in the configuration."},
	{"radio-missing", "The radio that the configuration names is not there: unplugged, under another name, or its network address\ndoes not answer. The node goes on without it and takes it back when it returns."},
	{"radio-region", "Nobody has told the radio in which region it is, so it does not transmit: the law of the place decides on\nfrequencies and how long one may send. Run drey radio setup --region REGION, such as EU_868 or US."},
	{"radio-transmit", "The radio's transmitter is switched off in its own settings: it hears and says nothing. Run drey radio setup,\nor switch it on in the Meshtastic app under LoRa."},
	{"radio-channel", "A topic is to go over a channel that the radio does not have. Run drey radio setup for the community's private\nchannel; set up others in the Meshtastic app, or change [[radio.topic]] in drey.toml."},
	{"radio-key", "The community's secret was rotated, and the radio's private channel still has the key that followed from the one\nbefore. Nodes go on speaking under it while it overlaps. Run drey radio setup on every machine with a radio until then."},
	{"airtime", "Messages wait long for the air: the law of the region, the rules of a shared channel or the traffic of others leave\nno more. drey radio airtime shows what is left. Map fewer topics to the radio, or a faster preset to the channel."},
	{"radio-not-shared", "Other programs cannot use the radio through this node, because the address of radio.share cannot be had:\nanother program holds the port. The node itself goes on. See which with: ss -ltnp. Choose another address, or \"off\"."},
	{"relays-unreachable", "The node is told to use public Nostr relays, and reaches none of them because this machine has no way there: no\ninternet, or no name server. Neighbours notice nothing. What is to go out waits, and goes when the relays are reached;\nthey are called again after 1 s to 5 min."},
	{"relays-down", "None of the public Nostr relays is connected, although the network is there: they are off, refuse this machine, or\nsomething between swallows websockets. drey relays test URL tries one step by step. What is to go out waits.\nUse three relays or more of different operators: drey relays add URL, drey relays rm URL."},
	{"relays-degraded", "Some of the public Nostr relays are not connected. What goes out reaches the others, and waits for these. If one is\ngone for good, take another: drey relays rm URL, drey relays add URL. drey relays pause URL keeps one in the list."},
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
