package stop

import (
	"context"
	"io"
	"sync"
	"time"
)

// A cancel function that the function which made it defers as well needs no other call.
type runs struct {
	mu     sync.Mutex
	byTask map[string]*run
	byJob  map[string]*jobRun
}

type run struct{ cancel context.CancelFunc }

func (r *runs) serve(ctx context.Context, taskID string) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.mu.Lock()
	r.byTask[taskID] = &run{cancel: cancel}
	r.mu.Unlock()
	<-ctx.Done()
	r.mu.Lock()
	delete(r.byTask, taskID)
	r.mu.Unlock()
}

// One that is called only where that fails does.
type jobRun struct{ cancel context.CancelFunc }

func (r *runs) start(ctx context.Context, jobID string) {
	ctx, cancel := context.WithCancel(ctx)
	if ctx.Err() != nil {
		cancel()
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byJob[jobID] = &jobRun{cancel: cancel} // want `stop: jobRun.cancel is a cancel function that nothing has called when its jobRun leaves runs.byJob`
}

func (r *runs) forget(jobID string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.byJob, jobID)
}

// One that is handed to what stores it is that of whoever made it.
type calls struct {
	mu    sync.Mutex
	byID  map[string]*phoneCall
	users map[string]*userCall
}

type phoneCall struct{ cancel context.CancelFunc }

type userCall struct{ cancel context.CancelFunc }

func (c *calls) serve(ctx context.Context, callID string) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.add(callID, cancel)
	_, leave := context.WithCancel(ctx)
	c.addUser(callID, leave)
	<-ctx.Done()
}

func (c *calls) add(callID string, cancel context.CancelFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byID[callID] = &phoneCall{cancel: cancel}
}

func (c *calls) addUser(callID string, cancel context.CancelFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users[callID] = &userCall{cancel: cancel} // want `stop: userCall.cancel is a cancel function that nothing has called when its userCall leaves calls.users`
}

func (c *calls) remove(callID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.byID, callID)
	delete(c.users, callID)
}

// A timer that removes its own entry has fired when that leaves, unless something else removes it too.
type codes struct {
	mu      sync.Mutex
	byUser  map[string]*code
	byGuest map[string]*guestCode
}

type code struct{ timer *time.Timer }

type guestCode struct{ timer *time.Timer }

func (c *codes) issue(userID, guestID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byUser[userID] = &code{timer: time.AfterFunc(time.Minute, func() { c.expire(userID) })}
	c.byGuest[guestID] = &guestCode{timer: time.AfterFunc(time.Minute, func() { c.remove(guestID) })} // want `stop: guestCode.timer is a timer that nothing has stopped when its guestCode leaves codes.byGuest`
}

func (c *codes) expire(userID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.byUser, userID)
}

func (c *codes) remove(guestID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.byGuest, guestID)
}

func (c *codes) Redeem(guestID string) { c.remove(guestID) }

// What closes something else, of the standard library, does not call a cancel function.
type cancels struct {
	mu     sync.Mutex
	byUser map[string]context.CancelFunc
	byRoom map[string]context.CancelFunc
}

func (c *cancels) start(ctx context.Context, userID, roomID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, c.byUser[userID] = context.WithCancel(ctx)
	_, room := context.WithCancel(ctx)
	c.byRoom[roomID] = room
}

func (c *cancels) end(userID string, body io.ReadCloser) {
	defer body.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.byUser, userID) // want `stop: cancels.byUser holds a cancel function, which is dropped here without being called`
}

func (c *cancels) leave(roomID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if leave, ok := c.byRoom[roomID]; ok {
		leave()
	}
	delete(c.byRoom, roomID)
}

// A goroutine that ends only when a channel is closed, and one that has another end.
type workers struct {
	mu      sync.Mutex
	clients map[string]*worker
	peers   map[string]*closer
	users   map[string]*closed
	guests  map[string]*shared
	players map[string]*broken
	quit    chan struct{}
}

// It has the channel of all.
type shared struct{ quit chan struct{} }

func (s *shared) loop() {
	for {
		select {
		case <-time.After(time.Minute):
		case <-s.quit:
			return
		}
	}
}

// It breaks off.
type broken struct {
	in   chan string
	quit chan struct{}
}

func (b *broken) loop() {
	for {
		if <-b.in == "" {
			break
		}
		select {
		case <-time.After(time.Minute):
			break
		case <-b.quit:
			return
		}
	}
}

func (w *workers) close() { close(w.quit) }

type worker struct {
	in   chan string
	quit chan struct{}
}

func (w *worker) loop() {
	for {
		select {
		case <-w.in:
		case <-w.quit:
			return
		}
	}
}

type closer struct{ in, quit chan struct{} }

func (w *closer) loop() {
	for {
		select {
		case _, ok := <-w.in:
			if !ok {
				return
			}
		case <-w.quit:
			return
		}
	}
}

type closed struct{ quit chan struct{} }

func (w *closed) loop() {
	for {
		select {
		case <-time.After(time.Minute):
		case <-w.quit:
			return
		}
	}
}

func (w *workers) start(clientID string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := &worker{in: make(chan string), quit: make(chan struct{})} // want `stop: worker.quit is a channel that nothing has closed when its worker leaves workers.clients`
	w.clients[clientID] = c
	go c.loop()
	p := &closer{in: make(chan struct{}), quit: make(chan struct{})}
	w.peers[clientID] = p
	go p.loop()
	u := &closed{quit: make(chan struct{})}
	w.users[clientID] = u
	go u.loop()
	g := &shared{quit: w.quit}
	w.guests[clientID] = g
	go g.loop()
	b := &broken{in: make(chan string), quit: make(chan struct{})}
	w.players[clientID] = b
	go b.loop()
}

func (w *workers) Drop(clientID string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.clients, clientID)
	delete(w.peers, clientID)
	close(w.users[clientID].quit)
	delete(w.users, clientID)
	delete(w.guests, clientID)
	delete(w.players, clientID)
}

// One way out of a map stops what it removes, and another does not.
type pool struct {
	mu       sync.Mutex
	sessions map[string]*member
	visits   map[string]*visit
	gone     func(*visit)
	chats    map[string]*chat
	calls    map[string]*call
}

type member struct {
	last   time.Time
	cancel context.CancelFunc
}

type visit struct {
	last   time.Time
	cancel context.CancelFunc
}

type chat struct {
	last   time.Time
	cancel context.CancelFunc
}

type call struct {
	last   time.Time
	cancel context.CancelFunc
}

func (p *pool) start(ctx context.Context, sessionID string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, cancel := context.WithCancel(ctx)
	p.sessions[sessionID] = &member{last: time.Now(), cancel: cancel}
	_, ends := context.WithCancel(ctx)
	p.visits[sessionID] = &visit{last: time.Now(), cancel: ends}
	_, hangUp := context.WithCancel(ctx)
	p.chats[sessionID] = &chat{last: time.Now(), cancel: hangUp}
	_, ring := context.WithTimeout(ctx, time.Minute)
	p.calls[sessionID] = &call{last: time.Now(), cancel: ring}
}

func (p *pool) end(sessionID string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m, ok := p.sessions[sessionID]; ok {
		m.cancel()
		delete(p.sessions, sessionID)
	}
	if v, ok := p.visits[sessionID]; ok {
		v.cancel()
		delete(p.visits, sessionID)
	}
	if c, ok := p.chats[sessionID]; ok {
		c.end()
		delete(p.chats, sessionID)
	}
}

func (p *pool) answer(sessionID string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls[sessionID].cancel()
	delete(p.calls, sessionID)
}

func (c *chat) end() { c.cancel() }

func (p *pool) sweep() {
	for range time.Tick(time.Minute) {
		p.sweepMembers()
		p.sweepVisits()
		p.sweepCalls()
		p.sweepChats()
	}
}

func (p *pool) sweepMembers() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, m := range p.sessions {
		if time.Since(m.last) > time.Hour {
			delete(p.sessions, id) // want `stop: member.cancel is called by end, which removes from pool.sessions as this does, and not here`
		}
	}
}

// It hands them on to what may stop them.
func (p *pool) sweepVisits() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, v := range p.visits {
		if time.Since(v.last) > time.Hour {
			p.gone(v)
			delete(p.visits, id)
		}
	}
}

// The context ends by itself.
func (p *pool) sweepCalls() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, c := range p.calls {
		if time.Since(c.last) > time.Hour {
			delete(p.calls, id)
		}
	}
}

// It calls a method that does.
func (p *pool) sweepChats() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, c := range p.chats {
		if time.Since(c.last) > time.Hour {
			c.end()
			delete(p.chats, id)
		}
	}
}
