package meshtastic

import "google.golang.org/protobuf/encoding/protowire"

func protoNum(n uint32) protowire.Number { return protowire.Number(n) }

// MyInfo is the first answer to want_config: who the radio is.
type MyInfo struct {
	NodeNum     NodeNum
	RebootCount uint32
	MinApp      uint32 // oldest program version that it talks to
	DeviceID    []byte
}

func (m *MyInfo) append(b []byte) []byte {
	b = appendUint(b, 1, uint64(m.NodeNum))
	b = appendUint(b, 8, uint64(m.RebootCount))
	b = appendUint(b, 11, uint64(m.MinApp))
	return appendBytes(b, 12, m.DeviceID)
}

func parseMyInfo(b []byte) (*MyInfo, error) {
	m := new(MyInfo)
	return m, eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.uint32((*uint32)(&m.NodeNum))
		case 8:
			return f.uint32(&m.RebootCount)
		case 11:
			return f.uint32(&m.MinApp)
		case 12:
			return f.copyBytes(&m.DeviceID)
		}
		return nil
	})
}

// A NodeInfo is what a radio knows of another, or of itself.
type NodeInfo struct {
	Num       NodeNum
	User      *User
	Position  *Position
	SNR       float32
	LastHeard uint32 // seconds since 1970
	Metrics   *Metrics
	Channel   uint32
	ViaMQTT   bool
	HopsAway  uint32
}

func (n *NodeInfo) append(b []byte) []byte {
	b = appendUint(b, 1, uint64(n.Num))
	if n.User != nil {
		b = appendMessage(b, 2, AppendUser(nil, n.User))
	}
	if n.Position != nil {
		b = appendMessage(b, 3, AppendPosition(nil, n.Position))
	}
	b = appendFloat(b, 4, n.SNR)
	b = appendFixed32(b, 5, n.LastHeard)
	if n.Metrics != nil {
		b = appendMessage(b, 6, n.Metrics.append(nil))
	}
	b = appendUint(b, 7, uint64(n.Channel))
	b = appendBool(b, 8, n.ViaMQTT)
	return appendUint(b, 9, uint64(n.HopsAway))
}

func parseNodeInfo(b []byte) (*NodeInfo, error) {
	n := new(NodeInfo)
	return n, eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.uint32((*uint32)(&n.Num))
		case 2:
			return message(f, ParseUser, &n.User)
		case 3:
			return message(f, ParsePosition, &n.Position)
		case 4:
			return f.float(&n.SNR)
		case 5:
			return f.fixed32(&n.LastHeard)
		case 6:
			return message(f, parseMetrics, &n.Metrics)
		case 7:
			return f.uint32(&n.Channel)
		case 8:
			return f.bool(&n.ViaMQTT)
		case 9:
			return f.uint32(&n.HopsAway)
		}
		return nil
	})
}

// A User is what a radio's owner calls it. Radios send it over the air on
// PortNodeInfo.
type User struct {
	ID        string // "!a1b2c3d4"
	LongName  string
	ShortName string // up to 4 bytes
	HWModel   uint32
	Licensed  bool
	Role      uint32
	PublicKey []byte
}

// AppendUser appends u's protobuf form.
func AppendUser(b []byte, u *User) []byte {
	b = appendString(b, 1, u.ID)
	b = appendString(b, 2, u.LongName)
	b = appendString(b, 3, u.ShortName)
	b = appendUint(b, 5, uint64(u.HWModel))
	b = appendBool(b, 6, u.Licensed)
	b = appendUint(b, 7, uint64(u.Role))
	return appendBytes(b, 8, u.PublicKey)
}

// ParseUser reads a User.
func ParseUser(b []byte) (*User, error) {
	u := new(User)
	return u, eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.string(&u.ID)
		case 2:
			return f.string(&u.LongName)
		case 3:
			return f.string(&u.ShortName)
		case 5:
			return f.uint32(&u.HWModel)
		case 6:
			return f.bool(&u.Licensed)
		case 7:
			return f.uint32(&u.Role)
		case 8:
			return f.copyBytes(&u.PublicKey)
		}
		return nil
	})
}

// Metrics are what a radio measures about itself.
type Metrics struct {
	Battery            uint32  // per cent; 101 means powered
	Voltage            float32 // volts
	ChannelUtilization float32 // per cent of the last minute that the channel was in use
	AirUtilTX          float32 // per cent of the last hour that this radio transmitted
	Uptime             uint32  // seconds
}

func (m *Metrics) append(b []byte) []byte {
	b = appendUint(b, 1, uint64(m.Battery))
	b = appendFloat(b, 2, m.Voltage)
	b = appendFloat(b, 3, m.ChannelUtilization)
	b = appendFloat(b, 4, m.AirUtilTX)
	return appendUint(b, 5, uint64(m.Uptime))
}

func parseMetrics(b []byte) (*Metrics, error) {
	m := new(Metrics)
	return m, eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.uint32(&m.Battery)
		case 2:
			return f.float(&m.Voltage)
		case 3:
			return f.float(&m.ChannelUtilization)
		case 4:
			return f.float(&m.AirUtilTX)
		case 5:
			return f.uint32(&m.Uptime)
		}
		return nil
	})
}

// AppendTelemetry appends a Telemetry message with device metrics, as radios
// send it on PortTelemetry.
func AppendTelemetry(b []byte, at uint32, m *Metrics) []byte {
	b = appendFixed32(b, 1, at)
	return appendMessage(b, 2, m.append(nil))
}

// ParseTelemetry reads the device metrics of a Telemetry message, nil where it
// carries others.
func ParseTelemetry(b []byte) (*Metrics, error) {
	var m *Metrics
	err := eachField(b, func(f field) error {
		if f.num == 2 {
			return message(f, parseMetrics, &m)
		}
		return nil
	})
	return m, err
}

// Metadata says what the radio is made of.
type Metadata struct {
	Firmware string // such as "2.8.0.1234567"
	State    uint32 // version of its stored settings
	HWModel  uint32
}

func (m *Metadata) append(b []byte) []byte {
	b = appendString(b, 1, m.Firmware)
	b = appendUint(b, 2, uint64(m.State))
	return appendUint(b, 9, uint64(m.HWModel))
}

func parseMetadata(b []byte) (*Metadata, error) {
	m := new(Metadata)
	return m, eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.string(&m.Firmware)
		case 2:
			return f.uint32(&m.State)
		case 9:
			return f.uint32(&m.HWModel)
		}
		return nil
	})
}

// AppendNodeInfo appends n's protobuf form.
func AppendNodeInfo(b []byte, n *NodeInfo) []byte { return append(b, n.append(nil)...) }
