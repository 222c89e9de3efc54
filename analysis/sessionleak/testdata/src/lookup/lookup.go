// Package lookup has containers whose entries leave when they are asked for.
package lookup

import (
	"net/http"
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
	s.tokens[token] = entry{value, time.Now().Add(time.Hour)} // want `lookup: store.tokens grows with token, and what has expired leaves only when it is asked for again \(lookup.go:31\): a key that is never asked for again stays`
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

// The request that asks for a key is no event that ends anything.
type codes struct {
	mu     sync.Mutex
	tokens map[string]code
	logins map[string]code
}

type code struct {
	user    string
	expires time.Time
}

func (c *codes) issue(token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tokens[token] = code{expires: time.Now().Add(time.Hour)} // want `lookup: codes.tokens grows with token, and what has expired leaves only when it is asked for again`
	c.logins[token] = code{expires: time.Now().Add(time.Hour)} // want `eventonly: codes.logins grows with token and shrinks only by an event \(/logout at`
}

func (c *codes) check(token string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.tokens[token]
	if ok && time.Now().After(v.expires) {
		delete(c.tokens, token)
	}
	return ok
}

func (c *codes) end(token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.logins, token)
}

func (c *codes) routes() {
	http.HandleFunc("/issue", func(w http.ResponseWriter, r *http.Request) { c.issue(r.FormValue("token")) })
	http.HandleFunc("/check", func(w http.ResponseWriter, r *http.Request) { c.check(r.FormValue("token")) })
	http.HandleFunc("/logout", func(w http.ResponseWriter, r *http.Request) { c.end(r.FormValue("token")) })
}

// ---- not reported ----

// A Range looks at all.
type seen struct {
	users sync.Map
	asked sync.Map
}

func NewSeen() *seen {
	s := new(seen)
	go s.clean()
	return s
}

func (s *seen) Mark(userID string) {
	s.users.Store(userID, time.Now())
	s.asked.Store(userID, time.Now()) // want `lookup: seen.asked grows with userID, and what has expired leaves only when it is asked for again`
}

func (s *seen) clean() {
	for {
		s.users.Range(func(userID, at any) bool {
			if time.Since(at.(time.Time)) > time.Hour {
				s.users.Delete(userID)
			}
			return true
		})
		time.Sleep(time.Hour)
	}
}

func (s *seen) Asked(userID string) bool {
	at, ok := s.asked.Load(userID)
	if ok && time.Since(at.(time.Time)) > time.Hour {
		s.asked.Delete(userID)
		return false
	}
	return ok
}
