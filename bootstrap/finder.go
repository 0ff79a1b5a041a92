package bootstrap

import (
	"context"
	"net/netip"

	"drey/mesh"
)

// The names of the finders: in configuration, status and logs. They never
// change.
const (
	FinderCache     = "cache"     // peers that came up before, ranked by success
	FinderRoster    = "roster"    // what members said of themselves in the registry
	FinderMulticast = "multicast" // Yggdrasil's own; the overlay runs it
	FinderMDNS      = "mdns"      // DNS-SD on the local network
	FinderBroadcast = "broadcast" // for local networks that block multicast
	FinderStatic    = "static"    // configuration, and 'drey peers add'; the overlay runs it
	FinderInvite    = "invite"    // whoever invited this node; the overlay runs it
	FinderDNS       = "dns"       // signed TXT records
	FinderFile      = "file"      // a file of records, on a stick or from a mail
	FinderKademlia  = "kademlia"  // over the overlay
	FinderMainline  = "mainline"  // BitTorrent's DHT as a rendezvous
	FinderNostr     = "nostr"     // announcements on public relays
	FinderLoRa      = "lora"      // a beacon on the air
)

// A Finder looks for peers by one means. It decides nothing: whatever it is
// told by whomever it hands on, and the Manager checks it.
type Finder interface {
	// Name is one of the names above.
	Name() string
	// Run looks for peers until ctx ends and hands each to found, as often as
	// it is met: that it is met again is news. found never blocks, keeps nothing
	// of what it is given, and may be called from several goroutines at once,
	// but not after Run has returned. An error means that the medium failed: the
	// Manager runs the finder again after a pause that doubles from 1 s to 5 min.
	Run(ctx context.Context, found func(Candidate)) error
}

// An Announcer is a Finder that can also tell others of this node.
type Announcer interface {
	Finder
	// Announce says what this node says of itself from now on. It is called
	// before Run, and again at each change; it must not block. The finder sends
	// it in its own time, while Run runs.
	Announce(Announcement)
}

// An Announcement is what a finder may tell others of this node.
type Announcement struct {
	// Record is this node's own, for finders that seal it by themselves. It is
	// at most RecordBudget bytes long. Not to be changed.
	Record *mesh.PeerRecord
	// Public is Record in the form in which strangers may see it: sealed under
	// the newest secret of the community, or in clear where the operator said
	// so. The same bytes as long as nothing changes. Not to be changed.
	Public []byte
}

// A Candidate is somebody whom a finder met. Either Record is set or URI.
type Candidate struct {
	// Record holds a peer record as it travelled: mesh.PeerRecord's wire form
	// or its sealed form (mesh.SealRecord).
	Record []byte
	// From is the address that the record came from, when it came over a local
	// network: the node is tried there too, at the ports of its record. A
	// link-local address carries its zone.
	From netip.Addr
	// URI is an underlay address such as "tls://203.0.113.5:3740", from a medium
	// that has no room for records. With ?key= it is called as that node;
	// without, whoever answers must show that it belongs, or is left again.
	URI string
	// Proved says that the medium itself has shown that whoever sent the record
	// in clear holds a secret of the community.
	Proved bool
}
