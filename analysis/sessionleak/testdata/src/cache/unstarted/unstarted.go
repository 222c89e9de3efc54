// Package unstarted makes caches that lack something.
package unstarted

import (
	"time"

	"github.com/dgraph-io/ristretto/v2"
	"github.com/hashicorp/golang-lru/v2/expirable"
	"github.com/jellydator/ttlcache/v3"
	"github.com/maypok86/otter/v2"
	"github.com/patrickmn/go-cache"
)

func caches() {
	ttlcache.New[string, int]()                                            // want `cache: this ttlcache is made without any of WithTTL, WithCapacity, WithMaxCost`
	ttlcache.New(ttlcache.WithDisableTouchOnHit[string, int]())            // want `cache: this ttlcache is made without any of`
	ttlcache.New(ttlcache.WithTTL[string, int](time.Hour))                 // want `cache: Start is never called on this ttlcache: what has expired is never removed`
	cache.New(time.Hour, 0)                                                // want `cache: this go-cache is made without a cleanup interval: what has expired is never removed`
	expirable.NewLRU[string, int](0, nil, 0)                               // want `cache: this expirable is made without a size and a time to live`
	otter.Must(&otter.Options[string, int]{InitialCapacity: 10})           // want `cache: this otter is made without any of MaximumSize, MaximumWeight, ExpiryCalculator`
	ristretto.NewCache(&ristretto.Config[string, int]{MaxCost: 1_000_000}) // want `cache: Close is never called on this ristretto: its goroutine, and all it holds, stay for ever`
}

var tokens = cache.New(time.Hour, -1) // want `cache: this go-cache is made without a cleanup interval`

// ---- not reported ----

func bounded(size int, opts ...ttlcache.Option[string, int]) {
	cache.New(time.Hour, time.Minute)
	expirable.NewLRU[string, int](size, nil, 0)
	expirable.NewLRU[string, int](0, nil, time.Hour)
	otter.Must(&otter.Options[string, int]{MaximumSize: size})
}
