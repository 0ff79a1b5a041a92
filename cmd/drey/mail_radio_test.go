package main

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"drey/mesh"
	"drey/nostrbridge/mail"
	"drey/radio/radiotest"
)

// TestMailTravelsByRadio leaves two machines nothing but a simulated ether. What
// one writes in private the other opens under the same name, and the receipt
// comes back the same way.
func TestMailTravelsByRadio(t *testing.T) {
	t.Parallel()
	air := radiotest.NewAir(radiotest.Config{Preset: shortFast})
	ether, stop := context.WithTimeout(t.Context(), 2*awaitPatience)
	defer stop()
	go air.Run(ether)
	one := settleNode(t, "one", nil)
	two := settleNode(t, "two", one)
	for two.members() != 2 {
		if !pause(ether, 5*time.Millisecond) {
			t.Fatal("the machines do not meet")
		}
	}
	for _, r := range []*resident{two, one} {
		if err := r.end(); err != nil {
			t.Fatal(err)
		}
	}
	one, two = byRadio(t, air, one), byRadio(t, air, two)
	defer two.end()
	defer one.end()
	const text = "the key is under the mat"
	began := time.Now()
	sent, err := one.mail.Send(ether, mail.Post{To: []mesh.PubKey{two.who.Author.PubKey()}, Text: text})
	if err != nil {
		t.Fatal(err)
	}
	sent, err = one.mail.Wait(ether, sent.ID())
	if err != nil {
		steps, _ := one.mail.History(t.Context(), sent)
		t.Fatalf("no receipt came by radio: %v; %+v", err, steps)
	}
	t.Logf("%d bytes were acknowledged after %v", len(text), time.Since(began).Round(time.Millisecond))
	got, err := two.mail.Message(ether, sent.ID())
	if err != nil || got.Rumor.Content() != text || got.Rumor.Author() != one.who.Author.PubKey() || got.Via != "radio" {
		t.Errorf("opened %+v (%v)", got, err)
	}
	steps, err := one.mail.History(ether, sent)
	if err != nil || !slices.ContainsFunc(steps, func(s mesh.Step) bool { return s.Carrier == "radio" && strings.HasPrefix(s.State, "on air") }) {
		t.Errorf("the history lacks the air: %+v (%v)", steps, err)
	}
}
