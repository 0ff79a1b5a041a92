package mesh

import "testing"

func TestHeldBack(t *testing.T) {
	k := key(t, 3)
	for name, c := range map[string]struct {
		tags                   [][]string
		offInternet, staysHere bool
	}{
		"plain":   {nil, false, false},
		"local":   {[][]string{LocalTag("meshtastic")}, true, false},
		"machine": {[][]string{{"t", "radio"}, MachineTag()}, false, true},
		"other":   {[][]string{{"scope", "town"}}, false, false},
	} {
		e := sign(t, k, Draft{Kind: KindReading, Tags: c.tags})
		if OffInternet(e) != c.offInternet || StaysHere(e) != c.staysHere {
			t.Errorf("%s: off the internet %v, stays here %v", name, OffInternet(e), StaysHere(e))
		}
		for who, v := range map[string]Viewer{"self": Self, "member": {Member: true}, "node": {Node: true}, "guest": {Topics: []Topic{"radio"}}} {
			want := !c.staysHere || who == "self" || who == "member"
			if got := Visible(e, "radio", v); got != want {
				t.Errorf("%s: visible to %s: %v", name, who, got)
			}
		}
	}
	if !KindReading.Ephemeral() {
		t.Error("readings are kept")
	}
}
