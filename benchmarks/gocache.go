package main

import gocache "github.com/patrickmn/go-cache"

type goCacheStore struct {
	c *gocache.Cache
}

func newGoCache(c config) store {
	cache := gocache.New(c.idle, c.sweep)
	if c.onRemove != nil {
		cache.OnEvicted(func(_ string, s any) { c.onRemove(s.(*session)) })
	}
	return &goCacheStore{cache}
}

func (g *goCacheStore) Get(id string) *session {
	s, ok := g.c.Get(id)
	if !ok {
		return nil
	}
	return s.(*session)
}
func (g *goCacheStore) Set(id string, s *session) { g.c.SetDefault(id, s) }
func (g *goCacheStore) Delete(id string)          { g.c.Delete(id) }
func (g *goCacheStore) Len() int                  { return g.c.ItemCount() }

// Close has nothing to call: the goroutine ends when the garbage collector finds that the cache is gone.
func (g *goCacheStore) Close() { g.c = nil }
