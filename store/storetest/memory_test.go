package storetest

import (
	"testing"
	"time"
)

func TestMemory(t *testing.T) {
	Run(t, func(t *testing.T, clock func() time.Time) Store { return NewMemory(clock) })
}
