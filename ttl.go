package sessionmap

import (
	"container/heap"
	"math"
	"time"
)

// Time in the map is a clock reading: nanoseconds on Go's monotonic clock since the map was made. The
// base is taken in New, so a map made in a testing/synctest bubble lives in the bubble's time, and steps
// of the wall clock change nothing.
type clock struct {
	base   time.Time
	coarse bool // two readings in a row can be equal
}

// clockProbes is how many readings in a row must all differ for a clock to count as fine. A clock that
// ticks more slowly than it is read shows itself within two or three.
const clockProbes = 64

func newClock() clock {
	c := clock{base: time.Now()}
	last := c.now()
	for range clockProbes {
		now := c.now()
		if now == last {
			c.coarse = true
			break
		}
		last = now
	}
	return c
}

func (c clock) now() int64 { return int64(time.Since(c.base)) }

// time turns a clock reading into a time.Time.
func (c clock) time(reading int64) time.Time { return c.base.Add(time.Duration(reading)) }

// reading turns a time.Time into a clock reading, the zero time being now. A time without a monotonic
// reading, as it comes from another process, is placed by its age on the wall clock.
func (c clock) reading(t time.Time) int64 {
	switch {
	case t.IsZero():
		return c.now()
	case t != t.Round(0): // Round strips the monotonic reading
		return int64(t.Sub(c.base))
	}
	age := max(0, time.Since(t))
	return c.now() - int64(age)
}

// never is the deadline of an entry that does not expire.
const never = math.MaxInt64

// timeouts are the map's rules on when an entry expires, in nanoseconds; 0 is off.
type timeouts struct{ idle, lifetime int64 }

// expired reports whether an entry with these properties has reached its deadline at now.
func (t timeouts) expired(accessed, idle, created, now int64) bool {
	return idle > 0 && now-accessed >= idle || t.lifetime > 0 && now-created >= t.lifetime
}

// deadline is the earlier of the last access + the idle timeout and the creation + the lifetime.
func (t timeouts) deadline(accessed, idle, created int64) int64 {
	return min(after(accessed, idle), after(created, t.lifetime))
}

// cause is the cause of a removal at the deadline.
func (t timeouts) cause(accessed, idle, created int64) Cause {
	if after(accessed, idle) <= after(created, t.lifetime) {
		return Idle
	}
	return Lifetime
}

func after(start, timeout int64) int64 {
	if timeout <= 0 || start > never-timeout {
		return never
	}
	return start + timeout
}

// deadlines is a heap of the entries whose deadline cannot be told from the order of access: those with an
// idle timeout of their own, and all once the map has a lifetime. An entry stands by the deadline it had
// when last placed; touches since have only moved the true one later, and a drain places it anew.
type deadlines[K comparable, V any] struct{ items []deadline[K, V] }

type deadline[K comparable, V any] struct {
	at    int64
	entry *entry[K, V]
	extra *extra // the entry's
}

// place puts e into the heap at the given deadline, or moves it there.
func (d *deadlines[K, V]) place(e *entry[K, V], x *extra, at int64) {
	if x.heapIndex == 0 {
		d.items = append(d.items, deadline[K, V]{at, e, x})
		x.heapIndex = int32(len(d.items))
	} else {
		d.items[x.heapIndex-1].at = at
	}
	heap.Fix(d, int(x.heapIndex-1))
}

func (d *deadlines[K, V]) remove(e *entry[K, V]) {
	x := e.extra.Load()
	if x == nil || x.heapIndex == 0 {
		return
	}
	i, last := int(x.heapIndex-1), len(d.items)-1
	d.Swap(i, last)
	d.items[last] = deadline[K, V]{}
	d.items = d.items[:last]
	x.heapIndex = 0
	if i != last {
		heap.Fix(d, i)
	}
	const small = 64
	if cap(d.items) > small && len(d.items) < cap(d.items)/4 {
		d.items = append(make([]deadline[K, V], 0, cap(d.items)/2), d.items...)
	}
}

// first returns the entry with the earliest deadline; nil if there is none.
func (d *deadlines[K, V]) first() (*entry[K, V], int64) {
	if len(d.items) == 0 {
		return nil, never
	}
	return d.items[0].entry, d.items[0].at
}

// The methods of heap.Interface that heap.Fix needs; entries come and go by place and remove.
func (d *deadlines[K, V]) Len() int           { return len(d.items) }
func (d *deadlines[K, V]) Less(i, j int) bool { return d.items[i].at < d.items[j].at }
func (d *deadlines[K, V]) Swap(i, j int) {
	d.items[i], d.items[j] = d.items[j], d.items[i]
	d.items[i].extra.heapIndex, d.items[j].extra.heapIndex = int32(i+1), int32(j+1)
}
func (d *deadlines[K, V]) Push(any) { panic("unused") }
func (d *deadlines[K, V]) Pop() any { panic("unused") }

// A sweeper tells when to look for expired entries. It wakes at the next deadline, but no more often than
// its interval, and not at all while nothing can expire: between sweeps there is a timer and no goroutine.
// The timer's function holds the map by a weak pointer only. Guarded by the map's lock.
type sweeper struct {
	interval int64
	sweep    func() // runs on a goroutine of its own when the timer fires
	timer    *time.Timer
	wakeAt   int64 // the clock reading for which the timer is set; never while it is not
	last     int64 // when the last sweep began
	running  bool
	ended    chan struct{} // made by stop if a sweep is under way, closed by its end
}

func newSweeper(interval time.Duration, sweep func()) sweeper {
	return sweeper{interval: int64(interval), sweep: sweep, wakeAt: never, last: math.MinInt64 / 2}
}

// arm sees to it that the sweeper wakes for the given deadline.
func (s *sweeper) arm(deadline, now int64) {
	wake := max(deadline, after(s.last, s.interval))
	if s.running || wake >= s.wakeAt {
		return
	}
	wait := time.Duration(wake - now)
	switch {
	case s.timer == nil:
		s.timer = time.AfterFunc(wait, s.sweep)
	case s.wakeAt != never && !s.timer.Stop():
		return // it has just fired, and that sweep will arm it anew
	default:
		s.timer.Reset(wait)
	}
	s.wakeAt = wake
}

// begin is the first thing a woken sweep does.
func (s *sweeper) begin(now int64) {
	s.wakeAt, s.last, s.running = never, now, true
}

// end is the last.
func (s *sweeper) end() {
	s.running = false
	if s.ended != nil {
		close(s.ended)
	}
}

// stop ends the waking. Once what it returns is closed no goroutine of the sweeper is left; nil if there is none.
func (s *sweeper) stop() <-chan struct{} {
	fired := s.wakeAt != never && !s.timer.Stop()
	if fired || s.running {
		s.ended = make(chan struct{})
	}
	s.wakeAt = never
	return s.ended
}

// sweepBatch is how many entries a sweep removes before it lets others have the lock.
const sweepBatch = 128

// sweep removes and reports what is expired.
func (m *RobustSessionMap[K, V]) sweep() (removed int) {
	start := m.clock.now()
	batch := make([]removal[K, V], sweepBatch)
	for full := true; full; {
		m.mu.Lock()
		n := m.policy.Load().removeExpired(m.clock.now(), batch)
		m.mu.Unlock()
		m.report(batch[:n])
		clear(batch[:n])
		removed += n
		full = n == len(batch)
	}
	m.counters.swept(time.Duration(m.clock.now() - start))
	return removed
}

// sweepInBackground is what the sweeper's timer runs.
func (m *RobustSessionMap[K, V]) sweepInBackground() {
	m.mu.Lock()
	m.sweeper.begin(m.clock.now())
	closed := m.closed.Load()
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.sweeper.end()
		if !m.closed.Load() {
			m.sweeper.arm(m.policy.Load().nextDeadline(), m.clock.now())
		}
	}()
	if !closed {
		m.sweep()
	}
}
