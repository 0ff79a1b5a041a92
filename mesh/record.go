package mesh

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// Limits of a peer record.
const (
	MaxPeerRecord = 512 // bytes
	MaxEndpoints  = 16  // in one record
)

// A PeerRecord is what a node says about itself: who it is, what it can do and
// where it can be reached. The same bytes travel in every finder, in the
// roster and in the answer to an invite. On the wire:
//
//	version   byte       1
//	node      [32]byte   Ed25519 key
//	signature [64]byte   Ed25519 by node, over "drey/1/record", a zero byte and all that is not the signature
//	author    [32]byte   the key that signs the node's events
//	community [8]byte    first bytes of the community's id
//	seq       uint32     big endian; of two records of one node the higher counts
//	issued    uint32     big endian, Unix seconds by the node's clock
//	lifetime  uint16     big endian, hours
//	abilities uint16     big endian, a bit each
//	endpoints            until the end, see appendEndpoint
//
// It is 149 bytes long without endpoints. No clock decides about a record: its
// age is a hint for the order in which records are tried.
type PeerRecord struct {
	Node      NodeKey
	Author    PubKey
	Community [8]byte // zero: not said
	Seq       uint32
	Issued    Unix
	Lifetime  time.Duration // whole hours, up to 65535
	Abilities Abilities
	Endpoints []Endpoint // at most MaxEndpoints, the likeliest first
	Signature [64]byte
}

// Abilities are what a node offers to others.
type Abilities uint16

// The abilities. Bits that this version does not know are kept.
const (
	AbleRelay   Abilities = 1 << iota // a Nostr relay at its web endpoints
	AbleRadio                         // a LoRa radio is attached
	AbleGateway                       // carries to and from public relays
	AbleMailbox                       // keeps mail for others
	AbleTransit                       // its underlay passes on what is not for it
)

var abilityNames = [...]string{"relay", "radio", "gateway", "mailbox", "transit"}

// String lists the abilities, separated by commas.
func (a Abilities) String() string {
	var names []string
	for i := range 16 {
		switch {
		case a>>i&1 == 0:
		case i < len(abilityNames):
			names = append(names, abilityNames[i])
		default:
			names = append(names, fmt.Sprintf("bit-%d", i))
		}
	}
	return strings.Join(names, ",")
}

const (
	recordVersion = 1
	recordSigned  = 1 + 32 + 64 // where the payload begins
	recordHead    = recordSigned + 32 + 8 + 4 + 4 + 2 + 2
	recordDomain  = "drey/1/record\x00"
)

// SignPeerRecord signs what r says with the keys of its own node: it sets
// Node, Author and Signature of a copy. It refuses what ParsePeerRecord would.
func (i *Identity) SignPeerRecord(r PeerRecord) (*PeerRecord, error) {
	r.Node, r.Author, r.Signature = i.NodeKey(), i.Author.PubKey(), [64]byte{}
	if r.Lifetime%time.Hour != 0 || r.Lifetime < 0 || r.Lifetime > 65535*time.Hour {
		return nil, fmt.Errorf("peer record: lifetime %v is not a whole number of hours up to 65535", r.Lifetime)
	}
	for n, e := range r.Endpoints {
		if err := e.check(); err != nil {
			return nil, fmt.Errorf("peer record: endpoint %d: %w", n+1, err)
		}
	}
	b := r.AppendBinary(nil)
	r.Signature = [64]byte(ed25519.Sign(i.Node, recordMessage(b)))
	copy(b[33:], r.Signature[:])
	return ParsePeerRecord(b)
}

// AppendBinary appends the record's wire form.
func (r *PeerRecord) AppendBinary(b []byte) []byte {
	b = append(b, recordVersion)
	b = append(b, r.Node[:]...)
	b = append(b, r.Signature[:]...)
	b = append(b, r.Author[:]...)
	b = append(b, r.Community[:]...)
	b = binary.BigEndian.AppendUint32(b, r.Seq)
	b = binary.BigEndian.AppendUint32(b, uint32(r.Issued))
	b = binary.BigEndian.AppendUint16(b, uint16(r.Lifetime/time.Hour))
	b = binary.BigEndian.AppendUint16(b, uint16(r.Abilities))
	for _, e := range r.Endpoints {
		b = appendEndpoint(b, e)
	}
	return b
}

// ParsePeerRecord reads a record's wire form, all of b. The signature is not
// checked; see Verify.
func ParsePeerRecord(b []byte) (*PeerRecord, error) {
	if len(b) < recordHead || len(b) > MaxPeerRecord {
		return nil, fmt.Errorf("peer record: %d bytes, allowed are %d to %d", len(b), recordHead, MaxPeerRecord)
	}
	if b[0] != recordVersion {
		return nil, fmt.Errorf("peer record: version %d, known is %d", b[0], recordVersion)
	}
	p := b[recordSigned:]
	r := &PeerRecord{
		Node:      NodeKey(b[1:33]),
		Signature: [64]byte(b[33:recordSigned]),
		Author:    PubKey(p[:32]),
		Community: [8]byte(p[32:40]),
		Seq:       binary.BigEndian.Uint32(p[40:]),
		Issued:    Unix(binary.BigEndian.Uint32(p[44:])),
		Lifetime:  time.Duration(binary.BigEndian.Uint16(p[48:])) * time.Hour,
		Abilities: Abilities(binary.BigEndian.Uint16(p[50:])),
	}
	var err error
	r.Endpoints, err = parseEndpoints(p[52:], MaxEndpoints)
	if err != nil {
		return nil, fmt.Errorf("peer record: %w", err)
	}
	return r, nil
}

// Verify reports whether the node signed the record. Nobody can for a key of
// low order.
func (r *PeerRecord) Verify() error {
	if _, err := r.Node.Exchange(); err != nil {
		return fmt.Errorf("peer record: %w", err)
	}
	if !ed25519.Verify(r.Node[:], recordMessage(r.AppendBinary(nil)), r.Signature[:]) {
		return fmt.Errorf("peer record of %s: signature does not match", r.Node)
	}
	return nil
}

// recordMessage returns what the node signs: everything but the signature.
func recordMessage(b []byte) []byte {
	m := make([]byte, 0, len(recordDomain)+len(b)-64)
	m = append(m, recordDomain...)
	m = append(m, b[:33]...)
	return append(m, b[recordSigned:]...)
}

// Supersedes reports whether r takes the place of old, a record of the same
// node: the higher sequence number does. Two records of one number are a
// node's mistake; the greater bytes then count, so that all agree.
func (r *PeerRecord) Supersedes(old *PeerRecord) bool {
	if r.Node != old.Node {
		return false
	}
	if r.Seq != old.Seq {
		return r.Seq > old.Seq
	}
	return bytes.Compare(r.AppendBinary(nil), old.AppendBinary(nil)) > 0
}
