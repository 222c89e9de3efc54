package sessionmap

import "sync/atomic"

// A policy knows which entries exist, in what order they were accessed and when they expire. It is not
// synchronised: but for find and the count, it needs the map's lock. It calls no user code, and
// what its methods end they return as removals, for the map to report once the lock is released.
type policy[K comparable, V any] struct {
	table      table[K, V]
	recency    recency[K, V]
	deadlines  deadlines[K, V]
	leases     *leases   // apart, for those who hold one hold it, and are not to hold a policy that has been cleared
	owners     []*owners // by the number of the index
	count      atomic.Int64
	cost       atomic.Int64 // of all values, and
	leasedCost int64        // of those of leased entries
	costs      []int64      // by the number of the value in its session

	evicted  int   // live entries, since the watch has looked, and
	youngest int64 // how long ago that of them was accessed which was accessed last

	timeouts timeouts
	maxSize  int   // 0 is no bound
	maxCost  int64 // the same
	values   boxer[V]
	extra    bool   // entries need their extra part from the start
	warmed   uint64 // what warm has read, so that it is not optimised away
}

// A removal is a value that has left the map, and why.
type removal[K comparable, V any] struct {
	key   K
	value V
	cause Cause
	ties  *ties // of the entry, if it has ended
}

func newPolicy[K comparable, V any](t timeouts, maxSize int, maxCost int64, c clock) *policy[K, V] {
	p := &policy[K, V]{leases: new(leases), youngest: never, timeouts: t, maxSize: maxSize, maxCost: maxCost, values: newBoxer[V](), extra: t.lifetime > 0 || c.steps()}
	p.table.init()
	p.recency.init(t, c, p.reindex)
	return p
}

// touch records an access at now to e, which is live.
func (p *policy[K, V]) touch(e *entry[K, V], now int64) {
	if e.touch(now, p.timeouts) && p.recency.touched(e) {
		p.recency.drain()
	}
}

// lookup returns the live entry of key. One that is expired it removes, which is then what has left.
func (p *policy[K, V]) lookup(hash uint32, key K, now int64, left *removal[K, V]) *entry[K, V] {
	e := p.table.find(hash, key)
	for e != nil && !e.live(now, p.timeouts) {
		if box, cause := e.endExpired(now, p.timeouts); box != nil {
			p.remove(e)
			*left = p.removal(e, box, cause)
			return nil
		}
	}
	return e
}

func (p *policy[K, V]) removal(e *entry[K, V], box *boxed[V], cause Cause) removal[K, V] {
	return removal[K, V]{key: e.key, value: p.values.open(box), cause: cause, ties: e.ties()}
}

// makeRoom removes the entry that has to give way, for the given cause: one that is expired at now if there is any,
// else, unless the cause is 0, the least recently accessed; none if all are leased. Where it takes too long to find it done is false, and
// makeRoom is to be called again: the holder of the lock may let others have it first. The entry for whose sake it
// is, if it is in the map, is live at now and does not give way.
func (p *policy[K, V]) makeRoom(now int64, sake *entry[K, V], why Cause, left *removal[K, V]) (done bool) {
	e, box, cause, found := p.endNextExpired(now)
	if e == nil && found {
		if why == 0 {
			return true
		}
		var at stamp
		e, at, found = p.oldestBut(sake)
		if e == nil || !found {
			return found
		}
		if box, cause = e.endOldest(at), why; box != nil && why != Pressure {
			p.evicted++
			p.youngest = min(p.youngest, now-at.accessed)
		}
	}
	if box == nil {
		return false
	}
	p.remove(e)
	*left = p.removal(e, box, cause)
	return true
}

// oldestBut is recency's oldest without one entry; nil is none. To be passed over is no access.
func (p *policy[K, V]) oldestBut(sake *entry[K, V]) (e *entry[K, V], at stamp, found bool) {
	e, at, found = p.recency.oldest()
	if e != nil && e == sake {
		p.recency.withdraw(sake)
		e, at, found = p.recency.oldest()
		p.recency.file(sake, sake.stamp())
	}
	return e, at, found
}

// insert adds an entry for key, which must not be there, to a map that is not full.
func (p *policy[K, V]) insert(hash uint32, key K, box *boxed[V], idle, now int64) *entry[K, V] {
	e := newEntry[K, V](p.extra || idle != p.timeouts.idle)
	e.key, e.hash, e.created = key, hash, now
	e.value.Store(box)
	e.accessed.Store(now)
	if x := e.extra.Load(); x != nil {
		x.idle.Store(idle)
		p.index(e)
	}
	p.recency.add(e)
	p.count.Add(1) // before it can be found, so that Len counts all that can be
	p.table.insert(e)
	return e
}

// remove takes e, which has ended, out of the map.
func (p *policy[K, V]) remove(e *entry[K, V]) {
	if t := e.ties(); t != nil {
		for number := range t.owned {
			p.disown(t, number)
		}
		for number, cost := range t.costs {
			p.charge(t, number, -cost)
		}
	}
	p.table.remove(e)
	p.recency.remove(e)
	p.deadlines.remove(e)
	p.count.Add(-1)
}

// removeExpired removes up to len(out) entries that are expired at now, and returns how many. more is true
// when there may be others.
func (p *policy[K, V]) removeExpired(now int64, out []removal[K, V]) (n int, more bool) {
	p.warm(len(out))
	for n := range out {
		e, box, cause, found := p.endNextExpired(now)
		if e == nil {
			return n, !found
		}
		p.remove(e)
		out[n] = p.removal(e, box, cause)
	}
	return len(out), true
}

func (p *policy[K, V]) full() bool { return p.maxSize > 0 && p.count.Load() >= int64(p.maxSize) }

// warm reads the places in the table of the n entries that are likely to be removed next. The processor
// waits for all of these cache misses at once, and in the removals that follow would for one after the
// other: that makes the sweep of a million entries a third shorter.
func (p *policy[K, V]) warm(n int) {
	for _, e := range p.recency.shared.next(n) {
		if e != nil {
			p.warmed += p.table.peek(e.hash)
		}
	}
}

// endNextExpired ends one entry that is expired at now; nil if there is none. On its way it puts in order what
// has been accessed since it was filed. After a bounded number of those it gives up, with found false.
func (p *policy[K, V]) endNextExpired(now int64) (e *entry[K, V], box *boxed[V], cause Cause, found bool) {
	for range sweepBatch {
		e, at := p.deadlines.first()
		if at > now {
			return p.endOldestExpired(now)
		}
		if box, cause := e.endExpired(now, p.timeouts); box != nil {
			return e, box, cause, true
		}
		p.index(e) // touched since
	}
	return nil, nil, 0, false
}

// endOldestExpired is endNextExpired for the entries with the map's idle timeout.
func (p *policy[K, V]) endOldestExpired(now int64) (e *entry[K, V], box *boxed[V], cause Cause, found bool) {
	if p.timeouts.idle == 0 {
		return nil, nil, 0, true
	}
	e, at, found := p.recency.seek(&p.recency.shared)
	if e == nil || now-at.accessed < p.timeouts.idle {
		return nil, nil, 0, found
	}
	if box, cause = e.endExpired(now, p.timeouts); box == nil {
		return nil, nil, 0, false // touched just now
	}
	return e, box, cause, true
}

// nextDeadline is no later than the first moment at which an entry can expire; never if none can. Where it
// takes too long to tell it is 0, so that the next sweep goes on looking.
func (p *policy[K, V]) nextDeadline() int64 {
	_, next := p.deadlines.first()
	for range 4 {
		e, at, found := p.recency.seek(&p.recency.shared)
		if e != nil {
			next = min(next, after(at.accessed, p.timeouts.idle))
		}
		if found {
			return next
		}
	}
	return 0
}

// setIdle gives e another idle timeout.
func (p *policy[K, V]) setIdle(e *entry[K, V], idle int64) {
	if e.idle(p.timeouts) == idle {
		return
	}
	p.deadlines.remove(e)
	p.recency.setIdle(e, idle)
	p.index(e)
}

// index places e, which has an extra part, in the deadline heap, or takes it out if it does not belong there.
func (p *policy[K, V]) index(e *entry[K, V]) {
	x, accessed := e.extra.Load(), e.accessed.Load()
	at := p.timeouts.lifetimeEnd(accessed, e.created)
	if idle := x.idle.Load(); idle != p.timeouts.idle {
		at = min(at, after(accessed, idle))
	}
	if at == never {
		p.deadlines.remove(e)
	} else {
		p.deadlines.place(e, x, at)
	}
}

// reindex places e, which recency has filed anew, in the deadline heap anew.
func (p *policy[K, V]) reindex(e *entry[K, V]) {
	if x := e.extra.Load(); x.heapIndex != 0 && x.idle.Load() != p.timeouts.idle {
		p.index(e)
	}
}
