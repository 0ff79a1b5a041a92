package store

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"drey/store/storetest"
)

// wearMost is the bound of issue 2: bytes on the disk for each event that
// arrives by gossip.
const wearMost = 20_000

// measureWear lets n events arrive, one each interval, at a store that holds
// held events already, and returns what each cost the disk.
func measureWear(t testing.TB, held, n int, interval time.Duration) (perEvent float64, d *disk) {
	d = newDisk(t, false)
	d.fast = true
	s := openStore(t, Config{vfs: d.name})
	for i := range held {
		if err := s.Save(context.Background(), storetest.Chat(t, i, 100, morning), nil, i%512 == 511); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Sync(context.Background()); err != nil {
		t.Fatal(err)
	}
	start := func() wear {
		d.mu.Lock()
		defer d.mu.Unlock()
		w := d.wear
		d.wear.reset()
		return w
	}
	start()
	for i := range n {
		time.Sleep(interval) // of the fake clock
		if err := s.Save(context.Background(), storetest.Chat(t, held+i, 100, morning), nil, false); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(5 * time.Second)
	if st, err := s.Stats(context.Background()); err != nil || st.Pending > 0 {
		t.Errorf("%d operations are not on the disk 5 s after the last save, %v", st.Pending, err)
	}
	d.mu.Lock()
	d.wear.end()
	d.mu.Unlock()
	return float64(d.wear.bytes) / float64(n), d
}

func TestWear(t *testing.T) {
	for name, interval := range map[string]time.Duration{"1 per s": time.Second, "1 per 10 s": 10 * time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got, d := measureWear(t, 10_000, 2*foldOps, interval)
				t.Logf("%.0f bytes an event, %d syncs, %v", got, d.wear.syncs, d.wear.byFile)
				if got > wearMost {
					t.Errorf("%.0f bytes an event, want at most %d", got, wearMost)
				}
			})
		})
	}
}
