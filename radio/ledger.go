package radio

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"drey/mesh"
)

// airtimeKey is where the governor's books stand on the shelf:
//
//	version  byte 2
//	at       int64, Unix milliseconds
//	debts    5 × uint32, milliseconds, by priority
//	last     int64, the newest minute since 1970
//	spent    61 × uint32, milliseconds, by minute, the newest first
//
// all big endian. Books of the first version, 16 bytes, are debts of chat.
const (
	airtimeKey     = "airtime"
	airtimeVersion = 2
	airtimeSize    = 1 + 8 + 4*len(shareOf) + 8 + 4*61
)

// encode writes the books; ahead is how much the clock of the day is ahead of the
// time that they are kept by.
func (g *governor) encode(ahead time.Duration) []byte {
	b := append(make([]byte, 0, airtimeSize), airtimeVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(max(g.at.Add(ahead).UnixMilli(), 0)))
	for _, d := range g.debts {
		b = binary.BigEndian.AppendUint32(b, uint32(d.Milliseconds()))
	}
	last := g.law.last
	if ahead.Abs() >= time.Minute {
		last = max(last+int64(math.Ceil(ahead.Minutes())), 0)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(last))
	for age := range int64(len(g.law.spent)) {
		v := time.Duration(0)
		if g.law.last >= age {
			v = *g.law.slot(g.law.last - age)
		}
		b = binary.BigEndian.AppendUint32(b, uint32(v.Milliseconds()))
	}
	return b
}

// decode reads books. What no hour can hold is clamped to an hour.
func (g *governor) decode(b []byte) error {
	ms := func(b []byte) time.Duration {
		return min(time.Duration(binary.BigEndian.Uint32(b))*time.Millisecond, window)
	}
	switch {
	case len(b) == 16:
		g.debts[mesh.Chat] = min(time.Duration(min(binary.BigEndian.Uint64(b), 1<<32))*time.Millisecond, window)
		g.at = time.Unix(int64(binary.BigEndian.Uint64(b[8:])), 0)
		return nil
	case len(b) != airtimeSize || b[0] != airtimeVersion:
		return fmt.Errorf("%d bytes of version %d, want %d of version %d", len(b), append(b, 0)[0], airtimeSize, airtimeVersion)
	}
	b = b[1:]
	g.at = time.UnixMilli(int64(binary.BigEndian.Uint64(b)))
	b = b[8:]
	for p := range g.debts {
		g.debts[p] = ms(b)
		b = b[4:]
	}
	last := int64(binary.BigEndian.Uint64(b))
	if last < 0 || last > 1<<33 {
		return fmt.Errorf("minute %d is no time", last)
	}
	g.law = minutes{last: last}
	b = b[8:]
	for age := range int64(len(g.law.spent)) {
		if last >= age {
			*g.law.slot(last - age) = min(ms(b), time.Minute)
		}
		b = b[4:]
	}
	return nil
}

// load reads the books back after a restart. Books that cannot be read count
// as a budget that is spent: the air is not the owner's to take twice.
func (g *governor) load(ctx context.Context, shelf mesh.Shelf, now time.Time) (fault, err error) {
	v, err := shelf.Value(ctx, airtimeKey)
	if errors.Is(err, mesh.ErrNotFound) {
		g.at = now
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the airtime spent: %w", err)
	}
	if fault = g.decode(v); fault != nil {
		*g = governor{share: g.share, legal: g.legal, at: now}
		g.debts[mesh.Chat] = g.budget()
		g.law.add(now, g.budget())
	}
	return fault, nil
}

// steady returns a time that begins with the clock and goes on by itself: who sets
// the clock afterwards, as a machine does that has just learnt the time, forgives
// no airtime.
func steady(clock func() time.Time) func() time.Time {
	first, began := clock().Round(0), time.Now()
	return func() time.Time { return first.Add(time.Since(began)) }
}
