// Package pinned has timers that arm themselves.
package pinned

import (
	"sync"
	"time"
)

type cache struct {
	mu    sync.Mutex
	timer *time.Timer
}

func (c *cache) sweep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	time.AfterFunc(time.Minute, c.sweep) // want `pinned: this timer calls sweep again for ever, and nothing can stop it: its cache is never collected`
}

// ---- not reported ----

func (c *cache) kept() {
	c.timer = time.AfterFunc(time.Minute, c.kept)
}

func (c *cache) close() { c.timer.Stop() }

type closable struct {
	mu     sync.Mutex
	closed bool
}

func (c *closable) sweep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	time.AfterFunc(time.Minute, c.sweep)
}

func (c *closable) other() { time.AfterFunc(time.Minute, c.sweep) }

// A literal that holds on to nothing, or ends.
func janitor(sweep func(), c *closable) {
	var tick, last func()
	tick = func() {
		sweep()
		time.AfterFunc(time.Minute, tick)
	}
	last = func() {
		if c.closed {
			return
		}
		time.AfterFunc(time.Minute, last)
	}
	tick()
	last()
}

// ---- reported ----

// The timer is kept, and nobody stops it.
type hub struct {
	mu    sync.Mutex
	timer *time.Timer
	n     int
}

func (h *hub) gc() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.timer != nil {
		h.n++
	}
	h.timer = time.AfterFunc(time.Minute, h.gc) // want `pinned: this timer calls gc again for ever, and nothing can stop it: its hub is never collected`
}

// A literal holds on to what it sweeps.
type store struct{ n int }

func newStore() *store {
	s := &store{}
	var tick func()
	tick = func() {
		s.n = 0
		time.AfterFunc(time.Minute, tick) // want `pinned: this timer calls tick again for ever, and nothing can stop it: its store is never collected`
	}
	tick()
	return s
}
