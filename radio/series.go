package radio

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"drey/mesh"
	"drey/radio/air"
	"drey/radio/meshtastic"
)

// Long events travel as sets of fragments (see air.Set). What a restart would
// lose stands on the shelf: fragments that came in, and how far sets are out.
const (
	fragmentPrefix = "air/fragment/" // + set in hexadecimal "/" index: the payload
	seriesPrefix   = "air/series/"   // + set in hexadecimal: event id, then fragments sent, uint16
	maxSeries      = 16              // sets that we can send more of
	seriesFor      = 6 * time.Hour
	maxResumed     = 64 // sets from before a restart; others are forgotten
)

// A series is a set that was sent, or heard whole, and that more may be asked
// of.
type series struct {
	set     *air.Set
	item    air.Item
	viaMQTT bool
	ours    bool // we sent it
	at      time.Time

	priority mesh.Priority // that it was said with
}

// fragment takes in one fragment.
func (d *desk) fragment(ctx context.Context, now time.Time, f heardFrame) {
	whole, err := d.assembly.Add(f.payload, now)
	if err != nil {
		d.c.refuse(err)
		return
	}
	set, index := air.SetID(f.payload[1:7]), int(f.payload[7])
	d.tell(ctx, func(o *owner, now time.Time) { o.heardFragment(now, set, f.payload, f.from) })
	if whole == nil {
		key := fmt.Sprintf("%s%s/%d", fragmentPrefix, set, index)
		if err := d.c.cfg.Shelf.Put(ctx, key, f.payload); err != nil && ctx.Err() == nil {
			d.c.log.Warn("radio's books not kept", "err", err)
		}
		d.stored[set] = true
		d.sweepFragments(ctx)
		return
	}
	d.forgetFragments(ctx, set)
	r, err := d.codec.UnpackWhole(whole)
	if err != nil {
		d.c.refuse(err)
		return
	}
	d.c.count(func(s *Status) { s.Signed.Checks += uint64(r.Work.Checks); s.Signed.Series++ })
	d.take(ctx, now, f.from, r.Items)
}

// sweepFragments takes from the shelf what the assembly has given up.
func (d *desk) sweepFragments(ctx context.Context) {
	for set := range d.stored {
		if !d.assembly.Holds(set) {
			d.forgetFragments(ctx, set)
		}
	}
}

func (d *desk) forgetFragments(ctx context.Context, set air.SetID) {
	delete(d.stored, set)
	keys, err := d.c.cfg.Shelf.Keys(ctx, fragmentPrefix+set.String()+"/")
	if err != nil {
		return
	}
	for _, k := range keys {
		_ = d.c.cfg.Shelf.Delete(ctx, k)
	}
}

// loadFragments goes on with the sets that were not complete before a restart.
func (d *desk) loadFragments(ctx context.Context) error {
	keys, err := d.c.cfg.Shelf.Keys(ctx, fragmentPrefix)
	if err != nil {
		return fmt.Errorf("list the fragments heard: %w", err)
	}
	now := time.Now()
	for i, k := range keys {
		if i >= maxStored {
			_ = d.c.cfg.Shelf.Delete(ctx, k)
			continue
		}
		v, err := d.c.cfg.Shelf.Value(ctx, k)
		if err != nil {
			return fmt.Errorf("read a fragment: %w", err)
		}
		if whole, err := d.assembly.Add(v, now); err != nil || whole != nil {
			_ = d.c.cfg.Shelf.Delete(ctx, k)
		}
	}
	// Sets that were given up leave their fragments behind.
	kept := make(map[string]bool)
	for _, p := range d.assembly.Fragments() {
		set := air.SetID(p[1:7])
		kept[set.String()], d.stored[set] = true, true
	}
	for _, k := range keys {
		set, _, _ := strings.Cut(strings.TrimPrefix(k, fragmentPrefix), "/")
		if !kept[set] {
			_ = d.c.cfg.Shelf.Delete(ctx, k)
		}
	}
	return nil
}

// maxNacks is how many frames that ask for fragments go in an hour: each asks for
// all sets that lack some, and who invents sets shall not use up the others' air.
const maxNacks = 30

// maxStored bounds the fragments that are read back.
const maxStored = air.MaxSets * (air.MaxFragments + 8)

// askForFragments asks for what sets lack and returns when to ask next.
func (d *desk) askForFragments(ctx context.Context, now time.Time) time.Time {
	due := d.assembly.Wake()
	if due.IsZero() || due.After(now) {
		return due
	}
	d.sweepFragments(ctx)
	if !d.nacks.allow(now, time.Hour/maxNacks, maxNacks) {
		return now.Add(time.Hour / maxNacks)
	}
	if due := d.assembly.Due(now); len(due) > 0 {
		d.c.count(func(s *Status) { s.Signed.Nacks++ })
		d.say(ctx, mesh.Chat, now, air.Nack{Sets: due}, nil, nil)
	}
	return d.assembly.Wake()
}

// nacked takes in that somebody lacks fragments.
func (d *desk) nacked(ctx context.Context, m air.Missing) {
	var found *series
	if v, err := d.c.cfg.Shelf.Value(ctx, seriesPrefix+m.Set.String()); err == nil && len(v) == 34 {
		if r, err := d.c.cfg.Archive.Record(ctx, mesh.EventID(v[:32]), mesh.Self); err == nil {
			it := air.Item{Event: r.Event, Topic: r.Topic}
			if set, err := d.codec.Split(it); err == nil && set.ID() == m.Set {
				set.Resume(int(binary.BigEndian.Uint16(v[32:])), 0)
				found = &series{set: set, item: it, viaMQTT: d.c.cfg.Internet(r), priority: mesh.Chat, ours: true}
			}
		}
	}
	d.tell(ctx, func(o *owner, now time.Time) { o.nacked(now, m, found) })
}

// loadSeries reads back how far sets were out before a restart.
func loadSeries(ctx context.Context, shelf mesh.Shelf) (map[air.SetID]int, error) {
	keys, err := shelf.Keys(ctx, seriesPrefix)
	if err != nil {
		return nil, fmt.Errorf("list the fragments sent: %w", err)
	}
	sent := make(map[air.SetID]int)
	for _, k := range keys {
		if len(sent) >= maxResumed {
			if err := shelf.Delete(ctx, k); err != nil {
				return nil, fmt.Errorf("forget the fragments sent: %w", err)
			}
			continue
		}
		v, err := shelf.Value(ctx, k)
		if err != nil {
			return nil, fmt.Errorf("read the fragments sent: %w", err)
		}
		var id air.SetID
		if n, err := hex.Decode(id[:], []byte(strings.TrimPrefix(k, seriesPrefix))); err == nil && n == len(id) && len(v) == 34 {
			sent[id] = int(binary.BigEndian.Uint16(v[32:]))
		}
	}
	return sent, nil
}

// keep remembers a set that more may be asked of.
func (o *owner) keep(now time.Time, s *series) {
	s.at = now
	for id, old := range o.series {
		if now.Sub(old.at) > seriesFor {
			o.forgetSeries(id)
		}
	}
	if _, known := o.series[s.set.ID()]; !known && len(o.series) >= maxSeries {
		var oldest air.SetID
		var at time.Time
		for id, old := range o.series {
			if at.IsZero() || old.at.Before(at) {
				oldest, at = id, old.at
			}
		}
		o.forgetSeries(oldest)
	}
	o.series[s.set.ID()] = s
}

func (o *owner) forgetSeries(id air.SetID) {
	delete(o.series, id)
	o.keeper.delete(seriesPrefix + id.String())
}

// progress writes down how far a set is out.
func (o *owner) progress(out *outgoing) {
	id := out.event.ID()
	v := binary.BigEndian.AppendUint16(id[:], uint16(min(out.set.Sent(), 1<<16-1)))
	o.keeper.put(seriesPrefix+out.set.ID().String(), v)
}

// nacked sends more of a set. Whoever sent it is first; others who can help
// only when nothing comes.
func (o *owner) nacked(now time.Time, m air.Missing, found *series) {
	s := o.series[m.Set]
	if s == nil && found != nil {
		s = found
		o.keep(now, s)
	}
	if s == nil {
		return
	}
	s.at = now
	if s.ours {
		o.loss.Observe(int(m.Count), s.set.Sent())
	}
	if !s.set.Nacked(int(m.Count)) {
		return
	}
	for _, w := range o.out.waiting() {
		if w.set == s.set {
			return // it goes on anyway
		}
	}
	for _, f := range o.out.flying {
		if f.o.set == s.set {
			return
		}
	}
	out := &outgoing{
		event: s.item.Event, topic: s.item.Topic, signed: true, set: s.set, viaMQTT: s.viaMQTT, attempt: 1,
		priority: min(s.priority, mesh.Chat), channel: o.signedTarget(), repair: true,
	}
	out.due = now.Add(o.out.fast(time.Second))
	if !s.ours {
		rank, _ := o.out.rankSigned(now, out.lot())
		out.due = now.Add(o.out.fast(takeOver * time.Duration(1+rank)))
	}
	o.out.add(now, out)
}

// heardFragment takes in that a colleague sends a set that waits here too: it
// is left to them, and what they leave is gone on with.
func (o *owner) heardFragment(now time.Time, set air.SetID, payload []byte, from meshtastic.NodeNum) {
	for _, w := range o.out.waiting() {
		if w.set == nil || w.set.ID() != set || !w.set.Heard(payload) {
			continue
		}
		o.out.meet(now, from, false)
		if w.repair {
			continue // one less of those that we would send
		}
		w.heard = from
		rank, _ := o.out.rankSigned(now, w.lot())
		w.due = later(w.due, now.Add(o.out.fast(takeOver*time.Duration(1+rank))+2*o.out.airtime(w.set.Size())))
	}
}
