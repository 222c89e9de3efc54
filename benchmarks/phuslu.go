package main

import (
	"time"

	"github.com/phuslu/lru"
)

type phusluStore struct {
	c    *lru.TTLCache[string, *session]
	idle time.Duration
}

func newPhuslu(c config) store {
	return &phusluStore{lru.NewTTLCache(c.maxSize, lru.WithSliding[string, *session](true)), c.idle}
}

func (p *phusluStore) Get(id string) *session {
	s, _ := p.c.Get(id)
	return s
}
func (p *phusluStore) Set(id string, s *session) { p.c.Set(id, s, p.idle) }
func (p *phusluStore) Delete(id string)          { p.c.Delete(id) }
func (p *phusluStore) Len() int                  { return p.c.Len() }
func (p *phusluStore) Close()                    {}
