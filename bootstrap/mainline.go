package bootstrap

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"drey/bootstrap/mainline"
	"drey/mesh"
)

// A MainlineConfig is what a mainline finder works with. All fields are needed
// but those that say otherwise.
type MainlineConfig struct {
	Self    mesh.NodeKey
	Secrets func() []mesh.Secret // of the community, newest first
	Nodes   []string             // HOST:PORT from which the table is entered
	// Listen opens a UDP socket; nil opens one on a free port.
	Listen func(context.Context) (net.PacketConn, error)
	Log    *slog.Logger
	Clock  func() time.Time
}

// A Mainline is the finder of nodes by BitTorrent's distributed table: mutable
// items (BEP 44) that only the community can name, write and read. Each day has
// a key, HKDF of the secret with the info "drey/1/mainline-key" ‖ 0 ‖ day, as an
// Ed25519 seed (see rendezvous), and mainlineSlots items with the salts "0",
// "1"… A node writes to the one that the first byte of SHA-256(its key) picks.
// The value is one to four announcements, each 223 bytes, the one put last
// first; in their seal "by" is the item's public key.
//
// The nodes that hold the item see who asks; nobody sees for what.
type Mainline struct {
	c     MainlineConfig // immutable
	least time.Duration  // mainlineLeast, but in tests
	own   *latest
	tally

	mu struct {
		sync.Mutex
		start []netip.AddrPort // that answered last
	}
}

const (
	mainlineSlots = 2
	mainlineHolds = mainline.MaxValue / noticeSize // announcements in an item: four

	// How often this node looks: soon after the start, then ever more rarely,
	// and puts its own announcement again before it is forgotten after two
	// hours.
	mainlineLeast = 5 * time.Second
	mainlineMost  = 30 * time.Minute
	mainlinePause = time.Minute // between rounds because the record has changed
	mainlineRound = 3 * time.Minute
	mainlineTries = 3  // to put when others do so at the same time
	mainlineKnown = 32 // nodes of the table to start from the next time
)

// NewMainline returns a finder over the table.
func NewMainline(c MainlineConfig) *Mainline {
	if c.Listen == nil {
		c.Listen = func(ctx context.Context) (net.PacketConn, error) {
			return (&net.ListenConfig{}).ListenPacket(ctx, "udp", ":0")
		}
	}
	return &Mainline{c: c, least: mainlineLeast, own: newLatest()}
}

// Name returns FinderMainline.
func (m *Mainline) Name() string { return FinderMainline }

// Announce has this node's record put in its time.
func (m *Mainline) Announce(a Announcement) { m.own.set(a.Record) }

// Run looks and announces until ctx ends. It fails when there is no internet.
func (m *Mainline) Run(ctx context.Context, found func(Candidate)) error {
	pause := m.least
	var last, due time.Time   // when the last round began, when the next is to
	var said *mesh.PeerRecord // in the last
	wait := time.NewTimer(0)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-m.own.changed():
			if m.own.get() == said {
				continue
			}
			now := m.c.Clock()
			if soon := last.Add(mainlinePause); soon.After(now) && !last.IsZero() {
				wait.Reset(min(soon.Sub(now), due.Sub(now)))
				continue
			}
		case <-wait.C:
		}
		last, said = m.c.Clock(), m.own.get()
		if err := m.round(ctx, found); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		next := pause + rand.N(pause/4)
		due = m.c.Clock().Add(next)
		wait.Reset(next)
		pause = min(2*pause, mainlineMost)
	}
}

// round looks at every item where others may be, and puts this node's record.
func (m *Mainline) round(ctx context.Context, found func(Candidate)) error {
	ctx, cancel := context.WithTimeout(ctx, mainlineRound)
	defer cancel()
	start, err := m.entrance(ctx)
	if err != nil {
		return err
	}
	conn, err := m.c.Listen(ctx)
	if err != nil {
		return fmt.Errorf("mainline: %w", err)
	}
	c := mainline.Open(conn)
	defer c.Close()
	own, today := m.own.get(), dayOf(m.c.Clock())
	places := rendezvousOf(m.c.Secrets(), m.c.Clock())
	put := func(s mainlineSlot) {
		if err := m.put(ctx, c, start, s, own, found); err != nil && ctx.Err() == nil {
			m.c.Log.Info("record not put into the table", "err", err) // there is still the reading
		}
	}
	// First this node's own, then the looking: others who begin at this moment
	// are there by then, and have perhaps written over it.
	var puts sync.WaitGroup
	for _, r := range places {
		if r.day == today && own != nil {
			puts.Go(func() { put(slotOf(r, m.slot())) })
		}
	}
	puts.Wait()
	var looks errgroup.Group
	for _, r := range places {
		for i := range mainlineSlots {
			looks.Go(func() error {
				s := slotOf(r, i)
				there, err := m.look(ctx, c, start, s, found)
				if err != nil {
					return fmt.Errorf("mainline: %w", err)
				}
				if !there && own != nil && r.day == today && i == m.slot() {
					put(s)
				}
				return nil
			})
		}
	}
	return looks.Wait()
}

// slot returns in which of a day's items this node writes.
func (m *Mainline) slot() int {
	h := sha256.Sum256(m.c.Self[:])
	return int(h[0]) % mainlineSlots
}

// entrance returns the nodes from which the table is entered.
func (m *Mainline) entrance(ctx context.Context) ([]netip.AddrPort, error) {
	m.mu.Lock()
	all := slices.Clone(m.mu.start)
	m.mu.Unlock()
	var fault error
	for _, s := range m.c.Nodes {
		host, port, err := net.SplitHostPort(s)
		if err != nil {
			return nil, fmt.Errorf("mainline: %w", err)
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("mainline: port of %s: %w", s, err)
		}
		within, cancel := context.WithTimeout(ctx, 5*time.Second)
		addrs, err := net.DefaultResolver.LookupNetIP(within, "ip", host)
		cancel()
		if err != nil {
			fault = err
			continue
		}
		for _, a := range addrs[:min(len(addrs), 4)] {
			if to := netip.AddrPortFrom(a.Unmap(), uint16(n)); !slices.Contains(all, to) {
				all = append(all, to)
			}
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("mainline: no way into the table: %w", errors.Join(fault))
	}
	return all, nil
}

// A mainlineSlot is one item of a day.
type mainlineSlot struct {
	rendezvous
	key  ed25519.PrivateKey
	salt string
}

func slotOf(r rendezvous, i int) mainlineSlot {
	return mainlineSlot{r, ed25519.NewKeyFromSeed(r.derive(r.secret[:], "drey/1/mainline-key")), strconv.Itoa(i)}
}

func (s mainlineSlot) public() [32]byte { return [32]byte(s.key.Public().(ed25519.PublicKey)) }

// look reads an item, hands on whom it holds, and reports whether this node is
// among them.
func (m *Mainline) look(ctx context.Context, c *mainline.Client, start []netip.AddrPort, s mainlineSlot, found func(Candidate)) (own bool, err error) {
	item, at, err := c.Get(ctx, start, s.public(), s.salt)
	if err != nil {
		return false, err
	}
	m.learn(at)
	_, own = m.read(s, item, found)
	return own, nil
}

// learn remembers who answered, to start there the next time.
func (m *Mainline) learn(at []mainline.Holder) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, h := range at {
		if a := h.Addr(); !slices.Contains(m.mu.start, a) {
			m.mu.start = append(m.mu.start, a)
		}
	}
	m.mu.start = slices.Clone(m.mu.start[max(0, len(m.mu.start)-mainlineKnown):])
}

// read takes an item apart: it hands on the records of others and returns
// their announcements, the one put last first, and whether this node is there.
func (m *Mainline) read(s mainlineSlot, item *mainline.Item, found func(Candidate)) (others [][]byte, own bool) {
	if item == nil {
		return nil, false
	}
	if len(item.Value)%noticeSize != 0 || len(item.Value) > mainlineHolds*noticeSize {
		m.add(RefusedForm)
		return nil, false
	}
	by := s.public()
	for notice := range slices.Chunk(item.Value, noticeSize) {
		b, err := s.open(notice, by[:])
		switch {
		case errors.Is(err, mesh.ErrSealed):
			m.add(RefusedSealed)
			continue
		case err != nil:
			m.add(RefusedForm)
			continue
		}
		r, err := mesh.ParsePeerRecord(b)
		if err != nil {
			m.add(RefusedForm)
			continue
		}
		now := m.own.get()
		if r.Node != m.c.Self {
			others = append(others, notice)
		} else if now != nil && !r.Supersedes(now) {
			own = true
			continue
		}
		found(Candidate{Record: b, Proved: true})
	}
	return others, own
}

// put writes this node's announcement in front of those that an item holds; of
// too many the one put first goes. Who is overtaken reads again; who is written
// over comes again in the next round.
func (m *Mainline) put(ctx context.Context, c *mainline.Client, start []netip.AddrPort, s mainlineSlot, own *mesh.PeerRecord, found func(Candidate)) error {
	var err error
	for try := range mainlineTries {
		if try > 0 {
			pause := time.NewTimer(rand.N(time.Second))
			select {
			case <-ctx.Done():
			case <-pause.C:
			}
			pause.Stop()
		}
		var item *mainline.Item
		var at []mainline.Holder
		if item, at, err = c.Get(ctx, start, s.public(), s.salt); err != nil {
			return err
		}
		others, _ := m.read(s, item, found)
		by := s.public()
		var value []byte
		if value, err = s.seal(own, by[:]); err != nil {
			return err
		}
		for _, notice := range others[:min(len(others), mainlineHolds-1)] {
			value = append(value, notice...)
		}
		seq := m.c.Clock().Unix()
		if item != nil {
			seq = max(seq, item.Seq+1)
		}
		if _, err = c.Put(ctx, at, s.key, s.salt, seq, value); !errors.Is(err, mainline.ErrOvertaken) {
			return err
		}
	}
	return err
}
