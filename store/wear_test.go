package store

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
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
func measureWear(t testing.TB, held, n int, interval time.Duration, fast bool) (perEvent float64, d *disk, s *Store) {
	d = newDisk(t, false)
	d.fast = fast
	s = openStore(t, Config{vfs: d.name})
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
	return float64(d.wear.bytes) / float64(n), d, s
}

// TestWearOfLargeStores reports what grows with the store, and which tree it
// goes to. It takes a minute, so it runs only when asked for.
func TestWearOfLargeStores(t *testing.T) {
	if os.Getenv("DREY_WEAR") == "" {
		t.Skip("set DREY_WEAR=1 to measure stores of up to 400,000 events")
	}
	for _, held := range []int{1_000, 100_000, 400_000} {
		for _, interval := range []time.Duration{time.Second, 10 * time.Second} {
			synctest.Test(t, func(t *testing.T) {
				const n = 3 * foldOps
				got, d, s := measureWear(t, held, n, interval, true)
				t.Logf("%d held, one each %v: %.0f bytes an event; the log has %d, the file %d",
					held, interval, got, d.wear.byFile["drey.db-wal"]/n, d.wear.byFile["drey.db"]/n)
				logged, copied := owners(t, s, d.wear.frames), owners(t, s, d.wear.pages)
				for _, tree := range slices.Sorted(maps.Keys(logged)) {
					t.Logf("  %-20s %5d bytes in the log, %5d in the file", tree, logged[tree]*(pageSize+24)/n, copied[tree]*pageSize/n)
				}
			})
		}
	}
}

// TestWearByTheKernel compares the count with the kernel's own, over real syncs.
func TestWearByTheKernel(t *testing.T) {
	if os.Getenv("DREY_WEAR") == "" {
		t.Skip("set DREY_WEAR=1 to compare with /proc/self/io")
	}
	for _, interval := range []time.Duration{time.Second, 10 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			const held, n = 1000, foldOps
			before := kernelBytes(t)
			got, d, _ := measureWear(t, held, n, interval, false)
			t.Logf("one each %v: %.0f bytes an event counted; the kernel says %d for all %d, the first %d included; %d syncs",
				interval, got, (kernelBytes(t)-before)/n, held+n, held, d.wear.syncs)
		})
	}
}

// kernelBytes is what this process has sent to block devices.
func kernelBytes(t *testing.T) (n int64) {
	b, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Skipf("this system does not count: %v", err)
	}
	for line := range strings.Lines(string(b)) {
		if _, err := fmt.Sscanf(line, "write_bytes: %d", &n); err == nil {
			return n
		}
	}
	t.Skip("this system does not count write_bytes")
	return 0
}

func TestWear(t *testing.T) {
	for name, interval := range map[string]time.Duration{"1 per s": time.Second, "1 per 10 s": 10 * time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got, d, _ := measureWear(t, 4_000, foldOps, interval, true)
				t.Logf("%.0f bytes an event, %d syncs, %v", got, d.wear.syncs, d.wear.byFile)
				if got > wearMost {
					t.Errorf("%.0f bytes an event, want at most %d", got, wearMost)
				}
			})
		})
	}
}
