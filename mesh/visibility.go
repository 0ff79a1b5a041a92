package mesh

import "slices"

// A Viewer is whoever asks to read. The zero Viewer is a stranger from outside.
type Viewer struct {
	Self   bool     // this node's own parts: sees everything
	Node   bool     // a member machine: holds sealed mail for others
	Member bool     // a person or machine of the community
	Keys   []PubKey // keys the reader has proved to hold
	Topics []Topic  // what a guest may read; ignored for members, nodes and self
}

// Self is the viewer for a node's own parts, which never shows what it reads
// to anyone else without asking Visible again.
var Self = Viewer{Self: true}

// Visible is the one rule of who may read what; every read path asks it:
// subscription, count, search, reconciliation, API, export and sync. Gift
// wraps go to their authenticated recipients and, sealed, to nodes that hold
// mail; letters and word of what was taken go to such nodes alone; protected
// events (NIP-70) stay inside the community.
func Visible(e *Event, t Topic, v Viewer) bool {
	if v.Self {
		return true
	}
	if StaysHere(e) && !v.Member {
		return false
	}
	if e.Kind() == KindGiftWrap {
		return v.Node || slices.ContainsFunc(e.TagValues("p"), func(p string) bool {
			k, err := ParsePubKey(p)
			return err == nil && slices.Contains(v.Keys, k)
		})
	}
	if e.Kind().Sealed() {
		return v.Node // names no recipient, or tells who got what
	}
	if v.Node || v.Member {
		return true
	}
	if _, protected := e.Tag("-"); protected {
		return false
	}
	return slices.Contains(v.Topics, t)
}
