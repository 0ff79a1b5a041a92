// Package cert keeps the certificate under which a node serves its page over
// https: one that the node signs for itself, or one that its operator gives.
//
// No authority vouches for a machine on a local network, so a browser warns
// once and shows a fingerprint, and people compare it with what 'drey ui'
// prints. For that to mean something the key is made once and stays: a
// certificate is renewed for new addresses and before it runs out, always with
// the same key. A new certificate still makes browsers warn anew, so addresses
// that the machine had before stay in it.
package cert

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Lengths of a certificate's life.
const (
	lives    = 800 * 24 * time.Hour // Apple's limit for what no authority signed is 825 days
	early    = 24 * time.Hour       // begins before now: phones' clocks lag
	renewAt  = 60 * 24 * time.Hour  // before its end
	mostIPs  = 32                   // addresses in a certificate
	mostDNS  = 32                   // names in a certificate
	nameSize = 253                  // bytes of a name
)

// Names are what a certificate vouches for.
type Names struct {
	DNS []string     // lower case
	IPs []netip.Addr // without zones
}

// NewKey makes the key of a certificate.
func NewKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// Make signs a certificate for names with its own key, for now and 800 days
// on. What does not fit is left out from the end.
func Make(key *ecdsa.PrivateKey, n Names, now time.Time) (*tls.Certificate, error) {
	var serial [16]byte
	rand.Read(serial[:]) // never fails since Go 1.24
	serial[0] &= 0x7f    // RFC 5280: positive
	t := &x509.Certificate{
		SerialNumber:          new(big.Int).SetBytes(serial[:]),
		Subject:               pkix.Name{CommonName: "drey"},
		NotBefore:             now.Add(-early).Truncate(time.Second),
		NotAfter:              now.Add(lives - early).Truncate(time.Second),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, // and no authority: whoever installs it trusts this machine, not its signature under others
	}
	n = n.tidy()
	t.DNSNames = n.DNS
	for _, a := range n.IPs {
		t.IPAddresses = append(t.IPAddresses, a.AsSlice())
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// tidy drops what a certificate cannot hold, doubles, and what is too much.
func (n Names) tidy() Names {
	var t Names
	for _, d := range n.DNS {
		d = strings.TrimSuffix(strings.ToLower(d), ".")
		if d == "" || len(d) > nameSize || slices.Contains(t.DNS, d) || len(t.DNS) == mostDNS ||
			strings.ContainsFunc(d, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			continue
		}
		t.DNS = append(t.DNS, d)
	}
	for _, a := range n.IPs {
		a = a.Unmap().WithZone("")
		if !a.IsValid() || a.IsUnspecified() || slices.Contains(t.IPs, a) || len(t.IPs) == mostIPs {
			continue
		}
		t.IPs = append(t.IPs, a)
	}
	return t
}

// namesOf reads what a certificate vouches for.
func namesOf(leaf *x509.Certificate) Names {
	n := Names{DNS: leaf.DNSNames}
	for _, ip := range leaf.IPAddresses {
		if a, ok := netip.AddrFromSlice(ip); ok {
			n.IPs = append(n.IPs, a.Unmap())
		}
	}
	return n
}

// lacks reports whether n holds something that the certificate does not.
func (n Names) lacks(in Names) bool {
	n = n.tidy()
	return slices.ContainsFunc(n.DNS, func(d string) bool { return !slices.Contains(in.DNS, d) }) ||
		slices.ContainsFunc(n.IPs, func(a netip.Addr) bool { return !slices.Contains(in.IPs, a) })
}

// stale reports whether a certificate has to be made anew at a time.
func stale(leaf *x509.Certificate, want Names, now time.Time) bool {
	return now.Before(leaf.NotBefore) || now.After(leaf.NotAfter.Add(-renewAt)) || want.lacks(namesOf(leaf))
}

// A Fingerprint is a SHA-256, as browsers show it.
type Fingerprint [32]byte

// String writes the fingerprint as browsers do: "A1:B2:…".
func (f Fingerprint) String() string {
	s := make([]string, len(f))
	for i, b := range f {
		s[i] = strings.ToUpper(hex.EncodeToString([]byte{b}))
	}
	return strings.Join(s, ":")
}

// Fingerprints are the two that browsers show. That of the key never changes
// while the node's key file is there.
type Fingerprints struct {
	Certificate Fingerprint // of the whole certificate (DER)
	Key         Fingerprint // of its public key (SubjectPublicKeyInfo)
}

func fingerprints(leaf *x509.Certificate) Fingerprints {
	return Fingerprints{sha256.Sum256(leaf.Raw), sha256.Sum256(leaf.RawSubjectPublicKeyInfo)}
}

// Parse reads a certificate chain and its key in PEM and holds them to fit.
func Parse(chain, key []byte) (*tls.Certificate, error) {
	c, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "tls: "))
	}
	if c.Leaf == nil {
		if c.Leaf, err = x509.ParseCertificate(c.Certificate[0]); err != nil {
			return nil, err
		}
	}
	return &c, nil
}

const (
	pemKey  = "PRIVATE KEY"
	pemCert = "CERTIFICATE"
)

// appendKey writes a key as PEM (PKCS #8).
func appendKey(b []byte, key crypto.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return append(b, pem.EncodeToMemory(&pem.Block{Type: pemKey, Bytes: der})...), nil
}

// appendCert writes a certificate as PEM.
func appendCert(b []byte, c *tls.Certificate) []byte {
	for _, der := range c.Certificate {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: pemCert, Bytes: der})...)
	}
	return b
}

// parseKey reads what appendKey wrote.
func parseKey(b []byte) (*ecdsa.PrivateKey, error) {
	block, rest := pem.Decode(b)
	if block == nil || block.Type != pemKey || len(strings.TrimSpace(string(rest))) > 0 {
		return nil, fmt.Errorf("not one PEM block %q", pemKey)
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := k.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("a %T, wanted an ECDSA key on P-256", k)
	}
	return key, nil
}

// parseOwn reads a certificate that Make made for key; nil where it is none.
func parseOwn(b []byte, key *ecdsa.PrivateKey) *tls.Certificate {
	block, _ := pem.Decode(b)
	if block == nil || block.Type != pemCert {
		return nil
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil || !key.PublicKey.Equal(leaf.PublicKey) {
		return nil
	}
	return &tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: key, Leaf: leaf}
}

// join returns a's names, then those of b that fit beside them.
func join(a, b Names) Names {
	return Names{slices.Concat(a.DNS, b.DNS), slices.Concat(a.IPs, b.IPs)}.tidy()
}

// sorted orders addresses so that equal machines make equal certificates.
func sorted(n Names) Names {
	n = n.tidy()
	slices.Sort(n.DNS)
	slices.SortFunc(n.IPs, func(a, b netip.Addr) int { return cmp.Or(cmp.Compare(a.BitLen(), b.BitLen()), a.Compare(b)) })
	return n
}
