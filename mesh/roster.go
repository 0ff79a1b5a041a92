package mesh

import (
	"encoding/hex"
	"time"
)

// A Community is a group of machines and people that trust one founder. Open
// communities have no founder: whoever knows the name belongs.
type Community struct {
	ID      [32]byte // SHA-256(founder ‖ name ‖ nonce), or of the name alone when open
	Name    string
	Founder PubKey // zero when open
	Open    bool
}

// Tag names the community where bytes are few; it never changes. Gossip topics
// carry it as 16 hexadecimal digits.
func (c Community) Tag() string { return hex.EncodeToString(c.ID[:8]) }

// A Standing is what a key is to a community.
type Standing uint8

// The standings of a key.
const (
	Stranger Standing = iota
	Banned
	Guest   // has a pass that has not run out
	Person  // a member who is not a machine
	Machine // a member node: admitted at the gate too
	Admin
	Founder
)

var standingNames = [...]string{"stranger", "banned", "guest", "person", "machine", "admin", "founder"}

// String returns the standing's name.
func (s Standing) String() string {
	if int(s) < len(standingNames) {
		return standingNames[s]
	}
	return "unknown"
}

// Member reports whether the standing lets a key write in its own right.
func (s Standing) Member() bool { return s >= Person }

// A Roster knows who belongs. Safe for concurrent use.
type Roster interface {
	Community() Community
	// Standing tells what an author is at a time; passes run out.
	Standing(author PubKey, now time.Time) Standing
	// Admits tells whether a machine may open more than the roster protocol.
	Admits(node NodeKey) bool
	// Nodes lists the machines that belong, this one included, sorted.
	Nodes() []NodeKey
	// Changed returns a channel that is closed at the next change.
	Changed() <-chan struct{}
}
