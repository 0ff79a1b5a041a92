package web

import (
	"context"

	"drey/mesh"
)

// hidden says in words why a message is collapsed; "" where it is not.
func (rd *reader) hidden(_ context.Context, _ *mesh.Event) string { return "" }
