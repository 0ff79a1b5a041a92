package meshtastic

import "fmt"

// A FromRadio is a message from a radio to its program. At most one field
// beside ID is set; none is where the radio said something not listed here.
type FromRadio struct {
	ID               uint32
	Packet           *Packet
	MyInfo           *MyInfo
	NodeInfo         *NodeInfo
	Config           *Config
	Log              *LogRecord
	ConfigCompleteID uint32
	Rebooted         bool
	Channel          *Channel
	QueueStatus      *QueueStatus
	Metadata         *Metadata
	Notification     *Notification
	// Other is a message that is not read here, kept whole by its field
	// number: device settings of modules, screens and regions.
	Other *Other
}

// An Other is a message this package does not look into.
type Other struct {
	Field uint32 // of FromRadio: 9 moduleConfig, 15 fileInfo, 17 deviceui, 19 region presets
	Bytes []byte
}

// Field numbers of messages that are passed over.
const (
	FieldModuleConfig  = 9
	FieldDeviceUI      = 17
	FieldRegionPresets = 19
)

// AppendFromRadio appends m's protobuf form.
func AppendFromRadio(b []byte, m *FromRadio) []byte {
	b = appendUint(b, 1, uint64(m.ID))
	switch {
	case m.Packet != nil:
		return appendMessage(b, 2, AppendPacket(nil, m.Packet))
	case m.MyInfo != nil:
		return appendMessage(b, 3, m.MyInfo.append(nil))
	case m.NodeInfo != nil:
		return appendMessage(b, 4, m.NodeInfo.append(nil))
	case m.Config != nil:
		return appendMessage(b, 5, m.Config.append(nil))
	case m.Log != nil:
		return appendMessage(b, 6, appendString(nil, 1, m.Log.Message))
	case m.Rebooted:
		return appendBool(b, 8, true)
	case m.Channel != nil:
		return appendMessage(b, 10, m.Channel.append(nil))
	case m.QueueStatus != nil:
		return appendMessage(b, 11, m.QueueStatus.append(nil))
	case m.Metadata != nil:
		return appendMessage(b, 13, m.Metadata.append(nil))
	case m.Notification != nil:
		return appendMessage(b, 16, m.Notification.append(nil))
	case m.Other != nil:
		return appendMessage(b, protoNum(m.Other.Field), m.Other.Bytes)
	}
	return appendUint(b, 7, uint64(m.ConfigCompleteID))
}

// ParseFromRadio reads a FromRadio.
func ParseFromRadio(b []byte) (*FromRadio, error) {
	m := new(FromRadio)
	err := eachField(b, func(f field) error {
		if f.num != 1 {
			*m = FromRadio{ID: m.ID}
		}
		switch f.num {
		case 1:
			return f.uint32(&m.ID)
		case 2:
			return message(f, ParsePacket, &m.Packet)
		case 3:
			return message(f, parseMyInfo, &m.MyInfo)
		case 4:
			return message(f, parseNodeInfo, &m.NodeInfo)
		case 5:
			return message(f, parseConfig, &m.Config)
		case 6:
			return message(f, parseLog, &m.Log)
		case 7:
			return f.uint32(&m.ConfigCompleteID)
		case 8:
			return f.bool(&m.Rebooted)
		case 10:
			return message(f, parseChannel, &m.Channel)
		case 11:
			return message(f, parseQueueStatus, &m.QueueStatus)
		case 13:
			return message(f, parseMetadata, &m.Metadata)
		case 16:
			return message(f, parseNotification, &m.Notification)
		}
		if f.bytes != nil {
			m.Other = &Other{Field: uint32(f.num)}
			return f.copyBytes(&m.Other.Bytes)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("from radio: %w", err)
	}
	return m, nil
}

// A QueueStatus answers each packet and heartbeat. The radio keeps only two of
// them for a slow reader.
type QueueStatus struct {
	Result RoutingError // zero: taken; a text over the rate limit is taken and swallowed
	Free   uint32       // free places in the transmit queue
	MaxLen uint32       // all places
	ID     uint32       // of the packet; 0 for a heartbeat
}

func (s *QueueStatus) append(b []byte) []byte {
	b = appendInt(b, 1, int32(s.Result))
	b = appendUint(b, 2, uint64(s.Free))
	b = appendUint(b, 3, uint64(s.MaxLen))
	return appendUint(b, 4, uint64(s.ID))
}

func parseQueueStatus(b []byte) (*QueueStatus, error) {
	s := new(QueueStatus)
	return s, eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.uint32((*uint32)(&s.Result))
		case 2:
			return f.uint32(&s.Free)
		case 3:
			return f.uint32(&s.MaxLen)
		case 4:
			return f.uint32(&s.ID)
		}
		return nil
	})
}

// A LogRecord is a line of the radio's log, framed.
type LogRecord struct{ Message string }

func parseLog(b []byte) (*LogRecord, error) {
	l := new(LogRecord)
	return l, eachField(b, func(f field) error {
		if f.num == 1 {
			return f.string(&l.Message)
		}
		return nil
	})
}

// A Notification is for the person at the program: a warning, a limit met.
type Notification struct {
	ReplyID uint32 // the packet it is about, where it is about one
	Time    uint32 // seconds since 1970
	Level   uint32 // 10 debug, 20 info, 30 warning, 40 error
	Message string
}

func (n *Notification) append(b []byte) []byte {
	b = appendUint(b, 1, uint64(n.ReplyID))
	b = appendFixed32(b, 2, n.Time)
	b = appendUint(b, 3, uint64(n.Level))
	return appendString(b, 4, n.Message)
}

func parseNotification(b []byte) (*Notification, error) {
	n := new(Notification)
	return n, eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.uint32(&n.ReplyID)
		case 2:
			return f.fixed32(&n.Time)
		case 3:
			return f.uint32(&n.Level)
		case 4:
			return f.string(&n.Message)
		}
		return nil
	})
}
