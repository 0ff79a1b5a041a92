package air

import (
	"sync"

	"drey/radio/air/coder"
)

// texts is the coder that frames are measured with.
var texts = sync.OnceValue(func() Text { return coder.New() })
