package radiotest

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"slices"
	"time"

	"drey/radio/air"
	"drey/radio/meshtastic"
)

// Limits of the firmware.
const (
	txQueueSize    = 16
	statusesKept   = 2   // QueueStatus answers that wait for a slow client
	clientIDsKept  = 20  // packet ids of clients that are remembered
	framesKept     = 100 // frames that are remembered, so that each is passed on once; 2 a node where there are more
	defaultPhone   = 32  // packets that wait for a client
	defaultHops    = 3
	maxShortName   = 4
	dutyWindow     = time.Hour
	ackPause       = 10 * time.Second // between tries of a broadcast that nobody repeated
	ackTries       = 3
	queueFull      = meshtastic.ErrorBadRequest // the firmware's "unknown error", 32
	transmitterOff = meshtastic.RoutingError(34)
	pkiOverhead    = 12 // bytes

	utilizationPart  = 10 * time.Second
	utilizationParts = 6
)

// A Radio is one simulated device.
type Radio struct {
	air      *Air                 // immutable
	index    int                  // immutable: its place among the air's radios
	name     string               // immutable
	num      meshtastic.NodeNum   // immutable
	channels []meshtastic.Channel // guarded by the air's lock
	lora     meshtastic.LoRa      // guarded by the air's lock
	signs    bool                 // immutable: adds a signature to broadcasts
	wantsKey bool                 // immutable: takes orders only with the passkey
	phoneMax int                  // immutable
	firmware string               // immutable

	// mu is guarded by the air's lock: the ether is one world.
	mu struct {
		off       bool // rebooting
		boots     uint32
		client    *session
		sending   *frame
		queue     []*frame
		attempt   *event // the next try to send
		seen      []frameID
		clientID  []uint32
		phone     []*meshtastic.FromRadio
		statuses  []meshtastic.QueueStatus
		lastPort  map[meshtastic.PortNum]time.Time
		waiting   map[uint32]*event // broadcasts that wait to be heard again
		spent     []*transmission   // own, of the last hour
		lastID    uint32
		lastFree  int
		inbox     chan Text // of a handheld
		answer    func(Text) string
		dropped   int
		swallowed int
		saved     settings          // what a reboot brings back
		sections  map[uint32][]byte // settings beside channels and LoRa
		editing   bool              // between begin and commit
		passkey   []byte
	}
}

// RadioConfig says what a radio is. The zero value is a common board on the
// public channel.
type RadioConfig struct {
	Channels   []meshtastic.Channel // the first is the primary; nil: only the public one
	Signs      bool                 // the firmware signs broadcasts, as 2.8 does
	PhoneQueue int                  // packets kept for a client; 0 is 32
	NoRegion   bool                 // nobody has chosen a region: it does not transmit
	IgnoreMQTT bool
	Passkey    bool // it takes orders only with the passkey that its answers bring
}

// NewRadio puts a radio on the air.
func (a *Air) NewRadio(name string, cfg RadioConfig) *Radio {
	r := &Radio{
		air: a, name: name, num: meshtastic.NodeNum(crc32.ChecksumIEEE([]byte("radiotest/" + name))),
		channels: slices.Clone(cfg.Channels), signs: cfg.Signs, wantsKey: cfg.Passkey, phoneMax: cfg.PhoneQueue, firmware: "2.7.15.567b8ea",
	}
	if r.phoneMax == 0 {
		r.phoneMax = defaultPhone
	}
	if cfg.Signs {
		r.firmware = "2.8.0.1f2e3d4"
	}
	if len(r.channels) == 0 {
		r.channels = []meshtastic.Channel{PublicChannel()}
	}
	for i := range r.channels {
		c := &r.channels[i]
		c.Index = int32(i)
		c.Role = meshtastic.RoleSecondary
		if i == 0 {
			c.Role = meshtastic.RolePrimary
		}
	}
	r.lora = meshtastic.LoRa{
		UsePreset: true, Preset: a.cfg.Preset, Region: a.cfg.Region, HopLimit: a.cfg.HopLimit, TXEnabled: true,
		TXPower: 20, IgnoreMQTT: cfg.IgnoreMQTT,
	}
	if cfg.NoRegion {
		r.lora.Region = meshtastic.RegionUnset
	}
	r.mu.boots = 1
	r.mu.sections = make(map[uint32][]byte)
	r.mu.passkey = r.Key()[:passkeySize]
	r.mu.saved = settings{r.channels, r.lora, r.mu.sections}.clone()
	r.forgetLocked() // nobody else knows it yet
	a.mu.Lock()
	defer a.mu.Unlock()
	r.index = len(a.mu.radios)
	a.mu.radios = append(a.mu.radios, r)
	a.afterLocked(time.Duration(1+r.index*23%60)*time.Second, r.measureLocked) // nobody boots them at one moment
	return r
}

// measureEvery is how often the firmware tells its client what it measures.
const measureEvery = time.Minute

// measureLocked tells the client how busy the channel is, as the firmware does
// each minute, to nobody else, unless something waits for the client.
func (r *Radio) measureLocked() {
	r.air.afterLocked(measureEvery, r.measureLocked)
	if r.mu.client == nil || r.mu.off || len(r.mu.phone) > 0 {
		return
	}
	r.toPhoneLocked(&meshtastic.FromRadio{Packet: &meshtastic.Packet{
		From: r.num, To: meshtastic.Broadcast, ID: r.newIDLocked(),
		Data: &meshtastic.Data{
			Port:    meshtastic.PortTelemetry,
			Payload: meshtastic.AppendTelemetry(nil, uint32(time.Now().Unix()), r.metricsLocked()),
		},
	}})
}

// PublicChannel is the channel every radio comes with.
func PublicChannel() meshtastic.Channel {
	return meshtastic.Channel{PSK: []byte{1}, Role: meshtastic.RolePrimary}
}

// PrivateChannel is a channel with a key made from its name: enough for radios
// that share it, and only for them.
func PrivateChannel(name string) meshtastic.Channel {
	key := bytes.Repeat([]byte(name+"/"), 32)[:32]
	return meshtastic.Channel{Name: name, PSK: key, Role: meshtastic.RoleSecondary}
}

// Num returns the radio's node number.
func (r *Radio) Num() meshtastic.NodeNum { return r.num }

// Name returns the name the radio was made with.
func (r *Radio) Name() string { return r.name }

// Free returns the free places in the transmit queue.
func (r *Radio) Free() int {
	r.air.mu.Lock()
	defer r.air.mu.Unlock()
	return r.freeLocked()
}

// Dropped returns how many packets were lost to full queues in this radio.
func (r *Radio) Dropped() int {
	r.air.mu.Lock()
	defer r.air.mu.Unlock()
	return r.mu.dropped
}

// Swallowed returns how many packets of clients came too fast and were thrown
// away without a word.
func (r *Radio) Swallowed() int {
	r.air.mu.Lock()
	defer r.air.mu.Unlock()
	return r.mu.swallowed
}

// Reboot restarts the radio, which is deaf and dumb for a while and forgets
// what it had not sent. A TCP client is cut off; a serial client sees log text.
func (r *Radio) Reboot(d time.Duration) {
	r.air.mu.Lock()
	defer r.air.mu.Unlock()
	r.rebootLocked(d)
}

func (r *Radio) rebootLocked(d time.Duration) {
	saved := r.mu.saved.clone()
	r.channels, r.lora, r.mu.sections, r.mu.editing = saved.channels, saved.lora, saved.sections, false
	r.mu.off = true
	r.mu.boots++
	r.forgetLocked()
	if s := r.mu.client; s != nil {
		if !s.serial {
			r.dropClientLocked()
		}
		s.restartLocked()
	}
	r.air.afterLocked(d, func() {
		r.mu.off = false
		if s := r.mu.client; s != nil {
			s.bootLocked()
		}
	})
}

// Unplug cuts the line to the client, in the middle of a frame when one is on
// its way. The radio goes on, as one with a battery does.
func (r *Radio) Unplug() {
	r.air.mu.Lock()
	defer r.air.mu.Unlock()
	if s := r.mu.client; s != nil {
		s.cutLocked()
	}
}

// UnplugAfter cuts the line as Unplug does, when the client has written n more
// bytes: in the middle of what it was about to say.
func (r *Radio) UnplugAfter(n int) {
	r.air.mu.Lock()
	defer r.air.mu.Unlock()
	if s := r.mu.client; s != nil {
		s.fuse, s.fused = n, true
	}
}

// forgetLocked empties what lives in the radio's memory only.
func (r *Radio) forgetLocked() {
	r.mu.sending, r.mu.queue, r.mu.seen, r.mu.clientID = nil, nil, nil, nil
	r.mu.phone, r.mu.statuses, r.mu.lastFree = nil, nil, txQueueSize
	r.mu.attempt.cancel()
	r.mu.attempt = nil
	for _, e := range r.mu.waiting {
		e.cancel()
	}
	r.mu.waiting = make(map[uint32]*event)
	r.mu.lastPort = make(map[meshtastic.PortNum]time.Time)
}

func (r *Radio) user() *meshtastic.User {
	short := r.name[:min(len(r.name), maxShortName)]
	return &meshtastic.User{ID: r.num.String(), LongName: r.name, ShortName: short, HWModel: 37, PublicKey: r.Key()}
}

func (r *Radio) freeLocked() int { return txQueueSize - len(r.mu.queue) }

// channelFor finds the channel that opens a frame.
func (r *Radio) channelFor(f *frame) (uint32, bool) {
	if f.pki {
		return 0, f.to == r.num
	}
	for i, c := range r.channels {
		key, _ := c.Key()
		if c.Role != meshtastic.RoleDisabled && c.Hash(r.air.preset) == f.hash && bytes.Equal(key, f.key) {
			return uint32(i), true
		}
	}
	return 0, false
}

// spendLocked notes own time on the air.
func (r *Radio) spendLocked(t *transmission) {
	r.mu.spent = slices.DeleteFunc(r.mu.spent, func(o *transmission) bool {
		return t.start.Sub(o.start) > r.air.fast(dutyWindow)
	})
	r.mu.spent = append(r.mu.spent, t)
}

// usedLocked returns own time on the air within the last hour.
func (r *Radio) usedLocked(now time.Time) time.Duration {
	var sum time.Duration
	for _, t := range r.mu.spent {
		if now.Sub(t.start) <= r.air.fast(dutyWindow) {
			sum += t.airtime
		}
	}
	return sum
}

// dutyLocked reports how long the region's law keeps the radio silent now.
func (r *Radio) dutyLocked() time.Duration {
	var share float64
	switch r.lora.Region {
	case meshtastic.RegionEU433, meshtastic.RegionEU868:
		share = 0.10
	default:
		return 0
	}
	now := time.Now()
	limit := time.Duration(share * float64(dutyWindow))
	used := r.usedLocked(now)
	if used < limit {
		return 0
	}
	for _, t := range r.mu.spent { // oldest first: when enough of them leave the window
		used -= t.airtime
		if used < limit {
			return time.Duration(float64(t.start.Add(r.air.fast(dutyWindow)).Sub(now)) * r.air.cfg.Tempo)
		}
	}
	return dutyWindow
}

func (r *Radio) metricsLocked() *meshtastic.Metrics {
	return &meshtastic.Metrics{
		Battery: 101, ChannelUtilization: float32(r.utilizationLocked()),
		AirUtilTX: 100 * float32(r.usedLocked(time.Now())) / float32(dutyWindow),
	}
}

// utilizationLocked returns how much of the last minute the radio sent or heard
// others send, in per cent. As the firmware does, it counts in six parts of ten
// seconds, the last of them still running, and divides by the whole minute: a
// transmission of its own counts where it begins, another's where it ends.
func (r *Radio) utilizationLocked() float64 {
	part := r.air.fast(utilizationPart)
	now := time.Now()
	first := now.Truncate(part).Add(-(utilizationParts - 1) * part)
	var busy time.Duration
	for _, t := range r.air.mu.onAir {
		at := t.end
		if t.by == r {
			at = t.start
		}
		if !at.Before(first) && !at.After(now) && (t.by == r || r.air.hearsLocked(t.by, r)) {
			busy += t.airtime
		}
	}
	return min(100, 100*float64(busy)/float64(utilizationParts*utilizationPart))
}

// newIDLocked makes a packet id.
func (r *Radio) newIDLocked() uint32 {
	r.mu.lastID = r.air.mu.random.Uint32() | 1
	return r.mu.lastID
}

// A frame is what goes over the air. Encryption is played: a radio opens it
// with the same key, and only then.
type frame struct {
	from, to           meshtastic.NodeNum
	id                 uint32
	hash               byte
	key                []byte
	data               meshtastic.Data
	hopLimit, hopStart uint32
	wantAck, viaMQTT   bool
	pki                bool // for the addressee alone
	priority           uint32
	relay              uint32
	tries              int
	snr                float64 // at which this radio heard it, in dB
	repeat             bool    // heard from another, to be passed on
}

type frameID struct {
	from meshtastic.NodeNum
	id   uint32
}

func (f *frame) name() frameID { return frameID{f.from, f.id} }

func (f *frame) airtime(m air.Modulation, signs bool) time.Duration {
	size := len(f.data.Payload)
	if f.pki {
		size += pkiOverhead
	}
	signs = signs && f.to == meshtastic.Broadcast
	if f.data.Port < 128 {
		return m.Time(air.TextSize(size, signs))
	}
	return m.Time(air.FrameSize(size, signs))
}

func (f *frame) String() string { return fmt.Sprintf("%s:%08x", f.from, f.id) }
