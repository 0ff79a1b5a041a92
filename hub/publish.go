package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"drey/mesh"
)

// Options say how the node speaks. The zero value is a plain message.
type Options struct {
	Urgent  bool         // asks for an emergency; whether it is one the record's flags tell
	ReplyTo mesh.EventID // what it answers, which must be held here; zero means nothing
}

// errNotHeld reports a reply to something that is not here.
var errNotHeld = errors.New("what it answers is not held here")

// maxSameSecond is how many equal messages may be dated ahead, a second each,
// so that each is an event of its own.
const maxSameSecond = 5

// Publish dates and signs a draft in this node's name, registers its topic if
// that is new, and returns when the event is on disk. The draft's date is
// ignored. An empty topic leaves it to the draft's tags; kinds that belong in
// one topic go there. It answers mesh.ErrRefused, mesh.ErrBusy or another error
// of mesh.Port.
func (h *Hub) Publish(ctx context.Context, topic mesh.Topic, d mesh.Draft, o Options) (*mesh.Record, error) {
	d.Tags = slices.Clone(d.Tags)
	if topic != "" {
		if _, err := mesh.ParseTopic(string(topic)); err != nil {
			return nil, fmt.Errorf("publish: %w", err)
		}
	}
	if o.ReplyTo != (mesh.EventID{}) {
		tags, err := h.replyTags(ctx, o.ReplyTo)
		if err != nil {
			return nil, fmt.Errorf("publish: %w", err)
		}
		d.Tags = append(d.Tags, tags...)
	}
	if o.Urgent {
		d.Tags = append(d.Tags, mesh.LabelTags(mesh.LabelEmergency)...)
	}
	blank, err := mesh.NewEvent(h.signer.PubKey(), mesh.Signature{}, d)
	if err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	if fixed, ok := fixedTopic(blank); ok {
		if topic != "" && topic != fixed {
			return nil, fmt.Errorf("publish: %w: kind %d belongs in topic %s", mesh.ErrRefused, d.Kind, fixed)
		}
		topic = fixed
	} else if topic != "" {
		if !slices.Contains(blank.TagValues("t"), string(topic)) {
			d.Tags = append([][]string{{"t", string(topic)}}, d.Tags...)
		}
		if err := h.register(ctx, topic); err != nil {
			return nil, err
		}
	}
	return h.speak(ctx, topic, d)
}

// Now returns the time under which this node speaks, in whole seconds: its
// clock's, but not before the program was built, and not far from what the
// roster's machines say.
func (h *Hub) Now() time.Time { return stamp(h.clock(), h.built, h.clocks()).Time() }

// speak signs a draft and takes it like any other event.
func (h *Hub) speak(ctx context.Context, topic mesh.Topic, d mesh.Draft) (*mesh.Record, error) {
	at := stamp(h.clock(), h.built, h.clocks())
	for i := mesh.Unix(0); ; i++ {
		d.CreatedAt = at + i
		e, err := h.signer.Sign(d)
		if err != nil {
			return nil, fmt.Errorf("publish: %w", err)
		}
		r, err := h.receive(ctx, &arrival{
			event: e, verified: true,
			from: mesh.Origin{Peer: "self", Topic: topic, Durable: true},
		})
		if errors.Is(err, mesh.ErrDuplicate) && i < maxSameSecond && !newestOnly(d.Kind) {
			continue // said before within this second
		}
		if err != nil {
			return nil, fmt.Errorf("publish: %w", err)
		}
		return r, nil
	}
}

// register announces a topic that nobody has announced.
func (h *Hub) register(ctx context.Context, t mesh.Topic) error {
	if h.topics.has(t) {
		return nil
	}
	_, err := h.speak(ctx, mesh.TopicRegistry, mesh.Draft{Kind: mesh.KindTopic, Tags: [][]string{{"d", string(t)}}})
	if err != nil && !errors.Is(err, mesh.ErrDuplicate) {
		return fmt.Errorf("register topic %s: %w", t, err)
	}
	return nil
}

// replyTags names the thread's root, what is answered, and its author (NIP-10).
func (h *Hub) replyTags(ctx context.Context, id mesh.EventID) ([][]string, error) {
	r, err := h.store.Record(ctx, h.Follow(ctx, id), mesh.Self)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotHeld, err)
	}
	parent := r.Event.ID().String()
	root := parent
	for _, t := range r.Event.Tags() {
		if len(t) >= 4 && t[0] == "e" && t[3] == "root" {
			root = t[1]
		}
	}
	tags := [][]string{{"e", root, "", "root"}}
	if root != parent {
		tags = append(tags, []string{"e", parent, "", "reply"})
	}
	return append(tags, []string{"p", r.Event.Author().String()}), nil
}

// Accept takes an event that somebody signed elsewhere and brought to this
// node's own door. from.Topic empty leaves the topic to the event;
// from.History marks an import. It answers as mesh.Port.Receive does.
func (h *Hub) Accept(ctx context.Context, e *mesh.Event, from mesh.Origin) error {
	_, err := h.receive(ctx, &arrival{event: e, from: from})
	return err
}
