package main

import (
	"slices"

	"drey/web/lang"
)

// codes lists every problem that doctor and status can name, root causes
// first: one further up often explains those below. The catalogues of the page
// have a text for each, codes.NAME.
var codes = []string{
	"disk-full",
	"home-permissions",
	"home-read-only",
	"store-fault",
	"identity-damaged",
	"community-damaged",
	"config",
	"clock-wrong",
	"not-running",
	"memory",
	"files",
	"socket",
	"port-taken",
	"banned",
	"not-member",
	"no-network",
	"alone",
	"unwelcome",
	"wrong-community",
	"peers-name",
	"peers-route",
	"peers-closed",
	"firewall",
	"no-multicast",
	"no-peers",
	"peers-down",
	"no-path",
	"secret-missing",
	"rotation-due",
	"radio-permission",
	"radio-busy",
	"radio-missing",
	"radio-region",
	"radio-transmit",
	"radio-channel",
	"radio-key",
	"airtime",
	"radio-not-shared",
	"relays-unreachable",
	"relays-down",
	"relays-degraded",
	"twin",
	"events-refused",
}

// explain returns in English what a code means, without a network.
func explain(name string) (text string, ok bool) {
	if !slices.Contains(codes, name) {
		return "", false
	}
	return english(lang.Say("codes." + name)), true
}
