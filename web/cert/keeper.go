package cert

import (
	"crypto/ecdsa"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// File names in a node's home.
const (
	KeyName  = "web.key" // 0600
	CertName = "web.crt"
)

// maxFile bounds what is read of a file, in bytes.
const maxFile = 1 << 20

// A Config says where a Keeper finds and keeps things.
type Config struct {
	Home string // where the own key and certificate are kept
	// CertFile and KeyFile are an operator's own; both empty: the node's.
	CertFile, KeyFile string
	Names             func() Names // what the machine is called now; asked at most every 10 s
	Log               *slog.Logger
	Clock             func() time.Time
}

// A Keeper hands out the certificate and renews it. Safe for concurrent use.
type Keeper struct {
	config Config // immutable

	mu struct {
		sync.Mutex
		key   *ecdsa.PrivateKey // own; nil before it is needed
		now   *tls.Certificate
		asked time.Time // when Names was last asked
	}
}

// New returns a Keeper; it reads nothing yet.
func New(c Config) *Keeper { return &Keeper{config: c} }

// namesFor is how long the machine's names are believed.
const namesFor = 10 * time.Second

// Reload reads the files again, and makes the own key and certificate where
// there is none. After an error what was served before is still served.
func (k *Keeper) Reload() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.config.CertFile != "" {
		c, err := k.given()
		if err != nil {
			return err
		}
		k.mu.now = c
		return nil
	}
	key, err := k.ownKey()
	if err != nil {
		return err
	}
	k.mu.key = key
	if b, err := os.ReadFile(k.path(CertName)); err == nil {
		if c := parseOwn(b, key); c != nil {
			k.mu.now = c
		}
	}
	return k.renewLocked(k.config.Clock())
}

// given reads the operator's certificate and key.
func (k *Keeper) given() (*tls.Certificate, error) {
	chain, err := readFile(k.config.CertFile, false)
	if err != nil {
		return nil, err
	}
	key, err := readFile(k.config.KeyFile, true)
	if err != nil {
		return nil, err
	}
	c, err := Parse(chain, key)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", k.config.CertFile, k.config.KeyFile, err)
	}
	return c, nil
}

// ownKey reads the node's key, and makes one where there is none.
func (k *Keeper) ownKey() (*ecdsa.PrivateKey, error) {
	path := k.path(KeyName)
	b, err := readFile(path, true)
	if err == nil {
		key, err := parseKey(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w; delete it and the next start makes a new one", path, err)
		}
		return key, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	key, err := NewKey()
	if err != nil {
		return nil, err
	}
	b, err = appendKey(nil, key)
	if err != nil {
		return nil, err
	}
	return key, writeFile(path, b)
}

// Certificate is what tls.Config.GetCertificate wants.
func (k *Keeper) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.mu.now == nil {
		return nil, errors.New("there is no certificate")
	}
	if k.mu.key != nil {
		if now := k.config.Clock(); now.Sub(k.mu.asked) >= namesFor || now.Before(k.mu.asked) {
			if err := k.renewLocked(now); err != nil {
				k.config.Log.Warn("certificate not renewed", "err", err)
			}
		}
	}
	return k.mu.now, nil
}

// Fingerprints of what is served; false where nothing is.
func (k *Keeper) Fingerprints() (Fingerprints, bool) {
	c, err := k.Certificate(nil)
	if err != nil {
		return Fingerprints{}, false
	}
	return fingerprints(c.Leaf), true
}

// renewLocked makes the own certificate anew where it no longer fits the
// machine. What cannot be written is served all the same.
func (k *Keeper) renewLocked(now time.Time) error {
	k.mu.asked = now
	want := k.config.Names()
	had := k.mu.now
	if had != nil && !stale(had.Leaf, want, now) {
		return nil
	}
	if had != nil {
		want = join(want, namesOf(had.Leaf))
	}
	c, err := Make(k.mu.key, sorted(want), now)
	if err != nil {
		return err
	}
	k.mu.now = c
	k.config.Log.Info("certificate made", "until", c.Leaf.NotAfter.Format(time.DateOnly))
	return writeFile(k.path(CertName), appendCert(nil, c))
}

func (k *Keeper) path(name string) string { return filepath.Join(k.config.Home, name) }

// readFile reads a small file; a secret one only where its owner alone can.
func readFile(path string, secret bool) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", path)
	case secret && info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("%s can be read by others (mode %04o): run chmod 600 %s", path, info.Mode().Perm(), path)
	case info.Size() > maxFile:
		return nil, fmt.Errorf("%s: %d bytes, limit %d", path, info.Size(), maxFile)
	}
	return io.ReadAll(io.LimitReader(f, maxFile))
}

// writeFile writes a file for its owner alone, whole or not at all.
func writeFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
