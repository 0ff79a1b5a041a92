package mesh

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

// ParseDoorLink reads the address of a machine's page, as PhoneLink writes it
// and as people type it: http or https, a host, a port where it is not the
// scheme's own, and nothing behind it. At that door a machine may ask to belong.
func ParseDoorLink(s string) (Endpoint, error) {
	u, err := url.Parse(strings.ToLower(strings.TrimSpace(s)))
	if err != nil || u.Host == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return Endpoint{}, fmt.Errorf("%w: the address of a page looks like http://192.168.1.10:3739", ErrInvite)
	}
	return webEndpoint(u)
}

// webEndpoint makes an endpoint of an address with http or https. Without a
// port it takes the scheme's own, as a browser would.
func webEndpoint(u *url.URL) (Endpoint, error) {
	if u.Port() == "" {
		port := map[string]string{"http": "80", "https": "443"}[u.Scheme]
		u.Host = net.JoinHostPort(u.Hostname(), port)
	}
	door, err := ParseEndpoint(u.Scheme + "://" + u.Host)
	if err != nil {
		return Endpoint{}, fmt.Errorf("%w: %w", ErrInvite, err)
	}
	if !door.Scheme.Web() {
		return Endpoint{}, fmt.Errorf("%w: it starts with %s, not http or https", ErrInvite, door.Scheme)
	}
	return door, nil
}
