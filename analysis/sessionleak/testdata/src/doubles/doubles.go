// Package doubles has things that stand in for others in tests.
package doubles

import (
	"sync"
	"testing"
)

// ---- reported ----

type contest struct {
	mu       sync.Mutex
	messages []string
}

func (c *contest) enter(message string) {
	c.mu.Lock()
	c.messages = append(c.messages, message) // want `append: contest.messages is only appended to`
	c.mu.Unlock()
}

// ---- not reported ----

type MockTransport struct {
	mu       sync.Mutex
	messages []string
	sessions map[string]int
}

func (m *MockTransport) Send(sessionID, message string) {
	m.mu.Lock()
	m.messages = append(m.messages, message)
	m.sessions[sessionID]++
	m.mu.Unlock()
}

type serverFake struct {
	mu       sync.Mutex
	sessions map[string]int
}

func (s *serverFake) Send(sessionID string) {
	s.mu.Lock()
	s.sessions[sessionID]++
	s.mu.Unlock()
}

type listener struct {
	t     *testing.T
	mu    sync.Mutex
	conns []string
}

func (l *listener) accept(conn string) {
	l.mu.Lock()
	l.conns = append(l.conns, conn)
	l.mu.Unlock()
}
