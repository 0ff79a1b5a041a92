package bootstrap

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"drey/mesh"
)

// Who was met in an earlier run and is no member counts for no finder while
// the cache is off: the next stranger must find room beside him.
func TestRememberedStrangersWithoutTheCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		roster := newFakeRoster(false)
		once, _ := someone(t, 2, roster.community, 1)
		_, record := someone(t, 3, roster.community, 1, "tls://192.0.2.1:3740")
		shelf := &memory{}
		if err := (diary{shelf}).keep(t.Context(), &contact{id: contactID(once.NodeKey(), ""), node: once.NodeKey(), wins: 1, transit: true}); err != nil {
			t.Fatal(err)
		}
		m := manage(t, roster, newFakeNet(roster), shelf, finds(FinderMDNS, Candidate{Record: Seal(record, townSecret)}))
		during(t, m, func() {
			time.Sleep(time.Second)
			synctest.Wait()
			if n := m.Status().Known; n != 2 {
				t.Errorf("%d are known, want the one of the earlier run and the new one", n)
			}
		})
	})
}

// Who answers and hangs up at once is called with pauses that grow.
func TestWhoHangsUpIsCalledLessAndLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		roster := newFakeRoster(false)
		flaky, record := someone(t, 2, roster.community, 1, "tls://192.0.2.1:3740")
		roster.nodes[flaky.NodeKey()] = true
		net := newFakeNet(roster)
		const uri = "tls://192.0.2.1:3740"
		net.answer[uri] = flaky.NodeKey()
		m := manage(t, roster, net, &memory{}, finds(FinderDNS, Candidate{Record: wire(record)}))
		during(t, m, func() {
			for began := time.Now(); time.Since(began) < 10*time.Minute; time.Sleep(50 * time.Millisecond) {
				synctest.Wait()
				if len(net.Links()) > 0 {
					net.Hangup(uri)
				}
			}
			synctest.Wait()
			if n := net.calls[uri]; n < 5 || n > 12 {
				t.Errorf("called %d times in 10 min, want 5 to 12", n)
			}
		})
	})
}

// Who came up before and turns out to belong no more, as after a ban, is called
// a few times and then forgotten, on the shelf too.
func TestWhoBelongsNoMoreIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		roster := newFakeRoster(false)
		gone, record := someone(t, 2, roster.community, 1, "tls://192.0.2.1:3740")
		net := newFakeNet(roster)
		const uri = "tls://192.0.2.1:3740"
		net.answer[uri] = gone.NodeKey()
		net.vet = map[int]time.Duration{4: time.Second} // long enough for a look at the links
		shelf := &memory{}
		if err := (diary{shelf}).keep(t.Context(), &contact{id: contactID(gone.NodeKey(), ""), node: gone.NodeKey(), record: record, wins: 9, places: []place{{URI: uri, Wins: 9}}}); err != nil {
			t.Fatal(err)
		}
		m := manage(t, roster, net, shelf, NewCache())
		during(t, m, func() {
			time.Sleep(time.Hour)
			synctest.Wait()
			if n := net.calls[uri]; n != strangerTries || m.Status().Known != 0 {
				t.Errorf("called %d times in an hour, %d known; want %d and nobody", n, m.Status().Known, strangerTries)
			}
			if keys, _ := shelf.Keys(t.Context(), diaryPrefix); len(keys) > 0 {
				t.Errorf("still remembered: %v", keys)
			}
		})
	})
}

// Links that strangers on the cable make by multicast fill neither the
// contacts nor the shelf.
func TestMulticastStrangersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		roster := newFakeRoster(false)
		net := newFakeNet(roster)
		for i := range 1000 {
			uri := "tls://[fe80::" + netip.AddrFrom4([4]byte{1, 1, byte(i >> 8), byte(i)}).String() + "%25eth0]:3740"
			net.up[uri] = Link{URI: uri, Node: mesh.NodeKey{1, byte(i), byte(i >> 8)}, Up: true, Finder: FinderMulticast}
		}
		shelf := &memory{}
		m := manage(t, roster, net, shelf)
		during(t, m, func() {
			time.Sleep(time.Second)
			synctest.Wait()
			keys, _ := shelf.Keys(t.Context(), diaryPrefix)
			if n := m.Status().Known; n > strangersOfFinder || len(keys) > strangersOfFinder {
				t.Errorf("%d strangers are known and %d remembered, want at most %d", n, len(keys), strangersOfFinder)
			}
		})
	})
}

// A file that is too long, or no file of records at all, is read once and not
// every few seconds.
func TestBadFilesAreReadOnce(t *testing.T) {
	record := sealedRecords(t, 1)[0]
	line := mesh.RecordText(record) + "\n"
	for name, text := range map[string]string{
		"too many": strings.Repeat(line, fileMost+1),
		"no lines": line + strings.Repeat("x", 1<<20),
	} {
		synctest.Test(t, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "records")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			f, found := NewFile([]string{path}), 0
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := f.Run(ctx, func(Candidate) { found++ }); err != nil {
				t.Error(err)
			}
			if found == 0 || found > fileMost {
				t.Errorf("%s: %d records in a minute, want those of one reading", name, found)
			}
		})
	}
}

// Whoever asks mDNS from another port is answered only on the same network:
// an answer is many times as long as a question, and addresses can be forged.
func TestMDNSAnswersNeighboursOnly(t *testing.T) {
	here := []netip.Prefix{netip.MustParsePrefix("192.168.1.7/24"), netip.MustParsePrefix("2001:db8:1::7/64"), netip.MustParsePrefix("fe80::1/64")}
	for at, want := range map[string]bool{
		"192.168.1.200": true, "2001:db8:1::99": true, "fe80::2%eth0": true, "169.254.3.4": true,
		"192.168.2.1": false, "203.0.113.9": false, "2001:db8:2::1": false, "::1": false,
	} {
		if got := onLink(netip.MustParseAddr(at), here); got != want {
			t.Errorf("%s is a neighbour: %v, want %v", at, got, want)
		}
	}
}
