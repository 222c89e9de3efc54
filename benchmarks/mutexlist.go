package main

import (
	"container/list"
	"sync"
	"time"
)

// A mutexList is what many a program has grown by hand: one lock, a map, a list in the order of access, and
// a goroutine that looks at the list's end now and then.
type mutexList struct {
	c    config
	stop chan struct{}

	mu      sync.Mutex
	entries map[string]*list.Element // of *listEntry
	order   *list.List               // the least recently accessed last
}

type listEntry struct {
	s        *session
	id       string
	accessed time.Time
}

func newMutexList(c config) store {
	m := &mutexList{c: c, stop: make(chan struct{}), entries: make(map[string]*list.Element), order: list.New()}
	go m.janitor()
	return m
}

func (m *mutexList) janitor() {
	tick := time.NewTicker(m.c.sweep)
	defer tick.Stop()
	for {
		select {
		case <-m.stop:
			return
		case <-tick.C:
			m.sweep()
		}
	}
}

func (m *mutexList) sweep() {
	var gone []*session
	m.mu.Lock()
	now := time.Now()
	for last := m.order.Back(); last != nil && m.expired(last, now); last = m.order.Back() {
		gone = append(gone, m.remove(last))
	}
	m.mu.Unlock()
	m.tell(gone...)
}

func (m *mutexList) Get(id string) *session {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.entries[id]
	if !ok {
		return nil
	}
	now := time.Now()
	if m.expired(e, now) {
		return nil // the janitor's
	}
	entry := e.Value.(*listEntry)
	entry.accessed = now
	m.order.MoveToFront(e)
	return entry.s
}

func (m *mutexList) Set(id string, s *session) {
	var gone *session
	m.mu.Lock()
	if e, ok := m.entries[id]; ok {
		entry := e.Value.(*listEntry)
		gone = entry.s
		entry.s, entry.accessed = s, time.Now()
		m.order.MoveToFront(e)
	} else {
		if len(m.entries) >= m.c.maxSize {
			gone = m.remove(m.order.Back())
		}
		m.entries[id] = m.order.PushFront(&listEntry{s, id, time.Now()})
	}
	m.mu.Unlock()
	if gone != nil {
		m.tell(gone)
	}
}

func (m *mutexList) Delete(id string) {
	m.mu.Lock()
	e, ok := m.entries[id]
	if !ok {
		m.mu.Unlock()
		return
	}
	gone := m.remove(e)
	m.mu.Unlock()
	m.tell(gone)
}

func (m *mutexList) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.entries)
}

func (m *mutexList) Close() { close(m.stop) }

func (m *mutexList) expired(e *list.Element, now time.Time) bool {
	return now.Sub(e.Value.(*listEntry).accessed) >= m.c.idle
}

// remove is called with mu held.
func (m *mutexList) remove(e *list.Element) *session {
	entry := m.order.Remove(e).(*listEntry)
	delete(m.entries, entry.id)
	return entry.s
}

func (m *mutexList) tell(gone ...*session) {
	if m.c.onRemove == nil {
		return
	}
	for _, s := range gone {
		m.c.onRemove(s)
	}
}
