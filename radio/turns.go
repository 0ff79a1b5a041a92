package radio

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"drey/mesh"
	"drey/radio/meshtastic"
)

// A colleague is another gateway on this ether.
type colleague struct {
	at     time.Time
	misses int // times that it let us go first although it was its turn
}

// pause returns how long to listen before saying o. Gateways that know each
// other take turns: who is first for an event follows from a hash that all
// compute alike, and each waits a slot longer than the one before it, long
// enough to hear it. Gateways that do not know each other yet leave it to
// chance. After a crash the first attempt may still be on the air.
func (b *outbox) pause(now time.Time, o *outgoing) time.Duration {
	slot := b.slot(o)
	jitter := b.fast(time.Duration(b.random.Int64N(int64(300 * time.Millisecond))))
	rank, known := b.rank(now, o.d.Event.ID())
	var p time.Duration
	switch {
	case known:
		p = b.fast(200*time.Millisecond) + jitter + time.Duration(rank)*slot
	case o.d.Priority == mesh.Emergency:
		p = jitter + time.Duration(b.random.Int64N(int64(slot/2)))
	default:
		p = jitter + time.Duration(b.random.Int64N(int64(slot+slot/2)))
	}
	if o.d.Attempt > 1 {
		p += 2 * slot
	}
	return p
}

// slot is how long it takes until a colleague that has begun is heard: its
// radio waits for silence, sends, and another may have to repeat it.
func (b *outbox) slot(o *outgoing) time.Duration {
	longest := 0
	for _, p := range o.parts {
		longest = max(longest, len(p))
	}
	return b.fast(1500*time.Millisecond + 2*b.airtime(longest))
}

// fast shortens a pause where the ether is faster than life.
func (b *outbox) fast(d time.Duration) time.Duration { return time.Duration(float64(d) / b.tempo) }

// colleagueFor is how long a colleague that is not heard is counted on.
const (
	colleagueFor  = 24 * time.Hour
	maxMisses     = 3
	maxColleagues = 32
)

// rank returns our place in the order for an event, from 0, and whether any
// colleague is known.
func (b *outbox) rank(now time.Time, id mesh.EventID) (rank int, known bool) {
	mine := turn(id, b.num)
	for num, c := range b.colleagues {
		if now.Sub(c.at) > colleagueFor || c.misses >= maxMisses {
			delete(b.colleagues, num)
			continue
		}
		known = true
		if turn(id, num) < mine {
			rank++
		}
	}
	return rank, known
}

// turn is a gateway's lot for an event; the lowest goes first.
func turn(id mesh.EventID, num meshtastic.NodeNum) uint64 {
	sum := sha256.Sum256(binary.BigEndian.AppendUint32(append([]byte("turn"), id[:]...), uint32(num)))
	return binary.BigEndian.Uint64(sum[:])
}

// meet notes that a colleague said something of ours.
func (b *outbox) meet(now time.Time, num meshtastic.NodeNum) {
	if num == b.num {
		return
	}
	if _, ok := b.colleagues[num]; !ok && len(b.colleagues) >= maxColleagues {
		return
	}
	b.colleagues[num] = &colleague{at: now}
}

// missed notes the colleagues that should have said o before us.
func (b *outbox) missed(o *outgoing) {
	mine := turn(o.d.Event.ID(), b.num)
	for num, c := range b.colleagues {
		if turn(o.d.Event.ID(), num) < mine {
			c.misses++
		}
	}
}
