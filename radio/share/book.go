package share

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"time"

	"drey/radio/meshtastic"
)

// A book is what the radio told about itself, in its order and its own bytes.
type book struct {
	self   meshtastic.NodeNum
	told   []entry                       // all but other radios; nil until the first account is complete
	nodes  map[meshtastic.NodeNum][]byte // NodeInfo messages, the radio's own too
	order  []meshtastic.NodeNum          // of nodes
	coming []entry                       // the account that is not complete yet
	new    []meshtastic.NodeNum          // radios in it, in its order
	infos  map[meshtastic.NodeNum][]byte // and what it says of them
	sum    [sha256.Size]byte             // of told
}

// An entry is one message of the account.
type entry struct {
	raw  []byte // a FromRadio
	m    *meshtastic.FromRadio
	self bool // the place of the radio's own NodeInfo
}

// Bounds of the account: what a real radio tells is far below.
const (
	maxEntries = 256
	maxNodes   = 2000
)

func (b *book) begin() {
	b.coming, b.new, b.infos = nil, nil, make(map[meshtastic.NodeNum][]byte)
}

func (b *book) learn(raw []byte, m *meshtastic.FromRadio) {
	switch {
	case m.ConfigCompleteID != 0, m.Packet != nil, m.QueueStatus != nil, m.Log != nil, m.Notification != nil, m.Rebooted:
		return
	case m.NodeInfo != nil:
		info, ok, err := meshtastic.Inner(raw, 4)
		if !ok || err != nil || b.infos == nil {
			return
		}
		if b.infos[m.NodeInfo.Num] == nil {
			if len(b.new) >= maxNodes {
				return
			}
			b.new = append(b.new, m.NodeInfo.Num)
			if m.NodeInfo.Num == b.self {
				b.coming = append(b.coming, entry{self: true})
			}
		}
		b.infos[m.NodeInfo.Num] = info
		return
	case m.MyInfo != nil:
		b.self = m.MyInfo.NodeNum
	}
	if len(b.coming) < maxEntries {
		b.coming = append(b.coming, entry{raw: bytes.Clone(raw), m: m})
	}
}

// complete takes the new account for the valid one and reports whether the
// settings in it are others than before.
func (b *book) complete() (changed bool) {
	if b.coming == nil {
		return false
	}
	h := sha256.New()
	for _, e := range b.coming {
		if rest, err := meshtastic.WithID(e.raw, 0); err == nil && e.m != nil && e.m.MyInfo == nil {
			h.Write(rest)
		}
	}
	sum := [sha256.Size]byte(h.Sum(nil))
	changed = b.told != nil && sum != b.sum
	b.told, b.sum, b.nodes, b.order = b.coming, sum, b.infos, b.new
	b.begin()
	return changed
}

// replay lists the answer to want_config as a client of the scope may see it,
// each without an id; nil while the radio has not told anything yet.
func (b *book) replay(nonce uint32, scope Scope) [][]byte {
	if b.told == nil {
		return nil
	}
	var list [][]byte
	info := func(num meshtastic.NodeNum) {
		if n := b.nodes[num]; n != nil {
			raw, _ := meshtastic.WithBytes(nil, 4, n)
			list = append(list, raw)
		}
	}
	if nonce == meshtastic.NonceNodesOnly {
		info(b.self)
	}
	for _, e := range b.told {
		switch {
		case nonce == meshtastic.NonceNodesOnly:
		case e.self:
			info(b.self)
		case scope == Network:
			list = append(list, meshtastic.AppendFromRadio(nil, withoutSecrets(e.m)))
		default:
			list = append(list, e.raw)
		}
	}
	if nonce != meshtastic.NonceConfigOnly {
		for _, num := range b.order {
			if num != b.self {
				info(num)
			}
		}
	}
	return append(list, meshtastic.AppendFromRadio(nil, &meshtastic.FromRadio{ConfigCompleteID: nonce}))
}

// heard keeps the radios that clients will be told of up to date, as the radio
// itself does in its own memory.
func (b *book) heard(p *meshtastic.Packet) {
	if p.From == 0 || p.Data == nil || b.nodes == nil {
		return
	}
	old := b.nodes[p.From]
	if old == nil {
		if len(b.order) >= maxNodes {
			return
		}
		b.order = append(slices.Clip(b.order), p.From)
		old = meshtastic.AppendNodeInfo(nil, &meshtastic.NodeInfo{Num: p.From})
	}
	n := old
	set := func(next []byte, err error) {
		if err == nil {
			n = next
		}
	}
	if p.From != b.self {
		at := p.RxTime
		if at == 0 {
			at = uint32(time.Now().Unix())
		}
		set(meshtastic.WithFixed(n, 5, at))
	}
	switch p.Data.Port {
	case meshtastic.PortNodeInfo:
		if u, err := meshtastic.ParseUser(p.Data.Payload); err == nil && !otherKey(old, u) {
			set(meshtastic.WithBytes(n, 2, p.Data.Payload))
		}
	case meshtastic.PortPosition:
		if at, err := meshtastic.ParsePosition(p.Data.Payload); err == nil && at.Known {
			set(meshtastic.WithBytes(n, 3, p.Data.Payload))
		}
	case meshtastic.PortTelemetry:
		if metrics, ok, err := meshtastic.Inner(p.Data.Payload, 2); ok && err == nil {
			set(meshtastic.WithBytes(n, 6, metrics))
		}
	}
	b.nodes[p.From] = n
}

// otherKey reports whether a radio's number comes with another key than is
// known for it: then somebody else may be using it, and what he says of himself
// is not believed.
func otherKey(info []byte, u *meshtastic.User) bool {
	user, ok, err := meshtastic.Inner(info, 2)
	if err != nil || !ok {
		return false
	}
	known, err := meshtastic.ParseUser(user)
	return err == nil && len(known.PublicKey) > 0 && !bytes.Equal(known.PublicKey, u.PublicKey)
}
