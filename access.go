package sessionmap

import (
	"hash/maphash"
	"reflect"
)

// The ways to an entry, from which the public methods are made. Those that read or touch take no lock.
// Those that add or remove take it, look the key up again, have the policy do its work, and report what
// left once the lock is released.

func (m *RobustSessionMap[K, V]) newPolicy() *policy[K, V] {
	p := newPolicy[K, V](m.timeouts, m.maxSize, m.maxCost, m.clock)
	for range m.indexes {
		p.owners = append(p.owners, new(owners))
	}
	return p
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
	e := p.table.find(hash, key)
	if e == nil {
		e = m.underNewKey(hash, key)
	}
	for ; e != nil; e = m.underNewKey(hash, key) { // again if it has just been renamed once more
		for m.touch(p, e) {
			if box := e.value.Load(); box != nil {
				return box
			} // else it may have ended, or it is being decided whether it does: the next touch will tell
		}
	}
	return nil
}

// touch records an access to e now, unless it is too late for that.
func (m *RobustSessionMap[K, V]) touch(p *policy[K, V], e *entry[K, V]) bool {
	for !e.touch(m.clock.now(), m.timeouts) {
		if !m.liveOnceDecided(e) {
			return false
		}
	}
	if p.recency.touched(e) {
		// More than once, to make up for those who found the lock taken.
		for range 3 {
			if !m.mu.TryLock() {
				break
			}
			more := m.policy.Load() == p && p.recency.drain() // e may be of the policy that came after
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
	e := m.policy.Load().table.find(hash, key)
	if e == nil {
		e = m.underNewKey(hash, key)
	}
	for ; e != nil; e = m.underNewKey(hash, key) {
		if box := m.valueOf(e); box != nil {
			return e, box
		}
	}
	return nil, nil
}

// has reports whether there is a session of key, under that very key.
func (m *RobustSessionMap[K, V]) has(key K) bool {
	hash, ok := m.hash(key)
	if !ok {
		return false
	}
	e := m.policy.Load().table.find(hash, key)
	return e != nil && m.valueOf(e) != nil
}

// valueOf returns e's value if e is live.
func (m *RobustSessionMap[K, V]) valueOf(e *entry[K, V]) *boxed[V] {
	for e.live(m.clock.now(), m.timeouts) || m.liveOnceDecided(e) {
		if box := e.value.Load(); box != nil {
			return box
		}
	}
	return nil
}

// present returns the entry that e, which may have been renamed, is now, and its value if that is live.
func (m *RobustSessionMap[K, V]) present(e *entry[K, V]) (now *entry[K, V], box *boxed[V]) {
	for {
		if box = m.valueOf(e); box != nil {
			return e, box
		}
		m.mu.Lock()
		now = e.current()
		m.mu.Unlock()
		if now == e {
			return e, nil
		}
		e = now
	}
}

// liveOnceDecided reports whether e is live, once a rename or a removal that may be under way is done.
func (m *RobustSessionMap[K, V]) liveOnceDecided(e *entry[K, V]) bool {
	if e.accessed.Load() == deciding {
		m.mu.Lock()   // which whoever decides holds
		m.mu.Unlock() //lint:ignore SA2001 there is nothing to do but to wait
	}
	return e.live(m.clock.now(), m.timeouts)
}

// stampOf returns when e was accessed, if it is live.
func (m *RobustSessionMap[K, V]) stampOf(e *entry[K, V]) (s stamp, ok bool) {
	for m.valueOf(e) != nil {
		if s = e.stamp(); s.accessed > deciding {
			return s, true
		} // else it may be about to end, which valueOf waits for
	}
	return s, false
}

// underNewKey returns the live entry that key was renamed to, if it still stands for that.
func (m *RobustSessionMap[K, V]) underNewKey(hash uint32, key K) *entry[K, V] {
	if !m.traces.has(hash) {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	e, _ := m.renamedTo(m.policy.Load(), key, m.clock.exact())
	return e
}

func (m *RobustSessionMap[K, V]) onClose(cancel func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cancels = append(m.cancels, cancel)
}

// An exchange is what came of trying to put a value in the place of another.
type exchange int

const (
	overtaken exchange = iota // by another change, or the end of the session
	exchanged
	exchangeRefused // what the value asks for cannot be granted
)

// replaceIf puts value in the place of the one in old, after an access, and reports what came of that. A value that was
// overtaken is forgotten.
func (m *RobustSessionMap[K, V]) replaceIf(p *policy[K, V], e *entry[K, V], old *boxed[V], value V) (x exchange) {
	box := m.values.box(value)
	var d *demand
	x = exchangeRefused // also where a function of the user's ends the goroutine (runtime.Goexit)
	defer func() {
		switch x {
		case exchanged:
			m.overwritten(e, d, old, box)
		case exchangeRefused:
			m.reject(e.key, value, old)
		}
	}()
	d, ok := m.demands(e.key, value)
	var left removal[K, V]
	switch {
	case e.value.Load() != old:
		x = overtaken
	case !ok:
	case d != nil:
		x, left = m.change(e.key, d, func(found *entry[K, V]) bool { return found == e && e.value.Load() == old }, func(p *policy[K, V], now int64) bool {
			p.touch(e, now)
			return e.value.CompareAndSwap(old, box)
		})
	case m.touch(p, e) && e.value.CompareAndSwap(old, box):
		x = exchanged
	default:
		x = overtaken
	}
	m.reportLeft(left)
	return x
}

// change calls swap with the lock held if is says of the live entry of key that it is the one meant, and what d asks for
// can be granted; which is done if swap returns true. What has left for that is to be reported.
func (m *RobustSessionMap[K, V]) change(key K, d *demand, is func(e *entry[K, V]) bool, swap func(p *policy[K, V], now int64) bool) (x exchange, left removal[K, V]) {
	hash, _ := m.hash(key)
	another := false
	p, e, now, ok := m.lockToInsert(hash, key, d, func(e *entry[K, V]) bool {
		another = e == nil || !is(e)
		return another
	}, &left)
	defer m.mu.Unlock()
	switch {
	case another:
		return overtaken, left
	case !ok:
		return exchangeRefused, left
	case !swap(p, now):
		return overtaken, left
	}
	p.grant(e, d)
	return exchanged, left
}

// reportLeft reports what has left, if anything.
func (m *RobustSessionMap[K, V]) reportLeft(left removal[K, V]) {
	if left.cause != 0 {
		m.reportOne(left)
	}
}

// overwritten reports the value in old, which the one in box, that demanded d, has replaced.
func (m *RobustSessionMap[K, V]) overwritten(e *entry[K, V], d *demand, old, box *boxed[V]) {
	defer m.replaced(e.key, old, box)
	m.catchUp(e, d)
}

// reject reports a value that was not stored. One that is there all the same, in present, is not closed; nil is whatever
// key has now.
func (m *RobustSessionMap[K, V]) reject(key K, value V, present *boxed[V]) {
	if present == nil && m.closer != nil {
		_, present = m.peek(key)
	}
	m.reporter.reject(key, value, present)
}

// set puts box, with value in it, where a live entry of key is, or inserts one.
func (m *RobustSessionMap[K, V]) set(key K, value V, box *boxed[V], idle int64) (stored bool) {
	hash, ok := m.hash(key)
	if !ok || key != key {
		m.reject(key, value, nil)
		return false
	}
	return m.overwrite(hash, key, box, idle) || m.store(hash, key, value, box, idle, nil)
}

// overwrite is set for a key that has a live entry with the same idle timeout, and a value that demands nothing. It takes
// no lock.
func (m *RobustSessionMap[K, V]) overwrite(hash uint32, key K, box *boxed[V], idle int64) (stored bool) {
	if m.demanding() {
		return false
	}
	p := m.policy.Load()
	e := p.table.find(hash, key)
	if e == nil || e.idle(m.timeouts) != idle || !m.touch(p, e) {
		return false
	}
	old := e.swap(box)
	if old == nil {
		return false
	}
	if e.idle(m.timeouts) != idle {
		m.restoreIdle(e, box, idle)
	}
	m.overwritten(e, nil, old, box)
	return true
}

// store is set with the lock, in the same moment as which the session is bound by b, unless that is nil.
func (m *RobustSessionMap[K, V]) store(hash uint32, key K, value V, box *boxed[V], idle int64, b *binding) (stored bool) {
	var present *boxed[V]
	defer func() {
		if !stored { // for it was refused, or a function of the user's has ended the goroutine (runtime.Goexit)
			m.reject(key, value, present)
		}
	}()
	d, ok := m.demands(key, value)
	if !ok {
		return false
	}
	var left removal[K, V]
	p, e, now, ok := m.lockToInsert(hash, key, d, nil, &left)
	var old *boxed[V]
	switch {
	case ok && e == nil:
		e = m.add(p, hash, key, box, idle, now, d)
	case ok:
		// The idle timeout changes between the touch and the swap: no reader finds the entry expired by it,
		// and an overwrite without the lock that comes in between sees that it has changed.
		p.touch(e, now)
		p.setIdle(e, idle)
		old = e.swap(box)
		p.grant(e, d)
		m.sweeper.arm(m.timeouts.deadline(now, idle, e.created), now)
	case e != nil:
		present = e.value.Load()
	}
	stored = ok
	leaveOther := func() {}
	if stored && b != nil {
		leaveOther = p.tie(e).bind(b)
	}
	m.mu.Unlock()

	// Deferred, for each calls functions of the user's; the last first.
	switch {
	case old != nil:
		defer m.overwritten(e, d, old, box)
	case stored:
		defer m.catchUp(e, d)
	}
	defer m.reportLeft(left)
	if stored && b != nil {
		b.follow(leaveOther) // before what has left is told, which may be what the former context belongs to
	}
	return stored
}

// restoreIdle gives e the idle timeout that belongs to box, which was set while another changed it.
func (m *RobustSessionMap[K, V]) restoreIdle(e *entry[K, V], box *boxed[V], idle int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, now := m.policy.Load(), m.clock.exact()
	if e = p.current(e); e != nil && e.value.Load() == box {
		p.touch(e, now) // unless it is expired by the other one's
		p.setIdle(e, idle)
		m.sweeper.arm(m.timeouts.deadline(now, idle, e.created), now)
	}
}

// insert stores value if key has no live entry; else it returns that entry's value, after an access.
func (m *RobustSessionMap[K, V]) insert(key K, value V) (present *boxed[V], stored bool) {
	defer func() {
		if !stored && present == nil { // for it was refused, or a function of the user's has ended the goroutine
			m.reject(key, value, nil)
		}
	}()
	d, ok := m.demands(key, value)
	if !ok {
		return nil, false
	}
	present, e, left := m.tryInsert(key, m.values.box(value), d, nil)
	if stored = e != nil; stored {
		defer m.catchUp(e, d)
	}
	m.reportLeft(left)
	return present, stored
}

// tryInsert adds an entry for key with a value that demands d, and returns it, unless call, which may be nil, has been
// vetoed. Where there is one already, be it by a former key, it returns that one's value, after an access. What has left is
// to be reported, as is the value if it is refused.
func (m *RobustSessionMap[K, V]) tryInsert(key K, box *boxed[V], d *demand, call *loadCall[V]) (present *boxed[V], added *entry[K, V], left removal[K, V]) {
	hash, ok := m.hash(key)
	if !ok || key != key {
		return nil, nil, left
	}
	p, e, now, ok := m.lockToInsert(hash, key, d, func(e *entry[K, V]) bool {
		return e != nil || call != nil && call.vetoed.Load()
	}, &left)
	defer m.mu.Unlock()
	switch {
	case e != nil:
		p.touch(e, now)
		present = e.value.Load()
	case ok:
		added = m.add(p, hash, key, box, m.timeouts.idle, now, d)
	}
	return present, added, left
}

// lockToInsert takes the lock and looks key up. Where a new entry, or what d asks for, takes the place of others it
// makes room. It is not ok where that cannot be: the map is closed, or full of leased ones, the key is to stay deleted, or
// is a former one, of the entry that it returns then, its owner has too many, or refuse, which is told the live entry or nil,
// says so. What has left, if anything, is to be reported in either case; an expired entry of the same key is before another
// can begin, for guarded maps are emptied by key.
func (m *RobustSessionMap[K, V]) lockToInsert(hash uint32, key K, d *demand, refuse func(e *entry[K, V]) bool, left *removal[K, V]) (p *policy[K, V], e *entry[K, V], now int64, ok bool) {
	for {
		m.mu.Lock()
		p, now := m.policy.Load(), m.clock.exact()
		e := p.lookup(hash, key, now, left)
		m.stir(now)
		switch {
		case refuse != nil && refuse(e), left.cause == 0 && e == nil && m.refuses(key, now):
			if e == nil {
				e, _ = m.renamedTo(p, key, now)
			}
			return p, e, now, false
		case left.cause != 0:
		default:
			if outcome := p.admit(e, d, now, left); outcome != notYet {
				return p, e, now, outcome == admitted
			}
		}
		m.mu.Unlock()
		m.reportLeft(*left)
		*left = removal[K, V]{}
	}
}

// add inserts an entry, which ends the load of its key. It needs the lock.
func (m *RobustSessionMap[K, V]) add(p *policy[K, V], hash uint32, key K, box *boxed[V], idle, now int64, d *demand) *entry[K, V] {
	e := p.insert(hash, key, box, idle, now)
	p.grant(e, d)
	m.loads.veto(key, never)
	m.sweeper.arm(m.timeouts.deadline(now, idle, now), now)
	if m.clock.coarse != nil {
		m.ticker.arm(after(now, m.ticker.interval), now)
	}
	if m.pressure.high > 0 {
		m.presser.arm(after(now, nearLook), now)
	}
	m.counters.inserts.Add(1)
	return e
}

// remove ends the live entry of key, unless it was created, or renamed to key, after a given moment. Where there is
// nothing to remove, and no tombstone to set, it takes no lock.
func (m *RobustSessionMap[K, V]) remove(key K, cause Cause, createdBy int64) (value V, ok bool) {
	hash, ok := m.hash(key)
	if !ok {
		return value, false
	}
	if m.loads.underWay.Load() == 0 && m.keys.deleted.window == 0 && m.policy.Load().table.find(hash, key) == nil && !m.traces.has(hash) {
		return value, false
	}
	m.mu.Lock()
	m.loads.veto(key, createdBy)
	p, now := m.policy.Load(), m.clock.exact()
	var out removal[K, V]
	var since int64 // when who is meant began to be called so
	e := p.lookup(hash, key, now, &out)
	if e != nil {
		since = e.since()
	} else {
		e, since = m.renamedTo(p, key, now)
	}
	m.stir(now)
	if since <= createdBy {
		if e != nil {
			out = p.removal(e, e.end(), cause)
			p.remove(e)
			m.bury(e.key, now)
		}
		m.bury(key, now)
	}
	m.mu.Unlock()
	m.reportLeft(out)
	if out.cause != cause {
		return value, false
	}
	return out.value, true
}

// removeIf ends e, which was asked for by key, with the cause Deleted, if it is live and its value is still the one in box. If
// not, again tells whether it is in the map with another value, or under another key.
func (m *RobustSessionMap[K, V]) removeIf(key K, e *entry[K, V], box *boxed[V]) (removed, again bool) {
	m.mu.Lock()
	p, now := m.policy.Load(), m.clock.exact()
	var out removal[K, V]
	found := p.lookup(e.hash, e.key, now, &out)
	former, _ := m.renamedTo(p, key, now)
	if found == e && e.endIf(box) {
		m.loads.veto(e.key, never)
		out = p.removal(e, box, Deleted)
		p.remove(e)
		m.bury(e.key, now)
		if former == e {
			m.bury(key, now)
		}
		removed = true
	}
	if out.cause != 0 {
		m.stir(now)
	}
	again = !removed && (found == e || e.current() != e)
	m.mu.Unlock()
	m.reportLeft(out)
	return removed, again
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
