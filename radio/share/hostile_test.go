package share

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"drey/radio/meshtastic"
)

// TestNetworkSeesNoSecrets looks at every byte that a client from the network
// gets.
func TestNetworkSeesNoSecrets(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context, s *Server) {
		tell(s, "hill")
		p := dial(t, ctx, s, Network, "192.0.2.7")
		if got := p.configure(7); len(got) != 13 {
			t.Errorf("account: %q", words(got))
		}
		s.Answer(1, &meshtastic.FromRadio{Packet: admin(self, 5, meshtastic.Admin{
			Variant: meshtastic.AdminChannel, Bytes: meshtastic.AppendChannel(nil, &meshtastic.Channel{Index: 1, PSK: secretKey}), Passkey: secretKey[:8],
		})})
		s.Answer(1, &meshtastic.FromRadio{Packet: admin(self, 6, meshtastic.Admin{
			Variant: meshtastic.AdminConfig, Bytes: meshtastic.AppendConfig(nil, &meshtastic.Config{Section: meshtastic.SectionSecurity, Raw: secretKey}),
		})})
		heard(s, &meshtastic.Packet{From: maria, To: self, Data: &meshtastic.Data{Port: meshtastic.PortText, Payload: secretKey}})
		heard(s, &meshtastic.Packet{From: maria, To: samu, Data: &meshtastic.Data{Port: meshtastic.PortText, Payload: secretKey}})
		heard(s, &meshtastic.Packet{From: maria, To: meshtastic.Broadcast, Channel: 1, Data: &meshtastic.Data{Port: meshtastic.PortPrivate, Payload: secretKey}})
		s.Own(text(maria, 9, string(secretKey)), 0)
		if got := p.all(); len(got) != 2 {
			t.Errorf("answers and packets: %q", words(got))
		}
		p.conn.Close()
		synctest.Wait()
		if bytes.Contains(bytes.Join(p.raw, nil), secretKey[:8]) {
			t.Error("a secret reached the network")
		}
	})
}

// TestWhoMayDoWhat asks for what changes things, from here and from the
// network. What is refused is answered as a radio does.
func TestWhoMayDoWhat(t *testing.T) {
	set := meshtastic.Admin{Variant: meshtastic.AdminSetChannel, Bytes: []byte{8, 0}}
	get := meshtastic.Admin{Variant: meshtastic.AdminGetChannel, Number: 1}
	both := admin(self, 1, get)
	both.Data.Payload = append(both.Data.Payload, meshtastic.AppendAdmin(nil, &set)...)
	frame := func(port meshtastic.PortNum, to meshtastic.NodeNum, channel uint32) *meshtastic.Packet {
		return &meshtastic.Packet{To: to, ID: 1, Channel: channel, Data: &meshtastic.Data{Port: port, Payload: []byte{1}}}
	}
	long := text(meshtastic.Broadcast, 1, string(make([]byte, 233)))
	for name, c := range map[string]struct {
		p                      *meshtastic.Packet
		local, noAdmin, abroad meshtastic.RoutingError
	}{
		"text":                 {text(meshtastic.Broadcast, 1, "hello"), 0, 0, 0},
		"private text":         {text(maria, 1, "hello"), 0, 0, 0},
		"question":             {admin(self, 1, get), 0, 0, 0},
		"order":                {admin(self, 1, set), 0, 33, 33},
		"reboot":               {admin(self, 1, meshtastic.Admin{Variant: 97, Number: 1}), 0, 33, 33},
		"order to another":     {admin(maria, 1, set), 0, 33, 33},
		"question to another":  {admin(maria, 1, get), 0, 33, 33},
		"order to all":         {admin(meshtastic.Broadcast, 1, set), 0, 33, 33},
		"order in a question":  {both, 32, 32, 32},
		"garbage for settings": {frame(meshtastic.PortAdmin, self, 0), 32, 32, 32},
		"own place":            {frame(meshtastic.PortPosition, self, 0), 0, 0, 33},
		"pins":                 {frame(meshtastic.PortHardware, maria, 0), 0, 0, 33},
		"frame of nodes":       {frame(meshtastic.PortPrivate, meshtastic.Broadcast, 1), 0, 0, 33},
		"frame elsewhere":      {frame(meshtastic.PortPrivate, meshtastic.Broadcast, 0), 0, 0, 0},
		"no such channel":      {frame(meshtastic.PortText, meshtastic.Broadcast, 8), 6, 6, 6},
		"encrypted":            {&meshtastic.Packet{To: maria, ID: 1, Encrypted: []byte{1}}, 32, 32, 32},
		"too long":             {long, 7, 7, 7},
	} {
		t.Run(name, func(t *testing.T) {
			for who, want := range map[string]meshtastic.RoutingError{"local": c.local, "no admin": c.noAdmin, "network": c.abroad} {
				synctest.Test(t, func(t *testing.T) {
					ctx, stop := context.WithCancel(t.Context())
					s := New(Config{Admin: who != "no admin", Hidden: func(c uint32) bool { return c == 1 }})
					tell(s, "hill")
					scope := Local
					if who == "network" {
						scope = Network
					}
					p := dial(t, ctx, s, scope, "x")
					p.say(&meshtastic.ToRadio{Packet: c.p})
					got := p.all()
					_, sent := s.Next(nil)
					if want == 0 {
						same(t, who, got, "status 1 0")
					} else {
						same(t, who, got, "status 1 0", fmt.Sprintf("routing 1 %d", want))
					}
					if sent != (want == 0) {
						t.Errorf("%s: handed to the radio: %v", who, sent)
					}
					stop()
					synctest.Wait()
				})
			}
		})
	}
}

// TestQueueOfSlowReader fills the queue of a client that does not read: the
// oldest texts go, what is no text is dropped, and others miss nothing.
func TestQueueOfSlowReader(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context, s *Server) {
		tell(s, "hill")
		slow, quick := dial(t, ctx, s, Local, "127.0.0.1"), dial(t, ctx, s, Local, "127.0.0.1")
		quick.configure(1)
		for i := range 100 {
			heard(s, text(meshtastic.Broadcast, uint32(i+1), fmt.Sprint(i)))
			heard(s, &meshtastic.Packet{From: maria, To: meshtastic.Broadcast, Data: &meshtastic.Data{Port: meshtastic.PortTelemetry, Payload: []byte{}}})
			if got := quick.all(); len(got) != 2 {
				t.Fatalf("the quick one got %q", words(got))
			}
		}
		if got := s.Status().Dropped; got != 200-queueSize {
			t.Errorf("%d were dropped, want %d", got, 200-queueSize)
		}
		got := slow.configure(2)[13:]
		if len(got) != queueSize {
			t.Fatalf("the slow one got %d", len(got))
		}
		texts := 0
		for _, m := range got {
			if m.Packet.Data.Port == meshtastic.PortText {
				texts++
			}
		}
		if last := string(got[len(got)-1].Packet.Data.Payload); last != "99" || texts != queueSize/2 {
			t.Errorf("%d texts, the last %q", texts, last)
		}
	})
}

// TestFlood has one client send without end: it fills its own places only, is
// told so, and another's turn comes.
func TestFlood(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context, s *Server) {
		tell(s, "hill")
		bad, good := dial(t, ctx, s, Network, "192.0.2.7"), dial(t, ctx, s, Network, "192.0.2.8")
		for i := range 100 {
			bad.say(&meshtastic.ToRadio{Packet: text(meshtastic.Broadcast, uint32(i+1), "flood")})
			synctest.Wait()
		}
		good.say(&meshtastic.ToRadio{Packet: text(meshtastic.Broadcast, 7, "good")})
		full := 0
		for _, m := range bad.all() {
			if m.QueueStatus.Result == meshtastic.ErrorBadRequest {
				full++
			}
		}
		if full != 100-sendSize {
			t.Errorf("told %d times that its queue is full, want %d", full, 100-sendSize)
		}
		same(t, "good", good.all(), "status 7 0")
		seen := map[string]int{}
		for range 2 {
			r, _ := s.Next(nil)
			seen[string(r.Packet.Data.Payload)]++
		}
		if seen["good"] != 1 {
			t.Errorf("within two turns: %v", seen)
		}
		n := 0
		for _, ok := s.Next(nil); ok; _, ok = s.Next(nil) {
			n++
		}
		if n != sendSize-1 {
			t.Errorf("%d more were kept, want %d", n, sendSize-1)
		}
	})
}

// TestTurnedAway has clients come that do not belong: browsers, noise, too
// many, silent ones.
func TestTurnedAway(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context, s *Server) {
		tell(s, "hill")
		order := meshtastic.AppendFrame(nil, meshtastic.AppendToRadio(nil, &meshtastic.ToRadio{
			Packet: admin(self, 1, meshtastic.Admin{Variant: meshtastic.AdminSetChannel, Bytes: []byte{8, 0}}),
		}))
		browser := dial(t, ctx, s, Local, "127.0.0.1")
		go io.WriteString(browser.conn, "POST / HTTP/1.1\r\nHost: 127.0.0.1:4403\r\n\r\n"+string(order))
		if err := <-browser.gone; err == nil {
			t.Error("a browser was served")
		}
		if _, ok := s.Next(nil); ok {
			t.Error("what a page made a browser say was handed to the radio")
		}
		noise := dial(t, ctx, s, Local, "127.0.0.1")
		go noise.conn.Write(bytes.Repeat([]byte{0x94}, 1<<20))
		if err := <-noise.gone; err == nil {
			t.Error("noise was served without end")
		}
		idle := dial(t, ctx, s, Local, "127.0.0.1")
		began := time.Now()
		if err := <-idle.gone; err != errIdle || time.Since(began) != idleAfter {
			t.Errorf("an idle client left after %v: %v", time.Since(began), err)
		}
		var crowd []*phone
		for i := range maxNetwork + maxClients {
			crowd = append(crowd, dial(t, ctx, s, Network, fmt.Sprintf("192.0.2.%d", i)))
			synctest.Wait()
		}
		if n := s.Status().Clients; n != maxNetwork {
			t.Errorf("%d clients from the network, want %d", n, maxNetwork)
		}
		dial(t, ctx, s, Local, "127.0.0.1")
		synctest.Wait()
		if n := s.Status().Clients; n != maxNetwork+1 {
			t.Errorf("no room for a local client beside those of the network")
		}
		for _, p := range crowd {
			p.conn.Close()
		}
		synctest.Wait()
		for range 2 * maxPerAddress {
			dial(t, ctx, s, Network, "192.0.2.7")
			synctest.Wait()
		}
		if n := s.Status().Clients; n != maxPerAddress+1 {
			t.Errorf("%d clients from one address, want %d", n-1, maxPerAddress)
		}
	})
}

// FuzzServe feeds a client's bytes to the server: it neither hangs nor lets an
// order of the network through.
func FuzzServe(f *testing.F) {
	for _, m := range []*meshtastic.ToRadio{
		{WantConfigID: 69420}, {Heartbeat: &meshtastic.Heartbeat{Nonce: 1}}, {Disconnect: true},
		{Packet: text(meshtastic.Broadcast, 5, "hello")},
		{Packet: admin(self, 6, meshtastic.Admin{Variant: meshtastic.AdminSetConfig, Bytes: []byte{0x32, 2, 0x38, 3}})},
	} {
		f.Add(meshtastic.AppendFrame(meshtastic.AppendWake(nil), meshtastic.AppendToRadio(nil, m)))
	}
	f.Add([]byte{0x94, 0xc3, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		s := New(Config{Admin: true})
		tell(s, "hill")
		c := &client{server: s, scope: Network, wake: make(chan struct{}, 1)}
		if err := s.admit(c); err != nil {
			t.Fatal(err)
		}
		var scanner meshtastic.Scanner
		_, _ = scanner.Write(b)
		for p := scanner.Next(); p != nil; p = scanner.Next() {
			if m, err := meshtastic.ParseToRadio(p); err == nil {
				c.take(m)
			}
		}
		for range 2000 {
			if c.next() == nil {
				break
			}
		}
		if len(c.mu.send) > sendSize || len(c.mu.queue) > queueSize || len(c.mu.answers) > answersSize {
			t.Errorf("queues grew to %d, %d, %d", len(c.mu.send), len(c.mu.queue), len(c.mu.answers))
		}
		for _, p := range c.mu.send {
			if p.From != 0 {
				t.Errorf("speaks for %s", p.From)
			}
			if p.Data.Port == meshtastic.PortAdmin {
				if a, err := meshtastic.ParseAdmin(p.Data.Payload); err != nil || !a.Asks() || p.To != self {
					t.Errorf("the network orders %x", p.Data.Payload)
				}
			}
		}
	})
}

// TestAnswersAreBounded has a client ask without ever reading.
func TestAnswersAreBounded(t *testing.T) {
	s := New(Config{})
	tell(s, "hill")
	c := &client{server: s, scope: Network, wake: make(chan struct{}, 1)}
	if err := s.admit(c); err != nil {
		t.Fatal(err)
	}
	for range answersSize + 1 {
		c.take(&meshtastic.ToRadio{Heartbeat: &meshtastic.Heartbeat{}})
	}
	if n := len(c.mu.answers); n != answersSize || s.Status().Dropped != 1 {
		t.Errorf("%d answers wait and %d were dropped, want %d and 1", n, s.Status().Dropped, answersSize)
	}
}

// TestComingAndGoing has one client connect again and again to have more turns:
// all that it left behind has one.
func TestComingAndGoing(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context, s *Server) {
		tell(s, "hill")
		for i := range 10 {
			bad := dial(t, ctx, s, Network, "192.0.2.7")
			for j := range sendSize {
				bad.say(&meshtastic.ToRadio{Packet: text(meshtastic.Broadcast, uint32(100*i+j+1), "bad")})
			}
			bad.conn.Close()
			synctest.Wait()
		}
		if n := len(s.mu.left); n != maxLeft {
			t.Errorf("%d packets are kept, want %d", n, maxLeft)
		}
		good := dial(t, ctx, s, Network, "192.0.2.8")
		good.say(&meshtastic.ToRadio{Packet: text(meshtastic.Broadcast, 7, "good")})
		good.all()
		seen := ""
		for range 2 {
			r, _ := s.Next(nil)
			seen += string(r.Packet.Data.Payload) + " "
		}
		if !strings.Contains(seen, "good") {
			t.Errorf("within two turns: %s", seen)
		}
		if _, ok := s.Next(func(c ClientID) bool { return c == gone }); ok {
			t.Error("what was left behind does not wait")
		}
	})
}

// TestAskingCostsTime has a client ask for the whole account again and again:
// what each answer costs here, it costs the client in time.
func TestAskingCostsTime(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context, s *Server) {
		tell(s, "hill")
		p := dial(t, ctx, s, Network, "192.0.2.7")
		const n = 20
		began := time.Now()
		for i := range n {
			p.say(&meshtastic.ToRadio{WantConfigID: uint32(i + 1)})
		}
		if d := time.Since(began); d < (n-1)*configWait {
			t.Errorf("%d accounts in %v, want one in %v", n, d, configWait)
		}
		time.Sleep(configWait)
		if got := words(p.all()); got[len(got)-1] != fmt.Sprintf("complete %d", n) {
			t.Errorf("the last answer ends with %s", got[len(got)-1])
		}
	})
}
