package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	restEvery = 10 * time.Second
	// restBelow is what a quiet process allocates between two looks, in bytes.
	// At that rate a dense heap costs about one per cent of a core.
	restBelow = 32 << 20
	// What the collector lets the heap grow by before it works, per cent. A
	// quiet process has time to keep the heap dense: what a hundred short
	// handshakes leave behind would else stay between what lives on.
	percentBusy, percentQuiet = 100, 20
)

// A rester decides what a process does about its memory, from how much it
// allocates.
type rester struct {
	allocated uint64 // at the last look
	quiet     int    // looks in a row
	given     bool   // nothing to give back since
}

// look returns the collector's percentage for the time to come, and whether
// memory is to be given back to the system now: once, when a busy time is
// over.
func (r *rester) look(allocated uint64) (percent int, give bool) {
	grown := allocated - r.allocated
	r.allocated = allocated
	if grown >= restBelow {
		r.quiet, r.given = 0, false
		return percentBusy, false
	}
	r.quiet++
	give = r.quiet >= 2 && !r.given
	r.given = r.given || give
	return percentQuiet, give
}

// rest keeps the process small while little happens, until ctx ends. It
// concerns the whole process, not one node in it.
func rest(ctx context.Context) {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	tuned := os.Getenv("GOGC") != "" // whoever runs it knows better
	tick := time.NewTicker(restEvery)
	defer tick.Stop()
	var r rester
	set := 0
	for percent, give := percentQuiet, false; ; {
		if percent != set && !tuned {
			debug.SetGCPercent(percent)
			set = percent
		}
		if give {
			debug.FreeOSMemory()
			forgetProgram()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		metrics.Read(sample)
		percent, give = r.look(sample[0].Value.Uint64())
	}
}
