package overlay

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"time"

	"drey/mesh"
)

const (
	cachePrefix = "peer/"
	cacheCalls  = 8  // cached peers called at a start
	cacheKeeps  = 64 // remembered; the worst are forgotten
	cacheNews   = 64 // news that may wait for the disk; more is dropped
	// cacheBackoff is how long the pauses between calls to a cached peer may
	// grow: it may have moved for good.
	cacheBackoff = 10 * time.Minute
)

// A cachedPeer is what is remembered of an underlay peer.
type cachedPeer struct {
	URI   string    `json:"uri"` // with what is needed to call again
	Wins  int       `json:"wins"`
	Fails int       `json:"fails"`
	Last  time.Time `json:"last"` // when it last came up
}

// score is the share of runs in which the peer came up, with one failure
// assumed so that long experience counts more.
func (p cachedPeer) score() float64 { return float64(p.Wins) / float64(p.Wins+p.Fails+1) }

// rank sorts peers, the one to call first first.
func rank(peers []cachedPeer) {
	slices.SortStableFunc(peers, func(a, b cachedPeer) int {
		return cmp.Or(cmp.Compare(b.score(), a.score()), b.Last.Compare(a.Last), cmp.Compare(a.URI, b.URI))
	})
}

// A cache remembers which peers came up. Each counts at most once a run, so
// that little is written.
type cache struct {
	shelf mesh.Shelf // nil remembers nothing
	log   *slog.Logger
	news  chan cacheNewsItem
}

type cacheNewsItem struct {
	uri, redial string
	up, gone    bool
}

func newCache(shelf mesh.Shelf, log *slog.Logger) *cache {
	return &cache{shelf: shelf, log: log, news: make(chan cacheNewsItem, cacheNews)}
}

// lasted notes that a called peer came up, or did not.
func (c *cache) lasted(p *peering, _ mesh.NodeKey, _ Source, err error) {
	if errors.Is(err, context.Canceled) || errors.Is(err, errSelf) {
		return
	}
	c.tell(cacheNewsItem{uri: p.uri, redial: p.redial(), up: err == nil})
}

// forget removes a peer from memory.
func (c *cache) forget(p *peering) { c.tell(cacheNewsItem{uri: p.uri, gone: true}) }

func (c *cache) tell(n cacheNewsItem) {
	if c.shelf == nil {
		return
	}
	select {
	case c.news <- n:
	default: // the disk is busy; it is only a hint
	}
}

// run calls the best peers of earlier runs, then keeps what it is told.
func (c *cache) run(ctx context.Context, n *node) error {
	if c.shelf == nil {
		return nil
	}
	peers, err := c.load(ctx)
	if err != nil && ctx.Err() == nil {
		c.log.Warn("cannot read cached peers", "err", err)
	}
	for i, p := range peers {
		if i == cacheCalls {
			break
		}
		if parsed, err := parsePeering(p.URI); err == nil && parsed.ours() {
			parsed.maxBackoff = cacheBackoff
			n.want(parsed, SourceCache)
		}
	}
	seen := map[cacheNewsItem]bool{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case item := <-c.news:
			once := cacheNewsItem{uri: item.uri, up: item.up}
			if !item.gone && seen[once] {
				continue
			}
			if seen[once] = true; len(seen) > 4*cacheKeeps {
				clear(seen)
			}
			if err := c.note(ctx, item); err != nil && ctx.Err() == nil {
				c.log.Warn("cannot remember a peer", "peer", item.uri, "err", err)
			}
		}
	}
}

func (c *cache) note(ctx context.Context, item cacheNewsItem) error {
	if item.gone {
		return c.shelf.Delete(ctx, cachePrefix+item.uri)
	}
	p, err := c.read(ctx, cachePrefix+item.uri)
	switch {
	case errors.Is(err, mesh.ErrNotFound) && !item.up:
		return nil
	case errors.Is(err, mesh.ErrNotFound):
	case err != nil:
		return err
	}
	if item.up {
		p.URI, p.Last = item.redial, time.Now().UTC().Truncate(time.Second)
		p.Wins++
	} else {
		p.Fails++
	}
	value, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return c.shelf.Put(ctx, cachePrefix+item.uri, value)
}

// load returns the remembered peers, ranked, and forgets the worst beyond the
// bound.
func (c *cache) load(ctx context.Context) ([]cachedPeer, error) {
	keys, err := c.shelf.Keys(ctx, cachePrefix)
	if err != nil {
		return nil, err
	}
	var peers []cachedPeer
	for _, key := range keys {
		p, err := c.read(ctx, key)
		if err != nil {
			return peers, err
		}
		peers = append(peers, p)
	}
	rank(peers)
	for len(peers) > cacheKeeps {
		worst := peers[len(peers)-1]
		peers = peers[:len(peers)-1]
		if parsed, err := parsePeering(worst.URI); err == nil {
			c.shelf.Delete(ctx, cachePrefix+parsed.uri)
		}
	}
	return peers, nil
}

func (c *cache) read(ctx context.Context, key string) (p cachedPeer, err error) {
	value, err := c.shelf.Value(ctx, key)
	if err != nil {
		return p, err
	}
	return p, json.Unmarshal(value, &p)
}
