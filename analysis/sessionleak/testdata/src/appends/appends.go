// Package appends has slices that only grow, and others.
package appends

import "sync"

type agent struct {
	mu       sync.Mutex
	history  []string
	messages []string
	recent   []string
	clients  []func()
	users    []string
}

func (a *agent) say(text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.history = append(a.history, text) // want `append: agent.history is only appended to: it grows as long as its owner lives`
	a.messages = append(a.messages, text)
	if len(a.messages) > 100 {
		a.messages = a.messages[1:]
	}
	a.recent = append(a.recent, text)
}

func (a *agent) Join(user string) {
	a.mu.Lock()
	a.users = append(a.users, user) // want `append: agent.users is only appended to`
	a.mu.Unlock()
}

func (a *agent) reset() {
	a.mu.Lock()
	a.recent = nil
	a.mu.Unlock()
}

// Callbacks are added at the beginning.
func (a *agent) add(fn func()) { a.clients = append(a.clients, fn) }

// A list that lives as long as a request.
type request struct{ history []string }

func (r *request) say(text string) { r.history = append(r.history, text) }

var seen []string

func Visit(visitor string) { seen = append(seen, visitor) } // want `append: seen is only appended to`

// No more are opened than a counter says that is never counted down.
type pool struct {
	mu       sync.Mutex
	n, busy  int
	max      int
	conns    []string
	clients  []string
	sessions []string
	requests []string
}

func (p *pool) get(conn string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n < p.max {
		p.conns = append(p.conns, conn)
		p.n++
	}
}

func (p *pool) more(conn string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if conn == "" || p.max <= p.n {
		return
	}
	p.n++
	p.clients = append(p.clients, conn)
}

// One that is counted down again is no bound, nor one that is counted elsewhere.
func (p *pool) borrow(session string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.busy < p.max {
		p.busy++
		p.sessions = append(p.sessions, session) // want `append: pool.sessions is only appended to`
	}
}

func (p *pool) giveBack() { p.busy-- }

func (p *pool) note(request string) {
	if p.n < p.max {
		p.requests = append(p.requests, request) // want `append: pool.requests is only appended to`
	}
}
