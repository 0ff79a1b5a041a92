package bootstrap

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/flynn/noise"

	"drey/mesh"
)

// An Admitter is the inviting node as an Inviter needs it. Safe for concurrent
// use.
type Admitter interface {
	// Membership returns what a newcomer must know.
	Membership() *mesh.Membership
	// Record returns the inviter's own peer record, with underlay endpoints.
	Record() *mesh.PeerRecord
	// Preview returns the inviter's name and how many belong.
	Preview() (inviter string, members int)
	// Admit makes the joiner a member, on disk when it returns: it signs the
	// decision and publishes it. It returns nil for one who belongs already.
	// ErrBanned and ErrRefused are told to the joiner. The joiner's record and
	// binding have been verified.
	Admit(ctx context.Context, j *Joiner) error
	// Roster returns the decisions a newcomer needs, parents first, those that
	// prove its own admission before all others (roster.Book.Introduce).
	Roster(newcomer mesh.NodeKey) []*mesh.Event
}

// A Config is what an Inviter works with. All fields but Removed are needed.
type Config struct {
	Identity *mesh.Identity
	Shelf    mesh.Shelf // its own, nobody else writes to it
	Admitter Admitter
	Log      *slog.Logger
	Clock    func() time.Time

	// Removed tells whether a machine that was admitted belongs no more, and not
	// for a ban. It cannot come back by the invite that admitted it. Where it is
	// nil, it can.
	Removed func(*Joiner) bool

	// Ask passes on that a machine without an invite wants to belong. It returns
	// nil for one that belongs, and else ErrWaiting, ErrBanned or ErrBusy. Where
	// it is nil, an invite is needed.
	Ask func(context.Context, *Joiner) error
}

// An Inviter makes invites and redeems them. It is an http.Handler for /J/ and
// /j/. It owns no goroutine.
type Inviter struct {
	c Config // immutable

	mu struct {
		sync.Mutex // held while an invite is redeemed: one after the other
		ledger     ledger
		guesses    guesses
	}
}

// NewInviter returns an inviter over its shelf; invites made before the last
// stop still hold.
func NewInviter(c Config) *Inviter {
	i := &Inviter{c: c}
	i.mu.ledger = ledger{c.Shelf}
	i.mu.guesses = make(guesses)
	return i
}

// Issue makes an invite for so many machines that ends after ttl. Endpoints
// are where a joiner can reach this node, the likeliest web endpoint first;
// those for which the invite has no room are left out.
func (i *Inviter) Issue(ctx context.Context, ttl time.Duration, uses int, endpoints []mesh.Endpoint) (*mesh.Invite, error) {
	if ttl <= 0 || ttl > MaxTTL {
		return nil, fmt.Errorf("an invite cannot last %v, allowed is up to %v", ttl, MaxTTL)
	}
	if uses < 1 || uses > MaxUses {
		return nil, fmt.Errorf("an invite cannot be for %d machines, allowed are 1 to %d", uses, MaxUses)
	}
	now := i.c.Clock()
	v := &mesh.Invite{
		Node:      i.c.Identity.NodeKey(),
		Token:     mesh.NewInviteToken(),
		Expires:   mesh.UnixOf(now.Add(ttl)),
		Endpoints: endpoints,
	}
	v, err := v.Fit()
	if err != nil {
		return nil, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	n, err := i.mu.ledger.prune(ctx, now)
	if err != nil {
		return nil, err
	}
	if n >= maxInvites {
		return nil, fmt.Errorf("%d invites are out, the limit: withdraw one, or wait for the first to be forgotten", n)
	}
	psk := pskOf(v.Token)
	return v, i.mu.ledger.save(ctx, idOf(v.Token), &issued{
		PSK:     hex.EncodeToString(psk[:]),
		Made:    now,
		Expires: now.Add(ttl),
		Uses:    uses,
	})
}

// An Issued is an invite as its maker sees it later; the token is not kept.
type Issued struct {
	ID      string // 32 hexadecimal digits; not the token
	Made    time.Time
	Expires time.Time
	Uses    int // machines it was made for
	Used    int // machines that have redeemed it
	Burnt   bool
}

// Invites lists the invites still remembered, the newest first.
func (i *Inviter) Invites(ctx context.Context) ([]Issued, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	all, err := i.mu.ledger.all(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]Issued, 0, len(all))
	for id, v := range all {
		list = append(list, Issued{hex.EncodeToString(id[:]), v.Made, v.Expires, v.Uses, len(v.Joiners), v.Burnt})
	}
	slices.SortFunc(list, func(a, b Issued) int {
		if c := b.Made.Compare(a.Made); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return list, nil
}

// Withdraw ends an invite, named by Issued.ID, before its time. Who has
// redeemed it stays admitted.
func (i *Inviter) Withdraw(ctx context.Context, id string) error {
	b, err := hex.DecodeString(id)
	if err != nil || len(b) != len(inviteID{}) {
		return ErrUnknown
	}
	_, err = i.burn(ctx, inviteID(b))
	return err
}

// burn ends an invite and reports whether it could still have been used.
func (i *Inviter) burn(ctx context.Context, id inviteID) (live bool, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	v, err := i.mu.ledger.load(ctx, id)
	if err != nil {
		return false, err
	}
	live = v.check([32]byte{}, i.c.Clock()) == nil
	v.Burnt = true
	return live, i.mu.ledger.save(ctx, id, v)
}

// ServeHTTP answers at the invite door. A path that holds a token burns the
// invite, whatever the method; only a POST to the bare door redeems one.
// Whoever mounts it must not log the path.
func (i *Inviter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	code := strings.Trim(r.URL.Path, "/")
	if len(code) >= 2 && strings.EqualFold(code[:2], "j/") {
		i.serveBrowser(w, r, code[2:])
		return
	}
	if r.Method != http.MethodPost {
		writePage(w, http.StatusNotFound, pageUnknown)
		return
	}
	from := source(r.RemoteAddr)
	if i.tooMany(from) {
		i.refuse(w, ErrBusy)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		i.refuse(w, fmt.Errorf("%w: %w", ErrBadRequest, err))
		return
	}
	var answer bytes.Buffer
	if withoutInvite(body) {
		i.missed(from) // there is no token to guess, but work to be made
	}
	if err := i.redeem(r.Context(), &answer, body); err != nil {
		if !withoutInvite(body) {
			i.missed(from)
		}
		i.refuse(w, err)
		return
	}
	h.Set("Content-Type", sealedType)
	w.Write(answer.Bytes())
}

// refuse answers with one word. Only the inviter's own trouble is logged.
func (i *Inviter) refuse(w http.ResponseWriter, err error) {
	said, known := wordFor(err)
	if !known {
		i.c.Log.Warn("invite not redeemed", "err", err)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(said.status)
	io.WriteString(w, said.text+"\n")
}

// redeem answers one sealed request.
func (i *Inviter) redeem(ctx context.Context, w io.Writer, body []byte) error {
	node, id, message, err := splitRequest(body)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	if node == (mesh.NodeKey{}) && id == (inviteID{}) && len(message) == 0 {
		return i.introduce(w)
	}
	if node != i.c.Identity.NodeKey() {
		return ErrOtherNode
	}
	if id == (inviteID{}) {
		return i.hear(ctx, w, body[:requestHead], message)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	v, err := i.mu.ledger.load(ctx, id)
	if err != nil {
		return err
	}
	psk, err := v.psk()
	if err != nil {
		return err
	}
	hs, joiner, q, err := openRequest(i.c.Identity.Node, psk, body[:requestHead], message)
	if errors.Is(err, errSeal) {
		return ErrSeal
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	if idOf(q.token) != id {
		return ErrSeal
	}
	if err := v.check(joiner, i.c.Clock()); err != nil {
		return err
	}
	if q.verb == verbPeek {
		return i.preview(w, hs, v.Expires)
	}
	if q.verb != verbJoin {
		return fmt.Errorf("%w: verb %d is without an invite", ErrBadRequest, q.verb)
	}
	return i.admitLocked(ctx, w, hs, id, v, joiner, &q.joiner)
}

func (i *Inviter) preview(w io.Writer, hs *noise.HandshakeState, expires time.Time) error {
	p := Preview{Community: i.c.Admitter.Membership().Community, Expires: mesh.UnixOf(expires)}
	p.Inviter, p.Members = i.c.Admitter.Preview()
	b, err := p.marshal()
	if err != nil {
		return err
	}
	return writeAnswer(w, hs, b)
}

// admitLocked admits the joiner and welcomes it. The joiner's place is written
// down first: after a crash between the two the invite admits nobody else, and
// the joiner may ask again. That it was admitted is written down last: from then
// on the invite brings back what was lost, but not who was removed.
func (i *Inviter) admitLocked(ctx context.Context, w io.Writer, hs *noise.HandshakeState, id inviteID, v *issued, key [32]byte, j *Joiner) error {
	m := i.c.Admitter.Membership()
	if err := i.vet(m, key, j); err != nil {
		return fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	text := hex.EncodeToString(key[:])
	again := slices.Contains(v.Joiners, text)
	if !again {
		v.Joiners = append(v.Joiners, text)
		if err := i.mu.ledger.save(ctx, id, v); err != nil {
			return err
		}
	}
	admitted := slices.Contains(v.Admitted, text)
	if admitted && i.c.Removed != nil && i.c.Removed(j) {
		return ErrUsed
	}
	err := i.c.Admitter.Admit(ctx, j)
	if !again && (errors.Is(err, ErrBanned) || errors.Is(err, ErrRefused)) {
		v.Joiners = v.Joiners[:len(v.Joiners)-1] // nothing came of it: the place is free again
		err = errors.Join(err, i.mu.ledger.save(ctx, id, v))
	}
	if err == nil && !admitted {
		v.Admitted = append(v.Admitted, text)
		err = i.mu.ledger.save(ctx, id, v)
	}
	if err != nil {
		return err
	}
	i.c.Log.Info("machine admitted by invite", "node", j.Record.Node, "name", j.Name, "again", again)
	return i.welcome(w, hs, j)
}

// welcome gives a machine that belongs all it needs.
func (i *Inviter) welcome(w io.Writer, hs *noise.HandshakeState, j *Joiner) error {
	file, err := i.c.Admitter.Membership().Marshal()
	if err != nil {
		return err
	}
	return writeAnswer(w, hs, appendWelcome(nil, file, i.c.Admitter.Record(), i.c.Admitter.Roster(j.Record.Node)))
}

// vet checks that the joiner is one machine which holds both of its keys and
// wants to belong to this community.
func (i *Inviter) vet(m *mesh.Membership, key [32]byte, j *Joiner) error {
	own, err := exchangeKey(j.Record.Node)
	if err != nil {
		return err
	}
	if own != key {
		return errors.New("the record is of another node than the one that asks")
	}
	if j.Record.Node == i.c.Identity.NodeKey() {
		return errors.New("a machine cannot invite itself")
	}
	if j.Record.Community != [8]byte(m.Community.ID[:8]) {
		return errors.New("the record is for another community")
	}
	return mesh.VerifyBinding(j.Record, j.Binding)
}
