// Package setup has functions that insert while things are made, and others that only sound like it.
package setup

import (
	"context"
	"sync"
	"sync/atomic"
)

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
	feeds    map[string]int
	polled   map[string]int
	counted  map[string]int
	listed   map[string]int
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

// A loop that goes on until it is told to end is none that sets up; one over what there is may be.
func newFeed(ctx context.Context, closed *atomic.Bool, next func() string) *registry {
	r := new(registry)
	for ctx.Err() == nil {
		userID := next()
		r.feeds[userID] = 1 // want `grows: registry.feeds grows with userID and nothing removes from it`
	}
	for !closed.Load() {
		userID := next()
		r.polled[userID] = 1 // want `grows: registry.polled grows with userID and nothing removes from it`
	}
	for i := 0; i < 10; i++ {
		userID := next()
		r.counted[userID] = 1
	}
	for userID := next(); userID != ""; userID = next() {
		r.listed[userID] = 1
	}
	return r
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
