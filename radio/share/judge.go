package share

import "drey/radio/meshtastic"

// judge decides whether a client may have a packet sent, and returns it as it
// will be: in the radio's own name, and with what an ADMIN message was read as,
// so that nothing else can hide in it. e is the answer where it may not.
func (s *Server) judge(scope Scope, p *meshtastic.Packet, self meshtastic.NodeNum) (out *meshtastic.Packet, e meshtastic.RoutingError) {
	if p.Data == nil || p.Data.Port == 0 || p.To == 0 {
		return nil, meshtastic.ErrorBadRequest
	}
	q, data := *p, *p.Data
	q.Data = &data
	q.From, q.RxTime, q.RxSNR, q.RxRSSI, q.HopStart, q.RelayNode = 0, 0, 0, 0, 0, 0
	q.HopLimit = min(q.HopLimit, 7)
	data.Source, data.Dest = 0, 0
	if len(data.Payload) > meshtastic.MaxPayload(data.Port) {
		return nil, meshtastic.ErrorTooLarge
	}
	if q.Channel >= meshtastic.MaxChannels && !q.PKI {
		return nil, meshtastic.ErrorNoChannel
	}
	if data.Port == meshtastic.PortAdmin {
		a, err := meshtastic.ParseAdmin(data.Payload)
		if err != nil {
			return nil, meshtastic.ErrorBadRequest
		}
		if !s.mayAdmin(scope, a, q.To == self) {
			return nil, meshtastic.ErrorNotAuthorized
		}
		data.Payload = meshtastic.AppendAdmin(nil, a)
		return &q, meshtastic.ErrorNone
	}
	if scope == Network {
		switch {
		case q.To == self, data.Port == meshtastic.PortHardware:
			return nil, meshtastic.ErrorNotAuthorized // it would set the radio's place, or switch pins
		case data.Port >= meshtastic.PortPrivate && s.cfg.Hidden(q.Channel):
			return nil, meshtastic.ErrorNotAuthorized
		}
	}
	return &q, meshtastic.ErrorNone
}

// mayAdmin tells who may say what on the ADMIN port. Everybody may ask this
// radio; what the answer holds is another matter.
func (s *Server) mayAdmin(scope Scope, a *meshtastic.Admin, toSelf bool) bool {
	if scope == Local && s.cfg.Admin {
		return true
	}
	return toSelf && a.Asks()
}
