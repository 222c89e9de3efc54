// Package grows has containers that gain an entry for each session.
package grows

import (
	"context"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// ---- reported ----

var seenTokens = make(map[string]time.Time)

var seenMu sync.Mutex

func Login(token string) bool {
	seenMu.Lock()
	defer seenMu.Unlock()
	_, seen := seenTokens[token]
	seenTokens[token] = time.Now() // want `grows: seenTokens grows with token and nothing removes from it`
	return seen
}

type hub struct {
	mu    sync.RWMutex
	conns map[string]net.Conn
	byIP  sync.Map
	users map[userID]*user
	hits  map[string]int
}

type userID string

type user struct{ name string }

func (h *hub) serve(conn net.Conn) {
	h.mu.Lock()
	h.conns[conn.RemoteAddr().String()] = conn // want `grows: hub.conns grows with conn.RemoteAddr\(\).String\(\) and nothing removes from it`
	h.mu.Unlock()
	h.byIP.Store(conn.RemoteAddr(), conn) // want `grows: hub.byIP grows with conn.RemoteAddr\(\) and nothing removes from it`
}

func (h *hub) find(id userID) *user {
	h.mu.Lock()
	defer h.mu.Unlock()
	u := h.users[id]
	if u == nil {
		u = new(user)
		h.users[id] = u // want `grows: hub.users grows with id and nothing removes from it`
	}
	return u
}

func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ip, _, _ := net.SplitHostPort(r.RemoteAddr)
	h.mu.Lock()
	h.hits[ip]++ // want `grows: hub.hits grows with ip and nothing removes from it`
	h.mu.Unlock()
}

// What the address of a client is taken apart to is a client's, though it is called host.
type limiter struct {
	mu      sync.Mutex
	buckets map[string]int
	hosts   map[string]int
}

func (l *limiter) allow(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buckets[host]++ // want `grows: limiter.buckets grows with host and nothing removes from it`
	l.hosts[r.Host]++ // those that are served
	return l.buckets[host] < 100
}

// An inner map that grows with sessions, in one that does not.
type rooms struct {
	mu    sync.Mutex
	names map[string]map[string]bool
}

func (r *rooms) join(name, sessionID string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.names[name] == nil {
		r.names[name] = make(map[string]bool)
	}
	r.names[name][sessionID] = true // want `grows: rooms.names\[…\] grows with sessionID and nothing removes from it`
}

// Emptied only when its owner ends.
type closing struct {
	mu       sync.Mutex
	sessions map[string]*user
}

func (c *closing) open(sessionID string) {
	c.mu.Lock()
	c.sessions[sessionID] = new(user) // want `grows: closing.sessions grows with sessionID and nothing but Close empties it`
	c.mu.Unlock()
}

func (c *closing) Close() {
	c.mu.Lock()
	c.sessions = nil
	c.mu.Unlock()
}

// Through a local variable, and a helper that gets the map.
type handedOn struct {
	mu      sync.Mutex
	clients map[string]int
	peers   map[string]int
}

func (h *handedOn) add(clientID string) {
	h.mu.Lock()
	clients := h.clients
	clients[clientID] = 1  // want `grows: handedOn.clients grows with clientID and nothing removes from it`
	put(h.peers, clientID) // want `grows: handedOn.peers grows with id and nothing removes from it`
	h.mu.Unlock()
}

func put(m map[string]int, id string) { // want put:"grows 0"
	m[id] = 1
}

// A generic map with a lock.
type SyncMap[K comparable, V any] struct {
	mu sync.Mutex
	m  map[K]V
}

func (m *SyncMap[K, V]) Store(key K, value V) { // want Store:"nothing"
	m.mu.Lock()
	m.m[key] = value
	m.mu.Unlock()
}

func (m *SyncMap[K, V]) Delete(key K) { // want Delete:"nothing"
	m.mu.Lock()
	delete(m.m, key)
	m.mu.Unlock()
}

var chats SyncMap[int64, *user]

func Chat(chatID int64) { chats.Store(chatID, new(user)) } // want `grows: chats grows with chatID and nothing removes from it`

var agents SyncMap[int64, *user]

func Agent(agentID int64) {
	agents.Store(agentID, new(user))
	defer agents.Delete(agentID)
}

// ---- not reported ----

type cleared struct {
	mu       sync.Mutex
	deleted  map[string]*user
	deferred map[string]*user
	remade   map[string]*user
	bounded  map[string]*user
	swept    map[string]time.Time
	ended    map[string]*user
	returned map[string]*user
	helped   map[string]*user
}

func (c *cleared) open(ctx context.Context, sessionID string) map[string]*user {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deleted[sessionID] = new(user)
	c.deferred[sessionID] = new(user)
	defer delete(c.deferred, sessionID)
	c.remade[sessionID] = new(user)
	if len(c.bounded) < 1000 {
		c.bounded[sessionID] = new(user)
	}
	c.swept[sessionID] = time.Now()
	c.ended[sessionID] = new(user)
	context.AfterFunc(ctx, func() {
		c.mu.Lock()
		delete(c.ended, sessionID)
		c.mu.Unlock()
	})
	c.returned[sessionID] = new(user)
	c.helped[sessionID] = new(user)
	return c.returned
}

func (c *cleared) Forget(sessionID string) {
	c.mu.Lock()
	delete(c.deleted, sessionID)
	drop(c.helped, sessionID)
	c.mu.Unlock()
}

func drop(m map[string]*user, id string) { // want drop:"removes 0"
	delete(m, id)
}

func (c *cleared) flush() map[string]*user {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remade = make(map[string]*user)
	return nil
}

func (c *cleared) run(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			c.flush()
			for id, at := range c.swept {
				if time.Since(at) > time.Hour {
					delete(c.swept, id)
				}
			}
		}
	}
}

// A register of what the program has a fixed number of.
var handlers = map[string]http.Handler{}

func Register(name string, h http.Handler) { handlers[name] = h }

var byStatus = make(map[int]int)

func Count(status int) { byStatus[status]++ }

// A map with constants for keys.
var counts = map[string]int{}

func (h *hub) count() { counts["sessions"]++ }

// A map that lives as long as a request.
type request struct{ users map[string]*user }

func (r *request) note(userID string) { r.users[userID] = new(user) }

// Only what is there is set again.
type updated struct {
	mu       sync.Mutex
	sessions map[string]int
}

func (u *updated) touch(sessionID string) {
	u.mu.Lock()
	if _, ok := u.sessions[sessionID]; ok {
		u.sessions[sessionID] = 1
	}
	u.mu.Unlock()
}

// Exported: another package may delete.
type Exported struct {
	mu       sync.Mutex
	Sessions map[string]int
}

func (e *Exported) Open(sessionID string) {
	e.mu.Lock()
	e.Sessions[sessionID] = 1
	e.mu.Unlock()
}

// Keys that are those of the map beside.
type paired struct {
	mu    sync.Mutex
	conns map[string]*user
	peers map[string]int
}

func (p *paired) open(connID string) {
	p.mu.Lock()
	p.conns[connID] = new(user)
	p.mu.Unlock()
}

func (p *paired) Close(connID string) {
	p.mu.Lock()
	delete(p.conns, connID)
	p.mu.Unlock()
}

func (p *paired) count() {
	p.mu.Lock()
	for connID := range p.conns {
		p.peers[connID]++
	}
	p.mu.Unlock()
}

// A map of a struct that leaves another map.
type server struct {
	mu    sync.Mutex
	rooms map[string]*room
	lobby sync.Map
}

type room struct {
	mu    sync.Mutex
	users map[string]bool
}

type table struct {
	mu    sync.Mutex
	users map[string]bool
}

func (s *server) enter(roomID, userID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rooms[roomID]
	if r == nil {
		r = &room{users: make(map[string]bool)}
		s.rooms[roomID] = r
	}
	r.users[userID] = true
	t := new(table)
	t.users[userID] = true
	s.lobby.Store(roomID, t)
}

func (s *server) CloseRoom(roomID string) {
	s.mu.Lock()
	delete(s.rooms, roomID)
	s.mu.Unlock()
	s.lobby.Delete(roomID)
}

// Labels, of which there is a fixed number of combinations.
type labels struct{ client, session string }

var byLabels sync.Map

func Observe(clientID, sessionID string) { byLabels.Store(labels{clientID, sessionID}, 1) }

// What lives as long as a context.
type scope struct {
	mu    sync.Mutex
	users map[string]bool
}

type scopeKey struct{}

func with(ctx context.Context) context.Context {
	return context.WithValue(ctx, scopeKey{}, &scope{users: make(map[string]bool)})
}

func (s *scope) add(userID string) {
	s.mu.Lock()
	s.users[userID] = true
	s.mu.Unlock()
}

// A length that is looked at for the log only.
var visitors = make(map[string]int)

func Visit(visitorID string) {
	seenMu.Lock()
	defer seenMu.Unlock()
	visitors[visitorID]++ // want `grows: visitors grows with visitorID and nothing removes from it`
	if len(visitors) > 1000 {
		log.Printf("%d visitors", len(visitors))
	}
}

// A struct without a lock, in a package variable.
type ledger struct{ accounts map[string]int }

var theLedger = &ledger{accounts: make(map[string]int)}

func (l *ledger) book(userID string) {
	l.accounts[userID]++ // want `grows: ledger.accounts grows with userID and nothing removes from it`
}

func Book(userID string) {
	seenMu.Lock()
	defer seenMu.Unlock()
	theLedger.book(userID)
}

// What would remove is there, but nothing calls it.
type forgotten struct {
	mu     sync.Mutex
	peers  map[string]int
	agents map[string]int
	users  map[string]int
	conns  map[string]int
	rooms  map[string]int
}

func (f *forgotten) Join(peerID, agentID, userID, connID, roomID string) {
	f.mu.Lock()
	f.peers[peerID] = 1   // want `grows: forgotten.peers grows with peerID and nothing calls leave, which would remove from it`
	f.agents[agentID] = 1 // want `grows: forgotten.agents grows with agentID and nothing calls retire, which would remove from it`
	f.users[userID] = 1
	f.conns[connID] = 1
	f.rooms[roomID] = 1
	f.mu.Unlock()
}

func (f *forgotten) leave(peerID string)   { delete(f.peers, peerID) }
func (f *forgotten) retire(agentID string) { f.drop(agentID) }
func (f *forgotten) drop(agentID string)   { delete(f.agents, agentID) }

// These are called, or handed on, or known to others.
func (f *forgotten) logout(userID string) { delete(f.users, userID) }
func (f *forgotten) close(connID string)  { delete(f.conns, connID) }

func (f *forgotten) Logout() (close func(string)) {
	close = f.close
	f.logout("")
	return close
}

//export leaveRoom
func leaveRoom(f *forgotten, roomID string) { delete(f.rooms, roomID) }

// Whether a game may begin is told to nobody, or to who asks.
type match struct {
	mu      sync.Mutex
	players map[string]int
	guests  map[string]int
}

func (m *match) join(playerID, guestID string) (full bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.players[playerID] = 1 // want `grows: match.players grows with playerID and nothing removes from it`
	m.guests[guestID] = 1
	return len(m.players) >= 2
}

func (m *match) full() bool { return len(m.guests) >= 2 }

func (m *match) Join(playerID, guestID string) {
	if !m.full() {
		m.join(playerID, guestID)
	}
}

// Neither what inserts nor what removes is called.
type unused struct {
	mu    sync.Mutex
	peers map[string]int
}

func (u *unused) join(peerID string)  { u.peers[peerID] = 1 }
func (u *unused) leave(peerID string) { delete(u.peers, peerID) }

// What is made anew each day is emptied, what is made where there is none is not.
type daily struct {
	mu      sync.Mutex
	day     int
	users   map[string]map[string]bool
	callers map[string]map[string]bool
}

func (d *daily) Count(server, userID string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.day != time.Now().Day() {
		d.users[server] = make(map[string]bool)
		d.day = time.Now().Day()
	}
	d.users[server][userID] = true
	if _, ok := d.callers[server]; !ok {
		d.callers[server] = make(map[string]bool)
	}
	d.callers[server][userID] = true // want `grows: daily.callers\[…\] grows with userID and nothing removes from it`
}
