// Package generics has registries of whatever they are made for.
package generics

import "sync"

type SessionID string

type Kind string

type session struct{}

// ---- reported ----

type Registry[K comparable, V any] struct {
	mu    sync.Mutex
	items map[K]V
}

func NewRegistry[K comparable, V any]() *Registry[K, V] {
	return &Registry[K, V]{items: make(map[K]V)}
}

func (r *Registry[K, V]) Put(k K, v V) {
	r.mu.Lock()
	r.items[k] = v // want `grows: Registry.items grows with k and nothing removes from it`
	r.mu.Unlock()
}

var sessions = NewRegistry[SessionID, *session]()

type Table[V any, K comparable] struct {
	mu   sync.Mutex
	rows map[K]V
}

func (t *Table[V, K]) Put(k K, v V) {
	t.mu.Lock()
	t.rows[k] = v // want `grows: Table.rows grows with k and nothing removes from it`
	t.mu.Unlock()
}

type tables struct{ sessions Table[*session, SessionID] }

// ---- not reported ----

// Of kinds there are few, and what sessions are kept under them.
type Catalog[K comparable, V any] struct {
	mu    sync.Mutex
	items map[K]V
}

func (c *Catalog[K, V]) Put(k K, v V) {
	c.mu.Lock()
	c.items[k] = v
	c.mu.Unlock()
}

var kinds Catalog[Kind, SessionID]

// What removes is there for all.
type Store[K comparable, V any] struct {
	mu    sync.Mutex
	items map[K]V
}

func (s *Store[K, V]) Put(k K, v V) {
	s.mu.Lock()
	s.items[k] = v
	s.mu.Unlock()
}

func (s *Store[K, V]) Remove(k K) {
	s.mu.Lock()
	delete(s.items, k)
	s.mu.Unlock()
}

var stored Store[SessionID, *session]

// Made whenever a function is called, which keeps it to itself.
type Set[K comparable] struct {
	mu    sync.Mutex
	items map[K]bool
}

func (s *Set[K]) Add(k K) {
	s.mu.Lock()
	s.items[k] = true
	s.mu.Unlock()
}

func Unique(ids []SessionID) int {
	set := Set[SessionID]{items: make(map[SessionID]bool)}
	for _, id := range ids {
		set.Add(id)
	}
	return len(set.items)
}
