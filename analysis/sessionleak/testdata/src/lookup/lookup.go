// Package lookup has containers whose entries leave when they are asked for.
package lookup

import (
	"sync"
	"time"
)

type entry struct {
	value   string
	expires time.Time
}

type store struct {
	mu     sync.Mutex
	tokens map[string]entry
}

func (s *store) Set(token, value string) {
	s.mu.Lock()
	s.tokens[token] = entry{value, time.Now().Add(time.Hour)} // want `lookup: store.tokens grows with token, and what has expired leaves only when it is asked for again \(lookup.go:30\): a key that is never asked for again stays`
	s.mu.Unlock()
}

func (s *store) Get(token string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.tokens[token]
	if ok && time.Now().After(e.expires) {
		delete(s.tokens, token)
		return "", false
	}
	return e.value, ok
}

// ---- not reported ----

type sweeping struct {
	mu     sync.Mutex
	tokens map[string]entry
}

func (s *sweeping) Set(token, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for t, e := range s.tokens {
		if time.Now().After(e.expires) {
			delete(s.tokens, t)
		}
	}
	s.tokens[token] = entry{value, time.Now().Add(time.Hour)}
}

func (s *sweeping) Get(token string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.tokens[token]
	if ok && time.Now().After(e.expires) {
		delete(s.tokens, token)
		return "", false
	}
	return e.value, ok
}
