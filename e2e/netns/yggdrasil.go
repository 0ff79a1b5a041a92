//go:build e2e

package netns

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yggdrasil-network/yggdrasil-go/src/address"
)

// The foreign Yggdrasil: the release before ours whose command builds from the
// module proxy alone. The sum stands in for the checksum database, which not
// every proxy serves.
const (
	yggModule  = "github.com/yggdrasil-network/yggdrasil-go"
	yggVersion = "v0.5.9"
	yggSum     = "h1:cJ55wE49z8AhxF9LAMO0B0Ee8V4W5Rj3CboSuexOKp8="
)

// buildOnce keeps tests of one process from building side by side.
var buildOnce sync.Mutex

// Yggdrasil returns the path of the foreign yggdrasil command. It is built on
// first use and kept in the user's cache directory.
func Yggdrasil(t testing.TB) string {
	t.Helper()
	buildOnce.Lock()
	defer buildOnce.Unlock()
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	path := filepath.Join(cache, "drey-e2e", "yggdrasil-"+yggVersion)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	for range 3 { // the network may fail
		if err = buildYggdrasil(path); err == nil {
			break
		}
	}
	if err != nil {
		if os.Getenv("DREY_E2E") == "required" {
			t.Fatalf("build yggdrasil %s: %v", yggVersion, err)
		}
		t.Skipf("missing: yggdrasil %s: %v", yggVersion, err)
	}
	return path
}

func buildYggdrasil(path string) error {
	work, err := os.MkdirTemp("", "yggdrasil")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	download := exec.Command("go", "mod", "download", "-json", yggModule+"@"+yggVersion)
	download.Dir = work
	download.Env = append(os.Environ(), "GONOSUMDB="+yggModule, "GOFLAGS=-mod=mod")
	out, err := download.Output()
	if err != nil {
		return fmt.Errorf("download: %w: %s", err, out)
	}
	var got struct{ Dir, Sum string }
	if err := json.Unmarshal(out, &got); err != nil {
		return err
	}
	if got.Sum != yggSum {
		return fmt.Errorf("checksum %s, want %s", got.Sum, yggSum)
	}
	source := filepath.Join(work, "source")
	if err := os.CopyFS(source, os.DirFS(got.Dir)); err != nil {
		return err
	}
	// The module cache is read-only, and so is a copy of it.
	err = filepath.WalkDir(source, func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chmod(p, 0o755)
	})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	build := exec.Command("go", "build", "-o", path+".new", "./cmd/yggdrasil")
	build.Dir = source
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=mod -buildvcs=false")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return os.Rename(path+".new", path)
}

// A Daemon is a foreign yggdrasil that runs on a machine.
type Daemon struct {
	Key     ed25519.PublicKey
	Private ed25519.PrivateKey
	Address net.IP
}

// FirstPath is what the foreign router may need for its first path through a
// third node: a lookup that failed once is repeated only when its own minute is
// up, between two of its kind as well.
const FirstPath = 65 * time.Second

// A DaemonConfig says how a daemon is linked.
type DaemonConfig struct {
	Listen []string // underlay URIs to answer on
	Peers  []string // underlay URIs to call
	Tun    bool     // whether it makes a network device; a mere transit node needs none
	LAN    bool     // multicast on every interface
}

// RunYggdrasil starts the foreign daemon on m and waits until it is up. It
// ends with the test.
func (m *Machine) RunYggdrasil(c DaemonConfig) *Daemon {
	m.t.Helper()
	path := Yggdrasil(m.t)
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		m.t.Fatal(err)
	}
	device := "none"
	if c.Tun {
		device = "ygg0"
	}
	multicast := []any{}
	if c.LAN {
		multicast = append(multicast, map[string]any{"Regex": ".*", "Beacon": true, "Listen": true, "Port": 0, "Priority": 0, "Password": ""})
	}
	text, err := json.Marshal(map[string]any{
		"PrivateKey": hex.EncodeToString(private), "Listen": c.Listen, "Peers": c.Peers, "IfName": device, "IfMTU": 65535,
		"AdminListen": "none", "NodeInfoPrivacy": true, "MulticastInterfaces": multicast,
	})
	if err != nil {
		m.t.Fatal(err)
	}
	file := filepath.Join(m.t.TempDir(), "yggdrasil.conf")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := m.Command(ctx, path, "-useconffile", file, "-loglevel", "info")
	out, err := cmd.StdoutPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		cancel()
		cmd.Wait()
	})
	up := make(chan string, 1)
	go func() {
		var said strings.Builder
		wanted := len(c.Listen) + 1
		if c.Tun {
			wanted++
		}
		for lines := bufio.NewScanner(out); lines.Scan(); {
			line := lines.Text()
			if wanted > 0 {
				said.WriteString(line + "\n")
				if strings.Contains(line, "listener started") || strings.Contains(line, "Your IPv6 address") || strings.Contains(line, "Interface IPv6") {
					if wanted--; wanted == 0 {
						up <- ""
					}
				}
			}
		}
		if wanted > 0 {
			up <- said.String()
		}
	}()
	select {
	case trouble := <-up:
		if trouble != "" {
			m.t.Fatalf("yggdrasil ended:\n%s", trouble)
		}
	case <-time.After(time.Minute):
		m.t.Fatal("yggdrasil was not up within a minute")
	}
	return &Daemon{Key: public, Private: private, Address: net.IP(address.AddrForKey(public)[:])}
}
