package radio

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"drey/mesh"
	"drey/radio/meshtastic"
)

// KindAired is a gateway's word that it said an event on the air: tags e, the
// event, and channel, the channel's hash as two hexadecimal digits. It lets
// colleagues trust what they heard over a public key. Topic: registry.
const KindAired mesh.Kind = 3741

// Bounds of the translator.
const (
	maxJobs      = 512
	busyPause    = 2 * time.Second
	maxBusy      = 60 // tries while the hub has no room
	lookBack     = 24 * time.Hour
	lookBackMost = 300 // events of the topic in which an original is sought
	airedFor     = 24 * time.Hour
)

// A job is something that waits for the disk or for a colleague, so the owner
// of the radio does not do it. One field is set.
type job struct {
	translate *translation
	retract   *retract
	vouch     *vouch
	reading   *reading        // a handheld's, that will become an event
	private   *PrivateMessage // to be kept
}

// A translation is a text that will become an event.
type translation struct {
	heardText
	topic    mesh.Topic
	sender   string // name of the radio, "" where it is not known
	viaMQTT  bool
	mayLeave bool // the sender allows it on the internet
	replyTo  mesh.EventID
	isReply  bool
	reaction bool
	gateway  meshtastic.NodeNum // our radio
	hash     byte               // of the channel
	due      time.Time
	busy     int
}

// A retract takes back a translation whose original turned up.
type retract struct {
	event, original mesh.EventID
	topic           mesh.Topic
}

// A vouch is our word that we said an event on the air.
type vouch struct {
	event mesh.EventID
	hash  byte
	radio meshtastic.NodeNum // that said it
}

// A translator turns texts into events, signed by this gateway, when no
// colleague has done so after a moment.
type translator struct {
	c     *Carrier
	port  mesh.Port
	heard *memory
	jobs  chan job
	met   chan meshtastic.NodeNum // colleagues, by their translations of what we heard too
}

func newTranslator(c *Carrier, p mesh.Port, heard *memory) *translator {
	return &translator{c: c, port: p, heard: heard, jobs: make(chan job, maxJobs), met: make(chan meshtastic.NodeNum, maxGateways)}
}

// later queues a job, or counts it as lost when there are too many.
func (t *translator) later(j job) {
	select {
	case t.jobs <- j:
	default:
		t.c.count(func(s *Status) { s.Dropped++ })
		t.c.log.Warn("radio is faster than the disk", "jobs", maxJobs)
	}
}

// meet tells the owner of a colleague; when it is busy, there will be another
// occasion.
func (t *translator) meet(num meshtastic.NodeNum) {
	select {
	case t.met <- num:
	default:
	}
}

// run works until ctx ends.
func (t *translator) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var waiting []*translation
	for {
		if len(waiting) > 0 {
			next := slices.MinFunc(waiting, func(a, b *translation) int { return a.due.Compare(b.due) })
			timer.Reset(time.Until(next.due))
		}
		select {
		case <-ctx.Done():
			return
		case j := <-t.jobs:
			if j.translate != nil {
				t.remember(ctx, j.translate.heardText)
				if len(waiting) >= maxJobs {
					t.c.count(func(s *Status) { s.Dropped++ })
					continue
				}
				if len(waiting) > 0 { // what people say keeps its order
					last := waiting[len(waiting)-1]
					j.translate.due = later(j.translate.due, last.due)
				}
				waiting = append(waiting, j.translate)
				continue
			}
			t.do(ctx, j)
		case <-timer.C:
			waiting = t.due(ctx, waiting)
		}
	}
}

// due translates what has waited long enough and returns the rest.
func (t *translator) due(ctx context.Context, waiting []*translation) []*translation {
	var rest []*translation
	for _, w := range waiting {
		if w.due.After(time.Now()) {
			rest = append(rest, w)
			continue
		}
		err := t.translate(ctx, w)
		if w.busy++; errors.Is(err, mesh.ErrBusy) && w.busy < maxBusy {
			w.due = time.Now().Add(busyPause)
			rest = append(rest, w)
			continue
		}
		if err != nil && ctx.Err() == nil {
			t.c.count(func(s *Status) { s.Dropped++ })
			t.c.log.Warn("text from the radio not taken", "proxy", w.proxy(), "err", err)
		}
	}
	return rest
}

func (t *translator) do(ctx context.Context, j job) {
	var err error
	switch {
	case j.retract != nil:
		err = t.retract(ctx, j.retract)
	case j.vouch != nil:
		err = t.vouch(ctx, j.vouch)
	case j.reading != nil:
		err = t.read(ctx, j.reading)
	case j.private != nil:
		err = t.keep(ctx, j.private)
	}
	if err != nil && ctx.Err() == nil {
		t.c.log.Warn("radio's books not kept", "err", err)
	}
}

// remember keeps that a text was heard, across restarts.
func (t *translator) remember(ctx context.Context, h heardText) {
	err := t.c.cfg.Shelf.Put(ctx, heardPrefix+h.proxy(), h.encode())
	for _, key := range t.heard.forgotten() {
		err = errors.Join(err, t.c.cfg.Shelf.Delete(ctx, key))
	}
	if err != nil && ctx.Err() == nil {
		t.c.log.Warn("radio's books not kept", "err", err)
	}
}

// translate makes the event, unless a colleague has, or the text was one of
// the community's events all along.
func (t *translator) translate(ctx context.Context, w *translation) error {
	if id, ok := t.original(ctx, w); ok {
		t.heard.became(w.heardText, id, false)
		t.c.count(func(s *Status) { s.Recognised++ })
		return nil
	}
	if id, ok := t.colleague(ctx, w); ok {
		t.heard.became(w.heardText, id, false)
		return nil
	}
	e, err := t.c.cfg.Signer.Sign(w.draft(t.c.cfg.Clock()))
	if err != nil {
		return fmt.Errorf("sign a translation: %w", err)
	}
	err = t.port.Receive(ctx, e, mesh.Origin{Peer: w.From.String(), Topic: w.topic, Durable: true})
	if err != nil && !errors.Is(err, mesh.ErrDuplicate) {
		return err
	}
	t.heard.became(w.heardText, e.ID(), true)
	t.c.count(func(s *Status) { s.Translated++ })
	return nil
}

// Tags of a translation beside those that NIPs define and mesh.LocalTag.
const (
	tagSender  = "sender"  // node number, and the name its owner gave it
	tagGateway = "gateway" // node number of the radio that heard it, and the channel's hash
	tagVia     = "via"     // "mqtt": it had been on the internet before
)

// draft is the event that stands for a text. The text is the content as it is;
// a name in it is no author.
func (w *translation) draft(now time.Time) mesh.Draft {
	d := mesh.Draft{CreatedAt: mesh.UnixOf(now), Kind: mesh.KindNote, Content: toUTF8(w.Text)}
	d.Tags = append(d.Tags, []string{"t", string(w.topic)}, []string{"proxy", w.proxy(), protocol})
	d.Tags = append(d.Tags, mesh.LabelTags(mesh.LabelUnsignedRadio)...)
	sender := []string{tagSender, w.From.String()}
	if w.sender != "" {
		sender = append(sender, w.sender)
	}
	d.Tags = append(d.Tags, sender, []string{tagGateway, w.gateway.String(), fmt.Sprintf("%02x", w.hash)})
	if w.isReply {
		d.Tags = append(d.Tags, []string{"e", w.replyTo.String(), "", "reply"})
		if w.reaction {
			d.Kind = mesh.KindReaction
		}
	}
	if w.viaMQTT {
		d.Tags = append(d.Tags, []string{tagVia, "mqtt"})
	}
	if !w.mayLeave {
		d.Tags = append(d.Tags, mesh.LocalTag(protocol))
	}
	return d
}

// senderOf returns the name of the radio that said a translated text.
func senderOf(e *mesh.Event) (string, bool) {
	p, ok := mesh.ProxyOf(e)
	if !ok || p.Protocol != protocol {
		return "", false
	}
	for _, t := range e.Tags() {
		if len(t) > 2 && t[0] == tagSender && t[2] != "" {
			return t[2], true
		}
	}
	node, _, _ := strings.Cut(p.ID, ":")
	return node, true
}

// gatewayOf returns the radio that heard the origin of a translation, and the
// hash of the channel, as two hexadecimal digits.
func gatewayOf(e *mesh.Event) (num meshtastic.NodeNum, hash string, ok bool) {
	for _, t := range e.Tags() {
		if len(t) == 3 && t[0] == tagGateway {
			n, err := fmt.Sscanf(t[1], "!%08x", (*uint32)(&num))
			return num, t[2], n == 1 && err == nil
		}
	}
	return 0, "", false
}

// original looks for an event that a colleague said on the air and that came
// to us another way meanwhile.
func (t *translator) original(ctx context.Context, w *translation) (mesh.EventID, bool) {
	f := mesh.Filter{
		Kinds: []mesh.Kind{mesh.KindNote}, Topics: []mesh.Topic{w.topic}, Order: mesh.ReceiptLatest,
		From: t.c.cfg.Clock().Add(-lookBack), Limit: lookBackMost,
	}
	for r, err := range t.c.cfg.Archive.Records(ctx, f, mesh.Self) {
		if err != nil {
			t.c.log.Warn("archive does not answer", "err", err)
			return mesh.EventID{}, false
		}
		if t.c.isSaying(r.Event, w.heardText) || t.c.isSayingAgain(r.Event, w.heardText) {
			return r.Event.ID(), true
		}
	}
	return mesh.EventID{}, false
}

// isSaying reports whether h is e, said on the air by a gateway.
func (c *Carrier) isSaying(e *mesh.Event, h heardText) bool {
	for part := range maxParts {
		for attempt := 1; attempt <= maxAttempt; attempt++ {
			if PacketID(e.ID(), part+1, attempt) != h.ID {
				continue
			}
			name, others := c.namesOf(e)
			for _, n := range append(others, name) {
				if parts := render(n, e.Content()); part < len(parts) && parts[part] == h.Text {
					return true
				}
			}
		}
	}
	return false
}

// Original returns a function that tells whether a translation is of a text in
// which a gateway said e on the air, whichever gateway and attempt it was; nil
// where e is never said. A signed original takes the place of its translations.
func (c *Carrier) Original(e *mesh.Event) func(translation *mesh.Event) bool {
	if _, translated := mesh.ProxyOf(e); translated || e.Kind() != mesh.KindNote {
		return nil
	}
	name, others := c.namesOf(e)
	said := make(map[string]bool) // proxy's packet id, ':' and the words
	for _, n := range append(others, name) {
		for part, words := range render(n, e.Content()) {
			for attempt := 1; attempt <= maxAttempt; attempt++ {
				said[fmt.Sprintf("%08x:%s", PacketID(e.ID(), part+1, attempt), words)] = true
			}
		}
	}
	return func(translation *mesh.Event) bool {
		p, ok := mesh.ProxyOf(translation)
		_, packet, found := strings.Cut(p.ID, ":")
		return ok && found && p.Protocol == protocol && said[packet+":"+translation.Content()]
	}
}

// isSayingAgain reports whether h has the words of e, a translation: the
// gateway that said it may hold another translation of the same text.
func (c *Carrier) isSayingAgain(e *mesh.Event, h heardText) bool {
	if _, translated := senderOf(e); !translated || !strings.HasPrefix(h.Text, unsignedMark) {
		return false
	}
	name, _ := c.namesOf(e)
	return slices.Contains(render(name, e.Content()), h.Text)
}

// colleague looks for another gateway's translation of the same packet.
func (t *translator) colleague(ctx context.Context, w *translation) (mesh.EventID, bool) {
	f := mesh.Filter{Tags: map[string][]string{"proxy": {w.proxy()}}, Limit: 16}
	for r, err := range t.c.cfg.Archive.Records(ctx, f, mesh.Self) {
		if err != nil {
			t.c.log.Warn("archive does not answer", "err", err)
			break
		}
		p, ok := mesh.ProxyOf(r.Event)
		if ok && p.Protocol == protocol && r.Event.Content() == toUTF8(w.Text) && t.c.gateway(r.Event.Author()) {
			if num, _, ok := gatewayOf(r.Event); ok && num != w.gateway {
				t.meet(num)
			}
			return r.Event.ID(), true
		}
	}
	return mesh.EventID{}, false
}

// gateway reports whether an author is a machine of the community: others
// could silence a text by claiming to have translated it.
func (c *Carrier) gateway(author mesh.PubKey) bool {
	return c.cfg.Roster == nil || c.cfg.Roster.Community().Open ||
		c.cfg.Roster.Standing(author, c.cfg.Clock()) >= mesh.Machine
}

// retract deletes our translation (NIP-09): a signed original is better. Where
// the hub has superseded it already there is nothing to say.
func (t *translator) retract(ctx context.Context, r *retract) error {
	if _, err := t.c.cfg.Archive.Record(ctx, r.event, mesh.Self); err != nil {
		return nil
	}
	e, err := t.c.cfg.Signer.Sign(mesh.Draft{
		CreatedAt: mesh.UnixOf(t.c.cfg.Clock()), Kind: mesh.KindDeletion,
		Tags:    [][]string{{"e", r.event.String()}, {"k", strconv.Itoa(int(mesh.KindNote))}},
		Content: "the signed original came: " + r.original.String(),
	})
	if err != nil {
		return fmt.Errorf("sign a deletion: %w", err)
	}
	return t.hand(ctx, e, r.topic)
}

// vouch tells colleagues that we said an event, when there are any.
func (t *translator) vouch(ctx context.Context, v *vouch) error {
	if r := t.c.cfg.Roster; r != nil && !r.Community().Open && len(r.Nodes()) < 2 {
		return nil
	}
	now := t.c.cfg.Clock()
	e, err := t.c.cfg.Signer.Sign(mesh.Draft{
		CreatedAt: mesh.UnixOf(now), Kind: KindAired,
		Tags: [][]string{
			{"e", v.event.String()}, {"channel", fmt.Sprintf("%02x", v.hash)}, {tagGateway, v.radio.String()},
			{"expiration", strconv.FormatInt(now.Add(airedFor).Unix(), 10)},
		},
	})
	if err != nil {
		return fmt.Errorf("sign our word: %w", err)
	}
	return t.hand(ctx, e, mesh.TopicRegistry)
}

func (t *translator) hand(ctx context.Context, e *mesh.Event, topic mesh.Topic) error {
	err := t.port.Receive(ctx, e, mesh.Origin{Peer: "self", Topic: topic})
	if errors.Is(err, mesh.ErrDuplicate) {
		return nil
	}
	return err
}

// vouched reports whether a colleague gives its word that it said o on the
// channel with the hash, through a radio that is here: what was said in the next
// valley is not said here, whoever repeats it.
func (t *translator) vouched(o *outgoing, hash byte, here func(meshtastic.NodeNum) bool) bool {
	f := mesh.Filter{
		Kinds: []mesh.Kind{KindAired}, Tags: map[string][]string{"e": {o.d.Event.ID().String()}}, Limit: 32,
	}
	for r, err := range t.c.cfg.Archive.Records(context.Background(), f, mesh.Self) {
		if err != nil {
			break
		}
		said, _ := r.Event.Tag("channel")
		radio, _ := r.Event.Tag(tagGateway)
		var num meshtastic.NodeNum
		if _, err := fmt.Sscanf(radio, "!%08x", (*uint32)(&num)); err != nil || !here(num) {
			continue
		}
		if said == fmt.Sprintf("%02x", hash) && r.Event.Author() != t.c.cfg.Signer.PubKey() && t.c.gateway(r.Event.Author()) {
			return true
		}
	}
	return false
}

// presetName names a radio's modulation.
func presetName(l meshtastic.LoRa) string {
	name, _ := modulationOf(l)
	return name
}
