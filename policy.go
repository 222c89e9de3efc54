package sessionmap

import "sync/atomic"

// A policy knows which entries exist, in what order they were accessed and when they expire. It is not
// synchronised: but for find and the count, it needs the map's lock. It calls no user code, and
// what its methods end they return as removals, for the map to report once the lock is released.
type policy[K comparable, V any] struct {
	table     table[K, V]
	recency   recency[K, V]
	deadlines deadlines[K, V]
	count     atomic.Int64

	timeouts timeouts
	maxSize  int // 0 is no bound
	values   boxer[V]
	extra    bool   // entries need their extra part from the start
	warmed   uint64 // what warm has read, so that it is not optimised away
}

// A removal is a value that has left the map, and why.
type removal[K comparable, V any] struct {
	key   K
	value V
	cause Cause
}

func newPolicy[K comparable, V any](t timeouts, maxSize int, c clock) *policy[K, V] {
	p := &policy[K, V]{timeouts: t, maxSize: maxSize, values: newBoxer[V](), extra: t.lifetime > 0 || c.steps}
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

// lookup returns the live entry of key. One that is expired it removes, and returns as a removal.
func (p *policy[K, V]) lookup(hash uint32, key K, now int64) (e *entry[K, V], out removal[K, V]) {
	e = p.table.find(hash, key)
	for e != nil && !e.live(now, p.timeouts) {
		if box, cause := e.endExpired(now, p.timeouts); box != nil {
			p.remove(e)
			return nil, p.removal(e, box, cause)
		}
	}
	return e, out
}

func (p *policy[K, V]) removal(e *entry[K, V], box *boxed[V], cause Cause) removal[K, V] {
	return removal[K, V]{e.key, p.values.open(box), cause}
}

// insert adds an entry for key, which must not be there. In a full map another one gives way to it, and
// is returned: an expired one if there is any, else the least recently accessed.
func (p *policy[K, V]) insert(hash uint32, key K, box *boxed[V], idle, now int64) (out removal[K, V]) {
	if p.full() {
		e, box, cause := p.endNext(now)
		p.unlink(e)
		out = p.removal(e, box, cause)
	} else {
		p.count.Add(1)
	}
	e := newEntry[K, V](p.extra || idle != p.timeouts.idle)
	e.key, e.hash, e.created = key, hash, now
	e.value.Store(box)
	e.accessed.Store(now)
	if x := e.extra.Load(); x != nil {
		x.idle.Store(idle)
		p.index(e)
	}
	p.recency.add(e)
	p.table.insert(e)
	return out
}

// remove takes e, which has ended, out of the map.
func (p *policy[K, V]) remove(e *entry[K, V]) {
	p.unlink(e)
	p.count.Add(-1)
}

func (p *policy[K, V]) unlink(e *entry[K, V]) {
	p.table.remove(e)
	p.recency.remove(e)
	p.deadlines.remove(e)
}

// removeExpired removes up to len(out) entries that are expired at now, and returns how many. more is true
// when there may be others.
func (p *policy[K, V]) removeExpired(now int64, out []removal[K, V]) (n int, more bool) {
	p.warm(len(out))
	for n := range out {
		if !p.ready(now) {
			return n, true
		}
		e, box, cause := p.endNextExpired(now)
		if e == nil {
			return n, false
		}
		p.remove(e)
		out[n] = p.removal(e, box, cause)
	}
	return len(out), true
}

// ready prepares for finding what is expired at now, and what was accessed least recently: it looks where
// that should be, and puts in order what has been accessed since. After a bounded number of those it reports
// false: the holder of the lock should let others have it and ask again. When it reports true, to find them
// takes a moment.
func (p *policy[K, V]) ready(now int64) bool {
	for range sweepBatch {
		e, at := p.deadlines.first()
		if at > now || !e.live(now, p.timeouts) {
			_, _, shared := p.recency.seek(&p.recency.shared)
			_, _, own := p.recency.seek(&p.recency.own)
			return shared && own
		}
		p.index(e)
	}
	return false
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

// endNext ends the entry that has to give way: one that is expired at now, else the least recently accessed.
func (p *policy[K, V]) endNext(now int64) (*entry[K, V], *boxed[V], Cause) {
	for {
		if e, box, cause := p.endNextExpired(now); e != nil {
			return e, box, cause
		}
		e, at := p.recency.oldest()
		if box := e.endUntouched(at.accessed); box != nil {
			return e, box, Evicted
		}
	}
}

// endNextExpired ends one entry that is expired at now; nil if there is none.
func (p *policy[K, V]) endNextExpired(now int64) (*entry[K, V], *boxed[V], Cause) {
	for {
		e, at := p.deadlines.first()
		if at > now {
			break
		}
		if box, cause := e.endExpired(now, p.timeouts); box != nil {
			return e, box, cause
		}
		p.index(e) // touched since
	}
	if p.timeouts.idle > 0 {
		e, at := p.recency.oldestOf(&p.recency.shared)
		if e != nil && now-at.accessed >= p.timeouts.idle {
			if box, cause := e.endExpired(now, p.timeouts); box != nil {
				return e, box, cause
			}
		}
	}
	return nil, nil, 0
}

// nextDeadline is no later than the first moment at which an entry can expire; never if none can.
func (p *policy[K, V]) nextDeadline() int64 {
	_, next := p.deadlines.first()
	if e, at := p.recency.oldestOf(&p.recency.shared); e != nil {
		next = min(next, after(at.accessed, p.timeouts.idle))
	}
	return next
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

// index places e, which has an extra part, in the deadline heap, if it belongs there.
func (p *policy[K, V]) index(e *entry[K, V]) {
	x := e.extra.Load()
	at := after(e.created, p.timeouts.lifetime)
	if idle := x.idle.Load(); idle != p.timeouts.idle {
		at = min(at, after(e.accessed.Load(), idle))
	}
	if at != never {
		p.deadlines.place(e, x, at)
	}
}

// reindex places e, which recency has filed anew, in the deadline heap anew.
func (p *policy[K, V]) reindex(e *entry[K, V]) {
	if x := e.extra.Load(); x.heapIndex != 0 && x.idle.Load() != p.timeouts.idle {
		p.index(e)
	}
}
