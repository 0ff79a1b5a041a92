package share

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"drey/radio/meshtastic"
)

const (
	self  meshtastic.NodeNum = 0xa1b2c3d4
	maria meshtastic.NodeNum = 0x0000beef
	samu  meshtastic.NodeNum = 0x0000cafe
)

// unknown is a field that this project knows nothing about.
var unknown = []byte{0xfa, 0x3f, 1, 7}

// secretKey must not reach the network.
var secretKey = bytes.Repeat([]byte{0x5e}, 32)

// tell hands the server a radio's account of itself.
func tell(s *Server, name string) {
	s.Begin()
	for _, m := range []*meshtastic.FromRadio{
		{MyInfo: &meshtastic.MyInfo{NodeNum: self, MinApp: 30200}},
		{NodeInfo: &meshtastic.NodeInfo{Num: self, User: &meshtastic.User{ID: self.String(), LongName: name}}},
		{Metadata: &meshtastic.Metadata{Firmware: "2.7.15"}},
		{Channel: &meshtastic.Channel{Name: "", PSK: []byte{1}, Role: meshtastic.RolePrimary}},
		{Channel: &meshtastic.Channel{Index: 1, Name: "drey", PSK: secretKey, Role: meshtastic.RoleSecondary}},
		{Config: &meshtastic.Config{Section: 1, Raw: []byte{8, 1}}},
		{Config: &meshtastic.Config{Section: meshtastic.SectionLoRa, LoRa: &meshtastic.LoRa{Region: meshtastic.RegionUS, TXEnabled: true}}},
		{Config: &meshtastic.Config{Section: meshtastic.SectionNetwork, Raw: append([]byte{0x22, 32}, secretKey...)}},
		{Config: &meshtastic.Config{Section: meshtastic.SectionSecurity, Raw: append([]byte{0x12, 32}, secretKey...)}},
		{Other: &meshtastic.Other{Field: meshtastic.FieldModuleConfig, Bytes: append([]byte{0x0a, 34, 0x22, 32}, secretKey...)}},
		{Other: &meshtastic.Other{Field: meshtastic.FieldModuleConfig, Bytes: []byte{0x12, 0}}},
		{NodeInfo: &meshtastic.NodeInfo{Num: maria, User: &meshtastic.User{LongName: "Maria"}}},
	} {
		raw := meshtastic.AppendFromRadio(nil, m)
		if m.Metadata != nil {
			inner, _, _ := meshtastic.Inner(raw, 13)
			raw, _ = meshtastic.WithBytes(nil, 13, append(inner, unknown...))
		}
		s.Learn(raw, m)
	}
	s.Live()
}

// A phone is a client in a test.
type phone struct {
	t    *testing.T
	conn net.Conn
	said chan *meshtastic.FromRadio
	raw  [][]byte // of everything; read it when the phone has hung up
	gone chan error
}

func dial(t *testing.T, ctx context.Context, s *Server, scope Scope, from string) *phone {
	mine, theirs := net.Pipe()
	p := &phone{t: t, conn: mine, said: make(chan *meshtastic.FromRadio, 10_000), gone: make(chan error, 1)}
	go func() { p.gone <- s.Serve(ctx, theirs, scope, from) }()
	synctest.Wait() // so that clients come in this order
	go func() {
		defer close(p.said)
		var scanner meshtastic.Scanner
		buf := make([]byte, 4096)
		for {
			n, err := mine.Read(buf)
			_, _ = scanner.Write(buf[:n])
			for b := scanner.Next(); b != nil; b = scanner.Next() {
				m, perr := meshtastic.ParseFromRadio(b)
				if perr != nil {
					t.Errorf("the server said %x: %v", b, perr)
					return
				}
				p.raw = append(p.raw, b)
				p.said <- m
			}
			if err != nil {
				return
			}
		}
	}()
	return p
}

func (p *phone) say(m *meshtastic.ToRadio) {
	p.t.Helper()
	if _, err := p.conn.Write(meshtastic.AppendFrame(nil, meshtastic.AppendToRadio(nil, m))); err != nil {
		p.t.Errorf("write: %v", err)
	}
}

// all returns what has been said until nothing moves any more.
func (p *phone) all() []*meshtastic.FromRadio {
	synctest.Wait()
	var list []*meshtastic.FromRadio
	for {
		select {
		case m, ok := <-p.said:
			if !ok {
				return list
			}
			list = append(list, m)
		default:
			return list
		}
	}
}

// configure asks for the account and returns it.
func (p *phone) configure(nonce uint32) []*meshtastic.FromRadio {
	p.say(&meshtastic.ToRadio{WantConfigID: nonce})
	return p.all()
}

func text(to meshtastic.NodeNum, id uint32, words string) *meshtastic.Packet {
	return &meshtastic.Packet{To: to, ID: id, Data: &meshtastic.Data{Port: meshtastic.PortText, Payload: []byte(words)}}
}

func admin(to meshtastic.NodeNum, id uint32, a meshtastic.Admin) *meshtastic.Packet {
	return &meshtastic.Packet{To: to, ID: id, Data: &meshtastic.Data{
		Port: meshtastic.PortAdmin, Payload: meshtastic.AppendAdmin(nil, &a), WantResponse: true,
	}}
}

func heard(s *Server, p *meshtastic.Packet) {
	s.Heard(meshtastic.AppendFromRadio(nil, &meshtastic.FromRadio{Packet: p}), p)
}

// inBubble runs f with a server whose radio is live.
func inBubble(t *testing.T, f func(t *testing.T, ctx context.Context, s *Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		s := New(Config{Admin: true, Hidden: func(c uint32) bool { return c == 1 }})
		f(t, ctx, s)
		stop()
		synctest.Wait()
		if n := s.Status().Clients; n != 0 {
			t.Errorf("%d clients are left", n)
		}
	})
}

// words describes messages in short.
func words(list []*meshtastic.FromRadio) []string {
	var out []string
	for _, m := range list {
		switch {
		case m.MyInfo != nil:
			out = append(out, "me")
		case m.NodeInfo != nil:
			out = append(out, "node "+m.NodeInfo.Num.String())
		case m.Metadata != nil:
			out = append(out, "metadata")
		case m.Channel != nil:
			out = append(out, fmt.Sprintf("channel %d", m.Channel.Index))
		case m.Config != nil:
			out = append(out, fmt.Sprintf("config %d", m.Config.Section))
		case m.Other != nil:
			out = append(out, fmt.Sprintf("other %d", m.Other.Field))
		case m.QueueStatus != nil:
			out = append(out, fmt.Sprintf("status %x %d", m.QueueStatus.ID, m.QueueStatus.Result))
		case m.Packet != nil && m.Packet.Data.Port == meshtastic.PortRouting:
			e, _, _ := meshtastic.ParseRouting(m.Packet.Data.Payload)
			out = append(out, fmt.Sprintf("routing %x %d", m.Packet.Data.RequestID, e))
		case m.Packet != nil:
			out = append(out, fmt.Sprintf("packet %s %s", m.Packet.From, m.Packet.Data.Payload))
		case m.Rebooted:
			out = append(out, "rebooted")
		case m.ConfigCompleteID != 0:
			out = append(out, fmt.Sprintf("complete %d", m.ConfigCompleteID))
		}
	}
	return out
}

func same(t *testing.T, what string, got []*meshtastic.FromRadio, want ...string) {
	t.Helper()
	if fmt.Sprint(words(got)) != fmt.Sprint(want) {
		t.Errorf("%s: %q, want %q", what, words(got), want)
	}
}

// TestReplay has clients ask for the whole account, for all but the nodes and
// for the nodes only, in the radio's own order and bytes.
func TestReplay(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context, s *Server) {
		tell(s, "hill")
		p := dial(t, ctx, s, Local, "127.0.0.1")
		me, other := "node "+self.String(), "node "+maria.String()
		settings := []string{"metadata", "channel 0", "channel 1", "config 1", "config 6", "config 4", "config 8", "other 9", "other 9"}
		same(t, "all", p.configure(7), append(append([]string{"me", me}, settings...), other, "complete 7")...)
		same(t, "settings", p.configure(meshtastic.NonceConfigOnly), append(append([]string{"me", me}, settings...), "complete 69420")...)
		same(t, "nodes", p.configure(meshtastic.NonceNodesOnly), me, other, "complete 69421")
		p.conn.Close()
		synctest.Wait()
		if !bytes.Contains(bytes.Join(p.raw, nil), unknown) {
			t.Error("a field that is not known here was lost")
		}
	})
}

// TestReplayWaits has a client come before the radio.
func TestReplayWaits(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context, s *Server) {
		p := dial(t, ctx, s, Local, "127.0.0.1")
		same(t, "without a radio", p.configure(7))
		p.say(&meshtastic.ToRadio{Packet: text(meshtastic.Broadcast, 0x10, "hello")})
		same(t, "a text without a radio", p.all(), "status 10 0", "routing 10 4")
		tell(s, "hill")
		if got := p.all(); len(got) != 13 {
			t.Errorf("with a radio: %q", words(got))
		}
		tell(s, "hill")
		same(t, "the same again", p.all())
		tell(s, "valley")
		same(t, "only a name changed", p.all())
		s.Begin()
		m := &meshtastic.FromRadio{MyInfo: &meshtastic.MyInfo{NodeNum: samu}}
		s.Learn(meshtastic.AppendFromRadio(nil, m), m)
		s.Live()
		same(t, "another radio", p.all(), "rebooted")
	})
}

// TestNobodySpeaksForAnother has a client claim to be somebody else.
func TestNobodySpeaksForAnother(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context, s *Server) {
		tell(s, "hill")
		p := dial(t, ctx, s, Network, "192.0.2.7")
		fake := text(meshtastic.Broadcast, 1, "hello")
		fake.From, fake.RelayNode, fake.RxTime = maria, 3, 5
		p.say(&meshtastic.ToRadio{Packet: fake})
		p.all()
		r, ok := s.Next(nil)
		if !ok || r.Packet.From != 0 || r.Packet.RelayNode != 0 || r.Packet.RxTime != 0 {
			t.Errorf("handed to the radio: %+v", r.Packet)
		}
	})
}

// TestSaidTwice has a client say one packet again, as after a lost answer and a
// lost connection, and another say something else under the same number.
func TestSaidTwice(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context, s *Server) {
		tell(s, "hill")
		a, b := dial(t, ctx, s, Local, "x"), dial(t, ctx, s, Local, "x")
		for range 2 {
			a.say(&meshtastic.ToRadio{Packet: text(meshtastic.Broadcast, 7, "once")})
		}
		b.say(&meshtastic.ToRadio{Packet: text(meshtastic.Broadcast, 7, "mine")})
		same(t, "a", a.all(), "status 7 0", "status 7 0")
		a.conn.Close()
		again := dial(t, ctx, s, Local, "x")
		again.say(&meshtastic.ToRadio{Packet: text(meshtastic.Broadcast, 7, "once")})
		same(t, "a, back again", again.all(), "status 7 0")
		same(t, "b", b.all(), "status 7 0")
		n := 0
		for _, ok := s.Next(nil); ok; _, ok = s.Next(nil) {
			n++
		}
		if n != 2 {
			t.Errorf("%d packets for the radio, want 2", n)
		}
	})
}

// TestWhoHears sends packets of every sort and looks who gets them.
func TestWhoHears(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context, s *Server) {
		tell(s, "hill")
		here, abroad := dial(t, ctx, s, Local, "x"), dial(t, ctx, s, Network, "y")
		here.configure(1)
		abroad.configure(1)
		public := text(meshtastic.Broadcast, 1, "public")
		public.From = maria
		heard(s, public)
		want := "packet " + maria.String() + " public"
		same(t, "here, public", here.all(), want)
		same(t, "abroad, public", abroad.all(), want)
		private := text(self, 2, "private")
		private.From = maria
		heard(s, private)
		same(t, "here, private", here.all(), "packet "+maria.String()+" private")
		same(t, "abroad, private", abroad.all())
		abroad.say(&meshtastic.ToRadio{Packet: text(maria, 3, "question")})
		abroad.all()
		heard(s, private)
		same(t, "abroad, an answer", abroad.all(), "packet "+maria.String()+" private")
		here.all()
		s.Own(text(meshtastic.Broadcast, 4, "node"), 0)
		want = "packet " + self.String() + " node"
		same(t, "here, the node's", here.all(), want)
		same(t, "abroad, the node's", abroad.all(), want)
		s.Own(text(meshtastic.Broadcast, 5, "mine"), 1)
		same(t, "here, its own", here.all())
		same(t, "abroad, the other client's", abroad.all(), "packet "+self.String()+" mine")
	})
}

// TestNodesStayFresh has a radio tell its name and place after the account.
func TestNodesStayFresh(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context, s *Server) {
		tell(s, "hill")
		place := meshtastic.Position{Known: true, Latitude: 49.5, Longitude: 24}
		for port, payload := range map[meshtastic.PortNum][]byte{
			meshtastic.PortNodeInfo:  meshtastic.AppendUser(nil, &meshtastic.User{LongName: "Samuel"}),
			meshtastic.PortPosition:  meshtastic.AppendPosition(nil, &place),
			meshtastic.PortTelemetry: meshtastic.AppendTelemetry(nil, 1, &meshtastic.Metrics{Battery: 55}),
		} {
			heard(s, &meshtastic.Packet{From: samu, To: meshtastic.Broadcast, RxTime: 99, Data: &meshtastic.Data{Port: port, Payload: payload}})
		}
		p := dial(t, ctx, s, Local, "x")
		for _, m := range p.configure(meshtastic.NonceNodesOnly) {
			if n := m.NodeInfo; n != nil && n.Num == samu {
				if n.User.LongName != "Samuel" || *n.Position != place || n.Metrics.Battery != 55 || n.LastHeard != 99 {
					t.Errorf("Samuel is %+v", n)
				}
				return
			}
		}
		t.Error("Samuel is not told of")
	})
}

// TestRun listens as soon as there is a radio, says when the port is taken, and
// takes it when it is free again.
func TestRun(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := New(Config{Listen: taken.Addr().String(), Admin: true})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	until := func(what string, ok func(Status) bool) {
		t.Helper()
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for range 24_000 {
			if ok(s.Status()) {
				return
			}
			<-tick.C
		}
		t.Fatalf("%s: %+v", what, s.Status())
	}
	if st := s.Status(); st.Problem != "" || st.Listen != "" {
		t.Errorf("before the radio is there: %+v", st)
	}
	tell(s, "hill")
	until("taken", func(st Status) bool { return st.Problem != "" && st.Fix != "" })
	taken.Close()
	until("free", func(st Status) bool { return st.Listen != "" && st.Problem == "" })
	conn, err := net.Dial("tcp", s.Status().Listen)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(meshtastic.AppendFrame(meshtastic.AppendWake(nil), meshtastic.AppendToRadio(nil, &meshtastic.ToRadio{WantConfigID: 7}))); err != nil {
		t.Fatal(err)
	}
	var scanner meshtastic.Scanner
	buf := make([]byte, 4096)
	for complete := false; !complete; {
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = scanner.Write(buf[:n])
		for b := scanner.Next(); b != nil; b = scanner.Next() {
			m, err := meshtastic.ParseFromRadio(b)
			complete = err == nil && m.ConfigCompleteID == 7
		}
	}
	stop()
	if err := <-done; err != context.Canceled {
		t.Errorf("Run ended with %v", err)
	}
	if _, err := conn.Read(buf); err == nil {
		t.Error("the client is still served")
	}
}
