package hub

import (
	"context"
	"log/slog"
	"time"

	"drey/mesh"
)

// keepRunning runs c until ctx is cancelled. A medium that fails is tried
// again after a pause that doubles; it never takes the node down with it.
func keepRunning(ctx context.Context, log *slog.Logger, c mesh.Carrier, p mesh.Port) {
	const least, most = time.Second, 5 * time.Minute
	for pause := least; ; pause = min(2*pause, most) {
		began := time.Now()
		err := c.Run(ctx, p)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > most {
			pause = least
		}
		log.Warn("carrier stopped", "carrier", c.Name(), "err", err, "retryIn", pause)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// tidy takes back what a carrier held when its Run returned, so that a carrier
// that failed in the middle loses nothing.
type tidy struct {
	mesh.Carrier
	outbox *outbox
}

// Run implements mesh.Carrier.
func (t tidy) Run(ctx context.Context, p mesh.Port) error {
	defer t.outbox.reclaim()
	return t.Carrier.Run(ctx, p)
}
