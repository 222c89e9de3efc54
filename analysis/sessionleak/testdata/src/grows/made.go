package grows

import "sync"

// ---- reported ----

// Made where there is none yet: that empties nothing.
type lazy struct {
	mu      sync.Mutex
	byNil   map[string]int
	byLen   map[string]int
	byElse  map[string]int
	byLeave map[string]int
	byOnce  map[string]int
	once    sync.Once
}

func (l *lazy) Note(userID string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byNil == nil {
		l.byNil = make(map[string]int)
	}
	if len(l.byLen) == 0 {
		l.byLen = map[string]int{}
	}
	if l.byElse != nil {
		l.byElse[userID]++ // want `grows: lazy.byElse grows with userID and nothing removes from it`
	} else {
		l.byElse = map[string]int{userID: 1}
	}
	l.once.Do(func() { l.byOnce = make(map[string]int) })
	l.begin()
	l.byNil[userID]++   // want `grows: lazy.byNil grows with userID and nothing removes from it`
	l.byLen[userID]++   // want `grows: lazy.byLen grows with userID and nothing removes from it`
	l.byLeave[userID]++ // want `grows: lazy.byLeave grows with userID and nothing removes from it`
	l.byOnce[userID]++  // want `grows: lazy.byOnce grows with userID and nothing removes from it`
}

func (l *lazy) begin() {
	if l.byLeave != nil {
		return
	}
	l.byLeave = make(map[string]int)
}

// Made by a constructor.
func NewSyncMap[K comparable, V any]() *SyncMap[K, V] { return new(SyncMap[K, V]) }

type connector struct {
	mu      sync.Mutex
	intents *SyncMap[string, int]
}

func newConnector() *connector {
	c := new(connector)
	c.intents = NewSyncMap[string, int]()
	return c
}

func (c *connector) intent(userID string) {
	c.intents.Store(userID, 1) // want `grows: connector.intents grows with userID and nothing removes from it`
}

// An inner map that is put back.
type states struct {
	mu    sync.Mutex
	byApp map[string]map[string]int
}

func (s *states) set(app, sessionID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.byApp[app]
	if !ok {
		v = make(map[string]int)
		s.byApp[app] = v
	}
	v[sessionID] = 1 // want `grows: states.byApp\[…\] grows with sessionID and nothing removes from it`
}

// ---- not reported ----

// Made anew where there may be one: that empties it.
type anew struct {
	mu    sync.Mutex
	users map[string]int
	peers map[string]int
	inner map[string]map[string]int
}

func (a *anew) Note(userID string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.users == nil || userID == "" {
		a.users = make(map[string]int)
	}
	if len(a.peers) > 100 || userID == "" {
		a.peers = make(map[string]int)
	}
	a.users[userID]++
	a.peers[userID]++
	v := a.inner["a"]
	kept = v
	v[userID] = 1
}

var kept map[string]int

// A generic map from which entries are taken.
func (m *SyncMap[K, V]) Take(key K) V { // want Take:"nothing"
	m.mu.Lock()
	defer m.mu.Unlock()
	v := m.m[key]
	delete(m.m, key)
	return v
}

var pending SyncMap[string, int]

func Ask(requestID string) { pending.Store(requestID, 1) }

func Answer(requestID string) int { return pending.Take(requestID) }

// An inner map that leaves with its key.
type seen struct {
	mu     sync.Mutex
	byRoom map[string]map[string]bool
}

func (s *seen) mark(roomID, userID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byRoom[roomID] == nil {
		s.byRoom[roomID] = make(map[string]bool)
	}
	s.byRoom[roomID][userID] = true
}

func (s *seen) End(roomID string) {
	s.mu.Lock()
	delete(s.byRoom, roomID)
	s.mu.Unlock()
}

// Maps that are emptied together, through a list.
type together struct {
	mu    sync.Mutex
	users map[string]int
	peers map[string]int
}

func (t *together) note(userID string) {
	t.mu.Lock()
	t.users[userID]++
	t.peers[userID]++
	t.mu.Unlock()
}

func (t *together) Drop(userID string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range []map[string]int{t.users} {
		delete(m, userID)
	}
	for _, m := range []*map[string]int{&t.peers} {
		*m = nil
	}
}

// What generated code removes from, and what it alone adds to.
type removedByGenerated struct {
	mu    sync.Mutex
	users map[string]int
	added map[string]int
}

func (r *removedByGenerated) note(userID string) {
	r.mu.Lock()
	r.users[userID]++
	r.mu.Unlock()
}
