// Package started stops what it makes.
package started

import (
	"time"

	"github.com/dgraph-io/ristretto/v2"
	"github.com/jellydator/ttlcache/v3"
)

func caches(opts ...ttlcache.Option[string, int]) {
	c := ttlcache.New(ttlcache.WithTTL[string, int](time.Hour))
	go c.Start()
	defer c.Stop()
	ttlcache.New(opts...)
	r, _ := ristretto.NewCache(&ristretto.Config[string, int]{MaxCost: 1_000_000})
	defer r.Close()
}
