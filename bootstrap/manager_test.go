package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"drey/mesh"
)

// A fakeRoster is a roster that tests write.
type fakeRoster struct {
	community mesh.Community
	mu        sync.Mutex
	nodes     map[mesh.NodeKey]bool
	banned    map[mesh.PubKey]bool
	changed   chan struct{}
}

func newFakeRoster(open bool, nodes ...mesh.NodeKey) *fakeRoster {
	r := &fakeRoster{community: mesh.Found(mesh.PubKey{1}, "town", [32]byte{}), nodes: map[mesh.NodeKey]bool{}, banned: map[mesh.PubKey]bool{}, changed: make(chan struct{})}
	if open {
		r.community = mesh.OpenCommunity("town")
	}
	for _, n := range nodes {
		r.nodes[n] = true
	}
	return r
}

func (r *fakeRoster) Community() mesh.Community { return r.community }
func (r *fakeRoster) Standing(a mesh.PubKey, _ time.Time) mesh.Standing {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.banned[a] {
		return mesh.Banned
	}
	return mesh.Stranger
}
func (r *fakeRoster) Admits(n mesh.NodeKey) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.community.Open || r.nodes[n]
}
func (r *fakeRoster) Nodes() []mesh.NodeKey {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []mesh.NodeKey
	for n := range r.nodes {
		all = append(all, n)
	}
	return all
}
func (r *fakeRoster) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}
func (r *fakeRoster) admit(n mesh.NodeKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.nodes[n] = true
	close(r.changed)
	r.changed = make(chan struct{})
}

// A fakeNet is a Dialer: some addresses answer, the others swallow calls.
type fakeNet struct {
	roster *fakeRoster
	mu     sync.Mutex
	answer map[string]mesh.NodeKey // by URI without a query
	slow   map[string]time.Duration
	vet    map[int]time.Duration // what Meet takes, by how many calls there were
	up     map[string]Link
	calls  map[string]int
	at     map[string]time.Time // when a link last came up
	under  int
	most   int // calls under way at one time
	news   chan struct{}
}

func newFakeNet(r *fakeRoster) *fakeNet {
	return &fakeNet{roster: r, answer: map[string]mesh.NodeKey{}, slow: map[string]time.Duration{}, up: map[string]Link{}, calls: map[string]int{}, at: map[string]time.Time{}, news: make(chan struct{})}
}

func (f *fakeNet) changedLocked() { close(f.news); f.news = make(chan struct{}) }

func (f *fakeNet) Call(ctx context.Context, uri, finder string) (mesh.NodeKey, error) {
	bare, want, err := splitURI(uri)
	if err != nil {
		return mesh.NodeKey{}, err
	}
	f.mu.Lock()
	f.calls[bare]++
	f.under++
	f.most = max(f.most, f.under)
	key, ok := f.answer[bare]
	wait := f.slow[bare]
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.under--
		f.mu.Unlock()
	}()
	if !ok {
		wait = time.Minute // a black hole
	}
	select {
	case <-ctx.Done():
		return mesh.NodeKey{}, ctx.Err()
	case <-time.After(wait):
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if want != (mesh.NodeKey{}) && key != want {
		return mesh.NodeKey{}, errors.New("another key")
	}
	f.up[bare] = Link{URI: bare, Node: key, Up: true, Finder: finder, Remote: netip.MustParseAddr("192.168.1.2")}
	f.at[bare] = time.Now()
	f.changedLocked()
	return key, nil
}

func (f *fakeNet) Hangup(uri string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.up, uri)
	f.changedLocked()
}

func (f *fakeNet) Meet(_ context.Context, who mesh.NodeKey) error {
	f.mu.Lock()
	n := 0
	for _, c := range f.calls {
		n += c
	}
	wait := f.vet[n]
	f.mu.Unlock()
	time.Sleep(wait)
	if !f.roster.Admits(who) {
		return errors.New("the other node is of another community")
	}
	return nil
}
func (f *fakeNet) Met(mesh.NodeKey) bool { return false }
func (f *fakeNet) Links() []Link {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []Link
	for _, l := range f.up {
		all = append(all, l)
	}
	return all
}
func (f *fakeNet) Changed() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.news
}

// A scripted finder hands over what a test wants, when it wants.
type scripted struct {
	name string
	run  func(ctx context.Context, found func(Candidate)) error

	mu   sync.Mutex
	told []Announcement
}

func (s *scripted) Name() string { return s.name }
func (s *scripted) Run(ctx context.Context, found func(Candidate)) error {
	return s.run(ctx, found)
}
func (s *scripted) Announce(a Announcement) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, a)
}

// finds makes a finder that finds these candidates at once, then rests.
func finds(name string, all ...Candidate) *scripted {
	return &scripted{name: name, run: func(ctx context.Context, found func(Candidate)) error {
		for _, c := range all {
			found(c)
		}
		<-ctx.Done()
		return nil
	}}
}

var townSecret = mesh.Secret{7}

// someone is a node with a record.
func someone(t testing.TB, n int, c mesh.Community, seq uint32, uris ...string) (*mesh.Identity, *mesh.PeerRecord) {
	t.Helper()
	var seed mesh.Seed
	seed[0], seed[1], seed[31] = byte(n), byte(n>>8), 1
	id, err := seed.Identity()
	if err != nil {
		t.Fatal(err)
	}
	r := mesh.PeerRecord{Community: [8]byte(c.ID[:8]), Seq: seq, Lifetime: time.Hour}
	for _, uri := range uris {
		e, err := mesh.ParseEndpoint(uri)
		if err != nil {
			t.Fatal(err)
		}
		r.Endpoints = append(r.Endpoints, e)
	}
	signed, err := id.SignPeerRecord(r)
	if err != nil {
		t.Fatal(err)
	}
	return id, signed
}

func wire(r *mesh.PeerRecord) []byte { return r.AppendBinary(nil) }

// manage makes a manager with identity 1 over a shelf, and these finders.
func manage(t testing.TB, roster *fakeRoster, net *fakeNet, shelf *memory, finders ...Finder) *Manager {
	t.Helper()
	id, _ := someone(t, 1, roster.community, 1)
	return NewManager(ManagerConfig{
		Self: id.NodeKey(), Roster: roster, Secrets: func() []mesh.Secret { return []mesh.Secret{townSecret} },
		Card: NewCard(CardConfig{Identity: id, Community: roster.community, Shelf: &memory{}, Clock: time.Now,
			Say: func(mesh.Abilities) (mesh.Abilities, []mesh.Endpoint) { return 0, nil }}),
		Dialer: net, Finders: finders, Shelf: shelf, Zones: func() []string { return []string{"eth0"} },
		Log: slog.New(slog.DiscardHandler), Clock: time.Now,
	})
}

// during runs the manager while do looks on.
func during(t *testing.T, m *Manager, do func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	defer func() { // also when do gives up
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	do()
}

func refusals(m *Manager, finder string) map[Refusal]uint64 {
	for _, f := range m.Status().Finders {
		if f.Name == finder {
			return f.Count
		}
	}
	return nil
}

// Nine of ten finders are dead, broken or lead into black holes; the tenth is
// as fast as alone.
func TestDeadFindersDelayNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good, record := someone(t, 2, mesh.Found(mesh.PubKey{1}, "town", [32]byte{}), 1, "tls://192.0.2.1:3740")
		roster := newFakeRoster(false, good.NodeKey())
		net := newFakeNet(roster)
		net.answer["tls://192.0.2.1:3740"] = good.NodeKey()
		hang := func(ctx context.Context, _ func(Candidate)) error { <-ctx.Done(); return nil }
		finders := []Finder{
			&scripted{name: FinderCache, run: hang},
			&scripted{name: FinderNostr, run: hang},
			&scripted{name: FinderKademlia, run: func(context.Context, func(Candidate)) error { return errors.New("no network") }},
			&scripted{name: FinderLoRa, run: func(context.Context, func(Candidate)) error { panic("a fault of ours") }},
			&scripted{name: FinderBroadcast, run: func(context.Context, func(Candidate)) error { return nil }},
		}
		for i, name := range []string{FinderRoster, FinderFile, FinderDNS, FinderMainline} {
			var holes []Candidate
			for j := range 50 {
				hole, r := someone(t, 100+50*i+j, roster.community, 1, fmt.Sprintf("tls://203.0.113.%d:%d", j+1, 1000+i))
				roster.nodes[hole.NodeKey()] = true
				holes = append(holes, Candidate{Record: wire(r)})
			}
			finders = append(finders, finds(name, holes...))
		}
		finders = append(finders, &scripted{name: FinderMDNS, run: func(ctx context.Context, found func(Candidate)) error {
			time.Sleep(500 * time.Millisecond) // in the bubble: the honest one comes when the others have begun
			found(Candidate{Record: wire(record)})
			<-ctx.Done()
			return nil
		}})
		m := manage(t, roster, net, &memory{}, finders...)
		began := time.Now()
		during(t, m, func() {
			time.Sleep(3 * time.Second)
			synctest.Wait()
			at, up := net.at["tls://192.0.2.1:3740"]
			if took := at.Sub(began); !up || took > 600*time.Millisecond {
				t.Errorf("linked %v after %v, want within 0.6 s", up, took)
			}
			if st := m.Status(); st.Mode != ModeLocal {
				t.Errorf("mode %s, want local", st.Mode)
			}
			for _, f := range m.Status().Finders {
				switch f.Name {
				case FinderKademlia, FinderLoRa, FinderBroadcast:
					if f.State != StateResting || f.Err == "" {
						t.Errorf("%s is %s (%s), want resting with a reason", f.Name, f.State, f.Err)
					}
				case FinderMDNS:
					if f.State != StateLinked || f.Links != 1 || f.Found != 1 {
						t.Errorf("mdns: %+v", f)
					}
				}
			}
		})
		if net.most > callsAtOnce*callsOfContact {
			t.Errorf("%d calls at one time", net.most)
		}
	})
}

// A poisoned finder offers 10,000 candidates at once, each signed and of an
// address that swallows calls. What it costs is bounded, and the honest finder
// is not delayed.
func TestPoisonedFinder(t *testing.T) {
	const many = 10_000
	for _, open := range []bool{false, true} {
		t.Run(fmt.Sprintf("open=%v", open), func(t *testing.T) {
			community := newFakeRoster(open).community
			// Signing 10,000 records takes seconds; half a thousand keys do, each
			// with as many numbers as needed. What arrives differs every time.
			var poison []Candidate
			const keys = 200
			for k := range keys {
				_, r := someone(t, 1000+k, community, 1, fmt.Sprintf("tls://203.0.113.9:%d", 1000+k))
				for range many / keys {
					poison = append(poison, Candidate{Record: Seal(r, townSecret)})
				}
			}
			synctest.Test(t, func(t *testing.T) {
				good, record := someone(t, 2, community, 1, "tls://192.0.2.1:3740")
				roster := newFakeRoster(open)
				roster.nodes[good.NodeKey()] = true
				net := newFakeNet(roster)
				net.answer["tls://192.0.2.1:3740"] = good.NodeKey()
				honest := &scripted{name: FinderDNS, run: func(ctx context.Context, found func(Candidate)) error {
					time.Sleep(time.Second)
					found(Candidate{Record: wire(record)})
					<-ctx.Done()
					return nil
				}}
				m := manage(t, roster, net, &memory{}, finds(FinderNostr, poison...), honest)
				began := time.Now()
				during(t, m, func() {
					time.Sleep(10 * time.Second)
					synctest.Wait()
					took := net.at["tls://192.0.2.1:3740"].Sub(began) - time.Second
					if took < 0 || took > 2*time.Second {
						t.Errorf("the honest finder was delayed by %v, want at most 2 s", took)
					}
				})
				count := refusals(m, FinderNostr)
				looked := many - int(count[RefusedFlood])
				most := looksBurst + int(looks)*10
				t.Logf("of %d: %d looked at (bound in 10 s: %d), %v refused; calls to %d addresses, %d at one time", many, looked, most, count, len(net.calls), net.most)
				if looked > most {
					t.Errorf("%d candidates were looked at in 10 s, bound %d", looked, most)
				}
				if m.Status().Known > strangersOfFinder+1 {
					t.Errorf("%d peers are kept, bound %d", m.Status().Known, strangersOfFinder+1)
				}
				if net.most > callsOfFinder+1 {
					t.Errorf("%d calls at one time, bound %d", net.most, callsOfFinder+1)
				}
			})
		})
	}
}

// Each kind of bad candidate is refused, counted under its reason, and called
// by nobody.
func TestBadCandidatesAreRefusedAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		town := newFakeRoster(false).community
		member, newer := someone(t, 2, town, 5, "tls://192.0.2.1:3740")
		_, older := someone(t, 2, town, 4, "tls://192.0.2.2:3740")
		_, self := someone(t, 1, town, 77, "tls://192.0.2.3:3740")
		_, elsewhere := someone(t, 3, mesh.OpenCommunity("elsewhere"), 1, "tls://192.0.2.4:3740")
		_, stranger := someone(t, 4, town, 1, "tls://192.0.2.5:3740")
		outcast, banned := someone(t, 5, town, 1, "tls://192.0.2.6:3740")
		other, genuine := someone(t, 6, town, 1, "tls://192.0.2.7:3740")
		forged := *genuine
		forged.Seq++
		roster := newFakeRoster(false, member.NodeKey(), other.NodeKey())
		roster.banned[outcast.Author.PubKey()] = true
		net := newFakeNet(roster)
		f := &scripted{name: FinderDNS, run: func(ctx context.Context, found func(Candidate)) error {
			found(Candidate{Record: wire(newer)})
			time.Sleep(time.Second)
			for _, b := range [][]byte{
				wire(older), wire(self), wire(elsewhere), wire(stranger), wire(banned), wire(&forged),
				Seal(genuine, mesh.Secret{8}), make([]byte, 2000), {1, 2, 3}, {},
			} {
				found(Candidate{Record: b})
			}
			found(Candidate{URI: "gopher://192.0.2.9:1"})
			found(Candidate{URI: "tls://192.0.2.8:3740?key=" + self.Node.String()})
			<-ctx.Done()
			return nil
		}}
		m := manage(t, roster, net, &memory{}, f)
		during(t, m, func() {
			time.Sleep(5 * time.Second)
			synctest.Wait()
			got := refusals(m, FinderDNS)
			want := map[Refusal]uint64{
				RefusedSuperseded: 1, RefusedSelf: 2, RefusedCommunity: 1, RefusedStranger: 1, RefusedBanned: 1,
				RefusedForged: 1, RefusedSealed: 1, RefusedSize: 1, RefusedForm: 3,
			}
			for why, n := range want {
				if got[why] != n {
					t.Errorf("%s: %d, want %d", why, got[why], n)
				}
			}
			if len(got) != len(want) {
				t.Errorf("refused %v, want %v", got, want)
			}
			if uris := net.calls; len(uris) != 1 || uris["tls://192.0.2.1:3740"] == 0 {
				t.Errorf("called %v, want the one good address only", uris)
			}
			// A record of this node that it does not remember makes it count on.
			if r, err := m.c.Card.Record(t.Context()); err != nil || r.Seq <= 77 {
				t.Errorf("own record %+v, %v: does not count more than 77", r, err)
			}
		})
	})
}

// A stranger who knows the community's secret may have been admitted on
// another island: it is called, and stays only if it then belongs.
func TestStrangersMustShowThatTheyBelong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		roster := newFakeRoster(false)
		late, record := someone(t, 2, roster.community, 1, "tls://192.0.2.1:3740")
		liar, lie := someone(t, 3, roster.community, 1, "tls://192.0.2.2:3740")
		unnamed, _ := someone(t, 4, roster.community, 1)
		net := newFakeNet(roster)
		net.answer["tls://192.0.2.1:3740"], net.answer["tls://192.0.2.2:3740"], net.answer["tls://192.0.2.3:3740"] = late.NodeKey(), liar.NodeKey(), unnamed.NodeKey()
		meet := func() { roster.admit(late.NodeKey()); roster.admit(unnamed.NodeKey()) } // as the exchange at the gate would
		m := manage(t, roster, net, &memory{}, finds(FinderMainline,
			Candidate{Record: Seal(record, townSecret)}, Candidate{Record: Seal(lie, townSecret)}, Candidate{URI: "tls://192.0.2.3:3740"}))
		meet()
		during(t, m, func() {
			time.Sleep(5 * time.Second)
			synctest.Wait()
			var up []mesh.NodeKey
			for _, l := range net.Links() {
				up = append(up, l.Node)
			}
			if len(up) != 2 || !slices.Contains(up, late.NodeKey()) || !slices.Contains(up, unnamed.NodeKey()) {
				t.Errorf("linked with %v, want the two that belong", up)
			}
			if refusals(m, FinderMainline)[RefusedForeign] == 0 {
				t.Error("who does not belong was not counted")
			}
		})
	})
}

// What came up is called first at the next start, whatever the clock says, and
// what never answers again is forgotten after some runs.
func TestPeersAreRememberedRankedAndForgotten(t *testing.T) {
	community := newFakeRoster(false).community
	good, record := someone(t, 2, community, 1, "tls://192.0.2.1:3740", "tls://192.0.2.2:3740")
	gone, lost := someone(t, 3, community, 1, "tls://192.0.2.9:3740")
	shelf := &memory{}
	run := func(t *testing.T, answers map[string]mesh.NodeKey, look func(*Manager, *fakeNet), finders ...Finder) {
		synctest.Test(t, func(t *testing.T) {
			roster := newFakeRoster(false, good.NodeKey(), gone.NodeKey())
			net := newFakeNet(roster)
			net.answer = answers
			m := manage(t, roster, net, shelf, append(finders, NewCache())...)
			m.c.Clock = func() time.Time {
				return time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)))
			}
			during(t, m, func() {
				time.Sleep(20 * time.Second)
				synctest.Wait()
				look(m, net)
			})
		})
	}
	run(t, map[string]mesh.NodeKey{"tls://192.0.2.2:3740": good.NodeKey(), "tls://192.0.2.9:3740": gone.NodeKey()}, func(m *Manager, net *fakeNet) {
		if len(net.Links()) != 2 {
			t.Fatalf("links %v, want two", net.Links())
		}
	}, finds(FinderDNS, Candidate{Record: wire(record)}, Candidate{Record: wire(lost)}))
	var runs int
	for runs = 1; runs <= 2*diaryTries; runs++ {
		left := 0
		run(t, map[string]mesh.NodeKey{"tls://192.0.2.2:3740": good.NodeKey()}, func(m *Manager, net *fakeNet) {
			if l := net.Links(); len(l) != 1 || l[0].Node != good.NodeKey() || l[0].Finder != FinderCache {
				t.Fatalf("run %d: links %+v, want the good one by the cache", runs, l)
			}
			if n := net.calls["tls://192.0.2.1:3740"]; n > 0 {
				t.Errorf("run %d: the address that never answered was called %d times before the one that did", runs, n)
			}
			left = net.calls["tls://192.0.2.9:3740"]
		})
		if left == 0 {
			break
		}
	}
	if runs < 5 || runs > 2*diaryTries-1 {
		t.Errorf("the dead peer was forgotten after %d runs, want about %d", runs, diaryTries)
	}
}

// A link that breaks is called again; one that is seen again on the local
// network at once, in spite of its pause.
func TestBrokenLinksAreCalledAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		roster := newFakeRoster(false)
		good, record := someone(t, 2, roster.community, 1, "tls://192.0.2.1:3740")
		roster.nodes[good.NodeKey()] = true
		net := newFakeNet(roster)
		const uri = "tls://192.0.2.1:3740"
		net.answer[uri] = good.NodeKey()
		again := make(chan struct{})
		m := manage(t, roster, net, &memory{}, &scripted{name: FinderMDNS, run: func(ctx context.Context, found func(Candidate)) error {
			found(Candidate{Record: wire(record)})
			<-again
			found(Candidate{Record: wire(record)})
			<-ctx.Done()
			return nil
		}})
		during(t, m, func() {
			time.Sleep(time.Second)
			synctest.Wait()
			net.Hangup(uri)
			time.Sleep(3 * time.Second)
			synctest.Wait()
			if len(net.Links()) != 1 {
				t.Fatal("the broken link was not called again within 3 s")
			}
			net.mu.Lock()
			delete(net.answer, uri)
			net.mu.Unlock()
			net.Hangup(uri)
			time.Sleep(time.Hour) // its pauses have grown long
			net.mu.Lock()
			net.answer[uri] = good.NodeKey()
			net.mu.Unlock()
			synctest.Wait()
			seen := time.Now()
			close(again)
			time.Sleep(15 * time.Second)
			synctest.Wait()
			if took := net.at[uri].Sub(seen); len(net.Links()) != 1 || took > 13*time.Second {
				t.Errorf("links %d; seen again, linked after %v", len(net.Links()), took)
			}
		})
	})
}
