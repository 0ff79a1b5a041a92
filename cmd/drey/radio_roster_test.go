package main

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"drey/mesh"
	"drey/radio"
	"drey/radio/meshtastic"
	"drey/radio/radiotest"
	"drey/web"
)

// TestBanTravelsByRadio leaves two machines nothing but a simulated ether, with
// the community's private channel and no topic mapped to it: a ban that one
// signs shuts the third out at the other, and the rotation after it brings the
// new secret. Both then say that their radios still have the old key.
func TestBanTravelsByRadio(t *testing.T) {
	t.Parallel()
	air := radiotest.NewAir(radiotest.Config{Preset: shortFast})
	ether, stop := context.WithTimeout(t.Context(), 2*awaitPatience)
	defer stop()
	go air.Run(ether)
	one := settleNode(t, "one", nil)
	two := settleNode(t, "two", one)
	thief := settleNode(t, "thief", one)
	for two.members() != 3 {
		if !pause(ether, 5*time.Millisecond) {
			t.Fatal("the machines do not meet")
		}
	}
	for _, r := range []*resident{thief, two, one} {
		if err := r.end(); err != nil {
			t.Fatal(err)
		}
	}
	one, two = byRadio(t, air, one), byRadio(t, air, two)
	defer two.end()
	defer one.end()
	if able := one.record().Abilities; able&mesh.AbleRadio == 0 {
		t.Errorf("with a radio: abilities %s", able)
	}
	one.decide(t, web.MemberChange{Op: web.OpBan, Who: "thief"})
	one.decide(t, web.MemberChange{Op: web.OpRotate})
	began := time.Now()
	for !two.book.Banned(thief.who.NodeKey(), mesh.PubKey{}) {
		if !pause(ether, 20*time.Millisecond) {
			t.Fatalf("the ban did not come by radio; %+v", two.radio.Status())
		}
	}
	t.Logf("the ban came after %v", time.Since(began).Round(time.Millisecond))
	for two.secrets()[0] != one.secrets()[0] {
		if !pause(ether, 20*time.Millisecond) {
			t.Fatal("the secret did not come by radio")
		}
	}
	t.Logf("the secret came after %v", time.Since(began).Round(time.Millisecond))
	for _, r := range []*resident{one, two} {
		for r.radio.Status().Code != radio.CodeKey {
			if !pause(ether, 20*time.Millisecond) {
				t.Fatalf("the radio of %s has the old key, and says %+v", r.name, r.radio.Status())
			}
		}
		checks := radioChecks(r.radio, "sim")
		if len(checks) != 1 || checks[0].Problem == nil || !strings.Contains(checks[0].Problem.Fix, "drey radio setup") {
			t.Errorf("the doctor of %s says %+v", r.name, checks)
		}
	}
}

// byRadio starts a machine again with nothing but a radio, whose second channel is
// the community's private one, and returns when the radio is live.
func byRadio(t *testing.T, air *radiotest.Air, r *resident) *resident {
	t.Helper()
	set := r.setup
	psk := r.secrets()[0].RadioPSK()
	private := meshtastic.Channel{Name: "town", PSK: psk[:], Role: meshtastic.RoleSecondary}
	device := air.NewRadio(r.name, radiotest.RadioConfig{Channels: []meshtastic.Channel{radiotest.PublicChannel(), private}})
	set.conf.Overlay.Listen = []string{}
	set.conf.Bootstrap.Finders = []string{}
	set.conf.Radio.Device = "sim"
	set.dialRadio = func(context.Context) (io.ReadWriteCloser, error) { return device.Conn(), nil }
	on := begin(t, set)
	for on.radio.Status().State != radio.StateLive {
		if !pause(t.Context(), 20*time.Millisecond) {
			t.Fatalf("the radio of %s: %+v", r.name, on.radio.Status())
		}
	}
	return on
}
