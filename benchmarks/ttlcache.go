package main

import (
	"context"

	"github.com/jellydator/ttlcache/v3"
)

type ttlcacheStore struct {
	c *ttlcache.Cache[string, *session]
}

func newTTLCache(c config) store {
	cache := ttlcache.New(
		ttlcache.WithTTL[string, *session](c.idle),
		ttlcache.WithCapacity[string, *session](uint64(c.maxSize)),
	)
	if c.onRemove != nil {
		cache.OnEviction(func(_ context.Context, _ ttlcache.EvictionReason, item *ttlcache.Item[string, *session]) {
			c.onRemove(item.Value())
		})
	}
	go cache.Start()
	return &ttlcacheStore{cache}
}

func (t *ttlcacheStore) Get(id string) *session {
	item := t.c.Get(id)
	if item == nil {
		return nil
	}
	return item.Value()
}
func (t *ttlcacheStore) Set(id string, s *session) { t.c.Set(id, s, ttlcache.DefaultTTL) }
func (t *ttlcacheStore) Delete(id string)          { t.c.Delete(id) }
func (t *ttlcacheStore) Len() int                  { return t.c.Len() }
func (t *ttlcacheStore) Close()                    { t.c.Stop() }
