package radiotest

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"drey/radio/meshtastic"
)

// errCut ends a line that was unplugged.
var errCut = errors.New("unplugged")

// A session is one client at one line. Everything but conn and wake is guarded
// by the air's lock.
type session struct {
	radio  *Radio
	conn   io.ReadWriteCloser
	serial bool // a line that knows no connections: the client may come and go
	wake   chan struct{}

	spoken bool                    // the client has sent its first ToRadio
	config []*meshtastic.FromRadio // what is left of the answer to want_config
	live   bool                    // config_complete was sent
	text   []byte                  // unframed log text to print
	cut    bool                    // to be unplugged in the middle of the next frame
	fused  bool                    // to be unplugged when fuse more bytes came in
	fuse   int
	gone   bool
	lastID uint32
}

// Serve speaks to one client at conn until it leaves, the radio throws it out
// or ctx ends. It closes conn. The newest client of a radio throws out the one
// before it. serial tells that conn is a line without connections.
func (r *Radio) Serve(ctx context.Context, conn io.ReadWriteCloser, serial bool) error {
	s := &session{radio: r, conn: conn, serial: serial, wake: make(chan struct{}, 1)}
	r.air.mu.Lock()
	r.dropClientLocked()
	r.mu.client = s
	s.bootLocked()
	r.air.mu.Unlock()

	var work sync.WaitGroup
	defer work.Wait()
	done := make(chan struct{})
	defer close(done)
	work.Go(func() {
		select {
		case <-ctx.Done():
		case <-done:
		}
		s.leave()
	})
	work.Go(func() { s.write(done) })
	return s.read()
}

// Conn returns a connection to the radio inside this process, as TCP is one.
// Air.Run serves it.
func (r *Radio) Conn() io.ReadWriteCloser { return r.line(false) }

// Line returns a serial line to the radio inside this process. Air.Run serves
// it.
func (r *Radio) Line() io.ReadWriteCloser { return r.line(true) }

func (r *Radio) line(serial bool) io.ReadWriteCloser {
	mine, yours := newPipe()
	r.air.spawn(func(ctx context.Context) { _ = r.Serve(ctx, mine, serial) })
	return yours
}

// read feeds what the client writes into the radio.
func (s *session) read() error {
	scanner := meshtastic.Scanner{OK: func(p []byte) bool {
		_, err := meshtastic.ParseToRadio(p)
		return err == nil
	}}
	buf := make([]byte, 16<<10)
	for {
		n, err := s.conn.Read(buf)
		if blown := s.takeIn(&scanner, buf[:n]); blown {
			s.leave()
			return errCut
		}
		if err != nil && s.isGone() {
			return errCut
		}
		if err != nil {
			s.leave()
			return err
		}
	}
}

// takeIn handles every whole frame of b at once, as the firmware does: answers
// are written only afterwards. It reports whether the line was unplugged.
func (s *session) takeIn(scanner *meshtastic.Scanner, b []byte) (blown bool) {
	s.radio.air.mu.Lock()
	defer s.radio.air.mu.Unlock()
	if s.fused {
		blown = len(b) >= s.fuse
		b = b[:min(s.fuse, len(b))]
		s.fuse -= len(b)
	}
	_, _ = scanner.Write(b)
	for p := scanner.Next(); p != nil; p = scanner.Next() {
		m, err := meshtastic.ParseToRadio(p)
		if err == nil && !s.radio.mu.off {
			s.handleLocked(m)
		}
	}
	return blown
}

func (s *session) handleLocked(m *meshtastic.ToRadio) {
	s.spoken = true
	s.text = nil
	switch {
	case m.WantConfigID != 0:
		s.config = s.radio.configLocked(m.WantConfigID)
		s.live = false
	case m.Packet != nil:
		s.radio.fromClientLocked(m.Packet)
	case m.Heartbeat != nil && m.Heartbeat.Nonce == 1:
		s.radio.announceLocked()
	case m.Heartbeat != nil:
		s.radio.statusLocked(meshtastic.ErrorNone, 0)
	case m.Disconnect:
		s.live, s.config = false, nil
	}
	s.nudge()
}

// write sends what the radio has for the client, one message at a time.
func (s *session) write(done <-chan struct{}) {
	for {
		b, cut := s.next()
		if cut {
			b = b[:len(b)/2]
		}
		if len(b) > 0 && s.put(b) != nil || cut {
			s.leave()
			return
		}
		if b != nil {
			continue
		}
		select {
		case <-done:
			return
		case <-s.wake:
		}
	}
}

// put writes b. A serial line that nobody reads loses bytes and goes on.
func (s *session) put(b []byte) error {
	if !s.serial {
		_, err := s.conn.Write(b)
		return err
	}
	if d, ok := s.conn.(interface{ SetWriteDeadline(time.Time) error }); ok {
		_ = d.SetWriteDeadline(time.Now().Add(time.Second))
	}
	if _, err := s.conn.Write(b); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return nil
}

// next returns the bytes to write next, nil when there are none, and whether
// the line breaks in the middle of them.
func (s *session) next() (b []byte, cut bool) {
	s.radio.air.mu.Lock()
	defer s.radio.air.mu.Unlock()
	if s.cut {
		wreck := meshtastic.AppendFromRadio(nil, &meshtastic.FromRadio{Log: &meshtastic.LogRecord{Message: "unplugged in the middle of this"}})
		return meshtastic.AppendFrame(nil, wreck), true
	}
	if s.radio.mu.off || s.gone {
		return nil, false
	}
	if len(s.text) > 0 {
		b, s.text = s.text, nil
		return b, false
	}
	m := s.nextMessageLocked()
	if m == nil {
		return nil, false
	}
	s.lastID++
	m.ID = s.lastID
	return meshtastic.AppendFrame(nil, meshtastic.AppendFromRadio(nil, m)), false
}

func (s *session) nextMessageLocked() *meshtastic.FromRadio {
	r := s.radio
	switch {
	case len(s.config) > 0:
		m := s.config[0]
		s.config = s.config[1:]
		s.live = len(s.config) == 0
		return m
	case !s.live:
		return nil
	case len(r.mu.statuses) > 0:
		status := r.mu.statuses[0]
		r.mu.statuses = r.mu.statuses[1:]
		return &meshtastic.FromRadio{QueueStatus: &status}
	case len(r.mu.phone) > 0:
		m := r.mu.phone[0]
		r.mu.phone = r.mu.phone[1:]
		return m
	}
	return nil
}

func (s *session) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// leave closes the line.
func (s *session) leave() {
	s.radio.air.mu.Lock()
	defer s.radio.air.mu.Unlock()
	s.leaveLocked()
}

func (s *session) leaveLocked() {
	if s.gone {
		return
	}
	s.gone = true
	if s.radio.mu.client == s {
		s.radio.mu.client = nil
	}
	_ = s.conn.Close()
	s.nudge()
}

func (s *session) isGone() bool {
	s.radio.air.mu.Lock()
	defer s.radio.air.mu.Unlock()
	return s.gone
}

// cutLocked unplugs the line: the client gets half a frame and then nothing.
func (s *session) cutLocked() {
	s.cut = true
	s.nudge()
}

// restartLocked forgets the client, as a reboot does.
func (s *session) restartLocked() {
	s.spoken, s.live, s.config, s.text = false, false, nil, nil
}

// bootLocked prints what a serial line shows before the first ToRadio.
func (s *session) bootLocked() {
	if !s.serial || s.spoken {
		return
	}
	s.text = []byte("\r\n\r\n//\\ E S H T /\\ S T / C\r\n\r\n" +
		"INFO  | ??:??:?? 1 Booted, wake cause 0 (boot count 1), reset_reason=reset\r\n" +
		"DEBUG | ??:??:?? 2 Filesystem files:\r\nDEBUG | ??:??:?? 2  /prefs/config.proto (94 Bytes)\r\n")
	s.nudge()
}

func (r *Radio) dropClientLocked() {
	if r.mu.client != nil {
		r.mu.client.leaveLocked()
	}
}

// configLocked lists the answer to want_config in the firmware's order.
func (r *Radio) configLocked(nonce uint32) []*meshtastic.FromRadio {
	var list []*meshtastic.FromRadio
	add := func(m *meshtastic.FromRadio) { list = append(list, m) }
	if nonce != meshtastic.NonceNodesOnly {
		add(&meshtastic.FromRadio{MyInfo: &meshtastic.MyInfo{
			NodeNum: r.num, RebootCount: r.mu.boots, MinApp: 30200, DeviceID: slices.Repeat([]byte{byte(r.num)}, 16),
		}})
		add(&meshtastic.FromRadio{Other: &meshtastic.Other{Field: meshtastic.FieldDeviceUI, Bytes: []byte{1 << 3, 1}}})
	}
	own := r.nodeInfo()
	own.Metrics = r.metricsLocked()
	add(&meshtastic.FromRadio{NodeInfo: own})
	if nonce != meshtastic.NonceNodesOnly {
		add(&meshtastic.FromRadio{Metadata: &meshtastic.Metadata{Firmware: r.firmware, State: 24, HWModel: 37}})
		add(&meshtastic.FromRadio{Other: &meshtastic.Other{Field: meshtastic.FieldRegionPresets}})
		for i := range meshtastic.MaxChannels {
			c := r.channelLocked(i)
			add(&meshtastic.FromRadio{Channel: &c})
		}
		for section := uint32(1); section <= 10; section++ {
			c := r.sectionLocked(section)
			add(&meshtastic.FromRadio{Config: &c})
		}
		for module := byte(1); module <= 17; module++ { // each empty
			add(&meshtastic.FromRadio{Other: &meshtastic.Other{
				Field: meshtastic.FieldModuleConfig, Bytes: moduleConfig(module),
			}})
		}
	}
	if nonce != meshtastic.NonceConfigOnly {
		for _, o := range r.air.knownLocked(r) {
			info := o.nodeInfo()
			info.HopsAway = o.hops
			if o.hops == 0 {
				info.SNR = float32(r.air.snrLocked(o.Radio, r))
			}
			add(&meshtastic.FromRadio{NodeInfo: info})
		}
	}
	add(&meshtastic.FromRadio{ConfigCompleteID: nonce})
	return list
}

// moduleConfig is a message with one empty message inside.
func moduleConfig(field byte) []byte {
	tag := uint16(field)<<3 | 2
	if tag < 0x80 {
		return []byte{byte(tag), 0}
	}
	return []byte{byte(tag) | 0x80, byte(tag >> 7), 0}
}

func (r *Radio) nodeInfo() *meshtastic.NodeInfo {
	return &meshtastic.NodeInfo{Num: r.num, User: r.user(), SNR: 6, LastHeard: uint32(time.Now().Unix())}
}

// announceLocked sends the radio's own name over the air.
func (r *Radio) announceLocked() {
	_ = r.sendLocked(&meshtastic.Packet{
		To: meshtastic.Broadcast, ID: r.newIDLocked(), HopLimit: r.lora.HopLimit, Priority: 10,
		Data: &meshtastic.Data{Port: meshtastic.PortNodeInfo, Payload: meshtastic.AppendUser(nil, r.user())},
	})
}
