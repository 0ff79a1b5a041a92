package radio

import (
	"drey/radio/share"
)

// newSharing makes the server of the shared radio. Clients from the network
// neither see nor write the frames that nodes exchange.
func newSharing(c *Carrier) *share.Server {
	cfg := c.cfg.Share
	cfg.Log = c.log
	if cfg.Hidden == nil {
		cfg.Hidden = func(channel uint32) bool { return c.hidden.Load()&(1<<channel) != 0 }
	}
	return share.New(cfg)
}

// hide notes the channels on which nodes exchange frames.
func (o *owner) hide() {
	var mask uint32
	if i := o.signedChannel(); i >= 0 {
		mask = 1 << i
	}
	for _, s := range o.c.secrets() { // during a rotation there may be two
		psk := s.RadioPSK()
		for i, ch := range o.channels {
			if string(ch.PSK) == string(psk[:]) {
				mask |= 1 << i
			}
		}
	}
	o.c.hidden.Store(mask)
}

// Shared returns how the sharing of the radio fares.
func (c *Carrier) Shared() share.Status { return c.shared.Status() }
