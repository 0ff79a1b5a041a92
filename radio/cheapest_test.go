package radio

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"drey/mesh"
	"drey/radio/meshtastic"
)

func TestOfferOf(t *testing.T) {
	type far = [maxHops + 1]int
	for _, c := range []struct {
		far  far
		hops uint32
		want offer
	}{
		{far{}, 3, offer{}},                            // nothing known
		{far{7}, 2, offer{}},                           // too little
		{far{8}, 2, offer{2, 50}},                      //
		{far{36, 23}, 2, offer{2, 409}},                //
		{far{15, 23, 20, 1}, 3, offer{3, 371}},         //
		{far{15, 23, 20, 1}, 4, offer{4, 366}},         // a hop more is worth hardly less
		{far{9, 24, 21, 5}, 3, offer{3, 353}},          //
		{far{9, 24, 21, 5}, 4, offer{4, 358}},          // and here more
		{far{9, 24, 21, 5}, 5, offer{5, 353}},          //
		{far{1, 1, 1, 1, 1, 1, 1, 1}, 5, offer{5, 23}}, // a chain
		{far{2, 2, 2, 2, 2, 2}, 7, offer{7, 53}},       // as its owner set it: as 5
		{far{0, 0, 0, 0, 0, 0, 9}, 5, offer{}},         // nobody gets it
		{far{20, 20}, 0, offer{}},                      // configured not to be passed on
		{far{20, 20}, maxHops + 1, offer{}},            //
	} {
		if got := offerOf(c.far, c.hops); got != c.want {
			t.Errorf("%d hops among radios at %v: offer %v, want %v", c.hops, c.far, got, c.want)
		}
	}
}

// TestCheapestFirst orders gateways by their offers.
func TestCheapestFirst(t *testing.T) {
	for _, c := range []struct {
		offers map[meshtastic.NodeNum]offer
		want   []meshtastic.NodeNum // 0: whom the lot falls on
	}{
		{nil, []meshtastic.NodeNum{0, 0, 0}},
		{map[meshtastic.NodeNum]offer{1: {}, 2: {}}, []meshtastic.NodeNum{0, 0, 0}},
		{map[meshtastic.NodeNum]offer{1: {3, 301}, 2: {4, 302}, 3: {5, 330}}, []meshtastic.NodeNum{3, 2, 1}},
		{map[meshtastic.NodeNum]offer{1: {4, 301}, 2: {3, 301}, 3: {3, 300}}, []meshtastic.NodeNum{2, 1, 3}},
		{map[meshtastic.NodeNum]offer{2: {5, 9}}, []meshtastic.NodeNum{2, 0, 0}},
		{map[meshtastic.NodeNum]offer{1: {3, 70}, 2: {}, 3: {3, 70}}, []meshtastic.NodeNum{0, 0, 2}},
	} {
		for n := range 20 {
			lot := voice(mesh.Unix(n) * mesh.Unix(epoch.Seconds()))
			b := newOutbox(rand.New(rand.NewPCG(1, 1)), &governor{}, time.Now)
			b.offers = c.offers
			got := []meshtastic.NodeNum{1, 2, 3}
			slices.SortFunc(got, func(x, y meshtastic.NodeNum) int {
				if b.first(lot, x, y) {
					return -1
				}
				return 1
			})
			for i, want := range c.want {
				if want != 0 && got[i] != want {
					t.Errorf("offers %v, epoch %d: order %v, want %v", c.offers, n, got, c.want)
				}
			}
			byLot := slices.Clone(got)
			slices.SortFunc(byLot, func(x, y meshtastic.NodeNum) int {
				if turn(lot, x) < turn(lot, y) {
					return -1
				}
				return 1
			})
			if c.want[0] == 0 && c.want[2] == 0 && !slices.Equal(got, byLot) {
				t.Errorf("nothing is offered: order %v, want %v by lot", got, byLot)
			}
			// Every gateway computes its own place, and all agree.
			for place, num := range got {
				b.num = num
				b.gateways = make(map[meshtastic.NodeNum]*gateway)
				for _, other := range got {
					b.meet(time.Unix(1, 0), other, true)
				}
				if rank, known := b.rankSigned(time.Unix(2, 0), lot); rank != place || !known {
					t.Errorf("offers %v: gateway %d is at place %d, others have it at %d", c.offers, num, rank, place)
				}
			}
		}
	}
}

// TestLiarIsPassedOver has a gateway that makes the best offer and says
// nothing: after three turns it is not counted.
func TestLiarIsPassedOver(t *testing.T) {
	for liar := range meshtastic.NodeNum(30) { // before us by lot, or behind
		if liar == 1 {
			continue
		}
		b := newOutbox(rand.New(rand.NewPCG(1, 1)), &governor{}, time.Now)
		b.num, b.offers = 1, map[meshtastic.NodeNum]offer{1: {4, 380}, liar: {2, 600}}
		now := time.Unix(1, 0)
		b.meet(now, liar, true)
		for i := range maxMisses {
			o := signedNote(t, fmt.Sprint(i))
			if rank, _ := b.rankSigned(now, o.lot()); rank != 1 {
				t.Fatalf("turn %d: place %d, want 1: %d may still speak", i, rank, liar)
			}
			b.missed(o)
		}
		if rank, known := b.rankSigned(now, signedNote(t, "x").lot()); rank != 0 || known {
			t.Errorf("place %d, %v, after %d of %d's turns in silence; want 0", rank, known, maxMisses, liar)
		}
	}
}

func signedNote(t *testing.T, text string) *outgoing {
	t.Helper()
	k, err := mesh.NewSecretKey([32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	e, err := k.Sign(mesh.Draft{CreatedAt: 1, Kind: mesh.KindNote, Content: text})
	if err != nil {
		t.Fatal(err)
	}
	return &outgoing{signed: true, event: e}
}

// TestShortOfAirWithdraws has a gateway whose budget runs out leave the lead,
// and take it again only when much of it is forgiven.
func TestShortOfAirWithdraws(t *testing.T) {
	o := &owner{governor: &governor{share: 0.02}}
	now := time.Unix(1_000_000, 0)
	o.governor.at = now
	budget := o.governor.budget()
	for _, c := range []struct {
		owed float64
		want bool
	}{{0, false}, {0.5, false}, {0.61, true}, {0.5, true}, {0.31, true}, {0.29, false}, {0.59, false}, {0.9, true}} {
		o.governor.debts[mesh.Chat] = time.Duration(c.owed * float64(budget))
		if got := o.short(now); got != c.want {
			t.Errorf("%.2f of the budget owed: short of airtime %v, want %v", c.owed, got, c.want)
		}
	}
	o.governor.share = 0
	o.governor.debts[mesh.Chat] = time.Hour
	if o.short(now) {
		t.Error("short of airtime that nothing limits")
	}
}

// TestParseWord reads back what is told, and refuses the rest.
func TestParseWord(t *testing.T) {
	k, err := mesh.NewSecretKey([32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		radio string
		worth []string
		want  offer
		ok    bool
	}{
		{"!a1b2c3d4", []string{"3", "368"}, offer{3, 368}, true},
		{"!a1b2c3d4", []string{"0", "0"}, offer{}, true},
		{"!a1b2c3d4", []string{"0", "2"}, offer{}, false},
		{"!a1b2c3d4", []string{"2", "0"}, offer{}, false},
		{"!a1b2c3d4", []string{"8", "368"}, offer{}, false},
		{"!a1b2c3d4", []string{"3", "20000"}, offer{3, 20000}, true},
		{"!a1b2c3d4", []string{"3", "20001"}, offer{}, false},
		{"!a1b2c3d4", []string{"3", "99999"}, offer{}, false},
		{"!a1b2c3d4", []string{"-3", "368"}, offer{}, false},
		{"!a1b2c3d4", []string{"3"}, offer{}, false},
		{"!a1b2c3d4x", []string{"3", "368"}, offer{}, false},
		{"", []string{"3", "368"}, offer{}, false},
	} {
		e, err := k.Sign(mesh.Draft{CreatedAt: 5, Kind: KindAired, Tags: [][]string{
			{tagGateway, c.radio}, append([]string{tagWorth}, c.worth...),
		}})
		if err != nil {
			t.Fatal(err)
		}
		num, w, ok := parseWord(e)
		if ok != c.ok || w.offer != c.want || ok && (num != 0xa1b2c3d4 || w.at != 5) {
			t.Errorf("%s %q: %v %v, %v; want %v, %v", c.radio, c.worth, num, w, ok, c.want, c.ok)
		}
	}
}
