package bootstrap

import "context"

// A Cache is the finder of peers that came up in earlier runs. The Manager
// holds them, ranked by success, as they rank whatever other finders find too;
// a Cache among the finders lets it call them without another's word.
type Cache struct{}

// NewCache returns a cache.
func NewCache() Cache { return Cache{} }

// Name returns FinderCache.
func (Cache) Name() string { return FinderCache }

// Run waits: what there is to say was said before it began.
func (Cache) Run(ctx context.Context, _ func(Candidate)) error {
	<-ctx.Done()
	return nil
}
