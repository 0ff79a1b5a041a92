package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"drey/configs"
	"drey/hub"
	"drey/radio"
	"drey/web"
)

func (s *session) doctorCommand() *cobra.Command {
	asJSON, file := false, ""
	c := &cobra.Command{
		Use:   "doctor",
		Short: "look for problems, root causes first; 'drey help CODE' tells more",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			h, err := s.home()
			if err != nil {
				return err
			}
			checks := s.examine(c.Context(), h, file)
			bad := slices.ContainsFunc(checks, func(c web.Check) bool { return !c.OK })
			if asJSON {
				err = json.NewEncoder(s.out).Encode(map[string]any{"v": 1, "ok": !bad, "checks": checks})
			} else {
				err = s.showChecks(checks)
			}
			if bad && err == nil {
				return failf(exitProblems, "", "%w", errSilent)
			}
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	c.Flags().StringVar(&file, "config", "", "configuration file (default drey.toml in the home)")
	return c
}

// examine checks the machine from here, and asks the node for what only it
// can know.
func (s *session) examine(ctx context.Context, h home, file string) []web.Check {
	conf, err := s.loadConfig(h, file, nil)
	checks := []web.Check{checkConfig(file, err)}
	if err != nil {
		conf = configs.Default()
	}
	running := h.running()
	checks = append(checks, localChecks(h, conf, running, time.Now())...)
	if !running {
		checks = append(checks, ill("node", "not-running", "no node runs in "+string(h), "", "start one with 'drey up'"))
		return rootCausesFirst(checks)
	}
	ctx, stop := context.WithTimeout(ctx, 10*time.Second)
	defer stop()
	status, err := client(h).Status(ctx)
	if err != nil {
		checks = append(checks, ill("socket", "socket", "the node does not answer on "+h.socket(), err.Error(), "wait if it is just starting; else stop it and start it again"))
		return rootCausesFirst(checks)
	}
	checks = append(checks, well("socket", "the node answers on "+h.socket()))
	checks = append(checks, liveChecks(*status)...)
	return rootCausesFirst(append(checks, toldByNode(status.Problems, checks)...))
}

// toldByNode are the problems that only the node knows, such as a full disk
// or neighbours whose clocks differ; those seen from here are left out.
func toldByNode(problems []web.Problem, seen []web.Check) []web.Check {
	var more []web.Check
	for _, p := range problems {
		if !slices.ContainsFunc(seen, func(c web.Check) bool { return c.Problem != nil && c.Problem.Code == p.Code }) {
			more = append(more, web.Check{Name: "node", Problem: &p})
		}
	}
	return more
}

func (s *session) showChecks(checks []web.Check) error {
	var b strings.Builder
	for _, c := range checks {
		if c.OK {
			fmt.Fprintf(&b, "ok       %-10s %s\n", c.Name, plain(c.Detail, false))
			continue
		}
		fmt.Fprintf(&b, "problem  %-10s %s\n", c.Name, plain(c.Problem.What, false))
		if c.Problem.Why != "" {
			fmt.Fprintf(&b, "         why: %s\n", strings.ReplaceAll(plain(c.Problem.Why, true), "\n", "\n              "))
		}
		fmt.Fprintf(&b, "         fix: %s\n         more: drey help %s\n", c.Problem.Fix, c.Problem.Code)
	}
	_, err := s.out.Write([]byte(b.String()))
	return err
}

// rootCausesFirst puts problems before what is well, in the order of codes,
// and leaves out what was said already.
func rootCausesFirst(checks []web.Check) []web.Check {
	said := map[string]bool{}
	checks = slices.DeleteFunc(slices.Clone(checks), func(c web.Check) bool {
		if c.Problem == nil {
			return false
		}
		key := c.Problem.Code + " " + c.Problem.What
		defer func() { said[key] = true }()
		return said[key]
	})
	rank := func(c web.Check) int {
		if c.OK {
			return len(codes) + 1
		}
		if i := slices.IndexFunc(codes, func(k code) bool { return k.name == c.Problem.Code }); i >= 0 {
			return i
		}
		return len(codes)
	}
	slices.SortStableFunc(checks, func(a, b web.Check) int { return rank(a) - rank(b) })
	return checks
}

func well(name, detail string) web.Check { return web.Check{Name: name, OK: true, Detail: detail} }

func ill(name, code, what, why, fix string) web.Check {
	return web.Check{Name: name, Problem: &web.Problem{Code: code, What: what, Why: why, Fix: fix}}
}

func checkConfig(file string, err error) web.Check {
	if err == nil {
		return well("config", "no fault")
	}
	return ill("config", "config", "the configuration has faults", strings.TrimPrefix(err.Error(), "configuration: "), "run 'drey config check "+file+"' until it is good")
}

// localChecks are about this machine; they need no running node.
func localChecks(h home, conf configs.Config, running bool, now time.Time) []web.Check {
	checks := []web.Check{checkClock(now), checkDisk(h), checkHome(h)}
	if !running {
		checks = append(checks, checkPorts(conf)...)
	}
	if conf.Overlay.LAN {
		checks = append(checks, checkMulticast())
	}
	return append(checks, checkRadioDevice(conf.Radio.Device)...)
}

func checkClock(now time.Time) web.Check {
	if now.Before(built()) {
		return ill("clock", "clock-wrong", "the clock shows "+now.UTC().Format("2006-01-02 15:04")+" UTC",
			"this program was made on "+built().Format("2006-01-02"), "set the clock: sudo date -u -s 'YYYY-MM-DD HH:MM'")
	}
	kept := "no time service keeps it right; compare it now and then"
	if clockSynchronised() {
		kept = "kept by a time service"
	}
	return well("clock", now.UTC().Format("2006-01-02 15:04")+" UTC, "+kept)
}

// clockSlack is how far neighbours' clocks may be from this machine's before
// that is a problem.
const clockSlack = 2 * time.Minute

// compareClocks reports a clock that no time service keeps and that is far
// from what most neighbours say.
func compareClocks(known hub.Clocks) (c web.Check, differs bool) {
	if known.Synced || len(known.Peers) == 0 {
		return c, false
	}
	ahead := known.Peers[len(known.Peers)/2] // sorted
	if ahead.Abs() < clockSlack {
		return c, false
	}
	way := "behind"
	if ahead < 0 {
		way = "ahead of"
	}
	return ill("clock", "clock-wrong", "the clock is "+short(ahead.Abs())+" "+way+" the neighbours'",
		count(len(known.Peers), "neighbour")+" compared, and no time service keeps this one", "set the clock, or let NTP set it; with one neighbour, look whose is wrong"), true
}

// checkDisk warns below a hundredth of the disk or 100 MB, whichever is less.
func checkDisk(h home) web.Check {
	dir := string(h)
	for {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return ill("disk", "home-read-only", "the disk of "+dir+" does not answer", err.Error(), "check the disk")
	}
	free, all := int64(fs.Bavail)*int64(fs.Bsize), int64(fs.Blocks)*int64(fs.Bsize)
	if free < min(all/100, 100e6) {
		return ill("disk", "disk-full", size(free)+" are left on the disk of "+dir, "of "+size(all), "make room, or lower store.max_bytes")
	}
	return well("disk", size(free)+" free")
}

func checkHome(h home) web.Check {
	info, err := os.Stat(string(h))
	if errors.Is(err, fs.ErrNotExist) {
		return well("home", string(h)+" does not exist yet; 'drey up' makes it")
	}
	if err != nil {
		return ill("home", "home-permissions", "the home cannot be read", err.Error(), "ls -ld "+string(h))
	}
	if syscall.Access(string(h), 2) != nil {
		return ill("home", "home-read-only", string(h)+" cannot be written", "", "give the folder to this user, or choose another with --home")
	}
	for _, name := range []string{h.identity(), h.community()} {
		if info, err := os.Stat(name); err == nil && info.Mode().Perm()&0o077 != 0 {
			return ill("home", "home-permissions", "others can read "+name, fmt.Sprintf("its mode is %04o", info.Mode().Perm()), "chmod 600 "+name)
		}
	}
	if info.Mode().Perm()&0o022 != 0 {
		return ill("home", "home-permissions", "others can write in "+string(h), fmt.Sprintf("its mode is %04o", info.Mode().Perm()), "chmod 700 "+string(h))
	}
	return well("home", string(h))
}

// checkPorts tries the ports that a node would open.
func checkPorts(conf configs.Config) []web.Check {
	var checks []web.Check
	for _, want := range wantedPorts(conf) {
		l, err := net.Listen("tcp", want)
		if err != nil {
			checks = append(checks, ill("ports", "port-taken", "port "+want+" cannot be had", err.Error(), "stop the other program, or choose another port"))
			continue
		}
		l.Close()
	}
	if len(checks) == 0 {
		checks = append(checks, well("ports", "free"))
	}
	return checks
}

func wantedPorts(conf configs.Config) []string {
	var all []string
	if conf.Web.Listen != "none" {
		all = append(all, conf.Web.Listen)
	}
	for _, u := range conf.Overlay.Listen {
		if host, ok := strings.CutPrefix(u, "tls://"); ok {
			host = bareURI(host)
			all = append(all, host)
		} else if host, ok := strings.CutPrefix(u, "tcp://"); ok {
			host = bareURI(host)
			all = append(all, host)
		}
	}
	return all
}

func checkMulticast() web.Check {
	interfaces, err := net.Interfaces()
	if err != nil {
		return ill("network", "no-multicast", "the network interfaces cannot be listed", err.Error(), "connect a network")
	}
	var good []string
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagMulticast == 0 || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		addrs, _ := i.Addrs()
		if slices.ContainsFunc(addrs, linkLocal) {
			good = append(good, i.Name)
		}
	}
	if len(good) == 0 {
		return ill("network", "no-multicast", "no interface can find machines on the local network",
			"that needs one that is up, with multicast and an IPv6 link-local address", "connect a network, or set overlay.lan = false and add peers by address")
	}
	return well("network", "multicast on "+strings.Join(good, ", "))
}

func linkLocal(a net.Addr) bool {
	n, ok := a.(*net.IPNet)
	return ok && n.IP.To4() == nil && n.IP.IsLinkLocalUnicast()
}

// checkRadioDevice looks at the device file of a radio on a cable.
func checkRadioDevice(device string) []web.Check {
	paths := []string{device}
	if device == "auto" {
		paths, _ = filepath.Glob("/dev/serial/by-id/*")
	} else if !strings.HasPrefix(device, "/") {
		return nil
	}
	var checks []web.Check
	for _, p := range paths {
		f, err := os.OpenFile(p, os.O_RDWR|syscall.O_NOCTTY|syscall.O_NONBLOCK, 0)
		switch {
		case err == nil:
			f.Close()
			checks = append(checks, well("radio", p+" can be opened"))
		case errors.Is(err, fs.ErrPermission):
			checks = append(checks, ill("radio", "radio-permission", "cannot open "+p+" (permission denied)", "this user is not in the group that owns it",
				"sudo usermod -aG dialout $USER, then log in again"))
		case device != "auto":
			checks = append(checks, ill("radio", "radio-missing", p+" is not there", err.Error(), "plug the radio in, or set radio.device = \"auto\""))
		}
	}
	return checks
}

// callingMS is how long after its start a node may be without links and gossip
// before that is a problem: first paths take a few seconds.
const callingMS = 30_000

// liveChecks read a running node's status.
func liveChecks(st web.Status) []web.Check {
	var checks []web.Check
	sources := map[string]int{}
	up, configured := 0, 0
	for _, p := range st.Overlay.Peers {
		if p.Up {
			up++
			sources[p.Source]++
		} else {
			configured++
		}
	}
	switch {
	case up > 0:
		var by []string
		for source, n := range sources {
			by = append(by, fmt.Sprintf("%d %s", n, source))
		}
		slices.Sort(by)
		checks = append(checks, well("peers", count(up, "link")+": "+strings.Join(by, ", ")))
	case configured > 0 && st.Node.UptimeMS < callingMS:
		checks = append(checks, well("peers", "calling "+count(configured, "peer")))
	case configured > 0:
		why := ""
		for _, p := range st.Overlay.Peers {
			why += strings.TrimSpace(p.URI+" "+p.Error) + "\n"
		}
		checks = append(checks, ill("peers", "peers-down", "no configured peer answers", strings.TrimSpace(why), "check address and firewall; 'drey peers ls' shows each"))
	case st.Community.Members == 1:
		checks = append(checks, well("peers", "none yet, this community is one machine; 'drey invite' makes it two"))
	case st.Node.UptimeMS < callingMS:
		checks = append(checks, well("peers", "looking for others"))
	default:
		checks = append(checks, ill("peers", "no-peers", "no other machine is connected", "", "drey invite here, drey join there; or drey peers add tls://ADDRESS:3740"))
	}
	if st.Community.Members > 1 && up > 0 && st.PubSub.Peers == 0 && st.Node.UptimeMS >= callingMS {
		checks = append(checks, ill("gossip", "no-peers", "links are up, but no machine of the community is in contact", "the links may lead to strangers, or the path is still being found", "wait half a minute; then compare 'drey members ls' on both sides"))
	} else if st.PubSub.Peers > 0 {
		checks = append(checks, well("gossip", count(st.PubSub.Peers, "machine")+" of the community in contact"))
	}
	switch st.Radio.State {
	case "", radio.StateNone:
	case radio.StateLive:
		checks = append(checks, well("radio", strings.TrimSpace(st.Radio.Device+" "+st.Radio.Region+" "+st.Radio.Preset)))
	case radio.StateWaking, radio.StateConfiguring:
		checks = append(checks, well("radio", "connecting to "+st.Radio.Device))
	default:
		if st.Radio.Device == "auto" {
			checks = append(checks, well("radio", "none found; it is taken as soon as it is plugged in"))
			break
		}
		checks = append(checks, ill("radio", "radio-missing", "the radio is "+st.Radio.State, st.Radio.Device, "check cable and power; the node takes it back by itself"))
	}
	known := map[string]bool{}
	for _, c := range checks {
		if c.Problem != nil {
			known[c.Problem.Code] = true
		}
	}
	for _, p := range st.Problems {
		if !known[p.Code] {
			checks = append(checks, web.Check{Name: "node", Problem: &p})
		}
	}
	return checks
}
