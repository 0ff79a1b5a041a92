package web

// Version is the "v" of every JSON object of the API. Objects grow; a field is
// never renamed or given another meaning within a version.
const Version = 1

// A Status is what the node knows about itself now. Guests get it without
// peers, addresses and problems; see Scope.
type Status struct {
	V         int               `json:"v"`     // set by the server
	Scope     string            `json:"scope"` // of whoever asked; set by the server
	Health    Health            `json:"health"`
	Node      NodeStatus        `json:"node"`
	Community CommunityStatus   `json:"community"`
	Overlay   OverlayStatus     `json:"overlay"`
	Web       ListenStatus      `json:"web"` // set by the server
	Finding   FindingStatus     `json:"finding"`
	PubSub    PubSubStatus      `json:"pubsub"`
	Radio     RadioStatus       `json:"radio"`
	Nostr     NostrStatus       `json:"nostr"`
	Mail      MailStatus        `json:"mail"`
	Store     StoreStatus       `json:"store"`
	Refused   map[string]uint64 `json:"refused"` // events refused since the start, by reason
	Problems  []Problem         `json:"problems"`
}

// A Health sums up a node that runs: it is never down, as it reads, writes and
// serves its page with nothing around it.
type Health string

// The healths.
const (
	HealthUp       Health = "up"       // nothing ails it
	HealthDegraded Health = "degraded" // Problems say what does
)

// NodeStatus says who this node is.
type NodeStatus struct {
	Name     string `json:"name"`      // what neighbours see
	NPub     string `json:"npub"`      // its author key (NIP-19)
	PeerID   string `json:"peer_id"`   // its libp2p name
	Address  string `json:"address"`   // its IPv6 address in Yggdrasil
	Version  string `json:"version"`   // of the program
	UptimeMS int64  `json:"uptime_ms"` // since Run
}

// CommunityStatus says where this node belongs.
type CommunityStatus struct {
	Name    string `json:"name"`
	Tag     string `json:"tag"`     // 16 hexadecimal digits
	Members int    `json:"members"` // people and machines, this node included
	Open    bool   `json:"open"`
}

// OverlayStatus describes the links below gossip.
type OverlayStatus struct {
	Listen []string     `json:"listen"` // URIs that can be dialled from outside
	Peers  []PeerStatus `json:"peers"`
}

// PeerStatus describes one underlay link.
type PeerStatus struct {
	URI    string  `json:"uri"`
	Key    string  `json:"key"` // of the machine at the other end; "" while down
	Up     bool    `json:"up"`
	RTTMS  float64 `json:"rtt_ms"` // round trip in milliseconds; 0 when unknown
	Source string  `json:"source"` // "config", "lan", "cache", "invite", "incoming", "cli"
	Error  string  `json:"error,omitempty"`
}

// ListenStatus says where the page and the API are.
type ListenStatus struct {
	Listen string   `json:"listen"` // as bound: "[::]:3739"; "" without TCP
	URLs   []string `json:"urls"`   // addresses a phone on the same network can open

	HTTPS []string  `json:"https"` // the same over TLS, which the live camera and pairing need
	TLS   TLSStatus `json:"tls"`
}

// TLSStatus is what a browser shows of the node's certificate, to compare:
// SHA-256 in hexadecimal, "A1:B2:…"; "" where there is none.
type TLSStatus struct {
	Certificate string `json:"certificate"` // of the whole certificate, which is renewed now and then
	Key         string `json:"key"`         // of its public key, which stays
}

// PubSubStatus describes gossip.
type PubSubStatus struct {
	Peers  int `json:"peers"`  // machines of the community in contact
	Topics int `json:"topics"` // subscribed
}

// RadioStatus describes the LoRa radio.
type RadioStatus struct {
	State      string        `json:"state"` // "none", "connecting", "ready", "unplugged", …
	Device     string        `json:"device"`
	Node       string        `json:"node,omitempty"` // the radio's own name: "!a1b2c3d4"
	Region     string        `json:"region"`
	Preset     string        `json:"preset"`
	ChannelUse *float64      `json:"channel_use,omitempty"` // of the last minutes, 0 to 1; absent where the radio has not measured it lately
	Airtime    AirtimeStatus `json:"airtime"`

	Name     string         `json:"name,omitempty"`     // that its owner gave it
	Firmware string         `json:"firmware,omitempty"` // its version
	Nodes    int            `json:"nodes"`              // radios that it knows
	Heard    int            `json:"heard"`              // of these, within two hours
	Gateways int            `json:"gateways"`           // other nodes' radios on this ether
	Channels []RadioChannel `json:"channels"`
	Share    *RadioShare    `json:"share,omitempty"` // absent where the radio is not offered to others
}

// AirtimeStatus says how much of the air this node has used.
type AirtimeStatus struct {
	UsedMS  int64 `json:"used_ms"`  // sent in the last hour
	LimitMS int64 `json:"limit_ms"` // allowed in an hour; 0 means no limit
	Waiting int   `json:"waiting"`  // deliveries that wait for air
	WaitMS  int64 `json:"wait_ms"`  // until the next may go; 0 when it may go now

	HourMS   int64          `json:"hour_ms"`          // on the air in the last hour
	LegalMS  int64          `json:"legal_ms"`         // allowed by law in an hour; 0 means no limit
	LeftMS   int64          `json:"left_ms"`          // of the limit, as busy as the channel is; -1 means no limit
	Paused   string         `json:"paused,omitempty"` // why nothing at all is sent now
	PausedMS int64          `json:"paused_ms,omitempty"`
	Shares   []AirtimeShare `json:"shares"`
}

// NostrStatus describes the bridge to public relays.
type NostrStatus struct {
	State   string        `json:"state"`   // "off": no relay is wanted; "up", "degraded", "down": all are connected, some, none
	Gateway bool          `json:"gateway"` // topics go to relays and come from them
	Relays  []RelayStatus `json:"relays"`
	// Gateways is how many other gateways of the community were heard lately.
	Gateways int `json:"gateways"`
}

// RelayStatus describes one public relay.
type RelayStatus struct {
	URL   string  `json:"url"`
	Up    bool    `json:"up"`
	RTTMS float64 `json:"rtt_ms"`
	Error string  `json:"error,omitempty"`

	State  string `json:"state"`             // "connecting", "connected", "closing", "closed", "failed"
	Since  int64  `json:"since"`             // unix seconds; 0: the node has just begun
	NextMS int64  `json:"next_ms,omitempty"` // of a failed one: until the next attempt
	Paused bool   `json:"paused"`            // by the operator
	Side   bool   `json:"side"`              // for announcements only: no topics go there
	PaceMS int64  `json:"pace_ms,omitempty"` // learnt distance between messages

	Sent    uint64 `json:"sent"`    // messages that it acknowledged
	Refused uint64 `json:"refused"` // messages that it refused
	Got     uint64 `json:"got"`     // messages that came from it
	Invalid uint64 `json:"invalid"` // of those sent by it: forged, or of a wrong form
	Unasked uint64 `json:"unasked"` // and what nobody had asked for
	Dropped uint64 `json:"dropped"` // came too fast, and were asked for again

	Name     string `json:"name,omitempty"` // as it says (NIP-11)
	Software string `json:"software,omitempty"`
	NIPs     []int  `json:"nips,omitempty"`
}

// StoreStatus describes the durable memory.
type StoreStatus struct {
	Events int64 `json:"events"`
	Bytes  int64 `json:"bytes"` // on disk
}

// guestView is the status without what only members should know: where the
// machines are and what ails them.
func (s Status) guestView() Status {
	s.Node.PeerID, s.Node.Address = "", ""
	s.Overlay, s.Finding = OverlayStatus{}, FindingStatus{Mode: s.Finding.Mode}
	s.Radio.Device, s.Radio.Name, s.Radio.Channels, s.Radio.Share = "", "", nil, nil
	s.Nostr.Relays, s.Mail = nil, MailStatus{}
	s.Refused = nil
	s.Problems = nil
	return s
}

// filled replaces nil lists by empty ones: null is one more case for every
// reader of JSON.
func (s Status) filled() Status {
	s.V = Version
	if s.Health == "" {
		s.Health = HealthUp
	}
	if s.Overlay.Listen == nil {
		s.Overlay.Listen = []string{}
	}
	if s.Overlay.Peers == nil {
		s.Overlay.Peers = []PeerStatus{}
	}
	if s.Finding.Finders == nil {
		s.Finding.Finders = []FinderStatus{}
	}
	if s.Web.URLs == nil {
		s.Web.URLs = []string{}
	}
	if s.Web.HTTPS == nil {
		s.Web.HTTPS = []string{}
	}
	if s.Radio.Channels == nil {
		s.Radio.Channels = []RadioChannel{}
	}
	if s.Radio.Airtime.Shares == nil {
		s.Radio.Airtime.Shares = []AirtimeShare{}
	}
	if s.Nostr.Relays == nil {
		s.Nostr.Relays = []RelayStatus{}
	}
	if s.Refused == nil {
		s.Refused = map[string]uint64{}
	}
	if s.Problems == nil {
		s.Problems = []Problem{}
	}
	return s
}
