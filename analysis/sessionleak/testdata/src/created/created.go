// Package created has sweeps by the time of creation.
package created

import (
	"sync"
	"time"
)

type session struct {
	created time.Time
	value   string
}

type store struct {
	mu       sync.Mutex
	sessions map[string]*session
}

func (s *store) Open(sessionID string) {
	s.mu.Lock()
	s.sessions[sessionID] = &session{created: time.Now()}
	s.mu.Unlock()
}

func (s *store) Get(sessionID string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[sessionID]
}

func (s *store) sweep() {
	for range time.Tick(time.Minute) {
		s.mu.Lock()
		for id, x := range s.sessions {
			if time.Since(x.created) > time.Hour {
				delete(s.sessions, id) // want `created: store.sessions is swept by created, which no access renews: a session in use ends too`
			}
		}
		s.mu.Unlock()
	}
}

// ---- not reported ----

type renewed struct {
	mu       sync.Mutex
	sessions map[string]*touched
}

type touched struct{ started time.Time }

func (s *renewed) Get(sessionID string) *touched {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.sessions[sessionID]
	if x == nil {
		x = new(touched)
		s.sessions[sessionID] = x
	}
	x.started = time.Now()
	return x
}

func (s *renewed) sweep() {
	for range time.Tick(time.Minute) {
		s.mu.Lock()
		for id, x := range s.sessions {
			if time.Since(x.started) > time.Hour {
				delete(s.sessions, id)
			}
		}
		s.mu.Unlock()
	}
}

// By the last use as well.
type used struct {
	mu       sync.Mutex
	sessions map[string]*dated
}

type dated struct{ created, lastSeen time.Time }

func (s *used) Get(sessionID string) *dated {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.sessions[sessionID]
	if x == nil {
		x = &dated{created: time.Now()}
		s.sessions[sessionID] = x
	}
	x.lastSeen = time.Now()
	return x
}

func (s *used) sweep() {
	for range time.Tick(time.Minute) {
		s.mu.Lock()
		for id, x := range s.sessions {
			if time.Since(x.lastSeen) > time.Hour || time.Since(x.created) > 24*time.Hour {
				delete(s.sessions, id)
			}
		}
		s.mu.Unlock()
	}
}

// By a method of the elements.
type ticket struct {
	createdAt time.Time
	holder    string
}

func (t *ticket) expired(now time.Time) bool { return now.Sub(t.createdAt) > time.Hour }

type counter struct {
	mu       sync.Mutex
	sessions map[string]*ticket
}

func (c *counter) get(sessionID string) *ticket {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, ok := c.sessions[sessionID]
	if !ok {
		t = &ticket{createdAt: time.Now()}
		c.sessions[sessionID] = t
	}
	return t
}

func (c *counter) sweep() {
	for now := range time.Tick(time.Minute) {
		c.mu.Lock()
		for id, t := range c.sessions {
			if t.expired(now) {
				delete(c.sessions, id) // want `created: counter.sessions is swept by createdAt, which no access renews: a session in use ends too`
			}
		}
		c.mu.Unlock()
	}
}

// By seconds.
type seconds struct {
	mu       sync.Mutex
	sessions map[string]*stamped
}

type stamped struct{ created int64 }

func (s *seconds) Get(sessionID string) *stamped {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions[sessionID] == nil {
		s.sessions[sessionID] = &stamped{created: time.Now().Unix()}
	}
	return s.sessions[sessionID]
}

func (s *seconds) run() {
	for range time.Tick(time.Minute) {
		for id, x := range s.sessions {
			if time.Now().Unix()-x.created > 3600 {
				delete(s.sessions, id) // want `created: seconds.sessions is swept by created, which no access renews: a session in use ends too`
			}
		}
	}
}
