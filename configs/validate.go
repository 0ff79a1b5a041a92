package configs

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// minStore is the least room that makes sense: the roster, mail and a day of
// talk must fit.
const minStore = 10 * MB

// Validate reports every fault at once, each with its key path, or nil.
func (c *Config) Validate() error {
	var f faults
	f.add("node.name", checkName(c.Node.Name))
	f.add("web.listen", checkListen(c.Web.Listen))
	for i, t := range c.Web.GuestTopics {
		f.add(index("web.guest_topics", i), checkTopic(t))
	}
	for i, h := range c.Web.Hosts {
		f.add(index("web.hosts", i), checkHost(h))
	}
	f.add("web.tls_key_file", c.Web.TLSKeyFile.check())
	if (c.Web.TLSCertFile == "") != (c.Web.TLSKeyFile == "") {
		f.add("web.tls_cert_file", errors.New("a certificate needs its key in web.tls_key_file, and the key its certificate"))
	}
	for i, u := range c.Overlay.Listen {
		f.add(index("overlay.listen", i), checkUnderlay(u, true))
	}
	for i, u := range c.Overlay.Peers {
		f.add(index("overlay.peers", i), checkPeer(u))
	}
	f.add("overlay.peers_file", c.Overlay.PeersFile.check())
	c.validateBootstrap(&f)
	if c.Store.MaxBytes < minStore {
		f.add("store.max_bytes", fmt.Errorf("%s is less than %s", c.Store.MaxBytes, minStore))
	}
	if c.Store.KeepDays < 0 || c.Store.KeepDays > 36500 {
		f.add("store.keep_days", fmt.Errorf("%d is not between 0 and 36500", c.Store.KeepDays))
	}
	f.add("radio.device", checkDevice(c.Radio.Device))
	f.add("radio.share", checkShare(c.Radio.Share))
	if !slices.Contains([]string{"here", "share", "off"}, c.Radio.Positions) {
		f.add("radio.positions", fmt.Errorf("%.40q is not \"here\", \"share\" or \"off\"", c.Radio.Positions))
	}
	if c.Radio.HopLimit < 0 || c.Radio.HopLimit > 7 {
		f.add("radio.hop_limit", fmt.Errorf("%d is not between 0 and 7", c.Radio.HopLimit))
	}
	c.validateRadioTopics(&f)
	c.validateNostr(&f)
	if levels := []string{"", "debug", "info", "warn", "error"}; !slices.Contains(levels, c.Log.Level) {
		f.add("log.level", fmt.Errorf("%.40q is not one of %s", c.Log.Level, strings.Join(levels[1:], ", ")))
	}
	return errors.Join(f...)
}

func (c *Config) validateRadioTopics(f *faults) {
	channels := map[int]int{}
	places := map[RadioTopic]int{} // by topic and channel
	for i, t := range c.Radio.Topics {
		at := index("radio.topic", i)
		f.add(at+".topic", checkTopic(t.Topic))
		if t.Channel < 0 || t.Channel > 7 {
			f.add(at+".channel", fmt.Errorf("%d is not between 0 and 7", t.Channel))
		}
		if t.Form != "signed" && slices.Contains([]string{"mail", "people", "registry"}, t.Topic) {
			f.add(at+".form", fmt.Errorf("nothing in topic %q can be read on a handheld: it goes by radio as \"signed\" only", t.Topic))
		}
		place := RadioTopic{Topic: t.Topic, Channel: t.Channel}
		before, again := places[place]
		first, taken := channels[t.Channel]
		switch {
		case again && c.Radio.Topics[before].Form != t.Form:
			f.add(at+".topic", fmt.Errorf("%q is on channel %d already, by %s: form = \"both\" there sends text and signed", t.Topic, t.Channel, index("radio.topic", before)))
		case again:
			f.add(at+".topic", fmt.Errorf("%q is on channel %d already, by %s", t.Topic, t.Channel, index("radio.topic", before)))
		case taken && t.Form != "signed":
			f.add(at+".channel", fmt.Errorf("channel %d already carries the topic of %s", t.Channel, index("radio.topic", first)))
		}
		if !again && t.Topic != "" {
			places[place] = i
		}
		if t.Form != "signed" { // signed messages say themselves which topic they belong to
			channels[t.Channel] = i
		}
		if !slices.Contains([]string{"text", "signed", "both"}, t.Form) {
			f.add(at+".form", fmt.Errorf("%.40q is not \"text\", \"signed\" or \"both\"", t.Form))
		}
	}
}

// PeerURIs returns the peers of the list and of the peers file.
func (o Overlay) PeerURIs() ([]string, error) {
	peers := slices.Clone(o.Peers)
	if o.PeersFile == "" {
		return peers, nil
	}
	b, err := o.PeersFile.Read()
	if err != nil {
		return nil, err
	}
	n := 0
	for line := range strings.Lines(string(b)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := checkUnderlay(line, false); err != nil {
			return nil, fmt.Errorf("%s:%d: not a peer", o.PeersFile, n) // the line may hold a password
		}
		peers = append(peers, line)
	}
	return peers, nil
}

// faults gathers what is wrong, each with the key it is about.
type faults []error

func (f *faults) add(path string, err error) {
	if err != nil {
		*f = append(*f, &fault{path, err})
	}
}

func index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// checkName repeats the rule of mesh.CheckName for a name that may be empty.
func checkName(s string) error {
	if len(s) > 64 {
		return fmt.Errorf("%d bytes, limit 64", len(s))
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) || strings.TrimSpace(s) != s {
		return fmt.Errorf("%.80q has letters that cannot be shown, or space at an end", s)
	}
	return nil
}

func checkListen(s string) error {
	if s == "none" {
		return nil
	}
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("%.80q is not an address and port, such as \":3739\" or \"127.0.0.1:0\"", s)
	}
	return checkPort(port)
}

// checkShare checks the address of the shared radio.
func checkShare(s string) error {
	if s == "off" {
		return nil
	}
	if s == "none" || checkListen(s) != nil {
		return fmt.Errorf("%.80q is not \"off\" or an address and port, such as \"127.0.0.1:4403\" or \":4403\"", s)
	}
	return nil
}

func checkPort(s string) error {
	if n, err := strconv.ParseUint(s, 10, 16); err != nil || strconv.FormatUint(n, 10) != s {
		return fmt.Errorf("port %.40q is not a number from 0 to 65535", s)
	}
	return nil
}

// checkTopic repeats the rule of mesh.ParseTopic, as this package imports none
// of ours; a test in cmd/drey holds the two together.
func checkTopic(s string) error {
	if len(s) < 1 || len(s) > 64 {
		return fmt.Errorf("topic %.70q has %d letters, allowed are 1 to 64", s, len(s))
	}
	if i := strings.IndexFunc(s, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-/", r)
	}); i >= 0 {
		return fmt.Errorf("topic %q: only a-z 0-9 - and / are allowed", s)
	}
	return nil
}

func checkHost(s string) error {
	if s == "" || len(s) > 253 || strings.ContainsAny(s, "/:@ \t\n") {
		return fmt.Errorf("%.80q is not the name of a host, such as \"drey.local\"", s)
	}
	return nil
}

func checkPeer(s string) error {
	if err := checkUnderlay(s, false); err != nil {
		return err
	}
	u, _ := url.Parse(s)
	if _, secret := u.User.Password(); secret || u.Query().Has("password") {
		return errors.New("holds a password: put it into the file of overlay.peers_file")
	}
	return nil
}

// checkUnderlay checks a URI of Yggdrasil's.
func checkUnderlay(s string, listen bool) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" {
		return fmt.Errorf("%.80q is not a URI, such as \"tls://192.0.2.7:3740\"", s)
	}
	schemes := []string{"tls", "tcp", "quic", "ws", "unix"}
	if !listen {
		schemes = append(schemes, "wss", "socks", "sockstls")
	}
	if !slices.Contains(schemes, u.Scheme) {
		return fmt.Errorf("scheme %.40q is not one of %s", u.Scheme, strings.Join(schemes, ", "))
	}
	if u.Scheme == "unix" {
		return nil
	}
	if u.Port() == "" {
		return fmt.Errorf("%.80q has no port", s)
	}
	if err := checkPort(u.Port()); err != nil {
		return err
	}
	if !listen && u.Hostname() == "" {
		return fmt.Errorf("%.80q has no host", s)
	}
	if k := u.Query().Get("key"); k != "" && (len(k) != 64 || strings.Trim(k, "0123456789abcdefABCDEF") != "") {
		return errors.New("key is not 64 hexadecimal digits")
	}
	return nil
}

func checkDevice(s string) error {
	if rest, ok := strings.CutPrefix(s, "tcp://"); ok {
		if host, port, err := net.SplitHostPort(rest); err == nil {
			if host == "" {
				return fmt.Errorf("%.80q has no host", s)
			}
			return checkPort(port)
		}
		bare := rest
		if strings.HasPrefix(rest, "[") && strings.HasSuffix(rest, "]") {
			bare = rest[1 : len(rest)-1]
		}
		if _, err := netip.ParseAddr(bare); err != nil && (rest == "" || strings.ContainsAny(rest, ":/ []")) {
			return fmt.Errorf("%.80q is not tcp://HOST:PORT", s)
		}
		return nil // the port is 4403 then
	}
	if s == "auto" || s == "sim" || s == "none" || strings.HasPrefix(s, "/") {
		return nil
	}
	return fmt.Errorf("%.80q is not auto, sim, none, a path such as /dev/ttyACM0, or tcp://HOST:PORT", s)
}
