package radio

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"drey/mesh"
)

// A budget is a bucket of time on the air that refills steadily. It is pure;
// the wall clock comes as an argument because it must survive restarts.
type budget struct {
	share float64       // of all time, 0 to 1; 0 means no limit
	spent time.Duration // of the last window, as far as it has not been forgiven
	at    time.Time     // when spent was last brought up to date
	total time.Duration // since the program started
}

// window is how long a full bucket takes to refill.
const window = time.Hour

// size returns what a full bucket holds.
func (b *budget) size() time.Duration { return time.Duration(b.share * float64(window)) }

// refill forgives what time has passed for. A clock that went back forgives
// nothing.
func (b *budget) refill(now time.Time) {
	if passed := now.Sub(b.at); passed > 0 {
		b.spent = max(0, b.spent-time.Duration(b.share*float64(min(passed, window))))
	}
	b.at = now
}

// wait returns how long a transmission of length d must wait.
func (b *budget) wait(now time.Time, d time.Duration) time.Duration {
	if b.share == 0 {
		return 0
	}
	b.refill(now)
	over := b.spent + min(d, b.size()) - b.size()
	if over <= 0 {
		return 0
	}
	return time.Duration(float64(over) / b.share)
}

// spend takes d out; an emergency may overdraw.
func (b *budget) spend(now time.Time, d time.Duration) {
	b.refill(now)
	b.spent += d
	b.total += d
}

// budgetKey is where the bucket stands on the shelf: spent in milliseconds and
// the time in Unix seconds, both uint64, big endian.
const budgetKey = "airtime"

func (b *budget) encode() []byte {
	v := binary.BigEndian.AppendUint64(nil, uint64(b.spent.Milliseconds()))
	return binary.BigEndian.AppendUint64(v, uint64(b.at.Unix()))
}

func (b *budget) load(ctx context.Context, shelf mesh.Shelf) error {
	v, err := shelf.Value(ctx, budgetKey)
	if errors.Is(err, mesh.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the airtime spent: %w", err)
	}
	if len(v) != 16 {
		return fmt.Errorf("the airtime spent has %d bytes, want 16", len(v))
	}
	ms := min(binary.BigEndian.Uint64(v), uint64(window.Milliseconds()))
	b.spent = time.Duration(ms) * time.Millisecond
	b.at = time.Unix(int64(binary.BigEndian.Uint64(v[8:])), 0)
	return nil
}

// about says a time as people do.
func about(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("about %d s", max(1, int(d.Round(time.Second).Seconds())))
	case d < 2*time.Hour:
		return fmt.Sprintf("about %d min", int(d.Round(time.Minute).Minutes()))
	}
	return fmt.Sprintf("about %d h", int(d.Round(time.Hour).Hours()))
}
