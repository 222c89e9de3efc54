package main

import (
	"time"

	"github.com/dgraph-io/ristretto/v2"
)

type ristrettoStore struct {
	c       *ristretto.Cache[string, *session]
	idle    time.Duration
	maxSize int
}

// newRistretto follows the package's advice: ten counters an entry, buffers of 64. Costs count entries.
func newRistretto(c config) store {
	conf := &ristretto.Config[string, *session]{
		NumCounters:            10 * int64(c.maxSize),
		MaxCost:                int64(c.maxSize),
		BufferItems:            64,
		IgnoreInternalCost:     true,
		TtlTickerDurationInSec: max(1, int64(c.sweep/time.Second)),
	}
	if c.onRemove != nil {
		conf.OnExit = func(s *session) {
			if s != nil { // it also tells of removals of what is not there
				c.onRemove(s)
			}
		}
	}
	cache, err := ristretto.NewCache(conf)
	if err != nil {
		panic(err) // for a size below 1
	}
	return &ristrettoStore{cache, c.idle, c.maxSize}
}

func (r *ristrettoStore) Get(id string) *session {
	s, _ := r.c.Get(id)
	return s
}
func (r *ristrettoStore) Set(id string, s *session) { r.c.SetWithTTL(id, s, 1, r.idle) }
func (r *ristrettoStore) Delete(id string)          { r.c.Del(id) }
func (r *ristrettoStore) Len() int                  { return int(r.c.MaxCost() - r.c.RemainingCost()) } // it has none
func (r *ristrettoStore) Settle()                   { r.c.Wait() }
func (r *ristrettoStore) Close()                    { r.c.Close() }
