package main

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	restEvery = 10 * time.Second
	// restBelow is what a quiet process allocates between two looks, in bytes.
	// At that rate a dense heap costs about one per cent of a core.
	restBelow = 32 << 20
	// giveEvery is how much must have been allocated since memory was last
	// given back, in bytes: before that there is little to give.
	giveEvery = 4 << 20
	// What the collector lets the heap grow by before it works, per cent. A
	// quiet process has time to keep the heap dense: what a hundred short
	// handshakes leave behind would else stay between what lives on.
	percentBusy, percentQuiet = 100, 20
)

// A rester decides what a process does about its memory, from how much it
// allocates.
type rester struct {
	allocated uint64 // at the last look
	given     uint64 // at the time memory was last given back
	quiet     bool   // at the last look
}

// look returns the collector's percentage for the time to come, and whether
// memory is to be given back to the system now.
func (r *rester) look(allocated uint64) (percent int, give bool) {
	grown := allocated - r.allocated
	r.allocated = allocated
	if grown >= restBelow {
		r.quiet = false
		return percentBusy, false
	}
	if r.quiet && allocated-r.given >= giveEvery {
		r.given, give = allocated, true
	}
	r.quiet = true
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
	program := newProgram()
	set := 0
	for percent, give := percentQuiet, false; ; {
		if percent != set && !tuned {
			debug.SetGCPercent(percent)
			set = percent
		}
		if give {
			// Each collection halves the stacks that handshakes have made large.
			runtime.GC()
			runtime.GC()
			debug.FreeOSMemory()
		}
		if r.quiet {
			program.forget()
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
