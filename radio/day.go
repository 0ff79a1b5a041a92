package radio

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"drey/mesh"
)

// Of the last day's diary.
const (
	// DaySlot is how long one slot of a Day is.
	DaySlot = 5 * time.Minute
	// DaySlots is how many slots a Day has.
	DaySlots = int(24 * time.Hour / DaySlot)

	// dayKeep is how often the diary is written down: a crash loses no more, and
	// a card is written 96 times a day, with less than 2 kB each.
	dayKeep = 15 * time.Minute
)

// dayKey is where the diary stands on the shelf:
//
//	version byte 1
//	last    int64, the newest slot since 1970, big endian
//	slots   288 × 6 bytes, the newest first:
//	        use   byte   of the channel in half per cent, 0 to 200; 255 when not measured
//	        snr   int8   quarter decibels, the mean of what was heard; -128 when nothing was
//	        heard uint16 packets, big endian
//	        air   uint16 of our own in hundredths of a second, big endian
const (
	dayKey     = "day"
	dayVersion = 1
	daySize    = 1 + 8 + 6*DaySlots

	noUse = 255
	noSNR = -128
)

// A DayStatus is what was measured on the air in the last 24 hours.
type DayStatus struct {
	End   time.Time    // of the newest slot, which may lie ahead by up to DaySlot
	Slots []SlotStatus // DaySlots of them, the oldest first
}

// A SlotStatus is what was measured within one DaySlot.
type SlotStatus struct {
	Use   float64       // of the channel by everybody, 0 to 1, as the radio measured it; negative when it did not
	Air   time.Duration // this gateway was on the air
	Heard int           // packets of others
	SNR   float64       // decibels, the mean over Heard; NaN when nothing was heard
}

// A day keeps the diary of the last 24 hours in a ring. Safe for concurrent use.
type day struct {
	mu struct {
		sync.Mutex
		last  int64 // the newest slot, since 1970
		slots [DaySlots]slot
		kept  time.Time // when it was last written down
		dirty bool
	}
}

type slot struct {
	use   byte
	uses  uint16 // measurements that use is the mean of; not kept
	heard uint16
	snr   float32 // decibels, mean over heard
	air   time.Duration
	used  bool
}

func newDay() *day { return new(day) }

// atLocked returns the slot of now. A clock that went back, or that has just
// learnt the time, moves what was written along; one that went ahead leaves a
// gap.
func (d *day) atLocked(now time.Time) *slot {
	at := max(now.Unix(), 0) / int64(DaySlot/time.Second)
	switch ahead := at - d.mu.last; {
	case ahead < 0, ahead >= int64(DaySlots) && d.mu.last < firstClock.Unix()/int64(DaySlot/time.Second):
		old := d.mu.slots
		for age := range int64(DaySlots) {
			d.mu.slots[ring(at-age)] = old[ring(d.mu.last-age)]
		}
	case ahead >= int64(DaySlots):
		d.mu.slots = [DaySlots]slot{}
	default:
		for i := d.mu.last + 1; i <= at; i++ {
			d.mu.slots[ring(i)] = slot{}
		}
	}
	d.mu.last = at
	return &d.mu.slots[ring(at)]
}

func ring(i int64) int64 { return (i%int64(DaySlots) + int64(DaySlots)) % int64(DaySlots) }

// measured takes in the use of the channel in per cent.
func (d *day) measured(now time.Time, percent float32) {
	if percent != percent || percent < 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.atLocked(now)
	half := 2 * min(float64(percent), 100)
	if s.uses < math.MaxUint16 {
		s.uses++
	}
	mean := float64(s.use)
	if !s.used {
		mean = half
	}
	s.use, s.used = byte(math.Round(mean+(half-mean)/float64(s.uses))), true
	d.mu.dirty = true
}

// heard takes in that a packet of another radio came in over the air; what
// came over the internet tells nothing of it.
func (d *day) heard(now time.Time, snr float32, viaMQTT bool) {
	if viaMQTT || snr != snr {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.atLocked(now)
	if s.heard < math.MaxUint16 {
		s.heard++
	}
	snr = min(max(snr, -31), 31)
	s.snr += (snr - s.snr) / float32(s.heard)
	d.mu.dirty = true
}

// spent takes in that this gateway was on the air.
func (d *day) spent(now time.Time, air time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.atLocked(now)
	s.air = min(s.air+max(air, 0), DaySlot)
	d.mu.dirty = true
}

// status returns the last day as of now.
func (d *day) status(now time.Time) DayStatus {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.atLocked(now)
	st := DayStatus{End: time.Unix((d.mu.last+1)*int64(DaySlot/time.Second), 0), Slots: make([]SlotStatus, DaySlots)}
	for age := range DaySlots {
		s := d.mu.slots[ring(d.mu.last-int64(age))]
		one := SlotStatus{Use: -1, Air: s.air, Heard: int(s.heard), SNR: math.NaN()}
		if s.used {
			one.Use = float64(s.use) / 200
		}
		if s.heard > 0 {
			one.SNR = float64(s.snr)
		}
		st.Slots[DaySlots-1-age] = one
	}
	return st
}

// due returns the diary as it is to be written down, or nil while it is not
// time yet.
func (d *day) due(now time.Time) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	since := now.Sub(d.mu.kept)
	if !d.mu.dirty || since >= 0 && since < dayKeep {
		return nil
	}
	d.mu.kept, d.mu.dirty = now, false
	return d.encodeLocked()
}

// rest returns what due has not given yet; nil for nothing.
func (d *day) rest() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.mu.dirty {
		return nil
	}
	d.mu.dirty = false
	return d.encodeLocked()
}

func (d *day) encodeLocked() []byte {
	b := append(make([]byte, 0, daySize), dayVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(d.mu.last))
	for age := range int64(DaySlots) {
		s := d.mu.slots[ring(d.mu.last-age)]
		use, snr := byte(noUse), int8(noSNR)
		if s.used {
			use = s.use
		}
		if s.heard > 0 {
			snr = int8(math.Round(float64(4 * s.snr)))
		}
		b = append(b, use, byte(snr))
		b = binary.BigEndian.AppendUint16(b, s.heard)
		b = binary.BigEndian.AppendUint16(b, uint16(s.air/(10*time.Millisecond)))
	}
	return b
}

// decode reads a diary that encode wrote.
func (d *day) decode(b []byte) error {
	if len(b) != daySize || b[0] != dayVersion {
		return fmt.Errorf("%d bytes of version %d, want %d of version %d", len(b), append(b, 0)[0], daySize, dayVersion)
	}
	last := int64(binary.BigEndian.Uint64(b[1:]))
	if last < 0 || last > 1<<33 {
		return fmt.Errorf("slot %d is no time", last)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.last = last
	for age := range int64(DaySlots) {
		v := b[9+6*age:]
		s := slot{
			use: v[0], used: v[0] != noUse,
			heard: binary.BigEndian.Uint16(v[2:]),
			air:   min(time.Duration(binary.BigEndian.Uint16(v[4:]))*10*time.Millisecond, DaySlot),
		}
		if !s.used {
			s.use = 0
		} else {
			s.use, s.uses = min(s.use, 200), 1
		}
		if snr := int8(v[1]); snr != noSNR && s.heard > 0 {
			s.snr = min(max(float32(snr)/4, -31), 31)
		}
		d.mu.slots[ring(last-age)] = s
	}
	return nil
}

// load reads the diary back after a restart. One that cannot be read is begun
// anew: it is for people to look at, and holds nobody to anything.
func (d *day) load(ctx context.Context, shelf mesh.Shelf) (fault, err error) {
	b, err := shelf.Value(ctx, dayKey)
	if errors.Is(err, mesh.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the diary of the air: %w", err)
	}
	return d.decode(b), nil
}

// keepDay writes down the last of the diary when the carrier stops.
func (c *Carrier) keepDay(ctx context.Context) {
	b := c.day.rest()
	if b == nil {
		return
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWrites)
	defer cancel()
	if err := c.cfg.Shelf.Put(last, dayKey, b); err != nil {
		c.log.Warn("the diary of the air not kept", "err", err)
	}
}

// busy takes in how much of the channel's time was in use, in per cent.
func (o *owner) busy(percent float32) {
	o.governor.measured(o.out.books(), percent)
	o.c.day.measured(o.c.cfg.Clock(), percent)
}

// Day returns what was measured on the air in the last 24 hours.
func (c *Carrier) Day() DayStatus { return c.day.status(c.cfg.Clock()) }
