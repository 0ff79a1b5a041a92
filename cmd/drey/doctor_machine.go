package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"drey/configs"
	"drey/hub"
	"drey/web"
)

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
	checks := []web.Check{checkClock(now), checkDisk(h), checkHome(h), checkMemory("/"), checkFiles()}
	if !running { // a node that runs holds its ports and its radio
		checks = append(checks, checkPorts(conf)...)
		checks = append(checks, checkRadioDevice(conf.Radio.Device)...)
	}
	if conf.Overlay.LAN {
		checks = append(checks, checkMulticast())
	}
	return checks
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
	if fs.Files > 0 && fs.Ffree == 0 {
		return ill("disk", "disk-full", "the disk of "+dir+" holds as many files as it can", "no more can be made, though "+size(int64(fs.Bavail)*int64(fs.Bsize))+" are left", "remove files")
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
		if others := holders("/proc", p); len(others) > 0 {
			checks = append(checks, ill("radio", "radio-busy", "another program uses the radio at "+p, strings.Join(others, ", "),
				"stop it, or let it speak to the radio through drey: radio.share"))
			continue
		}
		f, err := os.OpenFile(p, os.O_RDWR|syscall.O_NOCTTY|syscall.O_NONBLOCK, 0)
		switch {
		case err == nil:
			f.Close()
			checks = append(checks, well("radio", p+" can be opened"))
		case errors.Is(err, fs.ErrPermission):
			checks = append(checks, ill("radio", "radio-permission", "cannot open "+p+" (permission denied)", "this user is not in the group that owns it",
				"sudo usermod -aG dialout $USER, then log in again"))
		case errors.Is(err, syscall.EBUSY):
			checks = append(checks, ill("radio", "radio-busy", "another program uses the radio at "+p, "it asked to have the device alone", "stop it, or let it speak to the radio through drey: radio.share"))
		case device != "auto":
			checks = append(checks, ill("radio", "radio-missing", p+" is not there", err.Error(), "plug the radio in, or set radio.device = \"auto\""))
		}
	}
	return checks
}

// holders names the processes that have a device open, as far as this user may
// look; proc is where the kernel lists them.
func holders(proc, path string) []string {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil
	}
	links, _ := filepath.Glob(filepath.Join(proc, "[0-9]*", "fd", "*"))
	var names []string
	for _, link := range links {
		if to, err := os.Readlink(link); err != nil || to != path {
			continue
		}
		process := filepath.Dir(filepath.Dir(link))
		name, _ := os.ReadFile(filepath.Join(process, "comm"))
		if pid := filepath.Base(process); pid != strconv.Itoa(os.Getpid()) {
			names = append(names, fmt.Sprintf("%s (process %s)", strings.TrimSpace(string(name)), pid))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// leastMemory is how much must be left for a node to go on safely.
const leastMemory = 32e6

// checkMemory looks at what the machine, and the group of processes that this
// one is in, have left; root is where the kernel tells.
func checkMemory(root string) web.Check {
	free, limit, ok := memoryLeft(root)
	if !ok {
		return well("memory", "not known here")
	}
	if free < leastMemory {
		return ill("memory", "memory", size(free)+" of memory are left", "of "+size(limit), "stop other programs, or give the node more; GOMEMLIMIT=120MiB keeps it small")
	}
	return well("memory", size(free)+" left")
}

// memoryLeft returns the least of what is left of the machine's memory and of
// what a control group allows.
func memoryLeft(root string) (free, limit int64, ok bool) {
	for line := range strings.Lines(readText(filepath.Join(root, "proc/meminfo"))) {
		name, rest, _ := strings.Cut(line, ":")
		n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		switch {
		case err != nil:
		case name == "MemTotal":
			limit = n << 10
		case name == "MemAvailable":
			free, ok = n<<10, true
		}
	}
	_, group, _ := strings.Cut(strings.TrimSpace(readText(filepath.Join(root, "proc/self/cgroup"))), "0::")
	for ; group != "" && group != "."; group = filepath.Dir(group) {
		at := filepath.Join(root, "sys/fs/cgroup", group)
		most, err := strconv.ParseInt(strings.TrimSpace(readText(filepath.Join(at, "memory.max"))), 10, 64)
		used, usedErr := strconv.ParseInt(strings.TrimSpace(readText(filepath.Join(at, "memory.current"))), 10, 64)
		if err == nil && usedErr == nil && (!ok || most-used < free) {
			free, limit, ok = max(0, most-used), most, true
		}
		if group == "/" {
			break
		}
	}
	return free, limit, ok
}

func readText(name string) string {
	b, _ := os.ReadFile(name)
	return string(b)
}

// leastFiles is how many files a node must be allowed to hold open: a few for
// itself, and one for each link, visitor and follower.
const leastFiles = 512

func checkFiles() web.Check {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return well("files", "not known here")
	}
	if l.Cur < leastFiles {
		return ill("files", "files", fmt.Sprintf("this user may hold %d files open", l.Cur), fmt.Sprintf("a node needs %d", leastFiles), "ulimit -n 4096, or LimitNOFILE=4096 for a service")
	}
	return well("files", fmt.Sprintf("up to %d open", l.Cur))
}

// checkKept looks at what makes the node: who it is, and where it belongs.
func checkKept(h home) []web.Check {
	var checks []web.Check
	if _, err := os.Stat(h.identity()); err == nil {
		if _, err := h.readSeed(); err != nil {
			checks = append(checks, ill("identity", "identity-damaged", "the identity cannot be used", err.Error(), "restore it from a backup: drey restore"))
		}
	}
	if _, err := h.readMembership(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		checks = append(checks, ill("community", "community-damaged", "what the node keeps of its community cannot be used", err.Error(), "restore it from a backup: drey restore"))
	}
	return checks
}
