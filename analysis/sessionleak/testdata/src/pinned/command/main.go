// Command command has timers that arm themselves, of what there is one of in a process, and of what there are more.
package main

import "time"

type server struct{ users int }

func newServer() *server { return &server{} }

func (s *server) sweep() {
	s.users = 0
	time.AfterFunc(time.Minute, s.sweep)
}

var metrics gauge

type gauge struct{ n int }

func (g *gauge) reset() {
	g.n = 0
	time.AfterFunc(time.Minute, g.reset)
}

func main() {
	s := newServer()
	s.sweep()
	metrics.reset()
	for range s.users {
		newClient().sweep()
	}
	handle(func() { new(request).sweep() })
}

// ---- reported ----

type client struct{ n int }

func newClient() *client { return &client{} }

func (c *client) sweep() {
	c.n = 0
	time.AfterFunc(time.Minute, c.sweep) // want `pinned: this timer calls sweep again for ever, and nothing can stop it: its client is never collected`
}

type request struct{ n int }

func (r *request) sweep() {
	r.n = 0
	time.AfterFunc(time.Minute, r.sweep) // want `pinned: this timer calls sweep again for ever, and nothing can stop it: its request is never collected`
}

func handle(fn func()) {
	for {
		fn()
	}
}
