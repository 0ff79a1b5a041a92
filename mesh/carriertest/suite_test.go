package carriertest_test

import (
	"testing"

	"drey/mesh"
	"drey/mesh/carriertest"
)

func TestPair(t *testing.T) {
	for _, c := range []struct {
		name   string
		limits mesh.Limits
	}{
		{"whole events", mesh.Limits{}},
		{"small events", mesh.Limits{MaxEvent: 1000, Scarce: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			carriertest.Run(t, carriertest.Medium{
				New: func(t *testing.T) (a, b mesh.Carrier) {
					return carriertest.NewPair("pair", c.limits)
				},
				Topics:  []mesh.Topic{mesh.TopicCommons, mesh.TopicAlerts},
				Ordered: true,
			})
		})
	}
}
