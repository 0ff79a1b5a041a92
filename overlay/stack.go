package overlay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

const (
	nicID = 1
	// Buffers of one TCP connection, in bytes. What is in flight must fit
	// into the queues on the way, see maxQueued and maxMessage.
	tcpBufferLeast   = 4 << 10
	tcpBufferDefault = 1 << 20
	tcpBufferMost    = 3 << 19
	acceptBacklog    = 64
	// routedSegment bounds TCP segments on paths through other routers: 16 kB
	// packets, of which the stock queue of a Yggdrasil node holds eight.
	routedSegment = 16384 - 60
)

// A userStack is IPv6 and TCP in this process, with one address and one card.
type userStack struct {
	stack *stack.Stack
	self  netip.Addr
}

func newUserStack(self netip.Addr, card *nic) (*userStack, error) {
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv6.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol},
	})
	sack := tcpip.TCPSACKEnabled(true)
	send := tcpip.TCPSendBufferSizeRangeOption{Min: tcpBufferLeast, Default: tcpBufferDefault, Max: tcpBufferMost}
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: tcpBufferLeast, Default: tcpBufferDefault, Max: tcpBufferMost}
	moderate := tcpip.TCPModerateReceiveBufferOption(true)
	// RACK takes a scheduler's pause for a loss: it resends what was not lost
	// and shrinks the window, which costs more than it saves on links whose
	// round trip is shorter than such a pause.
	recovery := tcpip.TCPRecovery(0)
	for _, option := range []tcpip.SettableTransportProtocolOption{&sack, &send, &receive, &moderate, &recovery} {
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, option); err != nil {
			return nil, fmt.Errorf("userspace TCP: %s", err)
		}
	}
	if err := s.CreateNIC(nicID, card); err != nil {
		return nil, fmt.Errorf("userspace network card: %s", err)
	}
	address := tcpip.ProtocolAddress{
		Protocol:          ipv6.ProtocolNumber,
		AddressWithPrefix: tcpip.AddrFrom16(self.As16()).WithPrefix(),
	}
	if err := s.AddProtocolAddress(nicID, address, stack.AddressProperties{}); err != nil {
		return nil, fmt.Errorf("userspace address: %s", err)
	}
	prefix := overlayPrefix.Addr().As16()
	subnet, err := tcpip.NewSubnet(tcpip.AddrFrom16(prefix), tcpip.MaskFromBytes(net.CIDRMask(overlayPrefix.Bits(), 128)))
	if err != nil {
		return nil, fmt.Errorf("userspace route: %w", err)
	}
	s.SetRouteTable([]tcpip.Route{{Destination: subnet, NIC: nicID}})
	return &userStack{s, self}, nil
}

// close drops every connection and waits until the stack is at rest.
func (u *userStack) close() {
	u.stack.RemoveNIC(nicID)
	u.stack.Close()
	u.stack.Wait()
}

// dial opens a TCP connection to the overlay address to. mss, when not zero,
// bounds the segments both ways.
func (u *userStack) dial(ctx context.Context, to netip.Addr, port uint16, mss int) (net.Conn, error) {
	var wq waiter.Queue
	ep, terr := u.stack.NewEndpoint(tcp.ProtocolNumber, ipv6.ProtocolNumber, &wq)
	if terr != nil {
		return nil, errors.New(terr.String())
	}
	if mss != 0 {
		if terr := ep.SetSockOptInt(tcpip.MaxSegOption, mss); terr != nil {
			ep.Close()
			return nil, errors.New(terr.String())
		}
	}
	entry, connected := waiter.NewChannelEntry(waiter.WritableEvents | waiter.EventErr | waiter.EventHUp)
	wq.EventRegister(&entry)
	defer wq.EventUnregister(&entry)
	terr = ep.Connect(tcpip.FullAddress{NIC: nicID, Addr: tcpip.AddrFrom16(to.As16()), Port: port})
	if _, started := terr.(*tcpip.ErrConnectStarted); started {
		select {
		case <-ctx.Done():
			ep.Close()
			return nil, fmt.Errorf("connect to [%s]:%d: %w", to, port, ctx.Err())
		case <-connected:
			terr = ep.LastError()
		}
	}
	if terr != nil {
		ep.Close()
		return nil, fmt.Errorf("connect to [%s]:%d: %s", to, port, terr)
	}
	return gonet.NewTCPConn(&wq, ep), nil
}

// listen opens a TCP port on the node's own address.
func (u *userStack) listen(port uint16) (net.Listener, error) {
	var wq waiter.Queue
	ep, terr := u.stack.NewEndpoint(tcp.ProtocolNumber, ipv6.ProtocolNumber, &wq)
	if terr != nil {
		return nil, errors.New(terr.String())
	}
	if terr := ep.Bind(tcpip.FullAddress{NIC: nicID, Addr: tcpip.AddrFrom16(u.self.As16()), Port: port}); terr != nil {
		ep.Close()
		return nil, fmt.Errorf("listen on [%s]:%d: %s", u.self, port, terr)
	}
	if terr := ep.Listen(acceptBacklog); terr != nil {
		ep.Close()
		return nil, fmt.Errorf("listen on [%s]:%d: %s", u.self, port, terr)
	}
	return gonet.NewTCPListener(u.stack, &wq, ep), nil
}
