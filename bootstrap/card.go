package bootstrap

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"drey/mesh"
)

// RecordBudget bounds this node's own record, in bytes, so that it fits every
// medium: one LoRa packet takes 200, one string of a DNS TXT record 190 as
// base64url. Endpoints for which there is no room are left out.
const RecordBudget = 190

const (
	// recordLife is how long others need not doubt a record.
	recordLife = 30 * 24 * time.Hour
	// recordFresh is after how long a record is issued again though nothing has
	// changed.
	recordFresh = 7 * 24 * time.Hour
	// clockSlack is how far in the future a record of ours may be dated before
	// it is issued again: it comes from a day when the clock was wrong.
	clockSlack = 24 * time.Hour
	// firstSeqMost bounds the number of a first record, which is the time: a
	// clock in the next century must leave room to count.
	firstSeqMost = 0xe0000000
)

// A CardConfig is what a Card works with. All fields are needed.
type CardConfig struct {
	Identity  *mesh.Identity
	Community mesh.Community
	Shelf     mesh.Shelf // its own, nobody else writes to it
	// Say returns what this node can do and where it is reached now, the
	// likeliest endpoint first; last is what its last record said it could.
	Say   func(last mesh.Abilities) (mesh.Abilities, []mesh.Endpoint)
	Clock func() time.Time
}

// A Card is what this node says of itself: its peer record, issued again when
// something has changed. Its number survives restarts and never falls, whatever
// the clock says. Safe for concurrent use.
type Card struct {
	c CardConfig // immutable

	mu struct {
		sync.Mutex
		record *mesh.PeerRecord // nil before the first
		loaded bool             // the shelf was read
		outdo  uint32           // the number to be beaten
	}
}

// NewCard returns a card over its shelf. It reads nothing yet.
func NewCard(c CardConfig) *Card { return &Card{c: c} }

const cardKey = "own"

// Record returns this node's record as of now. When it has changed it is on
// disk before it is returned; a record that cannot be written down is not used,
// unless it is the first.
func (c *Card) Record(ctx context.Context) (*mesh.PeerRecord, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.loadLocked(ctx); err != nil {
		return nil, err
	}
	now := c.c.Clock()
	old, last := c.mu.record, mesh.Abilities(0)
	if old != nil {
		last = old.Abilities
	}
	next, err := c.draft(now, last)
	if err != nil {
		return nil, err
	}
	if old != nil && old.Seq > c.mu.outdo && says(old, &next) && !stale(old, now) {
		return old, nil
	}
	next.Seq = min(uint32(mesh.UnixOf(now)), firstSeqMost)
	if old != nil {
		next.Seq = old.Seq + 1
	}
	if next.Seq <= c.mu.outdo {
		next.Seq = c.mu.outdo + 1
	}
	if next.Seq == 0 {
		return old, errors.New("peer record: its numbers are used up")
	}
	r, err := c.c.Identity.SignPeerRecord(next)
	if err != nil {
		return old, err
	}
	if err := c.c.Shelf.Put(ctx, cardKey, r.AppendBinary(nil)); err != nil {
		if old != nil {
			return old, nil // tried again the next time
		}
		return r, nil
	}
	c.mu.record = r
	return r, nil
}

// loadLocked reads the record of the last run.
func (c *Card) loadLocked(ctx context.Context) error {
	if c.mu.loaded {
		return nil
	}
	b, err := c.c.Shelf.Value(ctx, cardKey)
	if err != nil && !errors.Is(err, mesh.ErrNotFound) {
		return fmt.Errorf("own peer record: %w", err)
	}
	c.mu.loaded = true
	r, err := mesh.ParsePeerRecord(b)
	if err == nil && r.Node == c.c.Identity.NodeKey() {
		c.mu.record = r // else there is none that counts: the first is made
	}
	return nil
}

// draft returns an unsigned record of what is to be said, within the budget.
func (c *Card) draft(now time.Time, last mesh.Abilities) (mesh.PeerRecord, error) {
	able, endpoints := c.c.Say(last)
	r := mesh.PeerRecord{
		Author:    c.c.Identity.Author.PubKey(),
		Community: [8]byte(c.c.Community.ID[:8]),
		Issued:    mesh.UnixOf(now),
		Lifetime:  recordLife,
		Abilities: able,
	}
	for _, e := range endpoints {
		if slices.Contains(r.Endpoints, e) || len(r.Endpoints) == mesh.MaxEndpoints {
			continue
		}
		r.Endpoints = append(r.Endpoints, e)
		if len(r.AppendBinary(nil)) > RecordBudget {
			r.Endpoints = r.Endpoints[:len(r.Endpoints)-1]
		}
	}
	return r, nil
}

// says reports whether two records say the same, whatever their number, date
// and signature.
func says(a, b *mesh.PeerRecord) bool {
	return a.Author == b.Author && a.Community == b.Community && a.Lifetime == b.Lifetime &&
		a.Abilities == b.Abilities && slices.Equal(a.Endpoints, b.Endpoints)
}

// stale reports whether a record's date makes it worth issuing again.
func stale(r *mesh.PeerRecord, now time.Time) bool {
	age := now.Sub(r.Issued.Time())
	return age > recordFresh || age < -clockSlack
}

// Outdo makes the next record count more than number seq: somebody has shown
// this node a record of its own that it does not remember, as after a restore.
func (c *Card) Outdo(seq uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if seq < 1<<32-1 {
		c.mu.outdo = max(c.mu.outdo, seq)
	}
}

// A disguise puts records into the form that strangers may see. Not safe for
// concurrent use.
type disguise struct {
	clear  bool // the operator said so
	record *mesh.PeerRecord
	secret mesh.Secret
	public []byte
}

// announcement returns what finders may tell of r, and whether it is new.
func (d *disguise) announcement(r *mesh.PeerRecord, secrets []mesh.Secret) (a Announcement, fresh bool) {
	var secret mesh.Secret
	if len(secrets) > 0 {
		secret = secrets[0]
	}
	same := d.record != nil && bytes.Equal(d.record.AppendBinary(nil), r.AppendBinary(nil)) && d.secret == secret
	if !same {
		d.record, d.secret = r, secret
		if d.public = nil; d.clear {
			d.public = r.AppendBinary(nil)
		} else if len(secrets) > 0 {
			d.public = Seal(r, secret)
		}
	}
	return Announcement{Record: d.record, Public: d.public}, !same
}

// Seal seals a record under a secret with a nonce of its own.
func Seal(r *mesh.PeerRecord, s mesh.Secret) []byte {
	var nonce [12]byte
	rand.Read(nonce[:]) // never fails since Go 1.24
	return mesh.SealRecord(r, s, nonce)
}
