package pubsub

import (
	"context"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"

	"drey/mesh"
	"drey/mesh/carriertest"
	"drey/pubsub/pubsubtest"
)

func TestCarrier(t *testing.T) {
	topics := []mesh.Topic{mesh.TopicCommons, mesh.TopicAlerts}
	carriertest.Run(t, carriertest.Medium{
		New: func(t *testing.T) (a, b mesh.Carrier) {
			roster := pubsubtest.NewRoster(town, 2)
			one := func() (*Carrier, host.Host) {
				h := pubsubtest.NewHost(t)
				return New(Config{
					Host:      func(context.Context) (host.Host, error) { return h, nil },
					Community: town, Roster: roster, Archive: pubsubtest.NewHub(),
				}), h
			}
			ca, ha := one()
			cb, hb := one()
			pubsubtest.Connect(t, ha, hb)
			return ca, cb
		},
		Topics: topics,
		Lossy:  true,
		Ready: func(ctx context.Context, a, b mesh.Carrier) error {
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for {
				if sees(a, topics) && sees(b, topics) {
					return nil
				}
				select {
				case <-tick.C:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		},
	})
}

// sees reports whether a carrier knows a neighbour in each topic.
func sees(c mesh.Carrier, topics []mesh.Topic) bool {
	r := c.(*Carrier).running()
	if r == nil {
		return false
	}
	for _, t := range topics {
		if len(r.gossip.ps.ListPeers(r.c.names.of(t))) == 0 {
			return false
		}
	}
	return true
}
