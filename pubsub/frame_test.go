package pubsub

import (
	"bufio"
	"bytes"
	"errors"
	"testing"

	pb "github.com/libp2p/go-libp2p-pubsub/pb"

	"drey/mesh"
)

// FuzzMessage checks that a gossip message that parses is written back byte for
// byte.
func FuzzMessage(f *testing.F) {
	f.Add(appendMessage(nil, said(1, "hello")))
	f.Add([]byte{2, 1, 2, 3})
	f.Add([]byte{0})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := parseMessage(b)
		if err != nil {
			if !errors.Is(err, mesh.ErrInvalid) && !errors.Is(err, errNewer) {
				t.Errorf("parseMessage(%x) = %v, want an error that blames or excuses the sender", b, err)
			}
			return
		}
		if got := appendMessage(nil, e); !bytes.Equal(got, b) {
			t.Errorf("message %x was written back as %x", b, got)
		}
	})
}

// FuzzFrames checks that a stream of frames never harms its reader and that
// what parses is written back byte for byte.
func FuzzFrames(f *testing.F) {
	f.Add(appendFrame(appendFrame(nil, frameHello, appendHello(nil, 5)), frameBye, nil))
	f.Add(appendFrame(nil, frameOpen, appendOpen(nil, window{setEverything, firstAt(7), lastPlace})))
	f.Add(appendFrame(nil, frameWant, appendIDs(nil, []mesh.EventID{{1}, {2}})))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0x80, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bufio.NewReader(bytes.NewReader(b))
		var again []byte
		for {
			kind, body, err := readFrame(r, r, nil)
			if err != nil {
				break
			}
			again = appendFrame(again, kind, body)
			switch kind {
			case frameHello:
				if floor, err := parseHello(body); err == nil && !bytes.Equal(appendHello(nil, floor), body) {
					t.Errorf("hello %x was written back as %x", body, appendHello(nil, floor))
				}
			case frameOpen:
				if w, err := parseOpen(body); err == nil && !bytes.Equal(appendOpen(nil, w), body) {
					t.Errorf("open %x was written back as %x", body, appendOpen(nil, w))
				}
			case frameWant, frameOffer:
				if ids, err := parseIDs(body); err == nil && !bytes.Equal(appendIDs(nil, ids), body) {
					t.Errorf("ids %x were written back as %x", body, appendIDs(nil, ids))
				}
			}
		}
		if !bytes.HasPrefix(b, again) {
			t.Errorf("frames %x were written back as %x", b, again)
		}
	})
}

// FuzzGive checks the same of entries.
func FuzzGive(f *testing.F) {
	one, two := said(1, "one"), said(2, "two")
	give := appendEntry(nil, entry{Event: one, Topic: "commons"}, "")
	give = appendEntry(give, entry{Event: two, Topic: "commons"}, "commons")
	give = appendEntry(give, entry{Item: mesh.Item{CreatedAt: 9, ID: two.ID(), Gone: mesh.ReasonDeleted}}, "commons")
	give = appendEntry(give, entry{Item: mesh.Item{ID: one.ID()}}, "commons")
	give = appendEntry(give, entry{Event: one, Topic: "alerts"}, "commons")
	f.Add(give)
	f.Add([]byte{entryAgain, 0})
	f.Add([]byte{entryEvent, 1, 'A', 0})
	f.Add([]byte{entryGone})
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := parseGive(b)
		if err != nil {
			if !errors.Is(err, errProtocol) && !errors.Is(err, mesh.ErrInvalid) {
				t.Errorf("parseGive(%x) = %v, want an error of the sender's", b, err)
			}
			return
		}
		var again []byte
		var topic mesh.Topic
		for _, e := range entries {
			again = appendEntry(again, e, topic)
			if e.Event != nil {
				topic = e.Topic
			}
		}
		if !bytes.Equal(again, b) {
			t.Errorf("give %x was written back as %x", b, again)
		}
	})
}

func TestPlacesStepDown(t *testing.T) {
	p := placeOf(mesh.Item{CreatedAt: 7})
	before, ok := p.before()
	if want := placeOf(mesh.Item{CreatedAt: 6, ID: mesh.EventID(bytes.Repeat([]byte{0xff}, 32))}); !ok || before != want {
		t.Errorf("before %x is %x, %v, want %x", p, before, ok, want)
	}
	if _, ok := (place{}).before(); ok {
		t.Error("there is a place before the first")
	}
	if !p.after(before) || before.after(p) {
		t.Error("a place is not after the one before it")
	}
}

// TestMessageIDCoversTheSignature: an event's id does not, so a forger could
// otherwise hide the real message behind one with a wrong signature.
func TestMessageIDCoversTheSignature(t *testing.T) {
	real := said(1, "hello")
	forged, err := mesh.NewEvent(real.Author(), mesh.Signature{1}, real.Draft())
	if err != nil {
		t.Fatal(err)
	}
	if forged.ID() != real.ID() {
		t.Fatal("the case shows nothing")
	}
	a, b := messageID(&pb.Message{Data: appendMessage(nil, real)}), messageID(&pb.Message{Data: appendMessage(nil, forged)})
	if a == b {
		t.Error("a forged signature gives the same message id")
	}
}

func TestTopicsOfOthersAreRefused(t *testing.T) {
	n := namesOf(town)
	for s, want := range map[string]bool{
		n.of("commons"):                   true,
		n.of("town/alerts"):               true,
		n.of(""):                          false,
		n.of("Commons"):                   false,
		"drey/1/0000000000000000/commons": false,
		"commons":                         false,
		"":                                false,
	} {
		if _, ok := n.parse(s); ok != want {
			t.Errorf("parse(%q) = %v, want %v", s, ok, want)
		}
	}
}
