package radio

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"drey/radio/meshtastic"
)

// A NodeStatus is what is known of one radio on the air.
type NodeStatus struct {
	Node      string  `json:"node"` // "!a1b2c3d4"
	Name      string  `json:"name,omitempty"`
	ShortName string  `json:"short_name,omitempty"`
	Self      bool    `json:"self,omitempty"`
	LastHeard int64   `json:"last_heard,omitempty"` // unix seconds; 0 when never
	SNR       float32 `json:"snr,omitempty"`        // dB, of the last packet heard directly or relayed
	Hops      int     `json:"hops"`                 // relays in between; −1 when not known
	ViaMQTT   bool    `json:"via_mqtt,omitempty"`   // heard over the internet
	Battery   int     `json:"battery,omitempty"`    // per cent; 101 is powered; 0 not known
	KeyKnown  bool    `json:"key_known"`            // it can be written to in private

	Place *Place `json:"place,omitempty"`
}

// A Place is where a radio said it is.
type Place struct {
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
	Altitude  int32   `json:"altitude,omitempty"` // metres
	At        int64   `json:"at,omitempty"`       // unix seconds
}

// A nodeBook knows the radios on the air. Safe for concurrent use.
type nodeBook struct {
	clock func() time.Time // immutable

	mu struct {
		sync.Mutex
		nodes map[meshtastic.NodeNum]*knownNode
		self  meshtastic.NodeNum
	}
}

type knownNode struct {
	NodeStatus
	num meshtastic.NodeNum
	key []byte // public; nil when not known
}

func newNodeBook(clock func() time.Time) *nodeBook {
	b := &nodeBook{clock: clock}
	b.mu.nodes = make(map[meshtastic.NodeNum]*knownNode)
	return b
}

// updateLocked returns a node, a new one where there is none yet; nil for what is
// no number.
func (b *nodeBook) updateLocked(num meshtastic.NodeNum) *knownNode {
	n := b.mu.nodes[num]
	if n == nil && num != 0 && num != meshtastic.Broadcast {
		if len(b.mu.nodes) >= maxNodes {
			b.forgetLocked()
		}
		n = &knownNode{num: num, NodeStatus: NodeStatus{Node: num.String(), Hops: -1}}
		b.mu.nodes[num] = n
	}
	return n
}

// forgetLocked makes room by dropping the radio that was not heard for longest, one
// without a known key if it can be helped.
func (b *nodeBook) forgetLocked() {
	var found *knownNode
	for num, n := range b.mu.nodes {
		if num != b.mu.self && (found == nil || found.KeyKnown && !n.KeyKnown || found.KeyKnown == n.KeyKnown && n.LastHeard < found.LastHeard) {
			found = n
		}
	}
	if found != nil {
		delete(b.mu.nodes, found.num)
	}
}

// meet takes in what a radio is called. Over the air anybody may say that under
// any number, so a key that is known stays, as in the firmware, and a name that
// comes with another key is not believed; told tells that our own radio says it.
func (n *knownNode) meet(u *meshtastic.User, told bool) {
	if u == nil || !told && n.key != nil && !bytes.Equal(n.key, u.PublicKey) {
		return
	}
	n.Name, n.ShortName = cleanLine(toUTF8(u.LongName)), cleanLine(toUTF8(u.ShortName))
	if len(u.PublicKey) == 32 {
		n.key = u.PublicKey
		n.KeyKnown = true
	}
}

// cleanLine makes a name fit for one line of a terminal.
func cleanLine(s string) string { return strings.Join(strings.Fields(clean(s)), " ") }

func (n *knownNode) at(p *meshtastic.Position, now int64) {
	if p == nil || !p.Known {
		return
	}
	if p.Time != 0 {
		now = int64(p.Time)
	}
	n.Place = &Place{p.Latitude, p.Longitude, p.Altitude, now}
}

// known says which radio is ours.
func (b *nodeBook) known(self meshtastic.NodeNum) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.self = self
	b.updateLocked(self)
}

// own returns our radio's number, 0 while it is not known.
func (b *nodeBook) own() meshtastic.NodeNum {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.self
}

// told takes in what the radio knows of another, or of itself.
func (b *nodeBook) told(info *meshtastic.NodeInfo) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.updateLocked(info.Num)
	if n == nil {
		return
	}
	n.meet(info.User, true)
	n.at(info.Position, int64(info.LastHeard))
	if info.Metrics != nil {
		n.Battery = int(min(info.Metrics.Battery, 101))
	}
	if int64(info.LastHeard) > n.LastHeard {
		n.LastHeard, n.SNR, n.ViaMQTT = int64(info.LastHeard), info.SNR, info.ViaMQTT
		n.Hops = int(info.HopsAway)
	}
}

// heard takes in a packet off the air, whatever it carries.
func (b *nodeBook) heard(p *meshtastic.Packet) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.updateLocked(p.From)
	if n == nil {
		return
	}
	now := b.clock().Unix()
	if p.From != b.mu.self {
		n.LastHeard, n.SNR, n.ViaMQTT = now, p.RxSNR, p.ViaMQTT
		n.Hops = -1
		if p.HopStart >= p.HopLimit && p.HopStart > 0 {
			n.Hops = int(p.HopStart - p.HopLimit)
		}
	}
	switch p.Data.Port {
	case meshtastic.PortNodeInfo:
		if u, err := meshtastic.ParseUser(p.Data.Payload); err == nil {
			n.meet(u, false)
		}
	case meshtastic.PortPosition:
		if at, err := meshtastic.ParsePosition(p.Data.Payload); err == nil {
			n.at(at, now)
		}
	case meshtastic.PortTelemetry:
		if m, err := meshtastic.ParseTelemetry(p.Data.Payload); err == nil && m != nil {
			n.Battery = int(min(m.Battery, 101))
		}
	}
}

// list returns all radios, those heard last first.
func (b *nodeBook) list() []NodeStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]NodeStatus, 0, len(b.mu.nodes))
	for num, n := range b.mu.nodes {
		s := n.NodeStatus
		s.Self = num == b.mu.self
		list = append(list, s)
	}
	slices.SortFunc(list, func(x, y NodeStatus) int {
		return cmp.Or(cmp.Compare(y.LastHeard, x.LastHeard), cmp.Compare(x.Node, y.Node))
	})
	return list
}

// name returns what people call a radio.
func (b *nodeBook) name(num meshtastic.NodeNum) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := b.mu.nodes[num]; n != nil && n.Name != "" {
		return n.Name
	}
	return num.String()
}

// Errors of a search by name.
var (
	errNobody  = fmt.Errorf("no radio of this name has been heard")
	errSeveral = fmt.Errorf("several radios have this name: use the number")
	errNoKey   = fmt.Errorf("its key is not known yet: it comes when that radio tells its name, within hours")
	errToSelf  = fmt.Errorf("this is the node's own radio")
)

// find returns the radio that a number or a name, in any case, means, and its
// key.
func (b *nodeBook) find(who string) (meshtastic.NodeNum, []byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var found []*knownNode
	for _, n := range b.mu.nodes {
		if n.Node == strings.ToLower(who) {
			found = []*knownNode{n}
			break
		}
		if strings.EqualFold(n.Name, who) || strings.EqualFold(n.ShortName, who) {
			found = append(found, n)
		}
	}
	switch {
	case len(found) == 0:
		return 0, nil, errNobody
	case len(found) > 1:
		return 0, nil, errSeveral
	case found[0].num == b.mu.self:
		return 0, nil, errToSelf
	case found[0].key == nil:
		return found[0].num, nil, errNoKey
	}
	return found[0].num, bytes.Clone(found[0].key), nil
}

// Nodes returns the radios on the air as far as they are known, those heard
// last first.
func (c *Carrier) Nodes() []NodeStatus { return c.nodes.list() }
