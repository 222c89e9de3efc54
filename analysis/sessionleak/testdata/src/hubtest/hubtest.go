// Package hubtest is for tests: what it records is there to be looked at.
package hubtest

import "sync"

type recorder struct {
	mu       sync.Mutex
	sessions map[string]int
	messages []string
}

func (r *recorder) Open(sessionID string) {
	r.mu.Lock()
	r.sessions[sessionID]++
	r.messages = append(r.messages, sessionID)
	r.mu.Unlock()
}
