package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"drey/mesh"
)

// Airwaves are what the node can do with its LoRa radio beyond carrying
// topics. Methods answer an *Error where there is no radio, or it cannot.
type Airwaves interface {
	// Airs reports whether a message is one for the radio: whether the
	// configuration sends its topic and kind out that way.
	Airs(r *mesh.Record) bool
	// RadioNodes lists the radios on the air, those heard last first.
	RadioNodes(ctx context.Context) ([]RadioNode, error)
	// RadioMessages lists the private messages between this node's operator
	// and handhelds, oldest first.
	RadioMessages(ctx context.Context) ([]RadioMessage, error)
	// SendRadioMessage writes to one handheld. It returns when the handheld has
	// acknowledged, when it came to nothing, or when ctx ends: the message then
	// goes on.
	SendRadioMessage(ctx context.Context, p RadioPost) (*RadioMessage, error)
	// TestRadio sends a short packet and tells whether any radio repeated it.
	TestRadio(ctx context.Context) (*RadioTest, error)
	// SetUpRadio tells what a wish changes on the radio and, with Apply, saves
	// what was there and does it.
	SetUpRadio(ctx context.Context, w RadioWish) (*RadioPlan, error)
}

// A RadioNode is one radio on the air.
type RadioNode struct {
	Node      string      `json:"node"` // "!a1b2c3d4"
	Name      string      `json:"name,omitempty"`
	ShortName string      `json:"short_name,omitempty"`
	Self      bool        `json:"self,omitempty"`       // the node's own
	LastHeard int64       `json:"last_heard,omitempty"` // unix seconds; absent when never
	SNR       float32     `json:"snr,omitempty"`        // dB, of the last packet
	Hops      int         `json:"hops"`                 // relays in between; -1 when not known
	ViaMQTT   bool        `json:"via_mqtt,omitempty"`   // it came over the internet
	Battery   int         `json:"battery,omitempty"`    // per cent; 101 is powered
	KeyKnown  bool        `json:"key_known"`            // it can be written to in private
	Place     *RadioPlace `json:"place,omitempty"`
}

// A RadioPlace is where a radio said it is.
type RadioPlace struct {
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
	Altitude  int32   `json:"altitude,omitempty"` // metres
	At        int64   `json:"at,omitempty"`       // unix seconds
}

// A RadioMessage is a private text between this node's operator and a handheld.
type RadioMessage struct {
	ID     string `json:"id"`
	Node   string `json:"node"` // the other side
	Name   string `json:"name"`
	Out    bool   `json:"out"` // written here
	Text   string `json:"text"`
	At     int64  `json:"at"`               // unix seconds
	Sealed bool   `json:"sealed"`           // encrypted for the addressee alone
	State  string `json:"state,omitempty"`  // of what was written here
	Failed bool   `json:"failed,omitempty"` // State says why
}

// A RadioPost asks for a private message.
type RadioPost struct {
	To        string `json:"to"` // number or name of a radio
	Text      string `json:"text"`
	TimeoutMS int64  `json:"timeout_ms"` // how long to wait for the acknowledgement; 0 is not at all
}

// A RadioTest is what became of a test.
type RadioTest struct {
	V       int    `json:"v"`
	Sent    bool   `json:"sent"`
	Heard   bool   `json:"heard"`
	AfterMS int64  `json:"after_ms"`      // until it was heard
	Why     string `json:"why,omitempty"` // where it was not
}

// A RadioWish asks for a radio's set-up.
type RadioWish struct {
	Region  string `json:"region"`  // such as "EU_868"; "" leaves it
	Restore string `json:"restore"` // a file of saved settings, whole; "" sets up
	Apply   bool   `json:"apply"`   // else it is only told what would change
}

// A RadioPlan is what a wish changes.
type RadioPlan struct {
	V       int      `json:"v"`
	Node    string   `json:"node"`
	Steps   []string `json:"steps"`           // in words; none when all is as wished
	Notes   []string `json:"notes"`           // what is left as it is, and why
	Channel int      `json:"channel"`         // of the community; -1 where the wish is about something else
	Saved   string   `json:"saved,omitempty"` // the file with what was there
	Done    bool     `json:"done"`
}

// RadioShare says how other programs use the radio.
type RadioShare struct {
	Listen  string `json:"listen"`  // as bound; "" while nobody can connect
	Clients int    `json:"clients"` // connected now
	Served  uint64 `json:"served"`  // connections since the start
	Refused uint64 `json:"refused"` // connections and orders that were not allowed
	Dropped uint64 `json:"dropped"` // messages that found no room in a client's queue
}

// RadioChannel is one channel in use.
type RadioChannel struct {
	Index  int      `json:"index"`
	Name   string   `json:"name"`
	Public bool     `json:"public"` // its key is known to everybody
	Topics []string `json:"topics"`
}

// AirtimeShare is what one priority has of the airtime.
type AirtimeShare struct {
	Name    string `json:"name"`          // "emergency", "direct", "chat", "sync", "beacon"
	LimitMS int64  `json:"limit_ms"`      // of its own in an hour; 0 means no limit but the law's
	UsedMS  int64  `json:"used_ms"`       // not yet forgiven
	LeftMS  int64  `json:"left_ms"`       // -1 means no limit
	Waiting int    `json:"waiting"`       // packets and messages that wait
	WaitMS  int64  `json:"wait_ms"`       // until the next may go
	Why     string `json:"why,omitempty"` // it has to wait
}

// Times of what is done with a radio.
const (
	testFor     = 2 * time.Minute
	setUpFor    = 4 * time.Minute
	mostPrivate = 10 * time.Minute
)

func (s *Server) getRadioNodes(w http.ResponseWriter, r *http.Request, _ caller) error {
	nodes, err := s.config.Node.RadioNodes(r.Context())
	if err != nil {
		return err
	}
	if nodes == nil {
		nodes = []RadioNode{}
	}
	return sendJSON(w, http.StatusOK, struct {
		V     int         `json:"v"`
		Nodes []RadioNode `json:"nodes"`
	}{Version, nodes})
}

func (s *Server) getRadioMessages(w http.ResponseWriter, r *http.Request, _ caller) error {
	list, err := s.config.Node.RadioMessages(r.Context())
	if err != nil {
		return err
	}
	if list == nil {
		list = []RadioMessage{}
	}
	return sendJSON(w, http.StatusOK, struct {
		V        int            `json:"v"`
		Messages []RadioMessage `json:"messages"`
	}{Version, list})
}

func (s *Server) postRadioMessage(w http.ResponseWriter, r *http.Request, _ caller) error {
	var b RadioPost
	if err := readJSON(w, r, &b); err != nil {
		return err
	}
	if b.To == "" || b.Text == "" {
		return usage(errors.New(`body: "to" and "text" are needed`))
	}
	wait := time.Duration(b.TimeoutMS) * time.Millisecond
	if wait < 0 || wait > mostPrivate {
		return usage(fmt.Errorf("timeout_ms: %d, allowed are 0 to %d", b.TimeoutMS, mostPrivate.Milliseconds()))
	}
	ctx, cancel, err := patience(w, r, max(wait, time.Second))
	if err != nil {
		return err
	}
	defer cancel()
	m, err := s.config.Node.SendRadioMessage(ctx, b)
	if err != nil {
		return err
	}
	return sendJSON(w, http.StatusAccepted, struct {
		V int `json:"v"`
		*RadioMessage
	}{Version, m})
}

func (s *Server) postRadioTest(w http.ResponseWriter, r *http.Request, _ caller) error {
	ctx, cancel, err := patience(w, r, testFor)
	if err != nil {
		return err
	}
	defer cancel()
	t, err := s.config.Node.TestRadio(ctx)
	if err != nil {
		return err
	}
	t.V = Version
	return sendJSON(w, http.StatusOK, t)
}

func (s *Server) postRadioSetup(w http.ResponseWriter, r *http.Request, _ caller) error {
	var b RadioWish
	if err := readJSON(w, r, &b); err != nil {
		return err
	}
	ctx, cancel, err := patience(w, r, setUpFor)
	if err != nil {
		return err
	}
	defer cancel()
	if b.Apply { // what was begun is not left half done because the client went away
		ctx, cancel = context.WithTimeout(context.WithoutCancel(r.Context()), setUpFor)
		defer cancel()
	}
	p, err := s.config.Node.SetUpRadio(ctx, b)
	if err != nil {
		return err
	}
	p.V = Version
	if p.Steps == nil {
		p.Steps = []string{}
	}
	if p.Notes == nil {
		p.Notes = []string{}
	}
	return sendJSON(w, http.StatusOK, p)
}

// patience gives a request so long, and its answer a little more.
func patience(w http.ResponseWriter, r *http.Request, d time.Duration) (context.Context, context.CancelFunc, error) {
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(d + slowest)); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), d)
	return ctx, cancel, nil
}

// RadioNodes lists the radios on the air.
func (c *Client) RadioNodes(ctx context.Context) ([]RadioNode, error) {
	r, err := call[struct{ Nodes []RadioNode }](ctx, c, "GET", "/v1/radio/nodes", nil)
	if err != nil {
		return nil, err
	}
	return r.Nodes, nil
}

// RadioMessages lists the private messages between the operator and handhelds.
func (c *Client) RadioMessages(ctx context.Context) ([]RadioMessage, error) {
	r, err := call[struct{ Messages []RadioMessage }](ctx, c, "GET", "/v1/radio/messages", nil)
	if err != nil {
		return nil, err
	}
	return r.Messages, nil
}

// SendRadioMessage writes to one handheld.
func (c *Client) SendRadioMessage(ctx context.Context, p RadioPost) (*RadioMessage, error) {
	return call[RadioMessage](ctx, c, "POST", "/v1/radio/messages", p)
}

// TestRadio asks whether anybody hears the radio.
func (c *Client) TestRadio(ctx context.Context) (*RadioTest, error) {
	return call[RadioTest](ctx, c, "POST", "/v1/radio/test", nil)
}

// SetUpRadio tells what a wish changes, and does it when asked to.
func (c *Client) SetUpRadio(ctx context.Context, w RadioWish) (*RadioPlan, error) {
	return call[RadioPlan](ctx, c, "POST", "/v1/radio/setup", w)
}
