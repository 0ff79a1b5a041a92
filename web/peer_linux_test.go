package web_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"drey/web"
)

// TestSocketKnowsItsCallers connects as another user of the socket's group and
// as one outside it; the kernel tells the server who it is.
func TestSocketKnowsItsCallers(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can connect as somebody else")
	}
	home, err := os.MkdirTemp("", "drey")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	if err := os.Chmod(home, 0o755); err != nil {
		t.Fatal(err)
	}
	r := run(t, func(c *web.Config) { c.Home = home })
	const nobody = 65534
	for _, c := range []struct {
		name     string
		uid, gid int
		want     string // the scope, or the error
	}{
		{"the owner", os.Getuid(), os.Getgid(), "admin"},
		{"another user of the group", nobody, os.Getgid(), "member"},
		{"another user", nobody, nobody, "permission denied"},
	} {
		got, err := scopeAs(t.Context(), r.Socket(), c.uid, c.gid)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if _, err := os.Stat(filepath.Join(home, web.SocketName)); err != nil {
		t.Error(err)
	}
}

// scopeAs asks for the status over the socket as a user and a group. Only the
// thread that connects changes its user; it ends afterwards.
func scopeAs(ctx context.Context, path string, uid, gid int) (string, error) {
	type result struct {
		c   net.Conn
		err error
	}
	connected := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread dies with the goroutine
		for _, call := range []struct{ nr, id uintptr }{{syscall.SYS_SETRESGID, uintptr(gid)}, {syscall.SYS_SETRESUID, uintptr(uid)}} {
			if call.nr == syscall.SYS_SETRESUID && uid != 0 {
				if _, _, errno := syscall.RawSyscall(syscall.SYS_SETGROUPS, 0, 0, 0); errno != 0 {
					connected <- result{nil, errno}
					return
				}
			}
			if _, _, errno := syscall.RawSyscall(call.nr, call.id, call.id, call.id); errno != 0 {
				connected <- result{nil, errno}
				return
			}
		}
		fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			connected <- result{nil, err}
			return
		}
		if err := syscall.Connect(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
			syscall.Close(fd)
			connected <- result{nil, err}
			return
		}
		f := os.NewFile(uintptr(fd), path)
		defer f.Close()
		c, err := net.FileConn(f)
		connected <- result{c, err}
	}()
	got := <-connected
	if got.err != nil {
		return "", got.err
	}
	defer got.c.Close()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return got.c, nil },
	}}
	req, err := http.NewRequestWithContext(ctx, "GET", "http://drey/v1/status", nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	_, scope, _ := strings.Cut(readAll(resp.Body), `"scope":"`)
	scope, _, _ = strings.Cut(scope, `"`)
	return scope, nil
}
