package radio

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"drey/mesh"
	"drey/radio/meshtastic"
)

// Gateways that share a fast side let the one lead whose frames are worth most.
// Each tells the others, with an event of KindAired that names no event, an
// offer: the hop limit of its frames, and what one is worth (reach.go). Who has
// told nothing comes after all who have, and between equals the epoch's lot
// decides, as it does where nobody has told anything. An offer is only about who
// goes first: the others go on waiting for their turns, and speak when nothing is
// heard.

// An offer is a hop limit, and what a frame with it is worth. Zero is none.
type offer struct {
	hops   uint32
	tenths int // of a radio
}

// How offers are made.
const (
	// offerFor is how long an offer stands at least, unless it is withdrawn, and
	// offerAgain how old one becomes.
	offerFor   = epoch
	offerAgain = 6 * time.Hour
	// offerTell is how much one must change to be told anew, in tenths of a radio.
	offerTell = 20
	mostWorth = 10 * maxNodes
	// A gateway whose budget of airtime is spent to withdrawAt makes no offer
	// until it is forgiven to offerAt.
	withdrawAt = 0.6
	offerAt    = 0.3
	maxOffers  = 4 * maxGateways // words that are looked at
	// offerAhead is how far in the future the date of a word may be.
	offerAhead = 10 * time.Minute

	tagReach = "reach"
	tagWorth = "worth"
)

// none reports whether nothing is offered.
func (a offer) none() bool { return a.hops == 0 }

// before reports whether a is the better offer, and whether they differ.
func (a offer) before(b offer) (first, differ bool) {
	switch {
	case a == b:
		return false, false
	case a.none() || b.none():
		return b.none(), true
	case a.tenths != b.tenths:
		return a.tenths > b.tenths, true
	}
	return a.hops < b.hops, true
}

// changed reports whether b is another offer than a, and not only by a little.
func (a offer) changed(b offer) bool {
	return a.hops != b.hops || a.tenths >= b.tenths+offerTell || b.tenths >= a.tenths+offerTell
}

// offerOf is what frames with so many hops are worth among radios at such
// distances; none where too little is known.
func offerOf(far [maxHops + 1]int, hops uint32) offer {
	all := 0
	for _, n := range far {
		all += n
	}
	tenths := min(int(10*worth(far, hops)), mostWorth)
	if all < fewKnown || hops < hopsNear || hops > maxHops || tenths <= 0 {
		return offer{}
	}
	return offer{hops, tenths}
}

// first reports whether gateway x has its turn before y on a lot of events in
// signed form.
func (b *outbox) first(lot mesh.EventID, x, y meshtastic.NodeNum) bool {
	if first, differ := b.offers[x].before(b.offers[y]); differ {
		return first
	}
	return turn(lot, x) < turn(lot, y)
}

// offer returns what this gateway can offer now. One that is short of airtime
// leaves the lead to others before its messages have to wait.
func (o *owner) offer(now time.Time) offer {
	if o.short(o.out.books()) {
		return offer{}
	}
	return offerOf(o.c.nodes.distances(), o.reach(now))
}

// short reports whether much of the budget of airtime is spent.
func (o *owner) short(now time.Time) bool {
	g := o.governor
	g.refill(now)
	switch owed, budget := float64(g.owed()), float64(g.budget()); {
	case g.share == 0 || owed <= offerAt*budget:
		o.resting = false
	case owed >= withdrawAt*budget:
		o.resting = true
	}
	return o.resting
}

// A word is an offer as a gateway told it.
type word struct {
	offer
	at mesh.Unix
}

// offers reads what the gateways of the community told, each one's last word.
func (d *desk) offers(ctx context.Context) map[meshtastic.NodeNum]word {
	now := d.c.cfg.Clock()
	f := mesh.Filter{
		Kinds: []mesh.Kind{KindAired}, Tags: map[string][]string{"r": {tagReach}},
		Since: mesh.UnixOf(now.Add(-airedFor)), Limit: maxOffers,
	}
	words := make(map[meshtastic.NodeNum]word)
	for r, err := range d.c.cfg.Archive.Records(ctx, f, mesh.Self) {
		if err != nil {
			break
		}
		num, w, ok := parseWord(r.Event)
		if !ok || w.at > mesh.UnixOf(now.Add(offerAhead)) || !d.c.gateway(r.Event.Author()) {
			continue
		}
		if known, ok := words[num]; !ok || w.at > known.at {
			words[num] = w
		}
	}
	return words
}

// parseWord reads a gateway's word about its offer.
func parseWord(e *mesh.Event) (num meshtastic.NodeNum, w word, ok bool) {
	radio, _ := e.Tag(tagGateway)
	if _, err := fmt.Sscanf(radio, "!%08x", (*uint32)(&num)); err != nil || radio != num.String() {
		return 0, word{}, false
	}
	for _, t := range e.Tags() {
		if len(t) != 3 || t[0] != tagWorth {
			continue
		}
		hops, err := strconv.ParseUint(t[1], 10, 8)
		tenths, err2 := strconv.ParseUint(t[2], 10, 16)
		if err != nil || err2 != nil || hops > maxHops || tenths > mostWorth || (hops == 0) != (tenths == 0) {
			return 0, word{}, false
		}
		return num, word{offer{uint32(hops), int(tenths)}, e.CreatedAt()}, true
	}
	return 0, word{}, false
}

// compare takes in the offers of all gateways, and tells ours when it is time.
func (d *desk) compare(ctx context.Context, v *view) {
	if d.c.cfg.Without.Choice {
		return
	}
	words := d.offers(ctx)
	if len(v.gateways) > 0 {
		now := d.c.cfg.Clock()
		told, known := words[v.num]
		age := now.Sub(told.at.Time())
		switch {
		case !known && v.offer.none():
		case !known, v.offer.none() && !told.none(), age >= offerAgain, age >= offerFor && told.changed(v.offer):
			if d.tellOffer(ctx, now, v) {
				words[v.num] = word{v.offer, mesh.UnixOf(now)}
			}
		}
	}
	offers := make(map[meshtastic.NodeNum]offer, len(words))
	for num, w := range words {
		offers[num] = w.offer
	}
	d.tell(ctx, func(o *owner, _ time.Time) { o.out.offers = offers })
}

// tellOffer tells the others our offer, and reports whether it is told.
func (d *desk) tellOffer(ctx context.Context, now time.Time, v *view) bool {
	if r := d.c.cfg.Roster; r != nil && !r.Community().Open && len(r.Nodes()) < 2 {
		return false
	}
	e, err := d.c.cfg.Signer.Sign(mesh.Draft{CreatedAt: mesh.UnixOf(now), Kind: KindAired, Tags: [][]string{
		{"r", tagReach}, {"channel", airedSigned}, {tagGateway, v.num.String()},
		{tagWorth, strconv.Itoa(int(v.offer.hops)), strconv.Itoa(v.offer.tenths)},
		{"expiration", strconv.FormatInt(now.Add(airedFor).Unix(), 10)},
	}})
	if err == nil {
		err = d.port.Receive(ctx, e, mesh.Origin{Peer: "self", Topic: mesh.TopicRegistry})
	}
	if err != nil && ctx.Err() == nil {
		d.c.log.Warn("radio's books not kept", "err", err)
	}
	return err == nil
}
