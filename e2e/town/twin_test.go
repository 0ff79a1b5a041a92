//go:build e2e

package town

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"drey/web"
)

// A backup is restored on another machine while the first still runs: the twin
// refuses to start and says why; with the first one off it is the node.
func TestTwin(t *testing.T) {
	drey := require(t)
	nodes := lan(t, drey, "ana", "twin", "ben")
	a, twin, b := nodes[0], nodes[1], nodes[2]
	a.up()
	b.joins(a)
	b.up().meets(1)
	a.says("remember this")
	b.hears("remember this")

	dir := filepath.Dir(a.home)
	pass, file := filepath.Join(dir, "pass"), filepath.Join(dir, "ana.backup")
	if err := os.WriteFile(pass, []byte("correct horse battery\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := a.command("backup", file, "--passphrase-file", pass).CombinedOutput(); err != nil {
		t.Fatalf("drey backup: %v\n%s", err, out)
	}
	if out, err := twin.command("restore", file, "--passphrase-file", pass).CombinedOutput(); err != nil {
		t.Fatalf("drey restore: %v\n%s", err, out)
	}
	twin.name = a.name
	was := a.status().Node
	twin.fallsOver(1, "asking the network whether its identity is online elsewhere",
		"drey: error: this node's identity is online on another machine already", "drey: hint: switch the other machine off for good")
	refused := time.Since(twin.began)
	a.says("still here")
	b.hears("still here")
	if st := a.status(); st.PubSub.Peers != 1 {
		t.Errorf("the first machine has lost its neighbour: %d contacts", st.PubSub.Peers)
	}
	// Asked again it says the same: the refusal is not forgotten.
	twin.fallsOver(1, "identity is online on another machine already")

	a.stop()
	twin.up()
	started := time.Since(twin.began)
	if is := twin.status().Node; is.NPub != was.NPub || is.Address != was.Address || is.PeerID != was.PeerID {
		t.Errorf("the restored node is %+v, was %+v", is, was)
	}
	twin.meets(1)
	twin.hears("still here") // which was said after the backup
	twin.says("moved house")
	b.hears("moved house")
	b.once([]string{"remember this", "still here", "moved house"})
	twin.once([]string{"remember this", "still here", "moved house"})
	// It has settled: the next start asks nobody.
	twin.stop()
	twin.launch()
	st := twin.await("answers", func(*web.Status) bool { return true })
	t.Logf("refused after %v; with the other one off it starts after %v, later after %v; contacts %d", refused.Round(time.Millisecond), started.Round(time.Millisecond), time.Since(twin.began).Round(time.Millisecond), st.PubSub.Peers)
}
