package main

import (
	"net"

	"github.com/rogpeppe/go-internal/testscript"

	"drey/nostrbridge/pool/badrelay"
)

// cmdRelay runs a public relay and puts its address into a variable. With a
// word behind, it behaves so: keeps-nothing, refuses.
func cmdRelay(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: relay NAME [keeps-nothing]")
	}
	b := badrelay.Behaviour{Sync: badrelay.SyncHonest}
	if len(args) == 2 {
		switch args[1] {
		case "keeps-nothing":
			b.LieOK = true
		default:
			ts.Fatalf("relay: %q is no behaviour", args[1])
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	r := badrelay.Serve(l, b)
	ts.Defer(r.Close)
	ts.Setenv(args[0], r.URL)
}
