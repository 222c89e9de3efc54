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

// Functions of their own insert and remove.
type hub struct {
	mu      sync.Mutex
	conns   map[string]*conn
	tried   map[string]bool
	kept    map[string]bool
	kicked  map[string]bool
	twins   map[string]bool
	noticed map[string]bool
	other   *hub
}

type conn struct{ ID string }

func (h *hub) add(c *conn) {
	h.mu.Lock()
	h.conns[c.ID] = c
	h.mu.Unlock()
}

func (h *hub) remove(c *conn) {
	h.mu.Lock()
	delete(h.conns, c.ID)
	h.mu.Unlock()
}

func (h *hub) Serve(c *conn) error {
	h.add(c) // want `return: hub.conns\[c.ID\] is removed at the end of Serve \(returns.go:\d+\), but not before the return at line \d+: defer the removal`
	if err := work(c.ID); err != nil {
		return err
	}
	h.remove(c)
	return nil
}

// One inserts by itself.
func (h *hub) Watch(userID string) error {
	h.mu.Lock()
	h.noticed[userID] = true // want `return: hub.noticed\[userID\] is removed at the end of Watch \(returns.go:\d+\), but not before the return at line \d+: defer the removal`
	h.mu.Unlock()
	if err := work(userID); err != nil {
		return err
	}
	h.forget(userID)
	return nil
}

func (h *hub) forget(userID string) {
	h.mu.Lock()
	delete(h.noticed, userID)
	h.mu.Unlock()
}

// ---- not reported ----

// What could not be inserted need not be removed.
func (h *hub) try(userID string) error {
	if h.tried[userID] {
		return errors.New("busy")
	}
	h.tried[userID] = true
	return nil
}

func (h *hub) untry(userID string) { delete(h.tried, userID) }

func (h *hub) Exclusive(userID string) error {
	if err := h.try(userID); err != nil {
		return err
	}
	h.untry(userID)
	return nil
}

// The removal is deferred, by whoever calls what may return.
func (h *hub) keep(userID string)   { h.kept[userID] = true }
func (h *hub) unkeep(userID string) { delete(h.kept, userID) }

func (h *hub) Keeping(userID string) error {
	h.keep(userID)
	defer h.unkeep(userID)
	return work(userID)
}

// Another function removes too.
func (h *hub) enter(userID string) { h.kicked[userID] = true }
func (h *hub) leave(userID string) { delete(h.kicked, userID) }

func (h *hub) Visit(userID string) error {
	h.enter(userID)
	if err := work(userID); err != nil {
		return err
	}
	h.leave(userID)
	return nil
}

func (h *hub) Kick(userID string) { h.leave(userID) }

// What is removed is another's.
func (h *hub) pair(userID string)   { h.twins[userID] = true }
func (h *hub) unpair(userID string) { delete(h.twins, userID) }

func (h *hub) Swap(userID string) error {
	h.other.pair(userID)
	if err := work(userID); err != nil {
		return err
	}
	h.unpair(userID)
	return nil
}

// What was inserted is not nil, until its variable is set again.
type topics struct {
	mu        sync.Mutex
	published map[string]*topic
	renewed   map[string]*topic
	either    map[string]*topic
}

type topic struct{ done chan struct{} }

func dial() *topic { return &topic{make(chan struct{})} }

func (t *topics) Publish(userID string) {
	t.mu.Lock()
	pub := t.published[userID]
	if pub == nil {
		pub = &topic{make(chan struct{})}
		t.published[userID] = pub
	} else {
		pub = nil
	}
	t.mu.Unlock()
	if pub == nil {
		return
	}
	<-pub.done
	t.mu.Lock()
	delete(t.published, userID)
	t.mu.Unlock()
}

// ---- reported ----

func (t *topics) Renew(userID string) error {
	pub := dial()
	t.mu.Lock()
	t.renewed[userID] = pub // want `return: topics.renewed\[userID\] is removed at the end of Renew \(returns.go:\d+\), but not before the return at line \d+: defer the removal`
	t.mu.Unlock()
	pub = dial()
	if pub == nil {
		return errors.New("no answer")
	}
	t.mu.Lock()
	delete(t.renewed, userID)
	t.mu.Unlock()
	return nil
}

// Where it may have been set again, it may be nil.
func (t *topics) Either(userID string, again bool) error {
	pub := dial()
	t.mu.Lock()
	t.either[userID] = pub // want `return: topics.either\[userID\] is removed at the end of Either \(returns.go:\d+\), but not before the return at line \d+: defer the removal`
	t.mu.Unlock()
	if again {
		pub = dial()
	}
	if pub != nil {
		<-pub.done
	} else {
		return errors.New("no answer")
	}
	t.mu.Lock()
	delete(t.either, userID)
	t.mu.Unlock()
	return nil
}
