package web

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// A ListenError says why the API's socket or port cannot be had.
type ListenError struct {
	Where string // a path or an address
	Err   error
	fix   string
}

func (e *ListenError) Error() string { return fmt.Sprintf("listen on %s: %v", e.Where, e.Err) }

// Unwrap returns the cause.
func (e *ListenError) Unwrap() error { return e.Err }

// Hint says what to do next.
func (e *ListenError) Hint() string { return e.fix }

// ErrSecondNode reports that another node runs on this home.
var ErrSecondNode = errors.New("another node runs on this home")

// socketListener is the unix socket; the lock beside it tells a socket in use
// from one that a killed node left behind.
type socketListener struct {
	*net.UnixListener
	path string
	lock *os.File
}

// listenSocket opens the socket at path with mode 0660. The socket is made in
// a folder nobody else can enter and then moved to its place, so that there is
// no moment at which others could connect, and none without a socket.
func listenSocket(path string) (*socketListener, error) {
	fail := func(err error, fix string) (*socketListener, error) {
		return nil, &ListenError{path, err, fix}
	}
	home := filepath.Dir(path)
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		fix := "make the home writable for the user that runs the node, or choose another with --home"
		if errors.Is(err, fs.ErrNotExist) {
			fix = "create the home first, or choose another with --home"
		}
		return fail(err, fix)
	}
	if err := lockFile(lock); err != nil {
		lock.Close()
		return fail(ErrSecondNode, "stop it first, or give this one its own home with --home")
	}
	tmp, err := os.MkdirTemp(home, ".sock-")
	if err != nil {
		unlockFile(lock)
		return fail(err, "make the home writable for the user that runs the node")
	}
	defer os.RemoveAll(tmp)
	bound := filepath.Join(tmp, "s")
	l, err := listenUnix(bound)
	if err != nil {
		unlockFile(lock)
		return fail(err, "choose a home on a file system that can hold sockets, with --home")
	}
	l.SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(bound, socketMode), os.Rename(bound, path)); err != nil {
		l.Close()
		unlockFile(lock)
		return fail(err, "make the home writable for the user that runs the node")
	}
	return &socketListener{l, path, lock}, nil
}

// remove takes the socket away and gives the home free.
func (l *socketListener) remove() {
	l.Close()
	os.Remove(l.path)
	unlockFile(l.lock)
}

// maxSocketPath is what fits into struct sockaddr_un, with the closing zero.
const maxSocketPath = 107

// listenUnix listens at path however long it is.
func listenUnix(path string) (*net.UnixListener, error) {
	short, release, err := shortPath(path)
	if err != nil {
		return nil, err
	}
	defer release()
	return net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
}

// shortPath returns a name for path that fits into a socket address; release
// ends its use.
func shortPath(path string) (short string, release func(), err error) {
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", nil, err
	}
	short = fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path))
	return short, func() { dir.Close() }, nil
}

func listenTCP(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err == nil {
		return l, nil
	}
	e := &ListenError{Where: addr, Err: err, fix: "give another address with --web, such as --web :0"}
	var op *net.OpError
	if errors.As(err, &op) {
		e.Err = op.Err
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		e.Err = errors.New("another program uses this port")
		e.fix = "stop it, or choose other ports with --web :0 --underlay tls://[::]:0 (any free ones), or web.listen and overlay.listen in the configuration"
	}
	if errors.Is(err, syscall.EACCES) {
		e.fix = "ports below 1024 need rights; choose another with --web"
	}
	return nil, e
}

// addrOf returns the IP address in "host:port", without zone and without the
// disguise of IPv4 in IPv6; invalid where there is none.
func addrOf(hostport string) netip.Addr {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}
