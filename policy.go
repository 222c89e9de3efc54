package sessionmap

import "sync/atomic"

// A policy knows which entries exist, in what order they were accessed and when they expire. It is not
// synchronised: but for find, touch and the count, it needs the map's lock. It calls no user code, and
// what its methods end they return as removals, for the map to report once the lock is released.
type policy[K comparable, V any] struct {
	table     *table[K, V]
	recency   *recency[K, V]
	deadlines deadlines[K, V]
	count     atomic.Int64

	timeouts timeouts
	maxSize  int // 0 is no bound
}

// A removal is a value that has left the map, and why.
type removal[K comparable, V any] struct {
	key   K
	value V
	cause Cause
}

func newPolicy[K comparable, V any](t timeouts, maxSize int, c clock) *policy[K, V] {
	p := &policy[K, V]{table: newTable[K, V](), timeouts: t, maxSize: maxSize}
	p.recency = newRecency(t.idle, c, p.reindex)
	return p
}

// touch records an access to e at now, unless it is too late for that. full reports that a drain is due.
func (p *policy[K, V]) touch(e *entry[K, V], now int64) (ok, full bool) {
	if !e.touch(now, p.timeouts) {
		return false, false
	}
	return true, p.recency.touched(e)
}

// lookup returns the live entry of key. One that is expired it removes, and returns as a removal.
func (p *policy[K, V]) lookup(hash uint32, key K, now int64) (e *entry[K, V], out removal[K, V]) {
	e = p.table.find(hash, key)
	for e != nil && !e.live(now, p.timeouts) {
		if box, cause := e.endExpired(now, p.timeouts); box != nil {
			p.remove(e)
			return nil, removal[K, V]{e.key, *box, cause}
		}
	}
	return e, out
}

// insert adds an entry for key, which must not be there. In a full map another one gives way to it, and
// is returned: an expired one if there is any, else the least recently accessed.
func (p *policy[K, V]) insert(hash uint32, key K, box *V, idle, now int64) (out removal[K, V]) {
	e := &entry[K, V]{key: key, hash: hash, created: now}
	e.value.Store(box)
	e.accessed.Store(now)
	e.idle.Store(idle)
	if p.maxSize > 0 && p.count.Load() >= int64(p.maxSize) {
		var victim *entry[K, V]
		victim, out = p.evict(now)
		p.table.remove(victim)
		p.deadlines.remove(victim)
		p.count.Add(-1)
		p.recency.replace(victim, e)
	} else {
		p.recency.add(e)
	}
	p.table.insert(e)
	p.count.Add(1)
	p.index(e)
	return out
}

// evict ends the entry that has to give way, and leaves it to the caller to take it out.
func (p *policy[K, V]) evict(now int64) (*entry[K, V], removal[K, V]) {
	e, box, cause := p.endNextExpired(now)
	if e == nil {
		e = p.recency.oldest()
		box, cause = e.end(), Evicted
	}
	return e, removal[K, V]{e.key, *box, cause}
}

// remove takes e, which has ended, out of the map.
func (p *policy[K, V]) remove(e *entry[K, V]) {
	p.table.remove(e)
	p.recency.remove(e)
	p.deadlines.remove(e)
	p.count.Add(-1)
}

// removeExpired removes up to len(out) entries that are expired at now, and returns how many.
func (p *policy[K, V]) removeExpired(now int64, out []removal[K, V]) int {
	for n := range out {
		e, box, cause := p.endNextExpired(now)
		if e == nil {
			return n
		}
		p.remove(e)
		out[n] = removal[K, V]{e.key, *box, cause}
	}
	return len(out)
}

// endNextExpired ends one entry that is expired at now; nil if there is none.
func (p *policy[K, V]) endNextExpired(now int64) (*entry[K, V], *V, Cause) {
	for drained := false; ; {
		e, at := p.deadlines.first()
		if at > now {
			break
		}
		if e.queued() && !drained {
			p.recency.drain()
			drained = true
			continue
		}
		if box, cause := e.endExpired(now, p.timeouts); box != nil {
			return e, box, cause
		}
		p.index(e) // touched meanwhile
	}
	if p.timeouts.idle > 0 {
		if e := p.recency.back(&p.recency.shared); e != nil {
			if box, cause := e.endExpired(now, p.timeouts); box != nil {
				return e, box, cause
			}
		}
	}
	return nil, nil, 0
}

// nextDeadline is no later than the first moment at which an entry can expire; never if none can.
func (p *policy[K, V]) nextDeadline() int64 {
	next := int64(never)
	if p.timeouts.idle > 0 {
		if e := p.recency.back(&p.recency.shared); e != nil {
			next = after(e.accessed.Load(), p.timeouts.idle)
		}
	}
	_, at := p.deadlines.first()
	return min(next, at)
}

// setIdle gives e another idle timeout.
func (p *policy[K, V]) setIdle(e *entry[K, V], idle int64) {
	if e.idle.Load() == idle {
		return
	}
	p.deadlines.remove(e)
	p.recency.setIdle(e, idle)
	p.index(e)
}

// index places e in the deadline heap, if it belongs there.
func (p *policy[K, V]) index(e *entry[K, V]) {
	idle := e.idle.Load()
	at := after(e.created, p.timeouts.lifetime)
	if idle != p.timeouts.idle {
		at = min(at, after(e.accessed.Load(), idle))
	}
	if at != never {
		p.deadlines.place(e, at)
	}
}

// reindex places e, which a drain has moved, in the deadline heap anew.
func (p *policy[K, V]) reindex(e *entry[K, V]) {
	if e.heapIndex != 0 && e.idle.Load() != p.timeouts.idle {
		p.index(e)
	}
}
