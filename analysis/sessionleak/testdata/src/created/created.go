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

// A window of a limiter ends at its time, however often it is used.
type window struct {
	mu    sync.Mutex
	start time.Time
	n     int
}

type limiter struct {
	mu      sync.Mutex
	clients map[string]*window
	users   map[string]*quota
	peers   map[string]*call
}

func (l *limiter) allow(clientID string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	w, ok := l.clients[clientID]
	if !ok {
		w = &window{start: time.Now()}
		l.clients[clientID] = w
	}
	w.n++
	return w.n < 100
}

// So does what is kept of an address.
type call struct {
	started time.Time
	from    string
}

func (l *limiter) first(remoteAddr string) *call {
	l.mu.Lock()
	defer l.mu.Unlock()
	c, ok := l.peers[remoteAddr]
	if !ok {
		c = &call{started: time.Now()}
		l.peers[remoteAddr] = c
	}
	return c
}

// What counts, and has a value as well, is a session; so is what has a number that nobody counts.
type quota struct {
	start time.Time
	plan  int
}

type visit struct {
	start time.Time
	pages int
	cart  []string
}

type visits struct {
	mu       sync.Mutex
	sessions map[string]*visit
}

func (v *visits) get(sessionID string) *visit {
	v.mu.Lock()
	defer v.mu.Unlock()
	x, ok := v.sessions[sessionID]
	if !ok {
		x = &visit{start: time.Now()}
		v.sessions[sessionID] = x
	}
	x.pages++
	return x
}

func (l *limiter) quota(userID string) *quota {
	l.mu.Lock()
	defer l.mu.Unlock()
	q, ok := l.users[userID]
	if !ok {
		q = &quota{start: time.Now()}
		l.users[userID] = q
	}
	return q
}

func (l *limiter) sweep(v *visits) {
	for range time.Tick(time.Minute) {
		for id, x := range l.clients {
			if time.Since(x.start) > time.Minute {
				delete(l.clients, id)
			}
		}
		for addr, x := range l.peers {
			if time.Since(x.started) > time.Minute {
				delete(l.peers, addr)
			}
		}
		for id, x := range l.users {
			if time.Since(x.start) > time.Minute {
				delete(l.users, id) // want `created: limiter.users is swept by start`
			}
		}
		for id, x := range v.sessions {
			if time.Since(x.start) > time.Minute {
				delete(v.sessions, id) // want `created: visits.sessions is swept by start`
			}
		}
	}
}
