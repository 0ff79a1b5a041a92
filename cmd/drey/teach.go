package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// A lesson is what a command's help says beyond its flags. Examples are whole
// command lines, a remark behind each; a test parses them all.
type lesson struct {
	long     string // only where the command does not bring its own
	examples string
}

// teach gives every command its lesson, and the completion command, which
// cobra makes, the words of the others.
func teach(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for path, l := range lessons() {
		c, _, err := root.Find(strings.Fields(path))
		if err != nil {
			continue // the test names it
		}
		if l.long != "" {
			c.Long = l.long
		}
		paragraphs := strings.Split(c.Long, "\n\n")
		for i, p := range paragraphs {
			paragraphs[i] = wrapped(p, 80)
		}
		c.Long = strings.Join(paragraphs, "\n\n")
		var lines []string
		for line := range strings.Lines(l.examples) {
			lines = append(lines, "  "+strings.TrimSpace(line))
		}
		c.Example = strings.Join(lines, "\n")
	}
	if c, _, err := root.Find([]string{"completion"}); err == nil {
		c.Short = "a script with which your shell completes drey's words"
		for _, shell := range c.Commands() {
			shell.Short = "the script for " + shell.Name()
		}
	}
}

// lessons lists them by the command's words.
func lessons() map[string]lesson {
	return map[string]lesson{
		"up": {examples: `drey up                                # at first run: a new community
			drey up --join code.png                # become a member, then run
			drey up --radio sim                    # with a radio that is only simulated
			drey up --home two --web :0 --underlay tls://[::]:0   # a second node here`},
		"run":  {examples: `drey run --home /var/lib/drey          # ExecStart of a Type=notify unit`},
		"demo": {examples: `drey demo`},
		"status": {
			long: "status shows one line for each thing: where the node is reached, the links it has or was told to have, what the radio does, what is stored, how many events were refused and why, and each problem with what to do about it.",
			examples: `drey status
				drey status --watch                    # until ^C
				drey status --json                     # the same for programs`,
		},
		"ui": {
			long: "ui prints links with a code that pairs one browser with this machine, once and within ten minutes: from then on that browser may change settings, admit and invite. The code stands behind '#', which browsers send nowhere. On this machine plain http will do; from elsewhere it must be https, whose certificate the node made itself: compare the fingerprint.",
			examples: `drey ui
				drey ui --phone                        # with a code for a phone's camera
				drey ui --list                         # who is paired
				drey ui --end all`,
		},
		"peers": {
			long: "Machines find each other without help on one network, and by what they have remembered. These commands are for the rest: calling an address, and making this machine known.",
			examples: `drey peers ls
				drey peers add tls://192.0.2.7:3740
				drey peers finders`,
		},
		"peers ls": {
			long: "ls shows, for each link: up or down, the round trip, how it was found ('config' for what it was told, in drey.toml, by 'peers add' or by an invite), its address, the beginning of the other machine's key, and what went wrong.",
			examples: `drey peers ls
				drey peers ls --json`,
		},
		"peers add": {
			long: "add calls the machine at once, and again whenever the link breaks, also after a restart. With ?key=HEX, which that machine's 'drey status --json' shows, nobody else is accepted at the address.",
			examples: `drey peers add tls://192.0.2.7:3740
				drey peers add 'tls://drey.example.org:3740?maxbackoff=5m'`,
		},
		"peers rm": {
			long:     "rm closes the link and forgets the address. A machine on the same network is found again; 'drey members ban' keeps one out.",
			examples: `drey peers rm tls://192.0.2.7:3740`,
		},
		"peers ping": {
			long: "ping asks a machine of the community through the overlay, over however many others lie between. It takes a member's name, its address, its key or a peer's URI.",
			examples: `drey peers ping hall
				drey peers ping 200:35f1:516a:5648:873a:22c4:d950:ae6d`,
		},
		"peers finders": {
			long: "finders lists each way of finding machines: whether it is on, how many links it brought that are up, how many machines it knows, how many it found since the start, and what it refused. bootstrap.finders in drey.toml switches them.",
			examples: `drey peers finders
				drey peers finders --json`,
		},
		"peers dns": {examples: `drey peers dns _drey.example.org       # paste what it prints into the zone`},
		"peers export": {
			long:     "export writes the addresses of the community's machines. Only the community can read the file, so it may go by mail or lie on a stick; it admits nobody, which 'drey invite' does.",
			examples: `drey peers export /media/stick/town.drey`,
		},
		"peers import": {
			long: "import calls each machine in the file, and remembers those that answer. Records of other communities are refused, and counted by reason.",
			examples: `drey peers import /media/stick/town.drey
				drey peers import - < mail.txt`,
		},
		"dm": {examples: `drey dm ana 'are you home?'
			drey dm ana 'the pump again' --subject water --wait acknowledged --timeout 5m
			drey dm ana --also ben 'meet at six'
			drey dm ana --file map.pdf`},
		"inbox": {examples: `drey inbox
			drey inbox --follow --since 1d
			drey inbox --json --since all
			drey inbox --save 1f2e3d4c --output map.pdf`},
		"radio": {examples: `drey radio status
			drey radio setup --region EU_868
			drey radio dm 'Ana B' 'are you home?'`},
		"radio status": {
			long: "status shows what radio it is, who is around, which topic goes over which channel, and the programs that share it.",
			examples: `drey radio status
				drey radio status --json`,
		},
		"radio ls": {
			long: "ls shows every radio heard, the latest first: its number and name, how long ago, directly or over how many others, how strong, its battery, and whether its key is known, which 'drey radio dm' needs.",
			examples: `drey radio ls
				drey radio ls --json`,
		},
		"radio airtime": {
			long: "Radios share the air, and the law bounds what each may use. airtime shows what this one has sent, and for each kind of message what is left, what waits, and for how long.",
			examples: `drey radio airtime
				drey radio airtime --json`,
		},
		"radio test": {examples: `drey radio test                        # ends with 1 where nobody repeated it`},
		"radio setup": {examples: `drey radio setup                       # shows, asks, writes
			drey radio setup --region EU_868 --yes
			drey radio setup --restore radio-a2cf9a45-20261121-165850.json`},
		"radio dm": {examples: `drey radio dm 'Ana B' 'are you home?'
			drey radio dm '!ed495186' - < note.txt`},
		"radio inbox": {
			long: "inbox shows the private messages that came from handhelds, and those written to them with what became of each. They are kept on this machine only, in the clear.",
			examples: `drey radio inbox
				drey radio inbox --json`,
		},
		"relays": {
			long: "Public Nostr relays carry topics and private messages to the world beyond the community. A gateway uses those of nostr.relays in drey.toml, else well-known ones; any other machine uses none until it is told to. What these commands change goes over drey.toml and lasts.",
			examples: `drey relays ls
				drey relays test wss://relay.example.org
				drey relays add wss://relay.example.org`,
		},
		"relays ls": {
			long: "ls shows, for each relay: up with its round trip, down and when it is called again, or paused; how many messages went out, came in and were refused; the pace it bears, if it complained; and why it failed last.",
			examples: `drey relays ls
				drey relays ls --json`,
		},
		"relays add": {
			long:     "add connects to the relay at once, and again after each loss and each start. A paused one goes on.",
			examples: `drey relays add wss://relay.example.org`,
		},
		"relays rm": {
			long:     "rm leaves the relay, also one of drey.toml or of the well-known ones; 'drey relays add' takes it back. What waited for it is not sent there any more.",
			examples: `drey relays rm wss://relay.example.org`,
		},
		"relays pause": {
			long:     "pause ends the connection and keeps the relay in the list, also over a restart. What is to go there waits.",
			examples: `drey relays pause wss://relay.example.org`,
		},
		"relays resume": {
			long:     "resume takes a paused relay up again; what waited for it goes there now.",
			examples: `drey relays resume wss://relay.example.org`,
		},
		"relays test": {
			long: "test tries a relay, in the list or not, step by step, each with its time: its name and port, TLS, the websocket, what it says about itself, whether it takes a message of this machine's key, asks for a proof of that key, shows the message again, and tells what it holds without sending all of it (NIP-77; without that it is asked by filters). The message expires in ten minutes, and is deleted at the end. It ends with 1 where a relay cannot be used.",
			examples: `drey relays test wss://relay.example.org
				drey relays test ws://192.0.2.7:7447 --json`,
		},
		"pub": {examples: `drey pub commons 'soup at noon'
			drey pub alerts 'the bridge is closed' --urgent --wait air
			uptime | drey pub machines`},
		"sub": {examples: `drey sub                               # all that people say
			drey sub alerts --since 1h
			drey sub --json --since all --count 10`},
		"log": {
			long:     "log shows the message and then, line by line with the time, what became of it here: saved, sent by which carrier, waiting and what for, or failed and why. ID is what 'drey pub' and 'drey sub --json' print, or the first 8 letters of it and more.",
			examples: `drey log $(drey pub alerts 'the bridge is closed')`,
		},
		"invite": {
			long: "invite prints an address that admits one machine within ten minutes, and on a terminal its QR code. Whoever sees it can use it. Founder and admins make invites; in an open community, everybody.",
			examples: `drey invite
				drey invite --png code.png             # 'drey up --join code.png' takes it
				drey invite --uses 10 --ttl 2h         # for an afternoon of setting up
				drey invite --phone                    # nothing secret: leads to the page`,
		},
		"join": {examples: `drey join 'HTTP://192.168.1.10:3739/J/...'
			drey join code.png
			drey join - < code.png
			drey join http://192.168.1.10:3739     # without an invite: ask`},
		"members": {examples: `drey members ls
			drey members admit hall --admin
			drey members ban hall --reason 'stolen on Tuesday'`},
		"members ls": {
			long: "ls shows a line for each: name, standing (founder, admin, person, machine, waiting, banned), since when, and the npub, which nobody else can have. Two may bear one name: then use the npub.",
			examples: `drey members ls
				drey members ls --json                 # addresses, who admitted whom`,
		},
		"members admit": {
			long: "admit lets in a machine that waits ('drey join' with an address; compare the npub with what it shows), a person by the key in her Nostr app, or somebody who was removed. For a banned one add --lift. --admin gives the right to decide and to invite.",
			examples: `drey members admit hall
				drey members admit npub10elfcs4fr0l0r8af98jlmgdh9c8tcxjvz9qkw038js35mp4dma8qzvjptg --name Ana
				drey members admit hall --admin`,
		},
		"members demote": {
			long:     "demote takes the right to decide and to invite from an admin, who stays a member. What that admin decided before stays.",
			examples: `drey members demote hall`,
		},
		"members remove": {
			long:     "remove is for whoever leaves in peace: the links to that machine are cut, and another invite lets it in again. Where a machine was stolen, ban it.",
			examples: `drey members remove hall --reason 'moved away'`,
		},
		"members ban": {
			long:     "ban cuts every link to that machine as soon as the decision reaches the other end, and no invite lets it in again; 'drey members admit --lift' does. It may still know the community's secret: make a new one with 'drey members rotate --overlap 0'.",
			examples: `drey members ban hall --reason 'stolen on Tuesday'`,
		},
		"members rotate": {examples: `drey members rotate
			drey members rotate --overlap 0        # a machine was stolen`},
		"doctor": {
			long: "doctor checks this machine and its node, also one that is off. The first line names one cause why no other machine is in contact, if none is, and what mends it; then come all problems, then what is well. It ends with 8 where there is a problem.",
			examples: `drey doctor
				drey doctor --json
				drey help no-peers                     # what a code means, and what to do`,
		},
		"help": {
			long: "help explains a command as --help does, or a code that 'drey doctor', 'drey status' or the page named: what it means, why it happens, what to do. It needs no network.",
			examples: `drey help invite
				drey help no-peers
				drey help codes                        # all of them`,
		},
		"export": {
			long: "export writes the messages stored here as their authors signed them, one a line. Any node, and any program that knows NIP-01, can read them.",
			examples: `drey export town.jsonl.zst
				drey export --topic alerts --since 7d -`,
		},
		"import": {
			long: "import takes what 'drey export' or another Nostr program wrote. Each event's signature is checked; what is here already counts as known. It ends with 1 if nothing was taken.",
			examples: `drey import town.jsonl.zst
				ssh hall drey export - | drey import -`,
		},
		"backup":  {examples: `drey backup /media/stick/school.backup`},
		"restore": {examples: `drey restore /media/stick/school.backup`},
		"config": {
			long: "drey needs no configuration. What is set stands in drey.toml in the home, or the file that --config names; flags and DREY_SECTION__KEY variables override it. SIGHUP makes a running node read it again.",
			examples: `drey config example > ~/.local/state/drey/drey.toml
				drey config check
				drey config show`,
		},
		"config check": {
			long: "check names every fault with its file, line and the nearest key there is, and ends with 4; a good file ends with 0.",
			examples: `drey config check
				drey config check /etc/drey.toml`,
		},
		"config show": {
			long: "show prints what 'drey up' would use, whole, with no flags: the file, the environment over it, and the defaults for the rest.",
			examples: `drey config show
				drey config show --config /etc/drey.toml`,
		},
		"config example": {examples: `drey config example radio-gateway > drey.toml`},
		"id": {
			long:     "id prints the public names of this node's one identity: for Nostr apps (npub), for pinning a link (node key), for libp2p, and its address in the overlay. None of them is secret.",
			examples: `drey id`,
		},
		"version": {
			long: "version prints drey's version, the system it was built for, and the Go that built it.",
			examples: `drey version
				drey version --json`,
		},
		"completion": {
			long: "completion writes a script to standard output; 'drey completion bash --help', and so for the other shells, tells where to put it.",
			examples: `drey completion bash > /etc/bash_completion.d/drey
				drey completion zsh > "${fpath[1]}/_drey"`,
		},
	}
}
