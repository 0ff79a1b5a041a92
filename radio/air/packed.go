package air

import "drey/mesh"

// A packed event frame:
//
//	head   byte    (number of events − 1) << 4 | topic code of the first
//	time   uint32  created_at of the first
//	events         1 to 3, each:
//	  form   byte      kind code << 4 | author << 2 | content
//	  kind   uvarint   where the kind code is 15
//	  tags   byte      not where the kind code is 0: see below
//	  topic  byte      topic code, where the tags byte says so
//	  time   uvarint   zigzag of created_at less the first's; not in the first
//	  author           0: hint [4]byte · 1: key [32]byte · 2: as the event before, nothing
//	  check  [2]byte   of the event's id: tells candidates apart for the price of a hash
//	  sig    [64]byte  without its last 4 where the head says so: see cut.go
//	  tags             see table.go and encode.go
//	  content          0: empty · 1: text · 2: bytes whose base64 it is: uvarint length and they ·
//	                   3: text of more than one line, not in the frame's last event: uvarint line feeds
//	text   []byte  to the end: the frame's texts, compressed together
//
// With 0x80 in the head the signatures are without their last 4 bytes. With 0xc0
// they are, too, and everything else about an event is shorter: see note.go.
//
// Kind code 0 is a note (kind 1) whose only tag is ["t", topic]. Otherwise the
// tags byte holds: 0x80 the first tag is ["t", topic]; 0x40 the topic is not
// that of the event before; and the number of tags that follow, 63 for a byte
// of its own.
//
// The texts, in the order in which they are met (topic names, of each event the
// tags' and the content), are joined by line feeds; the last text is all that
// is left, others are a line each, or as many more as content 3 says. No text
// at all: nothing follows.
const (
	kindNote  = 0 // a note whose only tag is its topic
	kindOther = 15

	authorHint  = 0
	authorWhole = 1
	authorSame  = 2

	contentNone  = 0
	contentText  = 1
	contentBytes = 2
	contentLines = 3

	tagsTopic = 0x80
	tagsOther = 0x40
	tagsMany  = 63

	maxWholeText = 4 * MaxText // of a set of fragments
	packedHead   = 1 + 4
)

// kinds are the kinds with a code of their own, from 1 on.
var kinds = [...]mesh.Kind{
	1: mesh.KindNote, mesh.KindReaction, 9, mesh.KindDeletion, mesh.KindRepost, mesh.KindProfile, 1111,
	mesh.KindGiftWrap, mesh.KindPeerRecord, mesh.KindRoster, mesh.KindPass, mesh.KindTopic, 3741, mesh.KindRelayList,
}

// A tag begins with a byte: mode << 5 | shape.
const (
	shapeItems     = 0 // mode items, 7 for a uvarint; each a value
	shapeLabel     = 1 // ["L","drey"],["l",labels[mode],"drey"]: two tags
	shapeD         = 2 // ["d", text]
	shapeH         = 3 // ["h", text]
	shapeK         = 4 // ["k", uvarint]
	shapeExpires   = 5 // ["expiration", zigzag of it less created_at]
	shapeE         = 6 // ["e", reference]; mode is the reference's
	shapeERelay    = 7 // ["e", reference, relay]; a byte: mode of a key << 5 | relay
	shapeERoot     = 8 // ["e", reference, relay, "root"]
	shapeEReply    = 9
	shapeERootKey  = 10 // ["e", reference, relay, "root", key]
	shapeEReplyKey = 11
	shapeEKey      = 12 // ["e", reference, relay, key]
	shapeQ         = 13 // ["q", reference, relay, key]
	shapeP         = 14 // ["p", key]; mode is the key's
	shapeA         = 15 // ["a", "kind:key:text"]; key, uvarint kind
	shapeTopic     = 16 // 16 to 30: ["t", a topic with a code]
	shapeT         = 31 // ["t", text]
)

// Modes of a reference.
const (
	refWhole  = 0 // [32]byte
	refPrefix = 1 // [6]byte: an event that travelled on this channel
	refFrame  = 2 // byte: number of an earlier event in this frame
	refAgain  = 3 // the reference before, in this event
)

// Modes of a key.
const (
	keyWhole = 0 // [32]byte
	keyHint  = 1 // [4]byte
	keyOwn   = 2 // the event's author
	keyAgain = 3 // the key before, in this event
	keyRef   = 4 // 4 to 7: author of the event's first to fourth reference
)

// A value in shapeItems begins with a byte.
const (
	valueText   = 0 // a text without line feed
	valueKey    = 1 // [32]byte in hexadecimal
	valueHex    = 2 // uvarint length, bytes in hexadecimal
	valueNumber = 3 // uvarint in decimal
	valueEmpty  = 4
	valueStd    = 5 // uvarint length, bytes in base64
	valueURL    = 6 // uvarint length, bytes in base64url without padding
	valueInline = 7 // uvarint length, text as it is
	valueNode   = 8 // uint32: "!a1b2c3d4"
	valuePacket = 9 // two uint32: "!a1b2c3d4:9f3c21aa"
	valueWord   = 16
)
