package mail

import (
	"sync"

	"drey/mesh"
)

// maxConversations is how many keys are remembered; a community's machines are
// fewer, and a forgotten one costs 0.1 ms.
const maxConversations = 256

// conversations remembers what this node's key has in common with others', as
// every letter is tried with its author's.
type conversations struct {
	key *mesh.SecretKey // immutable
	mu  struct {
		sync.Mutex
		by map[mesh.PubKey]mesh.Conversation
	}
}

func newConversations(key *mesh.SecretKey) *conversations {
	c := &conversations{key: key}
	c.mu.by = make(map[mesh.PubKey]mesh.Conversation)
	return c
}

func (c *conversations) with(other mesh.PubKey) (mesh.Conversation, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k, ok := c.mu.by[other]; ok {
		return k, nil
	}
	k, err := c.key.Conversation(other)
	if err != nil {
		return k, err
	}
	if len(c.mu.by) >= maxConversations {
		clear(c.mu.by)
	}
	c.mu.by[other] = k
	return k, nil
}
