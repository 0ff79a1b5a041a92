package radio

import (
	"slices"
	"time"

	"drey/mesh"
)

// Private mail on the air. Letters, which machines write to each other when no
// receipt came any other way, need no map of their topic, as decisions do not:
// they are small, rare and wanted at once. Wraps are a second and more of
// airtime, so they go only where topic "mail" is mapped in signed form, and only
// those for whom no machine writes letters. Who has taken what is never said.

// letterYoung is how old a letter may be that others wrote. A later one takes its
// place.
const letterYoung = time.Hour

// letterTurn is how long the gateway that leads has to say a letter before the
// next does. It often has not got it: a letter is written where the network does
// not reach its reader.
const letterTurn = 4 * time.Second

func (c *Carrier) mailTargets(r *mesh.Record) []string {
	goes := false
	switch r.Event.Kind() {
	case mesh.KindLetter:
		own := c.cfg.Signer != nil && r.Event.Author() == c.cfg.Signer.PubKey() // whatever the clock says
		young := r.Received.Sub(r.Event.CreatedAt().Time()).Abs() <= letterYoung
		goes = (own || young) && (c.private.Load() || slices.ContainsFunc(c.cfg.Maps, TopicMap.signed))
	case mesh.KindGiftWrap:
		goes = c.says(r.Topic, FormSigned) && !c.cfg.Spared(r)
	}
	if !goes {
		return nil
	}
	return []string{targetSigned}
}
