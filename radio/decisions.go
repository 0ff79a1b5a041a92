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
