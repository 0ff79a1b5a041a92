package radio

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"drey/mesh"
)

// A keeper writes the owner's books to the shelf, so that the owner of the
// radio never waits for the disk. Of several writes under one name the last
// counts. Safe for concurrent use.
type keeper struct {
	shelf mesh.Shelf
	log   *slog.Logger
	wake  chan struct{}

	mu struct {
		sync.Mutex
		values map[string][]byte // nil: to be deleted
	}
}

// lastWrites is how long a stopping carrier may still write.
const lastWrites = 2 * time.Second

func newKeeper(shelf mesh.Shelf, log *slog.Logger) *keeper {
	k := &keeper{shelf: shelf, log: log, wake: make(chan struct{}, 1)}
	k.mu.values = make(map[string][]byte)
	return k
}

func (k *keeper) put(key string, value []byte) {
	k.mu.Lock()
	k.mu.values[key] = value
	k.mu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

func (k *keeper) delete(key string) { k.put(key, nil) }

// run writes until ctx ends, and then what is left.
func (k *keeper) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWrites)
			defer cancel()
			k.write(last)
			return
		case <-k.wake:
			k.write(ctx)
		}
	}
}

func (k *keeper) write(ctx context.Context) {
	k.mu.Lock()
	values := k.mu.values
	k.mu.values = make(map[string][]byte)
	k.mu.Unlock()
	for key, v := range values {
		var err error
		if v == nil {
			err = k.shelf.Delete(ctx, key)
		} else {
			err = k.shelf.Put(ctx, key, v)
		}
		if err != nil {
			if ctx.Err() == nil {
				k.log.Warn("radio's books not kept", "err", err)
				continue
			}
			k.again(key, v)
		}
	}
}

// again keeps for the last round what was cut short.
func (k *keeper) again(key string, v []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, newer := k.mu.values[key]; !newer {
		k.mu.values[key] = v
	}
}
