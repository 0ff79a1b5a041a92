package carriertest

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"drey/mesh"
)

// A Medium tells the suite what it tests.
type Medium struct {
	// New makes two carriers that reach each other. It is called for every
	// check; what it opens it closes by t.Cleanup.
	New func(t *testing.T) (a, b mesh.Carrier)

	// Topics the medium carries; nil means commons. Events go to them in turn.
	Topics []mesh.Topic
	// Target names the target of a topic, as the hub's route would; nil means "".
	Target func(mesh.Topic) string
	// Matches tells whether what came out is what went in; nil means the same
	// id and signature. Media that translate compare the text.
	Matches func(sent, got *mesh.Event) bool
	// Retopics is set where the receiver decides the topic, not the envelope.
	Retopics bool
	// Ordered is set where events arrive in the order in which they were handed
	// over. Then the order of urgency is checked too.
	Ordered bool
	// Lossy is set where Done does not mean that the other end has it, as with
	// gossip and radio. After a stop in the middle, only what the sender had not
	// ended must then arrive.
	Lossy bool
	// Events is how many events a check sends; 0 means 20. Slow media say 2.
	Events int
	// Patience is how long a check may wait for one thing; 0 means 10 s.
	Patience time.Duration
	// Ready, if set, is called after both ends run and before anything is owed.
	// It returns when they have found each other.
	Ready func(ctx context.Context, a, b mesh.Carrier) error
	// Kind of the events that are sent; 0 means mesh.KindNote.
	Kind mesh.Kind
}

// Run checks that the carriers of a medium do what package mesh says of them.
func Run(t *testing.T, m Medium) {
	if m.Topics == nil {
		m.Topics = []mesh.Topic{mesh.TopicCommons}
	}
	if m.Target == nil {
		m.Target = func(mesh.Topic) string { return "" }
	}
	if m.Matches == nil {
		m.Matches = func(sent, got *mesh.Event) bool { return sent.ID() == got.ID() && sent.Sig() == got.Sig() }
	}
	if m.Events == 0 {
		m.Events = 20
	}
	if m.Patience == 0 {
		m.Patience = 10 * time.Second
	}
	if m.Kind == 0 {
		m.Kind = mesh.KindNote
	}
	for _, c := range []struct {
		name  string
		check func(*testing.T, *bench)
	}{
		{"what is owed here arrives there", checkArrives},
		{"both ways", checkBothWays},
		{"most urgent first", checkUrgent},
		{"refusals do not stop it", checkRefusals},
		{"too large is said", checkLimits},
		{"stops when told", checkStops},
		{"stops while the hub is slow", checkStopsInReceive},
		{"stopped and started nothing is lost", checkRestart},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			ok := t.Run("run", func(t *testing.T) {
				b := newBench(t, m)
				c.check(t, b)
				b.stop(t)
			})
			if ok {
				goleak.VerifyNone(t, before)
			}
		})
	}
}
