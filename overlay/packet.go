package overlay

import (
	"encoding/binary"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

const ipv6HeaderLen = header.IPv6MinimumSize

// A packetHead is what the gate needs to know of an IPv6 packet.
type packetHead struct {
	src, dst         netip.Addr
	proto            byte   // 6 for TCP, 58 for ICMPv6
	srcPort, dstPort uint16 // of TCP
	opens            bool   // TCP: asks for a new connection
	size             int    // bytes of the whole packet
}

const (
	protoTCP    = byte(header.TCPProtocolNumber)
	protoICMPv6 = byte(header.ICMPv6ProtocolNumber)
)

// parsePacket reads the head of a whole IPv6 packet. It refuses what no node
// of ours sends: other versions, wrong lengths, extension headers, fragments
// and every protocol but TCP and ICMPv6.
func parsePacket(b []byte) (packetHead, bool) {
	if len(b) < ipv6HeaderLen || b[0]>>4 != 6 {
		return packetHead{}, false
	}
	h := packetHead{
		src:   netip.AddrFrom16([16]byte(b[8:24])),
		dst:   netip.AddrFrom16([16]byte(b[24:40])),
		proto: b[6],
		size:  len(b),
	}
	payload := b[ipv6HeaderLen:]
	if int(binary.BigEndian.Uint16(b[4:])) != len(payload) {
		return packetHead{}, false
	}
	switch h.proto {
	case protoTCP:
		if len(payload) < header.TCPMinimumSize {
			return packetHead{}, false
		}
		h.srcPort, h.dstPort = binary.BigEndian.Uint16(payload), binary.BigEndian.Uint16(payload[2:])
		h.opens = header.TCP(payload).Flags()&(header.TCPFlagSyn|header.TCPFlagAck) == header.TCPFlagSyn
	case protoICMPv6:
		if len(payload) < header.ICMPv6MinimumSize {
			return packetHead{}, false
		}
	default:
		return packetHead{}, false
	}
	return h, true
}

// appendEcho appends an ICMPv6 echo packet.
func appendEcho(b []byte, kind header.ICMPv6Type, src, dst netip.Addr, ident, seq uint16, data []byte) []byte {
	start := len(b)
	size := header.ICMPv6EchoMinimumSize + len(data)
	b = append(b, make([]byte, ipv6HeaderLen+header.ICMPv6EchoMinimumSize)...)
	b = append(b, data...)
	srcAddr, dstAddr := tcpip.AddrFrom16(src.As16()), tcpip.AddrFrom16(dst.As16())
	header.IPv6(b[start:]).Encode(&header.IPv6Fields{
		PayloadLength:     uint16(size),
		TransportProtocol: header.ICMPv6ProtocolNumber,
		HopLimit:          64,
		SrcAddr:           srcAddr,
		DstAddr:           dstAddr,
	})
	echo := header.ICMPv6(b[start+ipv6HeaderLen:])
	echo.SetType(kind)
	echo.SetIdent(ident)
	echo.SetSequence(seq)
	echo.SetChecksum(header.ICMPv6Checksum(header.ICMPv6ChecksumParams{Header: echo, Src: srcAddr, Dst: dstAddr}))
	return b
}

// An echo is a parsed ICMPv6 echo request or reply.
type echo struct {
	kind       header.ICMPv6Type
	ident, seq uint16
	data       []byte // the packet's own
}

// parseEcho parses a packet that parsePacket took for ICMPv6.
func parseEcho(b []byte) (echo, bool) {
	p := header.ICMPv6(b[ipv6HeaderLen:])
	if len(p) < header.ICMPv6EchoMinimumSize || p.Code() != 0 {
		return echo{}, false
	}
	if p.Type() != header.ICMPv6EchoRequest && p.Type() != header.ICMPv6EchoReply {
		return echo{}, false
	}
	ip := header.IPv6(b)
	sum := header.PseudoHeaderChecksum(header.ICMPv6ProtocolNumber, ip.SourceAddress(), ip.DestinationAddress(), uint16(len(p)))
	if checksum.Checksum(p, sum) != 0xffff {
		return echo{}, false
	}
	return echo{kind: p.Type(), ident: p.Ident(), seq: p.Sequence(), data: p[header.ICMPv6EchoMinimumSize:]}, true
}

// sumTCP fills in the checksum of a whole IPv6 packet when it carries TCP
// (RFC 9293, section 3.1). What is routed may end at any kernel behind a
// Yggdrasil daemon, and that looks at it.
func sumTCP(packet []byte) {
	head, ok := parsePacket(packet)
	if !ok || head.proto != protoTCP {
		return
	}
	segment := header.TCP(packet[ipv6HeaderLen:])
	segment.SetChecksum(0)
	sum := header.PseudoHeaderChecksum(header.TCPProtocolNumber,
		tcpip.AddrFrom16(head.src.As16()), tcpip.AddrFrom16(head.dst.As16()), uint16(len(segment)))
	segment.SetChecksum(^checksum.Checksum(segment, sum))
}
