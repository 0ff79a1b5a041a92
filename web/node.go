package web

import (
	"context"
	"iter"
	"time"

	"drey/mesh"
	"drey/web/lang"
)

// A Node is what the API needs from the machine it speaks for. Methods are
// safe for concurrent use. Errors of package mesh (ErrRefused, ErrBusy,
// ErrNotFound, *GoneError and the others) become the right answer by
// themselves; an *Error is handed to the client as it is.
type Node interface {
	Reader
	Writer
	Links
	Airwaves
	Relaying
	Belonging
	Mailing
	Conversing
	Views

	// Status is asked often: it must not do more than look.
	Status(ctx context.Context) (Status, error)
	// Samples are figures for /metrics beyond those of Status: the length of
	// every queue, what it dropped.
	Samples(ctx context.Context) []Sample
	// Doctor looks for problems more thoroughly than Status does and may take
	// seconds. What is well is listed too.
	Doctor(ctx context.Context) ([]Check, error)
}

// A Reader reads messages. All its methods leave out what the viewer may not
// see. store.Store has the first three, hub.Hub the others.
type Reader interface {
	// Record returns one event, mesh.ErrNotFound, or a *mesh.GoneError.
	Record(ctx context.Context, id mesh.EventID, v mesh.Viewer) (*mesh.Record, error)
	// Beginning returns up to most ids that begin with the hexadecimal digits of
	// prefix, eight or more, whoever may see them.
	Beginning(ctx context.Context, prefix string, most int) ([]mesh.EventID, error)
	// Records yields what matches, in the filter's order.
	Records(ctx context.Context, f mesh.Filter, v mesh.Viewer) iter.Seq2[*mesh.Record, error]
	// Watch yields everything stored that matches (f.After and f.From choose
	// where to begin; f.After = 0 means the very first), in order of receipt,
	// then what comes in, without gap or double, until ctx ends or the caller
	// stops. It holds little for a slow caller: it reads the store again.
	// f.Limit and f.Order are not set.
	Watch(ctx context.Context, f mesh.Filter, v mesh.Viewer) iter.Seq2[*mesh.Record, error]
	// History returns what became of an event on this machine, oldest first.
	History(ctx context.Context, id mesh.EventID) ([]mesh.Step, error)
	// WatchHistory yields the lines of History, then new ones as they come,
	// until ctx ends or the caller stops.
	WatchHistory(ctx context.Context, id mesh.EventID) iter.Seq2[mesh.Step, error]
	// Topics lists the topics that exist, sorted.
	Topics(ctx context.Context) []mesh.Topic
}

// A Writer takes new messages.
type Writer interface {
	// Publish stamps and signs p.Draft() in this node's name and returns when
	// the event is on disk.
	Publish(ctx context.Context, p Post) (*mesh.Record, error)
	// Accept takes an event that somebody signed elsewhere and returns when it
	// is on disk. It answers mesh.ErrDuplicate where the event is known.
	Accept(ctx context.Context, e *mesh.Event, from Door) error
	// Flush returns when everything that Accept took with Door.Later is on disk.
	Flush(ctx context.Context) error
}

// A Post is a text that this node is to sign.
type Post struct {
	Topic   mesh.Topic
	Text    string
	Urgent  bool
	ReplyTo *mesh.Event // nil unless it answers an event that is held here
	Guest   string      // the name a visitor chose; "" when the operator speaks
}

// Draft returns the post as a note (NIP-10) without a time: topic, labels, the
// references of a reply. A guest's post is never urgent.
func (p Post) Draft() mesh.Draft {
	d := mesh.Draft{Kind: mesh.KindNote, Content: p.Text, Tags: [][]string{{"t", string(p.Topic)}}}
	if p.ReplyTo != nil {
		d.Tags = append(d.Tags, replyTags(p.ReplyTo)...)
	}
	if p.Guest != "" {
		d.Tags = append(d.Tags, mesh.GuestTags(p.Guest)...)
		return d
	}
	if p.Urgent {
		d.Tags = append(d.Tags, mesh.LabelTags(mesh.LabelEmergency)...)
	}
	return d
}

// replyTags names the thread's root, what is answered, and its author (NIP-10).
func replyTags(parent *mesh.Event) [][]string {
	id, author := parent.ID().String(), parent.Author().String()
	root := id
	for _, t := range parent.Tags() {
		if len(t) >= 4 && t[0] == "e" && t[3] == "root" {
			root = t[1]
		}
	}
	tags := [][]string{{"e", root, "", "root"}}
	if root != id {
		tags = append(tags, []string{"e", id, "", "reply"})
	}
	return append(tags, []string{"p", author})
}

// A Door says how a signed event came to the API.
type Door struct {
	Peer   string     // "socket", or the address of whoever brought it; for logs
	Topic  mesh.Topic // wished for by an import; empty lets the node decide
	Import bool       // history from a file: never an emergency
	Guest  bool       // brought by a visitor
	Later  bool       // do not wait for the disk: Flush follows before anybody is told
}

// Links are the node's underlay connections.
type Links interface {
	Records
	Peers(ctx context.Context) ([]PeerStatus, error)
	AddPeer(ctx context.Context, uri string) error
	RemovePeer(ctx context.Context, uri string) error // mesh.ErrNotFound where there is none
	// Ping measures the round trip to a machine, named by its key, address or
	// URI, through the overlay.
	Ping(ctx context.Context, peer string) (time.Duration, error)
}

// Belonging is the community as this node sees it.
type Belonging interface {
	Admission
	Members(ctx context.Context) ([]Member, error)
	Invite(ctx context.Context, r InviteRequest) (*Invite, error)
	Join(ctx context.Context, r JoinRequest) (*Joined, error)
}

// A Member is a person or a machine on the roster.
type Member struct {
	Name     string `json:"name"`             // as on the roster
	Called   string `json:"called,omitempty"` // as it calls itself in its profile, where that differs
	NPub     string `json:"npub"`
	Node     string `json:"node,omitempty"`    // a machine's key, 64 hexadecimal digits
	Address  string `json:"address,omitempty"` // a machine's Yggdrasil address
	Standing string `json:"standing"`          // see mesh.Standing; or StandingWaiting
	Since    int64  `json:"since"`             // unix seconds; 0 when unknown
	Self     bool   `json:"self,omitempty"`
	By       string `json:"by,omitempty"`     // npub of who admitted or banned; of a waiting one, at whose door it asked
	Reason   string `json:"reason,omitempty"` // of a ban
}

// An InviteRequest asks for a QR.
type InviteRequest struct {
	Phone bool  `json:"phone"`  // the page's address only; no token
	TTLMS int64 `json:"ttl_ms"` // how long it can be used; 0 means 10 minutes
	Uses  int   `json:"uses"`   // how often; 0 means once
}

// An Invite is what a QR shows.
type Invite struct {
	V       int    `json:"v"`
	URL     string `json:"url"`     // "HTTP://192.168.1.10:3739/J/…", or the page
	Expires int64  `json:"expires"` // unix seconds; 0 means never
	Uses    int    `json:"uses"`
	Phone   bool   `json:"phone"`
}

// A JoinRequest redeems an invite.
type JoinRequest struct {
	Invite string `json:"invite"`
	Leave  bool   `json:"leave"` // leave a community that others share

	Preview bool `json:"preview,omitempty"` // only say what joining means; nothing is redeemed
}

// Joined says where the node belongs now.
type Joined struct {
	V       int             `json:"v"`
	Now     CommunityStatus `json:"community"`
	Inviter string          `json:"inviter"` // npub; of a preview, the inviting machine's name

	Waiting bool     `json:"waiting,omitempty"` // it asked, and waits for an admin's yes
	Preview bool     `json:"preview,omitempty"`
	Effects []string `json:"effects,omitempty"` // of a preview: what joining means, a sentence each

	Said []lang.Phrase `json:"-"` // Effects, for the page
}

// A Check is one thing that the doctor looked at.
type Check struct {
	Name    string   `json:"name"`              // "clock", "disk", "radio", …
	OK      bool     `json:"ok"`                // false exactly when Problem is set
	Detail  string   `json:"detail,omitempty"`  // what was found, in words
	Problem *Problem `json:"problem,omitempty"` // what is wrong and what to do

	Said lang.Phrase `json:"-"` // Detail, for the page
}

// A Sample is one figure for Prometheus.
type Sample struct {
	Name    string            // "drey_queue_length"; counters end in _total
	Help    string            // one sentence, the same for every sample of a name
	Labels  map[string]string // the same keys for every sample of a name
	Value   float64
	Counter bool // only ever rises; otherwise a gauge
}
