package overlay

import (
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"drey/mesh"
)

const (
	// mtu is the largest IPv6 packet between neighbours. With few large
	// packets the cost per packet fades; see docs/BENCHMARKS.md.
	mtu = 65535
	// maxRouted bounds the bytes that wait to be handed to Yggdrasil.
	maxRouted = 4 << 20
)

// A nic is the network card of the userspace IPv6 stack. What goes out is
// sent straight to a neighbour where one is linked, else through Yggdrasil's
// router; what comes in passes the gate first.
type nic struct {
	log   *slog.Logger
	self  netip.Addr
	gate  *gate
	near  func(mesh.NodeKey) *neighbour
	route func(mesh.NodeKey, ...[]byte)
	pings pings

	attached atomic.Pointer[stack.NetworkDispatcher]
	lost     atomic.Uint64 // packets dropped on the way out: no key known, or no room

	out struct {
		sync.Mutex
		packets []routedPacket
		bytes   int
	}
	wake chan struct{} // holds one: packets is not empty
}

type routedPacket struct {
	to   mesh.NodeKey
	data []byte
}

func newNIC(self netip.Addr, g *gate, near func(mesh.NodeKey) *neighbour, route func(mesh.NodeKey, ...[]byte), log *slog.Logger) *nic {
	return &nic{log: log, self: self, gate: g, near: near, route: route, wake: make(chan struct{}, 1)}
}

// run hands packets to Yggdrasil until stop is closed. It has a goroutine of
// its own because Yggdrasil may make a writer wait for its reader.
func (n *nic) run(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-n.wake:
		}
		n.out.Lock()
		batch := n.out.packets
		n.out.packets, n.out.bytes = nil, 0
		n.out.Unlock()
		for _, p := range batch {
			n.route(p.to, p.data)
		}
	}
}

// send carries one packet, given as parts, to a node; it copies them.
func (n *nic) send(to mesh.NodeKey, parts ...[]byte) bool {
	if near := n.near(to); near != nil {
		return near.send(parts...)
	}
	size := 0
	for _, part := range parts {
		size += len(part)
	}
	data := make([]byte, 0, size)
	for _, part := range parts {
		data = append(data, part...)
	}
	sumTCP(data)
	n.out.Lock()
	fits := n.out.bytes+size <= maxRouted
	if fits {
		n.out.packets = append(n.out.packets, routedPacket{to, data})
		n.out.bytes += size
	}
	n.out.Unlock()
	if !fits {
		n.lost.Add(1)
		return false
	}
	select {
	case n.wake <- struct{}{}:
	default:
	}
	return true
}

// A sender is the node that a packet is known to come from. Its address is
// kept beside the key because making it costs as much as a packet's way up.
type sender struct {
	key  mesh.NodeKey
	addr netip.Addr
}

func senderOf(key mesh.NodeKey) sender { return sender{key, AddressOf(key)} }

// receive takes over one packet that the node from is known to have sent.
func (n *nic) receive(from sender, view *buffer.View) {
	packet := view.AsSlice()
	head, ok := parsePacket(packet)
	if !ok || head.dst != n.self || head.src != from.addr {
		n.gate.refuse(refusedPacket)
		ok = false
	} else {
		ok = n.gate.packet(from.key, head)
	}
	dispatcher := n.attached.Load()
	if !ok || dispatcher == nil {
		view.Release()
		return
	}
	if head.proto == protoICMPv6 {
		n.receiveEcho(from.key, head, packet)
		view.Release()
		return
	}
	// The stack copies the view that holds the headers: let it be a small one.
	size := ipv6HeaderLen + int(header.TCP(packet[ipv6HeaderLen:]).DataOffset())
	if size > len(packet) {
		n.gate.refuse(refusedPacket)
		view.Release()
		return
	}
	whole := buffer.MakeWithData(packet[:size])
	view.TrimFront(size)
	if view.Size() > 0 {
		whole.Append(view)
	} else {
		view.Release()
	}
	p := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: whole})
	(*dispatcher).DeliverNetworkPacket(header.IPv6ProtocolNumber, p)
	p.DecRef()
}

func (n *nic) receiveEcho(from mesh.NodeKey, head packetHead, packet []byte) {
	e, ok := parseEcho(packet)
	if !ok {
		n.gate.refuse(refusedPacket)
		return
	}
	if e.kind == header.ICMPv6EchoReply {
		n.pings.answered(from, e)
		return
	}
	n.send(from, appendEcho(nil, header.ICMPv6EchoReply, n.self, head.src, e.ident, e.seq, e.data))
}

// WritePackets sends what the stack has made; a full queue drops packets, as
// networks do.
func (n *nic) WritePackets(list stack.PacketBufferList) (int, tcpip.Error) {
	for _, p := range list.AsSlice() {
		dst := netip.AddrFrom16(p.EgressRoute.RemoteAddress.As16())
		key, ok := n.gate.keyOf(dst)
		if !ok {
			n.lost.Add(1)
			continue
		}
		n.send(key, p.AsSlices()...)
	}
	return list.Len(), nil
}

// The rest makes nic a stack.LinkEndpoint without a link layer.

func (n *nic) Attach(d stack.NetworkDispatcher) {
	if d == nil {
		n.attached.Store(nil)
		return
	}
	n.attached.Store(&d)
}
func (n *nic) IsAttached() bool               { return n.attached.Load() != nil }
func (*nic) MTU() uint32                      { return mtu }
func (*nic) SetMTU(uint32)                    {}
func (*nic) MaxHeaderLength() uint16          { return 0 }
func (*nic) LinkAddress() tcpip.LinkAddress   { return "" }
func (*nic) SetLinkAddress(tcpip.LinkAddress) {}

// Capabilities tells the stack that checksums are neither made nor looked at:
// every way a packet can come has authenticated each of its bytes.
func (*nic) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityTXChecksumOffload | stack.CapabilityRXChecksumOffload
}

func (*nic) Wait()                                   {}
func (*nic) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareNone }
func (*nic) AddHeader(*stack.PacketBuffer)           {}
func (*nic) ParseHeader(*stack.PacketBuffer) bool    { return true }
func (*nic) Close()                                  {}
func (*nic) SetOnCloseAction(func())                 {}
