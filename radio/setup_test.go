package radio

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"drey/radio/meshtastic"
	"drey/radio/radiotest"
)

// TestSetup writes region and private channel to a radio, with and without a
// passkey, and brings back what was there.
func TestSetup(t *testing.T) {
	psk := bytes.Repeat([]byte{7}, 32)
	for name, passkey := range map[string]bool{"open": false, "with passkey": true} {
		t.Run(name, func(t *testing.T) {
			inVillage(t, radiotest.RadioConfig{NoRegion: true, Passkey: passkey}, nil, func(t *testing.T, v *village) {
				setup := v.hub.radio.NewSetup()
				was, err := setup.Read(v.ctx)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := PlanSetup(was, Wish{PSK: psk}); !errors.Is(err, ErrNoRegion) {
					t.Errorf("without a region: %v", err)
				}
				plan, err := PlanSetup(was, Wish{Region: meshtastic.RegionEU868, PSK: psk})
				if err != nil || len(plan.Steps) != 2 || plan.Channel != 1 {
					t.Fatalf("%+v, %v", plan, err)
				}
				if strings.Contains(strings.Join(plan.Steps, " "), string(psk)) {
					t.Error("the plan shows the key")
				}
				if l := v.gear.LoRa(); l.Region != meshtastic.RegionUnset {
					t.Fatal("a plan changed the radio")
				}
				began := time.Now()
				if err := setup.Apply(v.ctx, plan); err != nil {
					t.Fatal(err)
				}
				t.Logf("set up after %v", time.Since(began))
				time.Sleep(30 * time.Second)
				v.gear.Reboot(4 * time.Second) // what was set up lasts
				time.Sleep(30 * time.Second)
				channels := v.gear.Channels()
				if l := v.gear.LoRa(); l.Region != meshtastic.RegionEU868 || l.HopLimit != 3 || !l.TXEnabled {
					t.Errorf("the air: %+v", l)
				}
				if len(channels) != 2 || channels[1].Name != ChannelName || !bytes.Equal(channels[1].PSK, psk) || channels[1].Role != meshtastic.RoleSecondary {
					t.Errorf("the channels: %+v", channels)
				}
				if want := private(); channels[0].Name != want.Name || !bytes.Equal(channels[0].PSK, want.PSK) {
					t.Errorf("channel 0 was touched: %+v", channels[0])
				}
				if s := v.hub.radio.Status(); s.State != StateLive || s.Code != "" || s.Region != "EU_868" {
					t.Errorf("the node knows %+v", s)
				}
				now, err := setup.Read(v.ctx)
				if err != nil {
					t.Fatal(err)
				}
				if again, err := PlanSetup(now, Wish{PSK: psk}); err != nil || !again.Nothing() {
					t.Errorf("a second time: %+v, %v", again, err)
				}
				if next, err := PlanSetup(now, Wish{PSK: bytes.Repeat([]byte{8}, 32)}); err != nil || next.Channel != 1 || len(next.Steps) != 1 {
					t.Errorf("after a rotation: %+v, %v", next, err)
				}

				file, err := was.Marshal()
				if err != nil {
					t.Fatal(err)
				}
				saved, err := ParseSettings(file)
				if err != nil {
					t.Fatal(err)
				}
				back, err := PlanRestore(now, saved)
				if err != nil || len(back.Steps) != 2 {
					t.Fatalf("%+v, %v", back, err)
				}
				if err := setup.Apply(v.ctx, back); err != nil {
					t.Fatal(err)
				}
				if c := v.gear.Channels(); c[1].Role != meshtastic.RoleDisabled || v.gear.LoRa().Region != meshtastic.RegionUnset {
					t.Errorf("not as it was: %+v", c)
				}
			})
		})
	}
}

// TestSetupFull has no place for the channel, and a radio that is switched off.
func TestSetupFull(t *testing.T) {
	was := &Settings{LoRa: []byte{}}
	for i := range was.Channels {
		was.Channels[i] = meshtastic.AppendChannel(nil, &meshtastic.Channel{Index: int32(i), Name: "x", PSK: []byte{2}, Role: meshtastic.RoleSecondary})
	}
	if _, err := PlanSetup(was, Wish{Region: meshtastic.RegionUS, PSK: make([]byte, 32)}); !errors.Is(err, ErrNoPlace) {
		t.Errorf("no place: %v", err)
	}
	p, err := PlanSetup(was, Wish{Region: meshtastic.RegionUS})
	if err != nil || len(p.Steps) != 2 {
		t.Errorf("region and transmitter: %+v, %v", p, err)
	}
}

// TestSetupKeepsUnknown checks that settings which nobody here knows survive.
func TestSetupKeepsUnknown(t *testing.T) {
	unknown := []byte{0xf0, 0x3f, 5}
	was := &Settings{LoRa: append([]byte{0x48, 1}, unknown...)}
	p, err := PlanSetup(was, Wish{Region: meshtastic.RegionUS})
	if err != nil {
		t.Fatal(err)
	}
	orders := p.orders()
	if len(orders) != 1 || !bytes.Contains(orders[0].Bytes, unknown) || orders[0].Variant != meshtastic.AdminSetConfig {
		t.Errorf("orders: %+v", orders)
	}
}

func FuzzSettings(f *testing.F) {
	s := &Settings{Node: "!a1b2c3d4", LoRa: []byte{0x38, 3}}
	for i := range s.Channels {
		s.Channels[i] = meshtastic.AppendChannel(nil, &meshtastic.Channel{Index: int32(i)})
	}
	b, err := s.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"v":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseSettings(b)
		if err != nil {
			return
		}
		again, err := s.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := ParseSettings(again); err != nil || *backOf(back) != *backOf(s) {
			t.Errorf("%s was read back as %+v, %v", b, back, err)
		}
		_, _ = PlanSetup(s, Wish{Region: meshtastic.RegionUS, PSK: make([]byte, 32)})
		_, _ = PlanRestore(s, s)
	})
}

func backOf(s *Settings) *string {
	b, _ := s.Marshal()
	text := string(b)
	return &text
}
