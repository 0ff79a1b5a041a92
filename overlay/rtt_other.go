//go:build !linux

package overlay

import (
	"net"
	"time"
)

// kernelRTT is not known on this system.
func kernelRTT(net.Conn) time.Duration { return 0 }
