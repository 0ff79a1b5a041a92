package main

import "testing"

func TestRester(t *testing.T) {
	var r rester
	at := uint64(0)
	for i, step := range []struct {
		grown   uint64
		percent int
		give    bool
	}{
		{2 * restBelow, percentBusy, false}, // the start
		{1 << 20, percentQuiet, false},      // maybe only a pause
		{1 << 20, percentQuiet, true},
		{1 << 20, percentQuiet, false}, // nothing new to give back
		{restBelow, percentBusy, false},
		{0, percentQuiet, false},
		{0, percentQuiet, true},
		{giveEvery / 2, percentQuiet, false}, // little, but it adds up
		{giveEvery / 2, percentQuiet, true},
		{0, percentQuiet, false},
	} {
		at += step.grown
		if percent, give := r.look(at); percent != step.percent || give != step.give {
			t.Errorf("step %d: %d %%, give %t; want %d %%, %t", i, percent, give, step.percent, step.give)
		}
	}
}
