package overlay

import (
	"encoding/binary"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// A kernel that looks at the checksum finds it right, whatever it was before.
func TestSumTCP(t *testing.T) {
	for _, size := range []int{header.TCPMinimumSize, 33, 1220, 65475} {
		packet := make([]byte, ipv6HeaderLen+size)
		packet[0], packet[6] = 0x60, protoTCP
		binary.BigEndian.PutUint16(packet[4:], uint16(size))
		for i := range packet[8:] {
			packet[8+i] = byte(i * 13)
		}
		packet[ipv6HeaderLen+12] = 5 << 4
		sumTCP(packet)
		// RFC 9293 by the book: pseudo header and segment add up to all ones.
		pseudo := append([]byte{}, packet[8:40]...)
		pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(size))
		pseudo = append(pseudo, 0, 0, 0, protoTCP)
		if sum := checksum.Checksum(packet[ipv6HeaderLen:], checksum.Checksum(pseudo, 0)); sum != 0xffff {
			t.Errorf("%d bytes of TCP: everything adds up to %#04x, want 0xffff", size, sum)
		}
	}
	echo := []byte{0x60, 0, 0, 0, 0, 8, protoICMPv6}
	before := string(echo)
	sumTCP(echo) // too short, and not TCP
	if string(echo) != before {
		t.Error("what is no TCP was changed")
	}
}
