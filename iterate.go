package sessionmap

import (
	"iter"
	"slices"
)

// What concerns all entries at once. None of it holds the lock for longer than one entry takes, and all
// of it walks the table in the order of the hash, so a key removed and set again is not met twice.

// DeleteFunc removes, with the cause [Deleted], the entries for which del returns true, and returns how
// many. It is no access. del runs without a lock, and again for an entry whose value or key changes meanwhile;
// an entry that is set after the call began may be passed over. It takes the lock for each entry that it removes.
func (m *RobustSessionMap[K, V]) DeleteFunc(del func(key K, value V) bool) int {
	n := 0
	for e := range m.stayers() {
		for again := true; again; {
			var box *boxed[V]
			var yes, removed bool
			if e, box = m.present(e); box == nil || !m.callbacks.run("DeleteFunc", func() { yes = del(e.key, m.values.open(box)) }) || !yes {
				break
			}
			if removed, again = m.removeIf(e.key, e, box); removed {
				n++
			}
		}
	}
	return n
}

// A renameLog has the entries that are renamed during a walk over all, which may have passed the place where they come in.
type renameLog[K comparable, V any] struct {
	entries []*entry[K, V] // guarded by the map's lock
}

// stayers yields every entry that stays while the loop runs; one that is renamed meanwhile perhaps twice, or as what it was
// before: see present.
func (m *RobustSessionMap[K, V]) stayers() iter.Seq[*entry[K, V]] {
	return func(yield func(*entry[K, V]) bool) {
		log := &renameLog[K, V]{}
		m.mu.Lock()
		m.renameLogs = append(m.renameLogs, log)
		m.mu.Unlock()
		end := func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.renameLogs = slices.DeleteFunc(m.renameLogs, func(other *renameLog[K, V]) bool { return other == log })
		}
		defer end()
		for e := range m.policy.Load().table.entries() {
			if !yield(e) {
				return
			}
		}
		end() // or a loop that renames would never end
		for _, e := range log.entries {
			if !yield(e) {
				return
			}
		}
	}
}

// Clear removes all entries at one moment, with the cause [Cleared], and returns how many. Expired ones
// that no sweep has met leave as [Idle] or [Lifetime] and are not counted. It leaves no tombstones. It holds the lock
// for a moment, a fifth of a microsecond longer for each load that is under way, and for one more for each session that
// something is tied to.
func (m *RobustSessionMap[K, V]) Clear() int {
	m.mu.Lock()
	m.loads.vetoAll()
	old, next := m.policy.Load(), m.newPolicy()
	next.evicted, next.youngest = old.evicted, old.youngest // the watch has not looked at them yet
	m.policy.Store(next)
	m.stir(m.clock.exact())
	m.mu.Unlock()
	return m.endAll(old, Cleared)
}

// endAll ends the entries of a policy that the map no longer uses, and returns how many were live. Those that something is
// tied to come first, all of them, so that contexts and leases end though a callback may block.
func (m *RobustSessionMap[K, V]) endAll(p *policy[K, V], cause Cause) (ended int) {
	now := m.clock.exact()
	end := func(e *entry[K, V], out *[]removal[K, V]) {
		box, why := e.endExpired(now, m.timeouts)
		if box == nil {
			if box, why = e.end(), cause; box == nil {
				return
			}
			ended++
		}
		*out = append(*out, p.removal(e, box, why))
		if t := e.ties(); t != nil {
			m.mu.Lock()
			clear(t.owned) // so that who holds the ties does not hold all of an owner's sessions
			m.mu.Unlock()
		}
		m.left((*out)[len(*out)-1])
	}
	var tied []removal[K, V]
	runAll([]func(){
		func() {
			for e := range p.table.entries() {
				if e.ties() != nil {
					end(e, &tied)
				}
			}
		},
		func() { m.tell(tied, m.listeners(), 0) },
		func() { m.endInBatches(p.table.entries(), end) },
	})
	return ended
}

// endInBatches ends entries and tells of them, a batch at a time.
func (m *RobustSessionMap[K, V]) endInBatches(entries iter.Seq[*entry[K, V]], end func(*entry[K, V], *[]removal[K, V])) {
	finished := false
	var batch []removal[K, V]
	tell := func() {
		told := batch
		batch = nil
		m.tell(told, m.listeners(), 0)
	}
	defer func() {
		if !finished { // a callback, or a context, ended its goroutine (runtime.Goexit)
			runAll([]func(){tell, func() { m.endInBatches(entries, end) }})
		}
	}()
	for e := range entries {
		if end(e, &batch); len(batch) == sweepBatch {
			tell()
		}
	}
	tell()
	finished = true
}

// Len returns the number of entries, expired ones that no sweep has met included. It takes no lock.
func (m *RobustSessionMap[K, V]) Len() int { return int(m.policy.Load().count.Load()) }

// All returns an iterator over the entries, in no order. It is no access, holds no lock, and yields no key
// twice and nothing expired; the loop may call any method. An entry that comes or goes during the loop may
// or may not be yielded.
func (m *RobustSessionMap[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for e := range m.policy.Load().table.entries() {
			if box := m.valueOf(e); box != nil && !yield(e.key, m.values.open(box)) {
				return
			}
		}
	}
}

// Keys returns an iterator over the keys, like [RobustSessionMap.All].
func (m *RobustSessionMap[K, V]) Keys() iter.Seq[K] {
	return func(yield func(K) bool) {
		for key := range m.All() {
			if !yield(key) {
				return
			}
		}
	}
}

// Oldest is like [RobustSessionMap.All], with the least recently accessed entry first and those that are leased last, in
// the order of the moment when the loop began. The loop begins with sorting all entries, at 24 bytes each.
func (m *RobustSessionMap[K, V]) Oldest() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		var all []stamped[K, V]
		for e := range m.policy.Load().table.entries() {
			if s, ok := m.stampOf(e); ok {
				if s.accessed == held {
					s = endOfTime
				}
				all = append(all, stamped[K, V]{s, e})
			}
		}
		slices.SortFunc(all, func(a, b stamped[K, V]) int { return a.compare(b.stamp) })
		for _, s := range all {
			if box := m.valueOf(s.entry); box != nil && !yield(s.entry.key, m.values.open(box)) {
				return
			}
		}
	}
}
