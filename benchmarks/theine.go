package main

import (
	"time"

	"github.com/Yiling-J/theine-go"
)

type theineStore struct {
	c    *theine.Cache[string, *session]
	idle time.Duration
}

func newTheine(c config) store {
	builder := theine.NewBuilder[string, *session](int64(c.maxSize))
	if c.onRemove != nil {
		builder.RemovalListener(func(_ string, s *session, _ theine.RemoveReason) { c.onRemove(s) })
	}
	cache, err := builder.Build()
	if err != nil {
		panic(err) // for a size below 1
	}
	return &theineStore{cache, c.idle}
}

func (t *theineStore) Get(id string) *session {
	s, _ := t.c.Get(id)
	return s
}
func (t *theineStore) Set(id string, s *session) { t.c.SetWithTTL(id, s, 1, t.idle) }
func (t *theineStore) Delete(id string)          { t.c.Delete(id) }
func (t *theineStore) Len() int                  { return t.c.Len() }
func (t *theineStore) Settle()                   { t.c.Wait() }
func (t *theineStore) Close()                    { t.c.Close() }
