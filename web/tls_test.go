package web_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"drey/web"
)

// trusting returns a client that trusts the certificate of a node's home, as a
// browser does whose owner went on.
func trusting(t testing.TB, home string) *http.Client {
	t.Helper()
	pem, err := os.ReadFile(filepath.Join(home, "web.crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatalf("no certificate in %s", pem)
	}
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// TestOnePortSpeaksBoth asks over http and https, and opens a websocket over
// TLS, all at one port.
func TestOnePortSpeaksBoth(t *testing.T) {
	relay := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.Write(r.Context(), websocket.MessageText, fmt.Appendf(nil, "secure %v", r.TLS != nil))
		c.Read(r.Context())
	})
	r := run(t, func(c *web.Config) {
		c.Relay = relay
		c.Addresses = []netip.Addr{netip.MustParseAddr("200:35f1:516a:5648:873a:22c4:d950:ae6d")}
	})
	addr := r.Listening().String()
	client := trusting(t, r.home)
	for _, base := range []string{"http://" + addr, "https://" + addr, "https://localhost:" + strings.Split(addr, ":")[1]} {
		for range 2 { // the second on the same connection
			resp, err := client.Get(base + "/v1/status")
			if err != nil {
				t.Fatalf("%s: %v", base, err)
			}
			b, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != 200 || resp.ProtoMajor != 1 || !strings.Contains(string(b), "Old School") {
				t.Errorf("%s: %s %s %s", base, resp.Proto, resp.Status, b)
			}
			if resp.TLS != nil {
				cert := resp.TLS.PeerCertificates[0]
				st, err := r.client.Status(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if want := sha256.Sum256(cert.RawSubjectPublicKeyInfo); strings.ReplaceAll(st.Web.TLS.Key, ":", "") != fmt.Sprintf("%X", want) {
					t.Errorf("status tells the key %s, the browser sees %X", st.Web.TLS.Key, want)
				}
				if want := sha256.Sum256(cert.Raw); strings.ReplaceAll(st.Web.TLS.Certificate, ":", "") != fmt.Sprintf("%X", want) {
					t.Errorf("status tells the certificate %s, the browser sees %X", st.Web.TLS.Certificate, want)
				}
				if err := cert.VerifyHostname("200:35f1:516a:5648:873a:22c4:d950:ae6d"); err != nil {
					t.Error(err)
				}
				if len(st.Web.HTTPS) != 1 || st.Web.HTTPS[0] != "https://"+addr+"/" {
					t.Errorf("status tells %v", st.Web.HTTPS)
				}
			}
		}
	}
	for _, scheme := range []string{"ws", "wss"} {
		c, _, err := websocket.Dial(t.Context(), scheme+"://"+addr+"/", &websocket.DialOptions{HTTPClient: client})
		if err != nil {
			t.Fatalf("%s: %v", scheme, err)
		}
		_, b, err := c.Read(t.Context())
		if want := fmt.Sprintf("secure %v", scheme == "wss"); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v, want %q", scheme, b, err, want)
		}
		c.Close(websocket.StatusNormalClosure, "")
	}
}

// TestHostileFirstBytes has connections that say nothing, garbage or half a
// handshake: others are served meanwhile, and the server is rid of them soon.
func TestHostileFirstBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newServer(t, nil)
		network := newPipes()
		l, err := s.Sniff(web.NewConnLimit(network, 1500, 256))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Serve(ctx, l) }()
		<-s.Ready()

		began := time.Now()
		ended := make(chan time.Duration)
		hostile := map[string][]byte{
			"silence":          nil,
			"a handshake":      {0x16},
			"half a handshake": {0x16, 3, 1, 0x02, 0x00, 1, 0, 1},
			"a huge record":    append([]byte{0x16, 3, 1, 0xff, 0xff}, make([]byte, 70000)...),
			"garbage":          []byte("\x00\xff\x17garbage\r\n\r\n"),
			"SSLv2":            {0x80, 0x2e, 1, 0, 2},
			"slow http":        []byte("G"),
		}
		for _, say := range hostile {
			c, err := network.dial(ctx, "192.0.2.66")
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				go c.Write(say)
				io.Copy(io.Discard, c)
				c.Close()
				ended <- time.Since(began)
			}()
		}
		if a := request(t, network.from("192.0.2.50"), "GET", "/healthz", ""); a.status != 200 {
			t.Errorf("meanwhile a visitor gets %d", a.status)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("a visitor waits %s behind silent ones", took)
		}
		for range hostile {
			if took := <-ended; took > 11*time.Second {
				t.Errorf("a connection that says nothing of use lives %s", took)
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestManySilentConnections opens ten thousand of them: the server holds as
// many as it may, and a visitor at the machine itself is served when they go.
func TestManySilentConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newServer(t, nil)
		network := newPipes()
		l, err := s.Sniff(web.NewConnLimit(network, 1500, 256))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Serve(ctx, l) }()
		<-s.Ready()
		open := 0
		for i := range 10_000 {
			c, err := network.dial(ctx, fmt.Sprintf("192.0.2.%d", i%20+1))
			if err != nil {
				t.Fatal(err)
			}
			c.SetReadDeadline(time.Now().Add(time.Nanosecond))
			if _, err := c.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
				open++ // the others were closed at once
			}
			c.SetReadDeadline(time.Time{})
			defer c.Close()
		}
		if open < 1400 || open > 1500 {
			t.Errorf("%d connections are open, want nearly 1500", open)
		}
		<-time.After(11 * time.Second)
		if a := request(t, network.from("192.0.2.50"), "GET", "/healthz", ""); a.status != 200 {
			t.Errorf("afterwards a visitor gets %d", a.status)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestGivenCertificate serves an operator's files and reads them again.
func TestGivenCertificate(t *testing.T) {
	made := run(t, nil) // another node makes a pair to borrow
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "a.crt"), filepath.Join(dir, "a.key")
	copyFile(t, filepath.Join(made.home, "web.crt"), certFile)
	copyFile(t, filepath.Join(made.home, "web.key"), keyFile)
	r := run(t, func(c *web.Config) { c.CertFile, c.KeyFile = certFile, keyFile })
	client := trusting(t, made.home)
	get := func() error {
		client.CloseIdleConnections()
		resp, err := client.Get("https://" + r.Listening().String() + "/healthz")
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	if err := get(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(r.home, "web.key")); err == nil {
		t.Error("a key was made beside the given one")
	}
	os.WriteFile(keyFile, []byte("garbage"), 0o600)
	if err := r.ReloadCertificate(); err == nil {
		t.Error("garbage was taken")
	}
	if err := get(); err != nil {
		t.Errorf("after a faulty file: %v", err)
	}
	other := run(t, nil)
	copyFile(t, filepath.Join(other.home, "web.crt"), certFile)
	copyFile(t, filepath.Join(other.home, "web.key"), keyFile)
	if err := r.ReloadCertificate(); err != nil {
		t.Fatal(err)
	}
	client = trusting(t, other.home)
	if err := get(); err != nil {
		t.Errorf("the new certificate: %v", err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestHTTPSWithoutCertificate keeps plain http going where the key is damaged.
func TestHTTPSWithoutCertificate(t *testing.T) {
	r := run(t, func(c *web.Config) {
		if err := os.WriteFile(filepath.Join(c.Home, "web.key"), []byte("garbage"), 0o600); err != nil {
			t.Fatal(err)
		}
	})
	resp, err := http.Get("http://" + r.Listening().String() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	c, err := tls.Dial("tcp", r.Listening().String(), &tls.Config{InsecureSkipVerify: true})
	if err == nil {
		c.Close()
		t.Error("https works without a certificate")
	}
	st, err := r.client.Status(t.Context())
	if err != nil || st.Web.TLS.Key != "" || len(st.Web.HTTPS) != 0 {
		t.Errorf("status tells %+v, %v", st.Web, err)
	}
}
