package mail

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"drey/mesh"
)

func TestMessageIsAcknowledged(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		ann, bob := w.settle("ann", 1), w.settle("bob", 2)
		sent := ann.send(Post{To: []mesh.PubKey{bob.key.PubKey()}, Text: "hello", Subject: "bridge"})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		got, err := ann.mail.Wait(ctx, sent.ID())
		if err != nil || !got.AckedBy(bob.key.PubKey()) {
			t.Fatalf("%+v (%v), want it acknowledged", got, err)
		}
		if n := ann.mail.Stats().Chased; n != 0 {
			t.Errorf("%d messages are chased after the receipt", n)
		}
		there := bob.message(sent.ID())
		if s, _ := there.Rumor.Tag("subject"); there.Rumor.Content() != "hello" || s != "bridge" || there.Out || there.Via != "net" {
			t.Errorf("bob has %+v", there)
		}
		steps, err := ann.mail.History(t.Context(), got)
		if err != nil || !slices.ContainsFunc(steps, func(s mesh.Step) bool { return s.State == "acknowledged by bob" && s.Target == "bob" }) {
			t.Errorf("history %+v (%v)", steps, err)
		}
		if n := ann.held(mesh.KindLetter); n != 0 {
			t.Errorf("%d letters were written for what was acknowledged", n)
		}
		after(24 * time.Hour)
		if a, b := ann.texts(), bob.texts(); len(a) != 1 || len(b) != 1 || ann.held(mesh.KindLetter) != 0 {
			t.Errorf("after a day ann has %q, bob %q, and %d letters", a, b, ann.held(mesh.KindLetter))
		}
		for why, n := range bob.mail.Stats().Refused {
			if n != 0 {
				t.Errorf("bob refused %d: %s", n, why)
			}
		}
	})
}

// A full disk ends nothing: what came meanwhile is opened once there is room.
func TestFullDiskEndsNothing(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		ann, bob := w.settle("ann", 1), w.settle("bob", 2)
		bob.full.Store(true)
		sent := ann.send(Post{To: []mesh.PubKey{bob.key.PubKey()}, Text: "are you there?"})
		after(10 * time.Minute)
		if got := ann.message(sent.ID()); got.Acknowledged() {
			t.Error("what is on no disk was acknowledged")
		}
		bob.full.Store(false)
		after(10 * time.Minute)
		if got := ann.message(sent.ID()); !got.Acknowledged() {
			t.Error("what came while the disk was full was never acknowledged")
		}
		if got := bob.texts(); len(got) != 1 {
			t.Errorf("bob has %q", got)
		}
	})
}

// A receipt that comes while the disk is full counts once there is room, and its
// line stands once in each history, however often it was tried.
func TestReceiptOnAFullDiskIsToldOnce(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		ann, bob := w.settle("ann", 1), w.settle("bob", 2)
		sent := ann.send(Post{To: []mesh.PubKey{bob.key.PubKey()}, Text: "are you there?"})
		after(100 * time.Millisecond) // the receipt waits longer
		ann.full.Store(true)
		after(10 * time.Minute)
		if got := ann.message(sent.ID()); got.Acknowledged() {
			t.Error("a receipt counts that is on no disk")
		}
		ann.full.Store(false)
		after(10 * time.Minute)
		got := ann.message(sent.ID())
		if !got.Acknowledged() || ann.mail.Stats().Chased != 0 {
			t.Errorf("%+v with room again, want it acknowledged and not chased", got)
		}
		for _, c := range slices.Concat(got.Wraps, got.Letters) {
			steps, err := ann.store.History(t.Context(), c.ID)
			n := 0
			for _, s := range steps {
				if s.State == "acknowledged by bob" {
					n++
				}
			}
			if err != nil || n > 1 || n == 0 && c == got.Wraps[0] {
				t.Errorf("%d lines of bob's receipt in %+v (%v), want 1", n, steps, err)
			}
		}
	})
}

// While the disk takes nothing, letters are written no sooner one after another.
func TestLettersOnAFullDisk(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		ann, bob := w.settle("ann", 1), w.settle("bob", 2)
		w.cut("net", "air")
		sent := ann.send(Post{To: []mesh.PubKey{bob.key.PubKey()}, Text: "by air"})
		after(time.Second)
		ann.full.Store(true)
		after(time.Hour)
		if n := ann.held(mesh.KindLetter); n != 1 {
			t.Errorf("%d letters in an hour without room, want 1", n)
		}
		ann.full.Store(false)
		after(5 * time.Minute)
		if got := ann.message(sent.ID()); len(got.Letters) != ann.held(mesh.KindLetter) || len(got.Letters) != 2 {
			t.Errorf("%d letters are known and %d held, want 2", len(got.Letters), ann.held(mesh.KindLetter))
		}
	})
}

// The wrap, ann's own copy, every letter and what sync brings are one message.
func TestEveryFormIsOneMessage(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		ann, bob := w.settle("ann", 1), w.settle("bob", 2)
		w.cut("net")
		sent := ann.send(Post{To: []mesh.PubKey{bob.key.PubKey()}, Text: "by air"})
		after(4 * time.Second)
		if n := bob.held(mesh.KindLetter); n != 0 {
			t.Errorf("%d letters went before gossip had its time", n)
		}
		after(2 * time.Second)
		if got := bob.message(sent.ID()); got.Via != "air" || got.Rumor.Content() != "by air" {
			t.Errorf("bob has %+v", got)
		}
		if got := ann.message(sent.ID()); !got.Acknowledged() {
			t.Error("no receipt came by letter")
		}
		w.mend("net")
		w.sync(ann, bob)
		w.sync(bob, ann)
		after(time.Hour)
		if a, b := ann.texts(), bob.texts(); len(a) != 1 || len(b) != 1 {
			t.Errorf("ann has %q, bob %q", a, b)
		}
		if n := len(ann.message(sent.ID()).Acks); n != 1 {
			t.Errorf("%d acknowledgements, want 1", n)
		}
	})
}

// Letters follow each other at growing distances until one is answered, also
// across a restart.
func TestLettersAreRepeated(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		ann, bob := w.settle("ann", 1), w.settle("bob", 2)
		w.cut("net", "air")
		sent := ann.send(Post{To: []mesh.PubKey{bob.key.PubKey()}, Text: "hello?"})
		for i, d := range letterAfter[:3] {
			after(d + time.Second)
			if n := len(ann.message(sent.ID()).Letters); n != i+1 {
				t.Errorf("letter %d: %d were written", i+1, n)
			}
		}
		ann.restart()
		after(letterAfter[3])
		if n := len(ann.message(sent.ID()).Letters); n != 4 {
			t.Errorf("after a restart %d letters were written, want 4", n)
		}
		w.mend("air")
		after(letterAfter[4])
		if got := ann.message(sent.ID()); !got.Acknowledged() || len(got.Letters) != 5 {
			t.Errorf("%d letters, acknowledged: %v", len(got.Letters), got.Acknowledged())
		}
		after(48 * time.Hour)
		if n := len(ann.message(sent.ID()).Letters); n != 5 {
			t.Errorf("%d letters, want none after the receipt", n)
		}
		if got := bob.texts(); len(got) != 1 {
			t.Errorf("bob has %q", got)
		}
	})
}

func TestLettersEnd(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		ann, bob := w.settle("ann", 1), w.settle("bob", 2)
		w.cut("net", "air")
		sent := ann.send(Post{To: []mesh.PubKey{bob.key.PubKey()}, Text: "hello?"})
		after(7 * 24 * time.Hour)
		if n := len(ann.message(sent.ID()).Letters); n != len(letterAfter) || ann.mail.Stats().Chased != 0 {
			t.Errorf("%d letters, want %d; %d messages are still chased", n, len(letterAfter), ann.mail.Stats().Chased)
		}
	})
}

func TestSeveralReadersShareAMessage(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		ann, bob, cid := w.settle("ann", 1), w.settle("bob", 2), w.settle("cid", 3)
		sent := ann.send(Post{To: []mesh.PubKey{bob.key.PubKey(), cid.key.PubKey(), bob.key.PubKey()}, Text: "both"})
		after(2 * time.Second)
		if got := ann.message(sent.ID()); len(got.Wraps) != 2 || len(got.Acks) != 2 {
			t.Errorf("%d wraps, %d acknowledgements, want 2 of each", len(got.Wraps), len(got.Acks))
		}
		got := bob.message(sent.ID())
		if got.ID() != cid.message(sent.ID()).ID() || len(got.Readers()) != 2 {
			t.Errorf("bob sees readers %v", got.Readers())
		}
		answer := bob.send(Post{To: []mesh.PubKey{ann.key.PubKey(), cid.key.PubKey()}, Text: "yes", ReplyTo: sent.ID()})
		after(2 * time.Second)
		if e, _ := cid.message(answer.ID()).Rumor.Tag("e"); e != sent.ID().String() {
			t.Errorf("the answer is to %q", e)
		}
		var many []mesh.PubKey
		for i := range MaxReaders + 1 {
			k := newKey(t, byte(100+i)).PubKey()
			w.roster.set(k, mesh.Person)
			many = append(many, k)
		}
		if _, err := ann.mail.Send(t.Context(), Post{To: many, Text: "x"}); !errors.Is(err, ErrReader) {
			t.Errorf("%d readers: %v, want ErrReader", len(many), err)
		}
	})
}

func TestStrangersAreRead(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		bob := w.settle("bob", 2)
		eve := newKey(t, 9)
		r := newRumor(t, eve, mesh.Draft{CreatedAt: mesh.UnixOf(time.Now()), Kind: mesh.KindPrivateNote, Tags: [][]string{{"p", bob.key.PubKey().String()}}, Content: "psst"})
		wrap, err := Wrap(eve, r, bob.key.PubKey(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		before := bob.held(mesh.KindGiftWrap)
		if err := bob.hub.Port("net").Receive(t.Context(), wrap, mesh.Origin{Topic: mesh.TopicMail, Durable: true}); err != nil {
			t.Fatal(err)
		}
		after(time.Minute)
		if got := bob.message(r.ID()); got.Rumor.Author() != eve.PubKey() {
			t.Errorf("bob has %+v", got)
		}
		if n := bob.held(mesh.KindGiftWrap) - before; n != 1 || bob.mail.Stats().Refused[whyWriter] != 1 {
			t.Errorf("%d wraps are here, want the stranger's alone; receipts refused: %v", n, bob.mail.Stats().Refused)
		}
		w.roster.set(eve.PubKey(), mesh.Banned)
		if _, err := bob.mail.Send(t.Context(), Post{To: []mesh.PubKey{eve.PubKey()}, Text: "who?"}); !errors.Is(err, ErrReader) {
			t.Errorf("to somebody banned: %v, want ErrReader", err)
		}
	})
}

// A receipt from somebody who is no reader says nothing.
func TestOnlyReadersAcknowledge(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		ann, bob := w.settle("ann", 1), w.settle("bob", 2)
		cid := w.settle("cid", 3)
		w.cut("net", "air")
		sent := ann.send(Post{To: []mesh.PubKey{bob.key.PubKey()}, Text: "hello"})
		r := newRumor(t, cid.key, receiptDraft(ann.key.PubKey(), []mesh.EventID{sent.ID()}, time.Now()))
		wrap, err := Wrap(cid.key, r, ann.key.PubKey(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if err := ann.hub.Port("net").Receive(t.Context(), wrap, mesh.Origin{Topic: mesh.TopicMail, Durable: true}); err != nil {
			t.Fatal(err)
		}
		after(time.Second)
		if got := ann.message(sent.ID()); len(got.Acks) != 0 {
			t.Errorf("acknowledged by %v", got.Acks)
		}
	})
}

func TestRestartOpensNothingTwice(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		ann, bob := w.settle("ann", 1), w.settle("bob", 2)
		for _, text := range []string{"one", "two"} {
			ann.send(Post{To: []mesh.PubKey{bob.key.PubKey()}, Text: text})
		}
		after(2 * time.Second)
		bob.stop()
		ann.send(Post{To: []mesh.PubKey{bob.key.PubKey()}, Text: "three"})
		bob.start()
		w.sync(ann, bob)
		wraps := bob.held(mesh.KindGiftWrap)
		after(5 * time.Second)
		if got := bob.texts(); !slices.Equal(got, []string{"one", "two", "three"}) {
			t.Errorf("bob has %q", got)
		}
		taken := bob.held(mesh.KindTaken)
		bob.restart()
		after(5 * time.Second)
		if got := bob.texts(); len(got) != 3 || bob.held(mesh.KindTaken) != taken {
			t.Errorf("after a restart bob has %q, and told %d times more what he has", got, bob.held(mesh.KindTaken)-taken)
		}
		if n := bob.held(mesh.KindGiftWrap) - wraps; n != 1 {
			t.Errorf("%d receipts for one new message", n)
		}
	})
}

func TestBundles(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		ann, bob := w.settle("ann", 1), w.settle("bob", 2)
		for _, size := range []int{1, maxPart, maxPart + 1, MaxBundle} {
			f := &File{Name: "map.bin", Type: "application/x-map", Bytes: bytes.Repeat([]byte{byte(size), 2, 3}, size)[:size]}
			sent := ann.send(Post{To: []mesh.PubKey{bob.key.PubKey()}, File: f})
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			_, err := ann.mail.Wait(ctx, sent.ID())
			cancel()
			if err != nil {
				t.Fatalf("%d bytes: %v", size, err)
			}
			for _, m := range []*machine{ann, bob} {
				got, err := m.mail.File(t.Context(), sent.ID())
				if err != nil || !bytes.Equal(got.Bytes, f.Bytes) || got.Name != f.Name || got.Type != f.Type {
					t.Errorf("%d bytes at %s: %v", size, m.name, err)
				}
			}
			after(time.Second) // another second, another message
		}
		if a, b := ann.texts(), bob.texts(); len(a) != 4 || len(b) != 4 {
			t.Errorf("ann shows %d bundles, bob %d, want 4", len(a), len(b))
		}
		for _, size := range []int{0, MaxBundle + 1} {
			if _, err := ann.mail.Send(t.Context(), Post{To: []mesh.PubKey{bob.key.PubKey()}, File: &File{Bytes: make([]byte, size)}}); !errors.Is(err, ErrTooLong) {
				t.Errorf("%d bytes: %v, want ErrTooLong", size, err)
			}
		}
		for _, name := range []string{"../x", "a/b", `a\b`, "..", strings.Repeat("x", 256)} {
			if _, err := ann.mail.Send(t.Context(), Post{To: []mesh.PubKey{bob.key.PubKey()}, File: &File{Name: name, Bytes: []byte("x")}}); err == nil {
				t.Errorf("a file named %q was sent", name)
			}
		}
	})
}

// A bundle shows when its last part is here, in whatever order they come.
func TestBundleOutOfOrder(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		bob := w.settle("bob", 2)
		ann := newKey(t, 1)
		w.roster.set(ann.PubKey(), mesh.Person)
		f := &File{Bytes: bytes.Repeat([]byte("drey"), MaxBundle/4)}
		drafts, err := f.split([][]string{{"p", bob.key.PubKey().String()}})
		if err != nil || len(drafts) != 4 {
			t.Fatalf("%d parts (%v), want 4", len(drafts), err)
		}
		var first mesh.EventID
		for n, i := range []int{3, 1, 0, 2} {
			if got := bob.texts(); len(got) != 0 {
				t.Errorf("%d parts show as %d messages", n, len(got))
			}
			drafts[i].CreatedAt = mesh.UnixOf(time.Now())
			r := newRumor(t, ann, drafts[i])
			if i == 0 {
				first = r.ID()
			}
			wrap, err := Wrap(ann, r, bob.key.PubKey(), time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if err := bob.hub.Port("net").Receive(t.Context(), wrap, mesh.Origin{Topic: mesh.TopicMail, Durable: true}); err != nil {
				t.Fatal(err)
			}
			after(time.Second)
		}
		n := 0
		for m, err := range bob.mail.Messages(t.Context(), 0) {
			if n++; err != nil || m.ID() != first {
				t.Errorf("shown as %v (%v), want %s", m, err, first)
			}
		}
		if got, err := bob.mail.File(t.Context(), first); n != 1 || err != nil || !bytes.Equal(got.Bytes, f.Bytes) {
			t.Errorf("%d messages, %v", n, err)
		}
	})
}

func TestBoxLetsTheOldestGo(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		keeper := w.settle("keeper", 1, func(m *machine) { m.box = Limits{Wraps: 3} })
		ana, ben := newKey(t, 50).PubKey(), newKey(t, 51).PubKey()
		w.roster.set(ana, mesh.Person)
		w.roster.set(ben, mesh.Person)
		var wraps []*mesh.Event
		deliver := func(to mesh.PubKey) {
			eve := newKey(t, 9)
			wrap, err := Wrap(eve, newRumor(t, eve, note(to, "x")), to, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			wraps = append(wraps, wrap)
			if err := keeper.hub.Port("net").Receive(t.Context(), wrap, mesh.Origin{Topic: mesh.TopicMail, Durable: true}); err != nil {
				t.Fatal(err)
			}
			after(time.Second)
		}
		deliver(ben)
		for range 5 {
			deliver(ana)
		}
		for i, want := range []bool{true, false, false, true, true, true} {
			_, err := keeper.store.Record(t.Context(), wraps[i].ID(), mesh.Self)
			if got := err == nil; got != want {
				t.Errorf("wrap %d is kept: %v (%v), want %v", i, got, err, want)
			}
		}
		if s := keeper.mail.Stats(); s.Kept != 4 || s.KeptDropped != 2 {
			t.Errorf("%d kept, %d dropped, want 4 and 2", s.Kept, s.KeptDropped)
		}
		keeper.restart()
		synctest.Wait()
		if s := keeper.mail.Stats(); s.Kept != 4 {
			t.Errorf("after a restart %d are counted, want 4", s.Kept)
		}
	})
}

func TestBoxBoundsAllReadersTogether(t *testing.T) {
	b := newBox(Limits{Total: 2000})
	var dropped []kept
	for seq := range uint64(4) {
		e, err := newKey(t, 9).Sign(mesh.Draft{Kind: mesh.KindGiftWrap, Tags: [][]string{{"p", newKey(t, byte(50+seq)).PubKey().String()}}, Content: strings.Repeat("x", 300)})
		if err != nil {
			t.Fatal(err)
		}
		dropped = append(dropped, b.add(&mesh.Record{Event: e, Seq: seq + 1})...)
	}
	if len(dropped) != 1 || dropped[0].seq != 1 {
		t.Errorf("dropped %+v, want the first alone", dropped)
	}
}

func TestRelaysOfAWrap(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		gate := w.settle("gate", 1, func(m *machine) { m.inbox = []string{"wss://a.example", "wss://b.example"} })
		bob := w.settle("bob", 2)
		synctest.Wait()
		w.sync(gate, bob) // the list may have been told before he was there
		after(inboxEvery + time.Second)
		if got := gate.mail.inboxOf(gate.key.PubKey()); !slices.Equal(got, gate.inbox) {
			t.Errorf("the gateway's list is %v", got)
		}
		if got := gate.mail.inboxOf(bob.key.PubKey()); !slices.Equal(got, gate.inbox) {
			t.Errorf("bob follows with %v", got)
		}
		if got := gate.mail.Wanted("wss://a.example"); len(got) != 1 || len(got[0].Tags["p"]) != 2 {
			t.Errorf("wanted at a: %+v", got)
		}
		if got := gate.mail.Wanted("wss://other.example"); got != nil {
			t.Errorf("wanted elsewhere: %+v", got)
		}
		w.cut("net")
		sent := gate.send(Post{To: []mesh.PubKey{bob.key.PubKey()}, Text: "hello"})
		r, err := gate.store.Record(t.Context(), sent.Wraps[0].ID, mesh.Self)
		if err != nil {
			t.Fatal(err)
		}
		if got := gate.mail.Relays(r.Event); !slices.Equal(got, gate.inbox) {
			t.Errorf("the wrap may go to %v", got)
		}
		w.mend("net")
		w.sync(gate, bob)
		after(10 * time.Second)
		if got := gate.mail.Relays(r.Event); got != nil {
			t.Errorf("bob has it, and it may go to %v", got)
		}
		if gate.held(mesh.KindGiftWrap) == 0 {
			t.Error("the mailbox let go of it")
		}
	})
}

func TestNoteToOneself(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		ann := w.settle("ann", 1)
		sent := ann.send(Post{To: []mesh.PubKey{ann.key.PubKey()}, Text: "milk"})
		after(time.Minute)
		if got := ann.texts(); len(got) != 1 || ann.held(mesh.KindGiftWrap) != 1 || !ann.message(sent.ID()).Acknowledged() {
			t.Errorf("%q in %d wraps", got, ann.held(mesh.KindGiftWrap))
		}
	})
}

func TestSameWordsTwiceAreTwoMessages(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		ann, bob := w.settle("ann", 1), w.settle("bob", 2)
		for range 3 {
			ann.send(Post{To: []mesh.PubKey{bob.key.PubKey()}, Text: "ping"})
		}
		after(2 * time.Second)
		if got := bob.texts(); len(got) != 3 {
			t.Errorf("bob has %q", got)
		}
	})
}

// What is followed comes once, in order, and with what was there.
func TestWatchGoesOn(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		ann, bob := w.settle("ann", 1), w.settle("bob", 2)
		ann.send(Post{To: []mesh.PubKey{bob.key.PubKey()}, Text: "0"})
		after(time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		var got []string
		done := make(chan struct{})
		go func() {
			defer close(done)
			for m, err := range bob.mail.Watch(ctx, 0) {
				if err != nil {
					t.Error(err)
					return
				}
				got = append(got, m.Rumor.Content())
			}
		}()
		for _, text := range []string{"1", "2", "3"} {
			ann.send(Post{To: []mesh.PubKey{bob.key.PubKey()}, Text: text})
			after(time.Second)
		}
		cancel()
		<-done
		if !slices.Equal(got, []string{"0", "1", "2", "3"}) {
			t.Errorf("followed %q", got)
		}
	})
}

// Who was away gets his mail from a machine that kept it, while its author is
// away.
func TestMailboxServesWhoWasAway(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		ann, keeper, bob := w.settle("ann", 1), w.settle("keeper", 2), w.settle("bob", 3)
		w.cut("net", "air")
		sent := ann.send(Post{To: []mesh.PubKey{bob.key.PubKey()}, Text: "later"})
		after(time.Minute)
		w.sync(ann, keeper)
		ann.stop()
		after(24 * time.Hour)
		if got := keeper.texts(); len(got) != 0 {
			t.Errorf("the keeper reads %q", got)
		}
		w.sync(keeper, bob)
		after(time.Minute)
		if got := bob.message(sent.ID()); got.Rumor.Content() != "later" {
			t.Errorf("bob has %+v", got)
		}
		ann.start()
		w.sync(bob, keeper)
		w.sync(keeper, ann)
		after(time.Minute)
		if got := ann.message(sent.ID()); !got.Acknowledged() {
			t.Error("the receipt did not come by the keeper")
		}
	})
}

// A full book lets the oldest messages go, with what belongs to them.
func TestBookIsBounded(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		ann := w.settle("ann", 1)
		b := ann.mail.book
		ctx := t.Context()
		if err := ann.mail.wait(ctx); err != nil {
			t.Fatal(err)
		}
		const limit = 200
		b.most = limit
		for i := range limit + 1 {
			d := note(ann.key.PubKey(), "x")
			d.CreatedAt = mesh.Unix(i)
			if err := b.add(ctx, &Message{Rumor: newRumor(t, ann.key, d), Received: time.Now()}); err != nil {
				t.Fatal(err)
			}
		}
		if n, _, dropped := b.stats(); n != limit+1-dropAtOnce || dropped != dropAtOnce {
			t.Errorf("%d messages, %d dropped", n, dropped)
		}
		keys, err := ann.store.Shelf("mail").Keys(ctx, "m/")
		if err != nil || len(keys) != limit+1-dropAtOnce {
			t.Errorf("%d on the shelf (%v)", len(keys), err)
		}
		again := newBook(ann.store.Shelf("mail"))
		if err := again.load(ctx); err != nil {
			t.Fatal(err)
		}
		n1, b1, _ := b.stats()
		if n2, b2, _ := again.stats(); n1 != n2 || b1 != b2 {
			t.Errorf("read again: %d messages, %d bytes, want %d and %d", n2, b2, n1, b1)
		}
	})
}

// A machine that starts in 1970 writes under the date by which it speaks, so that
// nobody takes its letters for expired.
func TestMailOfAWrongClock(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		began := time.Now()
		lost := func() time.Time { return time.Unix(1000, 0).Add(time.Since(began)) }
		ann, bob := w.settle("ann", 1, func(m *machine) { m.clock = lost }), w.settle("bob", 2)
		w.cut("net")
		sent := ann.send(Post{To: []mesh.PubKey{bob.key.PubKey()}, Text: "what day is it?"})
		after(time.Minute)
		got := bob.message(sent.ID())
		if at := got.Rumor.CreatedAt().Time(); time.Since(at).Abs() > time.Hour {
			t.Errorf("dated %v, it is %v", at, time.Now())
		}
		if !ann.message(sent.ID()).Acknowledged() {
			t.Error("no receipt")
		}
	})
}
