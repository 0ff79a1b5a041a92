package bootstrap

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"drey/mesh"
)

// A fakeBoard is one relay in memory.
type fakeBoard struct {
	mu      sync.Mutex
	readers []func() // told of each new event
	all     []*mesh.Event
	calls   int
	fails   int // so many more calls of Announce
	asked   [][]mesh.Filter
}

func (b *fakeBoard) Announce(_ context.Context, e *mesh.Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	if b.fails > 0 {
		b.fails--
		return errors.New("rate-limited: slow down")
	}
	b.all = append(b.all, e)
	for _, tell := range b.readers {
		tell()
	}
	return nil
}

func (b *fakeBoard) Records(ctx context.Context, filters []mesh.Filter, found func(string, *mesh.Event)) error {
	news := make(chan struct{}, 1)
	b.mu.Lock()
	b.asked = append(b.asked, filters)
	b.readers = append(b.readers, func() {
		select {
		case news <- struct{}{}:
		default:
		}
	})
	b.mu.Unlock()
	for told := 0; ; {
		b.mu.Lock()
		all := b.all[told:]
		told = len(b.all)
		b.mu.Unlock()
		for _, e := range all {
			for _, f := range filters {
				if f.Matches(&mesh.Record{Event: e}) {
					found("wss://relay.example", e)
				}
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-news:
		}
	}
}

func (b *fakeBoard) announced() []*mesh.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.all)
}

func nostrOf(id *mesh.Identity, b Board, secrets ...mesh.Secret) *Nostr {
	return NewNostr(NostrConfig{Board: b, Identity: id, Secrets: func() []mesh.Secret { return secrets },
		Log: slog.New(slog.DiscardHandler), Clock: time.Now})
}

// looking runs a finder while do looks on, and collects what it finds.
func looking(t *testing.T, f Finder, do func(found func() []Candidate)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	var all []Candidate
	ended := make(chan error, 1)
	go func() {
		ended <- f.Run(ctx, func(c Candidate) {
			mu.Lock()
			defer mu.Unlock()
			all = append(all, c)
		})
	}()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	do(func() []Candidate {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	})
}

// Two nodes find each other over a relay; for a week no two announcements of a
// node share a key, a name or a rendezvous, nor has one an outsider could open.
func TestNostrRotates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		community := mesh.Found(mesh.PubKey{1}, "town", [32]byte{})
		board := &fakeBoard{}
		a, recordA := someone(t, 1, community, 5, "tls://192.0.2.1:3740")
		b, recordB := someone(t, 2, community, 7, "tls://192.0.2.2:3740")
		one, two := nostrOf(a, board, townSecret), nostrOf(b, board, townSecret)
		one.Announce(Announcement{Record: recordA})
		two.Announce(Announcement{Record: recordB})
		looking(t, one, func(found func() []Candidate) {
			looking(t, two, func(foundToo func() []Candidate) {
				synctest.Wait()
				if all := found(); len(all) != 1 || string(all[0].Record) != string(wire(recordB)) || !all[0].Proved {
					t.Fatalf("one found %v, want the other's record", all)
				}
				if all := foundToo(); len(all) != 1 || string(all[0].Record) != string(wire(recordA)) {
					t.Fatalf("two found %v, want the other's record", all)
				}
				time.Sleep(7 * 24 * time.Hour)
			})
		})
		authors, names := map[mesh.PubKey]map[string]bool{}, map[string]map[mesh.PubKey]bool{}
		for _, e := range board.announced() {
			d, _ := e.Tag("d")
			name, _ := e.Tag("t")
			if authors[e.Author()] == nil {
				authors[e.Author()] = map[string]bool{}
			}
			if names[name] == nil {
				names[name] = map[mesh.PubKey]bool{}
			}
			authors[e.Author()][d+name] = true
			names[name][e.Author()] = true
			if e.Author() == a.Author.PubKey() || e.Author() == b.Author.PubKey() {
				t.Error("an announcement is signed with a node's own key")
			}
			if n := len(e.AppendJSON(nil)); n > 1024 {
				t.Errorf("an announcement takes %d bytes", n)
			}
			if until, _ := e.Tag("expiration"); until != fmt.Sprint(e.CreatedAt()+48*3600) {
				t.Errorf("made at %d, expires at %s", e.CreatedAt(), until)
			}
		}
		for k, places := range authors {
			if len(places) != 1 {
				t.Errorf("key %s was used at %d places", k, len(places))
			}
		}
		for name, keys := range names {
			if len(keys) > 2 {
				t.Errorf("%s was used by %d keys of two nodes", name, len(keys))
			}
		}
		if len(names) < 7 || len(board.announced()) > 2*8*3 {
			t.Errorf("%d announcements at %d places in a week", len(board.announced()), len(names))
		}
		for _, e := range board.announced()[:2] {
			if _, refused := nostrOf(a, board, mesh.Secret{9}).open(e, rendezvousOf([]mesh.Secret{{9}}, e.CreatedAt().Time()), nil, e.CreatedAt().Time()); refused != RefusedSealed {
				t.Errorf("another community's node: %q, want sealed", refused)
			}
		}
	})
}

// A node whose clock is a day off, and one that missed the last rotation of the
// secret, are found.
func TestNostrAcrossDaysAndSecrets(t *testing.T) {
	for name, c := range map[string]struct {
		early   time.Duration
		secrets []mesh.Secret
	}{
		"clock behind":  {early: -23 * time.Hour, secrets: []mesh.Secret{townSecret}},
		"secret behind": {secrets: []mesh.Secret{{8}, townSecret}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Hour) // not at midnight
				community := mesh.Found(mesh.PubKey{1}, "town", [32]byte{})
				board := &fakeBoard{}
				a, _ := someone(t, 1, community, 5)
				b, recordB := someone(t, 2, community, 7, "tls://192.0.2.2:3740")
				one, two := nostrOf(a, board, townSecret), nostrOf(b, board, c.secrets...)
				two.c.Clock = func() time.Time { return time.Now().Add(c.early) }
				two.Announce(Announcement{Record: recordB})
				looking(t, two, func(func() []Candidate) {
					looking(t, one, func(found func() []Candidate) {
						synctest.Wait()
						if all := found(); len(all) != 1 || string(all[0].Record) != string(wire(recordB)) {
							t.Errorf("found %v, want the record", all)
						}
					})
				})
			})
		})
	}
}

// A gateway that says so is found by a member who shares no secret with it any
// more; one that does not say so shows no name of its own.
func TestNostrPublic(t *testing.T) {
	for _, public := range []bool{true, false} {
		t.Run(fmt.Sprint(public), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				community := mesh.Found(mesh.PubKey{1}, "town", [32]byte{})
				board := &fakeBoard{}
				a, _ := someone(t, 1, community, 5)
				gate, record := someone(t, 2, community, 7, "tls://192.0.2.2:3740")
				member, gateway := nostrOf(a, board, mesh.Secret{8}), nostrOf(gate, board, townSecret)
				member.c.Authors = func() []mesh.PubKey { return []mesh.PubKey{gate.Author.PubKey()} }
				gateway.c.Public = public
				gateway.Announce(Announcement{Record: record})
				looking(t, gateway, func(func() []Candidate) {
					looking(t, member, func(found func() []Candidate) {
						synctest.Wait()
						all := found()
						if public && (len(all) != 1 || string(all[0].Record) != string(wire(record)) || all[0].Proved) {
							t.Errorf("found %v, want the record, and no proof of the secret", all)
						}
						if !public && len(all) > 0 {
							t.Errorf("found %v without the secret", all)
						}
					})
				})
				clear := 0
				for _, e := range board.announced() {
					d, _ := e.Tag("d")
					if e.Author() == gate.Author.PubKey() && d == publicPlace && e.Content() == mesh.RecordText(wire(record)) {
						clear++
						if until, _ := e.Tag("expiration"); until != fmt.Sprint(e.CreatedAt()+48*3600) {
							t.Errorf("made at %d, expires at %s", e.CreatedAt(), until)
						}
						continue
					}
					if e.Author() == gate.Author.PubKey() || strings.Contains(e.Content(), mesh.RecordText(wire(record))) {
						t.Error("another announcement shows who it is")
					}
				}
				if want := map[bool]int{true: 1}[public]; clear != want || len(board.announced()) != want+1 {
					t.Errorf("%d of %d announcements in clear, want %d of %d", clear, len(board.announced()), want, want+1)
				}
			})
		})
	}
}

// Whatever is wrong with an announcement is refused and counted.
func TestNostrRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		community := mesh.Found(mesh.PubKey{1}, "town", [32]byte{})
		a, _ := someone(t, 1, community, 5)
		b, record := someone(t, 2, community, 7, "tls://192.0.2.2:3740")
		now := time.Now()
		secrets := []mesh.Secret{townSecret}
		n := nostrOf(a, nil, secrets...)
		n.c.Authors = func() []mesh.PubKey { return []mesh.PubKey{b.Author.PubKey()} }
		other := nostrOf(b, nil, secrets...)
		r := rendezvous{dayOf(now), townSecret}
		key, err := other.author(r)
		if err != nil {
			t.Fatal(err)
		}
		good, err := other.draft(record, now)
		if err != nil || len(good) != 1 {
			t.Fatal(good, err)
		}
		d := good[0].Draft()
		sign := func(by *mesh.SecretKey, change func(*mesh.Draft)) *mesh.Event {
			c := d
			c.Tags = slices.Clone(d.Tags)
			change(&c)
			e, err := by.Sign(c)
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		retag := func(name, value string) func(*mesh.Draft) {
			return func(d *mesh.Draft) {
				for i := range d.Tags {
					if d.Tags[i][0] == name {
						d.Tags[i] = []string{name, value}
					}
				}
			}
		}
		forged, err := mesh.NewEvent(good[0].Author(), mesh.Signature{1}, d)
		if err != nil {
			t.Fatal(err)
		}
		yesterday := rendezvous{r.day - 1, townSecret}
		public := func(by *mesh.SecretKey) *mesh.Event {
			return sign(by, func(d *mesh.Draft) {
				d.Content = mesh.RecordText(wire(record))
				retag("d", publicPlace)(d)
			})
		}
		later := sign(key, func(d *mesh.Draft) { d.CreatedAt++ })
		for _, c := range []struct {
			name  string
			event *mesh.Event
			want  Refusal
		}{
			{"as made", good[0], ""},
			{"the same again", good[0], ""},
			{"the next", later, ""},
			{"the one before, replayed", good[0], RefusedSuperseded},
			{"forged", forged, RefusedForged},
			{"another kind", sign(key, func(d *mesh.Draft) { d.Kind = mesh.KindNote }), RefusedForm},
			{"content under a stranger's name", sign(a.Author, func(*mesh.Draft) {}), RefusedSealed},
			{"another day's place", sign(key, func(d *mesh.Draft) {
				retag("d", privatePlace+fmt.Sprint(yesterday.day))(d)
				retag("t", yesterday.name())(d)
			}), RefusedSealed},
			{"another place", sign(key, retag("t", strings.Repeat("0", 32))), RefusedSealed},
			{"another application", sign(key, retag("d", "x")), RefusedForm},
			{"expired", sign(key, retag("expiration", fmt.Sprint(now.Unix()))), RefusedExpired},
			{"expires in words", sign(key, retag("expiration", "soon")), RefusedForm},
			{"from the future", sign(key, func(d *mesh.Draft) { d.CreatedAt += 15*60 + 1 }), RefusedFuture},
			{"oversized", sign(key, func(d *mesh.Draft) { d.Content = strings.Repeat("A", 2000) }), RefusedSize},
			{"not base64", sign(key, func(d *mesh.Draft) { d.Content = "=" }), RefusedForm},
			{"cut off", sign(key, func(d *mesh.Draft) { d.Content = d.Content[:40] }), RefusedForm},
			{"a member's, in clear", public(b.Author), ""},
			{"a stranger's, in clear", public(a.Author), RefusedStranger},
		} {
			before := n.Refused()[c.want]
			met := 0
			n.take(c.name, c.event, rendezvousOf(secrets, now), n.authors(), func(got Candidate) {
				met++
				if string(got.Record) != string(wire(record)) {
					t.Errorf("%s: another record", c.name)
				}
			})
			if c.want == "" && met != 1 || c.want != "" && (met != 0 || n.Refused()[c.want] != before+1) {
				t.Errorf("%s: met %d, refused %v, want %q", c.name, met, n.Refused(), c.want)
			}
		}
		flood := n.Refused()[RefusedFlood]
		for range 10_000 {
			n.take("flooding", forged, rendezvousOf(secrets, now), nil, func(Candidate) { t.Error("a forged one was found") })
		}
		if got := n.Refused()[RefusedFlood] - flood; got != 10_000-relayLooksBurst {
			t.Errorf("of 10,000 at once %d were not looked at, want all but %d", got, relayLooksBurst)
		}
	})
}

// A relay that fails is tried again after a pause that grows; a record that
// changes often is announced once a minute.
func TestNostrPaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		community := mesh.Found(mesh.PubKey{1}, "town", [32]byte{})
		a, record := someone(t, 1, community, 5)
		board := &fakeBoard{fails: 4}
		n := nostrOf(a, board, townSecret)
		n.Announce(Announcement{Record: record})
		looking(t, n, func(func() []Candidate) {
			time.Sleep(3 * time.Minute) // at 0, 1, 5, 21 and 85 s, and a quarter more at most
			synctest.Wait()
			if board.calls != 5 || len(board.announced()) != 1 {
				t.Errorf("%d calls, %d announcements, want 5 and 1", board.calls, len(board.announced()))
			}
			for i := range 100 {
				_, r := someone(t, 1, community, uint32(6+i))
				n.Announce(Announcement{Record: r})
				time.Sleep(3 * time.Second)
			}
			if got := len(board.announced()) - 1; got < 4 || got > 6 {
				t.Errorf("a record that changed for five minutes was announced %d times", got)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			last := board.announced()
			c, refused := n.open(last[len(last)-1], rendezvousOf([]mesh.Secret{townSecret}, time.Now()), nil, time.Now())
			if r, err := mesh.ParsePeerRecord(c.Record); refused != "" || err != nil || r.Seq != 105 {
				t.Errorf("the last announcement holds %v, %q, %v; want number 105", r, refused, err)
			}
		})
	})
}

// Nothing that this file writes differs between two machines: the vector of
// docs/PROTOCOL.md.
func TestRendezvousVector(t *testing.T) {
	r := rendezvous{day: 20_778, secret: mesh.Secret{1}}
	if got, want := r.name(), "454f13fe3a4ac5a98958feef77ebe177"; got != want {
		t.Errorf("name %s, want %s", got, want)
	}
	if got, want := fmt.Sprintf("%x", r.derive(r.secret[:], "drey/1/announce-seal")), "bb2e8433964b4bea331eaa8b4cc2372d3c14011940fdf94ab53683d7cf56a207"; got != want {
		t.Errorf("key %s, want %s", got, want)
	}
}

func FuzzNotice(f *testing.F) {
	community := mesh.Found(mesh.PubKey{1}, "town", [32]byte{})
	_, record := someone(f, 2, community, 7, "tls://192.0.2.2:3740")
	r := rendezvous{20_778, townSecret}
	notice, err := r.seal(record, []byte("me"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(notice, []byte("me"))
	f.Add(notice[:noticeSize-1], []byte("me"))
	f.Add(notice, []byte("you"))
	f.Fuzz(func(t *testing.T, b, by []byte) {
		plain, err := r.open(b, by)
		if err == nil && (string(plain) != string(wire(record)) || string(by) != "me") {
			t.Errorf("%x by %q was opened", b, by)
		}
	})
}

func BenchmarkOpenForeignNotice(b *testing.B) {
	notice, by := make([]byte, noticeSize), make([]byte, 32)
	text := base64.RawURLEncoding.EncodeToString(notice)
	r := rendezvous{20_778, townSecret}
	for b.Loop() {
		c, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.open(c, by); err == nil {
			b.Fatal("opened")
		}
	}
}
