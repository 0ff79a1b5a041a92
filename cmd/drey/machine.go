package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"strings"
)

// A home that was restored, or that was copied to another machine, may have a
// twin. The file machine says on which machine the home has lived; a restore
// writes what no machine is.
const copied = "copied"

func (h home) machine() string { return h.path("machine") }

func (h home) markCopied() error {
	return writeFile(h.machine(), []byte(copied+"\n"), 0o600, true)
}

// thisMachine names this machine without telling its id; "" where the system
// has none.
func thisMachine() string {
	b, err := os.ReadFile("/etc/machine-id")
	if err != nil || len(b) < 32 {
		return ""
	}
	sum := sha256.Sum256(append([]byte("drey/1/machine\x00"), b[:32]...))
	return fmt.Sprintf("%x", sum[:8])
}

// mayHaveTwin reports whether the home came from elsewhere.
func (h home) mayHaveTwin() bool {
	b, err := os.ReadFile(h.machine())
	if err != nil {
		return false // a new home, or one from before there was the file
	}
	was := strings.TrimSpace(string(b))
	return was == copied || was != "" && thisMachine() != "" && was != thisMachine()
}

// settleHere notes that the home lives on this machine.
func (h home) settleHere() error {
	return writeFile(h.machine(), []byte(thisMachine()+"\n"), 0o600, true)
}
