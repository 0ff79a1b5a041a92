package radio

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// What the radio measured of the channel's use is told for as long as the
// governor reckons with it, also of a radio that has gone since.
func TestUseGrowsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Config{})
		g := &governor{share: defaultShare}
		o := &owner{c: c, governor: g, out: newOutbox(rand.New(rand.NewPCG(1, 1)), g, time.Now)}
		tell := func(wall time.Time) {
			c.count(func(s *Status) { s.Airtime = o.airtimeStatus(time.Now(), wall) })
		}
		use := func() float32 { return c.Status().Airtime.Utilization }
		if got := use(); got != -1 {
			t.Errorf("before the radio is there its use is %v, want -1", got)
		}
		wall := time.Now().Add(1000 * time.Hour) // the books have a clock of their own
		if tell(wall); use() != -1 {
			t.Errorf("before a measurement the use is %v, want -1", use())
		}
		g.measured(wall, 0)
		if tell(wall); use() != 0 {
			t.Errorf("a silent channel's use is %v, want 0", use())
		}
		g.measured(wall, 12)
		tell(wall.Add(time.Minute))
		if use() != 12 {
			t.Errorf("a minute after the measurement the use is %v, want 12", use())
		}
		time.Sleep(useFor - time.Minute)
		if use() != 12 {
			t.Errorf("%v after the measurement the use is %v, want 12", useFor, use())
		}
		time.Sleep(time.Second)
		if use() != -1 {
			t.Errorf("later the use is %v, want -1", use())
		}
	})
}
