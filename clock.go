package sessionmap

import (
	"sync/atomic"
	"time"
)

// Time in the map is a clock reading: nanoseconds on Go's monotonic clock since the map was made. The
// base is taken in New, so a map made in a testing/synctest bubble lives in the bubble's time, and steps
// of the wall clock change nothing.
//
// A reading costs more than the rest of a Get: 25 ns by itself, and as long again as the cache misses that
// it keeps the processor from overlapping (0.5 µs with a million entries on the machine of RESULTS.md). A
// coarse clock is instead a counter that all accesses share. Each adds one nanosecond to it, so that no two
// readings are equal and their order is that of the accesses, and a timer sets it to the true time at every
// step. Nothing adds a nanosecond in less than one, so the counter is behind the true time, if anything.
// A clock that steps by itself (Windows, a bubble) is cheap to read or stands still, and is used as it is. There accesses
// are counted besides, to tell those apart that have the same reading.
type clock struct {
	base   time.Time
	coarse *atomic.Int64 // the counter; nil where every reading is true
	ranks  *atomic.Int64 // how many accesses there were; nil where no two readings are equal
}

// clockProbes is how many readings in a row must all differ for a clock to count as fine. A clock that
// ticks more slowly than it is read shows itself within two or three.
const clockProbes = 64

func newClock(coarse bool) clock {
	c := clock{base: time.Now()}
	last := c.now()
	for range clockProbes {
		now := c.now()
		if now == last {
			c.ranks = newCounter()
			return c
		}
		last = now
	}
	if coarse {
		c.coarse = newCounter()
	}
	return c
}

// steps reports whether two readings in a row can be equal.
func (c clock) steps() bool { return c.ranks != nil }

// inBubble reports whether the clock is that of a testing/synctest bubble, whose times have no monotonic reading.
func (c clock) inBubble() bool { return !monotonic(c.base) }

// monotonic reports whether t has a monotonic reading. Times from another process have none, nor have those of a bubble
// and those from the year 2157 on.
func monotonic(t time.Time) bool { return t != t.Round(0) } // Round strips it

// newCounter makes a counter in a cache line of its own.
func newCounter() *atomic.Int64 {
	return &new(struct {
		_       [cacheLine]byte
		counter atomic.Int64
		_       [cacheLine]byte
	}).counter
}

// now returns the time for a read or an overwrite.
func (c clock) now() int64 {
	if c.coarse != nil {
		return c.coarse.Add(1)
	}
	return int64(time.Since(c.base))
}

// exact returns the time for what is done under the map's lock; on a coarse clock it sets the counter right.
func (c clock) exact() int64 {
	if c.coarse == nil {
		return c.now()
	}
	raise(c.coarse, int64(time.Since(c.base)))
	return c.coarse.Add(1)
}

// time turns a clock reading into a time.Time: a moment by the wall clock as it is now, whatever it was then.
func (c clock) time(reading int64) time.Time {
	now := time.Now()
	if !monotonic(now) {
		return c.base.Add(time.Duration(reading))
	}
	return now.Add(time.Duration(reading) - now.Sub(c.base))
}

// reading turns a time.Time into a clock reading, the zero time being now. A time without a monotonic
// reading, as it comes from another process, is placed by its age on the wall clock.
func (c clock) reading(t time.Time) int64 {
	switch {
	case t.IsZero():
		return c.exact()
	case monotonic(t):
		return int64(t.Sub(c.base))
	}
	age := max(0, time.Since(t))
	return c.exact() - int64(age)
}
