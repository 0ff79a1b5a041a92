package store

import (
	"context"
	"sync"
	"testing"
	"time"

	"drey/mesh"
	"drey/store/storetest"
)

// TestReadersLetWritersBe: more readers than there are connections, beside
// writers who look into the tables under the lock. None may wait for another
// in a circle.
func TestReadersLetWritersBe(t *testing.T) {
	const writes = 800
	s := openStore(t, Config{foldOps: 64})
	// On a goroutine of its own: a panic of the test would wait for its cleanups.
	stuck := time.AfterFunc(time.Minute, func() { panic("readers and writers wait for each other") })
	defer stuck.Stop()
	save := func(n int) {
		if err := s.Save(t.Context(), storetest.Chat(t, n, 10, morning), nil, true); err != nil {
			t.Errorf("Save = %v", err)
		}
		stuck.Reset(time.Minute)
	}
	for n := range 200 {
		save(n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var reading, writing sync.WaitGroup
	for range 3 * readers {
		reading.Go(func() {
			for ctx.Err() == nil {
				for range s.Records(ctx, mesh.Filter{Limit: aheadMost, Authors: []mesh.PubKey{storetest.Author(3)}}, mesh.Self) {
				}
			}
		})
	}
	for w := range 4 {
		writing.Go(func() {
			for n := range writes / 4 {
				save(200 + 4*n + w)
			}
		})
	}
	writing.Wait()
	cancel()
	reading.Wait()
}
