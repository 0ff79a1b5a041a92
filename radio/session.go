package radio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"sync"
	"time"

	"drey/radio/meshtastic"
)

// Times of the conversation with the radio.
const (
	wakePause      = 100 * time.Millisecond
	configSilence  = 3 * time.Second  // longest gap in the radio's account of itself
	configMost     = 60 * time.Second // with thousands of known nodes on a slow line
	heartbeatEvery = time.Minute
	heartbeatWait  = 10 * time.Second
	writeTimeout   = 5 * time.Second
	quietAfter     = 250 * time.Millisecond // longer than any frame takes
	publishEvery   = 5 * time.Second
	// bootJunk is how much unframed text in a live connection means that the
	// radio has restarted and prints its log.
	bootJunk    = 64
	chunkBuffer = 64 // reads that may wait for the owner
)

var (
	errSilent = errors.New("the radio does not answer")
	errMute   = errors.New("the device does not answer as a Meshtastic radio does")
)

// A session is one open line to the radio.
type session struct {
	*owner
	conn   io.ReadWriteCloser
	device string

	scanner meshtastic.Scanner
	state   string
	nonce   uint32
	wasLive bool

	since    time.Time // of the state
	lastRead time.Time
	lastAsk  time.Time // heartbeat sent
	waiting  bool      // for the heartbeat's answer
	missed   int       // answers in a row that did not come although the radio spoke
	junk     uint64    // when the state began
	asking   bool      // the live radio tells its account again
	asked    time.Time // since then
	shown    time.Time
}

// run speaks with the radio until ctx ends or something fails. It closes the
// line.
func (s *session) run(ctx context.Context) error {
	chunks := make(chan []byte, chunkBuffer)
	done := make(chan struct{})
	var readErr error
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(chunks)
		readErr = s.read(chunks, done)
	})
	defer reader.Wait()
	defer s.conn.Close()
	defer s.errands.gone()
	defer close(done)

	s.scanner.OK = func(p []byte) bool {
		_, err := meshtastic.ParseFromRadio(p)
		return err == nil
	}
	s.enter(StateWaking)
	if err := s.write(meshtastic.AppendWake(nil)); err != nil {
		return err
	}
	timer := time.NewTimer(wakePause)
	defer timer.Stop()
	for {
		wake, err := s.act(time.Now())
		if err != nil {
			return err
		}
		timer.Reset(time.Until(wake))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case b, ok := <-chunks:
			if !ok {
				return &lineError{s.device, "read from", readErr}
			}
			s.lastRead = time.Now()
			_, _ = s.scanner.Write(b)
			s.takeIn()
		case d := <-s.deliveries:
			s.take(ctx, d)
		case num := <-s.translator.met:
			s.out.meet(time.Now(), num, true)
		case e := <-s.c.errands:
			s.errands.submit(time.Now(), e)
		case <-s.c.shared.Wake(): // act takes what clients want sent
		case tell := <-s.desk.news:
			tell(s.owner, time.Now())
		case <-timer.C:
			if s.scanner.Partial() && time.Since(s.lastRead) >= quietAfter {
				s.scanner.Quiet()
				s.takeIn()
			}
		}
	}
}

// read hands on what the line says.
func (s *session) read(chunks chan<- []byte, done <-chan struct{}) error {
	for {
		b := make([]byte, 4*meshtastic.MaxPacket)
		n, err := s.conn.Read(b)
		if n > 0 {
			select {
			case chunks <- b[:n]:
			case <-done:
				return nil
			}
		}
		if err != nil {
			return err
		}
	}
}

func (s *session) enter(state string) {
	s.state, s.since = state, time.Now()
	s.lastRead = s.since
	s.junk = s.scanner.Junk()
	s.c.setState(state, nil)
	s.c.log.Debug("radio state", "state", state, "device", s.device)
}

// act does what is due now and returns when to act next.
func (s *session) act(now time.Time) (wake time.Time, err error) {
	switch s.state {
	case StateWaking:
		if now.Sub(s.since) < wakePause {
			return s.since.Add(wakePause), nil
		}
		err := s.configure()
		return now.Add(quietAfter), err
	case StateConfiguring:
		if now.Sub(s.lastRead) >= configSilence || now.Sub(s.since) >= configMost {
			return now, &deviceError{s.device, errMute}
		}
		return now.Add(quietAfter), nil
	}
	return s.actLive(now)
}

// configure asks the radio for everything about itself.
func (s *session) configure() error {
	s.newNonce()
	s.enter(StateConfiguring)
	s.asking = false
	return s.askAll()
}

// askAll asks for the radio's account of itself.
func (s *session) askAll() error {
	s.c.shared.Begin()
	return s.say(&meshtastic.ToRadio{WantConfigID: s.nonce})
}

func (s *session) actLive(now time.Time) (wake time.Time, err error) {
	s.wantMore(now)
	s.errands.pull(now)
	if err := s.tellRadio(now); err != nil {
		return now, err
	}
	for {
		p, at := s.out.next(now)
		if p == nil {
			wake = at
			break
		}
		if err := s.say(&meshtastic.ToRadio{Packet: p}); err != nil {
			return now, err
		}
		s.errands.launched(now, p)
		s.c.log.Debug("text given to the radio", "packet", fmt.Sprintf("%08x", p.ID), "channel", p.Channel)
	}
	if s.waiting && !s.asking && now.Sub(s.lastAsk) >= heartbeatWait {
		// The radio keeps two answers only: one may be lost while it is busy.
		if s.missed++; s.lastRead.Before(s.lastAsk) || s.missed > 1 {
			return now, &deviceError{s.device, errSilent}
		}
		s.waiting = false
	}
	ask, at := s.out.poll(now, s.lastAsk)
	if (ask || now.Sub(s.lastAsk) >= heartbeatEvery) && !s.waiting {
		s.lastAsk, s.waiting = now, true
		if err := s.say(&meshtastic.ToRadio{Heartbeat: &meshtastic.Heartbeat{}}); err != nil {
			return now, err
		}
	}
	if s.waiting {
		wake = soonest(wake, s.lastAsk.Add(heartbeatWait))
	} else {
		wake = soonest(soonest(wake, at), s.lastAsk.Add(heartbeatEvery))
	}
	if _, at := s.errands.act(now); !at.IsZero() {
		wake = soonest(wake, at)
	}
	if s.asking {
		wake = soonest(wake, s.asked.Add(configMost))
	}
	if s.scanner.Partial() {
		wake = soonest(wake, s.lastRead.Add(quietAfter))
	}
	if now.Sub(s.shown) >= publishEvery {
		s.shown = now
		s.publish(now)
		s.hide()
	}
	if len(s.out.held)+len(s.out.flying) > 0 {
		wake = soonest(wake, now.Add(publishEvery))
	}
	if least := now.Add(time.Millisecond); wake.Before(least) {
		wake = least
	}
	return wake, nil
}

// tellRadio says what is for the radio itself: questions and orders, and after
// orders it asks what has become of its settings.
func (s *session) tellRadio(now time.Time) error {
	for {
		m, _ := s.errands.act(now)
		if m == nil {
			break
		}
		if err := s.say(m); err != nil {
			return err
		}
	}
	if s.asking && now.Sub(s.asked) >= configMost {
		return &deviceError{s.device, errSilent}
	}
	if s.asking || !s.errands.refresh(now) {
		return nil
	}
	s.asking, s.asked = true, now
	s.newNonce()
	return s.askAll()
}

func (s *session) say(m *meshtastic.ToRadio) error {
	return s.write(meshtastic.AppendFrame(nil, meshtastic.AppendToRadio(nil, m)))
}

// write never has more than a few frames under way that the radio has not
// answered, less than what the kernel takes without blocking.
func (s *session) write(b []byte) error {
	if d, ok := s.conn.(interface{ SetWriteDeadline(time.Time) error }); ok {
		_ = d.SetWriteDeadline(time.Now().Add(writeTimeout))
	}
	for len(b) > 0 {
		n, err := s.conn.Write(b)
		if err != nil {
			return &lineError{s.device, "write to", err}
		}
		b = b[n:]
	}
	return nil
}

// takeIn handles every whole frame that has been read.
func (s *session) takeIn() {
	for p := s.scanner.Next(); p != nil; p = s.scanner.Next() {
		m, err := meshtastic.ParseFromRadio(p)
		if err != nil {
			continue // the scanner asked the same question
		}
		s.handle(p, m)
	}
	s.c.count(func(st *Status) { st.Junk = s.scanner.Junk() })
	if s.state == StateLive && s.scanner.Junk()-s.junk >= bootJunk {
		s.restarted()
	}
}

// restarted starts over with a radio that has forgotten us.
func (s *session) restarted() {
	s.c.log.Info("radio has restarted", "device", s.device)
	s.out.lost(time.Now())
	s.waiting, s.asking = false, false
	s.errands.gone()
	s.enter(StateWaking)
}

// newNonce picks the number of the next question for everything.
func (s *session) newNonce() {
	s.nonce = 0
	for s.nonce == 0 || s.nonce == meshtastic.NonceConfigOnly || s.nonce == meshtastic.NonceNodesOnly {
		s.nonce = s.out.random.Uint32() >> 1 // some programs take it for signed
	}
}

// handle takes in one message; raw are its bytes.
func (s *session) handle(raw []byte, m *meshtastic.FromRadio) {
	now := time.Now()
	if s.state == StateConfiguring || s.asking {
		s.c.shared.Learn(raw, m)
	}
	switch {
	case m.MyInfo != nil:
		s.meetSelf(m.MyInfo.NodeNum)
	case m.NodeInfo != nil:
		s.meetInfo(m.NodeInfo)
	case m.Metadata != nil:
		s.firmware = m.Metadata.Firmware
	case m.Config != nil && m.Config.LoRa != nil:
		s.lora = *m.Config.LoRa
	case m.Channel != nil:
		if i := m.Channel.Index; i >= 0 && i < meshtastic.MaxChannels {
			s.channels[i] = *m.Channel
		}
	case m.ConfigCompleteID != 0:
		if s.state == StateConfiguring && m.ConfigCompleteID == s.nonce {
			s.live(now)
		} else if s.asking && m.ConfigCompleteID == s.nonce {
			s.asking, s.shown = false, time.Time{}
			s.learnt(now)
		}
	case m.Rebooted:
		if s.state == StateLive {
			s.restarted()
		}
	case m.QueueStatus != nil:
		if m.QueueStatus.ID == 0 {
			s.waiting, s.missed = false, 0
		}
		s.errands.status(now, m.QueueStatus)
		s.out.status(now, m.QueueStatus)
	case m.Notification != nil:
		s.notified(now, m.Notification)
		s.errands.notified(raw, m.Notification)
	case m.Packet != nil && m.Packet.Data != nil:
		if !s.errands.packet(m.Packet) && m.Packet.Data.Port != meshtastic.PortRouting {
			s.c.shared.Heard(raw, m.Packet)
		}
		s.packet(now, m.Packet)
	}
}

// live is reached when the radio has told everything about itself. What follows
// from that is done first: who waits for the state finds the whole account, the
// radio's problem, and what goes on the air.
func (s *session) live(now time.Time) {
	s.wasLive = true
	s.lastOpen = ""
	s.c.finder.found(s.device)
	s.learnt(now)
	s.lastAsk = now.Add(-heartbeatEvery) // ask for the queue's state at once
	s.waiting = false
	s.out.up(now)
	s.look(now)
	s.shown = now
	s.publish(now)
	s.enter(StateLive)
	s.c.log.Info("radio is live", "device", s.device, "node", s.myNum, "preset", presetName(s.lora), "region", s.lora.Region)
}

// learnt takes over what the radio told about itself.
func (s *session) learnt(now time.Time) {
	_, s.out.modulation = modulationOf(s.lora)
	s.out.signs = signs(s.firmware)
	s.out.num = s.myNum
	s.out.hops = s.lora.HopLimit
	_, s.out.blocked, _ = s.problemOfRadio()
	s.governor.legal = legalDuty(s.lora.Region)
	s.rechannel()
	s.look(now)
	s.hide()
	s.c.shared.Live()
}

// signs reports whether a firmware adds a signature to broadcasts: 2.8 and
// later do.
func signs(firmware string) bool {
	var major, minor int
	if _, err := fmt.Sscanf(firmware, "%d.%d", &major, &minor); err != nil {
		return true // reckon with the dearer case
	}
	return major > 2 || major == 2 && minor >= 8
}

func (s *session) meetSelf(n meshtastic.NodeNum) {
	s.myNum = n
	s.meetNode(n, "", false)
	s.c.nodes.known(n)
}

func (s *session) meetInfo(n *meshtastic.NodeInfo) {
	name := ""
	if n.User != nil {
		name = toUTF8(n.User.LongName)
	}
	s.meetNode(n.Num, name, false)
	s.c.nodes.told(n)
	last := time.Unix(int64(n.LastHeard), 0)
	if age := s.c.cfg.Clock().Sub(last); n.Num != s.myNum && !n.ViaMQTT && age >= 0 && age < rememberFor {
		s.heardBefore(n.Num, age)
	}
	if n.Num == s.myNum && n.Metrics != nil {
		s.metrics = *n.Metrics
		s.busy(n.Metrics.ChannelUtilization)
	}
}

// packet takes in what came over the air, or what the radio says about a
// packet of ours.
func (s *session) packet(now time.Time, p *meshtastic.Packet) {
	if p.From != s.myNum {
		s.meetNode(p.From, "", true)
		s.c.day.heard(s.c.cfg.Clock(), p.RxSNR, p.ViaMQTT)
		s.out.company()
		if p.Data.Port == meshtastic.PortText || p.Data.Port == meshtastic.PortPrivate {
			s.out.alive(p.From)
			s.out.yield(now, p.From)
		}
		s.neighbour(now, p)
	}
	s.c.nodes.heard(p)
	switch p.Data.Port {
	case meshtastic.PortPosition, meshtastic.PortTelemetry:
		s.reading(now, p)
	}
	switch p.Data.Port {
	case meshtastic.PortPrivate:
		s.frameFrom(now, p)
	case meshtastic.PortText:
		s.private(p)
		s.text(p)
	case meshtastic.PortNodeInfo:
		if u, err := meshtastic.ParseUser(p.Data.Payload); err == nil {
			s.meetNode(p.From, toUTF8(u.LongName), true)
		}
	case meshtastic.PortRouting:
		e, ok, err := meshtastic.ParseRouting(p.Data.Payload)
		if err == nil && ok && p.From == s.myNum && p.Data.RequestID != 0 {
			s.out.routing(now, p.Data.RequestID, e)
		}
	case meshtastic.PortTelemetry:
		if m, err := meshtastic.ParseTelemetry(p.Data.Payload); err == nil && m != nil && p.From == s.myNum {
			s.metrics = *m
			s.busy(m.ChannelUtilization)
		}
	}
}

// sendAgain finds how long the law keeps the radio silent in what it says to
// people.
var sendAgain = regexp.MustCompile(`[Dd]uty cycle.*again in (\d{1,4}) ?min`)

// notified takes in a message to people.
func (s *session) notified(now time.Time, n *meshtastic.Notification) {
	s.c.log.Info("radio says", "level", n.Level, "message", fmt.Sprintf("%.200q", n.Message))
	found := sendAgain.FindStringSubmatch(n.Message)
	if found == nil {
		return
	}
	minutes, err := strconv.Atoi(found[1])
	if err != nil {
		return
	}
	s.out.pauseFor(now, time.Duration(min(minutes, 60))*time.Minute, "airtime (legal limit)")
}
