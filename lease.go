package sessionmap

import (
	"container/list"
	"context"
	"iter"
	"runtime"
	"sync/atomic"
	"time"
	"weak"
)

// A Lease keeps a session from ending while somebody works with it: the entry neither idles out nor reaches
// the end of its lifetime (but see [WithStrictLifetime]) nor gives way to another. An explicit act still ends
// it: a delete, an event, the end of its context, Clear, Close; then Done is closed. [RobustSessionMap.Acquire]
// makes one, and its holder has to Release it. A Lease is safe for concurrent use.
//
// A lease that is dropped without Release is released once it is collected, counted in [Stats] and logged.
// Those held for longer than [WithLeaseWarning] says are logged and counted too.
type Lease[K comparable, V any] struct {
	m       *RobustSessionMap[K, V]
	record  *leaseRecord
	value   *boxed[V] // at Acquire
	cleanup runtime.Cleanup
}

// A leaseRecord is what the map knows of a lease. It does not hold the Lease.
type leaseRecord struct {
	ties     *ties
	since    int64
	in       *leases
	elem     *list.Element
	late     bool
	released bool // guarded by the map's lock
}

// leaseCheck is after how long, at the least, a sweep looks for leases that are lost or overdue.
const leaseCheck = int64(10 * time.Second)

// leases are the leases of a policy. Guarded by the map's lock, but for the counts.
type leases struct {
	all   list.List     // of *leaseRecord, the oldest in front
	young *list.Element // the first that is not overdue, as far as a sweep has looked

	held, late atomic.Int64 // how many there are, and how many of these are overdue
}

func (l *leases) add(r *leaseRecord) {
	r.in, r.elem = l, l.all.PushBack(r)
	if l.young == nil {
		l.young = r.elem
	}
	l.held.Add(1)
}

func (r *leaseRecord) remove() {
	r.in.held.Add(-1)
	if r.late {
		r.in.late.Add(-1)
	}
	if r.in.young == r.elem {
		r.in.young = r.elem.Next()
	}
	r.in.all.Remove(r.elem)
	r.in, r.elem = nil, nil
}

// sift finds what was leased by the given moment overdue, and returns how many, sweepBatch at the most.
func (l *leases) sift(by int64) (n int) {
	for ; n < sweepBatch && l.young != nil; n++ {
		r := l.young.Value.(*leaseRecord)
		if r.since > by {
			break
		}
		r.late = true
		l.late.Add(1)
		l.young = l.young.Next()
	}
	return n
}

// Acquire leases the session of key, and reports whether it is there. It is an access. A session may be leased
// any number of times, by any number of goroutines. Acquire and Release take the map's lock, for a moment.
func (m *RobustSessionMap[K, V]) Acquire(key K) (lease *Lease[K, V], ok bool) {
	defer func() { lease.watch() }() // deferred, for a callback may end the goroutine
	m.withLive(key, func(p *policy[K, V], e *entry[K, V], now int64) { lease = m.lease(p, e, now) })
	return lease, lease != nil
}

// lease leases e, which is live. It needs the lock.
func (m *RobustSessionMap[K, V]) lease(p *policy[K, V], e *entry[K, V], now int64) *Lease[K, V] {
	m.sweeper.arm(after(now, leaseCheck), now)
	m.unreleased++
	return &Lease[K, V]{m: m, record: p.acquire(e, now), value: e.value.Load()}
}

// watch has the lease released should it be lost.
func (l *Lease[K, V]) watch() {
	if l == nil {
		return
	}
	lost := lostLease[K, V]{m: weak.Make(l.m), record: weak.Make(l.record)}
	l.cleanup = runtime.AddCleanup(l, lostLease[K, V].found, lost)
}

// Key returns the session's key, which [RobustSessionMap.Rename] changes. It is no access, and takes the map's lock.
func (l *Lease[K, V]) Key() K {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	return l.record.ties.entry.(*entry[K, V]).key
}

// Value returns the session's value; once the session has ended, what it was at Acquire. It is no access, and
// takes the map's lock.
func (l *Lease[K, V]) Value() V {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if box := l.record.ties.entry.(*entry[K, V]).value.Load(); box != nil {
		return l.m.values.open(box)
	}
	return l.m.values.open(l.value)
}

// Done returns a channel that is closed when the session is ended under the lease.
func (l *Lease[K, V]) Done() <-chan struct{} { return l.record.ties.done() }

// Context returns a context that is cancelled when the session ends, as [RobustSessionMap.SessionContext] does.
func (l *Lease[K, V]) Context() context.Context { return l.record.ties.context() }

// Within returns a context for work in the session: it is done when ctx is, or when the session is ended, its cause then
// being an [*EndedError]. stop ends it, and has to be called when the work is done. It panics if ctx is nil.
func (l *Lease[K, V]) Within(ctx context.Context) (within context.Context, stop func()) {
	within, cancel := context.WithCancelCause(ctx)
	callbacks := l.m.callbacks
	end := func(cause error) { callbacks.run("Within", func() { cancel(cause) }) } // which leaves ctx, that may be of any kind
	forget := l.record.ties.whenEnded(func(cause Cause) { end(&EndedError{cause}) })
	return within, func() {
		forget()
		end(nil)
	}
}

// Release ends the lease; it is an access at the last moment of it. Further calls do nothing, nor does one on
// a nil Lease.
func (l *Lease[K, V]) Release() {
	if l == nil {
		return
	}
	l.cleanup.Stop()
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	l.m.release(l.record)
}

// release needs the lock.
func (m *RobustSessionMap[K, V]) release(r *leaseRecord) (done bool) {
	if r.released {
		return false
	}
	r.released = true
	m.unreleased--
	if now, deadline, filed := m.policy.Load().release(r, m.clock); filed {
		m.sweeper.arm(deadline, now)
	}
	return true
}

// Leases returns an iterator over the leased sessions and since when each lease has been held, the longest
// first. It is no access, and holds no lock while the loop runs.
func (m *RobustSessionMap[K, V]) Leases() iter.Seq2[K, time.Time] {
	return func(yield func(K, time.Time) bool) {
		p := m.policy.Load()
		for elem := range m.walk(func() *list.List { return &p.leases.all }, func(elem *list.Element) bool {
			return !elem.Value.(*leaseRecord).released
		}) {
			r := elem.Value.(*leaseRecord)
			m.mu.Lock()
			key := r.ties.entry.(*entry[K, V]).key
			released := r.released
			m.mu.Unlock()
			if !released && !yield(key, m.clock.time(r.since)) {
				return
			}
		}
	}
}

// acquire leases e, which is live, from now on. Leased, an entry stands in no history and not in the deadline
// heap, unless a strict lifetime ends it all the same.
func (p *policy[K, V]) acquire(e *entry[K, V], now int64) *leaseRecord {
	t := p.tie(e)
	if t.leases.Add(1) == 1 {
		p.leasedCost += t.cost.Load()
		p.recency.withdraw(e)
		e.accessed.Store(held)
		p.index(e)
	}
	r := &leaseRecord{ties: t, since: now}
	p.leases.add(r)
	return r
}

// release ends a lease. If it was the last on an entry that is still in the map, the entry was accessed now:
// it is filed again, and release returns its deadline. Now comes after all accesses that met it leased: who comes later
// waits until that is decided.
func (p *policy[K, V]) release(r *leaseRecord, c clock) (now, deadline int64, filed bool) {
	r.remove()
	t := r.ties
	left := t.leases.Add(-1)
	e := t.entry.(*entry[K, V])
	if left > 0 || p.table.find(e.hash, e.key) != e || !e.accessed.CompareAndSwap(held, deciding) {
		return 0, 0, false
	}
	now = c.exact()
	e.accessed.Store(now)
	p.leasedCost -= t.cost.Load()
	p.recency.restore(e)
	p.index(e)
	return now, p.timeouts.deadline(now, e.idle(p.timeouts), e.created), true
}

// A lostLease is what is left of a lease that was collected without Release. It holds nothing.
type lostLease[K comparable, V any] struct {
	m      weak.Pointer[RobustSessionMap[K, V]]
	record weak.Pointer[leaseRecord]
}

// found runs outside every testing/synctest bubble, where the map's clock and timers must not be touched: it
// leaves the lease to the next sweep, which is never far while something is leased.
func (l lostLease[K, V]) found() {
	m := l.m.Value()
	if m == nil {
		return
	}
	lost := &lostRecord{record: l.record.Value()}
	for {
		lost.next = m.lost.Load()
		if m.lost.CompareAndSwap(lost.next, lost) {
			return
		}
	}
}

// A lostRecord is one of a stack.
type lostRecord struct {
	record *leaseRecord // nil if nothing holds it any more, for its session has been cleared
	next   *lostRecord
}

// checkLeases releases what has been lost, and tells of what has been held for long.
func (m *RobustSessionMap[K, V]) checkLeases() {
	n := 0
	for lost := m.lost.Swap(nil); lost != nil; lost = lost.next {
		m.mu.Lock()
		found := true
		if lost.record == nil {
			m.unreleased--
		} else {
			found = m.release(lost.record)
		}
		if found {
			n++
			m.stir(m.clock.exact())
		}
		m.mu.Unlock()
	}
	if n > 0 {
		m.counters.lostLeases.Add(uint64(n))
		m.callbacks.warn("sessionmap: leases were dropped without Release", "leases", n)
	}
	if m.leaseWarning <= 0 {
		return
	}
	overdue := 0
	for more := true; more; {
		m.mu.Lock()
		now := m.clock.exact()
		found := m.policy.Load().leases.sift(now - m.leaseWarning)
		if found > 0 {
			m.stir(now)
		}
		m.mu.Unlock()
		overdue += found
		more = found == sweepBatch
	}
	if overdue > 0 {
		m.callbacks.warn("sessionmap: leases are held for long; Leases tells which", "leases", overdue, "longer_than", time.Duration(m.leaseWarning))
	}
}
