package main

import (
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/hashicorp/golang-lru/v2/expirable"
)

type lruStore struct {
	c *lru.Cache[string, *session]
}

func newLRU(c config) store {
	var told func(string, *session)
	if c.onRemove != nil {
		told = func(_ string, s *session) { c.onRemove(s) }
	}
	cache, err := lru.NewWithEvict(c.maxSize, told)
	if err != nil {
		panic(err) // for a size below 1
	}
	return &lruStore{cache}
}

func (l *lruStore) Get(id string) *session {
	s, _ := l.c.Get(id)
	return s
}
func (l *lruStore) Set(id string, s *session) { l.c.Add(id, s) }
func (l *lruStore) Delete(id string)          { l.c.Remove(id) }
func (l *lruStore) Len() int                  { return l.c.Len() }
func (l *lruStore) Close()                    {}

type expirableStore struct {
	c *expirable.LRU[string, *session]
}

func newExpirable(c config) store {
	var told func(string, *session)
	if c.onRemove != nil {
		told = func(_ string, s *session) { c.onRemove(s) }
	}
	return &expirableStore{expirable.NewLRU(c.maxSize, told, c.idle)}
}

func (e *expirableStore) Get(id string) *session {
	s, _ := e.c.Get(id)
	return s
}
func (e *expirableStore) Set(id string, s *session) { e.c.Add(id, s) }
func (e *expirableStore) Delete(id string)          { e.c.Remove(id) }
func (e *expirableStore) Len() int                  { return e.c.Len() }

// Close empties the cache. Its goroutine cannot be stopped, and keeps the cache.
func (e *expirableStore) Close() { e.c.Purge() }
