package main

import (
	"context"
	"net"
	"strconv"
	"time"
)

// A notifier tells a service manager how the node fares (sd_notify(3)). The
// zero notifier tells nobody.
type notifier struct {
	socket string        // NOTIFY_SOCKET; empty outside a service manager
	every  time.Duration // half of WATCHDOG_USEC; 0 without a watchdog
}

func newNotifier(getenv func(string) string) notifier {
	n := notifier{socket: getenv("NOTIFY_SOCKET")}
	if us, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64); err == nil && us > 0 {
		n.every = time.Duration(us) * time.Microsecond / 2
	}
	return n
}

// send tells the manager one line, such as "READY=1".
func (n notifier) send(state string) error {
	if n.socket == "" {
		return nil
	}
	name := n.socket
	if name[0] == '@' {
		name = "\x00" + name[1:] // the abstract namespace
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Write([]byte(state))
	return err
}

// watch keeps the watchdog quiet for as long as alive answers in time. It
// returns when ctx ends.
func (n notifier) watch(ctx context.Context, alive func(context.Context) error) {
	if n.socket == "" || n.every == 0 {
		return
	}
	tick := time.NewTicker(n.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		asking, stop := context.WithTimeout(ctx, n.every)
		if alive(asking) == nil {
			n.send("WATCHDOG=1")
		}
		stop()
	}
}
