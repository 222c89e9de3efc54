package main

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v4"
)

// The floors are concurrent maps and nothing more.

type xsyncStore struct {
	m *xsync.Map[string, *session]
}

func newXsync(config) store { return &xsyncStore{xsync.NewMap[string, *session]()} }

func (x *xsyncStore) Get(id string) *session {
	s, _ := x.m.Load(id)
	return s
}
func (x *xsyncStore) Set(id string, s *session) { x.m.Store(id, s) }
func (x *xsyncStore) Delete(id string)          { x.m.Delete(id) }
func (x *xsyncStore) Len() int                  { return x.m.Size() }
func (x *xsyncStore) Close()                    {}

// A stampedStore is the least that an idle timeout counted from the last access can cost in Go: a lookup, a
// reading of the clock, and a stamp.
type stampedStore struct {
	m    *xsync.Map[string, *stampedSession]
	base time.Time
	idle int64
}

type stampedSession struct {
	s        *session
	accessed atomic.Int64
}

func newStamped(c config) store {
	return &stampedStore{xsync.NewMap[string, *stampedSession](), time.Now(), int64(c.idle)}
}

func (x *stampedStore) Get(id string) *session {
	e, ok := x.m.Load(id)
	if !ok {
		return nil
	}
	now := int64(time.Since(x.base))
	accessed := e.accessed.Load()
	if now-accessed >= x.idle {
		return nil
	}
	e.accessed.CompareAndSwap(accessed, now)
	return e.s
}

func (x *stampedStore) Set(id string, s *session) {
	e := &stampedSession{s: s}
	e.accessed.Store(int64(time.Since(x.base)))
	x.m.Store(id, e)
}
func (x *stampedStore) Delete(id string) { x.m.Delete(id) }
func (x *stampedStore) Len() int         { return x.m.Size() }
func (x *stampedStore) Close()           {}

type syncMapStore struct {
	m sync.Map
}

func newSyncMap(config) store { return &syncMapStore{} }

func (s *syncMapStore) Get(id string) *session {
	v, ok := s.m.Load(id)
	if !ok {
		return nil
	}
	return v.(*session)
}
func (s *syncMapStore) Set(id string, v *session) { s.m.Store(id, v) }
func (s *syncMapStore) Delete(id string)          { s.m.Delete(id) }

// Len counts: the map does not know.
func (s *syncMapStore) Len() int {
	n := 0
	s.m.Range(func(any, any) bool {
		n++
		return true
	})
	return n
}
func (s *syncMapStore) Close() {}
