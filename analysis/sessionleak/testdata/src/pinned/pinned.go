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
