package main

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"drey/mesh"
	"drey/web"
)

// cause is what a node's doctor says first.
func (r *resident) cause(patience time.Duration) string {
	reach := r.reachOf(patience)
	d := diagnose(reach.checks(), r.gossip.Status().Peers, true)
	if d.Cause == nil {
		return ""
	}
	return d.Cause.Code
}

// wantCause waits until a node's doctor names a cause: what it waits for is a
// change in another part, so it has to ask.
func (r *resident) wantCause(t *testing.T, patience time.Duration, want ...string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), awaitPatience)
	defer stop()
	for {
		got := r.cause(patience)
		for _, w := range want {
			if got == w {
				return
			}
		}
		if !pause(ctx, 20*time.Millisecond) {
			reach := r.reachOf(patience)
			t.Fatalf("the doctor of %s names %q, want %q; links %+v", r.name, got, want, reach.links)
		}
	}
}

func (r *resident) decide(t *testing.T, c web.MemberChange) {
	t.Helper()
	if done, err := (api{r.parts}).ChangeMembers(t.Context(), c); err != nil || !done.Done {
		t.Fatalf("%s: %+v, %v", c.Op, done, err)
	}
}

// admitSomebody lets in a machine that is off.
func (r *resident) admitSomebody(t *testing.T) {
	t.Helper()
	who, err := mesh.Seed{42}.Identity()
	if err != nil {
		t.Fatal(err)
	}
	tag := [8]byte(r.membership.Community.ID[:8])
	record, err := who.SignPeerRecord(mesh.PeerRecord{Community: tag})
	if err != nil {
		t.Fatal(err)
	}
	binding, err := who.Bind(tag)
	if err != nil {
		t.Fatal(err)
	}
	d, err := r.book.DraftAdmit(record, binding, "somebody", r.now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.say(t.Context(), mesh.TopicRegistry, d); err != nil {
		t.Fatal(err)
	}
}

// hangUp takes away every peer that a node calls.
func (r *resident) hangUp() {
	for _, l := range r.overlay.Links() {
		r.overlay.RemovePeer(l.URI)
	}
}

// TestDoctorNamesTheCause makes each fault happen to real nodes and asks why
// nobody is in contact.
func TestDoctorNamesTheCause(t *testing.T) {
	t.Parallel()
	one := settleNode(t, "one", nil)
	defer one.end()
	if got := one.cause(0); got != aloneCode {
		t.Errorf("of a community of one the cause is %q, want alone", got)
	}
	two := settleNode(t, "two", one)
	defer two.end()
	two.wantCause(t, 0, "") // in contact
	castle := settleNode(t, "castle", nil)
	defer castle.end()
	castle.admitSomebody(t)
	castle.wantCause(t, 0, "no-peers")

	// Peers that cannot be had.
	shut, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	shut.Close()
	for uri, want := range map[string]string{
		"tls://" + shut.Addr().String():      "peers-closed",
		"tls://no-such-machine.invalid:3740": "peers-name",
	} {
		castle.hangUp()
		if err := castle.overlay.AddPeer(uri); err != nil {
			t.Fatal(err)
		}
		castle.wantCause(t, 0, want)
	}
	castle.hangUp()

	// Linked to another community only: who was called knows a stranger on the
	// network, who called knows that its peer leads nowhere.
	if err := castle.overlay.AddPeer(one.overlay.Listening()[0]); err != nil {
		t.Fatal(err)
	}
	castle.wantCause(t, 0, "no-path")
	castle.hangUp()
	if err := one.overlay.AddPeer(castle.overlay.Listening()[0]); err != nil {
		t.Fatal(err)
	}
	castle.wantCause(t, 0, "wrong-community")

	// Banned: the others turn it away, and when the decision comes it knows why.
	one.decide(t, web.MemberChange{Op: web.OpBan, Who: "two", Reason: "stolen"})
	two.wantCause(t, 0, "unwelcome", "banned")
	for e := range one.book.Events() {
		if err := two.accept(t.Context(), e); err != nil && !harmless(err) {
			t.Fatal(err)
		}
	}
	two.wantCause(t, 0, "banned")
	if checks := (api{one.parts}).secretChecks(); checks[0].Problem == nil || checks[0].Problem.Code != "rotation-due" {
		t.Errorf("after a ban the secret is %+v, want rotation-due", checks)
	}
	one.decide(t, web.MemberChange{Op: web.OpRotate})
	if checks := (api{one.parts}).secretChecks(); checks[0].Problem != nil {
		t.Errorf("after the rotation the secret is %+v", checks[0].Problem)
	}
	one.decide(t, web.MemberChange{Op: web.OpAdmit, Who: "two", Lift: true})
	one.decide(t, web.MemberChange{Op: web.OpRemove, Who: "two"})
	for e := range one.book.Events() {
		if err := two.accept(t.Context(), e); err != nil && !harmless(err) {
			t.Fatal(err)
		}
	}
	two.wantCause(t, 0, "not-member")
}

// TestDoctorOnSilence reads the errors that only a firewall or a missing route
// can make.
func TestDoctorOnSilence(t *testing.T) {
	for text, want := range map[string]string{
		"dial tcp 192.0.2.1:3740: i/o timeout":                                   "firewall",
		"dial tcp 192.0.2.1:3740: connect: no route to host":                     "peers-route",
		"dial tcp 192.0.2.1:3740: connect: network is unreachable":               "peers-route",
		"the other side speaks another version":                                  "peers-down",
		"dial tcp: lookup school.example on 127.0.0.1:53: read udp: i/o timeout": "peers-name",
		"dial tcp 192.0.2.1:3740: connect: connection refused":                   "peers-closed",
	} {
		r := reach{belongs: true, others: 1, network: true, uptime: time.Hour, links: []web.PeerStatus{{URI: "tls://192.0.2.1:3740", Error: text}}}
		if d := diagnose(r.checks(), 0, true); d.Cause == nil || d.Cause.Code != want {
			t.Errorf("%q: the cause is %+v, want %s", text, d.Cause, want)
		}
	}
	r := reach{belongs: true, others: 1, uptime: time.Hour}
	if d := diagnose(r.checks(), 0, true); d.Cause == nil || d.Cause.Code != "no-network" {
		t.Errorf("without a network the cause is %+v", d.Cause)
	}
	r.network, r.lan = true, true
	if d := diagnose(r.checks(), 0, true); d.Cause == nil || d.Cause.Code != "no-multicast" {
		t.Errorf("without multicast the cause is %+v", d.Cause)
	}
}

// TestDoctorSeesTheRadioTaken lets another program hold a terminal.
func TestDoctorSeesTheRadioTaken(t *testing.T) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	device := filepath.Join("/dev/pts", strconv.Itoa(n))
	if checks := checkRadioDevice(device); len(checks) != 1 || !checks[0].OK {
		t.Errorf("of a free device: %+v", checks)
	}
	other := exec.Command("sleep", "60")
	if other.Stdin, err = os.OpenFile(device, os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	other.Stdin.(*os.File).Close()
	defer func() { other.Process.Kill(); other.Wait() }()
	checks := checkRadioDevice(device)
	if len(checks) != 1 || checks[0].Problem == nil || checks[0].Problem.Code != "radio-busy" || !strings.Contains(checks[0].Problem.Why, "sleep (process ") {
		t.Errorf("of a device that another program holds: %+v", checks)
	}
	if checks := checkRadioDevice("/dev/no-such-radio"); len(checks) != 1 || checks[0].Problem == nil || checks[0].Problem.Code != "radio-missing" {
		t.Errorf("of a device that is not there: %+v", checks)
	}
}

func TestDoctorOnMemory(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if c := checkMemory(root); !c.OK {
		t.Errorf("where nothing is known: %+v", c)
	}
	write("proc/meminfo", "MemTotal:         500000 kB\nMemFree:  1000 kB\nMemAvailable:     200000 kB\n")
	if c := checkMemory(root); !c.OK {
		t.Errorf("with 200 MB: %+v", c)
	}
	write("proc/self/cgroup", "0::/system.slice/drey.service\n")
	write("sys/fs/cgroup/system.slice/drey.service/memory.max", "max\n")
	write("sys/fs/cgroup/system.slice/drey.service/memory.current", "90000000\n")
	if c := checkMemory(root); !c.OK {
		t.Errorf("with a group without a limit: %+v", c)
	}
	write("sys/fs/cgroup/system.slice/memory.max", "100000000\n")
	write("sys/fs/cgroup/system.slice/memory.current", "95000000\n")
	if c := checkMemory(root); c.OK || c.Problem.Code != "memory" {
		t.Errorf("with 5 MB left in the group above: %+v", c)
	}
	if c := checkMemory("/"); c.Detail == "not known here" {
		t.Errorf("of this machine nothing is known: %+v", c)
	}
}

func TestDoctorOnClockAndAirtime(t *testing.T) {
	if c := checkClock(built().Add(-time.Hour)); c.OK || c.Problem.Code != "clock-wrong" {
		t.Errorf("an hour before the program was made: %+v", c)
	}
	st := web.RadioStatus{State: "ready", Airtime: web.AirtimeStatus{Waiting: 3, WaitMS: time.Hour.Milliseconds()}}
	if c := radioCheck(st); c[len(c)-1].Problem == nil || c[len(c)-1].Problem.Code != "airtime" {
		t.Errorf("with an hour to wait for the air: %+v", c)
	}
}

// TestEveryCodeIsExplained looks for each code that this package's causes name.
func TestEveryCodeIsExplained(t *testing.T) {
	known := map[string]bool{}
	for _, c := range codes {
		if known[c] {
			t.Errorf("%s stands twice", c)
		}
		known[c] = true
	}
	used := append(append([]string{"peers-down", "radio-busy", "airtime", "rotation-due", "secret-missing"}, notUp...), cutOff...)
	for _, h := range hurdles {
		used = append(used, h.code)
	}
	for _, name := range used {
		if !known[name] {
			t.Errorf("%s is not explained", name)
		}
	}
}

// TestSecretFromANeighbour rotates while a machine is left out: it gets the
// secret from the next member that it meets, though that is no admin's.
func TestSecretFromANeighbour(t *testing.T) {
	t.Parallel()
	one := settleNode(t, "one", nil)
	defer one.end()
	two := settleNode(t, "two", one)
	defer two.end()
	secret := mesh.Secret{7}
	if err := one.keys.announce(t.Context(), secret, []mesh.NodeKey{one.who.NodeKey()}, time.Hour); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), awaitPatience)
	defer stop()
	for two.secrets()[0] != secret {
		if !pause(ctx, 10*time.Millisecond) {
			t.Fatal("the neighbour did not get the secret")
		}
	}
	if got := two.secrets(); len(got) != 2 {
		t.Errorf("it listens for %d secrets, want the new one and the old", len(got))
	}
	m, err := two.home.readMembership()
	if err != nil || m.Secret() != secret {
		t.Errorf("the secret is not in the home: %v, %v", m, err)
	}
}
