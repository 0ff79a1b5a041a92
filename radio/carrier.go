// Package radio is the carrier "radio": it speaks to one Meshtastic radio, by
// serial line or TCP, and moves short texts between topics and its channels.
//
// One goroutine owns the radio. It moves through these states:
//
//	closed → waking → configuring → live
//	   ↑________↑__________↑_________↓    on any failure, after a pause
//
// What goes out is decided by the outbox, which is pure; what comes in is
// turned into events by the translator, which waits a moment for colleagues.
package radio

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"drey/mesh"
	"drey/radio/air"
	"drey/radio/meshtastic"
	"drey/radio/share"
)

// A Config says which radio to use and how. Archive, Shelf and Signer are
// required; everything else has a default.
type Config struct {
	// Device is "auto", the path of a serial device, "tcp://host:port" or
	// "none". Empty means "auto".
	Device string
	// Dial, when set, opens the line instead; Device is then only shown.
	Dial func(context.Context) (io.ReadWriteCloser, error)
	// SerialDir holds links to serial devices by stable names; empty means
	// /dev/serial/by-id.
	SerialDir string

	Maps    []TopicMap // without any, the radio only listens, into topic "radio"
	Archive mesh.Archive
	Shelf   mesh.Shelf  // airtime spent and origins heard
	Signer  mesh.Signer // of this gateway: translations are its word
	Roster  mesh.Roster // nil: everybody is a colleague

	// NameOf returns the name of an author's profile, "" where there is none.
	NameOf func(mesh.PubKey) string
	// Internet tells that an event was born on the internet; it is then marked
	// so on the air. Nil means that the carrier "nostr" brought it.
	Internet func(*mesh.Record) bool
	// Spared tells of a gift wrap that need not go by radio: its readers get
	// letters, or have it. Nil means that none is spared.
	Spared func(*mesh.Record) bool
	// AirtimeShare is how much of the time this gateway may transmit, 0 to 1;
	// 0 means 0.02, a negative value no limit but the law's.
	AirtimeShare float64

	// Secrets returns the community's secrets, the newest first; during a
	// rotation there are two. Nil: none, so that control frames are neither
	// made nor understood.
	Secrets func() []mesh.Secret
	// Members lists the authors on the roster, whose keys are short on the air.
	// Nil: only this node's.
	Members func() []mesh.PubKey
	// Together reports whether every other machine of the community that has a
	// radio, or may have one, is connected over the network, so that it gets
	// decisions there. Nil: that is not known, and all decisions go at once.
	Together func() bool
	// Text compresses texts in signed form; nil leaves them as they are.
	Text air.Text
	// HopLimit is how often signed frames are passed on, 1 to 7; 0 means by how
	// dense the mesh is, a negative value not at all.
	HopLimit int
	// Share offers the radio to other programs; see package share. Listen
	// empty: to nobody.
	Share share.Config
	// Readings is what becomes of handhelds' positions and telemetry:
	// ReadingsOff, ReadingsHere or ReadingsShare; "" is ReadingsHere.
	Readings string
	Without  Measures // that are left out, for comparison

	Log   *slog.Logger     // nil is silent
	Clock func() time.Time // of the day; nil is time.Now
	// Agreed is the time of day that the community's machines have in common, even
	// where none of their clocks is right; nil is Clock. Gateways take turns by it.
	Agreed func() time.Time
	Seed   uint64 // of pauses; 0 picks one
	// Tempo is how much faster than life the ether is. 0 means 1, which every
	// real one is; a simulated one may be told to hurry.
	Tempo float64
}

// A TopicMap joins a topic and a channel of the radio.
type TopicMap struct {
	Topic   mesh.Topic
	Channel int    // 0 to 7; of signed frames only where none has the community's key
	Form    string // FormText, FormSigned or FormBoth; "" is FormText
}

// Measures are what a gateway does to spare the air.
type Measures struct {
	Turns     bool // one gateway speaks for all
	Gathering bool // events wait a little for others to share a frame
	Choice    bool // the one leads whose frames are worth most
	Near      bool // what a gateway did not hear is said once more to its neighbours
}

// The forms of a topic on the air.
const (
	FormText   = "text"   // handhelds read it
	FormSigned = "signed" // other nodes get the event itself
	FormBoth   = "both"
)

// defaultShare is the share of the air that one gateway takes at most.
const defaultShare = 0.02

// A Carrier is the radio as the hub sees it.
type Carrier struct {
	cfg     Config       // immutable
	log     *slog.Logger // immutable
	finder  *finder      // used by Run only
	text    air.Text     // immutable
	notices *notices
	shared  *share.Server
	nodes   *nodeBook
	day     *day
	mail    *mailbox
	errands chan *errand  // the operator's, for the radio's owner
	hidden  atomic.Uint32 // channels on which nodes exchange frames, a bit each
	private atomic.Bool   // the radio has a channel for signed frames

	mu struct {
		sync.Mutex
		status Status
		price  price // of packets, for Estimate
	}
}

// New returns the carrier; Run makes it work. A radio that is missing or
// broken never keeps a node from starting.
func New(cfg Config) *Carrier {
	if cfg.Device == "" {
		cfg.Device = deviceAuto
	}
	if cfg.SerialDir == "" {
		cfg.SerialDir = "/dev/serial/by-id"
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Agreed == nil {
		cfg.Agreed = cfg.Clock
	}
	if cfg.NameOf == nil {
		cfg.NameOf = func(mesh.PubKey) string { return "" }
	}
	if cfg.Internet == nil {
		cfg.Internet = func(r *mesh.Record) bool { return r.Carrier == "nostr" }
	}
	if cfg.Spared == nil {
		cfg.Spared = func(*mesh.Record) bool { return false }
	}
	if cfg.AirtimeShare == 0 {
		cfg.AirtimeShare = defaultShare
	}
	cfg.AirtimeShare = max(0, min(cfg.AirtimeShare, 1))
	if cfg.Seed == 0 {
		cfg.Seed = rand.Uint64()
	}
	c := &Carrier{cfg: cfg, log: cfg.Log, finder: &finder{cfg: cfg}, text: cfg.Text, notices: newNotices()}
	if c.text == nil {
		c.text = air.Plain{}
	}
	c.shared, c.nodes, c.day = newSharing(c), newNodeBook(cfg.Clock), newDay()
	c.mail, c.errands = newMailbox(), make(chan *errand)
	c.mu.status = Status{State: StateClosed, Device: cfg.Device}
	if cfg.Device == deviceNone {
		c.mu.status.State = StateNone
	}
	return c
}

// Name returns "radio".
func (c *Carrier) Name() string { return "radio" }

// Limits tells that the air is scarce. Texts of any length are taken: what
// does not fit is cut, and says so.
func (c *Carrier) Limits() mesh.Limits { return mesh.Limits{Scarce: true} }

// Targets returns the channels, as targets of deliveries, that a record goes
// out on: notes in a topic that is mapped in text form, and every event in one
// that is mapped in signed form. Decisions about who belongs need no map; see
// decides.
func (c *Carrier) Targets(r *mesh.Record) []string {
	if r.Flags&mesh.FlagOrphan != 0 || r.Event.Kind() == KindAired { // a word about a frame makes no frame
		return nil
	}
	if r.Event.Kind() == mesh.KindRoster {
		return c.decisionTargets(r)
	}
	if r.Event.Kind().Sealed() {
		return c.mailTargets(r)
	}
	var targets []string
	signed := false
	for _, m := range c.cfg.Maps {
		if m.Topic != r.Topic {
			continue
		}
		if m.text() && r.Event.Kind() == mesh.KindNote {
			targets = append(targets, strconv.Itoa(m.Channel))
		}
		signed = signed || m.signed()
	}
	if signed {
		targets = append(targets, targetSigned)
	}
	return targets
}

// says reports whether a topic goes over some channel in a form, alone or beside
// the other.
func (c *Carrier) says(t mesh.Topic, form string) bool {
	return slices.ContainsFunc(c.cfg.Maps, func(m TopicMap) bool {
		return m.Topic == t && (form == FormText && m.text() || form == FormSigned && m.signed())
	})
}

// text reports whether the map carries texts.
func (m TopicMap) text() bool { return m.Form == FormText || m.Form == FormBoth || m.Form == "" }

// signed reports whether the map carries events themselves.
func (m TopicMap) signed() bool { return m.Form == FormSigned || m.Form == FormBoth }

// secrets returns the community's secrets, the newest first.
func (c *Carrier) secrets() []mesh.Secret {
	if c.cfg.Secrets == nil {
		return nil
	}
	return c.cfg.Secrets()
}

// topicOf returns the topic for what a channel says.
func (c *Carrier) topicOf(channel uint32) (mesh.Topic, bool) {
	if len(c.cfg.Maps) == 0 {
		return mesh.TopicRadio, true
	}
	for _, m := range c.cfg.Maps {
		if uint32(m.Channel) == channel && m.text() {
			return m.Topic, true
		}
	}
	return "", false // a channel that nobody mapped may be private
}

// Run connects to the radio, again and again, and carries until ctx ends.
func (c *Carrier) Run(ctx context.Context, p mesh.Port) error {
	if c.cfg.Device == deviceNone && c.cfg.Dial == nil {
		if c.cfg.Share.Listen != "" {
			c.log.Info("there is no radio to share", "listen", c.cfg.Share.Listen)
		}
		<-ctx.Done()
		return ctx.Err()
	}
	heard, err := loadMemory(ctx, c.cfg.Shelf, c.cfg.Clock)
	if err != nil {
		return err
	}
	spent := &governor{share: c.cfg.AirtimeShare}
	fault, err := spent.load(ctx, c.cfg.Shelf, c.cfg.Clock())
	if err != nil {
		return err
	}
	if fault != nil {
		c.log.Warn("the airtime spent cannot be read and counts as all", "err", fault)
	}
	if fault, err = c.day.load(ctx, c.cfg.Shelf); err != nil {
		return err
	}
	if fault != nil {
		c.log.Warn("the diary of the air cannot be read and begins anew", "err", fault)
	}
	resumed, err := loadSeries(ctx, c.cfg.Shelf)
	if err != nil {
		return err
	}
	o := &owner{
		c: c, port: p, heard: heard, governor: spent, desk: newDesk(c, p), keeper: newKeeper(c.cfg.Shelf, c.log),
		out:        newOutbox(rand.New(rand.NewPCG(c.cfg.Seed, 1)), spent, c.cfg.Clock),
		translator: newTranslator(c, p, heard),
		deliveries: make(chan *mesh.Delivery), ask: make(chan struct{}, 1),
		nodes: make(map[meshtastic.NodeNum]*node),
		onAir: make(map[mesh.EventID]onAir), series: make(map[air.SetID]*series), resumed: resumed,
	}
	o.errands = newErrandBook(o, c.shared)
	if err := c.mail.load(ctx, c.cfg.Shelf); err != nil {
		return err
	}
	o.codec = &air.Codec{Text: c.text, Directory: ours{o.desk.index}, Held: o.desk.held, Near: o.desk.nearOurs}
	if c.cfg.Tempo > 0 {
		o.out.tempo = c.cfg.Tempo
	}
	o.wire()

	var work sync.WaitGroup
	defer c.keepDay(ctx)
	defer work.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	work.Go(func() { o.translator.run(ctx) })
	work.Go(func() { o.keeper.run(ctx) })
	work.Go(func() { o.desk.run(ctx) })
	work.Go(func() { o.pull(ctx) })
	work.Go(func() { c.shared.Run(ctx) })
	return o.run(ctx)
}
