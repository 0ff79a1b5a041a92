package relay

import (
	"context"
	"iter"

	"drey/mesh"
)

// A bareNode holds nothing, takes everything, and has the news that a test
// gives it.
type bareNode struct {
	news   chan *mesh.Record
	stored func(yield func(*mesh.Record, error) bool) // what Records yields to visitors; nil: nothing
}

func (n *bareNode) Receive(context.Context, *mesh.Event, mesh.Origin) error { return nil }
func (n *bareNode) Flush(context.Context) error                             { return nil }
func (n *bareNode) Topics() []mesh.Topic                                    { return mesh.BuiltinTopics() }
func (n *bareNode) Standing(mesh.PubKey) mesh.Standing                      { return mesh.Person }
func (n *bareNode) Changed() <-chan struct{}                                { return nil }
func (n *bareNode) Welcome(context.Context, mesh.PubKey) error              { return nil }

func (n *bareNode) Records(_ context.Context, _ mesh.Filter, v mesh.Viewer) iter.Seq2[*mesh.Record, error] {
	if v.Self || n.stored == nil {
		return func(func(*mesh.Record, error) bool) {}
	}
	return n.stored
}

func (n *bareNode) Watch(ctx context.Context, _ mesh.Filter, _ mesh.Viewer) iter.Seq2[*mesh.Record, error] {
	return func(yield func(*mesh.Record, error) bool) {
		for {
			select {
			case r := <-n.news:
				if !yield(r, nil) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}
