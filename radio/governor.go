package radio

import (
	"fmt"
	"time"

	"drey/mesh"
	"drey/radio/meshtastic"
)

// Measured use of the channel, by everybody, from which we hold back, and at
// which nothing but emergencies is sent.
const (
	useSlow = 0.15
	useStop = 0.25
	// useFor is how long the radio's measurement counts; it makes one a minute.
	useFor = 5 * time.Minute
)

// useWeight is what a new measurement counts beside those before it: a minute
// with two frames of ours says little, and gateways that measure at different
// moments shall come to about the same.
const useWeight = 0.6

// Halfway between slow and stop a gateway is silent for gapFactor times as long
// as it spoke.
const (
	gapFactor = 5
	mostGap   = 10 * time.Minute
)

// Bounds of the time that is reckoned with at once.
const (
	leastPassed = time.Millisecond
	mostPassed  = 30 * 24 * time.Hour
)

// window is the hour over which airtime is counted, by law and by custom.
const window = time.Hour

// shareOf is what part of the budget a priority may spend of its own. An
// emergency is held by the law alone.
var shareOf = [...]float64{mesh.Emergency: 1, mesh.Direct: 0.40, mesh.Chat: 0.40, mesh.Sync: 0.15, mesh.Beacon: 0.05}

// borrowTo is how full the whole budget may become by what direct and chat
// borrow of others' shares: the rest stays for those who have not spoken yet.
const borrowTo = 0.75

// Reasons why something waits for air; they stand in delivery histories.
const (
	whyAirtime = "airtime"
	whyLegal   = "airtime (legal limit)"
	whyBusy    = "airtime (the channel is busy)"
)

// A governor decides what the air can bear. It is pure; the wall clock comes
// as an argument because what was spent must survive restarts.
//
// Each priority has a debt: time on the air that has not been forgiven. An
// hour forgives a whole budget, each priority its share of it; what a priority
// does not need is forgiven to the others. The law's limit is counted apart,
// by minutes over the last hour, as the law counts.
type governor struct {
	share float64 // of all time that this gateway takes, 0 to 1; 0 means the law's limit only
	legal float64 // of each hour, by the region's law; 0 means not known yet, which limits nothing

	debts [len(shareOf)]time.Duration
	at    time.Time     // when debts were last brought up to date
	law   minutes       // what went out in the last hour
	total time.Duration // since the program started

	use   float64 // of the channel by everybody, 0 to 1, as measured
	useAt time.Time

	spoke time.Time // our last transmission, and how long it was
	last  time.Duration
}

// budget is what may be spent in an hour, by the custom and by the law.
func (g *governor) budget() time.Duration {
	share := g.share
	if g.legal > 0 {
		share = min(share, g.legal)
	}
	return time.Duration(share * float64(window))
}

// busy returns the measured use of the channel, 0 where none is known.
func (g *governor) busy(now time.Time) float64 {
	if age := now.Sub(g.useAt); g.useAt.IsZero() || age < -useFor || age > useFor {
		return 0
	}
	return g.use
}

// gap is how long to keep silent after a transmission of length d, from slow to
// stop: what waits meanwhile shares a frame.
func (g *governor) gap(now time.Time, d time.Duration) time.Duration {
	use := g.busy(now)
	if use <= useSlow || use >= useStop {
		return 0
	}
	return min(time.Duration(float64(d)*gapFactor*(use-useSlow)/(useStop-use)), mostGap)
}

// measured takes in the use of the channel in per cent. Radios have been seen
// to report thousands; what is no percentage is clamped to one.
func (g *governor) measured(now time.Time, percent float32) {
	if percent != percent { // not a number
		percent = 0
	}
	use := float64(min(max(percent, 0), 100)) / 100
	if before := g.busy(now); before > 0 {
		use = before + (use-before)*useWeight
	}
	g.use, g.useAt = use, now
}

// refill forgives what time has passed for. A clock that went back forgives
// nothing.
func (g *governor) refill(now time.Time) {
	g.law.turn(now)
	passed := min(now.Sub(g.at), mostPassed)
	if passed >= 0 && passed < leastPassed {
		return // what so little forgives would be lost to rounding
	}
	g.at = now
	if passed < 0 || g.share == 0 {
		return
	}
	left := g.budget().Seconds() * passed.Hours() // seconds to forgive
	for range g.debts {                           // each round ends at least one debt, or all is given
		var shares float64
		for p, d := range g.debts {
			if d > 0 {
				shares += shareOf[p]
			}
		}
		if left <= 0 || shares == 0 {
			return
		}
		given := 0.0
		for p, d := range g.debts {
			part := min(left*shareOf[p]/shares, d.Seconds())
			given += part
			g.debts[p] = d - time.Duration(part*float64(time.Second))
			if d > 0 && g.debts[p] < time.Microsecond {
				g.debts[p] = 0
			}
		}
		left -= given
	}
}

// owed returns all debts together.
func (g *governor) owed() time.Duration {
	var sum time.Duration
	for _, d := range g.debts {
		sum += d
	}
	return sum
}

// wait returns how long a transmission of length d must wait, and why.
func (g *governor) wait(now time.Time, p mesh.Priority, d time.Duration) (time.Duration, string) {
	g.refill(now)
	if g.legal > 0 && g.legal < 1 {
		limit := time.Duration(g.legal * float64(window))
		if w := g.law.wait(now, limit-min(d, limit)); w > 0 {
			return w, whyLegal
		}
	}
	if g.share == 0 || p == mesh.Emergency {
		return 0, ""
	}
	if g.busy(now) >= useStop {
		return max(g.useAt.Add(time.Minute).Sub(now), 10*time.Second), whyBusy
	}
	quiet := min(g.spoke.Add(g.gap(now, g.last)).Sub(now), g.gap(now, g.last)) // a clock that went back adds nothing
	size := float64(g.budget())
	rate := size / float64(window)
	over := func(debt time.Duration, most float64) time.Duration { // until debt+d fits in most
		return time.Duration(max(0, float64(debt)+min(float64(d), most)-most) / rate)
	}
	part := shareOf[min(int(p), len(shareOf)-1)]
	all := over(g.owed(), size)
	own := time.Duration(float64(over(g.debts[p], part*size)) / part)
	if p <= mesh.Chat {
		own = min(own, over(g.owed(), borrowTo*size))
	}
	switch own = max(own, all); {
	case own > 0:
		return max(own, quiet, leastPassed), whyAirtime
	case quiet > 0:
		return quiet, whyBusy
	}
	return 0, ""
}

// spend takes d out of a priority's share; an emergency may overdraw.
func (g *governor) spend(now time.Time, p mesh.Priority, d time.Duration) {
	g.refill(now)
	if g.share > 0 {
		g.debts[p] = min(g.debts[p]+d, window)
	}
	g.law.add(now, d)
	g.total += d
	g.spoke, g.last = now, d
}

// oneFrame is how long the events of one frame may take to be told apart.
const oneFrame = time.Second

// heard takes in that a colleague said for d what we would have: gateways are
// silent together, or one would take the other's silence for its own turn.
func (g *governor) heard(now time.Time, d time.Duration) {
	if ago := now.Sub(g.spoke); ago >= 0 && ago < oneFrame {
		d += g.last
	}
	g.spoke, g.last = now, d
}

// legalDuty returns what part of each hour a region's law leaves a radio.
func legalDuty(r meshtastic.Region) float64 {
	switch r {
	case meshtastic.RegionEU433, meshtastic.RegionEU868, regionUA433:
		return 0.10
	case regionUA868:
		return 0.01
	}
	return 1
}

// Regions beside those that package meshtastic names whose law has a limit.
const (
	regionUA433 meshtastic.Region = 14
	regionUA868 meshtastic.Region = 15
)

// minutes counts time on the air in each minute of the last hour.
type minutes struct {
	last  int64 // the newest minute, since 1970
	spent [61]time.Duration
}

func (m *minutes) slot(minute int64) *time.Duration { return &m.spent[minute%int64(len(m.spent))] }

// turn forgets what is older than an hour. Where the clock went back, what was
// spent counts as spent now: the law does not ask which clock was wrong.
func (m *minutes) turn(now time.Time) {
	minute := max(now.Unix()/60, 0)
	if back := m.last - minute; back > 0 {
		moved := minutes{last: minute}
		for age := range min(int64(len(m.spent)), minute+1) {
			if m.last-age >= 0 {
				*moved.slot(minute - age) = *m.slot(m.last - age)
			}
		}
		*m = moved
		return
	}
	if minute-m.last >= int64(len(m.spent)) {
		*m = minutes{last: minute}
		return
	}
	for ; m.last < minute; m.last++ {
		*m.slot(m.last + 1) = 0
	}
}

func (m *minutes) add(now time.Time, d time.Duration) {
	m.turn(now)
	*m.slot(m.last) += d
}

// sum returns what was spent in the last hour, up to a minute more.
func (m *minutes) sum() time.Duration {
	var sum time.Duration
	for _, d := range m.spent {
		sum += d
	}
	return sum
}

// wait returns how long until no more than most was spent in the hour before.
func (m *minutes) wait(now time.Time, most time.Duration) time.Duration {
	m.turn(now)
	sum := m.sum()
	for age := int64(len(m.spent)) - 1; age >= 0 && sum > most; age-- {
		if m.last-age < 0 {
			continue
		}
		sum -= *m.slot(m.last - age)
		if sum <= most {
			leaves := time.Unix((m.last-age+int64(len(m.spent)))*60, 0)
			return max(leaves.Sub(now), time.Second)
		}
	}
	return 0
}

// about says a time as people do.
func about(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("about %d s", max(1, int(d.Round(time.Second).Seconds())))
	case d < 2*time.Hour:
		return fmt.Sprintf("about %d min", int(d.Round(time.Minute).Minutes()))
	}
	return fmt.Sprintf("about %d h", int(d.Round(time.Hour).Hours()))
}
