package radio

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"drey/mesh"
	"drey/radio/meshtastic"
	"drey/radio/radiotest"
	"drey/radio/share"
)

// A village is one gateway and one handheld, Bob's, in fake time.
type village struct {
	t    *testing.T
	ctx  context.Context
	air  *radiotest.Air
	gear *radiotest.Radio
	bob  *radiotest.Handheld
	hub  *fakeHub
}

// inVillage runs f when the gateway's radio is live.
func inVillage(t *testing.T, gear radiotest.RadioConfig, change func(*Config), f func(t *testing.T, v *village)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		v := &village{t: t, ctx: ctx, air: radiotest.NewAir(radiotest.Config{Seed: 3}), hub: newFakeHub(t, "a")}
		go v.air.Run(ctx)
		if gear.Channels == nil {
			gear.Channels = []meshtastic.Channel{private()}
		}
		v.gear = v.air.NewRadio("gate", gear)
		v.bob = v.air.NewHandheld("Bob", private())
		cfg := Config{
			Device: "sim", Dial: func(context.Context) (io.ReadWriteCloser, error) { return v.gear.Conn(), nil },
			Maps:    []TopicMap{{Topic: "alerts", Channel: 0, Form: FormText}},
			Archive: v.hub, Shelf: v.hub, Signer: v.hub.signer, NameOf: func(mesh.PubKey) string { return "ana" }, Seed: 1,
			AirtimeShare: -1, Share: share.Config{Admin: true},
		}
		if change != nil {
			change(&cfg)
		}
		v.hub.radio = New(cfg)
		go v.hub.radio.Run(ctx, v.hub)
		time.Sleep(5 * time.Second)
		if !live(v.hub.radio) {
			t.Fatalf("radio is %+v", v.hub.radio.Status())
		}
		f(t, v)
		cancel()
		synctest.Wait()
	})
}

// A program is an official client at the shared radio.
type program struct {
	t    *testing.T
	conn net.Conn
	said chan *meshtastic.FromRadio
}

func (v *village) program(scope share.Scope) *program {
	mine, theirs := net.Pipe()
	go v.hub.radio.shared.Serve(v.ctx, theirs, scope, "192.0.2.7")
	p := &program{t: v.t, conn: mine, said: make(chan *meshtastic.FromRadio, 1000)}
	go func() {
		defer close(p.said)
		var scanner meshtastic.Scanner
		buf := make([]byte, 4096)
		for {
			n, err := mine.Read(buf)
			_, _ = scanner.Write(buf[:n])
			for b := scanner.Next(); b != nil; b = scanner.Next() {
				m, err := meshtastic.ParseFromRadio(b)
				if err != nil {
					v.t.Errorf("the shared radio said %x: %v", b, err)
				}
				p.said <- m
			}
			if err != nil {
				return
			}
		}
	}()
	p.say(&meshtastic.ToRadio{WantConfigID: 7})
	p.all()
	return p
}

func (p *program) say(m *meshtastic.ToRadio) {
	p.t.Helper()
	if _, err := p.conn.Write(meshtastic.AppendFrame(nil, meshtastic.AppendToRadio(nil, m))); err != nil {
		p.t.Error(err)
	}
	synctest.Wait()
}

func (p *program) text(id uint32, words string) {
	p.say(&meshtastic.ToRadio{Packet: &meshtastic.Packet{
		To: meshtastic.Broadcast, ID: id, WantAck: true, HopLimit: 3,
		Data: &meshtastic.Data{Port: meshtastic.PortText, Payload: []byte(words)},
	}})
}

// all returns what was said so far, in short.
func (p *program) all() []string {
	synctest.Wait()
	var list []string
	for {
		select {
		case m := <-p.said:
			switch {
			case m.QueueStatus != nil:
				list = append(list, fmt.Sprintf("status %x %d", m.QueueStatus.ID, m.QueueStatus.Result))
			case m.Packet != nil && m.Packet.Data.Port == meshtastic.PortRouting:
				e, _, _ := meshtastic.ParseRouting(m.Packet.Data.Payload)
				list = append(list, fmt.Sprintf("routing %x %d", m.Packet.Data.RequestID, e))
			case m.Packet != nil && m.Packet.Data.Port == meshtastic.PortText:
				list = append(list, fmt.Sprintf("%s: %s", m.Packet.From, m.Packet.Data.Payload))
			case m.Packet != nil && m.Packet.Data.Port == meshtastic.PortAdmin:
				a, err := meshtastic.ParseAdmin(m.Packet.Data.Payload)
				list = append(list, fmt.Sprintf("admin %x %d %v", m.Packet.Data.RequestID, a.Variant, err))
			case m.Rebooted:
				list = append(list, "rebooted")
			}
		default:
			return list
		}
	}
}

func (v *village) heard() []string {
	synctest.Wait()
	var list []string
	for range len(v.bob.Heard()) {
		list = append(list, (<-v.bob.Heard()).Text)
	}
	return list
}

func equal(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// TestSharedRadio has the node, two programs at its radio and a handheld speak
// with each other.
func TestSharedRadio(t *testing.T) {
	inVillage(t, radiotest.RadioConfig{}, nil, func(t *testing.T, v *village) {
		one, two := v.program(share.Local), v.program(share.Network)
		gate := v.gear.Num().String()

		v.hub.say(t, "alerts", "water")
		time.Sleep(time.Minute)
		equal(t, "Bob", v.heard(), "ana: water")
		equal(t, "one", one.all(), gate+": ana: water")
		equal(t, "two", two.all(), gate+": ana: water")

		v.bob.Send("hello")
		time.Sleep(time.Minute)
		equal(t, "one", one.all(), v.bob.Num().String()+": hello")
		equal(t, "two", two.all(), v.bob.Num().String()+": hello")

		one.text(0x77, "from one")
		time.Sleep(10 * time.Second)
		two.text(0x77, "from two") // the same number for something else
		time.Sleep(time.Minute)
		equal(t, "Bob", v.heard(), "from one", "from two")
		equal(t, "one", one.all(), "status 77 0", "routing 77 0", gate+": from two")
		equal(t, "two", two.all(), gate+": from one", "status 77 0", "routing 77 0")
		var words []string
		for _, e := range v.hub.notes("alerts") {
			words = append(words, e.Content())
			if name, _ := senderOf(e); e.Content() == "from one" && name != "gate" {
				t.Errorf("its sender is %q", name)
			}
		}
		equal(t, "events", words, "water", "hello", "from one", "from two")
	})
}

// TestSharedPace has a program send faster than the radio bears it: everything
// goes out, nothing is swallowed and the radio's queue never fills.
func TestSharedPace(t *testing.T) {
	inVillage(t, radiotest.RadioConfig{}, nil, func(t *testing.T, v *village) {
		p := v.program(share.Network)
		var want []string
		for i := range 15 {
			want = append(want, fmt.Sprint("text ", i))
			p.text(uint32(i+1), want[i])
		}
		least := 16
		for range 3000 {
			time.Sleep(100 * time.Millisecond)
			least = min(least, v.gear.Free())
		}
		equal(t, "Bob", v.heard(), want...)
		if v.gear.Swallowed() != 0 || v.gear.Dropped() != 0 || least < leaveFree {
			t.Errorf("%d swallowed, %d dropped, at least %d places were free", v.gear.Swallowed(), v.gear.Dropped(), least)
		}
		acks := 0
		for _, s := range p.all() {
			if strings.HasPrefix(s, "routing") && strings.HasSuffix(s, " 0") {
				acks++
			}
		}
		if acks != len(want) {
			t.Errorf("%d acknowledgements, want %d", acks, len(want))
		}
	})
}

// TestSharedAirtime has a program send more than the node's airtime bears: it
// is told so, and the node's own emergency goes first.
func TestSharedAirtime(t *testing.T) {
	inVillage(t, radiotest.RadioConfig{}, func(c *Config) { c.AirtimeShare = 0.001 }, func(t *testing.T, v *village) {
		p := v.program(share.Network)
		for i := range 10 {
			p.text(uint32(i+1), strings.Repeat("x", 190)+fmt.Sprint(i))
		}
		time.Sleep(10 * time.Minute)
		said := p.all()
		sent := len(v.heard())
		refused := 0
		for _, s := range said {
			if strings.HasPrefix(s, "routing") && strings.HasSuffix(s, " 9") {
				refused++
			}
		}
		if sent == 0 || sent > 4 || refused == 0 {
			t.Errorf("%d went out and %d were refused for airtime: %q", sent, refused, said)
		}
	})
}

// TestSharedOrders changes a setting through the shared radio: the program that
// did is answered, the other is told to look again, and the node knows it too.
func TestSharedOrders(t *testing.T) {
	inVillage(t, radiotest.RadioConfig{}, nil, func(t *testing.T, v *village) {
		one, two := v.program(share.Local), v.program(share.Network)
		order := func(p *program) {
			payload := meshtastic.AppendAdmin(nil, &meshtastic.Admin{
				Variant: meshtastic.AdminSetChannel,
				Bytes:   meshtastic.AppendChannel(nil, &meshtastic.Channel{Index: 2, Name: "new", PSK: []byte{1}, Role: meshtastic.RoleSecondary}),
			})
			p.say(&meshtastic.ToRadio{Packet: &meshtastic.Packet{To: v.gear.Num(), ID: 9, WantAck: true, Data: &meshtastic.Data{Port: meshtastic.PortAdmin, Payload: payload}}})
			time.Sleep(10 * time.Second)
		}
		order(two)
		equal(t, "two", two.all(), "status 9 0", "routing 9 33")
		if n := len(v.gear.Channels()); n != 1 {
			t.Fatalf("the radio has %d channels", n)
		}
		order(one)
		equal(t, "one", one.all(), "status 9 0", "routing 9 0", "rebooted")
		equal(t, "two", two.all(), "rebooted")
		if c := v.gear.Channels(); len(c) != 3 || c[2].Name != "new" {
			t.Errorf("the radio's channels are %+v", c)
		}
		if s := v.hub.radio.Status(); s.State != StateLive || len(s.Channels) != 2 || s.Channels[1].Name != "new" {
			t.Errorf("the node knows %+v", s.Channels)
		}
		v.hub.say(t, "alerts", "still here")
		time.Sleep(time.Minute)
		equal(t, "Bob", v.heard(), "ana: still here")
	})
}

// TestSharedWhileAway has the radio restart under a program's hands.
func TestSharedWhileAway(t *testing.T) {
	inVillage(t, radiotest.RadioConfig{}, nil, func(t *testing.T, v *village) {
		p := v.program(share.Local)
		v.gear.Reboot(4 * time.Second)
		time.Sleep(time.Second)
		p.text(1, "nobody hears it")
		time.Sleep(time.Second)
		equal(t, "away", p.all(), "status 1 0", "routing 1 4")
		time.Sleep(20 * time.Second)
		p.text(2, "back")
		time.Sleep(time.Minute)
		equal(t, "back", p.all(), "status 2 0", "routing 2 0")
		equal(t, "Bob", v.heard(), "back")
	})
}

// TestPrivate writes to one handheld, which answers.
func TestPrivate(t *testing.T) {
	inVillage(t, radiotest.RadioConfig{}, nil, func(t *testing.T, v *village) {
		c := v.hub.radio
		abroad := v.program(share.Network)
		for name, who := range map[string]string{"nobody": "Zoe", "itself": v.gear.Num().String()} {
			if _, err := c.SendPrivate(v.ctx, who, "hello"); err == nil {
				t.Errorf("%s was written to", name)
			}
		}
		if _, err := c.SendPrivate(v.ctx, "Bob", strings.Repeat("x", 201)); err == nil {
			t.Error("201 bytes were taken")
		}
		m, err := c.SendPrivate(v.ctx, "bob", "for you alone")
		if err != nil || m.State != "acknowledged by Bob" || m.Failed {
			t.Fatalf("%+v, %v", m, err)
		}
		got := <-v.bob.Heard()
		if got.Text != "for you alone" || !got.Private {
			t.Errorf("Bob reads %+v", got)
		}
		v.bob.SendTo(v.gear.Num(), "thank you")
		time.Sleep(time.Minute)
		synctest.Wait()
		box := c.Private()
		if len(box) != 2 || box[1].Text != "thank you" || box[1].Name != "Bob" || box[1].Out || !box[1].Sealed {
			t.Errorf("the box holds %+v", box)
		}
		if n := len(v.hub.mu.records); n != 0 {
			t.Errorf("%d events were made of private words", n)
		}
		equal(t, "a program on the network", abroad.all())
		other := newMailbox()
		if err := other.load(v.ctx, v.hub); err != nil || !slices.Equal(other.all(), box) {
			t.Errorf("after a restart: %+v, %v", other.all(), err)
		}
	})
}

// TestPrivateUnheard writes to a handheld that is out of range.
func TestPrivateUnheard(t *testing.T) {
	inVillage(t, radiotest.RadioConfig{}, nil, func(t *testing.T, v *village) {
		v.air.Link(func(a, b *radiotest.Radio) bool { return false })
		m, err := v.hub.radio.SendPrivate(v.ctx, "Bob", "hello?")
		if err != nil || !m.Failed || m.State != "failed: not acknowledged, tried three times" {
			t.Errorf("%+v, %v", m, err)
		}
	})
}

// TestReadings has a handheld tell where it is and what it measures.
func TestReadings(t *testing.T) {
	warm := float32(21.5)
	for _, mode := range []string{"", ReadingsShare, ReadingsOff} {
		t.Run("mode "+mode, func(t *testing.T) {
			inVillage(t, radiotest.RadioConfig{}, func(c *Config) { c.Readings = mode }, func(t *testing.T, v *village) {
				place := meshtastic.Position{Known: true, Latitude: 49.8397, Longitude: 24.0297, Altitude: 296}
				v.bob.Tell(meshtastic.PortPosition, meshtastic.AppendPosition(nil, &place), meshtastic.BitOKToMQTT)
				time.Sleep(20 * time.Second)
				v.bob.Tell(meshtastic.PortPosition, meshtastic.AppendPosition(nil, &place), 0) // too soon for another event
				time.Sleep(20 * time.Second)
				v.bob.Tell(meshtastic.PortTelemetry, meshtastic.AppendTelemetry(nil, 1, &meshtastic.Metrics{Battery: 64}), 0)
				time.Sleep(20 * time.Second)
				v.bob.Tell(meshtastic.PortTelemetry, meshtastic.AppendEnvironment(nil, 1, &meshtastic.Environment{Temperature: &warm}), 0)
				time.Sleep(20 * time.Second)
				synctest.Wait()
				var words []string
				for _, r := range v.hub.mu.records {
					words = append(words, r.Event.Content())
					if r.Event.Kind() != mesh.KindReading || r.Topic != mesh.TopicRadio || !mesh.Labelled(r.Event, mesh.LabelUnsignedRadio) {
						t.Errorf("the event is %v in %s", r.Event.Tags(), r.Topic)
					}
					if got, want := mesh.StaysHere(r.Event), mode == ""; got != want {
						t.Errorf("stays here: %v", got)
					}
					if got, want := mesh.OffInternet(r.Event), !strings.Contains(r.Event.Content(), "is at"); got != want {
						t.Errorf("%q is kept off the internet: %v", r.Event.Content(), got)
					}
				}
				want := []string{"Bob: is at 49.83970, 24.02970", "Bob: battery 64 %", "Bob: temperature 21.5 °C"}
				if mode == ReadingsOff {
					want = nil
				}
				equal(t, "events", words, want...)
				for _, n := range v.hub.radio.Nodes() {
					if n.Name == "Bob" && (n.Place == nil || n.Place.Latitude != 49.8397 || n.Battery != 64 || !n.KeyKnown || n.Hops != 0) {
						t.Errorf("Bob is %+v", n)
					}
				}
			})
		})
	}
}

// TestAnswered has a handheld answer a text of the community's: its history
// says that somebody has read it.
func TestAnswered(t *testing.T) {
	inVillage(t, radiotest.RadioConfig{}, nil, func(t *testing.T, v *village) {
		e := v.hub.say(t, "alerts", "who comes?")
		time.Sleep(time.Minute)
		id := (<-v.bob.Heard()).ID
		v.bob.Send("warming up")
		time.Sleep(time.Minute)
		v.bob.Radio.Send(&meshtastic.Packet{To: meshtastic.Broadcast, HopLimit: 3, Data: &meshtastic.Data{Port: meshtastic.PortText, Payload: []byte("I do"), ReplyID: id}})
		time.Sleep(time.Minute)
		synctest.Wait()
		if h := v.hub.historyOf(e); !slices.Contains(h, "acknowledged by Bob") {
			t.Errorf("history: %q", h)
		}
	})
}

// TestProbe asks whether anybody hears the radio.
func TestProbe(t *testing.T) {
	for name, c := range map[string]struct {
		gear radiotest.RadioConfig
		deaf bool
		want Probe
	}{
		"heard":     {radiotest.RadioConfig{}, false, Probe{Sent: true, Heard: true}},
		"alone":     {radiotest.RadioConfig{}, true, Probe{Sent: true, Why: "nobody repeated it"}},
		"no region": {radiotest.RadioConfig{NoRegion: true}, false, Probe{Why: "the radio has no region and does not transmit"}},
	} {
		t.Run(name, func(t *testing.T) {
			inVillage(t, c.gear, nil, func(t *testing.T, v *village) {
				if c.deaf {
					v.air.Link(func(a, b *radiotest.Radio) bool { return false })
				}
				p, err := v.hub.radio.Test(v.ctx)
				if p.Heard != (p.After > 0) {
					t.Errorf("heard after %v", p.After)
				}
				p.After = 0
				if err != nil || p != c.want {
					t.Errorf("%+v, %v, want %+v", p, err, c.want)
				}
				if len(v.bob.Heard()) > 0 {
					t.Error("a handheld shows the test")
				}
			})
		})
	}
}

// TestProblemCodes names what ails a radio that answers.
func TestProblemCodes(t *testing.T) {
	for want, c := range map[string]struct {
		gear   radiotest.RadioConfig
		change func(*Config)
		off    bool
	}{
		"":           {},
		CodeRegion:   {gear: radiotest.RadioConfig{NoRegion: true}},
		CodeTransmit: {off: true},
		CodeChannel:  {change: func(c *Config) { c.Maps = []TopicMap{{Topic: "alerts", Channel: 5}} }},
	} {
		inVillage(t, c.gear, c.change, func(t *testing.T, v *village) {
			if c.off {
				v.gear.Switch(false)
				v.gear.Reboot(time.Second)
				time.Sleep(time.Minute)
				synctest.Wait()
			}
			if s := v.hub.radio.Status(); s.Code != want || (s.Problem == "") != (want == "") {
				t.Errorf("code %q, problem %q, want %q", s.Code, s.Problem, want)
			}
		})
	}
}

// TestKeyStays has somebody use Bob's number with a key and a name of his own.
func TestKeyStays(t *testing.T) {
	inVillage(t, radiotest.RadioConfig{}, nil, func(t *testing.T, v *village) {
		v.hub.radio.nodes.heard(&meshtastic.Packet{From: v.bob.Num(), To: meshtastic.Broadcast, Data: &meshtastic.Data{
			Port: meshtastic.PortNodeInfo, Payload: meshtastic.AppendUser(nil, &meshtastic.User{LongName: "Eve", PublicKey: slices.Repeat([]byte{9}, 32)}),
		}})
		if _, key, err := v.hub.radio.nodes.find("Bob"); err != nil || !slices.Equal(key, v.bob.Key()) {
			t.Errorf("Bob's key is %x, %v", key, err)
		}
		if _, _, err := v.hub.radio.nodes.find("Eve"); err == nil {
			t.Error("Bob's number is Eve's now")
		}
	})
}
