// Package single makes a cache for as long as the process.
package single

import (
	"time"

	"github.com/jellydator/ttlcache/v3"
)

type pings struct{ cache *ttlcache.Cache[string, int] }

var all = newPings()

func newPings() *pings {
	return &pings{cache: ttlcache.New(ttlcache.WithTTL[string, int](time.Hour))}
}

func init() { go all.cache.Start() }
