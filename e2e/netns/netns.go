//go:build e2e

// Package netns builds small networks out of Linux network namespaces for the
// end-to-end tests: machines, cables and switches, and the programs that run on
// them. It needs root and the ip command.
package netns

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
)

// Require skips the test where namespaces cannot be made or a tool is missing,
// saying which; with DREY_E2E=required it fails instead.
func Require(t testing.TB, tools ...string) {
	t.Helper()
	missing := []string{}
	if os.Geteuid() != 0 {
		missing = append(missing, "root")
	}
	for _, tool := range append([]string{"ip"}, tools...) {
		if _, err := exec.LookPath(tool); err != nil {
			missing = append(missing, tool)
		}
	}
	if len(missing) == 0 {
		if out, err := exec.Command("ip", "netns", "list").CombinedOutput(); err != nil {
			missing = append(missing, "network namespaces: "+strings.TrimSpace(string(out)))
		}
	}
	if len(missing) == 0 {
		return
	}
	if os.Getenv("DREY_E2E") == "required" {
		t.Fatalf("missing: %s", strings.Join(missing, ", "))
	}
	t.Skipf("missing: %s", strings.Join(missing, ", "))
}

// A Machine is one network namespace.
type Machine struct {
	Name string // of the namespace
	t    testing.TB
}

// serial numbers namespaces and cables within the process.
var serial atomic.Uint32

// short makes an interface name, which Linux limits to 15 bytes.
func short(prefix string) string {
	return fmt.Sprintf("%s%x-%x", prefix, os.Getpid()&0xffff, serial.Add(1))
}

// New makes a machine whose only interface is lo; it is gone when the test
// ends. New addresses are usable at once.
func New(t testing.TB, name string) *Machine {
	t.Helper()
	m := &Machine{Name: fmt.Sprintf("drey-%d-%d-%s", os.Getpid(), serial.Add(1), name), t: t}
	run(t, "ip", "netns", "add", m.Name)
	t.Cleanup(func() { exec.Command("ip", "netns", "del", m.Name).Run() })
	m.Run("sh", "-c", "for f in all default; do echo 0 > /proc/sys/net/ipv6/conf/$f/accept_dad; done; ip link set lo up")
	return m
}

// Command prepares a program that runs on the machine.
func (m *Machine) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", m.Name, name}, args...)...)
}

// Run runs a program on the machine and returns what it prints; the test fails
// when the program does.
func (m *Machine) Run(name string, args ...string) string {
	m.t.Helper()
	return run(m.t, "ip", append([]string{"netns", "exec", m.Name, name}, args...)...)
}

// Cable joins two machines. The addresses, such as "10.1.0.1/24", may be
// empty; link-local IPv6 ones come by themselves. It returns the names of the
// interfaces.
func Cable(t testing.TB, a, b *Machine, addrA, addrB string) (ifA, ifB string) {
	t.Helper()
	ifA, ifB = short("va"), short("vb")
	run(t, "ip", "link", "add", ifA, "netns", a.Name, "type", "veth", "peer", "name", ifB, "netns", b.Name)
	a.up(ifA, addrA)
	b.up(ifB, addrB)
	return ifA, ifB
}

func (m *Machine) up(name, addr string) {
	m.t.Helper()
	if addr != "" {
		m.Run("ip", "addr", "add", addr, "dev", name)
	}
	m.Run("ip", "link", "set", name, "up")
}

// A Switch is a local network that machines are plugged into.
type Switch struct {
	m      *Machine
	bridge string
}

// NewSwitch makes a switch without ports.
func NewSwitch(t testing.TB, name string) *Switch {
	t.Helper()
	s := &Switch{m: New(t, name), bridge: "br0"}
	s.m.Run("ip", "link", "add", s.bridge, "type", "bridge", "mcast_snooping", "0")
	s.m.Run("ip", "link", "set", s.bridge, "up")
	return s
}

// Plug connects a machine to the switch and returns the machine's interface.
func (s *Switch) Plug(m *Machine, addr string) string {
	s.m.t.Helper()
	port, iface := short("p"), short("e")
	run(s.m.t, "ip", "link", "add", iface, "netns", m.Name, "type", "veth", "peer", "name", port, "netns", s.m.Name)
	s.m.Run("ip", "link", "set", port, "master", s.bridge)
	s.m.Run("ip", "link", "set", port, "up")
	m.up(iface, addr)
	return iface
}

func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}
