package pool

import (
	"encoding/json"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"drey/mesh"
)

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestNormalize(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"wss://relay.example.org", "wss://relay.example.org"},
		{" WSS://Relay.Example.ORG/ ", "wss://relay.example.org"},
		{"wss://relay.example.org:443/", "wss://relay.example.org"},
		{"ws://relay.example.org:80", "ws://relay.example.org"},
		{"ws://relay.example.org:443", "ws://relay.example.org:443"},
		{"wss://relay.example.org//a/../b/", "wss://relay.example.org/b"},
		{"wss://relay.example.org/Path/?Key=V#x", "wss://relay.example.org/Path?Key=V"},
		{"relay.example.org", "wss://relay.example.org"},
		{"relay.example.org.", "wss://relay.example.org"},
		{"ws://[2001:DB8::1]:7447", "ws://[2001:db8::1]:7447"},
		{"wss://[2001:db8::1]", "wss://[2001:db8::1]"},
		{"192.0.2.1:7447", "wss://192.0.2.1:7447"}, {"localhost:7447", "wss://localhost:7447"}, {"ws://relay", "ws://relay"},
		{"relay", ""}, {"relay:7447", ""}, {"relay/path.d", ""}, {"relay.", ""},
		{"", ""}, {"https://relay.example.org", ""}, {"wss://", ""}, {"wss://:443", ""}, {"wss://a:b@relay.example.org", ""}, {"wss:relay", ""},
		{"wss://relay.example.org:", ""}, {"wss://a b", ""}, {"wss://a\"b", ""}, {"ws://x:99999", ""}, {"wss://" + strings.Repeat("a", maxURL), ""}, {"wss://.", ""},
	} {
		got, err := Normalize(tt.in)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("Normalize(%q) = %q, %v; want %q", tt.in, got, err, tt.want)
		}
	}
}

func FuzzNormalize(f *testing.F) {
	for _, s := range []string{"wss://relay.example.org/", "ws://[::1]:80/a//b?x#y", "relay", "wss://%41.example/%2f", "WSS://x:443"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once, err := Normalize(s)
		if err != nil {
			return
		}
		if again, err := Normalize(once); err != nil || again != once {
			t.Errorf("%q became %q, and that %q, %v", s, once, again, err)
		}
	})
}

func FuzzMessage(f *testing.F) {
	e := note(time.Unix(1_700_000_000, 0), "x")
	for _, s := range []string{
		`["EVENT","peers",` + string(e.AppendJSON(nil)) + `]`, `["OK","` + e.ID().String() + `",true,""]`, `["OK","` + e.ID().String() + `",false,"duplicate: x"]`,
		`["EOSE","d1"]`, `["CLOSED","d1","auth-required: who"]`, `["CLOSED","d1"]`, `["NOTICE","x"]`, `["AUTH","x"]`, `["AUTH",1]`, `["NEG-MSG","d1","61"]`, `["NEG-ERR","d1","blocked: x"]`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMessage(b)
		if err != nil {
			return
		}
		if (m.verb == "EVENT") != (m.event != nil) {
			t.Errorf("%q: verb %q with event %s", b, m.verb, m.event)
		}
		if m.verb == "OK" && m.id == (mesh.EventID{}) && !strings.Contains(string(b), strings.Repeat("0", 64)) {
			t.Errorf("%q: an OK for nothing", b)
		}
	})
}

func FuzzInfo(f *testing.F) {
	f.Add([]byte(`{"name":"x","supported_nips":[1,"77",11.0,1.5,-3],"limitation":{"max_limit":500,"max_message_length":"65536","auth_required":true}}`))
	f.Add([]byte(`{"limitation":[]}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		i, err := parseInfo(b)
		if err != nil {
			return
		}
		if i.MaxLimit < 0 || i.MaxMessage < 0 || len(i.NIPs) > 100 || !slices.IsSorted(i.NIPs) || len([]rune(i.Name)) > 200 {
			t.Errorf("%q: %+v", b, i)
		}
	})
}

func TestInfoIsReadLeniently(t *testing.T) {
	i, err := parseInfo([]byte(`{"name":"x","software":"y","version":"2","supported_nips":[77,"11",1,1,0,"a"],"limitation":{"max_limit":"500","max_message_length":65536,"auth_required":true,"payment_required":1}}`))
	if err != nil || !slices.Equal(i.NIPs, []int{1, 11, 77}) || i.MaxLimit != 500 || i.MaxMessage != 65536 || !i.SignIn || i.Payment || i.Software != "y 2" {
		t.Errorf("%+v, %v", i, err)
	}
}

// A filter as relays read it has nothing that only an archive knows.
func TestFilterOnTheWire(t *testing.T) {
	id, by := mesh.EventID{1}, mesh.PubKey{2}
	f := mesh.Filter{
		IDs: []mesh.EventID{id}, Authors: []mesh.PubKey{by}, Kinds: []mesh.Kind{1}, Topics: []mesh.Topic{"alerts"}, Tags: map[string][]string{"t": {"alerts"}},
		Since: 5, Until: 6, After: 7, From: time.Unix(8, 0), Limit: 9, Search: "bridge", Order: mesh.ReceiptFirst,
	}
	var got map[string]any
	if err := json.Unmarshal(appendFilter(nil, &f), &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != 8 || got["limit"] != 9.0 || got["search"] != "bridge" || got["#t"].([]any)[0] != "alerts" || got["ids"].([]any)[0] != id.String() {
		t.Errorf("%v", got)
	}
	if b := appendFilter(nil, &mesh.Filter{Authors: []mesh.PubKey{}}); string(b) != `{"authors":[]}` {
		t.Errorf("nobody's events are asked for by %s", b)
	}
}
