package mainline

import (
	"context"
	"crypto/ed25519"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"
)

// MaxValue bounds the bytes of an item's value: 1000 bencoded (BEP 44).
const MaxValue = 996

const (
	atOnce     = 6   // queries of one lookup
	nearest    = 8   // nodes that hold an item
	mostAsked  = 80  // in one lookup, however many a hostile node tells
	mostChoice = 160 // nodes that wait to be asked
)

// An Item is a value that the holder of a key has put.
type Item struct {
	Seq   int64 // the higher counts
	Value []byte
}

// signed returns what the key signs.
func signed(salt string, seq int64, value []byte) []byte {
	b := []byte{}
	if salt != "" {
		b = appendBencode(append(b, "4:salt"...), salt)
	}
	b = append(b, "3:seqi"...)
	b = strconv.AppendInt(b, seq, 10)
	b = append(b, "e1:v"...)
	return appendBencode(b, string(value))
}

// A Holder is a node near an item's place that lets itself be written to.
type Holder struct {
	node
	token string
}

// Get looks for the item of a key and a salt, from the nodes at start on. It
// returns the newest, nil when there is none; who is nearest to its place; and
// errNobody when no node answered at all.
func (c *Client) Get(ctx context.Context, start []netip.AddrPort, key [32]byte, salt string) (*Item, []Holder, error) {
	l := &lookup{target: place(key, salt), key: key, salt: salt, seen: map[netip.AddrPort]bool{}}
	for _, a := range start {
		l.add(node{addr: unmapped(a)})
	}
	var group errgroup.Group
	news := make(chan struct{}, mostAsked+1)
	for {
		n, ok, wait := l.next()
		if ok {
			group.Go(func() error {
				r, err := c.ask(ctx, n.addr, "get", map[string]any{"target": string(l.target[:])})
				l.answer(n, r, err)
				news <- struct{}{}
				return nil
			})
			continue
		}
		if !wait || ctx.Err() != nil {
			break
		}
		<-news
	}
	group.Wait()
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	if l.answers == 0 {
		return nil, nil, ErrNobody
	}
	return l.best, l.holders(), nil
}

// ErrNobody reports that no node of the table answered.
var ErrNobody = errors.New("no node of the table answers")

// ErrOvertaken reports that somebody else has put an item meanwhile.
var ErrOvertaken = errors.New("somebody else has put the item meanwhile")

// Put signs a value and puts it at the holders, where it takes the place of
// what has a lower number. It returns how many took it. The field cas, with
// which BEP 44 would guard against writing over another, is not used: some
// widespread nodes compare it with the wrong number and refuse all from then on.
func (c *Client) Put(ctx context.Context, at []Holder, key ed25519.PrivateKey, salt string, seq int64, value []byte) (int, error) {
	if len(value) > MaxValue {
		return 0, errors.New("mainline: value too large")
	}
	args := map[string]any{
		"k": string(key.Public().(ed25519.PublicKey)), "salt": salt, "seq": seq,
		"sig": string(ed25519.Sign(key, signed(salt, seq, value))), "v": string(value),
	}
	faults := make([]error, len(at))
	var all sync.WaitGroup
	for i, h := range at {
		all.Go(func() {
			own := map[string]any{"token": h.token}
			for k, v := range args {
				own[k] = v
			}
			_, faults[i] = c.ask(ctx, h.addr, "put", own)
		})
	}
	all.Wait()
	took := 0
	for _, err := range faults {
		if err == nil {
			took++
		} else if r, ok := errors.AsType[*refusal](err); ok && (r.number == refusedSeq) {
			return took, ErrOvertaken
		}
	}
	if took == 0 {
		return 0, errors.Join(append(faults, ErrNobody)...)
	}
	return took, nil
}

// A lookup walks towards a place: it asks the nearest nodes that it has heard
// of, until the nearest of all have answered. Safe for concurrent use.
type lookup struct {
	target id
	key    [32]byte
	salt   string

	mu      sync.Mutex
	choice  []node // not asked yet, the nearest first
	seen    map[netip.AddrPort]bool
	asked   int
	under   int
	answers int
	near    []Holder // that answered with a token, the nearest first, at most nearest
	best    *Item
}

func (l *lookup) add(n node) {
	if l.seen[n.addr] || len(l.seen) >= mostAsked*maxTold {
		return
	}
	l.seen[n.addr] = true
	l.choice = append(l.choice, n)
	slices.SortStableFunc(l.choice, func(a, b node) int {
		switch {
		case !a.named && b.named, a.named && b.named && nearer(l.target, a.id, b.id):
			return -1 // those to start from first
		case a.named == b.named && a.id == b.id:
			return 0
		}
		return 1
	})
	l.choice = l.choice[:min(len(l.choice), mostChoice)]
}

// next returns whom to ask now; wait says that answers are still to come.
func (l *lookup) next() (n node, ok, wait bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.choice) == 0 || l.asked >= mostAsked {
		return n, false, l.under > 0
	}
	n = l.choice[0]
	if len(l.near) == nearest && n.named && !nearer(l.target, n.id, l.near[nearest-1].id) {
		return n, false, l.under > 0
	}
	if l.under >= atOnce {
		return n, false, true
	}
	l.choice = l.choice[1:]
	l.asked++
	l.under++
	return n, true, false
}

// answer takes in what a node said.
func (l *lookup) answer(n node, r map[string]any, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.under--
	if err != nil {
		return
	}
	l.answers++
	text := func(key string) string {
		s, _ := r[key].(string)
		return s
	}
	for _, more := range append(parseNodes(text("nodes"), compact4, n.addr.Addr()), parseNodes(text("nodes6"), compact6, n.addr.Addr())...) {
		l.add(more)
	}
	if item := l.item(r); item != nil && (l.best == nil || item.Seq > l.best.Seq) {
		l.best = item
	}
	who := text("id")
	if token := text("token"); len(who) == len(id{}) && token != "" && len(token) <= 64 {
		n.id, n.named = id([]byte(who)), true
		l.near = append(l.near, Holder{n, token})
		slices.SortStableFunc(l.near, func(a, b Holder) int {
			switch {
			case nearer(l.target, a.id, b.id):
				return -1
			case a.id == b.id:
				return 0
			}
			return 1
		})
		l.near = l.near[:min(len(l.near), nearest)]
	}
}

// item returns the item in an answer, when the key has signed it.
func (l *lookup) item(r map[string]any) *Item {
	value, ok := r["v"].(string)
	seq, is := r["seq"].(int64)
	sig, _ := r["sig"].(string)
	key, _ := r["k"].(string)
	if !ok || !is || len(sig) != ed25519.SignatureSize || key != string(l.key[:]) || len(value) > MaxValue {
		return nil
	}
	if !ed25519.Verify(l.key[:], signed(l.salt, seq, []byte(value)), []byte(sig)) {
		return nil
	}
	return &Item{Seq: seq, Value: []byte(value)}
}

func (l *lookup) holders() []Holder {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.near
}

// Addr returns where the node is.
func (h Holder) Addr() netip.AddrPort { return h.addr }
