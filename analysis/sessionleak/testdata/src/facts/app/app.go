// Package app hands its maps to functions of another package.
package app

import (
	"sync"

	"facts/store"
)

type hub struct {
	mu       sync.Mutex
	sessions map[string]int
	clients  map[string]int
	conns    sync.Map
	users    sync.Map
	peers    map[string]int
}

func (h *hub) open(sessionID string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sessions[sessionID] = store.Count(h.sessions) // want `satellite: hub.sessions grows with sessionID, and Close \(app.go:32\), which removes it from clients, forgets it here`
	h.clients[sessionID] = 1
	h.conns.Store(sessionID, 1)
	h.users.Store(sessionID, 1) // want `satellite: hub.users grows with sessionID, and Close \(app.go:32\), which removes it from clients, forgets it here`
	store.Put(h.peers, sessionID)
}

func (h *hub) Close(sessionID string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	store.Drop(h.clients, sessionID)
	store.DropSync(&h.conns, sessionID)
}
