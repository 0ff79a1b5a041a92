// Package radiotest is a simulated ether with Meshtastic radios on it. The
// radios behave as firmware 2.8.0 was measured to behave, pitfalls included,
// and speak its serial protocol on a pseudo-terminal, over TCP or on a pipe in
// the process, so that official clients can be connected to them. Time is the
// time package's: in a testing/synctest bubble an hour on the air takes no time
// at all.
//
// Over several hops the radios flood as the firmware does: each that hears a
// frame for the first time repeats it after a random wait that is shorter the
// fainter it was heard, unless it hears another repeat it first; each listens
// before it sends, and does not hear who began within the same slot. One
// goroutine moves the whole ether, so that radios nobody is connected to cost
// next to nothing: 60 of them live through an hour in about a second.
//
// It is a fake beside the real thing, and it is also what "--radio sim" runs.
package radiotest

import (
	"container/heap"
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"drey/radio/air"
	"drey/radio/meshtastic"
)

// Config says what the ether is like. The zero Config is a perfect LongFast
// channel without a region's limits on which everybody hears everybody.
type Config struct {
	Preset     uint32            // Meshtastic's number of the modulation; 0 is LongFast
	Region     meshtastic.Region // 0 is the US: no duty cycle
	HopLimit   uint32            // of the radios; 0 is 3
	Loss       float64           // chance that one radio misses one transmission, 0 to 1
	Delay      time.Duration     // from the end of a transmission until it is heard
	Collisions bool              // two transmissions at once destroy each other where both are heard
	// Links tells whether b hears a; nil means that everybody hears everybody.
	Links func(a, b *Radio) bool
	// SNR tells how well b hears a, in dB over the noise; below the
	// modulation's sensitivity it does not. It must not change, nor call the
	// ether. Nil means that whoever is linked is heard well. See Terrain.
	SNR func(a, b *Radio) float64
	// Taken, when set, is called for each frame that a radio took in and could
	// decrypt, the first time only. It must not call the ether.
	Taken func(Reception)
	Seed  uint64       // of every random choice; 0 picks one
	Tempo float64      // how much faster than life everything goes; 0 is 1
	Log   *slog.Logger // nil is silent
}

// An Air is the ether. Safe for concurrent use.
type Air struct {
	cfg        Config         // immutable
	modulation air.Modulation // immutable
	faintest   float64        // immutable: dB over the noise
	preset     string         // immutable
	log        *slog.Logger   // immutable
	wake       chan struct{}  // tells Run that something changed

	mu struct {
		sync.Mutex
		random *rand.Rand
		radios []*Radio
		due    timeline
		order  uint64 // of things due at the same moment
		onAir  []*transmission
		sent   []Sent
		starts []func(context.Context) // goroutines that Run is to begin
		links  func(a, b *Radio) bool
	}
}

// Sent is one transmission, kept for tests and for people who watch.
type Sent struct {
	By      *Radio
	From    meshtastic.NodeNum // who said it first
	ID      uint32
	Hash    byte // of the channel
	Port    meshtastic.PortNum
	Payload []byte // decrypted; not to be changed
	Text    string // of a text, decrypted
	Hops    uint32 // that it may still be passed on
	Repeat  bool   // By passes it on, or tries again
	ViaMQTT bool
	At      time.Time
	Airtime time.Duration
}

// A Reception is a frame as one radio took it in.
type Reception struct {
	By      *Radio
	From    meshtastic.NodeNum
	ID      uint32
	Channel uint32
	Port    meshtastic.PortNum
	Payload []byte // not to be changed
	Hops    uint32 // it went over so many other radios
	At      time.Time
}

// maxSent bounds what Air.Sent remembers.
const maxSent = 100_000

// A transmission is a frame that is, or just was, on the air.
type transmission struct {
	by         *Radio
	frame      *frame
	airtime    time.Duration
	start, end time.Time // by the clock, which the tempo does not change
}

// NewAir returns an ether without radios. Run makes time pass on it.
func NewAir(cfg Config) *Air {
	if cfg.Seed == 0 {
		cfg.Seed = rand.Uint64()
	}
	if cfg.Tempo <= 0 {
		cfg.Tempo = 1
	}
	if cfg.HopLimit == 0 {
		cfg.HopLimit = 3
	}
	if cfg.Region == meshtastic.RegionUnset {
		cfg.Region = meshtastic.RegionUS
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	preset, _ := air.PresetOf(cfg.Preset)
	a := &Air{
		cfg: cfg, modulation: preset.Modulation, faintest: sensitivity(preset.Modulation), preset: preset.Name,
		log: cfg.Log, wake: make(chan struct{}, 1),
	}
	a.mu.random = rand.New(rand.NewPCG(cfg.Seed, 0))
	a.mu.links = cfg.Links
	return a
}

// Run makes the ether work until ctx ends, and leaves no goroutine behind.
func (a *Air) Run(ctx context.Context) error {
	var working sync.WaitGroup
	defer working.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		a.mu.Lock()
		for len(a.mu.due) > 0 && !a.mu.due[0].at.After(time.Now()) {
			heap.Pop(&a.mu.due).(*event).run()
		}
		for _, start := range a.mu.starts {
			working.Go(func() { start(ctx) })
		}
		a.mu.starts = nil
		if len(a.mu.due) > 0 {
			timer.Reset(time.Until(a.mu.due[0].at))
		}
		a.mu.Unlock()
		select {
		case <-ctx.Done():
			a.hangUp()
			return nil
		case <-a.wake:
		case <-timer.C:
		}
	}
}

// Sent returns the transmissions so far, oldest first.
func (a *Air) Sent() []Sent {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.mu.sent)
}

// Link replaces who hears whom; nil means that everybody hears everybody.
func (a *Air) Link(links func(a, b *Radio) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mu.links = links
}

// Modulation returns how the radios send.
func (a *Air) Modulation() air.Modulation { return a.modulation }

// existsLocked reports whether there is a radio with a number.
func (a *Air) existsLocked(num meshtastic.NodeNum) bool {
	return slices.ContainsFunc(a.mu.radios, func(r *Radio) bool { return r.num == num })
}

// nudge wakes Run; it may be called with or without the lock.
func (a *Air) nudge() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// hangUp closes every client's line.
func (a *Air) hangUp() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.mu.radios {
		r.dropClientLocked()
	}
}

// spawn lets Run begin a goroutine and wait for it at the end.
func (a *Air) spawn(f func(context.Context)) {
	a.mu.Lock()
	a.mu.starts = append(a.mu.starts, f)
	a.mu.Unlock()
	a.nudge()
}

// fast shortens a time by the tempo.
func (a *Air) fast(d time.Duration) time.Duration { return time.Duration(float64(d) / a.cfg.Tempo) }

// afterLocked runs f, with the lock held, when d has passed on this ether.
func (a *Air) afterLocked(d time.Duration, f func()) *event {
	a.mu.order++
	e := &event{at: time.Now().Add(a.fast(d)), order: a.mu.order, f: f}
	heap.Push(&a.mu.due, e)
	a.nudge()
	return e
}

// An acquaintance is a radio that another has heard of.
type acquaintance struct {
	*Radio
	hops uint32 // over so many others
}

// knownLocked lists the radios whose words can reach r, over others too: those
// it would have heard of.
func (a *Air) knownLocked(r *Radio) []acquaintance {
	reached := map[*Radio]bool{r: true}
	var known []acquaintance
	for edge := []acquaintance{{Radio: r}}; len(edge) > 0; {
		to := edge[0]
		edge = edge[1:]
		for _, from := range a.mu.radios {
			if !reached[from] && a.hearsLocked(from, to.Radio) {
				reached[from] = true
				next := acquaintance{from, 0}
				if to.Radio != r {
					next.hops = to.hops + 1
				}
				known = append(known, next)
				edge = append(edge, next)
			}
		}
	}
	return known
}

// transmitLocked puts a frame on the air.
func (a *Air) transmitLocked(r *Radio, f *frame) {
	now := time.Now()
	airtime := f.airtime(a.modulation, r.signs)
	t := &transmission{by: r, frame: f, airtime: airtime, start: now, end: now.Add(a.fast(airtime))}
	a.mu.onAir = slices.DeleteFunc(a.mu.onAir, func(o *transmission) bool { return now.Sub(o.end) > a.fast(time.Minute) })
	a.mu.onAir = append(a.mu.onAir, t)
	s := Sent{
		By: r, From: f.from, ID: f.id, Hash: f.hash, Port: f.data.Port, Payload: f.data.Payload,
		Hops: f.hopLimit, Repeat: f.tries > 0 || f.from != r.num, ViaMQTT: f.viaMQTT, At: now, Airtime: airtime,
	}
	if f.data.Port == meshtastic.PortText {
		s.Text = string(f.data.Payload)
	}
	if len(a.mu.sent) == maxSent {
		a.mu.sent = slices.Delete(a.mu.sent, 0, maxSent/10)
	}
	a.mu.sent = append(a.mu.sent, s)
	r.spendLocked(t)
	a.log.Debug("transmission", "by", r.name, "from", f.from, "airtime", s.Airtime, "repeat", s.Repeat)
	a.afterLocked(airtime, func() { a.endLocked(t) })
}

// endLocked takes a frame off the air and into the radios that got it whole.
func (a *Air) endLocked(t *transmission) {
	t.by.sentLocked(t.frame)
	for _, r := range a.mu.radios {
		if !a.hearsLocked(t.by, r) || r.mu.off || a.spoiltLocked(t, r) || a.mu.random.Float64() < a.cfg.Loss {
			continue
		}
		heard := *t.frame
		heard.snr = a.snrLocked(t.by, r)
		a.afterLocked(a.cfg.Delay+a.jitterLocked(), func() { r.hearLocked(&heard) })
	}
}

// An event is something that will happen; a cancelled one has no f.
type event struct {
	at    time.Time
	order uint64
	f     func()
}

func (e *event) run() {
	if e.f != nil {
		e.f()
	}
}

func (e *event) cancel() {
	if e != nil {
		e.f = nil
	}
}

// A timeline is a heap of events, soonest first.
type timeline []*event

func (t timeline) Len() int { return len(t) }
func (t timeline) Less(i, j int) bool {
	if !t[i].at.Equal(t[j].at) {
		return t[i].at.Before(t[j].at)
	}
	return t[i].order < t[j].order
}
func (t timeline) Swap(i, j int) { t[i], t[j] = t[j], t[i] }
func (t *timeline) Push(x any)   { *t = append(*t, x.(*event)) }
func (t *timeline) Pop() any {
	old := *t
	last := old[len(old)-1]
	*t = old[:len(old)-1]
	return last
}
