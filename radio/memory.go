package radio

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"drey/mesh"
	"drey/radio/meshtastic"
)

// protocol is the name of Meshtastic in a proxy tag (NIP-48).
const protocol = "meshtastic"

// A heardText is a text that came off the air.
type heardText struct {
	From    meshtastic.NodeNum
	ID      uint32
	Channel uint32
	Text    string // "" after a restart
	At      time.Time
}

// proxy names the packet on every gateway alike.
func (h heardText) proxy() string { return fmt.Sprintf("%s:%08x", h.From, h.ID) }

// lot is the packet's stand-in for an event id, to take turns by.
func (h heardText) lot() mesh.EventID { return sha256.Sum256([]byte(h.proxy())) }

// Bounds of the memory.
const (
	rememberFor = 24 * time.Hour
	maxHeard    = 2048
	heardPrefix = "heard/"
)

// A memory knows the texts heard within the last day, across restarts. Safe
// for concurrent use.
type memory struct {
	clock func() time.Time // immutable

	mu struct {
		sync.Mutex
		byName map[string]*heardEntry
		order  []*heardEntry // oldest first
		forgot []string      // names to be removed from the shelf
	}
}

type heardEntry struct {
	heardText
	event  mesh.EventID // what it became, or was all along
	ours   bool         // we made that event: it is a translation
	marked bool         // event is known
}

// loadMemory reads back what was heard before a restart.
func loadMemory(ctx context.Context, shelf mesh.Shelf, clock func() time.Time) (*memory, error) {
	m := &memory{clock: clock}
	m.mu.byName = make(map[string]*heardEntry)
	keys, err := shelf.Keys(ctx, heardPrefix)
	if err != nil {
		return nil, fmt.Errorf("list the texts heard: %w", err)
	}
	for _, key := range keys {
		v, err := shelf.Value(ctx, key)
		if err != nil {
			return nil, fmt.Errorf("read a text heard: %w", err)
		}
		h, err := decodeHeard(strings.TrimPrefix(key, heardPrefix), v)
		if err != nil {
			m.mu.forgot = append(m.mu.forgot, key)
			continue
		}
		e := &heardEntry{heardText: h}
		m.mu.byName[h.proxy()] = e
		m.mu.order = append(m.mu.order, e)
	}
	slices.SortFunc(m.mu.order, func(a, b *heardEntry) int { return a.At.Compare(b.At) })
	return m, nil
}

// encode writes what the shelf keeps of a text: the time in Unix seconds, as
// uint64, big endian, and the channel.
func (h heardText) encode() []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(h.At.Unix())), byte(h.Channel))
}

func decodeHeard(name string, v []byte) (heardText, error) {
	var h heardText
	if len(v) != 9 {
		return h, fmt.Errorf("%d bytes, want 9", len(v))
	}
	if _, err := fmt.Sscanf(name, "!%08x:%08x", (*uint32)(&h.From), &h.ID); err != nil || h.proxy() != name {
		return h, fmt.Errorf("name %q", name)
	}
	h.At = time.Unix(int64(binary.BigEndian.Uint64(v)), 0)
	h.Channel = uint32(v[8])
	return h, nil
}

// add remembers a text and reports whether it is new.
func (m *memory) add(h heardText) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forgetLocked()
	if _, ok := m.mu.byName[h.proxy()]; ok {
		return false
	}
	e := &heardEntry{heardText: h}
	m.mu.byName[h.proxy()] = e
	m.mu.order = append(m.mu.order, e)
	return true
}

// forgetLocked drops what is older than a day, and the oldest beyond the bound.
func (m *memory) forgetLocked() {
	now := m.clock()
	for len(m.mu.order) > 0 {
		oldest := m.mu.order[0]
		if len(m.mu.order) < maxHeard && now.Sub(oldest.At) <= rememberFor {
			return
		}
		m.mu.order = m.mu.order[1:]
		delete(m.mu.byName, oldest.proxy())
		m.mu.forgot = append(m.mu.forgot, heardPrefix+oldest.proxy())
	}
}

// has reports whether a text heard within the last day is as f says.
func (m *memory) has(f func(heardText) bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(m.mu.order, func(e *heardEntry) bool { return f(e.heardText) })
}

// forgotten returns the shelf's keys that are no longer needed, once.
func (m *memory) forgotten() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	keys := m.mu.forgot
	m.mu.forgot = nil
	return keys
}

// knows reports whether a translated text's origin was heard here, on the
// channel, within a day.
func (m *memory) knows(p mesh.Proxy, channel uint32) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.mu.byName[p.ID]
	return ok && p.Protocol == protocol && e.Channel == channel && m.clock().Sub(e.At) <= rememberFor
}

// recent returns the texts heard on a channel under one of the names.
func (m *memory) recent(channel uint32, names map[uint32]int) []heardText {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []heardText
	for _, e := range m.mu.order {
		if _, ok := names[e.ID]; ok && e.Channel == channel && e.Text != "" {
			list = append(list, e.heardText)
		}
	}
	return list
}

// recognised notes that a text was an event of the community all along. It
// returns the translation that we made of it, if we did.
func (m *memory) recognised(h heardText) (translation mesh.EventID, made bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.mu.byName[h.proxy()]
	if !ok {
		return mesh.EventID{}, false
	}
	translation, made = e.event, e.ours
	e.ours = false
	return translation, made
}

// became notes the event that stands for a text; ours tells that we made it.
func (m *memory) became(h heardText, event mesh.EventID, ours bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, ok := m.mu.byName[h.proxy()]; ok {
		e.event, e.ours, e.marked = event, ours, true
	}
}

// eventOf returns the event that stands for a packet.
func (m *memory) eventOf(channel, id uint32) (mesh.EventID, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range slices.Backward(m.mu.order) {
		if e.ID == id && e.Channel == channel && e.marked {
			return e.event, true
		}
	}
	return mesh.EventID{}, false
}
