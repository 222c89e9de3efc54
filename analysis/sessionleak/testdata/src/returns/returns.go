// Package returns has functions that insert and remove.
package returns

import (
	"errors"
	"sync"
)

type server struct {
	mu      sync.Mutex
	running map[string]bool
	pending map[string]bool
	calls   map[string]bool
	waiting map[string]chan int
}

func work(string) error { return nil }

func (s *server) early(requestID string) error {
	s.mu.Lock()
	s.running[requestID] = true // want `return: server.running\[requestID\] is removed at the end of early \(returns.go:30\), but not before the return at line 24: defer the removal`
	s.mu.Unlock()
	if err := work(requestID); err != nil {
		return err
	}
	if requestID == "" {
		return errors.New("empty")
	}
	s.mu.Lock()
	delete(s.running, requestID)
	s.mu.Unlock()
	return nil
}

func (s *server) panics(requestID string, fn func()) {
	s.mu.Lock()
	s.pending[requestID] = true // want `return: server.pending\[requestID\] is removed at the end of panics \(returns.go:41\), but not if fn panics: defer the removal`
	s.mu.Unlock()
	fn()
	s.mu.Lock()
	delete(s.pending, requestID)
	s.mu.Unlock()
}

// ---- not reported ----

func (s *server) deferred(requestID string, fn func() error) error {
	s.mu.Lock()
	s.calls[requestID] = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.calls, requestID)
		s.mu.Unlock()
	}()
	if err := work(requestID); err != nil {
		return err
	}
	return fn()
}

// Each way out removes.
func (s *server) both(requestID string) (int, error) {
	answer := make(chan int)
	s.mu.Lock()
	s.waiting[requestID] = answer
	s.mu.Unlock()
	if err := work(requestID); err != nil {
		s.mu.Lock()
		delete(s.waiting, requestID)
		s.mu.Unlock()
		return 0, err
	}
	n := <-answer
	s.mu.Lock()
	delete(s.waiting, requestID)
	s.mu.Unlock()
	return n, nil
}

// What is inserted in a branch that ends so is meant to stay.
type ready struct {
	mu    sync.Mutex
	conns map[string]bool
}

func (r *ready) update(connID string, up bool) {
	r.mu.Lock()
	if up {
		r.conns[connID] = true
		r.mu.Unlock()
		return
	}
	delete(r.conns, connID)
	r.mu.Unlock()
}
