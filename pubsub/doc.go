// Package pubsub is the carrier "gossip": news travels by gossipsub, and what a
// node missed comes by history sync, both over libp2p between member machines.
//
// # Gossip
//
// Each topic T of the community with tag G is the gossipsub topic "drey/1/G/T",
// so the topic needs no bytes of its own. A message is
//
//	version  0x01
//	event    the rest, in the binary form of package mesh
//
// without gossipsub's author, sequence number or signature: the event brings
// its own. A message's id is the first 16 bytes of SHA-256(message), not the
// event's id: that one does not cover the signature, and a forger could send an
// event first with a wrong signature to make its neighbours overlook the real
// one.
//
// # History sync
//
// On a stream "/drey/sync/1" the side that opened it asks and the other
// answers. Both send frames:
//
//	length  uvarint, of what follows: 1 to 131,072
//	type    byte
//	body    by type
//
//	1 hello   floor uint32                 first, from both: see mesh.Archive.Floor
//	2 open    set byte, first, last place  asker: let us compare from first to last, both included
//	3 narrow  first place                  answerer: too much for me at once, begin here
//	4 compare a negentropy message         in turns, until the asker knows both differences
//	5 want    ids of 32 bytes, 0 to 256    either: send me these; 0 only after an offer
//	6 give    entries, at least 1          either: what was wanted, in any order
//	7 offer   ids of 32 bytes, 1 to 256    asker: these you lack; answered by want
//	8 bye     nothing                      asker, then answerer: all done
//	9 sorry   code byte                    either, then the stream is reset
//
// The sets are 0, events in the topic "registry", and 1, everything once known,
// tombstones included. A place in the order of (created_at, id) is
//
//	created uint32
//	n       byte, at most 32
//	prefix  [n]byte of an id, filled up with 0x00 in a first place and with 0xff
//	        in a last one; it does not end in its filling
//
// An entry of give is
//
//	form  byte
//	      1 event      topic: byte length and letters; event: uvarint length and binary form
//	      2 again      event in the topic of the entry before: uvarint length and binary form
//	      3 gone       reason byte (see mesh.Reason), created uint32, id [32]byte
//	      4 not here   id [32]byte
//
// The codes of sorry are 1, busy, and 2, you broke the protocol. All numbers
// are big endian; uvarints are minimal; whatever this text does not allow ends
// the stream.
package pubsub
