package meshtastic

import "fmt"

// A NodeNum is a radio's number. It follows from the radio's key but changes
// when the key does, so it is never an identity.
type NodeNum uint32

// Broadcast addresses every radio.
const Broadcast NodeNum = 0xffffffff

// String returns the number as Meshtastic writes it, such as "!a1b2c3d4".
func (n NodeNum) String() string { return fmt.Sprintf("!%08x", uint32(n)) }

// A PortNum says what a payload is.
type PortNum uint32

// The ports that are used here.
const (
	PortText        PortNum = 1
	PortPosition    PortNum = 3
	PortNodeInfo    PortNum = 4
	PortRouting     PortNum = 5
	PortAdmin       PortNum = 6
	PortWaypoint    PortNum = 8
	PortHardware    PortNum = 2 // switches the pins of other radios
	PortAlert       PortNum = 11
	PortRangeTest   PortNum = 66
	PortTelemetry   PortNum = 67
	PortTraceroute  PortNum = 70
	PortPrivate     PortNum = 256
	PortProbe       PortNum = 287 // ours, within the private range: "drey radio test"; shown by nobody
	bigPort         PortNum = 128 // from here on a payload loses one byte to the number
	maxPayloadSmall         = 232
	maxPayloadBig           = 231
)

// MaxPayload is how many bytes a packet on the port can carry; one more is
// answered with TOO_LARGE.
func MaxPayload(p PortNum) int {
	if p >= bigPort {
		return maxPayloadBig
	}
	return maxPayloadSmall
}

// Bits of Data.Bitfield.
const BitOKToMQTT = 1 // the sender allows its words on the internet

// A RoutingError says why a packet failed; zero is an acknowledgement.
type RoutingError uint32

// The errors that are met here.
const (
	ErrorNone          RoutingError = 0
	ErrorNoRoute       RoutingError = 1
	ErrorGotNAK        RoutingError = 2
	ErrorTimeout       RoutingError = 3
	ErrorNoInterface   RoutingError = 4
	ErrorMaxRetransmit RoutingError = 5 // nobody repeated it
	ErrorNoChannel     RoutingError = 6
	ErrorTooLarge      RoutingError = 7
	ErrorDutyCycle     RoutingError = 9
	ErrorBadRequest    RoutingError = 32 // as a QueueStatus: the queue is full
	ErrorNotAuthorized RoutingError = 33
	ErrorPKIFailed     RoutingError = 34 // as a QueueStatus: the transmitter is off
	ErrorPKIUnknown    RoutingError = 35 // the other side does not know the sender's key
	ErrorBadPasskey    RoutingError = 36 // an order without the passkey, or with an old one
	ErrorRateLimit     RoutingError = 38
	ErrorNoKey         RoutingError = 39 // the radio does not know the addressee's key
)

var routingErrorNames = map[RoutingError]string{
	ErrorNone: "none", ErrorNoRoute: "no route", ErrorGotNAK: "refused on the way", ErrorTimeout: "timeout",
	ErrorNoInterface: "the radio does not transmit", ErrorMaxRetransmit: "nobody repeated it",
	ErrorNoChannel: "no such channel", ErrorTooLarge: "too large", ErrorDutyCycle: "duty cycle limit",
	ErrorBadRequest: "the radio's queue is full", ErrorRateLimit: "rate limit",
	ErrorNotAuthorized: "not allowed", ErrorPKIFailed: "not encrypted, or the radio does not transmit",
	ErrorPKIUnknown: "the other radio does not know this one's key", ErrorBadPasskey: "wrong passkey",
	ErrorNoKey: "the key of the other radio is not known",
}

// String returns what the error means.
func (e RoutingError) String() string {
	if s, ok := routingErrorNames[e]; ok {
		return s
	}
	return fmt.Sprintf("error %d", uint32(e))
}

// A Packet is a MeshPacket: what goes over the air, with what the radio knows
// about it.
type Packet struct {
	From, To  NodeNum // From 0 is the radio itself
	Channel   uint32  // index of the channel in the radio; on an encrypted packet its hash
	Data      *Data   // nil where the radio could not decrypt
	Encrypted []byte
	ID        uint32 // 0 lets the radio choose
	RxTime    uint32 // seconds since 1970
	RxSNR     float32
	HopLimit  uint32 // 0 to 7
	WantAck   bool
	Priority  uint32 // 0 lets the radio choose; 10 background, 64 default, 100 text
	RxRSSI    int32
	ViaMQTT   bool // born on, or passed over, the internet
	HopStart  uint32
	PublicKey []byte // of the addressee, where PKI is to be used, or of the sender, where it was
	PKI       bool   // for the addressee's eyes only, whatever the channel's key
	RelayNode uint32 // last byte of the radio that passed it on
}

// AppendPacket appends p's protobuf form.
func AppendPacket(b []byte, p *Packet) []byte {
	b = appendFixed32(b, 1, uint32(p.From))
	b = appendFixed32(b, 2, uint32(p.To))
	b = appendUint(b, 3, uint64(p.Channel))
	if p.Data != nil {
		b = appendMessage(b, 4, AppendData(nil, p.Data))
	}
	b = appendBytes(b, 5, p.Encrypted)
	b = appendFixed32(b, 6, p.ID)
	b = appendFixed32(b, 7, p.RxTime)
	b = appendFloat(b, 8, p.RxSNR)
	b = appendUint(b, 9, uint64(p.HopLimit))
	b = appendBool(b, 10, p.WantAck)
	b = appendUint(b, 11, uint64(p.Priority))
	b = appendInt(b, 12, p.RxRSSI)
	b = appendBool(b, 14, p.ViaMQTT)
	b = appendUint(b, 15, uint64(p.HopStart))
	b = appendBytes(b, 16, p.PublicKey)
	b = appendBool(b, 17, p.PKI)
	return appendUint(b, 19, uint64(p.RelayNode))
}

// ParsePacket reads a MeshPacket.
func ParsePacket(b []byte) (*Packet, error) {
	p := new(Packet)
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.fixed32((*uint32)(&p.From))
		case 2:
			return f.fixed32((*uint32)(&p.To))
		case 3:
			return f.uint32(&p.Channel)
		case 4:
			p.Encrypted = nil
			return message(f, ParseData, &p.Data)
		case 5:
			p.Data = nil
			return f.copyBytes(&p.Encrypted)
		case 6:
			return f.fixed32(&p.ID)
		case 7:
			return f.fixed32(&p.RxTime)
		case 8:
			return f.float(&p.RxSNR)
		case 9:
			return f.uint32(&p.HopLimit)
		case 10:
			return f.bool(&p.WantAck)
		case 11:
			return f.uint32(&p.Priority)
		case 12:
			return f.int32(&p.RxRSSI)
		case 14:
			return f.bool(&p.ViaMQTT)
		case 15:
			return f.uint32(&p.HopStart)
		case 16:
			return f.copyBytes(&p.PublicKey)
		case 17:
			return f.bool(&p.PKI)
		case 19:
			return f.uint32(&p.RelayNode)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("packet: %w", err)
	}
	return p, nil
}

// Data is a packet's content.
type Data struct {
	Port         PortNum
	Payload      []byte
	WantResponse bool
	Dest, Source NodeNum
	RequestID    uint32 // the packet that this answers
	ReplyID      uint32 // the text that this replies to
	Emoji        uint32 // not 0: the text is a reaction to ReplyID
	Bitfield     uint32
}

// AppendData appends d's protobuf form.
func AppendData(b []byte, d *Data) []byte {
	b = appendUint(b, 1, uint64(d.Port))
	b = appendBytes(b, 2, d.Payload)
	b = appendBool(b, 3, d.WantResponse)
	b = appendFixed32(b, 4, uint32(d.Dest))
	b = appendFixed32(b, 5, uint32(d.Source))
	b = appendFixed32(b, 6, d.RequestID)
	b = appendFixed32(b, 7, d.ReplyID)
	b = appendFixed32(b, 8, d.Emoji)
	return appendUint(b, 9, uint64(d.Bitfield))
}

// ParseData reads a Data message.
func ParseData(b []byte) (*Data, error) {
	d := new(Data)
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.uint32((*uint32)(&d.Port))
		case 2:
			return f.copyBytes(&d.Payload)
		case 3:
			return f.bool(&d.WantResponse)
		case 4:
			return f.fixed32((*uint32)(&d.Dest))
		case 5:
			return f.fixed32((*uint32)(&d.Source))
		case 6:
			return f.fixed32(&d.RequestID)
		case 7:
			return f.fixed32(&d.ReplyID)
		case 8:
			return f.fixed32(&d.Emoji)
		case 9:
			return f.uint32(&d.Bitfield)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	return d, nil
}

// AppendRouting appends a Routing message that carries e. The field is written
// even when it is zero: it is the acknowledgement.
func AppendRouting(b []byte, e RoutingError) []byte {
	b = append(b, 3<<3)
	return append(b, byte(e)) // errors are below 128
}

// ParseRouting reads the error of a Routing message; ok is false where it
// carries something else, such as a route.
func ParseRouting(b []byte) (e RoutingError, ok bool, err error) {
	err = eachField(b, func(f field) error {
		if f.num != 3 {
			return nil
		}
		ok = true
		return f.uint32((*uint32)(&e))
	})
	if err != nil {
		return 0, false, fmt.Errorf("routing: %w", err)
	}
	return e, ok, nil
}
