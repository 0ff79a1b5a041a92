package web

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"drey/mesh"
)

// Bounds of what is remembered about Idempotency-Key headers.
const (
	maxKeys    = 4096
	keepKeys   = 24 * time.Hour
	maxKeySize = 200 // bytes of the header
)

// idempotency makes a request that is sent twice act once. A key is put on the
// shelf before its message is signed, so that after a crash in between the
// message can be looked for. On the shelf:
//
//	once/MILLISECONDS/NAME = body
//
// with the time as 12 hexadecimal digits, the name as the first 16 bytes of
// the key's hash, hexadecimal, and body the SHA-256 of the request.
type idempotency struct {
	shelf mesh.Shelf       // nil: memory only
	now   func() time.Time // immutable

	mu struct {
		sync.Mutex
		byName map[onceName]*once
		order  []*once // oldest first
	}
}

type onceName [16]byte

// once is one key. Its life:
//
//	claimed ──finish──▶ done ──(24 h, or 4096 newer)──▶ forgotten
//	   │ ▲
//	   │ └─claim── uncertain ◀──(crash, or no clear answer)
//	   └──abandon──▶ forgotten
type once struct {
	name onceName  // immutable
	body [32]byte  // immutable
	at   time.Time // when it was first claimed; immutable

	// The rest is under idempotency.mu.
	busy      chan struct{} // closed when the claim ends; nil when nobody holds it
	id        mesh.EventID  // where done
	done      bool
	uncertain bool // an earlier attempt may have saved its message
}

const onceShelf = "once/"

func (o *once) shelfKey() string {
	return fmt.Sprintf("%s%012x/%x", onceShelf, uint64(max(o.at.UnixMilli(), 0)), o.name)
}

func newIdempotency(shelf mesh.Shelf, now func() time.Time) *idempotency {
	i := &idempotency{shelf: shelf, now: now}
	i.mu.byName = make(map[onceName]*once)
	return i
}

// load reads what was remembered before a restart.
func (i *idempotency) load(ctx context.Context) error {
	if i.shelf == nil {
		return nil
	}
	keys, err := i.shelf.Keys(ctx, onceShelf)
	if err != nil {
		return err
	}
	for _, k := range keys {
		body, err := i.shelf.Value(ctx, k)
		if err != nil {
			return err
		}
		o, err := parseOnce(k, body)
		if err != nil {
			if err := i.shelf.Delete(ctx, k); err != nil {
				return err
			}
			continue
		}
		i.mu.Lock()
		i.mu.byName[o.name] = o
		i.mu.order = append(i.mu.order, o)
		i.mu.Unlock()
	}
	return i.forget(ctx)
}

func parseOnce(key string, body []byte) (*once, error) {
	at, name, ok := strings.Cut(strings.TrimPrefix(key, onceShelf), "/")
	if !ok || len(at) != 12 || len(name) != 32 || len(body) != 32 {
		return nil, fmt.Errorf("idempotency key %.60q is malformed", key)
	}
	n, err := hex.DecodeString(name)
	if err != nil {
		return nil, err
	}
	ms, err := hex.DecodeString(at)
	if err != nil {
		return nil, err
	}
	var t int64
	for _, b := range ms {
		t = t<<8 | int64(b)
	}
	return &once{name: onceName(n), body: [32]byte(body), at: time.UnixMilli(t), uncertain: true}, nil
}

// claim takes a key for one request and waits while another holds it. The
// caller ends an unfinished claim with finish or abandon; a done one is only
// read.
func (i *idempotency) claim(ctx context.Context, who, key string, body [32]byte) (*once, error) {
	sum := sha256.Sum256([]byte(who + "\x00" + key))
	name := onceName(sum[:16])
	for {
		i.mu.Lock()
		o := i.mu.byName[name]
		if o == nil {
			o = &once{name: name, body: body, at: i.now(), busy: make(chan struct{})}
			i.mu.byName[name] = o
			i.mu.order = append(i.mu.order, o)
			i.mu.Unlock()
			return o, i.remember(ctx, o)
		}
		if o.body != body {
			i.mu.Unlock()
			return nil, NewError(CodeKeyReused, "this Idempotency-Key was used for another message", "the body differs", "use a new key for each message", nil)
		}
		busy := o.busy
		if busy == nil {
			if !o.done {
				o.busy = make(chan struct{})
			}
			i.mu.Unlock()
			return o, nil
		}
		i.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// remember puts a claim on the shelf; where that fails the claim has ended.
func (i *idempotency) remember(ctx context.Context, o *once) (err error) {
	defer func() {
		if err != nil {
			i.abandon(ctx, o, false)
		}
	}()
	if i.shelf != nil {
		if err := i.shelf.Put(ctx, o.shelfKey(), o.body[:]); err != nil {
			return err
		}
	}
	return i.forget(ctx)
}

// finish tells every later request with the key which message it became.
func (i *idempotency) finish(o *once, id mesh.EventID) {
	i.mu.Lock()
	defer i.mu.Unlock()
	o.id, o.done, o.uncertain = id, true, false
	close(o.busy)
	o.busy = nil
}

// abandon ends a claim without a message. Uncertain means that the message may
// have been saved nevertheless: the next claim is told.
func (i *idempotency) abandon(ctx context.Context, o *once, uncertain bool) {
	i.mu.Lock()
	o.uncertain = o.uncertain || uncertain
	keep := o.uncertain
	if !keep {
		delete(i.mu.byName, o.name)
		i.mu.order = slices.DeleteFunc(i.mu.order, func(x *once) bool { return x == o })
	}
	close(o.busy)
	o.busy = nil
	i.mu.Unlock()
	if !keep && i.shelf != nil {
		// If this fails the key stays as uncertain, which is safe.
		_ = i.shelf.Delete(context.WithoutCancel(ctx), o.shelfKey())
	}
}

// forget drops what is too old or too much.
func (i *idempotency) forget(ctx context.Context) error {
	i.mu.Lock()
	now := i.now()
	var gone []*once
	for len(i.mu.order) > 0 {
		o := i.mu.order[0]
		if len(i.mu.order) <= maxKeys && now.Sub(o.at) < keepKeys || o.busy != nil {
			break
		}
		i.mu.order = i.mu.order[1:]
		delete(i.mu.byName, o.name)
		gone = append(gone, o)
	}
	i.mu.Unlock()
	if i.shelf == nil {
		return nil
	}
	for _, o := range gone {
		if err := i.shelf.Delete(ctx, o.shelfKey()); err != nil {
			return err
		}
	}
	return nil
}
