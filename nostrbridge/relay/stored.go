package relay

import (
	"context"
	"iter"
	"maps"

	"drey/mesh"
)

// stored yields what the store has of several filters, once each, newest first
// (NIP-01: by created_at falling, then by id). Limited says whether each
// filter's limit counts.
func (c *conn) stored(ctx context.Context, filters []*filter, limited bool) iter.Seq2[*mesh.Record, error] {
	var lists []iter.Seq2[*mesh.Record, error]
	for _, f := range filters {
		lists = append(lists, c.one(ctx, f, limited))
	}
	return merge(lists)
}

// merge yields the records of several lists, each newest first, in that order
// and once.
func merge(lists []iter.Seq2[*mesh.Record, error]) iter.Seq2[*mesh.Record, error] {
	if len(lists) == 1 {
		return lists[0]
	}
	return func(yield func(*mesh.Record, error) bool) {
		var heads []*head
		for _, list := range lists {
			next, stop := iter.Pull2(list)
			defer stop()
			heads = append(heads, &head{next: next})
		}
		var last mesh.EventID
		for {
			var first *head
			for _, h := range heads {
				if err := h.fill(); err != nil {
					yield(nil, err)
					return
				}
				if h.rec != nil && (first == nil || newer(h.rec.Event, first.rec.Event)) {
					first = h
				}
			}
			if first == nil {
				return
			}
			r := first.rec
			first.rec = nil
			if r.Event.ID() == last {
				continue // equal ones come one after the other
			}
			last = r.Event.ID()
			if !yield(r, nil) {
				return
			}
		}
	}
}

// A head is the next record of one filter.
type head struct {
	next func() (*mesh.Record, error, bool)
	rec  *mesh.Record
	dry  bool
}

func (h *head) fill() error {
	if h.rec != nil || h.dry {
		return nil
	}
	r, err, ok := h.next()
	if err != nil {
		return err
	}
	h.rec, h.dry = r, !ok
	return nil
}

func newer(a, b *mesh.Event) bool {
	if a.CreatedAt() != b.CreatedAt() {
		return a.CreatedAt() > b.CreatedAt()
	}
	return compare(a.ID(), b.ID()) < 0
}

// one yields what the store has of one filter.
func (c *conn) one(ctx context.Context, f *filter, limited bool) iter.Seq2[*mesh.Record, error] {
	return func(yield func(*mesh.Record, error) bool) {
		if f.empty() || limited && f.limit == 0 {
			return
		}
		v := c.look().viewer
		var lists []iter.Seq2[*mesh.Record, error]
		for _, q := range queries(f, v) {
			lists = append(lists, c.front.node.Records(ctx, q, v))
		}
		if lists == nil {
			return
		}
		n := 0
		for r, err := range merge(lists) {
			if err != nil {
				yield(nil, err)
				return
			}
			if !f.matches(r.Event) {
				continue
			}
			if !yield(r, nil) {
				return
			}
			if n++; limited && n == f.limit {
				return
			}
		}
	}
}

// queries returns what to ask the store for: of everything that the filter
// chooses, what v may see at all. The archive leaves out the rest by itself, but
// it would have to look at all of it.
func queries(f *filter, v mesh.Viewer) []mesh.Filter {
	var all []mesh.Filter
	if !f.private() {
		q := f.query()
		if !v.Member {
			q.Topics = v.Topics
		}
		if v.Member || len(v.Topics) > 0 {
			all = append(all, q)
		}
		if v.Member {
			return all
		}
	}
	if len(v.Keys) > 0 {
		q := f.query()
		q.Topics = []mesh.Topic{mesh.TopicMail}
		var own []string
		for _, k := range v.Keys {
			if f.reaches([]mesh.PubKey{k}) {
				own = append(own, k.String())
			}
		}
		q.Tags = maps.Clone(q.Tags)
		if q.Tags == nil {
			q.Tags = make(map[string][]string)
		}
		q.Tags["p"] = append([]string{}, own...)
		all = append(all, q)
	}
	return all
}
