package web_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"drey/mesh"
)

// Two messages that begin alike are told apart by more digits; one that the
// viewer may not see does not stand in the way of another.
func TestFirstDigitsOfAnID(t *testing.T) {
	s, n := newServer(t, nil)
	self := newKey(t, 3).PubKey().String()
	seen := make(map[string]*mesh.Event)
	var a, b *mesh.Event
	for i := 0; a == nil; i++ {
		kind, tags := mesh.KindNote, [][]string(nil)
		if i%2 == 0 {
			kind, tags = mesh.KindGiftWrap, [][]string{{"p", self}}
		}
		e, err := mesh.NewEvent(mesh.PubKey{1}, mesh.Signature{}, mesh.Draft{CreatedAt: 1000, Kind: kind, Tags: tags, Content: fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
		head := e.ID().String()[:8]
		if other := seen[head]; other != nil && other.Kind() != e.Kind() {
			a, b = e, other
		}
		seen[head] = e
	}
	if a.Kind() == mesh.KindGiftWrap {
		a, b = b, a
	}
	note := n.Receive(a, mesh.TopicCommons, "gossip", 0).Event.ID().String()
	n.Receive(b, mesh.TopicMail, "gossip", 0)
	admin, guest := open(t, s, os.Getuid(), socket), open(t, s, -1, lan)
	if got := guest.do("GET", "/v1/messages/"+note[:8], ""); got.status != 200 || !strings.Contains(got.body, note) {
		t.Errorf("for a guest, who sees one of two: %d %s", got.status, got.body)
	}
	if got := admin.do("GET", "/v1/messages/"+note[:8], ""); got.status != 404 || !strings.Contains(got.body, "2 begin with") || !strings.Contains(got.body, "more digits") {
		t.Errorf("for the operator, who sees both: %d %s", got.status, got.body)
	}
	for digits := 9; ; digits++ {
		if strings.HasPrefix(b.ID().String(), note[:digits]) {
			continue
		}
		if got := admin.do("GET", "/v1/messages/"+note[:digits], ""); got.status != 200 || !strings.Contains(got.body, note) {
			t.Errorf("with %d digits: %d %s", digits, got.status, got.body)
		}
		return
	}
}
