package mail

import (
	"errors"
	"strings"
	"testing"
	"time"

	"drey/mesh"
)

// What is for somebody outside of the community reaches every member machine, so
// that a gateway has it, and nobody else can read it.
func TestMessageToAnOutsider(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		ann, hill, eve := w.settle("ann", 1), w.settle("hill", 2), newKey(t, 7)
		sent := ann.send(Post{To: []mesh.PubKey{eve.PubKey(), hill.key.PubKey()}, Text: "hello out there"})
		after(time.Minute)
		if got := hill.texts(); len(got) != 1 {
			t.Errorf("the member among the readers has %q", got)
		}
		var asked []*mesh.Event
		for r, err := range hill.store.Records(t.Context(), mesh.Filter{Kinds: []mesh.Kind{mesh.KindOutward}}, mesh.Viewer{Node: true}) {
			if err != nil {
				t.Fatal(err)
			}
			asked = append(asked, r.Event)
		}
		if len(asked) != 1 {
			t.Fatalf("%d events ask the gateway, want one", len(asked))
		}
		wrap, to, err := Outward(asked[0])
		if err != nil || to != eve.PubKey() {
			t.Fatalf("for %s, %v", to, err)
		}
		if r, err := Unwrap(eve, wrap); err != nil || r.ID() != sent.ID() || r.Content() != "hello out there" {
			t.Errorf("eve opens %v, %v", r, err)
		}
		if wrap.Author() == ann.key.PubKey() {
			t.Error("the wrap that leaves names its writer")
		}
		if mesh.Visible(asked[0], mesh.TopicMail, mesh.Viewer{Member: true, Keys: []mesh.PubKey{ann.key.PubKey()}}) {
			t.Error("people can see who writes to whom")
		}
		for range hill.store.Records(t.Context(), mesh.Filter{Kinds: []mesh.Kind{mesh.KindGiftWrap}, Tags: map[string][]string{"p": {eve.PubKey().String()}}}, mesh.Self) {
			t.Error("a bare wrap for the outsider is there")
		}
	})
}

func TestWhatIsNotForOutsiders(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		ann, guest, eve := w.settle("ann", 1), newKey(t, 8), newKey(t, 7)
		w.roster.set(guest.PubKey(), mesh.Guest)
		e, err := guest.Sign(mesh.Draft{CreatedAt: mesh.UnixOf(time.Now()), Kind: mesh.KindOutward, Content: "{}", Tags: [][]string{{"p", eve.PubKey().String()}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := ann.hub.Port("relay").Receive(t.Context(), e, mesh.Origin{}); !errors.Is(err, mesh.ErrRefused) {
			t.Errorf("a guest's way out: %v, want ErrRefused", err)
		}
		r, err := mesh.NewRumor(ann.key.PubKey(), mesh.Draft{CreatedAt: 1, Kind: mesh.KindPrivateNote, Content: "x"})
		if err != nil {
			t.Fatal(err)
		}
		wrap, err := Wrap(ann.key, r, eve.PubKey(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		good := string(wrap.AppendJSON(nil))
		for what, d := range map[string]mesh.Draft{
			"no wrap":        {Content: "hello", Tags: [][]string{{"p", eve.PubKey().String()}}},
			"another reader": {Content: good, Tags: [][]string{{"p", guest.PubKey().String()}}},
			"no reader":      {Content: good},
			"forged":         {Content: strings.Replace(good, `"sig":"`, `"sig":"`+strings.Repeat("0", 8), 1), Tags: [][]string{{"p", eve.PubKey().String()}}},
			"another kind":   {Content: string(e.AppendJSON(nil)), Tags: [][]string{{"p", eve.PubKey().String()}}},
		} {
			d.Kind, d.CreatedAt = mesh.KindOutward, 1
			out, err := ann.key.Sign(d)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := Outward(out); !errors.Is(err, errOutward) {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}

// FuzzOutward checks that whatever a member's machine signs, a gateway sends
// nothing but a true wrap, for the reader whom the event names.
func FuzzOutward(f *testing.F) {
	key, err := mesh.NewSecretKey([32]byte{31: 1})
	if err != nil {
		f.Fatal(err)
	}
	to := key.PubKey()
	r, err := mesh.NewRumor(to, mesh.Draft{CreatedAt: 1, Kind: mesh.KindPrivateNote, Content: "x"})
	if err != nil {
		f.Fatal(err)
	}
	wrap, err := Wrap(key, r, to, time.Unix(1_800_000_000, 0))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(wrap.AppendJSON(nil)), to.String())
	f.Add(string(wrap.AppendJSON(nil)), "")
	f.Add("{}", to.String())
	f.Add("", strings.Repeat("0", 64))
	f.Fuzz(func(t *testing.T, content, reader string) {
		e, err := mesh.NewEvent(to, mesh.Signature{}, mesh.Draft{CreatedAt: 1, Kind: mesh.KindOutward, Content: content, Tags: [][]string{{"p", reader}}})
		if err != nil {
			return
		}
		w, k, err := Outward(e)
		if err != nil {
			return
		}
		if w.Kind() != mesh.KindGiftWrap || w.Verify() != nil || k.String() != reader {
			t.Errorf("%q for %s is sent to %s", content, reader, k)
		}
	})
}
