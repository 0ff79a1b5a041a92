package roster

import (
	"errors"
	"strings"
	"testing"

	"drey/mesh"
)

func (w *town) demote(b *Book, by, name string) *mesh.Event {
	w.t.Helper()
	e := w.sign(by, b.DraftDemote(w.key(name), w.now()))
	w.apply(b, e)
	return e
}

// merge lets two islands meet.
func (w *town) merge(a, b *Book) {
	w.t.Helper()
	x, y := a.Since(nil), b.Since(nil)
	w.apply(a, y...)
	w.apply(b, x...)
}

func TestBanBeatsAdmissionBesideIt(t *testing.T) {
	w := newTown(t)
	w.admit(w.book, "founder", "ana")
	w.promote(w.book, "founder", "ana")
	w.admit(w.book, "founder", "ben")
	far := w.island()
	w.ban(w.book, "founder", "ben")
	w.admit(far, "ana", "ben")
	w.want(far, "ben", mesh.Machine)
	w.merge(w.book, far)
	w.want(w.book, "ben", mesh.Banned)
	w.want(far, "ben", mesh.Banned)
}

// TestRemovedAfterALiftedBan checks that a ban that was lifted stays lifted.
func TestRemovedAfterALiftedBan(t *testing.T) {
	w := newTown(t)
	w.admit(w.book, "founder", "ana")
	w.ban(w.book, "founder", "ana")
	d, err := w.book.DraftReadmit(Subject{Author: w.key("ana")}, w.now())
	if err != nil {
		t.Fatal(err)
	}
	w.apply(w.book, w.sign("founder", d))
	w.want(w.book, "ana", mesh.Machine)
	if d, err = w.book.DraftRemove(Subject{Author: w.key("ana")}, "", w.now()); err != nil {
		t.Fatal(err)
	}
	w.apply(w.book, w.sign("founder", d))
	w.want(w.book, "ana", mesh.Stranger)
	if w.book.Banned(w.node("ana"), w.key("ana")) {
		t.Error("a machine that was removed counts as banned")
	}
	w.ban(w.book, "founder", "ana")
	w.want(w.book, "ana", mesh.Banned)
}

func TestStolenMachineCannotWriteItselfAPast(t *testing.T) {
	w := newTown(t)
	w.admit(w.book, "founder", "ana")
	w.promote(w.book, "founder", "ana")
	old := w.island()
	w.admit(w.book, "ana", "ben") // seen by the ban: it holds
	w.ban(w.book, "founder", "ana")
	w.admit(old, "ana", "thief")
	w.promote(old, "ana", "thief")
	w.ban(old, "ana", "ben")
	w.merge(w.book, old)
	for name, want := range map[string]mesh.Standing{"ana": mesh.Banned, "ben": mesh.Machine, "thief": mesh.Stranger} {
		w.want(w.book, name, want)
		w.want(old, name, want)
	}
	if got := w.book.Counts().Void; got != 3 {
		t.Errorf("%d decisions are void, want the thief's 3", got)
	}
}

func TestMutualBansByDepth(t *testing.T) {
	w := newTown(t)
	w.admit(w.book, "founder", "ana")
	w.promote(w.book, "founder", "ana")
	w.admit(w.book, "ana", "ben")
	w.promote(w.book, "ana", "ben")
	far := w.island()
	w.ban(w.book, "ana", "ben")
	w.ban(far, "ben", "ana")
	w.merge(w.book, far)
	for _, b := range []*Book{w.book, far} {
		w.want(b, "ana", mesh.Admin)
		w.want(b, "ben", mesh.Banned)
	}
}

func TestMutualBansOfEqualsByID(t *testing.T) {
	w := newTown(t)
	for _, name := range []string{"ana", "ben"} {
		w.admit(w.book, "founder", name)
		w.promote(w.book, "founder", name)
	}
	far := w.island()
	x := w.ban(w.book, "ana", "ben").ID()
	y := w.ban(far, "ben", "ana").ID()
	w.merge(w.book, far)
	stands, falls := "ana", "ben"
	if string(y[:]) < string(x[:]) {
		stands, falls = falls, stands
	}
	for _, b := range []*Book{w.book, far} {
		w.want(b, stands, mesh.Admin)
		w.want(b, falls, mesh.Banned)
	}
}

func TestThreeAdminsInARing(t *testing.T) {
	w := newTown(t)
	names := []string{"ana", "ben", "cem"}
	for i, name := range names {
		by := "founder"
		if i > 0 {
			by = names[i-1]
		}
		w.admit(w.book, by, name)
		w.promote(w.book, by, name)
	}
	islands := []*Book{w.island(), w.island(), w.island()}
	for i, name := range names {
		w.ban(islands[i], name, names[(i+1)%3])
	}
	for range 2 {
		w.merge(islands[0], islands[1])
		w.merge(islands[1], islands[2])
	}
	// Ana is nearest to the founder, so ben falls; cem's ban is then judged,
	// falls upon ana and stands, for ben's upon cem does not.
	for _, b := range islands {
		w.want(b, "ana", mesh.Banned)
		w.want(b, "ben", mesh.Banned)
		w.want(b, "cem", mesh.Admin)
	}
}

func TestFounderCannotBeRevoked(t *testing.T) {
	w := newTown(t)
	w.admit(w.book, "founder", "ana")
	w.promote(w.book, "founder", "ana")
	if _, err := w.book.DraftBan(Subject{Author: w.key("founder")}, "", w.now()); err == nil {
		t.Error("DraftBan of the founder is no error")
	}
	d, err := w.book.DraftBan(Subject{Author: w.key("eva")}, "", w.now())
	if err != nil {
		t.Fatal(err)
	}
	for i, tag := range d.Tags {
		if tag[0] == "p" {
			d.Tags[i] = []string{"p", w.key("founder").String()}
		}
	}
	d.Tags = append(d.Tags, []string{"node", w.node("founder").String()})
	w.apply(w.book, w.sign("ana", d))
	w.want(w.book, "founder", mesh.Founder)
}

func TestDemotedAdminStaysMember(t *testing.T) {
	w := newTown(t)
	w.admit(w.book, "founder", "ana")
	w.promote(w.book, "founder", "ana")
	w.demote(w.book, "founder", "ana")
	w.want(w.book, "ana", mesh.Machine)
	d, err := w.book.DraftAdmit(w.record("ben"), w.binding("ben"), "ben", w.now())
	if err != nil {
		t.Fatal(err)
	}
	w.apply(w.book, w.sign("ana", d)) // kept, for it might count elsewhere
	w.want(w.book, "ben", mesh.Stranger)
	w.promote(w.book, "founder", "ana")
	w.admit(w.book, "ana", "cem")
	w.want(w.book, "cem", mesh.Machine)
	w.want(w.book, "ben", mesh.Stranger)
}

func TestRemovedMachineMayBeInvitedAgain(t *testing.T) {
	w := newTown(t)
	w.admit(w.book, "founder", "ana")
	d, err := w.book.DraftRemove(Subject{Node: w.node("ana")}, "moved away", w.now())
	if err != nil {
		t.Fatal(err)
	}
	w.apply(w.book, w.sign("founder", d))
	w.want(w.book, "ana", mesh.Stranger)
	w.admit(w.book, "founder", "ana")
	w.want(w.book, "ana", mesh.Machine)
}

func TestBanOfANodeFallsOnItsAuthor(t *testing.T) {
	w := newTown(t)
	far := w.island()
	w.admit(w.book, "founder", "ana")
	d, err := far.DraftBan(Subject{Node: w.node("ana")}, "", w.now()) // it does not know whose it is
	if err != nil {
		t.Fatal(err)
	}
	w.apply(far, w.sign("founder", d))
	w.merge(w.book, far)
	w.want(w.book, "ana", mesh.Banned)
	w.want(far, "ana", mesh.Banned)
}

// The founder's second machine once was eva's, and a ban of eva lies on it: it
// is the founder's now, on every island.
func TestBanDoesNotFallOnTheFoundersMachine(t *testing.T) {
	w := newTown(t)
	w.admit(w.book, "founder", "eva")
	w.ban(w.book, "founder", "eva")
	id := &mesh.Identity{Author: w.id("founder").Author, Node: w.id("eva").Node}
	tag := [8]byte(w.m.Community.ID[:8])
	record, err := id.SignPeerRecord(mesh.PeerRecord{Community: tag})
	if err != nil {
		t.Fatal(err)
	}
	binding, err := id.Bind(tag)
	if err != nil {
		t.Fatal(err)
	}
	d := w.book.draft(verbAdmit, w.now(), "", append([][]string{{"p", w.key("founder").String()}, {"name", "second"}}, machineTags(record, binding)...)...)
	d.Tags[2] = []string{"e", w.book.Since(nil)[0].ID().String()} // beside the ban
	w.apply(w.book, w.sign("founder", d))
	if !w.book.Admits(w.node("eva")) {
		t.Error("the founder's second machine is not admitted")
	}
	if got, want := w.book.Admits(w.node("eva")), w.island().Admits(w.node("eva")); got != want {
		t.Errorf("Admits = %v as it came, %v from the start", got, want)
	}
}

func TestNewsOfAnotherIslandRevivesADecision(t *testing.T) {
	w := newTown(t)
	w.admit(w.book, "founder", "ana")
	w.promote(w.book, "founder", "ana")
	w.admit(w.book, "ana", "ben")
	w.promote(w.book, "ana", "ben")
	bens, anas := w.island(), w.island()
	w.ban(bens, "ben", "ana")
	w.admit(anas, "ana", "cem")
	w.merge(bens, anas)
	w.want(bens, "cem", mesh.Stranger) // ana was banned beside it
	w.ban(w.book, "founder", "ben")
	w.merge(w.book, bens)
	w.want(w.book, "ana", mesh.Admin)
	w.want(w.book, "cem", mesh.Machine)
}

func TestRefusals(t *testing.T) {
	w := newTown(t)
	other := newTown(t)
	other.m.Nonce[0]++
	other.m.Community = mesh.Found(other.key("founder"), "Riverside", other.m.Nonce)
	other.book = New(other.m.Community)
	foreign, err := Found(other.id("founder"), other.m, other.record("founder"), "x", 1)
	if err != nil {
		t.Fatal(err)
	}
	admit, err := w.book.DraftAdmit(w.record("ana"), w.binding("ana"), "ana", w.now())
	if err != nil {
		t.Fatal(err)
	}
	change := func(name, value string) mesh.Draft {
		d := admit
		d.Tags = nil
		for _, t := range admit.Tags {
			if t[0] == name {
				t = []string{name, value}
			}
			d.Tags = append(d.Tags, t)
		}
		return d
	}
	twice := admit
	twice.Tags = append(twice.Tags[:len(twice.Tags):len(twice.Tags)], []string{"p", w.key("ben").String()})
	for _, c := range []struct {
		name string
		e    *mesh.Event
		want error
	}{
		{"another community's founding", foreign, mesh.ErrInvalid},
		{"a stranger's admission", w.sign("ana", admit), mesh.ErrRefused},
		{"another author", w.sign("founder", change("p", w.key("ben").String())), mesh.ErrInvalid},
		{"another's binding", w.sign("founder", change("bind", w.binding("ben").String())), mesh.ErrInvalid},
		{"a record cut off", w.sign("founder", change("record", "AQ")), mesh.ErrInvalid},
		{"a name that cannot be printed", w.sign("founder", change("name", "x\x00")), mesh.ErrInvalid},
		{"no op", w.sign("founder", change("op", "")), mesh.ErrInvalid},
		{"two subjects", w.sign("founder", twice), mesh.ErrInvalid},
		{"another kind", w.sign("founder", mesh.Draft{Kind: mesh.KindNote}), mesh.ErrInvalid},
		{"a stranger's pass", w.sign("ana", visit(t, w)), mesh.ErrUnknownAuthor},
	} {
		if changed, err := w.book.Apply(c.e); changed || !errors.Is(err, c.want) {
			t.Errorf("%s: Apply = %v, %v; want %v", c.name, changed, err, c.want)
		}
	}
	if got := w.book.Counts(); got.Decisions != 1 || got.Waiting != 0 {
		t.Errorf("the book holds %+v, want the founding alone", got)
	}
}

func visit(t *testing.T, w *town) mesh.Draft {
	t.Helper()
	d, err := w.book.DraftPass(w.key("visitor"), w.clock.Time().Add(MaxPass), 1, w.clock)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Keys cost nothing: whoever makes them up cannot fill the room in which
// decisions wait, nor memory.
func TestStrangersCannotFillTheWaitingRoom(t *testing.T) {
	w := newTown(t)
	w.admit(w.book, "founder", "ana")
	w.promote(w.book, "founder", "ana")
	lost := w.island()
	missing := w.admit(lost, "founder", "ben")
	late := w.admit(lost, "ana", "cem")
	decide := func(i int, content string) error {
		head := mesh.EventID{byte(i), byte(i >> 8), 1}
		e, err := mesh.NewEvent(mesh.PubKey{byte(i), byte(i >> 8)}, mesh.Signature{}, mesh.Draft{Kind: mesh.KindRoster, Content: content, Tags: [][]string{
			{"op", "promote"}, {"c", w.m.Community.Tag()}, {"e", head.String()}, {"p", w.key("eva").String()},
		}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.book.Apply(e)
		return err
	}
	for i := range maxParked + 1 {
		if err := decide(i, ""); errors.Is(err, mesh.ErrUnknownAuthor) != (i >= maxUnknown) || err != nil && i < maxUnknown {
			t.Fatalf("a stranger's decision %d: %v", i+1, err)
		}
	}
	if err := decide(maxParked+1, strings.Repeat("x", maxSize)); !errors.Is(err, mesh.ErrInvalid) {
		t.Errorf("a decision of more than %d bytes: %v", maxSize, err)
	}
	w.apply(w.book, late, missing)
	w.want(w.book, "cem", mesh.Machine)
}

func TestWaitingRoomIsBounded(t *testing.T) {
	w := newTown(t)
	w.promote(w.book, "founder", "eva")
	var head mesh.EventID
	for i := range maxParked + 10 {
		head[0], head[1] = byte(i), byte(i>>8)
		d := mesh.Draft{CreatedAt: mesh.Unix(i), Kind: mesh.KindRoster, Tags: [][]string{
			{"op", "promote"}, {"c", w.m.Community.Tag()}, {"e", head.String()}, {"p", w.key("ana").String()},
		}}
		e, err := mesh.NewEvent(w.key("eva"), mesh.Signature{}, d)
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.book.Apply(e)
		if full := i >= maxParked; errors.Is(err, mesh.ErrBusy) != full {
			t.Fatalf("decision %d without a past: %v", i+1, err)
		}
	}
	if got := w.book.Counts(); got.Waiting != maxParked || got.Dropped != 10 {
		t.Errorf("%d wait and %d were turned away, want %d and 10", got.Waiting, got.Dropped, maxParked)
	}
	if got := len(w.book.Missing()); got != maxParked {
		t.Errorf("%d heads are missing, want %d", got, maxParked)
	}
}

func TestBannedAdminCannotFillTheBook(t *testing.T) {
	w := newTown(t)
	w.admit(w.book, "founder", "ana")
	w.promote(w.book, "founder", "ana")
	old := w.book.Heads()
	w.ban(w.book, "founder", "ana")
	refused := 0
	for i := range maxVoid + 50 {
		e, err := mesh.NewEvent(w.key("ana"), mesh.Signature{}, mesh.Draft{CreatedAt: mesh.Unix(i), Kind: mesh.KindRoster, Tags: [][]string{
			{"op", "seat"}, {"c", w.m.Community.Tag()}, {"e", old[0].String()},
		}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.book.Apply(e); errors.Is(err, mesh.ErrRefused) {
			refused++
		}
	}
	if refused != 50 {
		t.Errorf("%d of %d void decisions were refused, want 50", refused, maxVoid+50)
	}
	w.admit(w.book, "founder", "ben")
	w.want(w.book, "ben", mesh.Machine)
}

func TestOpenCommunityHasNoRoster(t *testing.T) {
	w := newTown(t)
	b := New(mesh.OpenCommunity("market"))
	if got := b.Standing(w.key("ana"), w.clock.Time()); got != mesh.Person {
		t.Errorf("anybody is %v, want person", got)
	}
	if !b.Admits(w.node("ana")) {
		t.Error("a machine is not admitted")
	}
	for _, e := range w.book.Since(nil) {
		if _, err := b.Apply(e); !errors.Is(err, mesh.ErrRefused) {
			t.Errorf("Apply = %v, want ErrRefused", err)
		}
	}
}

func TestChangedClosesOnChange(t *testing.T) {
	w := newTown(t)
	before := w.book.Changed()
	e := w.admit(w.book, "founder", "ana")
	select {
	case <-before:
	default:
		t.Error("the channel is open after an admission")
	}
	again := w.book.Changed()
	if changed, err := w.book.Apply(e); changed || err != nil {
		t.Errorf("a known event: Apply = %v, %v; want nothing", changed, err)
	}
	select {
	case <-again:
		t.Error("a known event closed the channel")
	default:
	}
}

func TestPassesOfOneIssuerAreBounded(t *testing.T) {
	w := newTown(t)
	for i := range maxPasses + 5 {
		guest := w.key("visitor")
		guest[0] = byte(i)
		d, err := w.book.DraftPass(guest, w.clock.Time().Add(mesh.Unix(i+10).Time().Sub(mesh.Unix(0).Time())), 5, w.clock)
		if err != nil {
			t.Fatal(err)
		}
		e, err := mesh.NewEvent(w.key("founder"), mesh.Signature{}, d)
		if err != nil {
			t.Fatal(err)
		}
		w.apply(w.book, e)
	}
	if got := w.book.Counts().Passes; got != maxPasses {
		t.Errorf("%d passes are kept, want %d", got, maxPasses)
	}
	if got := len(w.book.Passes(w.clock.Time())); got != maxPasses {
		t.Errorf("%d passes count, want %d", got, maxPasses)
	}
}

func TestPassFallsWithItsIssuer(t *testing.T) {
	w := newTown(t)
	w.admit(w.book, "founder", "ana")
	d := visit(t, w)
	w.apply(w.book, w.sign("ana", d))
	w.want(w.book, "visitor", mesh.Guest)
	w.ban(w.book, "founder", "ana")
	w.want(w.book, "visitor", mesh.Stranger)
}
