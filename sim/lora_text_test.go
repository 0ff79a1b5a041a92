package sim

import (
	"sync"

	"drey/radio/air"
	"drey/radio/air/coder"
)

// loraCoder is made once: its models take a moment, and every node has the
// same.
var loraCoder = sync.OnceValue(coder.New)

// loraText is how the nodes of a simulation compress texts.
func loraText() air.Text { return loraCoder() }
