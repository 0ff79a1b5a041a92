package web

import (
	"context"
	"errors"
	"net/http"
)

// FindingStatus says how far this node reaches and how its finders fare.
type FindingStatus struct {
	Mode    string         `json:"mode"`    // "alone", "local" or "internet": follows from the links that are up
	Known   int            `json:"known"`   // peers that may be called, linked ones included
	Finders []FinderStatus `json:"finders"` // those switched on, sorted by name
}

// FinderStatus says how one way of finding peers fares.
type FinderStatus struct {
	Name      string            `json:"name"`
	State     string            `json:"state"`             // "looking", "linked" or "resting"
	Found     uint64            `json:"found"`             // times somebody was met since the start
	Peers     int               `json:"peers"`             // known through it
	Links     int               `json:"links"`             // up, and called for it
	LastFound int64             `json:"last_found"`        // unix seconds; 0 when never
	Refused   map[string]uint64 `json:"refused,omitempty"` // what it found that came to nothing, by reason
	Error     string            `json:"error,omitempty"`   // why it rests
}

// PeerRecords are peer records as text: "drey1:…".
type PeerRecords struct {
	V       int      `json:"v"`
	Records []string `json:"records"`
}

// PeersImported says what became of records that an operator brought.
type PeersImported struct {
	V       int            `json:"v"`
	Taken   int            `json:"taken"`
	Refused map[string]int `json:"refused"` // by reason
}

// Records are the peer records that a node knows.
type Records interface {
	// PeerRecords returns this node's own record and, unless own is set, the
	// newest of every member: in clear when public is set, else sealed for the
	// community.
	PeerRecords(ctx context.Context, own, public bool) ([]string, error)
	// ImportPeers looks at records and calls whom they name.
	ImportPeers(ctx context.Context, records []string) (*PeersImported, error)
}

// maxRecordsBody bounds an import: 4096 records of the largest size, as text.
const maxRecordsBody = 4 << 20

func (s *Server) getPeerRecords(w http.ResponseWriter, r *http.Request, _ caller) error {
	q := r.URL.Query()
	records, err := s.config.Node.PeerRecords(r.Context(), q.Has("own"), q.Has("public"))
	if err != nil {
		return err
	}
	if records == nil {
		records = []string{}
	}
	return sendJSON(w, http.StatusOK, PeerRecords{Version, records})
}

func (s *Server) postPeerRecords(w http.ResponseWriter, r *http.Request, _ caller) error {
	b, err := readBody(w, r, maxRecordsBody)
	if err != nil {
		return err
	}
	var body struct {
		Records []string `json:"records"`
	}
	if err := strictJSON(b, &body); err != nil {
		return usage(err)
	}
	if body.Records == nil {
		return usage(errors.New(`body: "records" is needed`))
	}
	done, err := s.config.Node.ImportPeers(r.Context(), body.Records)
	if err != nil {
		return err
	}
	done.V = Version
	if done.Refused == nil {
		done.Refused = map[string]int{}
	}
	return sendJSON(w, http.StatusOK, done)
}

// PeerRecords returns the node's own record and, unless own is set, those of
// other members, as text.
func (c *Client) PeerRecords(ctx context.Context, own, public bool) ([]string, error) {
	path, join := "/v1/peers/records", "?"
	for name, set := range map[string]bool{"own": own, "public": public} {
		if set {
			path, join = path+join+name, "&"
		}
	}
	r, err := call[PeerRecords](ctx, c, "GET", path, nil)
	if err != nil {
		return nil, err
	}
	return r.Records, nil
}

// ImportPeers has the node look at records and call whom they name.
func (c *Client) ImportPeers(ctx context.Context, records []string) (*PeersImported, error) {
	return call[PeersImported](ctx, c, "POST", "/v1/peers/records", map[string]any{"records": append([]string{}, records...)})
}
