package storetest

import (
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"

	"drey/mesh"
)

// A Clock is a time that tests set. Safe for concurrent use.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock that stands at now.
func NewClock(now time.Time) *Clock { return &Clock{now: now} }

// Now returns the time, as a store's clock does.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Add moves the clock.
func (c *Clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Author returns the n-th author of these tests. Stores do not check
// signatures, so no key stands behind it.
func Author(n int) mesh.PubKey {
	var k mesh.PubKey
	binary.BigEndian.PutUint64(k[:], uint64(n)+0xa0)
	return k
}

// Event makes an event without a valid signature.
func Event(t testing.TB, author, kind int, created int64, content string, tags ...[]string) *mesh.Event {
	t.Helper()
	e, err := mesh.NewEvent(Author(author), mesh.Signature{}, mesh.Draft{
		CreatedAt: mesh.Unix(created), Kind: mesh.Kind(kind), Tags: tags, Content: content,
	})
	if err != nil {
		t.Fatalf("event %q: %v", content, err)
	}
	return e
}

// Tag spells one tag.
func Tag(items ...string) []string { return items }

// Received wraps an event as the hub does.
func Received(e *mesh.Event, topic mesh.Topic, at time.Time) *mesh.Record {
	return &mesh.Record{Event: e, Topic: topic, Received: at, Carrier: "gossip"}
}

// Chat makes the n-th of a row of chat records of about 300 bytes, one second
// apart, by one of some authors.
func Chat(t testing.TB, n, authors int, from time.Time) *mesh.Record {
	t.Helper()
	at := from.Add(time.Duration(n) * time.Second)
	e := Event(t, n%authors, 1, at.Unix(),
		fmt.Sprintf("line %d: the bridge by the school is closed until the water goes down; the shop stays open, ask ana for the key, and bring candles for the hall tonight", n),
		Tag("t", "commons"), Tag("client", "drey"))
	return Received(e, mesh.TopicCommons, at)
}
