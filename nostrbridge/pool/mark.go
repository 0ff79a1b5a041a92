package pool

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"time"

	"drey/mesh"
)

// markKey is where the shelf keeps watermarks: by feed, then relay.
const markKey = "mark/"

// A watermark says how far a feed has read a relay, by this node's clock.
type watermark struct {
	At   time.Time `json:"at"`   // everything that came in before was taken
	Deep time.Time `json:"deep"` // when it was last asked for far back
	// Asked sums up the filters: others are asked for far back at once.
	Asked []byte `json:"asked,omitempty"`
}

// mark returns a feed's watermark at a relay; the zero one where there is none.
func (g *following) mark(ctx context.Context, relay string) (m watermark, err error) {
	if g.feed.Whole {
		return m, nil
	}
	b, err := g.p.c.Shelf.Value(ctx, markKey+g.feed.Name+"/"+relay)
	if errors.Is(err, mesh.ErrNotFound) {
		return m, nil
	}
	if err != nil {
		return m, err
	}
	if json.Unmarshal(b, &m) != nil {
		return watermark{}, nil // written by nobody; reading too much is harmless
	}
	return m, nil
}

// sum names a list of filters.
func sum(filters []mesh.Filter) []byte {
	h := sha256.New()
	for i := range filters {
		h.Write(appendFilter(nil, &filters[i]))
	}
	return h.Sum(nil)[:8]
}

func (g *following) save(ctx context.Context, relay string, m watermark) error {
	if g.feed.Whole {
		return nil
	}
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return g.p.c.Shelf.Put(ctx, markKey+g.feed.Name+"/"+relay, b)
}
