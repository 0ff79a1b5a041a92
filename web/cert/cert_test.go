package cert

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var testTime = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func names(dns []string, ips ...string) Names {
	n := Names{DNS: dns}
	for _, ip := range ips {
		n.IPs = append(n.IPs, netip.MustParseAddr(ip))
	}
	return n
}

func TestMake(t *testing.T) {
	key, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	c, err := Make(key, names([]string{"localhost", "Old-School.local.", "localhost", "", "bad name"}, "127.0.0.1", "::1", "::ffff:192.168.1.10", "fe80::1%eth0", "200:35f1::1"), testTime)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"localhost", "old-school.local", "127.0.0.1", "192.168.1.10", "::1", "fe80::1", "200:35f1::1"} {
		if err := c.Leaf.VerifyHostname(host); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	for _, host := range []string{"192.168.1.11", "school.local", "bad name"} {
		if c.Leaf.VerifyHostname(host) == nil {
			t.Errorf("the certificate holds for %s", host)
		}
	}
	if len(c.Leaf.DNSNames) != 2 {
		t.Errorf("names %q, want 2", c.Leaf.DNSNames)
	}
	if c.Leaf.IsCA || c.Leaf.Subject.CommonName != "drey" || c.Leaf.CheckSignatureFrom(c.Leaf) == nil {
		t.Errorf("CN %q, an authority: %v", c.Leaf.Subject.CommonName, c.Leaf.IsCA)
	}
	if life := c.Leaf.NotAfter.Sub(c.Leaf.NotBefore); life > 825*24*time.Hour || !c.Leaf.NotBefore.Before(testTime) {
		t.Errorf("lives %s from %s", life, c.Leaf.NotBefore)
	}
	roots := x509.NewCertPool()
	roots.AddCert(c.Leaf)
	if _, err := c.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "localhost", CurrentTime: testTime}); err != nil {
		t.Errorf("a browser that was told to trust it: %v", err)
	}
}

func TestMakeBounded(t *testing.T) {
	key, _ := NewKey()
	var n Names
	for i := range 1000 {
		n.IPs = append(n.IPs, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
		n.DNS = append(n.DNS, fmt.Sprintf("n%d.local", i))
	}
	c, err := Make(key, n, testTime)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Leaf.IPAddresses) != mostIPs || len(c.Leaf.DNSNames) != mostDNS {
		t.Errorf("%d addresses and %d names", len(c.Leaf.IPAddresses), len(c.Leaf.DNSNames))
	}
	if stale(c.Leaf, n, testTime) {
		t.Error("what does not fit would make a new certificate each time")
	}
}

// machine is a Keeper's surroundings.
type machine struct {
	now   time.Time
	names Names
}

func (m *machine) keeper(home string) *Keeper {
	return New(Config{Home: home, Names: func() Names { return m.names }, Log: slog.New(slog.DiscardHandler), Clock: func() time.Time { return m.now }})
}

func TestKeeperRenews(t *testing.T) {
	home := t.TempDir()
	m := &machine{testTime, names([]string{"localhost"}, "127.0.0.1", "192.168.1.10")}
	k := m.keeper(home)
	if err := k.Reload(); err != nil {
		t.Fatal(err)
	}
	first, _ := k.Fingerprints()
	look := func(what string, sameCert bool) {
		t.Helper()
		f, ok := k.Fingerprints()
		if !ok {
			t.Fatalf("%s: no certificate", what)
		}
		if f.Key != first.Key {
			t.Errorf("%s: the key has changed", what)
		}
		if (f.Certificate == first.Certificate) != sameCert {
			t.Errorf("%s: same certificate is %v, want %v", what, !sameCert, sameCert)
		}
		first = f
	}
	m.now = m.now.Add(time.Hour)
	look("an hour later", true)
	m.names = names([]string{"localhost"}, "127.0.0.1")
	m.now = m.now.Add(time.Hour)
	look("an address gone", true)
	m.names = names([]string{"localhost"}, "127.0.0.1", "10.0.0.7")
	look("a new address within ten seconds", true)
	m.now = m.now.Add(namesFor)
	look("a new address", false)
	c, _ := k.Certificate(nil)
	for _, host := range []string{"10.0.0.7", "192.168.1.10"} {
		if err := c.Leaf.VerifyHostname(host); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	k = m.keeper(home)
	if err := k.Reload(); err != nil {
		t.Fatal(err)
	}
	look("after a restart", true)
	m.now = m.now.Add(lives - renewAt)
	look("near its end", false)
	m.now = testTime.Add(-10 * 365 * 24 * time.Hour)
	look("a clock that was reset", false)

	for _, name := range []string{KeyName, CertName} {
		info, err := os.Stat(filepath.Join(home, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if list, _ := os.ReadDir(home); len(list) != 2 {
		t.Errorf("the home holds %v", list)
	}
}

func TestKeeperRefuses(t *testing.T) {
	home := t.TempDir()
	m := &machine{testTime, names([]string{"localhost"})}
	if err := m.keeper(home).Reload(); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(home, KeyName)
	os.Chmod(key, 0o644)
	if err := m.keeper(home).Reload(); err == nil {
		t.Error("a key that others can read is used")
	}
	os.Chmod(key, 0o600)
	os.WriteFile(key, []byte("garbage"), 0o600)
	if err := m.keeper(home).Reload(); err == nil {
		t.Error("garbage is used as a key")
	}
	os.WriteFile(filepath.Join(home, CertName), []byte("garbage"), 0o600)
	os.Remove(key)
	if err := m.keeper(home).Reload(); err != nil {
		t.Errorf("a lost key is not made anew: %v", err)
	}
}

func TestKeeperGivenFiles(t *testing.T) {
	home := t.TempDir()
	write := func(name string, b []byte, mode os.FileMode) string {
		t.Helper()
		path := filepath.Join(home, name)
		if err := os.WriteFile(path, b, mode); err != nil {
			t.Fatal(err)
		}
		os.Chmod(path, mode)
		return path
	}
	pair := func() (c, k []byte) {
		key, _ := NewKey()
		made, err := Make(key, names([]string{"drey.example.org"}), testTime)
		if err != nil {
			t.Fatal(err)
		}
		k, _ = appendKey(nil, key)
		return appendCert(nil, made), k
	}
	c1, k1 := pair()
	c2, k2 := pair()
	certFile, keyFile := write("a.crt", c1, 0o644), write("a.key", k1, 0o600)
	k := New(Config{Home: home, CertFile: certFile, KeyFile: keyFile, Names: func() Names { return names(nil, "10.0.0.1") },
		Log: slog.New(slog.DiscardHandler), Clock: func() time.Time { return testTime }})
	if err := k.Reload(); err != nil {
		t.Fatal(err)
	}
	first, _ := k.Fingerprints()
	write("a.key", k2, 0o600)
	if err := k.Reload(); err == nil {
		t.Error("a certificate is served with a key that is not its own")
	}
	if f, ok := k.Fingerprints(); !ok || f != first {
		t.Error("a bad file replaced what was good")
	}
	write("a.crt", c2, 0o644)
	if err := k.Reload(); err != nil {
		t.Errorf("the new pair: %v", err)
	}
	if f, _ := k.Fingerprints(); f == first {
		t.Error("the new pair is not served")
	}
	write("a.key", k2, 0o640)
	if err := k.Reload(); err == nil {
		t.Error("a key that the group can read is used")
	}
	if _, err := os.Stat(filepath.Join(home, KeyName)); err == nil {
		t.Error("an own key was made though files were given")
	}
}

// FuzzParse checks that no file breaks the reader and that what parses as a
// key is written back as the same key.
func FuzzParse(f *testing.F) {
	key, err := NewKey()
	if err != nil {
		f.Fatal(err)
	}
	pem, _ := appendKey(nil, key)
	c, err := Make(key, names([]string{"localhost"}, "::1"), testTime)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(pem)
	f.Add(appendCert(nil, c))
	f.Add(append(appendCert(nil, c), pem...))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if k, err := parseKey(b); err == nil {
			again, err := appendKey(nil, k)
			if err != nil {
				t.Fatal(err)
			}
			back, err := parseKey(again)
			if err != nil || !back.Equal(k) {
				t.Errorf("key %x was read back as another: %v", b, err)
			}
		}
		if own := parseOwn(b, key); own != nil && !bytes.Equal(own.Leaf.Raw, own.Certificate[0]) {
			t.Error("the leaf is not the certificate")
		}
		Parse(b, b)
	})
}
