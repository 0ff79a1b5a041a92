package bootstrap

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"drey/mesh"
)

// Limits of invites.
const (
	// MaxUses is how many machines one invite can admit.
	MaxUses = 1000
	// MaxTTL is how long an invite can last.
	MaxTTL = 30 * 24 * time.Hour

	maxInvites = 256                // on the shelf, spent ones included
	remembered = 7 * 24 * time.Hour // how long after its end an invite can still be told from an unknown one
)

// An issued invite as it stands on the shelf. The token is not kept: its hash
// names the entry, and another hash of it is the pre-shared key.
type issued struct {
	PSK     string    `json:"psk"`
	Made    time.Time `json:"made"`
	Expires time.Time `json:"expires"`
	Uses    int       `json:"uses"`
	Burnt   bool      `json:"burnt,omitempty"`
	Joiners []string  `json:"joiners,omitempty"` // their X25519 keys, in order

	Admitted []string `json:"admitted,omitempty"` // those of them who became members
}

// check tells whether a joiner may redeem the invite now. Who has done so
// before always may.
func (i *issued) check(joiner [32]byte, now time.Time) error {
	switch {
	case slices.Contains(i.Joiners, hex.EncodeToString(joiner[:])):
		return nil
	case i.Burnt:
		return ErrBurnt
	case len(i.Joiners) >= i.Uses:
		return ErrUsed
	case !now.Before(i.Expires):
		return ErrExpired
	}
	return nil
}

// psk returns the pre-shared key.
func (i *issued) psk() ([32]byte, error) {
	b, err := hex.DecodeString(i.PSK)
	if err != nil || len(b) != 32 {
		return [32]byte{}, errors.New("invite on the shelf is damaged")
	}
	return [32]byte(b), nil
}

// A ledger keeps issued invites on a shelf.
type ledger struct {
	shelf mesh.Shelf
}

const ledgerPrefix = "invite/"

func ledgerKey(id inviteID) string { return ledgerPrefix + hex.EncodeToString(id[:]) }

// load returns an invite, or ErrUnknown.
func (l ledger) load(ctx context.Context, id inviteID) (*issued, error) {
	b, err := l.shelf.Value(ctx, ledgerKey(id))
	if errors.Is(err, mesh.ErrNotFound) {
		return nil, ErrUnknown
	}
	if err != nil {
		return nil, fmt.Errorf("read invite: %w", err)
	}
	var i issued
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&i); err != nil {
		return nil, fmt.Errorf("read invite: %w", err)
	}
	return &i, nil
}

// save puts an invite on the shelf, durably.
func (l ledger) save(ctx context.Context, id inviteID, i *issued) error {
	b, err := json.Marshal(i)
	if err != nil {
		return fmt.Errorf("keep invite: %w", err)
	}
	if err := l.shelf.Put(ctx, ledgerKey(id), b); err != nil {
		return fmt.Errorf("keep invite: %w", err)
	}
	return nil
}

// all returns every invite on the shelf by its id.
func (l ledger) all(ctx context.Context) (map[inviteID]*issued, error) {
	keys, err := l.shelf.Keys(ctx, ledgerPrefix)
	if err != nil {
		return nil, fmt.Errorf("list invites: %w", err)
	}
	list := make(map[inviteID]*issued, len(keys))
	for _, k := range keys {
		b, err := hex.DecodeString(k[len(ledgerPrefix):])
		if err != nil || len(b) != len(inviteID{}) {
			continue
		}
		i, err := l.load(ctx, inviteID(b))
		if err != nil {
			return nil, err
		}
		list[inviteID(b)] = i
	}
	return list, nil
}

// prune forgets what ended long ago and returns how many are left.
func (l ledger) prune(ctx context.Context, now time.Time) (int, error) {
	list, err := l.all(ctx)
	if err != nil {
		return 0, err
	}
	for id, i := range list {
		if now.Sub(i.Expires) < remembered {
			continue
		}
		if err := l.shelf.Delete(ctx, ledgerKey(id)); err != nil {
			return 0, fmt.Errorf("forget invite: %w", err)
		}
		delete(list, id)
	}
	return len(list), nil
}
