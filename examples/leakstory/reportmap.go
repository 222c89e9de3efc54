package main

import (
	"sync"
	"time"

	"github.com/sessionmap/sessionmap"
)

// A reportMap is the RobustSessionMap of the report's Solution 3, carried over from TypeScript method by
// method, with what it lacks left out: Get revives an entry that is past its time and not yet cleaned up,
// the search for the least recently used looks at all entries, an overwrite of a full map evicts as well,
// the cleanup timer cannot be stopped, and nobody is told of what leaves. The lock is the one addition:
// the original runs on the single thread of an event loop.
type reportMap[K comparable, V any] struct {
	mu          sync.Mutex
	entries     map[K]V
	accessTimes map[K]time.Time
	maxSize     int
	ttl         time.Duration
}

// reportMaxSize is the report's default.
const reportMaxSize = 1000

func newReportMap[K comparable, V any](maxSize int, ttl, interval time.Duration, deleted *sessionmap.Bus[K]) *reportMap[K, V] {
	m := &reportMap[K, V]{
		entries:     make(map[K]V),
		accessTimes: make(map[K]time.Time),
		maxSize:     maxSize,
		ttl:         ttl,
	}
	setInterval(interval, m.cleanupStale)
	deleted.Subscribe(func(id K, _ time.Time) { m.Delete(id) }) // a Bus refuses nobody
	return m
}

// setInterval calls fn again and again for the life of the process.
func setInterval(interval time.Duration, fn func()) {
	time.AfterFunc(interval, func() {
		fn()
		setInterval(interval, fn)
	})
}

func (m *reportMap[K, V]) Set(key K, value V) (stored bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.entries) >= m.maxSize {
		m.evictLRU()
	}
	m.entries[key] = value
	m.accessTimes[key] = time.Now()
	return true
}

func (m *reportMap[K, V]) Get(key K) (V, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	value, ok := m.entries[key]
	if ok {
		m.accessTimes[key] = time.Now()
	}
	return value, ok
}

func (m *reportMap[K, V]) cleanupStale() {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for key, accessed := range m.accessTimes {
		if now.Sub(accessed) > m.ttl {
			m.drop(key)
		}
	}
}

func (m *reportMap[K, V]) evictLRU() {
	var oldestKey K
	var oldest time.Time
	for key, accessed := range m.accessTimes {
		if oldest.IsZero() || accessed.Before(oldest) {
			oldestKey, oldest = key, accessed
		}
	}
	if !oldest.IsZero() {
		m.drop(oldestKey)
	}
}

func (m *reportMap[K, V]) Delete(key K) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.drop(key)
}

// drop is Delete for those who hold the lock.
func (m *reportMap[K, V]) drop(key K) bool {
	_, ok := m.entries[key]
	delete(m.accessTimes, key)
	delete(m.entries, key)
	return ok
}

func (m *reportMap[K, V]) Clear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.entries)
	clear(m.accessTimes)
}

func (m *reportMap[K, V]) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.entries)
}
