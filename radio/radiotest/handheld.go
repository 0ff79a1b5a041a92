package radiotest

import (
	"time"

	"drey/radio/meshtastic"
)

// A Handheld is a radio in somebody's hand: it needs no program to read and
// write texts.
type Handheld struct{ *Radio }

// A Text is what a handheld shows.
type Text struct {
	From    meshtastic.NodeNum
	Name    string // of the radio that said it, "" where it is not known
	Channel uint32
	ID      uint32
	Text    string
	Private bool // for this handheld alone
}

// inboxSize bounds what a handheld keeps unread; the oldest go first.
const inboxSize = 256

// NewHandheld puts a handheld on the air. Without channels it has the public
// one.
func (a *Air) NewHandheld(name string, channels ...meshtastic.Channel) *Handheld {
	r := a.NewRadio(name, RadioConfig{Channels: channels})
	a.mu.Lock()
	defer a.mu.Unlock()
	r.mu.inbox = make(chan Text, inboxSize)
	return &Handheld{r}
}

// Heard returns the texts that the handheld shows, as they come in.
func (h *Handheld) Heard() <-chan Text {
	h.air.mu.Lock()
	defer h.air.mu.Unlock()
	return h.mu.inbox
}

// Send says something on the first channel and returns the packet's id.
func (h *Handheld) Send(text string) uint32 { return h.SendOn(0, text) }

// SendOn says something on one of the handheld's channels and returns the
// packet's id.
func (h *Handheld) SendOn(channel uint32, text string) uint32 {
	h.air.mu.Lock()
	defer h.air.mu.Unlock()
	return h.sayLocked(channel, text)
}

// SendTo says something to one radio alone, whose acknowledgement the handheld
// awaits, and returns the packet's id.
func (h *Handheld) SendTo(to meshtastic.NodeNum, text string) uint32 {
	h.air.mu.Lock()
	defer h.air.mu.Unlock()
	return h.whisperLocked(to, text)
}

func (r *Radio) whisperLocked(to meshtastic.NodeNum, text string) uint32 {
	p := &meshtastic.Packet{
		To: to, ID: r.newIDLocked(), HopLimit: r.lora.HopLimit, WantAck: true, PKI: true,
		Data: &meshtastic.Data{Port: meshtastic.PortText, Payload: []byte(text)},
	}
	_ = r.sendLocked(p)
	return p.ID
}

// Tell sends what handhelds send by themselves, such as a position, on the first
// channel.
func (h *Handheld) Tell(port meshtastic.PortNum, payload []byte, bitfield uint32) {
	h.air.mu.Lock()
	defer h.air.mu.Unlock()
	_ = h.sendLocked(&meshtastic.Packet{
		To: meshtastic.Broadcast, ID: h.newIDLocked(), HopLimit: h.lora.HopLimit,
		Data: &meshtastic.Data{Port: port, Payload: payload, Bitfield: bitfield},
	})
}

// Answer lets the handheld answer texts that it hears: with what f returns,
// where that is not empty. f must not call the ether.
func (h *Handheld) Answer(f func(Text) string) {
	h.air.mu.Lock()
	defer h.air.mu.Unlock()
	h.mu.answer = f
}

// sayLocked queues a text as a handheld's own keyboard does.
func (r *Radio) sayLocked(channel uint32, text string) uint32 {
	p := &meshtastic.Packet{
		To: meshtastic.Broadcast, Channel: channel, ID: r.newIDLocked(), HopLimit: r.lora.HopLimit,
		Data: &meshtastic.Data{Port: meshtastic.PortText, Payload: []byte(text)},
	}
	_ = r.sendLocked(p)
	return p.ID
}

// thinkingTime is how long a person takes to answer.
const thinkingTime = 2 * time.Second

// readLocked shows a text to the handheld's owner.
func (r *Radio) readLocked(f *frame, channel uint32) {
	if r.mu.inbox == nil {
		return
	}
	t := Text{From: f.from, Channel: channel, ID: f.id, Text: string(f.data.Payload), Private: f.pki}
	for _, o := range r.air.mu.radios {
		if o.num == f.from {
			t.Name = o.name
		}
	}
	for {
		select {
		case r.mu.inbox <- t:
		default:
			select {
			case <-r.mu.inbox:
			default:
			}
			continue
		}
		break
	}
	if r.mu.answer == nil {
		return
	}
	if text := r.mu.answer(t); text != "" {
		r.air.afterLocked(thinkingTime, func() {
			if f.pki {
				r.whisperLocked(f.from, text)
				return
			}
			r.sayLocked(channel, text)
		})
	}
}
