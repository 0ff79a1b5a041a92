package hub

import (
	"fmt"
	"slices"
	"sync"

	"drey/mesh"
)

// maxTopics bounds how many topics members can register: each costs gossip a
// mesh of neighbours.
const maxTopics = 1024

// authorTopics is how many of them one author can register, so that nobody uses
// them up.
const authorTopics = maxTopics / 4

// topics knows which topics exist. Safe for concurrent use.
type topics struct {
	mu struct {
		sync.RWMutex
		known   map[mesh.Topic]bool
		by      map[mesh.PubKey]int // how many each author registered first
		sorted  []mesh.Topic        // nil after a change
		changed chan struct{}
	}
}

func newTopics() *topics {
	t := &topics{}
	t.mu.known = make(map[mesh.Topic]bool)
	t.mu.by = make(map[mesh.PubKey]int)
	for _, b := range mesh.BuiltinTopics() {
		t.mu.known[b] = true
	}
	t.mu.changed = make(chan struct{})
	return t
}

func (t *topics) has(name mesh.Topic) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.mu.known[name]
}

// mayAdd reports whether there is room for one more by an author.
func (t *topics) mayAdd(author mesh.PubKey) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.mu.known) < maxTopics && t.mu.by[author] < authorTopics
}

func (t *topics) add(name mesh.Topic, author mesh.PubKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.known[name] {
		return
	}
	t.mu.known[name] = true
	t.mu.by[author]++
	t.mu.sorted = nil
	close(t.mu.changed)
	t.mu.changed = make(chan struct{})
}

func (t *topics) list() []mesh.Topic {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.sorted == nil {
		for n := range t.mu.known {
			t.mu.sorted = append(t.mu.sorted, n)
		}
		slices.Sort(t.mu.sorted)
	}
	return slices.Clone(t.mu.sorted)
}

func (t *topics) changes() <-chan struct{} {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.mu.changed
}

// registered returns the topic that a registry event names.
func registered(e *mesh.Event) (mesh.Topic, error) {
	d, _ := e.Tag("d")
	t, err := mesh.ParseTopic(d)
	if err != nil {
		return "", fmt.Errorf("registers %w", err)
	}
	return t, nil
}

// fixedTopic returns the one topic that events of e's kind can be in; false for
// kinds that people put where they like.
func fixedTopic(e *mesh.Event) (mesh.Topic, bool) {
	t, _ := mesh.TopicFor(e, noTopic, noParent)
	return t, t != mesh.TopicCommons
}

func noTopic(mesh.Topic) bool                  { return false }
func noParent(mesh.EventID) (mesh.Topic, bool) { return "", false }
