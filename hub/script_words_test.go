package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"drey/mesh"
)

// The commands of a script. Names stand for keys; TOPIC may be "-", for an
// event that enters the network here.
//
//	receive CARRIER TOPIC AUTHOR "TEXT" OPTION…   a carrier brings an event
//	write AUTHOR "TEXT" OPTION…                   an event that no carrier has brought yet
//	import TOPIC AUTHOR "TEXT" OPTION…            an event from a file
//	again CARRIER TEXT                            the same event comes by a carrier
//	publish TOPIC "TEXT" OPTION…                  the node speaks
//	admit NAME person|machine · pass NAME DURATION RATE [world] · ban NAME
//	open                                          the community is open from now on
//	wait DURATION · clock synced|alone|DATE|peers=+1h,+1h
//	disk full|works · crash                       crash: a new hub on the same store
//	hold CARRIER                                  its deliveries wait for:
//	next CARRIER · done CARRIER [busy|ERROR] · release CARRIER
//	held [VIEWER] · gone · log "TEXT" · topics · refused · follow "TEXT"
//
// Options: kind=N, as=NAME (to tell equal texts apart), t=A,B (tags), d=VALUE,
// e="TEXT" (refers to that event), to=NAME, age=DURATION (negative: in the
// future), expires=DURATION, proxy=ID, and the words urgent, history, durable,
// forged, protected, offinternet (the sender did not allow it there), here (it
// stays on this machine).
func (w *world) do(out io.Writer, line string) {
	if i := strings.Index(line, "   #"); i >= 0 {
		line = line[:i]
	}
	args := split(line)
	switch args[0] {
	case "receive":
		e := w.sign(args[3], args[4], args[5:])
		w.bring(out, args[1], args[2], e, args[5:])
	case "write":
		w.sign(args[1], args[2], args[3:])
	case "import":
		e := w.sign(args[2], args[3], args[4:])
		if err := w.hub.Accept(context.Background(), e, mesh.Origin{Topic: mesh.Topic(args[1]), History: true, Durable: true}); err != nil {
			fmt.Fprintln(out, answer(err))
		}
		w.show(out)
	case "again":
		w.bring(out, args[1], string(w.topics[args[2]]), w.event(args[2]), args[3:])
	case "publish":
		w.publish(out, args[1], args[2], args[3:])
	case "admit":
		w.roster.set(w.key(args[1]).PubKey(), map[string]mesh.Standing{"person": mesh.Person, "machine": mesh.Machine}[args[2]])
		w.retry(out)
	case "pass":
		w.roster.pass(w.key(args[1]).PubKey(), w.now().Add(w.span(args[2])), w.number(args[3]), len(args) > 4)
		w.retry(out)
	case "ban":
		w.roster.set(w.key(args[1]).PubKey(), mesh.Banned)
		w.retry(out)
	case "open":
		w.roster.community = mesh.OpenCommunity("Riverside")
	case "wait":
		w.clock.add(w.span(args[1]))
		w.retry(out)
	case "clock":
		w.setClock(args[1])
	case "disk":
		w.store.full.Store(args[1] == "full")
	case "crash":
		clear(w.out)
		w.start()
		w.show(out)
	case "hold":
		w.holding[args[1]] = true
	case "next":
		w.next(out, args[1])
	case "done", "release":
		w.end(args)
	case "held":
		w.held(out, args[1:])
	case "gone":
		w.gone(out)
	case "log":
		w.log(out, args[1])
	case "topics":
		fmt.Fprintln(out, w.hub.Topics())
	case "follow":
		fmt.Fprintf(out, "%q\n", w.hub.mustText(w, w.hub.Follow(context.Background(), w.event(args[1]).ID())))
	case "refused":
		all := w.hub.Refused()
		for _, why := range slices.Sorted(maps.Keys(all)) {
			fmt.Fprintf(out, "%s: %d\n", why, all[why])
		}
	default:
		w.t.Fatalf("unknown command %q", line)
	}
}

// split cuts a line into words; quotes hold one together.
func split(line string) []string {
	var args []string
	quoted := false
	for _, part := range strings.FieldsFunc(line, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return r == ' ' && !quoted
	}) {
		args = append(args, strings.ReplaceAll(part, `"`, ""))
	}
	return args
}

func option(options []string, name string) (string, bool) {
	for _, o := range options {
		if k, v, _ := strings.Cut(o, "="); k == name {
			return v, true
		}
	}
	return "", false
}

func (w *world) span(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

func (w *world) number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// sign makes the event that a receive names.
func (w *world) sign(author, text string, options []string) *mesh.Event {
	at := w.now()
	d := mesh.Draft{Kind: mesh.KindNote, Content: text}
	name := text
	for _, o := range options {
		k, v, _ := strings.Cut(o, "=")
		switch k {
		case "kind":
			d.Kind = mesh.Kind(w.number(v))
		case "as":
			name = v
		case "t":
			for _, t := range strings.Split(v, ",") {
				d.Tags = append(d.Tags, []string{"t", t})
			}
		case "d":
			d.Tags = append(d.Tags, []string{"d", v})
		case "e":
			d.Tags = append(d.Tags, []string{"e", w.idOf(v)})
		case "to":
			d.Tags = append(d.Tags, []string{"p", w.key(v).PubKey().String()})
		case "age":
			at = at.Add(-w.span(v))
		case "expires":
			d.Tags = append(d.Tags, []string{"expiration", strconv.FormatInt(w.now().Add(w.span(v)).Unix(), 10)})
		case "proxy":
			d.Tags = append(d.Tags, []string{"proxy", v, "meshtastic"})
			d.Tags = append(d.Tags, mesh.LabelTags(mesh.LabelUnsignedRadio)...)
		case "urgent":
			d.Tags = append(d.Tags, mesh.LabelTags(mesh.LabelEmergency)...)
		case "protected":
			d.Tags = append(d.Tags, []string{"-"})
		case "offinternet":
			d.Tags = append(d.Tags, mesh.LocalTag("meshtastic"))
		case "here":
			d.Tags = append(d.Tags, mesh.MachineTag())
		case "history", "durable", "forged":
		default:
			w.t.Fatalf("unknown option %q", o)
		}
	}
	d.CreatedAt = mesh.UnixOf(at)
	key := w.key(author)
	e, err := key.Sign(d)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, forged := option(options, "forged"); forged {
		bad := e.Sig()
		bad[40] ^= 1
		if e, err = mesh.NewEvent(e.Author(), bad, d); err != nil {
			w.t.Fatal(err)
		}
	} else {
		w.events[name] = e
	}
	w.names[e.ID()] = name
	return e
}

func (w *world) idOf(name string) string {
	if e := w.events[name]; e != nil {
		return e.ID().String()
	}
	return strings.Repeat("ab", 32) // something that nobody here knows
}

func (w *world) event(name string) *mesh.Event {
	e := w.events[name]
	if e == nil {
		w.t.Fatalf("no event %q yet", name)
	}
	return e
}

// bring hands an event to the hub and shows the answer and who is owed it.
func (w *world) bring(out io.Writer, carrier, topic string, e *mesh.Event, options []string) {
	from := mesh.Origin{Peer: "somebody"}
	if topic != "-" {
		from.Topic = mesh.Topic(topic)
	}
	if _, ok := w.topics[w.names[e.ID()]]; !ok {
		w.topics[w.names[e.ID()]] = from.Topic
	}
	_, from.History = option(options, "history")
	_, from.Durable = option(options, "durable")
	err := w.hub.Port(carrier).Receive(context.Background(), e, from)
	if err != nil {
		fmt.Fprintln(out, answer(err))
	}
	w.flags(out, e)
	w.show(out)
}

func (w *world) publish(out io.Writer, topic, text string, options []string) {
	o := Options{}
	_, o.Urgent = option(options, "urgent")
	if name, ok := option(options, "e"); ok {
		o.ReplyTo = w.event(name).ID()
	}
	r, err := w.hub.Publish(context.Background(), mesh.Topic(topic), mesh.Draft{Kind: mesh.KindNote, Content: text}, o)
	if err != nil {
		fmt.Fprintln(out, answer(err))
	} else {
		w.events[text], w.names[r.Event.ID()] = r.Event, text
		if _, dated := option(options, "dated"); dated {
			fmt.Fprintf(out, "dated %s\n", r.Event.CreatedAt().Time().Format(time.RFC3339))
		}
		w.flags(out, r.Event)
	}
	w.show(out)
}

// answer is what Receive said, in the script's words.
func answer(err error) string {
	var gone *mesh.GoneError
	if errors.As(err, &gone) {
		return gone.Error()
	}
	for _, c := range []struct {
		err  error
		word string
	}{
		{mesh.ErrDuplicate, "duplicate"}, {mesh.ErrExpired, "expired"}, {mesh.ErrUnknownAuthor, "waits"},
		{mesh.ErrInvalid, "invalid"}, {mesh.ErrRefused, "refused"}, {mesh.ErrBusy, "busy"},
	} {
		if !errors.Is(err, c.err) {
			continue
		}
		var no *refusal
		if errors.As(err, &no) {
			return c.word + ": " + no.why
		}
		return c.word
	}
	return "error: " + err.Error()
}

func (w *world) flags(out io.Writer, e *mesh.Event) {
	r, err := w.store.Record(context.Background(), e.ID(), mesh.Self)
	if err != nil {
		return
	}
	for _, f := range []struct {
		flag mesh.Flags
		word string
	}{{mesh.FlagGuest, "guest"}, {mesh.FlagFuture, "from the future"}, {mesh.FlagOrphan, "orphan"}} {
		if r.Flags&f.flag != 0 {
			fmt.Fprintf(out, "marked: %s\n", f.word)
		}
	}
}

// show takes what is owed to carriers that are not held.
func (w *world) show(out io.Writer) {
	for _, o := range w.hub.outboxes {
		for !w.holding[o.carrier] {
			d, _, err := o.tryNext(context.Background(), nil)
			if err != nil {
				w.t.Fatal(err)
			}
			if d == nil {
				break
			}
			fmt.Fprintln(out, w.delivery(o.carrier, d))
			d.Done(nil)
		}
	}
}

func (w *world) delivery(carrier string, d *mesh.Delivery) string {
	s := fmt.Sprintf("%-6s <- %s %q", carrier, d.Topic, d.Event.Content())
	if d.Event.Kind() != mesh.KindNote {
		v, _ := d.Event.Tag("d")
		s = fmt.Sprintf("%-6s <- %s kind %d %q", carrier, d.Topic, d.Event.Kind(), v+d.Event.Content())
	}
	if d.Priority != mesh.Chat {
		s += " " + d.Priority.String()
	}
	if d.Attempt > 1 {
		s += fmt.Sprintf(" attempt %d", d.Attempt)
	}
	return s
}

// retry does what Run does when the roster or the time has changed.
func (w *world) retry(out io.Writer) {
	w.hub.retry(context.Background(), true)
	w.show(out)
}

func (w *world) next(out io.Writer, carrier string) {
	for _, o := range w.hub.outboxes {
		if o.carrier != carrier {
			continue
		}
		d, _, err := o.tryNext(context.Background(), nil)
		if err != nil {
			w.t.Fatal(err)
		}
		if d == nil {
			fmt.Fprintln(out, "nothing")
			return
		}
		fmt.Fprintln(out, w.delivery(carrier, d))
		w.out[carrier] = append(w.out[carrier], d)
	}
}

// end ends the delivery that next returned first.
func (w *world) end(args []string) {
	list := w.out[args[1]]
	if len(list) == 0 {
		w.t.Fatalf("nothing is out with %s", args[1])
	}
	d := list[0]
	w.out[args[1]] = list[1:]
	switch {
	case args[0] == "release":
		d.Release()
	case len(args) == 2:
		d.Done(nil)
	case args[2] == "busy":
		d.Done(mesh.ErrBusy)
	default:
		d.Done(errors.New(args[2]))
	}
}

// held lists what is stored, in order of receipt, as somebody may see it.
func (w *world) held(out io.Writer, who []string) {
	v := mesh.Self
	if len(who) > 0 {
		v = w.viewer(who[0])
	}
	for r, err := range w.store.Records(context.Background(), mesh.Filter{Order: mesh.ReceiptFirst}, v) {
		if err != nil {
			w.t.Fatal(err)
		}
		fmt.Fprintf(out, "%s: %q\n", r.Topic, w.names[r.Event.ID()])
	}
}

func (w *world) viewer(who string) mesh.Viewer {
	switch who {
	case "node":
		return mesh.Viewer{Node: true}
	case "visitor":
		return mesh.Viewer{Topics: []mesh.Topic{mesh.TopicCommons, mesh.TopicAlerts}}
	}
	return mesh.Viewer{Member: true, Keys: []mesh.PubKey{w.key(who).PubKey()}}
}

func (w *world) gone(out io.Writer) {
	for it, err := range w.store.Items(context.Background(), 0, 1<<32-1, mesh.Self) {
		if err != nil {
			w.t.Fatal(err)
		}
		if it.Gone != 0 {
			fmt.Fprintf(out, "%s: %q\n", it.Gone, w.names[it.ID])
		}
	}
}

func (w *world) log(out io.Writer, name string) {
	if r, err := w.store.Record(context.Background(), w.event(name).ID(), mesh.Self); err == nil {
		if err := w.hub.onDisk(context.Background(), r); err != nil {
			w.t.Fatal(err)
		}
	}
	steps, err := w.hub.History(context.Background(), w.event(name).ID())
	if err != nil {
		fmt.Fprintln(out, err)
	}
	for _, s := range steps {
		state := s.State
		for id, n := range w.names {
			state = strings.ReplaceAll(state, id.String(), strconv.Quote(n))
		}
		fmt.Fprintln(out, strings.TrimSpace(s.Carrier+" "+s.Target+" "+state))
	}
}

func (h *Hub) mustText(w *world, id mesh.EventID) string {
	w.t.Helper()
	return w.names[id]
}

func (w *world) setClock(s string) {
	switch {
	case s == "synced":
		w.clocks = Clocks{Synced: true}
	case s == "alone":
		w.clocks = Clocks{}
	case strings.HasPrefix(s, "peers="):
		w.clocks = Clocks{}
		for _, d := range strings.Split(strings.TrimPrefix(s, "peers="), ",") {
			w.clocks.Peers = append(w.clocks.Peers, w.span(d))
		}
	default:
		at, err := time.Parse(time.DateOnly, s)
		if err != nil {
			w.t.Fatal(err)
		}
		w.clock.set(at)
	}
}

// TestSplit guards the interpreter itself.
func TestSplit(t *testing.T) {
	got := split(`receive gossip - ana "two words" e="and three"`)
	want := []string{"receive", "gossip", "-", "ana", "two words", "e=and three"}
	if !slices.Equal(got, want) {
		t.Errorf("split = %q, want %q", got, want)
	}
}
