package bootstrap

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"drey/mesh"
)

const (
	diaryPrefix = "peer/"
	diaryKeeps  = 256 // peers remembered; the worst are forgotten
	diaryTries  = 10  // runs in vain after which an address, or a peer, is forgotten
)

// A kept is what is remembered of a peer from run to run. Each run writes a
// peer at most twice: when it first comes up, and when it first does not.
type kept struct {
	Node    string    `json:"node,omitempty"` // its key; "" when only an address is known
	Record  []byte    `json:"record,omitempty"`
	Places  []place   `json:"places,omitempty"`
	Wins    int       `json:"wins"`            // runs in which it came up
	Fails   int       `json:"fails,omitempty"` // runs since, in vain
	Last    time.Time `json:"last"`            // when it last came up, by a clock that may be wrong
	Transit bool      `json:"transit,omitempty"`
}

// A diary keeps peers on a shelf.
type diary struct {
	shelf mesh.Shelf // nil remembers nothing
}

// load returns the remembered peers by contact id, the best diaryKeeps of
// them; the others are forgotten, and so is what cannot be read.
func (d diary) load(ctx context.Context) (map[string]kept, error) {
	if d.shelf == nil {
		return nil, nil
	}
	keys, err := d.shelf.Keys(ctx, diaryPrefix)
	if err != nil {
		return nil, err
	}
	all := map[string]kept{}
	var order []string
	for _, key := range keys {
		b, err := d.shelf.Value(ctx, key)
		if errors.Is(err, mesh.ErrNotFound) {
			continue
		}
		if err != nil {
			return all, err
		}
		var k kept
		if json.Unmarshal(b, &k) != nil || k.Fails >= diaryTries {
			if err := d.shelf.Delete(ctx, key); err != nil {
				return all, err
			}
			continue
		}
		id := key[len(diaryPrefix):]
		all[id] = k
		order = append(order, id)
	}
	slices.SortFunc(order, func(a, b string) int {
		x, y := all[a], all[b]
		return cmp.Or(cmp.Compare(score(y.Wins, y.Fails), score(x.Wins, x.Fails)), y.Last.Compare(x.Last), cmp.Compare(a, b))
	})
	for _, id := range order[min(len(order), diaryKeeps):] {
		if err := d.forget(ctx, id); err != nil {
			return all, err
		}
		delete(all, id)
	}
	return all, nil
}

// keep writes a contact down.
func (d diary) keep(ctx context.Context, c *contact) error {
	if d.shelf == nil {
		return nil
	}
	k := kept{Wins: c.wins, Fails: c.fails, Last: c.last.UTC().Truncate(time.Second), Transit: c.transit}
	if c.node != (mesh.NodeKey{}) {
		k.Node = c.node.String()
	}
	if c.record != nil {
		k.Record = c.record.AppendBinary(nil)
	}
	for _, p := range c.places {
		if p.Fails < diaryTries {
			k.Places = append(k.Places, p)
		}
	}
	b, err := json.Marshal(k)
	if err != nil {
		return err
	}
	return d.shelf.Put(ctx, diaryPrefix+c.id, b)
}

func (d diary) forget(ctx context.Context, id string) error {
	if d.shelf == nil {
		return nil
	}
	return d.shelf.Delete(ctx, diaryPrefix+id)
}

// restore makes a contact of what was remembered. Its record's signature was
// checked when it was met; nobody else writes to the shelf.
func (k kept) restore(id string, now time.Time) *contact {
	c := &contact{id: id, places: k.Places, wins: k.Wins, fails: k.Fails, last: k.Last, transit: k.Transit, pause: pauseLeast, next: now}
	if k.Node != "" {
		node, err := mesh.ParseNodeKey(k.Node)
		if err != nil || k.Node != id {
			return nil
		}
		c.node = node
	}
	if k.Record != nil {
		r, err := mesh.ParsePeerRecord(k.Record)
		if err != nil || r.Node != c.node {
			return nil
		}
		c.record = r
	}
	c.places = slices.DeleteFunc(c.places, func(p place) bool {
		_, _, err := splitURI(p.URI)
		return err != nil || p.Fails >= diaryTries
	})
	return c
}
