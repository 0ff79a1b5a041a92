package nostrbridge

import (
	"fmt"
	"testing"
	"time"

	"drey/mesh"
)

// A seat is one gateway of a council that a test moves.
type seat struct {
	*council
	since time.Time
	alive bool
}

// Whatever comes and goes, at no second do two gateways that hear each other
// lead one topic at one relay, and within a minute of each change one does.
func TestOneLeader(t *testing.T) {
	const relay = "wss://relay.example.org"
	topics := []mesh.Topic{"alerts", "commons", "news", "people"}
	now := time.Unix(1_800_000_000, 0)
	var seats []*seat
	join := func(name string) {
		s := &seat{council: newCouncil(keyOf(name).PubKey(), usual, topics), since: now, alive: true}
		s.begin(now)
		s.setReady(map[string]time.Time{relay: now})
		seats = append(seats, s)
	}
	// say has a gateway's word reach the others late seconds afterwards.
	type arrival struct {
		at   time.Time
		from *seat
		w    *word
	}
	var air []arrival
	leaderless, away := map[mesh.Topic]int{}, false
	second := func(i int) {
		for n, s := range seats {
			lone := s.company(now) == 0 && now.Sub(s.since) < helloFor
			if s.alive && (i%20 == 7*n%20 || lone && i%3 == 0) {
				air = append(air, arrival{now.Add(time.Duration(n%3) * time.Second), s, s.word(now)})
			}
		}
		var left []arrival
		for _, a := range air {
			if a.at.After(now) {
				left = append(left, a)
				continue
			}
			for _, s := range seats {
				if s == a.from || !s.alive {
					continue
				}
				if taken, fresh := s.hear(a.from.self, mesh.UnixOf(a.at), a.w, now); taken && fresh {
					left = append(left, arrival{now.Add(2 * time.Second), s, s.word(now)})
				}
			}
		}
		air = left
		for _, topic := range topics {
			leads := 0
			for _, s := range seats {
				if s.alive && s.leads(relay, topic, now) {
					leads++
				}
			}
			if leads > 1 {
				t.Fatalf("second %d: %d gateways lead %s", i, leads, topic)
			}
			if leaderless[topic]++; leads == 1 || away {
				leaderless[topic] = 0
			}
			if leaderless[topic] > 60 {
				t.Fatalf("second %d: nobody has led %s for a minute", i, topic)
			}
		}
		now = now.Add(time.Second)
	}
	for i := range 3000 {
		switch {
		case i%250 == 0 && len(seats) < 6:
			join(fmt.Sprint("gateway ", i))
		case i > 1500 && i%200 == 0:
			for _, s := range seats {
				if s.alive {
					s.alive = false
					break
				}
			}
		}
		if i > 2600 {
			break // the last ones are gone
		}
		switch i % 700 { // the relay is away, and comes back to all at once
		case 640:
			for _, s := range seats {
				s.setReady(map[string]time.Time{})
				if s.alive {
					air = append(air, arrival{now.Add(2 * time.Second), s, s.word(now)})
				}
			}
		case 690:
			for _, s := range seats {
				s.setReady(map[string]time.Time{relay: now})
				if s.alive {
					air = append(air, arrival{now.Add(3 * time.Second), s, s.word(now)})
				}
			}
		}
		away = i%700 >= 640 && i%700 < 690
		second(i)
	}
}

// A gateway's going moves only what it led.
func TestRendezvous(t *testing.T) {
	const relay = "wss://relay.example.org"
	best := func(gateways []mesh.PubKey, topic mesh.Topic) (first mesh.PubKey) {
		var most [32]byte
		for _, g := range gateways {
			if l := lot(g, relay, topic); string(l[:]) > string(most[:]) {
				first, most = g, l
			}
		}
		return first
	}
	var all []mesh.PubKey
	for i := range 4 {
		all = append(all, keyOf(fmt.Sprint(i)).PubKey())
	}
	shares := map[mesh.PubKey]int{}
	for i := range 400 {
		topic := mesh.Topic(fmt.Sprint("t", i))
		was := best(all, topic)
		shares[was]++
		if now := best(all[1:], topic); was != all[0] && now != was {
			t.Errorf("%s moved from a gateway that is there still", topic)
		}
	}
	for _, g := range all {
		if shares[g] < 60 || shares[g] > 140 {
			t.Errorf("%x leads %d of 400 topics, want about 100", g[:4], shares[g])
		}
	}
}

func TestWordsOfOldAreNotTaken(t *testing.T) {
	c := newCouncil(keyOf("hill").PubKey(), usual, nil)
	now := time.Unix(1_800_000_000, 0)
	other := keyOf("school").PubKey()
	if taken, fresh := c.hear(other, 100, &word{}, now); !taken || !fresh {
		t.Error("the first word was not taken")
	}
	if taken, _ := c.hear(other, 99, &word{}, now); taken {
		t.Error("an older word was taken")
	}
	if taken, fresh := c.hear(other, 100, &word{}, now); !taken || fresh {
		t.Error("a word of the same second was not taken")
	}
	if taken, _ := c.hear(c.self, 101, &word{}, now); taken {
		t.Error("its own word was taken")
	}
	// A colleague whose clock was put back is not taken for dead.
	for i := range 6 {
		now = now.Add(usual.beat)
		c.hear(other, mesh.Unix(50+20*i), &word{}, now)
		if i > 0 && c.company(now) != 1 {
			t.Errorf("%d beats after its clock was put back a colleague is not heard", i+1)
		}
	}
	// Whoever hears nobody is answered each time: the last answer may be lost.
	for range 3 {
		now = now.Add(helloEvery)
		if _, fresh := c.hear(other, 200, &word{alone: true}, now); !fresh {
			t.Error("a colleague that hears nobody is not answered")
		}
	}
	if w := c.word(now); w.alone {
		t.Error("it says that it is alone beside a colleague")
	}
	if w := c.word(now.Add(time.Hour)); !w.alone {
		t.Error("it does not say that it is alone")
	}
	for i := range 2 * maxGateways {
		c.hear(mesh.PubKey{1, byte(i)}, 1, &word{}, now)
	}
	if n := c.company(now); n != maxGateways {
		t.Errorf("%d gateways are listened to, want %d", n, maxGateways)
	}
	if taken, _ := c.hear(mesh.PubKey{2}, 1, &word{}, now.Add(time.Minute)); !taken {
		t.Error("there is no room where all others are gone")
	}
}
