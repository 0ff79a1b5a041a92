package radio

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"drey/mesh"
	"drey/radio/meshtastic"
)

// A frame in signed form is vouched for like a text over a public key, with an
// event of KindAired: one for the frame, with an e tag for each event in it,
// "signed" in place of the channel's hash, and the gateway's radio. Colleagues
// that the frame did not reach through the air need not say the same again, as
// long as they are on this ether: they heard that radio lately.
const airedSigned = "signed"

// maxToDo bounds what the desk is asked to do besides.
const maxToDo = 64

// vouch tells colleagues which events we said in one frame.
func (o *owner) vouch(os []*outgoing) {
	var ids []mesh.EventID
	for _, each := range os {
		ids = append(ids, each.event.ID())
	}
	num := o.myNum
	o.look(time.Now()) // it cost airtime
	select {
	case o.desk.todo <- func(ctx context.Context) { o.desk.vouch(ctx, ids, num) }:
	default:
		o.c.count(func(s *Status) { s.Dropped++ })
	}
}

func (d *desk) vouch(ctx context.Context, ids []mesh.EventID, num meshtastic.NodeNum) {
	d.traffic = time.Now()
	if r := d.c.cfg.Roster; r != nil && !r.Community().Open && len(r.Nodes()) < 2 {
		return
	}
	if len(d.view.Load().gateways) == 0 {
		return // nobody else is on this ether
	}
	now := d.c.cfg.Clock()
	draft := mesh.Draft{CreatedAt: mesh.UnixOf(now), Kind: KindAired}
	for _, id := range ids {
		draft.Tags = append(draft.Tags, []string{"e", id.String()})
	}
	draft.Tags = append(draft.Tags, []string{"channel", airedSigned}, []string{tagGateway, num.String()},
		[]string{"expiration", strconv.FormatInt(now.Add(airedFor).Unix(), 10)})
	e, err := d.c.cfg.Signer.Sign(draft)
	if err == nil {
		err = d.port.Receive(ctx, e, mesh.Origin{Peer: "self", Topic: mesh.TopicRegistry})
	}
	if err != nil && !errors.Is(err, mesh.ErrDuplicate) && ctx.Err() == nil {
		d.c.log.Warn("radio's books not kept", "err", err)
	}
}

// aired looks for a colleague's word that it said out, in the form that out
// has. The colleague must be on this ether: a word from the next valley keeps
// nobody silent here.
func (o *owner) aired(out *outgoing) (meshtastic.NodeNum, bool) {
	f := mesh.Filter{
		Kinds: []mesh.Kind{KindAired}, Tags: map[string][]string{"e": {out.event.ID().String()}}, Limit: 32,
	}
	channel := airedSigned
	if !out.signed {
		channel = fmt.Sprintf("%02x", o.hash(out.channel))
	}
	for r, err := range o.c.cfg.Archive.Records(context.Background(), f, mesh.Self) {
		if err != nil {
			break
		}
		said, _ := r.Event.Tag("channel")
		radio, _ := r.Event.Tag(tagGateway)
		var num meshtastic.NodeNum
		if _, err := fmt.Sscanf(radio, "!%08x", (*uint32)(&num)); err != nil || said != channel {
			continue
		}
		g := o.out.gateways[num]
		if g != nil && !r.Received.Before(out.since) && time.Since(g.at) < sameEther && r.Event.Author() != o.c.cfg.Signer.PubKey() && o.c.gateway(r.Event.Author()) {
			return num, true
		}
	}
	return 0, false
}
