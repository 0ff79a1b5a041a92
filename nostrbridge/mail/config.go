package mail

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"drey/mesh"
)

// A Node is the machine whose mail this is. hub.Hub and store.Store together have
// it.
type Node interface {
	// Accept takes a signed event and returns when it is on disk.
	Accept(ctx context.Context, e *mesh.Event, from mesh.Origin) error
	// Publish signs a draft in the node's name and returns when it is on disk.
	Publish(ctx context.Context, topic mesh.Topic, d mesh.Draft) (*mesh.Record, error)
	// Records yields what matches.
	Records(ctx context.Context, f mesh.Filter, v mesh.Viewer) iter.Seq2[*mesh.Record, error]
	// Watch yields what matches, in order of receipt, then what comes in.
	Watch(ctx context.Context, f mesh.Filter, v mesh.Viewer) iter.Seq2[*mesh.Record, error]
	// History returns what became of an event.
	History(ctx context.Context, id mesh.EventID) ([]mesh.Step, error)
	// Note adds a line to an event's history.
	Note(ctx context.Context, id mesh.EventID, s mesh.Step) error
	// Bury replaces an event by a tombstone.
	Bury(ctx context.Context, id mesh.EventID, created mesh.Unix, why mesh.Reason) error
}

// A Config says whose mail it is. Key, Node, Roster and Shelf are required.
type Config struct {
	Key    *mesh.SecretKey // what is sealed for it is opened here
	Node   Node
	Roster mesh.Roster
	Shelf  mesh.Shelf // messages, opened: as safe as the key that lies beside it

	// Machine tells whether an author is a member machine, which can read letters;
	// nil means that none is.
	Machine func(mesh.PubKey) bool
	// Name returns what an author is called, for histories; nil means the npub.
	Name func(mesh.PubKey) string
	// Alone tells that no other machine is in contact but by radio; letters then
	// go at once. nil means that it is not known.
	Alone func() bool
	// Inbox lists the public relays where this node's mail may be left: its own,
	// if it is a gateway. nil means none.
	Inbox func() []string
	// Relay spells a relay's address in one way, so that two can be compared; nil
	// leaves it.
	Relay func(url string) string
	// Text compresses letters; nil leaves them as they are.
	Text Text
	Box  Limits // of what is kept for others; zero fields have defaults

	Log   *slog.Logger     // nil is silent
	Clock func() time.Time // nil is time.Now
	// Stamp returns the time under which this node speaks, which is right even
	// where its clock is not; nil means the clock's. hub.Hub.Now is one.
	Stamp func() time.Time
}

// Mail is a node's mail. Safe for concurrent use.
type Mail struct {
	cfg   Config // immutable
	log   *slog.Logger
	self  mesh.PubKey // immutable
	book  *book
	box   *box
	keys  *conversations
	tally mesh.Tally

	desk  desk          // receipts that wait to be written
	chase chase         // messages that nobody has acknowledged
	ready chan struct{} // closed when the book was read
}

// New returns the mail of a node; Run makes it work.
func New(c Config) (*Mail, error) {
	if c.Key == nil || c.Node == nil || c.Roster == nil || c.Shelf == nil {
		return nil, errors.New("mail: key, node, roster and shelf are all needed")
	}
	if c.Machine == nil {
		c.Machine = func(mesh.PubKey) bool { return false }
	}
	if c.Name == nil {
		c.Name = mesh.PubKey.NPub
	}
	if c.Alone == nil {
		c.Alone = func() bool { return false }
	}
	if c.Inbox == nil {
		c.Inbox = func() []string { return nil }
	}
	if c.Relay == nil {
		c.Relay = func(url string) string { return url }
	}
	if c.Text == nil {
		c.Text = plainText{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Stamp == nil {
		c.Stamp = c.Clock
	}
	m := &Mail{
		cfg: c, log: c.Log, self: c.Key.PubKey(),
		book: newBook(c.Shelf), box: newBox(c.Box), keys: newConversations(c.Key),
		ready: make(chan struct{}),
	}
	m.desk.kick, m.chase.kick = make(chan struct{}, 1), make(chan struct{}, 1)
	return m, nil
}

// plainText leaves texts as they are.
type plainText struct{}

func (plainText) Encode(b []byte) []byte { return b }

func (plainText) Decode(b []byte, limit int) ([]byte, error) {
	if len(b) > limit {
		return nil, fmt.Errorf("%d bytes of text, limit %d", len(b), limit)
	}
	return b, nil
}

// nudge signals c, which holds one.
func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
