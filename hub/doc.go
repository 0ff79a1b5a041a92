// Package hub is the heart of a node: it receives events from carriers,
// checks, remembers and stores them, and passes each to every carrier that
// should have it except the one it came from.
//
// An event goes through these questions, in order of their cost:
//
//	form      a topic that can be, not expired, no private kind in the open
//	seen      lately here, or waiting here for its author's admission
//	known     held by the store or once known to it
//	signed    by its author; the same event is checked once, however many bring it
//	author    a member; a guest with a pass, within its rate; else it waits
//	date      in the future of a clock that can be trusted
//	rank      an emergency is granted, or it is chat
//	rival     of two translations of one radio text the lower id stays
//
// Then it is remembered, saved together with what is owed to each carrier, and
// handed out. Gossip has it at once; every other carrier when it is on disk.
// The rules are shown by scripts in testdata.
package hub
