package main

import (
	"context"
	"net"
	"path/filepath"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"drey/radio/radiotest"
)

// cmdSaved puts the name of the one file of saved radio settings in a home into
// a variable: saved HOME NAME. NAME has it without the folder.
func cmdSaved(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: saved HOME NAME")
	}
	found, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), "radio-*.json"))
	ts.Check(err)
	if len(found) != 1 {
		ts.Fatalf("%d files of saved settings, want 1: %q", len(found), found)
	}
	ts.Setenv(args[1], found[0])
	ts.Setenv("NAME", filepath.Base(found[0]))
}

// cmdGear puts a radio that nobody has set up on an ether of its own, offers it
// over TCP until the script ends, and puts its address into a variable: gear
// NAME.
func cmdGear(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: gear NAME")
	}
	air := radiotest.NewAir(radiotest.Config{Seed: 1})
	r := air.NewRadio("gear", radiotest.RadioConfig{NoRegion: true, Passkey: true})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ctx, stop := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { _ = air.Run(ctx) })
	work.Go(func() { _ = r.ServeTCP(ctx, l) })
	ts.Defer(func() {
		stop()
		work.Wait()
	})
	ts.Setenv(args[0], "tcp://"+l.Addr().String())
}
