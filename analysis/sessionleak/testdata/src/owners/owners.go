// Package owners has containers that end with the structs that they are in, and others that do not.
package owners

import (
	"context"
	"io"
	"net/http"
	"sync"
)

type candidate interface{ close() }

// ---- not reported ----

// What leaves is a slice of these, as an interface that the struct around implements.
type base struct{ remotes sync.Map }

func (b *base) note(remoteAddr string) { b.remotes.Store(remoteAddr, true) }

type host struct{ base }

func (h *host) close() {}

type agent struct {
	mu     sync.Mutex
	locals map[string][]candidate
}

func (a *agent) add(network string, c candidate) {
	a.mu.Lock()
	a.locals[network] = append(a.locals[network], c)
	a.mu.Unlock()
}

func (a *agent) drop(network string) {
	a.mu.Lock()
	delete(a.locals, network)
	a.mu.Unlock()
}

// A key that leaves.
type hub struct {
	mu      sync.Mutex
	clients map[*client]bool
}

type client struct {
	hub  *hub
	seen sync.Map
}

func (c *client) note(messageID string) { c.seen.Store(messageID, true) }

func (h *hub) leave(c *client) {
	h.mu.Lock()
	delete(h.clients, c)
	h.mu.Unlock()
}

// A list that is cut, and one that is made anew.
type lists struct {
	mu    sync.Mutex
	calls []*call
	turns []*turn
}

type call struct{ peers sync.Map }

type turn struct{ peers sync.Map }

func (c *call) note(peerID string) { c.peers.Store(peerID, true) }

func (t *turn) note(peerID string) { t.peers.Store(peerID, true) }

func (l *lists) end(i int) {
	l.mu.Lock()
	l.calls = append(l.calls[:i], l.calls[i+1:]...)
	l.turns = nil
	l.mu.Unlock()
}

// What lives as long as a context.
type scope struct{ users sync.Map }

type scopeKey struct{}

func with(ctx context.Context) context.Context {
	return context.WithValue(ctx, scopeKey{}, new(scope))
}

func (s *scope) note(userID string) { s.users.Store(userID, true) }

// ---- reported ----

// A client that leaves does not end the server that it points to.
type server struct{ users sync.Map }

type session struct{ *server }

type sessions struct {
	mu sync.Mutex
	m  map[string]*session
}

func (s *server) note(userID string) {
	s.users.Store(userID, true) // want `grows: server.users grows with userID and nothing removes from it`
}

func (s *sessions) Drop(sessionID string) {
	s.mu.Lock()
	delete(s.m, sessionID)
	s.mu.Unlock()
}

// A list that only its own end empties.
type closing struct {
	mu    sync.Mutex
	rooms []*room
}

type room struct{ users sync.Map }

func (r *room) note(userID string) {
	r.users.Store(userID, true) // want `grows: room.users grows with userID and nothing removes from it`
}

func (c *closing) Close() {
	c.mu.Lock()
	c.rooms = nil
	c.mu.Unlock()
}

// Something else that can be closed leaves.
type gateway struct {
	mu    sync.Mutex
	users map[string]int
	files map[string]io.Closer
}

func (g *gateway) Close() error { return nil }

func (g *gateway) hit(userID string) {
	g.mu.Lock()
	g.users[userID]++ // want `grows: gateway.users grows with userID and nothing removes from it`
	g.mu.Unlock()
}

func (g *gateway) shut(path string) {
	g.mu.Lock()
	delete(g.files, path)
	g.mu.Unlock()
}

// One that a handler makes lives as long as the request, unless it is kept.
type collector struct {
	mu    sync.Mutex
	users map[string]int
}

func (c *collector) add(userID string) {
	c.mu.Lock()
	c.users[userID]++
	c.mu.Unlock()
}

type keeper struct {
	mu    sync.Mutex
	users map[string]int
}

func (k *keeper) add(userID string) {
	k.mu.Lock()
	k.users[userID]++ // want `grows: keeper.users grows with userID and nothing removes from it`
	k.mu.Unlock()
}

var last *keeper

func handle(w http.ResponseWriter, r *http.Request) {
	c := &collector{users: make(map[string]int)}
	c.add(r.FormValue("user"))
	k := &keeper{users: make(map[string]int)}
	k.add(r.FormValue("user"))
	last = k
}
