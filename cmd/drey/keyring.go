package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"drey/mesh"
	"drey/mesh/roster"
	"drey/overlay"
)

// secretProtocol gives a member the community's secrets. Whoever opens a
// stream gets
//
//	count   byte      1 to 4
//	secrets           so many, the one in force first: epoch uint32, secret [32]byte
//
// and the stream ends. Only members get through to it, over a connection that
// proves both keys; the asker keeps what the roster announced.
const secretProtocol protocol.ID = "/drey/secret/1"

const (
	secretWithin = 5 * time.Second
	// retireEvery is how often the overlap of replaced secrets is counted down.
	// It counts while the node runs: clocks of small machines jump.
	retireEvery = time.Hour
	// sealAfter is how long an admin's machine waits before it announces the
	// secret again to those left out, up to twice as long: one suffices.
	sealAfter = 2 * time.Minute
)

// A keyring holds the community's secrets: the one in force, and those before
// it while they are still listened for.
type keyring struct {
	home  home                                     // immutable
	who   *mesh.Identity                           // immutable
	book  *roster.Book                             // immutable
	shelf mesh.Shelf                               // immutable: what is left of overlaps
	host  func(context.Context) (host.Host, error) // immutable
	say   func(context.Context, mesh.Draft) error  // immutable
	clock func() time.Time                         // immutable
	log   *slog.Logger                             // immutable
	met   chan struct{}                            // holds one: a neighbour has connected

	turn sync.Mutex // held while the secrets are weighed and written
	mu   struct {
		sync.Mutex
		membership mesh.Membership // its Epochs are replaced whole
		lacks      bool            // the secret in force is not held
	}
}

func newKeyring(p *parts, log *slog.Logger) *keyring {
	k := &keyring{
		home: p.home, who: p.who, book: p.book, shelf: p.store.Shelf("secrets"), clock: p.clock, log: log, met: make(chan struct{}, 1),
		host: func(ctx context.Context) (host.Host, error) { return p.overlay.Host(ctx) },
		say: func(ctx context.Context, d mesh.Draft) error {
			_, err := p.say(ctx, mesh.TopicRegistry, d)
			return err
		},
	}
	k.mu.membership = *p.membership
	return k
}

// now returns the membership with the secrets that hold now.
func (k *keyring) now() *mesh.Membership {
	k.mu.Lock()
	defer k.mu.Unlock()
	m := k.mu.membership
	return &m
}

// secrets lists the secrets to listen for, the one to send with first.
func (k *keyring) secrets() []mesh.Secret {
	var all []mesh.Secret
	for _, e := range k.now().Epochs {
		all = append(all, e.Secret)
	}
	return all
}

// lacking reports whether a secret is in force that this node does not hold.
func (k *keyring) lacking() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.mu.lacks
}

// secrets lists the community's secrets, the one in force first.
func (p *parts) secrets() []mesh.Secret { return p.keys.secrets() }

// run follows the roster and the neighbours until ctx ends.
func (k *keyring) run(ctx context.Context) error {
	if k.book.Community().Open {
		<-ctx.Done()
		return nil
	}
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() { k.serve(ctx) })
	tick := time.NewTicker(retireEvery)
	defer tick.Stop()
	counted := time.Now()
	seal := time.NewTimer(sealAfter + rand.N(sealAfter))
	defer seal.Stop()
	for {
		changed := k.book.Changed()
		passed := time.Since(counted)
		if passed < time.Minute {
			passed = 0 // counted with the next
		} else {
			counted = time.Now()
		}
		if err := k.settle(ctx, passed); err != nil && ctx.Err() == nil {
			k.log.Warn("secret not kept", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-tick.C:
		case <-seal.C:
			if err := k.sealForOthers(ctx); err != nil && ctx.Err() == nil {
				k.log.Warn("secret not announced again", "err", err)
			}
			seal.Reset(sealAfter + rand.N(sealAfter))
		}
	}
}

// settle brings the secrets held into line with the roster; passed is how much
// of the overlaps is over since the last time.
func (k *keyring) settle(ctx context.Context, passed time.Duration) error {
	k.turn.Lock()
	defer k.turn.Unlock()
	rotations := k.book.Rotations()
	held := k.now().Epochs
	next, lacks, err := k.choose(ctx, rotations, held, passed)
	if err != nil {
		return err
	}
	k.mu.Lock()
	k.mu.lacks = lacks
	k.mu.Unlock()
	if slices.Equal(held, next) {
		return nil
	}
	return k.keep(next)
}

// choose returns the secrets to hold, and whether the one in force is none of
// them.
func (k *keyring) choose(ctx context.Context, rotations []roster.Rotation, held []mesh.Epoch, passed time.Duration) (next []mesh.Epoch, lacks bool, err error) {
	overlap := time.Duration(0)
	if len(rotations) > 0 {
		overlap = rotations[0].Overlap
	}
	for i := range rotations[:min(len(rotations), mesh.MaxEpochs)] {
		r := &rotations[i]
		if e, ok := k.find(r, held); ok {
			next = append(next, e)
		}
		lacks = lacks || i == 0 && len(next) == 0
	}
	for _, e := range held {
		if !slices.Contains(next, e) {
			next = append(next, e)
		}
	}
	kept := next[:1]
	for _, e := range next[1:] {
		left, err := k.left(ctx, e, overlap, passed)
		if err != nil {
			return nil, false, err
		}
		if left > 0 && len(kept) < mesh.MaxEpochs {
			kept = append(kept, e)
		}
	}
	return kept, lacks, nil
}

// find returns a rotation's secret, held or opened.
func (k *keyring) find(r *roster.Rotation, held []mesh.Epoch) (mesh.Epoch, bool) {
	for _, e := range held {
		if e.Secret.ID() == r.Secret {
			return mesh.Epoch{Number: r.Epoch, Secret: e.Secret}, true
		}
	}
	s, ok := r.Open(k.who)
	return mesh.Epoch{Number: r.Epoch, Secret: s}, ok
}

// left counts down how long a replaced secret is still listened for. What
// remains is kept, so that a secret whose time is over does not come back from
// the roster.
func (k *keyring) left(ctx context.Context, e mesh.Epoch, overlap, passed time.Duration) (time.Duration, error) {
	key := "left/" + e.Secret.ID().String()
	b, err := k.shelf.Value(ctx, key)
	had := time.Duration(-1)
	left := overlap
	switch {
	case err == nil:
		n, err := strconv.ParseInt(string(b), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("overlap of epoch %d: %w", e.Number, err)
		}
		had = time.Duration(n) * time.Second
		left = max(0, min(had-passed, overlap)) // the newest rotation may be in more of a hurry
	case !errors.Is(err, mesh.ErrNotFound):
		return 0, err
	}
	if left == had {
		return left, nil
	}
	return left, k.shelf.Put(ctx, key, strconv.AppendInt(nil, int64(left/time.Second), 10))
}

// keep writes the secrets into the home, unless it belongs elsewhere by now. The
// caller holds turn; a slow disk keeps nobody from reading them.
func (k *keyring) keep(next []mesh.Epoch) error {
	file, err := k.home.readMembership()
	if err != nil {
		return err
	}
	if file.Community.ID != k.book.Community().ID {
		return nil
	}
	m := k.now() // only the holder of turn changes it
	m.Epochs = next
	if err := k.home.writeMembership(m); err != nil {
		return err
	}
	k.mu.Lock()
	k.mu.membership = *m
	k.mu.Unlock()
	k.log.Info("secrets changed", "inForce", next[0].Number, "held", len(next))
	return nil
}

// take keeps those of a neighbour's secrets that the roster announced as the
// one in force.
func (k *keyring) take(offered []mesh.Epoch) (took bool, err error) {
	k.turn.Lock()
	defer k.turn.Unlock()
	rotations := k.book.Rotations()
	if len(rotations) == 0 {
		return false, nil
	}
	held := k.now().Epochs
	for _, e := range offered {
		if e.Secret.ID() != rotations[0].Secret || slices.ContainsFunc(held, func(h mesh.Epoch) bool { return h.Secret == e.Secret }) {
			continue
		}
		next := append([]mesh.Epoch{{Number: rotations[0].Epoch, Secret: e.Secret}}, held...)
		return true, k.keep(next[:min(len(next), mesh.MaxEpochs)])
	}
	return false, nil
}

// serve answers neighbours, and asks them while the secret in force is
// lacking.
func (k *keyring) serve(ctx context.Context) {
	h, err := k.host(ctx)
	if err != nil {
		return // the overlay itself says what ails it
	}
	h.SetStreamHandler(secretProtocol, k.answer)
	defer h.RemoveStreamHandler(secretProtocol)
	meet := &network.NotifyBundle{ConnectedF: func(network.Network, network.Conn) {
		select {
		case k.met <- struct{}{}:
		default: // everybody is asked already
		}
	}}
	h.Network().Notify(meet)
	defer h.Network().StopNotify(meet)
	tick := time.NewTicker(systemEvery)
	defer tick.Stop()
	for {
		changed := k.book.Changed()
		if k.lacking() {
			k.ask(ctx, h)
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
			pause(ctx, 100*time.Millisecond) // until run has settled
		case <-tick.C:
		case <-k.met:
		}
	}
}

func (k *keyring) answer(s network.Stream) {
	defer s.Close()
	key, err := overlay.KeyOf(s.Conn().RemotePeer())
	if err != nil || !k.book.Admits(key) {
		s.Reset()
		return
	}
	s.SetDeadline(time.Now().Add(secretWithin))
	epochs := k.now().Epochs
	b := []byte{byte(len(epochs))}
	for _, e := range epochs {
		b = binary.BigEndian.AppendUint32(b, e.Number)
		b = append(b, e.Secret[:]...)
	}
	s.Write(b)
}

// ask asks one neighbour after the other for the secret in force.
func (k *keyring) ask(ctx context.Context, h host.Host) {
	for _, id := range h.Network().Peers() {
		offered, err := askSecrets(ctx, h, id)
		if err != nil {
			k.log.Debug("no secret from a neighbour", "peer", id.String(), "err", err)
			continue
		}
		took, err := k.take(offered)
		if err != nil {
			k.log.Warn("secret not kept", "err", err)
		}
		if took {
			k.mu.Lock()
			k.mu.lacks = false
			k.mu.Unlock()
			return
		}
	}
}

func askSecrets(ctx context.Context, h host.Host, id peer.ID) ([]mesh.Epoch, error) {
	ctx, stop := context.WithTimeout(ctx, secretWithin)
	defer stop()
	s, err := h.NewStream(ctx, id, secretProtocol)
	if err != nil {
		return nil, err
	}
	defer s.Reset()
	s.SetDeadline(time.Now().Add(secretWithin))
	b, err := io.ReadAll(io.LimitReader(s, maxSecrets+1))
	if err != nil {
		return nil, err
	}
	return parseSecrets(b)
}

// secretSize is the size of one secret in an answer.
const (
	secretSize = 4 + 32
	maxSecrets = 1 + mesh.MaxEpochs*secretSize
)

func parseSecrets(b []byte) ([]mesh.Epoch, error) {
	if len(b) < 1 || len(b) != 1+int(b[0])*secretSize || len(b) > maxSecrets {
		return nil, fmt.Errorf("secrets of %d bytes, at most %d of %d and one are allowed", len(b), mesh.MaxEpochs, secretSize)
	}
	var all []mesh.Epoch
	for b = b[1:]; len(b) > 0; b = b[secretSize:] {
		all = append(all, mesh.Epoch{Number: binary.BigEndian.Uint32(b), Secret: mesh.Secret(b[4:secretSize])})
	}
	return all, nil
}

// sealForOthers announces the secret in force again to the machines that the
// roster has left out, where this node is an admin's and has it.
func (k *keyring) sealForOthers(ctx context.Context) error {
	if k.book.Standing(k.who.Author.PubKey(), k.clock()) < mesh.Admin {
		return nil
	}
	rotations := k.book.Rotations()
	first := k.now().Epochs[0]
	if len(rotations) == 0 || rotations[0].Secret != first.Secret.ID() {
		return nil
	}
	left := k.book.LeftOut(&rotations[0])
	if len(left) == 0 {
		return nil
	}
	return k.announce(ctx, first.Secret, left, rotations[0].Overlap)
}

// announce publishes a secret for machines.
func (k *keyring) announce(ctx context.Context, s mesh.Secret, to []mesh.NodeKey, overlap time.Duration) error {
	drafts, err := k.book.DraftRotation(s, to, overlap, mesh.UnixOf(k.clock()))
	if err != nil {
		return err
	}
	for _, d := range drafts {
		if err := k.say(ctx, d); err != nil {
			return err
		}
	}
	return nil
}
