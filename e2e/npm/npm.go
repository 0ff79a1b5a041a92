//go:build e2e

// Package npm installs what the end-to-end tests need of the npm registry.
package npm

import (
	"context"
	"fmt"
	"os/exec"
	"time"
)

const (
	tries    = 3 // the network may fail; a test may not be repeated for that
	patience = 4 * time.Minute
	pause    = 5 * time.Second
)

// Install makes the node_modules of a folder what its lock file says. It runs
// no script of a package. A try that a network held up is given up after four
// minutes.
func Install(ctx context.Context, folder string) error {
	var err error
	for try := range tries {
		if try > 0 {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err = install(ctx, folder); err == nil {
			return nil
		}
	}
	return err
}

func install(ctx context.Context, folder string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = folder
	cmd.WaitDelay = pause // npm's own children may hold its output
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	return nil
}
