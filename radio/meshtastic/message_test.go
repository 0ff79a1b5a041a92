package meshtastic

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"testing"
)

// TestVectors pairs messages with their bytes, written out by hand from the
// field numbers: tag = number<<3 | wire type.
func TestVectors(t *testing.T) {
	snr := []byte{0x45, 0, 0, 0xc8, 0x40} // field 8, float 6.25
	packet := unhex(t, "0dd4c3b2a1 15ffffffff 2213 0801 120d 7761746572206973206261636b 4801 35aa213c9f")
	packet = append(packet, snr...)
	packet = append(packet, unhex(t, "4803 60c4ffffffffffffffff01 7803")...)
	for _, c := range []struct {
		name string
		m    *FromRadio
		b    []byte
	}{
		{"config complete", &FromRadio{ConfigCompleteID: 123456789}, unhex(t, "38959aef3a")},
		{"rebooted", &FromRadio{ID: 7, Rebooted: true}, unhex(t, "08074001")},
		{"my info", &FromRadio{MyInfo: &MyInfo{NodeNum: 5}}, unhex(t, "1a020805")},
		{
			"queue status", &FromRadio{QueueStatus: &QueueStatus{Result: 32, Free: 3, MaxLen: 16, ID: 10000}},
			unhex(t, "5a09 0820 1003 1810 20904e"),
		},
		{
			"lora", &FromRadio{Config: &Config{Section: 6, LoRa: &LoRa{UsePreset: true, Region: RegionEU868, HopLimit: 3}}},
			unhex(t, "2a08 3206 0801 3803 4003"),
		},
		{
			"channel", &FromRadio{Channel: &Channel{Index: 1, Name: "alert", PSK: []byte{1}, Role: RoleSecondary}},
			unhex(t, "5210 0801 120a 120101 1a05616c657274 1802"),
		},
		{"text", &FromRadio{Packet: textPacket()}, append(unhex(t, "12"), append([]byte{byte(len(packet))}, packet...)...)},
		{"other", &FromRadio{Other: &Other{Field: 19, Bytes: []byte{8, 1}}}, unhex(t, "9a01 02 0801")},
		{"metadata", &FromRadio{Metadata: &Metadata{Firmware: "2.8.0", HWModel: 37}}, unhex(t, "6a09 0a05322e382e30 4825")},
		{"notification", &FromRadio{Notification: &Notification{Level: 30, Message: "no"}}, unhex(t, "820106 181e 22026e6f")},
	} {
		if got := AppendFromRadio(nil, c.m); !bytes.Equal(got, c.b) {
			t.Errorf("%s is written as %x, want %x", c.name, got, c.b)
		}
		got, err := ParseFromRadio(c.b)
		if err != nil || !reflect.DeepEqual(got, c.m) {
			t.Errorf("%s: %x is read as %+v, %v", c.name, c.b, got, err)
		}
	}
	for name, c := range map[string]struct {
		m *ToRadio
		b string
	}{
		"want config": {&ToRadio{WantConfigID: 69420}, "18ac9e04"},
		"disconnect":  {&ToRadio{Disconnect: true}, "2001"},
		"heartbeat":   {&ToRadio{Heartbeat: &Heartbeat{}}, "3a00"},
		"announce":    {&ToRadio{Heartbeat: &Heartbeat{Nonce: 1}}, "3a020801"},
		"packet":      {&ToRadio{Packet: &Packet{To: Broadcast, ID: 1, WantAck: true}}, "0a0c 15ffffffff 3501000000 5001"},
	} {
		want := unhex(t, c.b)
		if got := AppendToRadio(nil, c.m); !bytes.Equal(got, want) {
			t.Errorf("%s is written as %x, want %x", name, got, want)
		}
		if got, err := ParseToRadio(want); err != nil || !reflect.DeepEqual(got, c.m) {
			t.Errorf("%s: %x is read as %+v, %v", name, want, got, err)
		}
	}
}

func TestUnknownFieldsAreIgnored(t *testing.T) {
	// An unknown varint, fixed32, fixed64 and group of bytes around a known one.
	m, err := ParseFromRadio(unhex(t, "f80701 fd0701020304 f9070102030405060708 38e50f f80701"))
	if err != nil || m.ConfigCompleteID != 0 {
		t.Errorf("read as %+v, %v: of a oneof the last counts, known or not", m, err)
	}
	m, err = ParseFromRadio(unhex(t, "f80701 38e50f"))
	if err != nil || m.ConfigCompleteID != 2021 {
		t.Errorf("read as %+v, %v", m, err)
	}
	d, err := ParseData(unhex(t, "0801 f00701 12026869"))
	if err != nil || d.Port != PortText || string(d.Payload) != "hi" {
		t.Errorf("data is read as %+v, %v", d, err)
	}
}

func TestMalformedIsRefused(t *testing.T) {
	for _, s := range []string{
		"38",                     // a tag without a value
		"12ff",                   // a length beyond the end
		"1203 0d 01 02",          // a packet whose fixed32 is cut
		"1202 0801",              // from is fixed32, not a varint
		"5a02 0a00",              // a queue status whose res is bytes
		"38ffffffffffffffffffff", // a varint without an end
		"07",                     // wire type 7
		"00",                     // field 0
	} {
		if m, err := ParseFromRadio(unhex(t, s)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s is read as %+v, %v", s, m, err)
		}
	}
}

func TestRoutingWritesTheAcknowledgement(t *testing.T) {
	if b := AppendRouting(nil, ErrorNone); hex.EncodeToString(b) != "1800" {
		t.Errorf("an acknowledgement is %x, want 1800", b)
	}
	for _, e := range []RoutingError{ErrorNone, ErrorMaxRetransmit, ErrorDutyCycle, ErrorRateLimit} {
		if got, ok, err := ParseRouting(AppendRouting(nil, e)); got != e || !ok || err != nil {
			t.Errorf("%v comes back as %v, %v, %v", e, got, ok, err)
		}
	}
	if _, ok, err := ParseRouting(unhex(t, "0a00")); ok || err != nil {
		t.Errorf("a route is taken for an error: %v, %v", ok, err)
	}
}

// TestChannelKeys checks the hash of the public channel, which is known, and
// which keys are secret.
func TestChannelKeys(t *testing.T) {
	for _, c := range []struct {
		name   string
		psk    []byte
		hash   byte
		public bool
	}{
		{"", []byte{1}, 8, true}, // LongFast with AQ==
		{"", nil, 0x0a, true},
		{"", []byte{2}, 0x0b, true},
		{"", defaultKey, 8, true},
		{"town", bytes.Repeat([]byte{7}, 16), 't' ^ 'o' ^ 'w' ^ 'n', false},
		{"town", bytes.Repeat([]byte{7}, 32), 't' ^ 'o' ^ 'w' ^ 'n', false},
	} {
		ch := Channel{Name: c.name, PSK: c.psk}
		if _, public := ch.Key(); public != c.public {
			t.Errorf("%q %x: public is %v", c.name, c.psk, public)
		}
		if h := ch.Hash("LongFast"); h != c.hash {
			t.Errorf("%q %x: hash %#x, want %#x", c.name, c.psk, h, c.hash)
		}
	}
}

// FuzzFromRadio checks that what was read is written and read again alike.
func FuzzFromRadio(f *testing.F) {
	for _, m := range []*FromRadio{
		{Packet: textPacket()}, {MyInfo: &MyInfo{NodeNum: 1, DeviceID: []byte{1, 2}}},
		{NodeInfo: &NodeInfo{Num: 1, User: &User{LongName: "bob"}, Metrics: &Metrics{Voltage: 3.7}}},
		{Config: &Config{Section: 6, LoRa: &LoRa{TXPower: -3, OverrideFreqMHz: 868.1}}}, {Config: &Config{Section: 1}},
		{Channel: &Channel{Index: -1, Name: "a"}}, {QueueStatus: &QueueStatus{Free: 16}},
		{Metadata: &Metadata{Firmware: "2"}}, {Notification: &Notification{Message: "x"}}, {Log: &LogRecord{Message: "y"}},
		{Other: &Other{Field: 9, Bytes: []byte{1}}}, {ID: 3, Rebooted: true},
	} {
		f.Add(AppendFromRadio(nil, m))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseFromRadio(b)
		if err != nil {
			return
		}
		again := AppendFromRadio(nil, m)
		n, err := ParseFromRadio(again)
		if err != nil {
			t.Fatalf("%x was written back as %x: %v", b, again, err)
		}
		if third := AppendFromRadio(nil, n); !bytes.Equal(again, third) {
			t.Errorf("%x, then %x, then %x", b, again, third)
		}
	})
}

// FuzzToRadio does the same for the other direction.
func FuzzToRadio(f *testing.F) {
	for _, m := range []*ToRadio{{Packet: textPacket()}, {WantConfigID: 1}, {Disconnect: true}, {Heartbeat: &Heartbeat{1}}} {
		f.Add(AppendToRadio(nil, m))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseToRadio(b)
		if err != nil {
			return
		}
		again := AppendToRadio(nil, m)
		n, err := ParseToRadio(again)
		if err != nil {
			t.Fatalf("%x was written back as %x: %v", b, again, err)
		}
		if third := AppendToRadio(nil, n); !bytes.Equal(again, third) {
			t.Errorf("%x, then %x, then %x", b, again, third)
		}
	})
}

// FuzzPayloads reads what others put on the air.
func FuzzPayloads(f *testing.F) {
	f.Add(AppendRouting(nil, 5))
	f.Add(AppendUser(nil, &User{ID: "!a1b2c3d4", LongName: "bob"}))
	f.Add(AppendTelemetry(nil, 1, &Metrics{ChannelUtilization: 12.5}))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _, _ = ParseRouting(b)
		_, _ = ParseTelemetry(b)
		if u, err := ParseUser(b); err == nil {
			if v, err := ParseUser(AppendUser(nil, u)); err != nil || v.LongName != u.LongName {
				t.Errorf("%x: name %q comes back as %+v, %v", b, u.LongName, v, err)
			}
		}
	})
}
