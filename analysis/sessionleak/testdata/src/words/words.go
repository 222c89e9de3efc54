// Package words has keys of a program with words of its own: -keys=ship,-token -fixed=user,-name
package words

import "sync"

type fleet struct {
	mu     sync.Mutex
	ships  map[string]int
	tokens map[string]int
	users  map[string]int
	conns  map[string]int
}

func (f *fleet) enter(shipID, token, userID, connName string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ships[shipID] = 1 // want `grows: fleet.ships grows with shipID`
	f.tokens[token] = 1
	f.users[userID] = 1
	f.conns[connName] = 1 // want `grows: fleet.conns grows with connName`
}
