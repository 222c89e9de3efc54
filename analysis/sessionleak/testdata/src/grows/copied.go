package grows

import "sync"

// What is put into a copy of a struct is gone when the function ends; a map is the same in all copies.
type copied struct {
	sessions sync.Map
	shared   *sync.Map
	users    map[string]int
	history  []string
	seen     []string
	mu       *sync.Mutex
	peers    struct{ byID sync.Map }
}

func (c copied) open(sessionID string) {
	c.sessions.Store(sessionID, 1)
	c.peers.byID.Store(sessionID, 1)
	c.history = append(c.history, sessionID)
	c.shared.Store(sessionID, 1) // want `grows: copied.shared grows with sessionID and nothing removes from it`
	c.users[sessionID] = 1       // want `grows: copied.users grows with sessionID and nothing removes from it`
}

func (c *copied) note(sessionID string) {
	c.seen = append(c.seen, sessionID) // want `append: copied.seen is only appended to`
}
