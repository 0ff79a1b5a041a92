package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"drey/bootstrap"
	"drey/configs"
	"drey/mesh"
	"drey/radio"
	"drey/radio/radiotest"
	"drey/web"
)

// shortFast is Meshtastic's number of a quick modulation for short distances, as
// in a town; a text takes about a tenth of a second on the air.
const shortFast = 6

// demoPatience bounds the whole demonstration.
const demoPatience = 60 * time.Second

func (s *session) demoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "a town in one process: three nodes, two radios, two handhelds",
		Long: "demo starts three whole nodes in this process, with homes of their own that are\n" +
			"thrown away at the end. Two have a simulated LoRa radio, each within earshot of a\n" +
			"person's handheld. It sends messages through all of it and tells what happens.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := context.WithTimeout(c.Context(), demoPatience)
			defer stop()
			t := &town{s: s, began: time.Now()}
			err := t.play(ctx)
			if err != nil && c.Context().Err() == nil {
				err = failf(exitError, "run it again with --log-level info to see what the nodes say", "the demonstration did not work: %w", err)
			}
			return err
		},
	}
}

// A town is three nodes and what is on the air around them.
type town struct {
	s     *session
	began time.Time
	log   *slog.Logger
	life  *life
}

// tell says what happened, and when since the beginning.
func (t *town) tell(format string, args ...any) {
	fmt.Fprintf(t.s.out, "%5.1f s  %s\n", time.Since(t.began).Seconds(), plain(fmt.Sprintf(format, args...), false))
}

// play is the whole story.
func (t *town) play(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "drey-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	level := new(slog.LevelVar)
	if err := t.s.setLevel(level, configs.Default()); err != nil {
		return err
	}
	t.log = t.s.logger(level)
	t.life = newLife(ctx)
	defer func() { err = errors.Join(err, t.life.end()) }()

	// Two places out of each other's earshot: each has an ether of its own.
	near := map[string]*radiotest.Air{}
	for _, place := range []string{"school", "bakery"} {
		near[place] = radiotest.NewAir(radiotest.Config{Preset: shortFast, Collisions: true, Log: t.log})
		t.life.begin("ether near the "+place, near[place].Run)
	}
	schoolRadio, ana := near["school"].NewRadio("school", radiotest.RadioConfig{}), near["school"].NewHandheld("ana")
	bakeryRadio, ben := near["bakery"].NewRadio("bakery", radiotest.RadioConfig{}), near["bakery"].NewHandheld("ben")

	t.tell("a town begins: a school with a LoRa radio and ana's handheld near it,")
	t.tell("a bakery with a radio and ben's handheld, a machine on the hill without")
	school, err := t.settle(ctx, filepath.Join(dir, "school"), "school", nil, schoolRadio)
	if err != nil {
		return err
	}
	t.tell("the school founds a community: %.16s…", school.who.Author.PubKey().NPub())
	hill, err := t.settle(ctx, filepath.Join(dir, "hill"), "hill", school, nil)
	if err != nil {
		return err
	}
	t.tell("the hill joins with an invite: %s", hill.overlay.Address())
	bakery, err := t.settle(ctx, filepath.Join(dir, "bakery"), "bakery", hill, bakeryRadio, school)
	if err != nil {
		return err
	}
	t.tell("the bakery joins with an invite; it has a link to the hill only")
	for _, p := range []*parts{school, hill, bakery} {
		if err := t.meet(ctx, p, 2); err != nil {
			return err
		}
	}
	t.tell("all three are in contact; both radios are ready")

	if err := t.radioToRadio(ctx, ana, demoTexts[0], school, hill, bakery, ben); err != nil {
		return err
	}
	if err := t.radioToRadio(ctx, ben, demoTexts[1], bakery, hill, school, ana); err != nil {
		return err
	}
	if err := t.writtenToBoth(ctx, hill, demoTexts[2], ana, ben); err != nil {
		return err
	}
	if err := t.onceEach(ctx, near, school, hill, bakery); err != nil {
		return err
	}
	t.tell("done: 3 messages, each stored once on all 3 nodes,")
	t.tell("and said once at both places on the air")
	return nil
}

// demoTexts are what is said.
var demoTexts = []string{"water is back at the well", "thanks, telling the street", "meeting at six, bring a lamp"}

// onceEach counts copies: each text must be in each store once, and must have
// been said once in each place, repeaters left out.
func (t *town) onceEach(ctx context.Context, near map[string]*radiotest.Air, nodes ...*parts) error {
	for _, text := range demoTexts {
		for _, p := range nodes {
			n := 0
			for r, err := range p.store.Records(ctx, mesh.Filter{Kinds: []mesh.Kind{mesh.KindNote}}, mesh.Self) {
				if err != nil {
					return err
				}
				if r.Event.Content() == text {
					n++
				}
			}
			if n != 1 {
				return fmt.Errorf("the %s holds %q %d times", p.name, text, n)
			}
		}
		for place, air := range near {
			said := 0
			for _, sent := range air.Sent() {
				if !sent.Repeat && strings.Contains(sent.Text, text) {
					said++
				}
			}
			if said != 1 {
				return fmt.Errorf("%q was said %d times on the air near the %s", text, said, place)
			}
		}
	}
	return nil
}

// settle makes a home, joins the community of a neighbour or founds one, and
// starts the node. The invite is made by inviters' last, the link goes to the
// first.
func (t *town) settle(ctx context.Context, dir, name string, neighbour *parts, device *radiotest.Radio, inviters ...*parts) (*parts, error) {
	h := home(dir)
	if err := h.create(); err != nil {
		return nil, err
	}
	seed, _, err := h.ensureSeed()
	if err != nil {
		return nil, err
	}
	who, err := seed.Identity()
	if err != nil {
		return nil, err
	}
	conf := configs.Default()
	conf.Web.Listen = "127.0.0.1:0"
	conf.Overlay.Listen = []string{"tls://127.0.0.1:0"}
	conf.Overlay.LAN = false
	conf.Radio.Device = "none"
	set := setup{home: h, conf: conf, who: who, name: name, log: t.log.With("node", name), clock: time.Now, kept: clockSynchronised}
	if device != nil {
		set.conf.Radio.Device = "sim"
		set.conf.Radio.Topics = []configs.RadioTopic{{Topic: "commons", Channel: 0, Form: "text"}}
		set.dialRadio = func(context.Context) (io.ReadWriteCloser, error) { return device.Conn(), nil }
	}
	m, err := bootstrap.Found(who.Author.PubKey(), "demo town")
	if err != nil {
		return nil, err
	}
	if neighbour != nil {
		inviter := neighbour
		if len(inviters) > 0 {
			inviter = inviters[len(inviters)-1]
		}
		welcome, err := t.join(ctx, set, inviter)
		if err != nil {
			return nil, err
		}
		m = welcome.Membership
		set.conf.Overlay.Peers = neighbour.overlay.Listening()
	} else if err := h.writeMembership(m); err != nil {
		return nil, err
	}
	p, err := wire(ctx, set, m)
	if err != nil {
		return nil, err
	}
	up := make(chan struct{})
	t.life.begin(name, func(ctx context.Context) error {
		_, err := p.run(ctx, company{
			ready:  func(context.Context, *parts) error { close(up); return nil },
			reload: func(ctx context.Context, _ *parts) error { <-ctx.Done(); return nil },
		})
		return err
	})
	select {
	case <-up:
	case failed := <-t.life.failed:
		return nil, failed.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	_, err = p.overlay.Host(ctx)
	return p, err
}

// join redeems an invite at its door, as 'drey join' does, but forgets the
// inviter's addresses: the demonstration chooses its links.
func (t *town) join(ctx context.Context, set setup, inviter *parts) (*bootstrap.Welcome, error) {
	v, err := inviter.inviter.Issue(ctx, time.Minute, 1, inviter.webEndpoints())
	if err != nil {
		return nil, err
	}
	welcome, err := bootstrap.Join(ctx, v, &bootstrap.Self{Identity: set.who, Name: set.name, Record: mesh.PeerRecord{Lifetime: recordLife}})
	if err != nil {
		return nil, err
	}
	welcome.Inviter.Endpoints = nil
	return welcome, set.home.moveIn(ctx, welcome)
}

// meet waits until a node is in contact with so many others and its radio, if
// it has one, is ready.
func (t *town) meet(ctx context.Context, p *parts, others int) error {
	for {
		ready := p.conf.Radio.Device == "none" || p.radio.Status().State == radio.StateLive
		if n := p.gossip.Status().Peers; n >= others && ready {
			return nil
		}
		if !pause(ctx, 20*time.Millisecond) {
			return fmt.Errorf("%s met %d of %d others, its radio is %s", p.name, p.gossip.Status().Peers, others, p.radio.Status().State)
		}
	}
}

// radioToRadio follows a text from one handheld to another: by radio to a
// node, by gossip over a second node to a third, and by radio again.
func (t *town) radioToRadio(ctx context.Context, from *radiotest.Handheld, text string, entry, middle, exit *parts, to *radiotest.Handheld) error {
	began := time.Now()
	from.Send(text)
	t.tell("%s's handheld says: %s", from.Name(), text)
	r, err := t.arrival(ctx, entry, text)
	if err != nil {
		return err
	}
	t.tell("  the %s's radio heard it; its node signed event %s of it", entry.name, r.Event.ID().String()[:12])
	for _, p := range []*parts{middle, exit} {
		r, err := t.arrival(ctx, p, text)
		if err != nil {
			return err
		}
		t.tell("  the %s has it by %s, on disk, under the same id", p.name, r.Carrier)
	}
	heard, err := t.hears(ctx, to, text)
	if err != nil {
		return fmt.Errorf("%w; 'drey log' at the %s says: %s", err, exit.name, historyOf(exit, r.Event.ID()))
	}
	t.tell("  %s's handheld shows: %s", to.Name(), heard)
	t.tell("  from handheld to handheld: %s", short(time.Since(began)))
	return nil
}

// writtenToBoth lets the node without a radio write, and both handhelds hear.
func (t *town) writtenToBoth(ctx context.Context, p *parts, text string, a, b *radiotest.Handheld) error {
	began := time.Now()
	rec, err := api{p}.Publish(ctx, web.Post{Topic: mesh.TopicCommons, Text: text})
	if err != nil {
		return err
	}
	t.tell("the %s writes, as 'drey pub' does: %s", p.name, text)
	for _, h := range []*radiotest.Handheld{a, b} {
		heard, err := t.hears(ctx, h, text)
		if err != nil {
			return err
		}
		t.tell("  %s's handheld shows: %s", h.Name(), heard)
	}
	t.tell("  from keyboard to both handhelds: %s", short(time.Since(began)))
	t.tell("  'drey log' there says: %s", historyOf(p, rec.Event.ID()))
	return nil
}

// historyOf tells in one line what became of an event at a node.
func historyOf(p *parts, id mesh.EventID) string {
	steps, err := p.hub.History(context.Background(), id)
	if err != nil {
		return err.Error()
	}
	var states []string
	for _, st := range steps {
		states = append(states, strings.TrimSpace(st.Carrier+" "+st.State))
	}
	return strings.Join(states, ", ")
}

// arrival waits until a node holds a note of this text, and checks that it
// holds it once.
func (t *town) arrival(ctx context.Context, p *parts, text string) (*mesh.Record, error) {
	f := mesh.Filter{Kinds: []mesh.Kind{mesh.KindNote}, Topics: []mesh.Topic{mesh.TopicCommons}}
	for r, err := range p.hub.Watch(ctx, f, mesh.Self) {
		if err != nil {
			return nil, fmt.Errorf("the %s waits for %q: %w", p.name, text, err)
		}
		if r.Event.Content() == text {
			return r, nil
		}
	}
	return nil, fmt.Errorf("the %s stopped watching", p.name)
}

// hears waits until a handheld shows the text.
func (t *town) hears(ctx context.Context, h *radiotest.Handheld, text string) (string, error) {
	for {
		select {
		case heard := <-h.Heard():
			if strings.Contains(heard.Text, text) {
				return heard.Text, nil
			}
		case <-ctx.Done():
			return "", fmt.Errorf("%s's handheld waits for %q: %w", h.Name(), text, ctx.Err())
		}
	}
}
