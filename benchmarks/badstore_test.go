package main

import (
	"sync"
	"time"
)

// A badStore commits every fault that the probes look for: it loses each hundredth Set, hands out what has
// expired, counts the idle timeout from the Set and forgets at three quarters of it what was read, exceeds
// its bound, evicts first in, first out, calls back under its lock, and has a goroutine that only Close ends.
type badStore struct {
	c    config
	stop chan struct{}

	mu      sync.Mutex
	entries map[string]*badEntry
	order   []string
	sets    int
}

type badEntry struct {
	s    *session
	set  time.Time
	read bool
}

func newBadStore(c config) store {
	b := &badStore{c: c, stop: make(chan struct{}), entries: make(map[string]*badEntry)}
	go func() {
		<-b.stop
	}()
	return b
}

func (b *badStore) Get(id string) *session {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[id]
	if e == nil || e.read && time.Since(e.set) > b.c.idle*3/4 {
		return nil
	}
	e.read = true
	return e.s
}

func (b *badStore) Set(id string, s *session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sets++; b.sets%100 == 0 {
		return
	}
	if _, ok := b.entries[id]; !ok {
		b.order = append(b.order, id)
	}
	b.entries[id] = &badEntry{s: s, set: time.Now()}
	if len(b.entries) > b.c.maxSize+2 {
		b.remove(b.order[0])
		b.order = b.order[1:]
	}
}

func (b *badStore) Delete(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.remove(id)
}

func (b *badStore) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.entries)
}

func (b *badStore) Close() { close(b.stop) }

func (b *badStore) remove(id string) {
	if e := b.entries[id]; e != nil {
		delete(b.entries, id)
		if b.c.onRemove != nil {
			b.c.onRemove(e.s)
		}
	}
}
