// Package satellite has structs of which a cleanup forgets a map.
package satellite

import "sync"

type agent struct{}

type host struct {
	mu        sync.Mutex
	agents    map[string]*agent
	histories map[string][]string
	results   map[string]int
}

func newHost() *host {
	return &host{
		agents:    make(map[string]*agent),
		histories: make(map[string][]string),
		results:   make(map[string]int),
	}
}

func (h *host) message(sessionID, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.agents[sessionID] == nil {
		h.agents[sessionID] = new(agent)
	}
	h.histories[sessionID] = append(h.histories[sessionID], text)
	h.results[sessionID]++ // want `satellite: host.results grows with sessionID, and End \(satellite.go:36\), which removes it from agents, forgets it here`
}

func (h *host) End(sessionID string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.agents, sessionID)
	delete(h.histories, sessionID)
}

// ---- not reported ----

// The maps have different keys.
type two struct {
	mu    sync.Mutex
	conns map[string]*agent
	names map[string]string
}

func (t *two) open(connID, name string) {
	t.mu.Lock()
	t.conns[connID] = new(agent)
	t.names[name] = connID
	t.mu.Unlock()
}

func (t *two) Close(connID string) {
	t.mu.Lock()
	delete(t.conns, connID)
	t.mu.Unlock()
}

// ---- companions: keys that are called id only, next to those of sessions ----

type companions struct {
	mu     sync.Mutex
	agents map[string]*agent
	models map[string]string
	seen   map[string]int
	rates  map[string]int
}

func (c *companions) begin(id, model string) {
	c.mu.Lock()
	c.agents[id] = new(agent)
	c.models[id] = model
	c.mu.Unlock()
}

func (c *companions) note(id, currency string) {
	c.mu.Lock()
	c.seen[id]++ // want `satellite: companions.seen grows with id, and End \(satellite.go:95\), which removes it from agents, forgets it here`
	c.rates[currency]++
	c.mu.Unlock()
}

func (c *companions) known(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.models[id] += "?"
	return c.seen[id] > 0
}

func (c *companions) End(id string) {
	c.mu.Lock()
	delete(c.agents, id)
	delete(c.models, id)
	c.mu.Unlock()
}

// Two IDs, of different structs.
type guild struct{ ID string }

type state struct {
	mu      sync.Mutex
	conns   map[string]int
	members map[string]*guild
}

type conn struct{ ID string }

func (s *state) add(g *guild, c *conn) {
	s.mu.Lock()
	s.members[g.ID] = g // want `grows: state.members grows with g.ID and nothing removes from it`
	s.conns[c.ID]++
	s.mu.Unlock()
}

func (s *state) Leave(c *conn) {
	s.mu.Lock()
	delete(s.conns, c.ID)
	s.mu.Unlock()
}

// A map with a remover of its own, which an event calls, and which the end of its neighbours forgets.
type chat struct {
	mu      sync.Mutex
	members map[string]*agent
	typing  map[string]bool
	muted   map[string]bool
}

type bus struct{}

func (bus) On(name string, fn func(memberID string)) {}

func (c *chat) join(memberID string, events bus) {
	c.mu.Lock()
	c.members[memberID] = new(agent)
	c.mu.Unlock()
	defer c.part(memberID)
	events.On("typing.stopped", c.stop)
	events.On("muted.ended", c.unmute)
}

func (c *chat) Type(memberID string) {
	c.mu.Lock()
	c.typing[memberID] = true // want `satellite: chat.typing grows with memberID, and part \(satellite.go:\d+\), which removes it from members, forgets it here`
	c.muted[memberID] = true
	c.mu.Unlock()
}

func (c *chat) stop(memberID string) {
	c.mu.Lock()
	delete(c.typing, memberID)
	c.mu.Unlock()
}

func (c *chat) unmute(memberID string) {
	c.mu.Lock()
	delete(c.muted, memberID)
	c.mu.Unlock()
}

func (c *chat) part(memberID string) {
	c.mu.Lock()
	delete(c.members, memberID)
	delete(c.muted, memberID)
	c.mu.Unlock()
}

// What nothing calls forgets none of those that it removes from.
type idle struct {
	mu      sync.Mutex
	players map[string]int
	scores  map[string]int
}

func (i *idle) Enter(playerID string) {
	i.mu.Lock()
	i.players[playerID] = 1 // want `grows: idle.players grows with playerID and nothing calls leave, which would remove from it`
	i.scores[playerID] = 1  // want `grows: idle.scores grows with playerID and nothing calls leave, which would remove from it`
	i.mu.Unlock()
}

func (i *idle) leave(playerID string) {
	i.mu.Lock()
	delete(i.players, playerID)
	delete(i.scores, playerID)
	i.mu.Unlock()
}
