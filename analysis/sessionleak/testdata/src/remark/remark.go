// Package remark has reports that are silenced.
package remark

import "sync"

type hub struct {
	mu     sync.Mutex
	users  map[string]int
	tokens map[string]int //sessionmap:ok there are ten tokens
	conns  map[string]int
	peers  map[string]int
}

func (h *hub) open(userID, token, connID, peerID string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.users[userID] = 1 //sessionmap:ok users are never removed here
	h.tokens[token] = 1
	//sessionmap:ok // want `remark: //sessionmap:ok gives no reason, and silences nothing`
	h.conns[connID] = 1 // want `grows: hub.conns grows with connID and nothing removes from it`
	//sessionmap:okay is another word
	h.peers[peerID] = 1 // want `grows: hub.peers grows with peerID and nothing removes from it`
}
