package radiotest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"drey/radio/meshtastic"
)

// A program is a client at a radio: what it hears comes out of got.
type program struct {
	t    *testing.T
	conn io.ReadWriteCloser
	got  chan *meshtastic.FromRadio
	junk chan []byte
}

func (p *program) say(ms ...*meshtastic.ToRadio) {
	p.t.Helper()
	var b []byte
	for _, m := range ms {
		b = meshtastic.AppendFrame(b, meshtastic.AppendToRadio(nil, m))
	}
	if _, err := p.conn.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

func connect(t *testing.T, conn io.ReadWriteCloser) *program {
	p := &program{t: t, conn: conn, got: make(chan *meshtastic.FromRadio, 10_000), junk: make(chan []byte, 100)}
	go func() {
		defer close(p.got)
		var s meshtastic.Scanner
		b := make([]byte, 4096)
		for {
			n, err := conn.Read(b)
			if err != nil {
				return
			}
			before := s.Junk()
			s.Write(b[:n])
			for f := s.Next(); f != nil; f = s.Next() {
				m, err := meshtastic.ParseFromRadio(f)
				if err != nil {
					t.Error(err)
				}
				p.got <- m
			}
			if s.Junk() > before {
				p.junk <- bytes.Clone(b[:n])
			}
		}
	}()
	return p
}

// configure connects and reads the radio's account of itself away.
func configure(t *testing.T, conn io.ReadWriteCloser) *program {
	p := connect(t, conn)
	p.say(&meshtastic.ToRadio{WantConfigID: 1})
	for m := range p.got {
		if m.ConfigCompleteID == 1 {
			break
		}
	}
	return p
}

// rest returns what the radio says while nothing happens for d.
func (p *program) rest(d time.Duration) []*meshtastic.FromRadio {
	time.Sleep(d)
	synctest.Wait()
	var list []*meshtastic.FromRadio
	for range len(p.got) {
		list = append(list, <-p.got)
	}
	return list
}

func onAir(t *testing.T, cfg Config, f func(t *testing.T, a *Air)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		if cfg.Seed == 0 {
			cfg.Seed = 1
		}
		a := NewAir(cfg)
		go a.Run(ctx)
		f(t, a)
		cancel()
		synctest.Wait()
	})
}

func text(id uint32, s string) *meshtastic.ToRadio {
	return &meshtastic.ToRadio{Packet: &meshtastic.Packet{
		To: meshtastic.Broadcast, ID: id, HopLimit: 3, Data: &meshtastic.Data{Port: meshtastic.PortText, Payload: []byte(s)},
	}}
}

func binary(id uint32, size int) *meshtastic.ToRadio {
	return &meshtastic.ToRadio{Packet: &meshtastic.Packet{
		To: meshtastic.Broadcast, ID: id, Data: &meshtastic.Data{Port: meshtastic.PortPrivate, Payload: make([]byte, size)},
	}}
}

func statuses(ms []*meshtastic.FromRadio) []string {
	var list []string
	for _, m := range ms {
		if s := m.QueueStatus; s != nil {
			list = append(list, fmt.Sprintf("%d:%d free %d", s.ID, s.Result, s.Free))
		}
	}
	return list
}

func routings(ms []*meshtastic.FromRadio) []string {
	var list []string
	for _, m := range ms {
		if m.Packet == nil || m.Packet.Data == nil || m.Packet.Data.Port != meshtastic.PortRouting {
			continue
		}
		e, _, _ := meshtastic.ParseRouting(m.Packet.Data.Payload)
		list = append(list, fmt.Sprintf("%d:%d", m.Packet.Data.RequestID, e))
	}
	return list
}

// TestConfigOrder compares with the order that was seen on the real firmware.
func TestConfigOrder(t *testing.T) {
	onAir(t, Config{}, func(t *testing.T, a *Air) {
		r := a.NewRadio("one", RadioConfig{})
		a.NewRadio("two", RadioConfig{})
		for nonce, want := range map[uint32]string{
			7:     "me, 17, node, metadata, 19, 8 channel, 10 config, 17 9, node, complete 7",
			69420: "me, 17, node, metadata, 19, 8 channel, 10 config, 17 9, complete 69420",
			69421: "node, node, complete 69421",
		} {
			p := connect(t, r.Conn())
			p.say(&meshtastic.ToRadio{WantConfigID: nonce})
			var got []string
			last, run := "", 0
			flush := func() {
				if run > 1 && last != "node" {
					last = fmt.Sprintf("%d %s", run, last)
				}
				if last != "" {
					got = append(got, last)
				}
			}
			for _, m := range p.rest(time.Second) {
				kind := ""
				switch {
				case m.MyInfo != nil:
					kind = "me"
				case m.NodeInfo != nil:
					kind = "node"
				case m.Metadata != nil:
					kind = "metadata"
				case m.Channel != nil:
					kind = "channel"
				case m.Config != nil:
					kind = "config"
				case m.Other != nil:
					kind = fmt.Sprint(m.Other.Field)
				case m.ConfigCompleteID != 0:
					kind = fmt.Sprintf("complete %d", m.ConfigCompleteID)
				}
				if kind == last && kind != "node" {
					run++
					continue
				}
				flush()
				last, run = kind, 1
			}
			flush()
			if s := strings.Join(got, ", "); s != want {
				t.Errorf("want_config %d: %s; want %s", nonce, s, want)
			}
			p.conn.Close()
		}
	})
}

// TestBurst repeats what was measured: of 24 packets at once 16 are taken, 8
// are lost, and of the answers only the last two, both errors, are seen.
func TestBurst(t *testing.T) {
	onAir(t, Config{}, func(t *testing.T, a *Air) {
		r := a.NewRadio("one", RadioConfig{})
		p := configure(t, r.Conn())
		var burst []*meshtastic.ToRadio
		for id := uint32(1); id <= 24; id++ {
			burst = append(burst, binary(id, 200))
		}
		p.say(burst...)
		got := p.rest(time.Millisecond)
		if s := strings.Join(statuses(got), ", "); s != "23:32 free 0, 24:32 free 0" {
			t.Errorf("answers: %s", s)
		}
		p.rest(5 * time.Minute)
		if n := len(a.Sent()); n != 16 {
			t.Errorf("%d packets were sent, want 16", n)
		}
		if n := len(routings(got)); n != 0 {
			t.Errorf("%d NAKs, want none", n)
		}
	})
}

// TestDrain compares the speed of the queue with the real one: 16 packets of
// 200 bytes at LongFast in 36.6 s.
func TestDrain(t *testing.T) {
	onAir(t, Config{}, func(t *testing.T, a *Air) {
		r := a.NewRadio("one", RadioConfig{})
		p := configure(t, r.Conn())
		for id := uint32(1); id <= 16; id++ {
			p.say(binary(id, 200))
		}
		p.rest(5 * time.Minute)
		sent := a.Sent()
		d := sent[15].At.Add(sent[15].Airtime).Sub(sent[0].At)
		if d < 32*time.Second || d > 40*time.Second {
			t.Errorf("16 packets took %v, the real radio 36.6 s", d)
		}
	})
}

// TestLongDrain compares what a queue that is never empty gets out in the long
// run, when the waits have grown with the channel's use: the real radio said 195
// packets of 200 bytes in 520 s.
func TestLongDrain(t *testing.T) {
	for seed := range uint64(4) {
		onAir(t, Config{Seed: seed + 1}, func(t *testing.T, a *Air) {
			r := a.NewRadio("one", RadioConfig{})
			const n = 195
			for len(a.Sent()) < n {
				if r.Free() > 8 {
					_ = r.Send(&meshtastic.Packet{
						To: meshtastic.Broadcast, Data: &meshtastic.Data{Port: meshtastic.PortPrivate, Payload: make([]byte, 200)},
					})
				}
				time.Sleep(50 * time.Millisecond)
				synctest.Wait()
			}
			sent := a.Sent()[:n]
			d := sent[n-1].At.Add(sent[n-1].Airtime).Sub(sent[0].At)
			t.Logf("%d packets took %v", n, d.Round(time.Second))
			if d < 494*time.Second || d > 546*time.Second {
				t.Errorf("%d packets took %v, the real radio 520 s", n, d)
			}
		})
	}
}

func TestTextRateIsSwallowed(t *testing.T) {
	onAir(t, Config{}, func(t *testing.T, a *Air) {
		r := a.NewRadio("one", RadioConfig{})
		h := a.NewHandheld("bob")
		p := configure(t, r.Conn())
		p.say(text(1, "one"), text(2, "two"))
		if s := strings.Join(statuses(p.rest(time.Second)), ", "); s != "1:0 free 15, 2:0 free 15" {
			t.Errorf("answers: %s; want that all seems well", s)
		}
		time.Sleep(1001 * time.Millisecond)
		p.say(text(3, "three"))
		p.say(text(3, "three again"))
		p.rest(time.Minute)
		var got []string
		for range len(h.Heard()) {
			got = append(got, (<-h.Heard()).Text)
		}
		if strings.Join(got, ", ") != "one, three" || r.Swallowed() != 1 {
			t.Errorf("heard %q, %d swallowed", got, r.Swallowed())
		}
	})
}

func TestErrors(t *testing.T) {
	onAir(t, Config{}, func(t *testing.T, a *Air) {
		p := configure(t, a.NewRadio("one", RadioConfig{}).Conn())
		noChannel := binary(3, 1)
		noChannel.Packet.Channel = 5
		p.say(binary(1, 232), binary(2, 231))
		got := p.rest(time.Second)
		p.say(noChannel)
		got = append(got, p.rest(time.Minute)...)
		if s := strings.Join(routings(got), ", "); s != "1:7, 3:6" {
			t.Errorf("NAKs: %s", s)
		}
		off := configure(t, a.NewRadio("two", RadioConfig{NoRegion: true}).Conn())
		off.say(binary(4, 1))
		if s := strings.Join(statuses(off.rest(time.Second)), ", "); s != "4:34 free 16" {
			t.Errorf("without a region: %s", s)
		}
	})
}

// TestEcho has a broadcast that wants an answer repeated by a neighbour, and
// then by nobody.
func TestEcho(t *testing.T) {
	onAir(t, Config{}, func(t *testing.T, a *Air) {
		r := a.NewRadio("one", RadioConfig{})
		a.NewHandheld("bob")
		p := configure(t, r.Conn())
		ask := text(1, "anybody?")
		ask.Packet.WantAck = true
		began := time.Now()
		p.say(ask)
		for m := range p.got {
			if len(routings([]*meshtastic.FromRadio{m})) == 1 {
				break
			}
		}
		if d := time.Since(began); d < time.Second || d > 4*time.Second {
			t.Errorf("acknowledged after %v, the real radio 1.9 s", d)
		}
		a.Link(func(a, b *Radio) bool { return false })
		time.Sleep(3 * time.Second) // texts that come faster are swallowed
		ask = text(2, "anybody?")
		ask.Packet.WantAck = true
		began = time.Now()
		p.say(ask)
		for m := range p.got {
			if s := routings([]*meshtastic.FromRadio{m}); len(s) == 1 {
				if s[0] != "2:5" {
					t.Errorf("answered %s, want MAX_RETRANSMIT", s)
				}
				break
			}
		}
		if d := time.Since(began).Round(time.Second); d < 28*time.Second || d > 36*time.Second {
			t.Errorf("gave up after %v, the real radio 30 s", d)
		}
		n := 0
		for _, s := range a.Sent() {
			if s.ID == 2 {
				n++
			}
		}
		if n != 3 {
			t.Errorf("sent %d times, want 3", n)
		}
	})
}

func TestDutyCycle(t *testing.T) {
	onAir(t, Config{Region: meshtastic.RegionEU868}, func(t *testing.T, a *Air) {
		r := a.NewRadio("one", RadioConfig{})
		p := configure(t, r.Conn())
		sent := 0
		for id := uint32(1); ; id++ {
			p.say(binary(id, 200))
			got := p.rest(3 * time.Second)
			if s := routings(got); len(s) > 0 {
				if s[0] != fmt.Sprintf("%d:9", id) {
					t.Errorf("answered %s", s)
				}
				if !slices.ContainsFunc(got, func(m *meshtastic.FromRadio) bool {
					return m.Notification != nil && strings.Contains(m.Notification.Message, "You can send again in ")
				}) {
					t.Error("nothing is said to people")
				}
				break
			}
			sent++
		}
		if sent < 170 || sent > 200 {
			t.Errorf("%d packets before the limit, the real radio 195", sent)
		}
		time.Sleep(time.Hour)
		p.say(binary(9999, 200))
		if s := strings.Join(statuses(p.rest(time.Second)), ", "); s != "9999:0 free 15" {
			t.Errorf("an hour later: %s", s)
		}
	})
}

// TestSerialLine checks what only a serial line shows: log text until the
// first ToRadio, no frame before it, and packets only after config_complete.
func TestSerialLine(t *testing.T) {
	onAir(t, Config{}, func(t *testing.T, a *Air) {
		r := a.NewRadio("one", RadioConfig{})
		h := a.NewHandheld("bob")
		p := connect(t, r.Line())
		h.Send("early")
		if got := p.rest(10 * time.Second); len(got) != 0 || len(p.junk) == 0 {
			t.Errorf("before the first ToRadio: %d frames and %d pieces of text", len(got), len(p.junk))
		}
		p.say(&meshtastic.ToRadio{Heartbeat: &meshtastic.Heartbeat{}})
		if got := p.rest(time.Second); len(got) != 0 {
			t.Errorf("before want_config: %d frames", len(got))
		}
		p.say(&meshtastic.ToRadio{WantConfigID: 7})
		got := p.rest(time.Second)
		last := got[len(got)-1]
		if last.Packet == nil || string(last.Packet.Data.Payload) != "early" {
			t.Errorf("the text that waited is not last: %+v", last)
		}
		if !slices.ContainsFunc(got[:len(got)-1], func(m *meshtastic.FromRadio) bool { return m.ConfigCompleteID == 7 }) {
			t.Error("it came before config_complete")
		}
	})
}

// TestPhoneQueue fills the queue for a client that is away: texts push out the
// oldest, everything else is lost.
func TestPhoneQueue(t *testing.T) {
	onAir(t, Config{}, func(t *testing.T, a *Air) {
		r := a.NewRadio("one", RadioConfig{PhoneQueue: 8})
		h := a.NewHandheld("bob")
		for i := range 12 {
			h.Send(fmt.Sprint(i))
			time.Sleep(5 * time.Second)
		}
		p := connect(t, r.Conn())
		p.say(&meshtastic.ToRadio{WantConfigID: 7})
		var got []string
		for _, m := range p.rest(time.Second) {
			if m.Packet != nil && m.Packet.Data.Port == meshtastic.PortText {
				got = append(got, string(m.Packet.Data.Payload))
			}
		}
		if strings.Join(got, " ") != "4 5 6 7 8 9 10 11" || r.Dropped() != 4 {
			t.Errorf("%q, %d dropped", got, r.Dropped())
		}
	})
}

func TestKeysSeparate(t *testing.T) {
	onAir(t, Config{}, func(t *testing.T, a *Air) {
		speaker := a.NewHandheld("speaker", PublicChannel(), PrivateChannel("town"))
		public := a.NewHandheld("public")
		member := a.NewHandheld("member", PrivateChannel("other"), PrivateChannel("town"))
		speaker.SendOn(1, "secret")
		time.Sleep(time.Minute)
		speaker.Send("for all")
		time.Sleep(time.Minute)
		if got := <-member.Heard(); got.Text != "secret" || got.Channel != 1 {
			t.Errorf("the member heard %+v", got)
		}
		if got := <-public.Heard(); got.Text != "for all" {
			t.Errorf("the stranger heard %+v", got)
		}
		if len(member.Heard())+len(public.Heard()) != 0 {
			t.Error("somebody heard too much")
		}
	})
}

// TestHops lets a text cross a chain of radios as far as its hop limit.
func TestHops(t *testing.T) {
	onAir(t, Config{}, func(t *testing.T, a *Air) {
		var chain []*Handheld
		for i := range 6 {
			chain = append(chain, a.NewHandheld(fmt.Sprint(i)))
		}
		a.Link(func(a, b *Radio) bool {
			d := int(a.name[0]) - int(b.name[0])
			return d == 1 || d == -1
		})
		chain[0].Send("hello")
		time.Sleep(time.Minute)
		for i, h := range chain {
			want := 1
			if i == 0 || i > 4 {
				want = 0
			}
			if got := len(h.Heard()); got != want {
				t.Errorf("radio %d heard it %d times, want %d", i, got, want)
			}
		}
	})
}

func TestLossAndCollisions(t *testing.T) {
	onAir(t, Config{Loss: 0.3, Seed: 3}, func(t *testing.T, a *Air) {
		r := a.NewHandheld("a")
		h := a.NewHandheld("b")
		for i := range 200 {
			r.Send(fmt.Sprint(i))
			time.Sleep(10 * time.Second)
		}
		if n := len(h.Heard()); n < 120 || n > 160 {
			t.Errorf("%d of 200 were heard at 30 %% loss", n)
		}
	})
	onAir(t, Config{Collisions: true, Seed: 3}, func(t *testing.T, a *Air) {
		left, middle, right := a.NewHandheld("l"), a.NewHandheld("m"), a.NewHandheld("r")
		a.Link(func(a, b *Radio) bool { return a == middle.Radio || b == middle.Radio }) // the ends do not hear each other
		for range 50 {
			left.Send("left")
			right.Send("right")
			time.Sleep(time.Minute)
		}
		if n := len(middle.Heard()); n > 20 {
			t.Errorf("%d of 100 came through where two always sent at once", n)
		}
	})
}

func TestVillageAnswers(t *testing.T) {
	onAir(t, Config{}, func(t *testing.T, a *Air) {
		v := NewVillage(Config{Seed: 2})
		ctx, cancel := context.WithCancel(t.Context())
		go v.Run(ctx)
		conn, err := v.Dial(ctx)
		if err != nil {
			t.Fatal(err)
		}
		p := configure(t, conn)
		p.say(text(1, "ana: anybody there?"))
		for m := range p.got {
			if m.Packet != nil && m.Packet.Data.Port == meshtastic.PortText {
				if got := string(m.Packet.Data.Payload); got != "Maria hears you: ana: anybody there?" {
					t.Errorf("answered %q", got)
				}
				break
			}
		}
		cancel()
		synctest.Wait()
	})
}
