package sessionmap

import (
	"container/heap"
	"math"
	"slices"
	"time"
)

// never is the deadline of an entry that does not expire.
const never = math.MaxInt64

// timeouts are the map's rules on when an entry expires, in nanoseconds; 0 is off.
type timeouts struct {
	idle, lifetime int64
	strict         bool // the lifetime ends leased entries too
}

// expired reports whether an entry with these properties has reached its deadline at now.
func (t timeouts) expired(accessed, idle, created, now int64) bool {
	return idle > 0 && now-accessed >= idle || t.lifetime > 0 && now-created >= t.lifetime && (t.strict || accessed != held)
}

// deadline is the earlier of the last access + the idle timeout and the creation + the lifetime.
func (t timeouts) deadline(accessed, idle, created int64) int64 {
	return min(after(accessed, idle), t.lifetimeEnd(accessed, created))
}

func (t timeouts) lifetimeEnd(accessed, created int64) int64 {
	if accessed == held && !t.strict {
		return never
	}
	return after(created, t.lifetime)
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
//
// The heap lies in pieces, so that growing never copies more than a list of these: one array of a million
// items took 13 ms to grow.
type deadlines[K comparable, V any] struct {
	pieces [][]deadline[K, V]
	len    int
}

type deadline[K comparable, V any] struct {
	at    int64
	entry *entry[K, V]
	extra *extra // the entry's
}

const deadlinePiece = 128 // items

func (d *deadlines[K, V]) item(i int) *deadline[K, V] {
	return &d.pieces[i/deadlinePiece][i%deadlinePiece]
}

// place puts e into the heap at the given deadline, or moves it there.
func (d *deadlines[K, V]) place(e *entry[K, V], x *extra, at int64) {
	if x.heapIndex == 0 {
		if d.len == len(d.pieces)*deadlinePiece {
			d.pieces = append(d.pieces, make([]deadline[K, V], deadlinePiece))
		}
		d.len++
		*d.item(d.len - 1) = deadline[K, V]{at, e, x}
		x.heapIndex = int32(d.len)
	} else {
		d.item(int(x.heapIndex - 1)).at = at
	}
	heap.Fix(d, int(x.heapIndex-1))
}

func (d *deadlines[K, V]) remove(e *entry[K, V]) {
	x := e.extra.Load()
	if x == nil || x.heapIndex == 0 {
		return
	}
	i, last := int(x.heapIndex-1), d.len-1
	d.Swap(i, last)
	*d.item(last) = deadline[K, V]{}
	d.len--
	x.heapIndex = 0
	if i != last {
		heap.Fix(d, i)
	}
	if n := len(d.pieces); d.len <= (n-2)*deadlinePiece {
		d.pieces[n-1] = nil
		d.pieces = d.pieces[:n-1]
		if cap(d.pieces) > 4*n {
			d.pieces = slices.Clone(d.pieces)
		}
	}
}

// first returns the entry with the earliest deadline; nil if there is none.
func (d *deadlines[K, V]) first() (*entry[K, V], int64) {
	if d.len == 0 {
		return nil, never
	}
	return d.item(0).entry, d.item(0).at
}

// The methods of heap.Interface that heap.Fix needs; entries come and go by place and remove.
func (d *deadlines[K, V]) Len() int           { return d.len }
func (d *deadlines[K, V]) Less(i, j int) bool { return d.item(i).at < d.item(j).at }
func (d *deadlines[K, V]) Swap(i, j int) {
	a, b := d.item(i), d.item(j)
	*a, *b = *b, *a
	a.extra.heapIndex, b.extra.heapIndex = int32(i+1), int32(j+1)
}
func (d *deadlines[K, V]) Push(any) { panic("unused") }
func (d *deadlines[K, V]) Pop() any { panic("unused") }

// An alarm runs a function when something is due, but no more often than its interval, and not at all while
// nothing is: between two runs there is a timer and no goroutine. The function holds the map by a weak
// pointer only. Guarded by the map's lock.
type alarm struct {
	interval int64
	ring     func() // runs on a goroutine of its own when the timer fires
	timer    *timerSlot
	wakeAt   int64 // the clock reading for which the timer is set; never while it is not
	last     int64 // when the last run began
	running  bool
	stopped  bool          // it is not to ring again
	ended    chan struct{} // made by stop if a run is under way, closed by its end
}

// A timerSlot holds an alarm's timer, nil until it is armed for the first time, apart from the map: so that whoever
// collects the map can stop it.
type timerSlot struct{ *time.Timer }

func newAlarm(interval time.Duration, ring func()) alarm {
	return alarm{interval: int64(interval), ring: ring, timer: new(timerSlot), wakeAt: never, last: math.MinInt64 / 2}
}

// stopTimers stops those of a map that was dropped without Close, which would hold some hundred bytes until they fire.
func stopTimers(slots [4]*timerSlot) {
	for _, slot := range slots {
		if slot.Timer != nil {
			slot.Stop()
		}
	}
}

// arm sees to it that the alarm rings for the given deadline. What it is asked for during a run it leaves to the end
// of that, which arms it for whatever is then due.
func (a *alarm) arm(deadline, now int64) {
	wake := max(deadline, after(a.last, a.interval))
	if a.running || a.stopped || wake >= a.wakeAt {
		return
	}
	// Not 0: in a bubble such a timer fires within Reset, where the race detector of Go 1.26 has been seen to crash.
	wait := time.Duration(max(1, wake-now))
	switch {
	case a.timer.Timer == nil:
		a.timer.Timer = time.AfterFunc(wait, a.ring)
	case a.wakeAt != never && !a.timer.Stop():
		return // it has just fired, and that run will arm it anew
	default:
		a.timer.Reset(wait)
	}
	a.wakeAt = wake
}

// begin is the first thing a run does.
func (a *alarm) begin(now int64) {
	a.wakeAt, a.last, a.running = never, now, true
}

// end is the last.
func (a *alarm) end() {
	a.running = false
	if a.ended != nil {
		close(a.ended)
	}
}

// stop ends the ringing. Once what it returns is closed no goroutine of the alarm is left; nil if there is none.
func (a *alarm) stop() <-chan struct{} {
	fired := a.wakeAt != never && !a.timer.Stop()
	if fired || a.running {
		a.ended = make(chan struct{})
	}
	a.wakeAt, a.stopped = never, true
	return a.ended
}

// answer is a run of one of the map's alarms: it does work, with no lock held, and arms the alarm for the
// next deadline, which is asked for with the lock held.
func (m *RobustSessionMap[K, V]) answer(a *alarm, work func(), next func(now int64) int64) {
	m.mu.Lock()
	a.begin(m.clock.exact())
	stopped := a.stopped
	m.mu.Unlock()
	defer func() { // deferred, for a callback may end its goroutine
		m.mu.Lock()
		defer m.mu.Unlock()
		a.end()
		now := m.clock.exact()
		a.arm(next(now), now)
	}()
	if !stopped {
		work()
	}
}

// sweepInBackground is what the sweeper rings.
func (m *RobustSessionMap[K, V]) sweepInBackground() {
	m.answer(&m.sweeper, func() { m.sweep() }, func(now int64) int64 {
		p := m.policy.Load()
		next := min(p.nextDeadline(), m.keys.deadline())
		if m.unreleased > 0 {
			next = min(next, after(now, leaseCheck))
		}
		return next
	})
}

// tick is what the ticker rings. Beginning to answer has set the clock right.
func (m *RobustSessionMap[K, V]) tick() {
	m.answer(&m.ticker, func() {}, func(now int64) int64 {
		if m.Len() == 0 {
			return never
		}
		return after(now, m.ticker.interval)
	})
}

// sweepBatch is how many entries a sweep removes before it lets others have the lock.
const sweepBatch = 128

// sweep removes and reports what is expired.
func (m *RobustSessionMap[K, V]) sweep() (removed int) {
	start := m.clock.exact()
	m.checkLeases()
	m.mu.Lock()
	m.forgetKeys(start)
	m.mu.Unlock()
	batch := make([]removal[K, V], sweepBatch)
	for more := true; more; {
		var n int
		m.mu.Lock()
		now := m.clock.exact()
		if n, more = m.policy.Load().removeExpired(now, batch); n > 0 {
			m.stir(now)
		}
		m.mu.Unlock()
		m.report(batch[:n])
		clear(batch[:n])
		removed += n
	}
	m.counters.swept(time.Duration(m.clock.exact() - start))
	return removed
}
