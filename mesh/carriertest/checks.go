package carriertest

import (
	"context"
	"slices"
	"testing"

	"drey/mesh"
)

func checkArrives(t *testing.T, b *bench) {
	b.start(t)
	events := b.owe(t, b.a, b.m.Events, mesh.Chat)
	b.await(t, b.b, events)
	b.settled(t, b.a, len(events))
	for _, x := range b.a.port.Endings() {
		if x.Err != nil {
			t.Errorf("%q arrived, but its delivery ended with %v", x.Delivery.Event.Content(), x.Err)
		}
	}
	if got := len(b.b.port.Taken()); got != len(events) {
		t.Errorf("%d events were new at b, want %d: %s", got, len(events), texts(b.b.port))
	}
	if got := len(b.a.port.Taken()); got != 0 {
		t.Errorf("%d events came in at a, where all of them were known: %s", got, texts(b.a.port))
	}
}

func checkBothWays(t *testing.T, b *bench) {
	b.start(t)
	n := max(1, b.m.Events/2)
	there, back := b.owe(t, b.a, n, mesh.Chat), b.owe(t, b.b, n, mesh.Chat)
	b.await(t, b.b, there)
	b.await(t, b.a, back)
	b.settled(t, b.a, n)
	b.settled(t, b.b, n)
}

// checkUrgent owes chat first and an emergency last, all before the carrier
// runs. Whatever the carrier takes ahead, the emergency goes first.
func checkUrgent(t *testing.T, b *bench) {
	if !b.m.Ordered {
		t.Skip("this medium does not keep the order")
	}
	chat := b.owe(t, b.a, max(2, b.m.Events/2), mesh.Chat)
	urgent := b.owe(t, b.a, 1, mesh.Emergency)
	b.start(t)
	b.await(t, b.b, append(chat, urgent...))
	if first := b.b.port.Receipts()[0]; !b.m.Matches(urgent[0].event, first.Event) {
		t.Errorf("%q arrived first, want the emergency %q", first.Event.Content(), urgent[0].event.Content())
	}
}

func checkRefusals(t *testing.T, b *bench) {
	b.start(t)
	refusals := []error{
		mesh.ErrDuplicate, mesh.ErrRefused, mesh.ErrUnknownAuthor, mesh.ErrExpired,
		&mesh.GoneError{Reason: mesh.ReasonDeleted}, mesh.ErrInvalid,
	}
	for _, err := range refusals[:min(len(refusals), b.m.Events)] {
		b.b.port.Answer(func(context.Context, *mesh.Event, mesh.Origin) error { return err })
		b.await(t, b.b, b.owe(t, b.a, 1, mesh.Chat))
	}
	b.b.port.Answer(nil)
	b.await(t, b.b, b.owe(t, b.a, 1, mesh.Chat))
	if len(b.b.port.Taken()) != 1 {
		t.Errorf("after refusals %d events were taken, want the last one", len(b.b.port.Taken()))
	}
}

func checkLimits(t *testing.T, b *bench) {
	limit := b.a.carrier.Limits().MaxEvent
	if limit == 0 || limit >= mesh.MaxEventSize {
		t.Skip("no event is too large for this medium")
	}
	b.start(t)
	large := b.make(t, limit+1)
	b.a.port.Owe(large.event, large.topic, b.m.Target(large.topic), mesh.Chat)
	b.settled(t, b.a, 1)
	if x := b.a.port.Endings()[0]; x.Err == nil {
		t.Errorf("an event beyond the limit of %d bytes ended without an error", limit)
	}
	small := b.owe(t, b.a, 1, mesh.Chat)
	b.await(t, b.b, small)
}

func checkStops(t *testing.T, b *bench) {
	b.start(t)
	b.stop(t)
	b.start(t) // and it can be run again
	b.await(t, b.b, b.owe(t, b.a, 1, mesh.Chat))
	b.settled(t, b.a, 1)
}

// checkStopsInReceive stops a carrier whose hub has not answered yet.
func checkStopsInReceive(t *testing.T, b *bench) {
	entered := make(chan struct{}, 1)
	b.b.port.Answer(func(ctx context.Context, _ *mesh.Event, _ mesh.Origin) error {
		select {
		case entered <- struct{}{}:
		default:
		}
		<-ctx.Done()
		return ctx.Err()
	})
	b.start(t)
	b.owe(t, b.a, 1, mesh.Chat)
	ctx, cancel := context.WithTimeout(t.Context(), b.m.Patience)
	defer cancel()
	select {
	case <-entered:
	case <-ctx.Done():
		t.Fatalf("nothing arrived at b within %v", b.m.Patience)
	}
	b.stop(t)
}

// checkRestart stops the sender in the middle of its work and starts it again.
func checkRestart(t *testing.T, b *bench) {
	b.start(t)
	owed := max(2, b.m.Events)
	events := b.owe(t, b.a, owed, mesh.Chat)
	if !b.a.await(t, func() bool { n, _ := b.a.port.Handed(); return n > 0 }) {
		t.Fatalf("a asked for nothing within %v", b.m.Patience)
	}
	b.a.stop(t)
	if b.m.Lossy {
		events = slices.DeleteFunc(events, func(s sent) bool {
			return slices.ContainsFunc(b.a.port.Endings(), func(x Ending) bool { return x.Delivery.Event.ID() == s.event.ID() })
		})
	}
	b.a.run()
	b.ready(t)
	b.await(t, b.b, events)
	if !b.a.await(t, func() bool { return len(b.a.port.Endings()) >= owed && b.a.port.Outstanding() == 0 }) {
		t.Fatalf("%d of %d deliveries are Done after the second start", len(b.a.port.Endings()), owed)
	}
}
