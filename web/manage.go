package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"drey/mesh"
)

// status returns the node's status with what the server itself knows, as much
// of it as the caller may see.
func (s *Server) status(ctx context.Context, c caller) (Status, error) {
	st, err := s.config.Node.Status(ctx)
	if err != nil {
		return Status{}, err
	}
	if a := s.Listening(); a != nil {
		urls := s.hosts.pageURLs(a, s.now())
		st.Web = ListenStatus{Listen: a.String(), URLs: urls, TLS: s.tlsStatus()}
		if st.Web.TLS.Key != "" {
			st.Web.HTTPS = httpsURLs(urls)
		}
	}
	if c.scope < ScopeMember {
		st = st.guestView()
	}
	st.Scope = c.scope.String()
	return st.filled(), nil
}

func (s *Server) getStatus(w http.ResponseWriter, r *http.Request, c caller) error {
	st, err := s.status(r.Context(), c)
	if err != nil {
		return err
	}
	return sendJSON(w, http.StatusOK, st)
}

func (s *Server) getHealth(w http.ResponseWriter, _ *http.Request, _ caller) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, err := fmt.Fprintln(w, "ok")
	return err
}

// getReady asks the store a question: a node that cannot read is not ready.
func (s *Server) getReady(w http.ResponseWriter, r *http.Request, _ caller) error {
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	if _, err := s.lastSeq(ctx); err != nil {
		s.log.Warn("not ready", "err", err)
		return NewError(CodeBusy, "the node is not ready", "its store does not answer", "wait a moment, then run 'drey doctor'", err)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, err := fmt.Fprintln(w, "ready")
	return err
}

func (s *Server) getTopics(w http.ResponseWriter, r *http.Request, c caller) error {
	topics := s.config.Node.Topics(r.Context())
	if c.scope < ScopeMember {
		topics = slices.Clone(s.config.GuestTopics)
	}
	if topics == nil {
		topics = []mesh.Topic{}
	}
	return sendJSON(w, http.StatusOK, struct {
		V      int          `json:"v"`
		Topics []mesh.Topic `json:"topics"`
	}{Version, topics})
}

func (s *Server) getPeers(w http.ResponseWriter, r *http.Request, _ caller) error {
	peers, err := s.config.Node.Peers(r.Context())
	if err != nil {
		return err
	}
	if peers == nil {
		peers = []PeerStatus{}
	}
	return sendJSON(w, http.StatusOK, struct {
		V     int          `json:"v"`
		Peers []PeerStatus `json:"peers"`
	}{Version, peers})
}

// maxSmallBody bounds the bodies of requests that manage the node.
const maxSmallBody = 16 << 10

func readJSON(w http.ResponseWriter, r *http.Request, into any) error {
	b, err := readBody(w, r, maxSmallBody)
	if err != nil {
		return err
	}
	if err := strictJSON(b, into); err != nil {
		return usage(fmt.Errorf("body: %w", err))
	}
	return nil
}

// peerBody names a peer to add, remove or ping.
type peerBody struct {
	URI  string `json:"uri,omitempty"`
	Peer string `json:"peer,omitempty"` // ping: a key, an address or a URI
}

func (s *Server) postPeer(w http.ResponseWriter, r *http.Request, _ caller) error {
	var b peerBody
	if err := readJSON(w, r, &b); err != nil {
		return err
	}
	if b.URI == "" {
		return usage(errors.New(`body: "uri" is needed`))
	}
	if err := s.config.Node.AddPeer(r.Context(), b.URI); err != nil {
		return err
	}
	return sendJSON(w, http.StatusOK, okBody{Version, true})
}

type okBody struct {
	V  int  `json:"v"`
	OK bool `json:"ok"`
}

func (s *Server) deletePeer(w http.ResponseWriter, r *http.Request, _ caller) error {
	uri := r.URL.Query().Get("uri")
	if uri == "" {
		return usage(errors.New("the parameter uri is needed"))
	}
	if err := s.config.Node.RemovePeer(r.Context(), uri); err != nil {
		return err
	}
	return sendJSON(w, http.StatusOK, okBody{Version, true})
}

// PingResult is a measured round trip.
type PingResult struct {
	V     int     `json:"v"`
	RTTMS float64 `json:"rtt_ms"`
}

// pingFor bounds how long a ping may take.
const pingFor = 10 * time.Second

func (s *Server) pingPeer(w http.ResponseWriter, r *http.Request, _ caller) error {
	var b peerBody
	if err := readJSON(w, r, &b); err != nil {
		return err
	}
	if b.Peer == "" {
		return usage(errors.New(`body: "peer" is needed`))
	}
	ctx, cancel := context.WithTimeout(r.Context(), pingFor)
	defer cancel()
	rtt, err := s.config.Node.Ping(ctx, b.Peer)
	if errors.Is(err, context.DeadlineExceeded) {
		return NewError(CodeTimeout, "no answer", fmt.Sprintf("after %s", pingFor), "see 'drey peers ls' for what is reachable", err)
	}
	if err != nil {
		return err
	}
	return sendJSON(w, http.StatusOK, PingResult{Version, float64(rtt.Microseconds()) / 1000})
}

func (s *Server) getRadio(w http.ResponseWriter, r *http.Request, c caller) error {
	st, err := s.status(r.Context(), c)
	if err != nil {
		return err
	}
	return sendJSON(w, http.StatusOK, struct {
		V int `json:"v"`
		RadioStatus
	}{Version, st.Radio})
}

func (s *Server) getRelays(w http.ResponseWriter, r *http.Request, c caller) error {
	st, err := s.status(r.Context(), c)
	if err != nil {
		return err
	}
	return sendJSON(w, http.StatusOK, struct {
		V int `json:"v"`
		NostrStatus
	}{Version, st.Nostr})
}

func (s *Server) getMembers(w http.ResponseWriter, r *http.Request, _ caller) error {
	members, err := s.members(r.Context())
	if err != nil {
		return err
	}
	if members == nil {
		members = []Member{}
	}
	return sendJSON(w, http.StatusOK, struct {
		V       int      `json:"v"`
		Members []Member `json:"members"`
	}{Version, members})
}

// Bounds of invites.
const (
	defaultTTL = 10 * time.Minute
	mostTTL    = 30 * 24 * time.Hour
	mostUses   = 1000
)

func (s *Server) postInvite(w http.ResponseWriter, r *http.Request, _ caller) error {
	var b InviteRequest
	if err := readJSON(w, r, &b); err != nil {
		return err
	}
	if b.TTLMS == 0 {
		b.TTLMS = defaultTTL.Milliseconds()
	}
	if b.Uses == 0 {
		b.Uses = 1
	}
	if b.TTLMS < 1000 || b.TTLMS > mostTTL.Milliseconds() {
		return usage(fmt.Errorf("ttl_ms: %d, allowed are 1 s to %s", b.TTLMS, mostTTL))
	}
	if b.Uses < 1 || b.Uses > mostUses {
		return usage(fmt.Errorf("uses: %d, allowed are 1 to %d", b.Uses, mostUses))
	}
	invite, err := s.config.Node.Invite(r.Context(), b)
	if err != nil {
		return err
	}
	invite.V = Version
	return sendJSON(w, http.StatusOK, invite)
}

// joinFor bounds how long a join may take: a dial and a few exchanges.
const joinFor = time.Minute

func (s *Server) postJoin(w http.ResponseWriter, r *http.Request, _ caller) error {
	var b JoinRequest
	if err := readJSON(w, r, &b); err != nil {
		return err
	}
	if b.Invite == "" {
		return usage(errors.New(`body: "invite" is needed`))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), joinFor)
	defer cancel()
	joined, err := s.config.Node.Join(ctx, b)
	if err != nil {
		return err
	}
	joined.V = Version
	return sendJSON(w, http.StatusOK, joined)
}

func (s *Server) getDoctor(w http.ResponseWriter, r *http.Request, _ caller) error {
	checks, err := s.config.Node.Doctor(r.Context())
	if err != nil {
		return err
	}
	if checks == nil {
		checks = []Check{}
	}
	return sendJSON(w, http.StatusOK, struct {
		V      int     `json:"v"`
		Checks []Check `json:"checks"`
	}{Version, checks})
}
