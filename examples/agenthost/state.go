package main

import (
	"sync"

	"github.com/sessionmap/sessionmap"
)

// kinds are what held counts, in its order: the eight maps, and the token cache.
var kinds = []string{"agents", "models", "histories", "tool results", "injected paths", "calls in flight",
	"seen messages", "token usage", "token cache"}

// A list is safe for concurrent use. The zero value is empty.
type list struct {
	mu     sync.Mutex
	items  []string
	length int // of all items together, which stands for their tokens
}

// add appends items and returns the length of all.
func (l *list) add(items ...string) (length int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.items = append(l.items, items...)
	for _, item := range items {
		l.length += len(item)
	}
	return l.length
}

// A set is safe for concurrent use. The zero value is empty.
type set struct{ keys sync.Map }

// add reports whether key is new to the set.
func (s *set) add(key string) (added bool) {
	_, present := s.keys.LoadOrStore(key, true)
	return !present
}

func (s *set) remove(key string) { s.keys.Delete(key) }

// inMap returns what m, which mu guards, has for id, and gives it an empty one if there is none.
func inMap[V any](mu *sync.Mutex, m map[string]*V, id string) *V {
	mu.Lock()
	defer mu.Unlock()
	if m[id] == nil {
		m[id] = new(V)
	}
	return m[id]
}

// inSession is inMap for an attribute.
func inSession[V any](a *sessionmap.Attribute[string, *V], id string) *V {
	value, _ := a.GetOrSet(id, new(V))
	return value
}

func size(m *sync.Map) (n int) {
	for range m.Range {
		n++
	}
	return n
}
