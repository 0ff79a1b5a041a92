package share

import (
	"slices"

	"drey/radio/meshtastic"
)

// What the owner of the real radio calls. Messages come as the radio wrote
// them, raw, so that clients get what is not understood here too, beside what
// they were read as.

// Next takes the next packet that a client wants sent, in turns; skip, which
// may be nil, tells the clients that have to wait. ok is false when there is
// none.
func (s *Server) Next(skip func(ClientID) bool) (r Request, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range len(s.mu.clients) + 1 {
		s.mu.turn = (s.mu.turn + 1) % (len(s.mu.clients) + 1)
		if s.mu.turn == len(s.mu.clients) {
			if len(s.mu.left) > 0 && (skip == nil || !skip(gone)) {
				r = s.mu.left[0]
				s.mu.left = slices.Delete(s.mu.left, 0, 1)
				return r, true
			}
			continue
		}
		c := s.mu.clients[s.mu.turn]
		if len(c.mu.send) == 0 || skip != nil && skip(c.id) {
			continue
		}
		p := c.mu.send[0]
		c.mu.send = slices.Delete(c.mu.send, 0, 1)
		return Request{c.id, c.scope, p}, true
	}
	return Request{}, false
}

// Learn takes in a part of the radio's account of itself, as it comes after
// want_config: who it is, settings, channels, other radios.
func (s *Server) Learn(raw []byte, m *meshtastic.FromRadio) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.book.learn(raw, m)
}

// Begin says that the radio begins its account anew.
func (s *Server) Begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.book.begin()
}

// Live says that the radio's account is complete and that it takes packets.
// Clients that were told otherwise before are asked to ask again.
func (s *Server) Live() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.live = true
	select {
	case <-s.met:
	default:
		close(s.met)
	}
	if changed := s.mu.book.complete(); changed {
		for _, c := range s.mu.clients {
			if c.mu.told {
				c.restartLocked()
			}
		}
	}
	for _, c := range s.mu.clients {
		c.nudge() // it may wait for the account
	}
}

// Gone says that the radio is away for now.
func (s *Server) Gone() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.live = false
}

// Heard hands clients a packet that the radio heard, or one of its own about
// itself, that is not the answer to anybody's: a private one goes to local
// clients and to those who write with its sender.
func (s *Server) Heard(raw []byte, p *meshtastic.Packet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.book.heard(p)
	self := s.mu.book.self
	for _, c := range s.mu.clients {
		if p.To != meshtastic.Broadcast && c.scope == Network && !(p.To == self && c.partnerLocked(p.From)) {
			continue
		}
		if p.Data == nil || c.scope == Network && (p.Data.Port == meshtastic.PortAdmin || p.Data.Port >= meshtastic.PortPrivate && s.cfg.Hidden(p.Channel)) {
			continue
		}
		c.putLocked(raw, isText(p))
	}
}

// Own shows clients, but for one, a packet that this radio has sent: what the
// node says, and what another client says. by is 0 for the node.
func (s *Server) Own(p *meshtastic.Packet, by ClientID) {
	if !isText(p) {
		return
	}
	own := *p
	own.WantAck = false
	s.mu.Lock()
	defer s.mu.Unlock()
	own.From = s.mu.book.self
	raw := meshtastic.AppendFromRadio(nil, &meshtastic.FromRadio{Packet: &own})
	for _, c := range s.mu.clients {
		if c.id != by && (p.To == meshtastic.Broadcast || c.scope == Local) {
			c.putLocked(raw, true)
		}
	}
}

// Tell hands all local clients a message that is no packet: a notification.
func (s *Server) Tell(raw []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.mu.clients {
		if c.scope == Local {
			c.putLocked(raw, false)
		}
	}
}

// Answer hands one client a message about a packet of its own. What it asked
// about settings, clients from the network get without secrets.
func (s *Server) Answer(to ClientID, m *meshtastic.FromRadio) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.mu.clients {
		if c.id == to {
			if c.scope == Network {
				m = withoutSecrets(m)
			}
			c.answerLocked(m)
		}
	}
}

// Routing tells a client what became of a packet of its own: as the radio does,
// in its own name.
func (s *Server) Routing(to ClientID, id uint32, e meshtastic.RoutingError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.mu.clients {
		if c.id == to {
			c.routingLocked(id, e)
		}
	}
}

// isText reports whether a packet is shown to people: when queues are full such
// packets push out the oldest.
func isText(p *meshtastic.Packet) bool {
	return p.Data != nil && (p.Data.Port == meshtastic.PortText || p.Data.Port == meshtastic.PortRangeTest)
}
