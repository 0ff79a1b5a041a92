package radio

import (
	"slices"
	"time"

	"drey/mesh"
	"drey/radio/meshtastic"
)

// Decisions about who belongs go over the air in signed form wherever anything
// does, without a map of their topic: a ban has to reach an island that only
// the radio reaches. They are few. What is young goes at once, as direct
// messages do; the rest is left to sketches, so that a machine that has just
// joined does not say a community's whole history.
const decisionYoung = 24 * time.Hour

// decides reports whether decisions are to go over the air: an open community
// has none.
func (c *Carrier) decides() bool {
	return c.cfg.Roster == nil || !c.cfg.Roster.Community().Open
}

// decisionWait is how long a decision that lets somebody in is left to the
// network, where this node knows who is on it. A machine that has just been
// admitted is connected by then.
const decisionWait = time.Minute

// letsIn reports whether an event is a decision that nobody is harmed by who
// hears of it late. What shuts out, brings a secret or is of a later version is
// none.
func letsIn(e *mesh.Event) bool {
	op, _ := e.Tag("op")
	return e.Kind() == mesh.KindRoster && (op == "found" || op == "admit" || op == "promote")
}

// leave leaves a decision that lets somebody in to the network for a while. One
// that cannot wait takes along those that do: it counts only with what it builds
// upon.
func (o *owner) leave(now time.Time, out *outgoing) {
	switch {
	case o.c.cfg.Together == nil || out.event.Kind() != mesh.KindRoster:
	case letsIn(out.event):
		age := max(o.c.cfg.Clock().Sub(out.came), 0)
		out.due = out.due.Add(o.out.fast(max(decisionWait-age, 0)))
	default:
		for _, w := range o.out.waiting() {
			if w.d != nil && letsIn(w.event) {
				w.due = soonest(w.due, now.Add(o.out.pause(now, w)))
			}
		}
	}
}

// spare ends the decisions whose time has come while everybody for whom they
// would go over the air gets them over the network. Whoever lacks one all the
// same shows it by a sketch.
func (o *owner) spare(now time.Time) {
	if o.c.cfg.Together == nil {
		return
	}
	begun := func(w *outgoing) bool { return w.in != nil || w.frame != nil || w.set != nil && w.set.Sent() > 0 }
	var due []*outgoing
	for _, w := range o.out.held {
		if w.d != nil && letsIn(w.event) && !w.due.After(now) && !begun(w) {
			due = append(due, w)
		}
	}
	if len(due) == 0 || now.Before(o.apart) {
		return
	}
	if !o.c.cfg.Together() {
		o.apart = now.Add(apartFor)
		return
	}
	for _, w := range due {
		w.tell(stateLeft)
		o.out.end(w, nil)
	}
}

// apartFor is how long it is not asked again who is on the network.
const apartFor = 5 * time.Second

// stateLeft stands in the history of a decision that did not have to be said.
const stateLeft = "not said: every machine with a radio is on the network"

func (c *Carrier) decisionTargets(r *mesh.Record) []string {
	signed := c.private.Load() || slices.ContainsFunc(c.cfg.Maps, TopicMap.signed)
	own := r.Event.Author() == c.cfg.Signer.PubKey()
	if !c.decides() || !signed || !own && r.Received.Sub(r.Event.CreatedAt().Time()).Abs() > decisionYoung {
		return nil
	}
	return []string{targetSigned}
}

// madeBySetup reports whether a channel looks like the community's private one.
func madeBySetup(ch meshtastic.Channel) bool {
	return ch.Role == meshtastic.RoleSecondary && ch.Name == ChannelName && len(ch.PSK) == len(mesh.RadioKey{})
}

// staleKey reports whether the radio's private channel is the one that setup
// made, without the key of the secret in force.
func (o *owner) staleKey() bool {
	secrets := o.c.secrets()
	if len(secrets) == 0 {
		return false
	}
	psk := secrets[0].RadioPSK()
	has := func(ch meshtastic.Channel) bool {
		return ch.Role != meshtastic.RoleDisabled && string(ch.PSK) == string(psk[:])
	}
	return !slices.ContainsFunc(o.channels[:], has) && (len(o.keyedChannels()) > 0 || slices.ContainsFunc(o.channels[:], madeBySetup))
}

// unfitChannel says why an event must not go over the channel that there is for
// it. A key whose secret is gone is known to somebody who was shut out: under it
// go only decisions, which are what shuts him out and bring the new secret, and
// emergencies.
func (o *owner) unfitChannel(channel int, out *outgoing) error {
	if channel < 0 {
		return errNoChannel
	}
	old := len(o.c.secrets()) > 0 && madeBySetup(o.channels[channel]) && !slices.Contains(o.keyedChannels(), channel)
	if old && out.event.Kind() != mesh.KindRoster && out.priority != mesh.Emergency {
		return errOldKey
	}
	return nil
}
