package main

import (
	"time"

	"github.com/maypok86/otter/v2"
)

type otterStore struct {
	c     *otter.Cache[string, *session]
	clock *otter.CoarseClock // nil is the exact one
}

// coarseStep is how far a coarse clock may be behind, otter's and ours.
const coarseStep = 10 * time.Millisecond

func newOtter(c config) store { return makeOtter(c, nil) }

func newOtterCoarse(c config) store { return makeOtter(c, otter.NewCoarseClock(coarseStep)) }

func makeOtter(c config, clock *otter.CoarseClock) store {
	options := &otter.Options[string, *session]{
		MaximumSize:      c.maxSize,
		ExpiryCalculator: otter.ExpiryAccessing[string, *session](c.idle),
	}
	if clock != nil {
		options.Clock = clock
	}
	if c.onRemove != nil {
		options.OnDeletion = func(e otter.DeletionEvent[string, *session]) { c.onRemove(e.Value) }
	}
	return &otterStore{otter.Must(options), clock}
}

func (o *otterStore) Get(id string) *session {
	s, _ := o.c.GetIfPresent(id)
	return s
}
func (o *otterStore) Set(id string, s *session) { o.c.Set(id, s) }
func (o *otterStore) Delete(id string)          { o.c.Invalidate(id) }
func (o *otterStore) Len() int                  { return o.c.EstimatedSize() }
func (o *otterStore) Settle()                   { o.c.CleanUp() }
func (o *otterStore) Close() {
	o.c.StopAllGoroutines()
	if o.clock != nil {
		o.clock.Stop()
	}
}
