package radio

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"drey/mesh"
	"drey/radio/air"
	"drey/radio/meshtastic"
)

// A colleague is one of three gateways that know each other, with a text to say.
type colleague struct {
	*outbox
	o         *outgoing
	born, now time.Time
}

func newColleague(num meshtastic.NodeNum, e *mesh.Event) *colleague {
	born := e.CreatedAt().Time()
	c := &colleague{o: &outgoing{event: e, parts: []string{"ana: " + e.Content()}, attempt: 1, priority: mesh.Chat}, born: born, now: born}
	c.outbox = newOutbox(rand.New(rand.NewPCG(uint64(num), 1)), &governor{share: defaultShare}, func() time.Time { return c.now })
	c.num, c.hops, c.live, c.free = num, 3, true, 16
	longFast, _ := air.PresetOf(0)
	c.modulation = longFast.Modulation
	for _, other := range []meshtastic.NodeNum{1, 2, 3} {
		c.meet(born, other, true)
	}
	return c
}

// at sets the clock to so long after the text was written.
func (c *colleague) at(d time.Duration) time.Time {
	c.now = c.born.Add(d)
	return c.now
}

func line(t *testing.T, i int) *mesh.Event {
	t.Helper()
	d := mesh.Draft{CreatedAt: mesh.UnixOf(time.Unix(1_780_000_000, 0)), Kind: mesh.KindNote, Content: fmt.Sprintf("line %d", i)}
	e, err := newFakeHub(t, "a").signer.Sign(d)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestReturningGatewaysKeepApart has two gateways come to say a text at any two
// moments: when it is new, when gossip is back, when their radio is, or when a
// colleague has spoken of something else. Their turns never begin so close that
// the later one cannot have heard the earlier.
func TestReturningGatewaysKeepApart(t *testing.T) {
	const first, last = 5500 * time.Millisecond, 30 * time.Second
	ways := map[string]func(c *colleague, d time.Duration){
		"new":               func(c *colleague, d time.Duration) { c.add(c.at((d-first)/20), c.o) }, // 0 to 1.2 s
		"gossip is back":    func(c *colleague, d time.Duration) { c.add(c.at(d), c.o) },
		"the radio is back": func(c *colleague, d time.Duration) { c.add(c.at(0), c.o); c.lost(c.now); c.up(c.at(d)) },
		"a colleague spoke": func(c *colleague, d time.Duration) {
			c.add(c.at(0), c.o)
			for _, num := range []meshtastic.NodeNum{1, 2, 3} {
				c.yield(c.at(min(d, c.o.due.Sub(c.born))), num)
			}
		},
	}
	for i := range 3 {
		e := line(t, i)
		due := func(num meshtastic.NodeNum, way string, d time.Duration) time.Time {
			c := newColleague(num, e)
			ways[way](c, d)
			return c.o.due
		}
		c := newColleague(1, e)
		least := c.slot(c.o) / 2
		for one := range ways {
			for two := range ways {
				for a := first; a < last; a += 2900 * time.Millisecond {
					for b := first; b < last; b += 300 * time.Millisecond {
						if apart := due(1, one, a).Sub(due(2, two, b)).Abs(); apart < least {
							t.Fatalf("%s after %v, and %s after %v: their turns are %v apart, want %v", one, a, two, b, apart, least)
						}
					}
				}
			}
		}
	}
}

// TestUnlikeRadiosKeepApart has gateways whose radios pass texts on more often, or
// sign them, or not, come back to a text: their turns are equally long.
func TestUnlikeRadiosKeepApart(t *testing.T) {
	for i := range 3 {
		e := line(t, i)
		due := func(num meshtastic.NodeNum, hops uint32, signs bool, after time.Duration) time.Time {
			c := newColleague(num, e)
			c.hops, c.signs = hops, signs
			c.add(c.at(after), c.o)
			return c.o.due
		}
		c := newColleague(1, e)
		least := c.slot(c.o) / 2
		for after := 6 * time.Second; after < 10*time.Minute; after += 2900 * time.Millisecond {
			one := due(1, 3, false, after)
			for _, hops := range []uint32{1, 3, 7} {
				if apart := one.Sub(due(2, hops, true, after+300*time.Millisecond)).Abs(); apart < least {
					t.Fatalf("after %v, hop limits 3 and %d: their turns are %v apart, want %v", after, hops, apart, least)
				}
			}
		}
	}
}

// TestLateByTheAgreedTime has a gateway whose clock is an hour behind the others'
// get a text late: it takes no first turn.
func TestLateByTheAgreedTime(t *testing.T) {
	e := line(t, 0)
	for _, num := range []meshtastic.NodeNum{1, 2, 3} {
		right, slow := newColleague(num, e), newColleague(num, e)
		slow.wall = func() time.Time { return slow.now.Add(-time.Hour) }
		right.add(right.at(5*time.Minute), right.o)
		slow.add(slow.at(5*time.Minute), slow.o)
		if !slow.o.late || !slow.o.due.Equal(right.o.due) {
			t.Errorf("gateway %d: late %v, speaks after %v, with a right clock after %v", num, slow.o.late, slow.o.due.Sub(slow.now), right.o.due.Sub(right.now))
		}
	}
}

// TestTextKeepsItsAir has a text wait for airtime until its turn has passed, while
// signed frames as urgent wait behind it: none takes what the text waits for.
func TestTextKeepsItsAir(t *testing.T) {
	c := newColleague(1, line(t, 0))
	c.governor.share = 0.005
	c.books = func() time.Time { return c.now }
	c.governor.spend(c.now, mesh.Chat, time.Minute)
	c.o.d = &mesh.Delivery{Event: c.o.event, Ledger: newFakeHub(t, "a")}
	c.o.parts = []string{strings.Repeat("help wanted ", 15)} // longer than what waits behind it
	c.add(c.now, c.o)
	c.pack = func(*outgoing, []*outgoing) ([]byte, []*outgoing, error) { return make([]byte, 100), nil, nil }
	overtook := 0
	for n := 0; ; n++ {
		if c.now.Sub(c.born) > 6*time.Hour {
			t.Fatalf("the text is not said in six hours; %d frames went before it", overtook)
		}
		for _, g := range c.gateways {
			g.at = c.now
		}
		for len(c.held) < 4 {
			c.hold(&outgoing{event: line(t, n+1), topic: "alerts", priority: mesh.Chat, signed: true, size: 100, attempt: 1, said: make([]bool, 1), due: c.now, full: true})
		}
		p, _ := c.next(c.now)
		switch {
		case p == nil:
		case p.Data.Port == meshtastic.PortText:
			if overtook > 2 {
				t.Errorf("%d frames that came later went before the text", overtook)
			}
			return
		default:
			overtook++
			c.answer(c.now, &meshtastic.QueueStatus{ID: p.ID})
			c.out(c.now, c.flying[0])
			c.free = 16
		}
		c.now = c.now.Add(2 * time.Second)
	}
}

// TestOverdueTextWaitsForItsTurn keeps a gateway from speaking when its turn has
// come: it speaks a little later if colleagues heard it meanwhile, or if it has
// none, and else waits for its turn in the next round.
func TestOverdueTextWaitsForItsTurn(t *testing.T) {
	for _, x := range []struct {
		name        string
		alone       bool
		late, spoke time.Duration // since its turn began, and since a packet of its went out
		want        bool
	}{
		{"at once", false, 0, time.Hour, true},
		{"within its turn", false, 1500 * time.Millisecond, time.Hour, true},
		{"too late", false, 4 * time.Second, time.Hour, false},
		{"colleagues heard it", false, 4 * time.Second, 2 * time.Second, true},
		{"colleagues heard it long ago", false, 9 * time.Second, 3 * time.Second, false},
		{"alone", true, time.Minute, time.Hour, true},
	} {
		c := newColleague(1, line(t, 0))
		if x.alone {
			clear(c.gateways)
		}
		c.add(c.at(0), c.o)
		now := c.at(c.o.due.Sub(c.born) + x.late)
		c.spoke = now.Add(-x.spoke)
		p, wake := c.next(now)
		if said := p != nil; said != x.want {
			t.Errorf("%s: said %v, want %v", x.name, said, x.want)
		}
		if turn := c.nextTurn(now, c.o, 0); !x.want && !wake.Equal(turn) {
			t.Errorf("%s: speaks after %v, want %v", x.name, wake.Sub(now), turn.Sub(now))
		}
	}
}
