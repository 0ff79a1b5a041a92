package overlay

import (
	"context"
	"net"
	"slices"
	"time"
)

// changeLook is how often the machine's addresses are looked at.
const changeLook = 3 * time.Second

// watchNetwork calls every peer again, now, when the machine's addresses
// change: a cable was plugged in, a wireless network joined.
func (n *node) watchNetwork(ctx context.Context) error {
	tick := time.NewTicker(changeLook)
	defer tick.Stop()
	for before := addresses(); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := addresses()
		if slices.Equal(before, now) {
			continue
		}
		before = now
		n.log.Info("the network changed: calling peers again")
		n.links.retry()
		n.router.core.RetryPeersNow()
		if n.lan != nil {
			select {
			case n.lan.again <- struct{}{}:
			default:
			}
		}
	}
}

// addresses returns the machine's addresses as sorted text.
func addresses() []string {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	text := make([]string, 0, len(all))
	for _, a := range all {
		text = append(text, a.String())
	}
	slices.Sort(text)
	return text
}
