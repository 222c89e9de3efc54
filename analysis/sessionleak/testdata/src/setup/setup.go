// Package setup has functions that insert while things are made, and others that only sound like it.
package setup

import "sync"

type client struct{ ID string }

type group struct{}

func (group) Go(fn func()) { go fn() }

// ---- reported ----

// The goroutines of a hub go on when it is made.
type hub struct {
	mu      sync.Mutex
	join    chan *client
	clients map[string]*client
	seen    map[string]bool
	joined  map[string]bool
}

func newHub(g group) *hub {
	h := &hub{join: make(chan *client), clients: make(map[string]*client), seen: make(map[string]bool)}
	go h.run()
	g.Go(h.watch)
	go func() {
		for c := range h.join {
			h.joined[c.ID] = true // want `grows: hub.joined grows with c.ID and nothing removes from it`
		}
	}()
	return h
}

func (h *hub) run() {
	for c := range h.join {
		h.clients[c.ID] = c // want `grows: hub.clients grows with c.ID and nothing removes from it`
	}
}

func (h *hub) watch() {
	for c := range h.join {
		h.seen[c.ID] = true // want `grows: hub.seen grows with c.ID and nothing removes from it`
	}
}

// Methods by which sessions come.
type registry struct {
	mu       sync.Mutex
	clients  map[string]*client
	profiles map[string]string
	intents  map[string]int
	lines    map[string]int
}

func (r *registry) Register(c *client) {
	r.mu.Lock()
	r.clients[c.ID] = c // want `grows: registry.clients grows with c.ID and nothing removes from it`
	r.mu.Unlock()
}

func (r *registry) loadProfile(userID string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.profiles[userID] = "" // want `grows: registry.profiles grows with userID and nothing removes from it`
	return ""
}

func (r *registry) makeIntent(userID string) {
	r.mu.Lock()
	r.intents[userID] = 1 // want `grows: registry.intents grows with userID and nothing removes from it`
	r.mu.Unlock()
}

func (r *registry) readLoop(next func() string) {
	for {
		userID := next()
		r.mu.Lock()
		r.lines[userID]++ // want `grows: registry.lines grows with userID and nothing removes from it`
		r.mu.Unlock()
	}
}

// A function in a package variable.
var (
	mu      sync.Mutex
	byToken = make(map[string]int)
	handle  = func(token string) {
		mu.Lock()
		byToken[token]++ // want `grows: byToken grows with token and nothing removes from it`
		mu.Unlock()
	}
)

// ---- not reported ----

// What package variables are set by.
var known = knownUsers("a", "b")

var allUsers = make(map[string]bool)

func knownUsers(users ...string) int {
	for _, user := range users {
		allUsers[user] = true
	}
	return len(users)
}

// The users of the configuration.
type config struct {
	mu    sync.Mutex
	users map[string]string
	peers map[string]string
	token map[string]string
}

func newConfig(users map[string]string) *config { // want newConfig:"nothing"
	c := new(config)
	for userID, secret := range users {
		c.users[userID] = secret
	}
	c.add(users)
	return c
}

func (c *config) add(users map[string]string) { // want add:"nothing"
	for userID, secret := range users {
		c.peers[userID] = secret
	}
}

func (c *config) parse(tokens []string) {
	for _, token := range tokens {
		c.token[token] = ""
	}
}
