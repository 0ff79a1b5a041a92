package radio

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"drey/mesh"
	"drey/radio/meshtastic"
)

// at is a moment after the tests' midnight.
func at(d time.Duration) time.Time { return time.Unix(1_750_032_000, 0).Add(d) }

// spendAll spends packets of length d as fast as the governor lets them go,
// from one moment to another, and returns their sum.
func spendAll(g *governor, p mesh.Priority, d time.Duration, from, to time.Duration) (sum time.Duration) {
	for now := from; now < to; {
		if w, _ := g.wait(at(now), p, d); w > 0 {
			now += max(w, time.Millisecond)
			continue
		}
		g.spend(at(now), p, d)
		sum += d
		now += d
	}
	return sum
}

// TestGovernorShares lets one priority after the other take what it may of a
// full budget of 72 s, in an hour's first minute and in the whole hour.
func TestGovernorShares(t *testing.T) {
	const d = 600 * time.Millisecond
	for _, c := range []struct {
		p           mesh.Priority
		first, hour time.Duration // in the first minute, in the hour: at most
		least       time.Duration // in the hour
	}{
		{mesh.Direct, 55 * time.Second, 127 * time.Second, 100 * time.Second}, // borrows, and gets what others do not need
		{mesh.Chat, 55 * time.Second, 127 * time.Second, 100 * time.Second},
		{mesh.Sync, 12 * time.Second, 83 * time.Second, 60 * time.Second},
		{mesh.Beacon, 5 * time.Second, 76 * time.Second, 20 * time.Second},
	} {
		g := &governor{share: 0.02, at: at(0)}
		first := spendAll(g, c.p, d, 0, time.Minute)
		hour := first + spendAll(g, c.p, d, time.Minute, time.Hour)
		if first > c.first || hour > c.hour || hour < c.least {
			t.Errorf("%s spent %v in a minute and %v in an hour, want at most %v and %v, at least %v", c.p, first, hour, c.first, c.hour, c.least)
		}
	}
}

// TestGovernorSharesAreKept has chat take all it can: the others still find
// their own shares, and an emergency goes whatever was spent.
func TestGovernorSharesAreKept(t *testing.T) {
	g := &governor{share: 0.02, at: at(0)}
	const d = 600 * time.Millisecond
	chat := spendAll(g, mesh.Chat, d, 0, time.Minute)
	for p, least := range map[mesh.Priority]time.Duration{mesh.Sync: 10 * time.Second, mesh.Beacon: 3 * time.Second} {
		if got := spendAll(g, p, d, time.Minute, time.Minute+20*time.Second); got < least {
			t.Errorf("after %v of chat %s could spend %v, want %v", chat, p, got, least)
		}
	}
	for range 100 {
		if w, why := g.wait(at(2*time.Minute), mesh.Emergency, d); w > 0 {
			t.Fatalf("an emergency waits %v: %s", w, why)
		}
		g.spend(at(2*time.Minute), mesh.Emergency, d)
	}
	if w, _ := g.wait(at(2*time.Minute), mesh.Chat, d); w == 0 {
		t.Error("chat goes on after a minute of emergencies")
	}
}

// TestGovernorUse checks how the measured use of the channel slows and stops,
// nonsense included.
func TestGovernorUse(t *testing.T) {
	const d = 2 * time.Second
	for _, c := range []struct {
		percent     float32
		least, most time.Duration // until the next chat
		why         string
	}{
		{0, 0, 0, ""},
		{14.9, 0, 0, ""},
		{18, time.Second, 5 * time.Second, whyBusy},
		{20, 8 * time.Second, 11 * time.Second, whyBusy},
		{24.9, 9 * time.Minute, 10 * time.Minute, whyBusy},
		{25, 10 * time.Second, time.Minute, whyBusy},
		{100, 10 * time.Second, time.Minute, whyBusy},
		{7000, 10 * time.Second, time.Minute, whyBusy},
		{float32(math.Inf(1)), 10 * time.Second, time.Minute, whyBusy},
		{-3, 0, 0, ""},
		{float32(math.NaN()), 0, 0, ""},
	} {
		g := &governor{share: 0.02, at: at(0)}
		g.spend(at(0), mesh.Chat, d)
		g.measured(at(d), c.percent)
		w, why := g.wait(at(d), mesh.Chat, d)
		if w < c.least || w > c.most || w > 0 && why != c.why {
			t.Errorf("at %v %% chat waits %v (%s), want %v to %v (%s)", c.percent, w, why, c.least, c.most, c.why)
		}
		if w, _ := g.wait(at(d), mesh.Emergency, d); w > 0 {
			t.Errorf("at %v %% an emergency waits %v", c.percent, w)
		}
		if use := g.busy(at(d)); use < 0 || use > 1 {
			t.Errorf("%v %% is kept as %v", c.percent, use)
		}
		if w, _ := g.wait(at(d+useFor+time.Second), mesh.Chat, d); w > 0 {
			t.Errorf("%v %% still counts after %v", c.percent, useFor)
		}
	}
}

// TestGovernorLaw checks that no hour, wherever it begins, has more on the air
// than the law allows, emergencies included, with the share off and on.
func TestGovernorLaw(t *testing.T) {
	for _, region := range []meshtastic.Region{meshtastic.RegionEU868, regionUA868} {
		for _, share := range []float64{0, 0.02, 1} {
			for _, p := range []mesh.Priority{mesh.Emergency, mesh.Chat} {
				g := &governor{share: share, legal: legalDuty(region), at: at(0)}
				const d = 2 * time.Second
				type sent struct{ at time.Duration }
				var all []sent
				for now := time.Duration(0); now < 4*time.Hour; {
					if w, _ := g.wait(at(now), p, d); w > 0 {
						now += max(w, time.Millisecond)
						continue
					}
					g.spend(at(now), p, d)
					all = append(all, sent{now})
					now += d
				}
				limit := time.Duration(g.legal * float64(time.Hour))
				for i, from := range all {
					sum := time.Duration(0)
					for _, s := range all[i:] {
						if s.at-from.at < time.Hour {
							sum += d
						}
					}
					if sum > limit {
						t.Fatalf("region %v, share %v, %s: %v within the hour from %v, the law allows %v", region, share, p, sum, from.at, limit)
					}
				}
				if share == 0 && time.Duration(len(all))*d < limit*3 {
					t.Errorf("region %v, %s: only %v in four hours", region, p, time.Duration(len(all))*d)
				}
			}
		}
	}
}

// TestGovernorBooks writes the books down and reads them back, of this version
// and the one before, and refuses what is neither.
func TestGovernorBooks(t *testing.T) {
	g := &governor{share: 0.02, legal: 0.1, at: at(0)}
	for i := range 20 {
		g.spend(at(time.Duration(i)*time.Minute), mesh.Priority(i%5), time.Second)
	}
	got := &governor{share: 0.02, legal: 0.1}
	if err := got.decode(g.encode(0)); err != nil {
		t.Fatal(err)
	}
	for p := range g.debts {
		if d := g.debts[p] - got.debts[p]; d < 0 || d > time.Millisecond {
			t.Errorf("%s: %v read back as %v", mesh.Priority(p), g.debts[p], got.debts[p])
		}
	}
	if g.law != got.law {
		t.Errorf("the hour %v was read back as %v", g.law, got.law)
	}
	old := append(make([]byte, 0, 16), 0, 0, 0, 0, 0, 0, 0x4e, 0x20) // 20 s
	old = append(old, 0, 0, 0, 0, 0x68, 0x4e, 0, 0)
	if err := got.decode(old); err != nil || got.debts[mesh.Chat] != 20*time.Second {
		t.Errorf("old books: %v, chat owes %v", err, got.debts[mesh.Chat])
	}
	for _, b := range [][]byte{nil, {2}, make([]byte, airtimeSize), append(g.encode(0), 0)} {
		if err := new(governor).decode(b); err == nil {
			t.Errorf("%d bytes were taken for books", len(b))
		}
	}
	worst := g.encode(0)
	for i := 9; i < len(worst); i++ {
		worst[i] = 0x7f
	}
	for i := 29; i < 37; i++ {
		worst[i] = 0
	}
	clamped := &governor{share: 0.02, legal: 0.1}
	if err := clamped.decode(worst); err != nil {
		t.Fatal(err)
	}
	if owed := clamped.owed(); owed > time.Duration(len(shareOf))*window {
		t.Errorf("debts of %v were believed", owed)
	}
}

// TestGovernorClock lets the clock jump: back, nothing is forgiven and nothing
// is held against anybody for longer than an hour of real time.
func TestGovernorClock(t *testing.T) {
	for _, jump := range []time.Duration{-2 * 365 * 24 * time.Hour, -time.Minute, 24 * time.Hour, 60 * 365 * 24 * time.Hour} {
		g := &governor{share: 0.02, legal: 0.1, at: at(0)}
		for range 300 { // 600 s: far beyond both limits
			g.spend(at(0), mesh.Chat, 2*time.Second)
		}
		w, _ := g.wait(at(jump), mesh.Chat, 2*time.Second)
		if jump < 0 && w == 0 {
			t.Errorf("clock %v: all is forgiven", jump)
		}
		later := jump
		for range 100 {
			if w, _ = g.wait(at(later), mesh.Chat, 2*time.Second); w == 0 {
				break
			}
			later += min(w, time.Hour)
		}
		if d := later - jump; w > 0 || d > 9*time.Hour { // 600 s at 72 s an hour
			t.Errorf("clock %v: chat may go after %v", jump, d)
		}
	}
}

// TestGovernorTells checks that what waits for air says so, with a time.
func TestGovernorTells(t *testing.T) {
	g := &governor{share: 0.02, at: at(0)}
	spendAll(g, mesh.Chat, 2*time.Second, 0, time.Minute)
	w, why := g.wait(at(time.Minute), mesh.Chat, 2*time.Second)
	line := fmt.Sprintf("waiting: %s, %s", why, about(w))
	if !strings.HasPrefix(line, "waiting: airtime, about ") || w > 10*time.Minute {
		t.Errorf("got %q for %v", line, w)
	}
}

// TestGovernorTogether checks that what a colleague said keeps a gateway silent
// as its own words do, the events of one frame together.
func TestGovernorTogether(t *testing.T) {
	const d = 2 * time.Second
	own, both := &governor{share: 0.02, at: at(0)}, &governor{share: 0.02, at: at(0)}
	own.spend(at(0), mesh.Chat, d)
	both.heard(at(0), d/2)
	both.heard(at(0), d/2)
	for _, g := range []*governor{own, both} {
		g.measured(at(d), 20)
	}
	a, _ := own.wait(at(d), mesh.Chat, d)
	b, why := both.wait(at(d), mesh.Chat, d)
	if a != b || why != whyBusy {
		t.Errorf("a wait of %v after own words, %v (%s) after a colleague's", a, b, why)
	}
	if both.owed() != 0 || both.total != 0 {
		t.Error("a colleague's words are counted as spent")
	}
}

// TestGovernorAverages checks that a quiet minute does not end a busy hour, nor
// a busy one begin it.
func TestGovernorAverages(t *testing.T) {
	g := &governor{share: 0.02, at: at(0)}
	var got []int
	for i, percent := range []float32{30, 10, 10, 40} {
		g.measured(at(time.Duration(i)*time.Minute), percent)
		got = append(got, int(100*g.busy(at(time.Duration(i)*time.Minute))+0.5))
	}
	if want := []int{30, 18, 13, 29}; !slices.Equal(got, want) {
		t.Errorf("%v %%, want %v", got, want)
	}
	g.measured(at(time.Hour), 20)
	if got := g.busy(at(time.Hour)); got != 0.2 {
		t.Errorf("%v an hour later, want the measurement alone", got)
	}
}
