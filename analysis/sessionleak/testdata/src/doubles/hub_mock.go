package doubles

import "sync"

type hub struct {
	mu       sync.Mutex
	sessions map[string]int
}

func (h *hub) Open(sessionID string) {
	h.mu.Lock()
	h.sessions[sessionID]++
	h.mu.Unlock()
}
