package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// lanPacket bounds what is read of a packet from the local network; what is
// longer is cut, and then refused.
const lanPacket = 9000

// A lanSocket speaks IPv4 and IPv6 on one UDP port of every interface that is
// up, beside whoever else uses that port. Either family may be missing.
type lanSocket struct {
	four *ipv4.PacketConn
	six  *ipv6.PacketConn
}

// openLAN opens the port.
func openLAN(ctx context.Context, port int) (*lanSocket, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			failed = errors.Join(
				syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1),
				syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_BROADCAST, 1),
			)
		})
		return errors.Join(err, failed)
	}}
	s := &lanSocket{}
	four, err4 := config.ListenPacket(ctx, "udp4", fmt.Sprintf("0.0.0.0:%d", port))
	if err4 == nil {
		s.four = ipv4.NewPacketConn(four)
		s.four.SetControlMessage(ipv4.FlagInterface, true)
		s.four.SetMulticastLoopback(true)
		s.four.SetMulticastTTL(255) // RFC 6762, section 11
	}
	six, err6 := config.ListenPacket(ctx, "udp6", fmt.Sprintf("[::]:%d", port))
	if err6 == nil {
		s.six = ipv6.NewPacketConn(six)
		s.six.SetControlMessage(ipv6.FlagInterface, true)
		s.six.SetMulticastLoopback(true)
		s.six.SetMulticastHopLimit(255)
	}
	if s.four == nil && s.six == nil {
		return nil, errors.Join(err4, err6)
	}
	return s, nil
}

func (s *lanSocket) close() {
	if s.four != nil {
		s.four.Close()
	}
	if s.six != nil {
		s.six.Close()
	}
}

// A heard is one packet from the local network. Data is valid until the next.
type heard struct {
	data []byte
	from netip.AddrPort // a link-local address with its zone
	zone int            // the index of the interface; 0 when not known
}

// hear hands every packet of both families to take until ctx ends or a socket
// fails. take is called from two goroutines.
func (s *lanSocket) hear(ctx context.Context, take func(heard)) error {
	fail := make(chan error, 2)
	families := 0
	if s.four != nil {
		families++
		go func() { fail <- s.hearOn(ctx, s.readFour, take) }()
	}
	if s.six != nil {
		families++
		go func() { fail <- s.hearOn(ctx, s.readSix, take) }()
	}
	err := <-fail
	s.close() // one that fails ends the other
	for range families - 1 {
		<-fail
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (s *lanSocket) hearOn(ctx context.Context, read func([]byte) (int, int, net.Addr, error), take func(heard)) error {
	stop := context.AfterFunc(ctx, s.close)
	defer stop()
	buf := make([]byte, lanPacket)
	for {
		n, zone, from, err := read(buf)
		if err != nil {
			if passing(err) {
				continue
			}
			return err
		}
		at, ok := from.(*net.UDPAddr)
		if !ok {
			continue
		}
		ap := at.AddrPort()
		take(heard{data: buf[:n], from: netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), zone: zone})
	}
}

// passing reports whether a read may go on: a host has said that a port is
// closed, or an interface went away.
func passing(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETDOWN) || errors.Is(err, syscall.EINTR)
}

func (s *lanSocket) readFour(b []byte) (int, int, net.Addr, error) {
	n, control, from, err := s.four.ReadFrom(b)
	if control == nil {
		return n, 0, from, err
	}
	return n, control.IfIndex, from, err
}

func (s *lanSocket) readSix(b []byte) (int, int, net.Addr, error) {
	n, control, from, err := s.six.ReadFrom(b)
	if control == nil {
		return n, 0, from, err
	}
	return n, control.IfIndex, from, err
}

// sendFour sends over one interface.
func (s *lanSocket) sendFour(b []byte, i net.Interface, to net.IP, port int) error {
	if s.four == nil {
		return net.ErrClosed
	}
	_, err := s.four.WriteTo(b, &ipv4.ControlMessage{IfIndex: i.Index}, &net.UDPAddr{IP: to, Port: port})
	return err
}

// sendSix sends over one interface.
func (s *lanSocket) sendSix(b []byte, i net.Interface, to net.IP, port int) error {
	if s.six == nil {
		return net.ErrClosed
	}
	_, err := s.six.WriteTo(b, &ipv6.ControlMessage{IfIndex: i.Index}, &net.UDPAddr{IP: to, Port: port, Zone: i.Name})
	return err
}

// lanInterfaces lists the interfaces of local networks that are up.
func lanInterfaces(flag net.Flags) []net.Interface {
	all, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var use []net.Interface
	for _, i := range all {
		if want := net.FlagUp | net.FlagRunning | flag; i.Flags&want == want && i.Flags&net.FlagPointToPoint == 0 {
			use = append(use, i)
		}
	}
	return use
}

// addressesOf lists an interface's addresses, IPv4 first.
func addressesOf(i net.Interface) (four, six []netip.Prefix) {
	addrs, err := i.Addrs()
	if err != nil {
		return nil, nil
	}
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		switch {
		case err != nil:
		case p.Addr().Is4():
			four = append(four, p)
		default:
			six = append(six, p)
		}
	}
	return four, six
}

// onLink reports whether an address belongs to one of an interface's networks:
// others come through a router, or are forged.
func onLink(a netip.Addr, networks []netip.Prefix) bool {
	return a.IsLinkLocalUnicast() || slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a.WithZone("")) })
}
