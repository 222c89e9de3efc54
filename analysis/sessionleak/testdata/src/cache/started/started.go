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
	others := ttlcache.New(opts...)
	go others.Start()
	defer others.Stop()
	r, _ := ristretto.NewCache(&ristretto.Config[string, int]{MaxCost: 1_000_000})
	defer r.Close()
}

// Each value has a time to live of its own.
type backends struct{ latency *ttlcache.Cache[string, int] }

func newBackends() *backends {
	latency := ttlcache.New[string, int]()
	go latency.Start()
	return &backends{latency: latency}
}

func (b *backends) note(backend string, ttl time.Duration) { b.latency.Set(backend, 1, ttl) }

func (b *backends) close() { b.latency.Stop() }

// Embedded, or handed on.
type embedding struct{ *ttlcache.Cache[string, int] }

func newEmbedding() *embedding {
	e := &embedding{Cache: ttlcache.New(ttlcache.WithTTL[string, int](time.Hour))}
	go e.Start()
	return e
}

func handOn() *ttlcache.Cache[string, int] {
	c := ttlcache.New(ttlcache.WithTTL[string, int](time.Hour))
	start(c)
	return c
}

func start(c *ttlcache.Cache[string, int]) { go c.Start() }

// ---- reported ----

// The others are started, and this is not.
type tokens struct{ byID, forgotten *ttlcache.Cache[string, int] }

func newTokens() *tokens {
	t := &tokens{
		byID:      ttlcache.New[string, int](),                            // want `cache: this ttlcache is made without any of WithTTL, WithCapacity, WithMaxCost`
		forgotten: ttlcache.New(ttlcache.WithTTL[string, int](time.Hour)), // want `cache: Start is never called on this ttlcache: what has expired is never removed`
	}
	go t.byID.Start()
	return t
}

func (t *tokens) set(token string) {
	t.byID.Set(token, 1, time.Hour)
	t.byID.Set(token+"!", 1, ttlcache.NoTTL)
}

func (t *tokens) close() { t.byID.Stop() }
