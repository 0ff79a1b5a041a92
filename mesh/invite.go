package mesh

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// An InviteToken is what makes an invite worth something: whoever presents it
// first may join. It prints as "secret", never as itself.
type InviteToken [16]byte

// NewInviteToken draws a token from the system's random source.
func NewInviteToken() InviteToken {
	var t InviteToken
	rand.Read(t[:]) // never fails since Go 1.24
	return t
}

// Format hides the token, whatever the verb.
func (InviteToken) Format(f fmt.State, _ rune) { io.WriteString(f, "secret") }

// MarshalText hides the token.
func (InviteToken) MarshalText() ([]byte, error) { return []byte("secret"), nil }

// LogValue hides the token from logs.
func (InviteToken) LogValue() slog.Value { return slog.StringValue("secret") }

// An Invite lets a machine join a community. Its binary form:
//
//	version   byte       1
//	node      [32]byte   the inviter's Ed25519 key
//	token     [16]byte
//	expires   uint32     big endian, Unix seconds by the inviter's clock; 0 means not said
//	endpoints            until the end, see appendEndpoint; the first is a web endpoint
//
// It is 60 bytes long with one IPv4 endpoint, at most 76 in all.
type Invite struct {
	Node      NodeKey
	Token     InviteToken
	Expires   Unix       // a hint for people: the inviter's clock decides
	Endpoints []Endpoint // where the inviter is reached, at least one, the first over the web
}

// MaxInvite is the largest binary form of an invite, in bytes. With it the
// link still fits a QR code that a terminal can show.
const MaxInvite = 76

// ErrInvite reports text that is not an invite. Errors that say more wrap it.
var ErrInvite = errors.New("not an invite")

const (
	inviteVersion = 1
	inviteHead    = 1 + 32 + 16 + 4
	inviteDoor    = "/J/"
)

var inviteBase32 = base32.StdEncoding.WithPadding(base32.NoPadding)

// AppendBinary appends the invite's binary form.
func (v *Invite) AppendBinary(b []byte) []byte {
	b = append(b, inviteVersion)
	b = append(b, v.Node[:]...)
	b = append(b, v.Token[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(v.Expires))
	for _, e := range v.Endpoints {
		b = appendEndpoint(b, e)
	}
	return b
}

// ParseInviteBinary reads an invite's binary form, all of b.
func ParseInviteBinary(b []byte) (*Invite, error) {
	if len(b) < inviteHead || len(b) > MaxInvite {
		return nil, fmt.Errorf("%w: %d bytes, allowed are %d to %d", ErrInvite, len(b), inviteHead, MaxInvite)
	}
	if b[0] != inviteVersion {
		return nil, fmt.Errorf("%w: version %d, known is %d; one of the two machines needs a newer drey", ErrInvite, b[0], inviteVersion)
	}
	v := &Invite{
		Node:    NodeKey(b[1:33]),
		Token:   InviteToken(b[33:49]),
		Expires: Unix(binary.BigEndian.Uint32(b[49:])),
	}
	var err error
	if v.Endpoints, err = parseEndpoints(b[inviteHead:], MaxEndpoints); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvite, err)
	}
	return v, v.check()
}

// check refuses an invite without a door.
func (v *Invite) check() error {
	if len(v.Endpoints) == 0 || !v.Endpoints[0].Scheme.Web() {
		return fmt.Errorf("%w: its first endpoint must be http or https", ErrInvite)
	}
	for i, e := range v.Endpoints {
		if err := e.check(); err != nil {
			return fmt.Errorf("%w: endpoint %d: %w", ErrInvite, i+1, err)
		}
	}
	if n := len(v.AppendBinary(nil)); n > MaxInvite {
		return fmt.Errorf("%w: %d bytes, limit %d: name fewer addresses", ErrInvite, n, MaxInvite)
	}
	return nil
}

// Fit returns a copy of v that keeps its first endpoint and as many of the
// others as MaxInvite has room for.
func (v *Invite) Fit() (*Invite, error) {
	c := *v
	c.Endpoints = nil
	room := MaxInvite - inviteHead
	for _, e := range v.Endpoints {
		if n := len(appendEndpoint(nil, e)); n <= room && !slices.Contains(c.Endpoints, e) {
			c.Endpoints = append(c.Endpoints, e)
			room -= n
		} else if len(c.Endpoints) == 0 {
			return nil, fmt.Errorf("%w: %s takes %d bytes, %d are left", ErrInvite, e, n, room)
		}
	}
	return &c, c.check()
}

// Link returns the invite as text, such as
//
//	HTTP://192.168.1.10:3739/J/AEBAGBAF…
//
// all in upper case, so that a QR code holds it in its alphanumeric mode (an
// IPv6 address brings brackets, which that mode lacks). The link is a secret.
func (v *Invite) Link() string {
	return strings.ToUpper(v.Endpoints[0].String()) + inviteDoor + inviteBase32.EncodeToString(v.AppendBinary(nil))
}

// String hides the invite's token.
func (v *Invite) String() string {
	return fmt.Sprintf("invite of %s at %v", v.Node, v.Endpoints)
}

// LogValue hides the invite's token from logs.
func (v *Invite) LogValue() slog.Value { return slog.StringValue(v.String()) }

// ParseInvite reads an invite as people hand it over: the link in any case, or
// only the part behind /J/, with space and line breaks around or inside it. An
// address in the link that the invite does not name is tried first. Errors say
// what is wrong and never repeat the text, which may hold a secret.
func ParseInvite(s string) (*Invite, error) {
	const most = 1024
	if len(s) > most {
		return nil, fmt.Errorf("%w: %d bytes of text, limit %d", ErrInvite, len(s), most)
	}
	s = strings.ToUpper(strings.Join(strings.Fields(s), ""))
	if s == "" {
		return nil, fmt.Errorf("%w: it is empty", ErrInvite)
	}
	code, front := s, ""
	if i := strings.LastIndex(s, inviteDoor); i >= 0 {
		front, code = s[:i], s[i+len(inviteDoor):]
	} else if strings.Contains(s, "://") {
		return nil, fmt.Errorf("%w: a machine's invite has /J/ in its address; this may be a page for phones, ask for one made by 'drey invite'", ErrInvite)
	}
	b, err := inviteBase32.DecodeString(code)
	if err != nil {
		return nil, fmt.Errorf("%w: the part behind /J/ holds a character other than A-Z and 2-7, or is cut off; copy all of it", ErrInvite)
	}
	if inviteBase32.EncodeToString(b) != code {
		return nil, fmt.Errorf("%w: the part behind /J/ is cut off or mistyped; copy all of it", ErrInvite)
	}
	if len(b) < inviteHead {
		return nil, fmt.Errorf("%w: it is too short, or cut off; copy all of it", ErrInvite)
	}
	v, err := ParseInviteBinary(b)
	if err != nil || front == "" {
		return v, err
	}
	door, err := parseDoor(front)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(v.Endpoints, door) {
		v.Endpoints = append([]Endpoint{door}, v.Endpoints...)
	}
	return v, nil
}

// parseDoor reads the part of a link before /J/.
func parseDoor(front string) (Endpoint, error) {
	u, err := url.Parse(strings.ToLower(front))
	if err != nil || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.User != nil {
		return Endpoint{}, fmt.Errorf("%w: the part before /J/ is not http://ADDRESS:PORT", ErrInvite)
	}
	return webEndpoint(u)
}

// PhoneLink is the invite for a person's phone: the page's address, without a
// token and in upper case for the QR code.
func PhoneLink(e Endpoint) string {
	link := strings.ToUpper(e.Scheme.String()) + "://"
	host := strings.ToUpper(e.Host)
	if e.Scheme == SchemeHTTP && e.Port == 80 || e.Scheme == SchemeHTTPS && e.Port == 443 {
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		return link + host + "/"
	}
	return link + net.JoinHostPort(host, strconv.Itoa(int(e.Port))) + "/"
}
