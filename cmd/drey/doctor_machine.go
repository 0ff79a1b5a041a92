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
	"drey/web/lang"
)

// well is a check that found nothing wrong; key names what it tells, with its
// arguments.
func well(name, key string, args ...any) web.Check {
	p := lang.Say(key, args...)
	return web.Check{Name: name, OK: true, Detail: english(p), Said: p}
}

// ill is a check that found a problem. Its key names what is wrong; with -why
// and -fix behind it, where there are such texts, why and what to do.
func ill(name, code, key string, args ...any) web.Check {
	p := web.Problem{Code: code, Said: lang.Say(key, args...)}
	for _, part := range []struct {
		key  string
		into *string
	}{{key, &p.What}, {key + "-why", &p.Why}, {key + "-fix", &p.Fix}} {
		if lang.English().Has(part.key) {
			*part.into = english(lang.Say(part.key, args...))
		}
	}
	return web.Check{Name: name, Problem: &p}
}

// illFor is ill for a reason that the system, or another part, gives itself.
func illFor(name, code, why, key string, args ...any) web.Check {
	c := ill(name, code, key, args...)
	c.Problem.Why = why
	return c
}

// told is a check that found a problem which another part has words for.
func told(name, code, what, fix string) web.Check {
	return web.Check{Name: name, Problem: &web.Problem{Code: code, What: what, Fix: fix}}
}

// english says a phrase to programs and on terminals.
func english(p lang.Phrase) string { return lang.Plain(lang.English().Say(p)) }

// allEnglish says several.
func allEnglish(phrases []lang.Phrase) []string {
	all := make([]string, len(phrases))
	for i, p := range phrases {
		all[i] = english(p)
	}
	return all
}

func checkConfig(file string, err error) web.Check {
	if err == nil {
		return well("config", "checks.ok-config")
	}
	command := strings.TrimSpace("drey config check " + file)
	return illFor("config", "config", strings.TrimPrefix(err.Error(), "configuration: "), "checks.config", "command", command)
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
		return ill("clock", "clock-wrong", "checks.clock-early", "time", now.UTC().Format("2006-01-02 15:04"), "date", built().Format("2006-01-02"))
	}
	key := "checks.ok-clock-alone"
	if clockSynchronised() {
		key = "checks.ok-clock"
	}
	return well("clock", key, "time", now.UTC().Format("2006-01-02 15:04"))
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
	off := lang.Say("checks.clock-behind", "span", ahead)
	if ahead < 0 {
		off = lang.Say("checks.clock-ahead", "span", -ahead)
	}
	return ill("clock", "clock-wrong", "checks.clock-differs", "off", off, "n", len(known.Peers)), true
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
		return illFor("disk", "home-read-only", err.Error(), "checks.disk-silent", "dir", dir)
	}
	if fs.Files > 0 && fs.Ffree == 0 {
		return ill("disk", "disk-full", "checks.disk-files", "dir", dir, "free", size(int64(fs.Bavail)*int64(fs.Bsize)))
	}
	free, all := int64(fs.Bavail)*int64(fs.Bsize), int64(fs.Blocks)*int64(fs.Bsize)
	if free < min(all/100, 100e6) {
		return ill("disk", "disk-full", "checks.disk-low", "free", size(free), "dir", dir, "all", size(all))
	}
	return well("disk", "checks.ok-disk", "free", size(free))
}

func checkHome(h home) web.Check {
	info, err := os.Stat(string(h))
	if errors.Is(err, fs.ErrNotExist) {
		return well("home", "checks.ok-home-new", "dir", string(h))
	}
	if err != nil {
		return illFor("home", "home-permissions", err.Error(), "checks.home-unreadable", "dir", string(h))
	}
	if syscall.Access(string(h), 2) != nil {
		return ill("home", "home-read-only", "checks.home-unwritable", "dir", string(h))
	}
	for _, name := range []string{h.identity(), h.community()} {
		if info, err := os.Stat(name); err == nil && info.Mode().Perm()&0o077 != 0 {
			return ill("home", "home-permissions", "checks.home-open", "path", name, "mode", fmt.Sprintf("%04o", info.Mode().Perm()))
		}
	}
	if info.Mode().Perm()&0o022 != 0 {
		return ill("home", "home-permissions", "checks.home-writable", "dir", string(h), "mode", fmt.Sprintf("%04o", info.Mode().Perm()))
	}
	return web.Check{Name: "home", OK: true, Detail: string(h)}
}

// checkPorts tries the ports that a node would open.
func checkPorts(conf configs.Config) []web.Check {
	var checks []web.Check
	for _, want := range wantedPorts(conf) {
		l, err := net.Listen("tcp", want)
		if err != nil {
			checks = append(checks, illFor("ports", "port-taken", err.Error(), "checks.port-taken", "port", want))
			continue
		}
		l.Close()
	}
	if len(checks) == 0 {
		checks = append(checks, well("ports", "checks.ok-ports"))
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
		return illFor("network", "no-multicast", err.Error(), "checks.network-unlisted")
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
		return ill("network", "no-multicast", "checks.no-multicast")
	}
	return well("network", "checks.ok-multicast", "interfaces", strings.Join(good, ", "))
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
			checks = append(checks, illFor("radio", "radio-busy", strings.Join(others, ", "), "checks.radio-busy", "path", p))
			continue
		}
		f, err := os.OpenFile(p, os.O_RDWR|syscall.O_NOCTTY|syscall.O_NONBLOCK, 0)
		switch {
		case err == nil:
			f.Close()
			checks = append(checks, well("radio", "checks.ok-device", "path", p))
		case errors.Is(err, fs.ErrPermission):
			checks = append(checks, ill("radio", "radio-permission", "checks.radio-permission", "path", p))
		case errors.Is(err, syscall.EBUSY):
			checks = append(checks, ill("radio", "radio-busy", "checks.radio-alone", "path", p))
		case device != "auto":
			checks = append(checks, illFor("radio", "radio-missing", err.Error(), "checks.radio-gone", "path", p))
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
		return well("memory", "checks.ok-unknown")
	}
	if free < leastMemory {
		return ill("memory", "memory", "checks.memory", "free", size(free), "all", size(limit))
	}
	return well("memory", "checks.ok-memory", "free", size(free))
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
		return well("files", "checks.ok-unknown")
	}
	if l.Cur < leastFiles {
		return ill("files", "files", "checks.files", "n", int(l.Cur), "least", leastFiles)
	}
	return well("files", "checks.ok-files", "n", fmt.Sprint(l.Cur))
}

// checkKept looks at what makes the node: who it is, and where it belongs.
func checkKept(h home) []web.Check {
	var checks []web.Check
	if _, err := os.Stat(h.identity()); err == nil {
		if _, err := h.readSeed(); err != nil {
			checks = append(checks, illFor("identity", "identity-damaged", err.Error(), "checks.identity-damaged"))
		}
	}
	if _, err := h.readMembership(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		checks = append(checks, illFor("community", "community-damaged", err.Error(), "checks.community-damaged"))
	}
	return checks
}
