package configs

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
)

// maxRelays is how many relays a list may hold; the pool takes twice that.
const maxRelays = 16

// defaultFinders are those that show nothing to anybody on the internet.
func defaultFinders() []string {
	return slices.DeleteFunc(AllFinders(), func(name string) bool { return name == "mainline" || name == "nostr" })
}

// TableNodes returns where BitTorrent's table is entered.
func (b Bootstrap) TableNodes() []string {
	if len(b.Tables) > 0 {
		return b.Tables
	}
	return []string{"router.bittorrent.com:6881", "dht.transmissionbt.com:6881", "dht.libtorrent.org:25401"}
}

func checkTable(s string) error {
	host, port, err := net.SplitHostPort(s)
	n, portErr := strconv.ParseUint(port, 10, 16)
	if err != nil || host == "" || portErr != nil || n == 0 {
		return fmt.Errorf("%.80q is not HOST:PORT, such as \"router.example.org:6881\"", s)
	}
	return nil
}

func checkRelay(s string) error {
	if u, err := url.Parse(s); err != nil || u.Host == "" || u.User != nil || u.Scheme != "ws" && u.Scheme != "wss" {
		return fmt.Errorf("%.80q is not the address of a relay, such as \"wss://relay.example.org\"", s)
	}
	return nil
}
