package meshtastic

import "fmt"

// Nonces of WantConfigID that ask for a part only; any other number asks for
// everything.
const (
	NonceConfigOnly = 69420 // everything but the other nodes
	NonceNodesOnly  = 69421
)

// A ToRadio is a message from a program to its radio. Exactly one field is
// set.
type ToRadio struct {
	Packet       *Packet
	WantConfigID uint32
	Disconnect   bool
	Heartbeat    *Heartbeat
}

// A Heartbeat keeps the connection: the radio drops a client after 15 minutes
// of silence. Nonce 0 is answered with a QueueStatus; 1 makes the radio send
// its NodeInfo over the air.
type Heartbeat struct{ Nonce uint32 }

// AppendToRadio appends m's protobuf form.
func AppendToRadio(b []byte, m *ToRadio) []byte {
	switch {
	case m.Packet != nil:
		return appendMessage(b, 1, AppendPacket(nil, m.Packet))
	case m.Heartbeat != nil:
		return appendMessage(b, 7, appendUint(nil, 1, uint64(m.Heartbeat.Nonce)))
	case m.Disconnect:
		return appendBool(b, 4, true)
	}
	return appendUint(b, 3, uint64(m.WantConfigID))
}

// ParseToRadio reads a ToRadio.
func ParseToRadio(b []byte) (*ToRadio, error) {
	m := new(ToRadio)
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			*m = ToRadio{}
			return message(f, ParsePacket, &m.Packet)
		case 3:
			*m = ToRadio{}
			return f.uint32(&m.WantConfigID)
		case 4:
			*m = ToRadio{}
			return f.bool(&m.Disconnect)
		case 7:
			*m = ToRadio{}
			return message(f, parseHeartbeat, &m.Heartbeat)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("to radio: %w", err)
	}
	return m, nil
}

func parseHeartbeat(b []byte) (*Heartbeat, error) {
	h := new(Heartbeat)
	err := eachField(b, func(f field) error {
		if f.num == 1 {
			return f.uint32(&h.Nonce)
		}
		return nil
	})
	return h, err
}
