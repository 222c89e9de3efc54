// Package returns has functions that insert and remove.
package returns

import (
	"errors"
	"net/http"
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
	s.running[requestID] = true // want `return: server.running\[requestID\] is removed at the end of early \(returns.go:31\), but not before the return at line 25: defer the removal`
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
	s.pending[requestID] = true // want `return: server.pending\[requestID\] is removed at the end of panics \(returns.go:42\), but not if fn panics: defer the removal`
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

// A handler may panic, and the server goes on.
type inFlight struct {
	mu       sync.Mutex
	requests map[string]bool
	deferred map[string]bool
}

func (f *inFlight) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requestID := r.Header.Get("X-Request-Id")
		f.mu.Lock()
		f.requests[requestID] = true // want `return: inFlight.requests\[requestID\] is removed at the end of a function in wrap \(returns.go:\d+\), but not if next.ServeHTTP panics: defer the removal`
		f.deferred[requestID] = true
		f.mu.Unlock()
		defer f.end(requestID)
		next.ServeHTTP(w, r)
		f.mu.Lock()
		delete(f.requests, requestID)
		f.mu.Unlock()
	})
}

func (f *inFlight) end(requestID string) {
	f.mu.Lock()
	delete(f.deferred, requestID)
	f.mu.Unlock()
}
