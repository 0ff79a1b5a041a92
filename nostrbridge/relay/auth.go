package relay

import (
	"net"
	"net/url"
	"slices"
	"strings"

	"drey/mesh"
)

// maxKeys is how many keys one connection can show.
const maxKeys = 8

// authenticate answers an AUTH (NIP-42). The event's date is not asked for: the
// challenge is this connection's alone, and clocks without a network are wrong.
func (c *conn) authenticate(raw []byte) error {
	e, err := mesh.ParseJSON(raw)
	if err != nil {
		if err := c.fault(); err != nil {
			return err
		}
		if id := eventID(raw); id != "" {
			return c.say("OK", id, false, sentence("invalid", mesh.ErrInvalid, err))
		}
		return c.say("NOTICE", sentence("invalid", mesh.ErrInvalid, err))
	}
	if !c.asks.AllowN(c.front.config.Clock(), 1) {
		return c.say("OK", e.ID().String(), false, "rate-limited: too many questions at once; try again in a moment")
	}
	if why := c.checkAuth(e); why != "" {
		if err := c.fault(); err != nil {
			return err
		}
		return c.say("OK", e.ID().String(), false, why)
	}
	return c.say("OK", e.ID().String(), true, "")
}

// checkAuth has the connection speak for e's author, or tells why not.
func (c *conn) checkAuth(e *mesh.Event) string {
	if e.Kind() != kindAuth {
		return "invalid: AUTH takes kind 22242"
	}
	if said, _ := e.Tag("challenge"); said != c.challenge {
		return "invalid: it answers another challenge"
	}
	// Else another relay could have its visitors sign what lets it in here.
	if said, _ := e.Tag("relay"); !c.here(said) {
		return "invalid: it is meant for another relay than " + c.host
	}
	if err := e.Verify(); err != nil {
		return sentence("invalid", mesh.ErrInvalid, err)
	}
	if c.front.node.Standing(e.Author()) == mesh.Banned {
		return "blocked: the community has banned this key"
	}
	for {
		s := c.look()
		if slices.Contains(s.keys, e.Author()) {
			return ""
		}
		if len(s.keys) == maxKeys {
			return "restricted: too many keys on one connection"
		}
		keys := append(slices.Clone(s.keys), e.Author())
		if c.sight.CompareAndSwap(s, &sight{s.roster, keys, c.judge(keys)}) {
			return ""
		}
	}
}

// here reports whether a relay's URL names this one, as the client reached it
// or by another of the machine's names at the same port.
func (c *conn) here(relay string) bool {
	u, err := url.Parse(relay)
	if err != nil || u.Scheme != "ws" && u.Scheme != "wss" {
		return false
	}
	name, port := splitHost(u.Host, u.Scheme)
	here, at := splitHost(c.host, u.Scheme)
	ours := c.front.config.Ours
	return port == at && (name == here || ours != nil && ours(name))
}

// splitHost returns the name and the port of a host, the scheme's usual port
// where it names none.
func splitHost(host, scheme string) (name, port string) {
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		name, port = strings.Trim(host, "[]"), map[string]string{"ws": "80", "wss": "443"}[scheme]
	}
	return strings.ToLower(name), port
}
