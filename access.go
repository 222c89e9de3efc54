package sessionmap

import (
	"hash/maphash"
	"reflect"
)

// The ways to an entry, from which the public methods are made. Those that read or touch take no lock.
// Those that add or remove take it, look the key up again, have the policy do its work, and report what
// left once the lock is released.

func (m *RobustSessionMap[K, V]) newPolicy() *policy[K, V] {
	return newPolicy[K, V](m.timeouts, m.maxSize, m.clock)
}

// hash returns the hash of key, and whether the map can find a key like it again.
func (m *RobustSessionMap[K, V]) hash(key K) (hash uint32, ok bool) {
	if m.dynamicKeys && !hashable(key) {
		return 0, false
	}
	return uint32(maphash.Comparable(m.seed, key) >> 32), true
}

// hashable reports whether key, of a type with an interface in it, holds nothing that is not comparable.
// It is not inlined, so that only such keys move to the heap.
//
//go:noinline
func hashable[K comparable](key K) bool { return reflect.ValueOf(&key).Elem().Comparable() }

// access touches the live entry of key and returns its value's box; nil if there is none.
func (m *RobustSessionMap[K, V]) access(hash uint32, key K) *boxed[V] {
	p := m.policy.Load()
	if e := p.table.find(hash, key); e != nil && m.touch(p, e) {
		return e.value.Load()
	}
	return nil
}

// touch records an access to e now, unless it is too late for that.
func (m *RobustSessionMap[K, V]) touch(p *policy[K, V], e *entry[K, V]) bool {
	if !e.touch(m.clock.now(), m.timeouts) {
		return false
	}
	if p.recency.touched(e) {
		// More than once, to make up for those who found the lock taken.
		for range 3 {
			if !m.mu.TryLock() {
				break
			}
			more := p.recency.drain()
			m.mu.Unlock()
			if !more {
				break
			}
		}
	}
	return true
}

// peek finds the live entry of key and leaves it untouched.
func (m *RobustSessionMap[K, V]) peek(key K) (*entry[K, V], *boxed[V]) {
	hash, ok := m.hash(key)
	if !ok {
		return nil, nil
	}
	if e := m.policy.Load().table.find(hash, key); e != nil {
		if box := m.valueOf(e); box != nil {
			return e, box
		}
	}
	return nil, nil
}

// valueOf returns e's value if e is live.
func (m *RobustSessionMap[K, V]) valueOf(e *entry[K, V]) *boxed[V] {
	if !e.live(m.clock.now(), m.timeouts) {
		return nil
	}
	return e.value.Load()
}

func (m *RobustSessionMap[K, V]) onClose(cancel func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cancels = append(m.cancels, cancel)
}

// set puts value where a live entry of key is, or inserts one.
func (m *RobustSessionMap[K, V]) set(key K, value V, idle int64) (stored bool) {
	hash, ok := m.hash(key)
	if !ok || key != key {
		m.reportOne(removal[K, V]{key, value, Rejected})
		return false
	}
	box := m.values.box(value)
	was := m.policy.Load()
	if e := was.table.find(hash, key); e != nil && e.idle(m.timeouts) == idle && m.touch(was, e) {
		if old := e.swap(box); old != nil {
			if e.idle(m.timeouts) != idle {
				m.restoreIdle(e, box, idle)
			}
			m.replaced(e, old)
			return true
		}
	}
	p, e, now, out := m.lockToInsert(hash, key)
	if m.closed.Load() {
		m.mu.Unlock()
		m.reportOne(removal[K, V]{key, value, Rejected})
		return false
	}
	if e == nil {
		m.add(p, hash, key, box, idle, now, out)
		return true
	}
	// The idle timeout changes between the touch and the swap: no reader finds the entry expired by it,
	// and an overwrite without the lock that comes in between sees that it has changed.
	p.touch(e, now)
	p.setIdle(e, idle)
	old := e.swap(box)
	m.sweeper.arm(m.timeouts.deadline(now, idle, e.created), now)
	m.mu.Unlock()
	m.replaced(e, old)
	return true
}

// restoreIdle gives e the idle timeout that belongs to box, which was set while another changed it.
func (m *RobustSessionMap[K, V]) restoreIdle(e *entry[K, V], box *boxed[V], idle int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, now := m.policy.Load(), m.clock.exact()
	if p.table.find(e.hash, e.key) == e && e.value.Load() == box && e.touch(now, m.timeouts) {
		p.setIdle(e, idle)
		m.sweeper.arm(m.timeouts.deadline(now, idle, e.created), now)
	}
}

// insert stores value if key has no live entry; else it returns that entry's value, after an access.
func (m *RobustSessionMap[K, V]) insert(key K, value V) (present *boxed[V], stored bool) {
	hash, ok := m.hash(key)
	if !ok || key != key {
		m.reportOne(removal[K, V]{key, value, Rejected})
		return nil, false
	}
	p, e, now, out := m.lockToInsert(hash, key)
	if m.closed.Load() {
		m.mu.Unlock()
		m.reportOne(removal[K, V]{key, value, Rejected})
		return nil, false
	}
	if e == nil {
		m.add(p, hash, key, m.values.box(value), m.timeouts.idle, now, out)
		return nil, true
	}
	p.touch(e, now)
	present = e.value.Load()
	m.mu.Unlock()
	return present, false
}

// lockToInsert takes the lock and looks key up. If there is no live entry it makes room for one, except on a
// closed map, and returns what left for that, if anything: an expired entry of the same key, or another one.
func (m *RobustSessionMap[K, V]) lockToInsert(hash uint32, key K) (p *policy[K, V], e *entry[K, V], now int64, out removal[K, V]) {
	for {
		m.mu.Lock()
		p, now := m.policy.Load(), m.clock.exact()
		e, out := p.lookup(hash, key, now)
		if e != nil || !p.full() {
			return p, e, now, out
		}
		if out, done := p.makeRoom(now); done {
			return p, nil, now, out
		}
		m.mu.Unlock()
	}
}

// add inserts, releases the lock, and reports what left to make room.
func (m *RobustSessionMap[K, V]) add(p *policy[K, V], hash uint32, key K, box *boxed[V], idle, now int64, out removal[K, V]) {
	p.insert(hash, key, box, idle, now)
	m.sweeper.arm(m.timeouts.deadline(now, idle, now), now)
	if m.clock.coarse != nil {
		m.ticker.arm(after(now, m.ticker.interval), now)
	}
	m.mu.Unlock()
	m.counters.inserts.Add(1)
	if out.cause != 0 {
		m.reportOne(out)
	}
}

// remove ends the live entry of key, unless it was created after a given moment. Where there is nothing to
// remove it takes no lock.
func (m *RobustSessionMap[K, V]) remove(key K, cause Cause, createdBy int64) (value V, ok bool) {
	hash, ok := m.hash(key)
	if !ok || m.policy.Load().table.find(hash, key) == nil {
		return value, false
	}
	m.mu.Lock()
	p := m.policy.Load()
	e, out := p.lookup(hash, key, m.clock.exact())
	if e != nil && e.created <= createdBy {
		out = p.removal(e, e.end(), cause)
		p.remove(e)
	}
	m.mu.Unlock()
	if out.cause != 0 {
		m.reportOne(out)
	}
	if out.cause != cause {
		return value, false
	}
	return out.value, true
}

// removeIf ends e, with the cause Deleted, if it is live and its value is still the one in box.
func (m *RobustSessionMap[K, V]) removeIf(e *entry[K, V], box *boxed[V]) (removed bool) {
	m.mu.Lock()
	p := m.policy.Load()
	found, out := p.lookup(e.hash, e.key, m.clock.exact())
	if found == e && e.endIf(box) {
		out = p.removal(e, box, Deleted)
		p.remove(e)
		removed = true
	}
	m.mu.Unlock()
	if out.cause != 0 {
		m.reportOne(out)
	}
	return removed
}

// endAll ends the entries of a policy that the map no longer uses, and returns how many were live.
func (m *RobustSessionMap[K, V]) endAll(p *policy[K, V], cause Cause) (ended int) {
	finished := false
	defer func() {
		if !finished { // a callback ended its goroutine (runtime.Goexit)
			m.endAll(p, cause)
		}
	}()
	var batch []removal[K, V]
	now := m.clock.exact()
	for e := range p.table.entries() {
		box, why := e.endExpired(now, m.timeouts)
		if box == nil {
			if box, why = e.end(), cause; box == nil {
				continue
			}
			ended++
		}
		if batch = append(batch, p.removal(e, box, why)); len(batch) == sweepBatch {
			m.report(batch)
			clear(batch)
			batch = batch[:0]
		}
	}
	m.report(batch)
	finished = true
	return ended
}

// hasInterface reports whether a value of type t can hold one that is not comparable.
func hasInterface(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Interface:
		return true
	case reflect.Array:
		return hasInterface(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if hasInterface(t.Field(i).Type) {
				return true
			}
		}
	}
	return false
}
