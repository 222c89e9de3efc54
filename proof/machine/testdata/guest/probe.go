//go:build linux

package main

import (
	"fmt"
	"sync/atomic"
	"time"
)

// A bracket is an action that took place at some time from began to ended.
type bracket struct{ began, ended time.Duration }

func during(action func()) (b bracket) {
	b.began = mono()
	action()
	b.ended = mono()
	return b
}

// since is the bracket of an access by a clock that may lag: it may be taken for one as much earlier.
func (b bracket) since(lag time.Duration) bracket { return bracket{b.began - lag, b.ended} }

// A probe looks again and again at something that has to last for a certain time and no longer. It knows for every
// look, and for the start, between which two readings of the monotonic clock it was. So on a machine however slow it
// is never in doubt whether something ended too early, or was there too late.
type probe struct {
	name  string
	lasts time.Duration
	there func() bool

	start   bracket
	endedAt *atomic.Int64 // when it ended, where another goroutine sees that; else nil
	late    time.Duration // for how long it may still be there once its time is over
	due     time.Duration // when that was seen first

	renew   func() bool // starts it anew, if it is still there
	renewAt time.Duration

	over  bool
	fault string
}

// look looks once, by a clock that may lag behind the true time by as much as lag.
func (p *probe) look(lag time.Duration) {
	if p.over {
		return
	}
	if p.renew != nil && mono()-p.start.ended >= p.renewAt {
		p.renewOnce(lag)
		return
	}
	var there bool
	b := during(func() { there = p.there() })
	if p.endedAt != nil && !there {
		b.ended = time.Duration(p.endedAt.Load())
	}
	least, most := b.began-lag-p.start.ended, b.ended-p.start.began
	switch {
	case there && least >= p.lasts:
		if p.due == 0 {
			p.due = b.began
		}
		if b.began-p.due >= p.late {
			p.end("still there after %v, instead of %v", least, p.lasts)
		}
	case !there && most < p.lasts:
		p.end("ended after %v at the most, instead of %v", most, p.lasts)
	case !there:
		p.over = true
	}
}

func (p *probe) renewOnce(lag time.Duration) {
	var renewed bool
	b := during(func() { renewed = p.renew() })
	p.renew = nil
	if most := b.ended - p.start.began; !renewed && most < p.lasts {
		p.end("not to be renewed after %v at the most, instead of %v", most, p.lasts)
	} else if !renewed {
		p.over = true // the machine was too slow
	}
	p.start = b.since(lag)
}

func (p *probe) end(format string, args ...any) {
	p.over, p.fault = true, fmt.Sprintf(format, args...)
}
