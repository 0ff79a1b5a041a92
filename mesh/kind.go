package mesh

// A Kind says what an event is for (NIP-01).
type Kind uint16

// The kinds that nodes treat in a way of their own. docs/PROTOCOL.md lists
// every kind that the project defines.
const (
	KindProfile     Kind = 0     // NIP-01: who an author is
	KindNote        Kind = 1     // NIP-10: a line of chat, an alert
	KindContacts    Kind = 3     // NIP-02
	KindDeletion    Kind = 5     // NIP-09
	KindRepost      Kind = 6     // NIP-18
	KindReaction    Kind = 7     // NIP-25
	KindSeal        Kind = 13    // NIP-59: never on its own
	KindPrivateNote Kind = 14    // NIP-17: never on its own
	KindGiftWrap    Kind = 1059  // NIP-59
	KindRoster      Kind = 3739  // ours: who belongs, see roster
	KindPass        Kind = 3740  // ours: a guest may post for a while
	KindRelayList   Kind = 10002 // NIP-65
	KindInboxRelays Kind = 10050 // NIP-17
	KindPeerRecord  Kind = 30078 // NIP-78 with d = drey/peer/…
	KindTopic       Kind = 33739 // ours: a topic exists; d is its name
)

// Ephemeral reports whether events of this kind are passed on but not kept.
func (k Kind) Ephemeral() bool { return k >= 20000 && k < 30000 }

// Replaceable reports whether only an author's newest event of this kind counts.
func (k Kind) Replaceable() bool {
	return k == KindProfile || k == KindContacts || k >= 10000 && k < 20000
}

// Addressable reports whether only an author's newest event of this kind and
// "d" tag counts.
func (k Kind) Addressable() bool { return k >= 30000 && k < 40000 }

// Supersedes reports whether e takes the place of old: same author, kind and
// address, and newer, or as new with the lower id (NIP-01).
func (e *Event) Supersedes(old *Event) bool {
	if e.author != old.author || e.kind != old.kind || e.id == old.id {
		return false
	}
	switch {
	case e.kind.Replaceable():
	case e.kind.Addressable():
		a, _ := e.Tag("d")
		b, _ := old.Tag("d")
		if a != b {
			return false
		}
	default:
		return false
	}
	if e.created != old.created {
		return e.created > old.created
	}
	return string(e.id[:]) < string(old.id[:])
}
