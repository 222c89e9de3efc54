package main

import (
	"sync"
	"time"
)

// A reportMap is Solution 3 of the report (oh-my-opencode issue 1486), carried over from TypeScript as it
// was proposed: two maps, a search through all for the least recently used, which an overwrite of a full
// map starts too, a cleanup on a timer, no look at the age in Get, and nobody told of what leaves. The lock
// is added, for the original runs on an event loop; so is Close, for the benchmark goes on after it.
type reportMap struct {
	c config

	mu       sync.Mutex
	closed   bool
	timer    *time.Timer
	entries  map[string]*session
	accessed map[string]time.Time
}

func newReportMap(c config) store {
	m := &reportMap{c: c, entries: make(map[string]*session), accessed: make(map[string]time.Time)}
	m.again()
	return m
}

// again is the original's setInterval.
func (m *reportMap) again() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.timer = time.AfterFunc(m.c.sweep, func() {
			m.cleanupStale()
			m.again()
		})
	}
}

func (m *reportMap) Set(id string, s *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.entries) >= m.c.maxSize {
		m.evictLRU()
	}
	m.entries[id] = s
	m.accessed[id] = time.Now()
}

func (m *reportMap) Get(id string) *session {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.entries[id]
	if ok {
		m.accessed[id] = time.Now()
	}
	return s
}

func (m *reportMap) Delete(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop(id)
}

func (m *reportMap) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.entries)
}

func (m *reportMap) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.timer.Stop()
}

func (m *reportMap) cleanupStale() {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for id, at := range m.accessed {
		if now.Sub(at) > m.c.idle {
			m.drop(id)
		}
	}
}

func (m *reportMap) evictLRU() {
	var victim string
	var oldest time.Time
	for id, at := range m.accessed {
		if oldest.IsZero() || at.Before(oldest) {
			victim, oldest = id, at
		}
	}
	m.drop(victim)
}

func (m *reportMap) drop(id string) {
	delete(m.entries, id)
	delete(m.accessed, id)
}
