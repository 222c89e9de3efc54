// Package eventonly has containers that shrink when an event says so.
package eventonly

import (
	"net/http"
	"sync"
)

type event struct{ kind, session string }

type bus struct{}

func (bus) On(name string, fn func(event))        {}
func (bus) Subscribe(name string, fn func(event)) {}

type agent struct{ history []string }

// The report's fault: only the event removes.
type host struct {
	mu     sync.Mutex
	agents map[string]*agent
}

func newHost(b bus) *host {
	h := &host{agents: make(map[string]*agent)}
	b.On("session.deleted", func(e event) {
		h.mu.Lock()
		delete(h.agents, e.session)
		h.mu.Unlock()
	})
	return h
}

func (h *host) agent(sessionID string) *agent {
	h.mu.Lock()
	defer h.mu.Unlock()
	a, ok := h.agents[sessionID]
	if !ok {
		a = new(agent)
		h.agents[sessionID] = a // want `eventonly: host.agents grows with sessionID and shrinks only by an event \(session.deleted at eventonly.go:28\): one that is lost leaks the entry`
	}
	return a
}

// A case over the names of events.
type dispatcher struct {
	mu    sync.Mutex
	tasks map[string]int
}

func (d *dispatcher) handle(e event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch e.kind {
	case "session.created":
		d.tasks[e.session] = 1 // want `eventonly: dispatcher.tasks grows with e.session and shrinks only by an event \(session.deleted at eventonly.go:58\)`
	case "session.deleted":
		delete(d.tasks, e.session)
	}
}

// A channel that messages come from.
type room struct {
	join, leave chan string
	clients     map[string]bool
}

func (r *room) run() {
	for {
		select {
		case clientID := <-r.join:
			r.clients[clientID] = true // want `eventonly: room.clients grows with clientID and shrinks only by an event \(DELETE /leave at eventonly.go:74\)`
		case clientID := <-r.leave:
			delete(r.clients, clientID)
		}
	}
}

func (r *room) routes(mux *http.ServeMux) {
	mux.HandleFunc("DELETE /leave", func(w http.ResponseWriter, req *http.Request) { r.leave <- req.PathValue("client") })
}

// ---- not reported ----

// The event, and the end of the connection.
type both struct {
	mu    sync.Mutex
	conns map[string]*agent
}

func (b *both) serve(events bus, sessionID string, read func() error) {
	b.mu.Lock()
	b.conns[sessionID] = new(agent)
	b.mu.Unlock()
	events.Subscribe("session.deleted", func(e event) { b.drop(e.session) })
	defer b.drop(sessionID)
	for read() == nil {
	}
}

func (b *both) drop(sessionID string) {
	b.mu.Lock()
	delete(b.conns, sessionID)
	b.mu.Unlock()
}

// A hub whose clients leave when their reader ends: the loop over the channel is not lost.
type hub struct {
	register, unregister chan *client
	clients              map[*client]bool
}

type client struct{ hub *hub }

func (h *hub) run() {
	for {
		select {
		case c := <-h.register:
			h.clients[c] = true
		case c := <-h.unregister:
			delete(h.clients, c)
		}
	}
}

func (c *client) read(next func() error) {
	defer func() { c.hub.unregister <- c }()
	for next() == nil {
	}
}

// A function that others call.
type manager struct {
	mu       sync.Mutex
	sessions map[string]int
}

func (m *manager) Open(sessionID string) {
	m.mu.Lock()
	m.sessions[sessionID] = 1
	m.mu.Unlock()
}

func (m *manager) Close(sessionID string) {
	m.mu.Lock()
	delete(m.sessions, sessionID)
	m.mu.Unlock()
}

// Functions in fields: one that is named for the end of a session, and one for something of this process.
type callbacks struct{ OnSessionDeleted, OnWrite func(string) }

type streams struct {
	mu       sync.Mutex
	sessions map[string]int
	requests map[string]int
}

func (s *streams) open(sessionID, requestID string) callbacks {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions[sessionID] = 1 // want `eventonly: streams.sessions grows with sessionID and shrinks only by an event \(OnSessionDeleted at eventonly.go:165\)`
	s.requests[requestID] = 1
	return callbacks{
		OnSessionDeleted: func(id string) { delete(s.sessions, id) },
		OnWrite:          func(id string) { delete(s.requests, id) },
	}
}

// The hub of many websocket examples: who is gone leaves only by saying so.
type conn interface {
	ReadJSON(v any) error
	WriteJSON(v any) error
}

type message struct{ Type, From, Text string }

type socketHub struct{ clients, readers sync.Map }

func (h *socketHub) serve(userID string, c conn) {
	h.clients.Store(userID, c) // want `eventonly: socketHub.clients grows with userID and shrinks only by an event \(leave at eventonly.go:193\): one that is lost leaks the entry`
	h.readers.Store(userID, c)
	defer h.readers.Delete(userID)
	for {
		var m message
		if c.ReadJSON(&m) != nil {
			return
		}
		switch m.Type {
		case "text":
			h.clients.Range(func(_, c any) bool { return c.(conn).WriteJSON(m) == nil })
		case "leave":
			h.clients.Delete(m.From)
		}
	}
}

// A handler that ends what it begins.
type works struct {
	mu       sync.Mutex
	deferred map[string]int
	inline   map[string]int
	reset    map[string]int
	begun    map[string]int
}

func (s *works) serve(w http.ResponseWriter, r *http.Request) {
	userID := r.FormValue("user")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deferred[userID] = 1
	defer delete(s.deferred, userID)
	s.inline[userID] = 1
	w.Write(nil)
	delete(s.inline, userID)
	if s.reset[userID]++; s.reset[userID] > 100 {
		s.reset = make(map[string]int)
	}
	s.begun[userID] = 1 // want `eventonly: works.begun grows with userID and shrinks only by an event \(/end at eventonly.go:224\)`
}

func (s *works) end(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	delete(s.begun, r.FormValue("user"))
	s.mu.Unlock()
}

func (s *works) routes() {
	http.HandleFunc("/work", s.serve)
	http.HandleFunc("/end", s.end)
}

// A channel that serves for a lock: what is received is put back.
type slotted struct {
	slot     chan int
	watchers map[string]int
}

func (s *slotted) Watch(sessionID string) {
	n := <-s.slot
	s.watchers[sessionID] = n
	s.slot <- n
}

func (s *slotted) Unwatch(sessionID string, done chan struct{}) {
	select {
	case <-done:
	case n := <-s.slot:
		delete(s.watchers, sessionID)
		s.slot <- n
	}
}

// Handlers that are registered by other names, or are in a map by the names of their events.
type queue struct{}

func (queue) QueueSubscribe(subject, group string, fn func(id string)) {}
func (queue) RegisterHandler(event string, fn func(id string))         {}

type table struct {
	mu     sync.Mutex
	on     map[string]func(id string)
	agents map[string]int
	users  map[string]int
	peers  map[string]int
	guests map[string]int
	conns  map[string]int
	tasks  map[string]int
	rooms  map[string]int
}

func (t *table) Begin(agentID, userID, peerID, guestID, connID, taskID, roomID string) {
	t.mu.Lock()
	t.agents[agentID] = 1 // want `eventonly: table.agents grows with agentID and shrinks only by an event \(agent.deleted at`
	t.users[userID] = 1   // want `eventonly: table.users grows with userID and shrinks only by an event \(user.deleted at`
	t.peers[peerID] = 1   // want `eventonly: table.peers grows with peerID and shrinks only by an event \(peer.left at`
	t.guests[guestID] = 1 // want `eventonly: table.guests grows with guestID and shrinks only by an event \(guest.left at`
	t.conns[connID] = 1
	t.tasks[taskID] = 1
	t.rooms[roomID] = 1 // want `eventonly: table.rooms grows with roomID and shrinks only by an event \(room.deleted at`
	t.mu.Unlock()
}

func (t *table) register(q queue) {
	q.QueueSubscribe("agent.deleted", "group", func(agentID string) { delete(t.agents, agentID) })
	q.RegisterHandler("user.deleted", func(userID string) { delete(t.users, userID) })
	t.on = map[string]func(string){
		"peer.left": t.left,
		"closed":    func(connID string) { delete(t.conns, connID) }, // of the connection to the client
		"task":      func(taskID string) { delete(t.tasks, taskID) },
	}
	t.on["guest.left"] = func(guestID string) { delete(t.guests, guestID) }
	t.on["room.deleted"] = t.deleted
}

func (t *table) left(peerID string) { delete(t.peers, peerID) }

// To try to send is not to wait for an end.
func (t *table) deleted(roomID string) {
	select {
	case leaving <- roomID:
	default:
	}
	delete(t.rooms, roomID)
}

var leaving = make(chan string)

// What comes is ended where it has begun.
type runner struct {
	tasks   chan string
	running map[string]bool
	waiting map[string]bool
}

func (r *runner) Run() {
	for {
		select {
		case taskID := <-r.tasks:
			r.running[taskID] = true
			process(taskID)
			delete(r.running, taskID)
		case taskID := <-leaving:
			delete(r.waiting, taskID)
		case taskID := <-joining:
			r.waiting[taskID] = true // want `eventonly: runner.waiting grows with taskID and shrinks only by an event`
		}
	}
}

func process(string) {}

var joining = make(chan string)
