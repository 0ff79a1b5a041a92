package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"drey/mesh"
)

// A Client speaks to a running node. Its errors are *Error wherever the node
// answered; ErrNotRunning, by errors.Is, where none did. Safe for concurrent
// use.
type Client struct {
	http  *http.Client
	base  string // "http://drey", or the page's address
	token Token
	where string // for messages: the socket's path or the address
}

// NewClient speaks to the node of a home over its unix socket. It connects
// with the first call.
func NewClient(home string) *Client {
	path := filepath.Join(home, SocketName)
	return &Client{
		http: &http.Client{Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dialUnix(ctx, path) },
		}},
		base: "http://drey", where: path,
	}
}

// NewTCPClient speaks to a node over TCP at base, such as
// "http://127.0.0.1:3739", with its token, or as a guest without one.
func NewTCPClient(base string, token Token) *Client {
	base = strings.TrimRight(base, "/")
	return &Client{http: &http.Client{Transport: &http.Transport{}}, base: base, token: token, where: base}
}

// Close gives idle connections back.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// dialUnix connects to a socket however long its path is.
func dialUnix(ctx context.Context, path string) (net.Conn, error) {
	short, release, err := shortPath(path)
	if err != nil {
		return nil, err
	}
	defer release()
	var d net.Dialer
	return d.DialContext(ctx, "unix", short)
}

// Status returns what the node knows about itself.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	return call[Status](ctx, c, "GET", "/v1/status", nil)
}

// Topics lists the topics that exist.
func (c *Client) Topics(ctx context.Context) ([]mesh.Topic, error) {
	r, err := call[struct{ Topics []mesh.Topic }](ctx, c, "GET", "/v1/topics", nil)
	if err != nil {
		return nil, err
	}
	return r.Topics, nil
}

// Peers lists the underlay links.
func (c *Client) Peers(ctx context.Context) ([]PeerStatus, error) {
	r, err := call[struct{ Peers []PeerStatus }](ctx, c, "GET", "/v1/peers", nil)
	if err != nil {
		return nil, err
	}
	return r.Peers, nil
}

// AddPeer has the node connect to an underlay URI.
func (c *Client) AddPeer(ctx context.Context, uri string) error {
	_, err := call[okBody](ctx, c, "POST", "/v1/peers", peerBody{URI: uri})
	return err
}

// RemovePeer has the node leave an underlay URI.
func (c *Client) RemovePeer(ctx context.Context, uri string) error {
	_, err := call[okBody](ctx, c, "DELETE", "/v1/peers?uri="+url.QueryEscape(uri), nil)
	return err
}

// Ping measures the round trip to a machine, named by key, address or URI.
func (c *Client) Ping(ctx context.Context, peer string) (time.Duration, error) {
	r, err := call[PingResult](ctx, c, "POST", "/v1/peers/ping", peerBody{Peer: peer})
	if err != nil {
		return 0, err
	}
	return time.Duration(r.RTTMS * float64(time.Millisecond)), nil
}

// Radio returns the state of the LoRa radio.
func (c *Client) Radio(ctx context.Context) (*RadioStatus, error) {
	return call[RadioStatus](ctx, c, "GET", "/v1/radio", nil)
}

// Relays returns the state of the bridge to public relays.
func (c *Client) Relays(ctx context.Context) (*NostrStatus, error) {
	return call[NostrStatus](ctx, c, "GET", "/v1/relays", nil)
}

// Members lists the roster.
func (c *Client) Members(ctx context.Context) ([]Member, error) {
	r, err := call[struct{ Members []Member }](ctx, c, "GET", "/v1/members", nil)
	if err != nil {
		return nil, err
	}
	return r.Members, nil
}

// Invite makes an invite.
func (c *Client) Invite(ctx context.Context, r InviteRequest) (*Invite, error) {
	return call[Invite](ctx, c, "POST", "/v1/invites", r)
}

// Join redeems an invite.
func (c *Client) Join(ctx context.Context, r JoinRequest) (*Joined, error) {
	return call[Joined](ctx, c, "POST", "/v1/join", r)
}

// Doctor lists what the node examined.
func (c *Client) Doctor(ctx context.Context) ([]Check, error) {
	r, err := call[struct{ Checks []Check }](ctx, c, "GET", "/v1/doctor", nil)
	if err != nil {
		return nil, err
	}
	return r.Checks, nil
}

// request builds a request with a JSON body, or none.
func (c *Client) request(ctx context.Context, method, path string, body any) (*http.Request, error) {
	var r io.Reader
	if body != nil {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false) // a signed event goes as it is
		if err := enc.Encode(body); err != nil {
			return nil, err
		}
		r = &b
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, r)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+string(c.token))
	}
	return req, nil
}

// do sends a request and turns every answer but success into an error.
func (c *Client) do(req *http.Request) (*http.Response, error) {
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.explain(req.Context(), err)
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return nil, err
	}
	var body errorBody
	if err := json.Unmarshal(b, &body); err != nil || body.Error.Code == "" {
		return nil, NewError(CodeInternal, fmt.Sprintf("%s answered %s", c.where, resp.Status), "it may not be a drey node", "", nil)
	}
	return nil, &Error{Problem: body.Error}
}

// explain says what a connection that failed means.
func (c *Client) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var op *net.OpError
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return NewError(CodeNotRunning, "no node is running here", "nothing answers at "+c.where,
			"start one with 'drey up', or name its home with --home", err)
	case errors.Is(err, fs.ErrPermission):
		return NewError(CodeForbidden, "the node's socket is not open to you", c.where,
			"run this as the user that runs the node, or join its group", err)
	case errors.As(err, &op), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return NewError(CodeNotRunning, "the node went away", err.Error(), "see 'drey status'", err)
	}
	return err
}

func call[T any](ctx context.Context, c *Client, method, path string, body any) (*T, error) {
	req, err := c.request(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	return receive[T](c, req)
}

func receive[T any](c *Client, req *http.Request) (*T, error) {
	resp, err := c.do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var v T
	if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
		return nil, c.explain(req.Context(), err)
	}
	io.Copy(io.Discard, resp.Body)
	return &v, nil
}

// number reads a header that holds a cursor.
func number(h http.Header, name string) (uint64, bool) {
	n, err := strconv.ParseUint(h.Get(name), 10, 63)
	return n, err == nil
}
