package radio

import (
	"slices"
	"time"

	"drey/mesh"
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
