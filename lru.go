package sessionmap

import (
	"cmp"
	"container/list"
	"math"
	"slices"
	"sync/atomic"
	"unsafe"
)

// A recency keeps entries in the order of their last access. Reading a session must not move list
// elements, so an access only stamps its entry and, the first time since the last drain, pushes it on a
// lock-free stack, the touch queue. A drain files all that is queued as one batch:
//
//	touch ──► [lane 0] ─┐
//	touch ──► [lane 1] ─┼─ drain ──► batch ─ batch ─ batch ─ ... ─ batch ──► sorted ──► next victim
//	touch ──► [lane 2] ─┘            newest, unsorted              oldest
//
// Every entry is in the one batch that it was last filed in, and all accesses of a batch came before those
// of the next newer one. So the order within a batch does not matter until it is the oldest; only then,
// when most of its entries have long been filed anew, are the rest sorted by their stamps. What is accessed
// is thereby filed once in many accesses, and moved in no list.
//
// An entry's record in a batch that it has left stays there until the batch is a quarter full, and is then
// forgotten with the other such ones; a batch with no entry left goes at once. So records are at most
// four an entry, and the oldest entry is found among the records of one batch.
//
// A goroutine can be held up for long between stamping an entry and queueing it, while others are filed
// with later stamps. Its access is still under way then, so it may count from when it is queued: file
// moves its stamp up. For that to be true a drain leaves accesses later than its own beginning queued. The
// same goes for one that has read such a clock before another, and taken its rank after it.
//
// Entries with the map's idle timeout are filed in one history: its order is also the order in which they
// expire. Those with an idle timeout of their own are in the other.
//
// touched is safe for concurrent use; the rest needs the map's lock.
type recency[K comparable, V any] struct {
	timeouts timeouts
	shared   history[K, V] // entries with the map's idle timeout
	own      history[K, V] // entries with another one

	lanes   []lane[K, V] // a power of two
	end     *entry[K, V] // ends the lanes' stacks, so that next is never nil while queued
	dead    int          // entries that ended while queued, since the last drain
	newest  stamp        // no filed entry has a later one
	drained int64        // when the last drain began, or the recency: all that is queued was accessed since
	batches []*batch[K, V]
	free    []uint32           // places in batches
	spare   []*entry[K, V]     // the space of a batch that has gone
	sorting []stamped[K, V]    // scratch space
	moved   func(*entry[K, V]) // hears of each entry that a drain has filed

	clock clock
	ranks atomic.Int64 // tells accesses apart that a clock that steps gives the same reading
}

// A history is a list of batches.
type history[K comparable, V any] struct {
	batches list.List    // of *batch, the newest in front
	filing  *batch[K, V] // of the drain under way
	stamps  []stamp      // by which the oldest batch is sorted
}

// A batch holds entries that were accessed between two drains.
type batch[K comparable, V any] struct {
	id      uint32 // of its entries, those with this id are here and not merely remembered
	live    int    // how many those are
	entries []*entry[K, V]
	until   stamp // none of them was accessed later
	sorted  bool  // the least recently accessed last
	in      *history[K, V]
	elem    *list.Element
}

// A lane is one stack of the touch queue. Goroutines are spread over the lanes so that cores seldom meet.
type lane[K comparable, V any] struct {
	head  atomic.Pointer[entry[K, V]] // nil while empty
	depth atomic.Int32
	_     [cacheLine - unsafe.Sizeof(uintptr(0)) - 4]byte
}

const (
	cacheLine  = 64
	drainDepth = 512 // of a lane, at which it is time to drain: that holds the lock for about 20 µs
	sparse     = 4   // a batch is cleaned when only one in so many of its records is live
)

// A stamp is the moment of an access: its clock reading and, on a clock that steps, its rank within it.
type stamp struct{ accessed, rank int64 }

// compare goes by rank alone where there are ranks: no two accesses have the same one.
func (s stamp) compare(t stamp) int {
	if s.rank != t.rank {
		return cmp.Compare(s.rank, t.rank)
	}
	return cmp.Compare(s.accessed, t.accessed)
}

func (e *entry[K, V]) stamp() stamp {
	s := stamp{accessed: e.accessed.Load()}
	if x := e.extra.Load(); x != nil {
		s.rank = x.rank.Load()
	}
	return s
}

// queued reports whether e is in the touch queue, or about to be.
func (e *entry[K, V]) queued() bool { return e.next.Load() != nil }

type stamped[K comparable, V any] struct {
	stamp
	entry *entry[K, V]
}

func (r *recency[K, V]) init(t timeouts, c clock, moved func(*entry[K, V])) {
	r.timeouts, r.clock, r.moved, r.drained = t, c, moved, c.exact()
	r.lanes = make([]lane[K, V], laneCount())
	r.end = new(entry[K, V])
	r.newest = stamp{math.MinInt64, 0}
	r.batches = make([]*batch[K, V], 1) // 0 is no batch
}

// touched queues e, whose access time the caller has just stamped. It reports whether it is time to drain.
func (r *recency[K, V]) touched(e *entry[K, V]) (full bool) {
	if r.clock.steps {
		raise(&e.extra.Load().rank, r.ranks.Add(1))
	}
	return !e.queued() && r.queue(e)
}

func (r *recency[K, V]) queue(e *entry[K, V]) (full bool) {
	if !e.next.CompareAndSwap(nil, r.end) {
		return false
	}
	l := &r.lanes[ownLane()&(len(r.lanes)-1)]
	for {
		head := l.head.Load()
		if head != nil {
			e.next.Store(head)
		}
		if l.head.CompareAndSwap(head, e) {
			return l.depth.Add(1) >= drainDepth
		}
	}
}

// drain files the entries queued so far.
func (r *recency[K, V]) drain() {
	begin := stamp{r.clock.exact(), r.ranks.Load()}
	r.drained = begin.accessed
	newest := r.newest
	for i := range r.lanes {
		l := &r.lanes[i]
		if l.head.Load() == nil {
			continue
		}
		l.depth.Store(0)
		for e := l.head.Swap(nil); e != nil && e != r.end; {
			next := e.next.Load()
			// Unqueue before reading the stamp: an access stamps before it looks whether e is queued,
			// so either its stamp is read below or it queues e again.
			e.next.Store(nil)
			switch s := e.stamp(); {
			case s.accessed == gone:
			case s.compare(begin) > 0:
				r.queue(e)
			default:
				r.file(e)
				newest = stamp{max(s.accessed, newest.accessed), max(s.rank, newest.rank)}
			}
			e = next
		}
	}
	r.newest = newest
	r.dead = 0
	for _, h := range []*history[K, V]{&r.shared, &r.own} {
		if b := h.filing; b != nil {
			b.until, b.elem, h.filing = newest, h.batches.PushFront(b), nil
		}
	}
}

// file puts e in the batch of the drain under way. Its stamp is to be no less than those filed before.
func (r *recency[K, V]) file(e *entry[K, V]) {
	h := &r.shared
	if e.idle(r.timeouts) != r.timeouts.idle {
		h = &r.own
	}
	b := h.filing
	if b == nil {
		b = r.newBatch(h)
		h.filing = b
	}
	if e.batch == b.id {
		return // queued again during the drain
	}
	r.leave(e)
	e.batch = b.id
	b.entries = append(b.entries, e)
	b.live++
	raise(&e.accessed, r.newest.accessed)
	if x := e.extra.Load(); x != nil {
		raise(&x.rank, r.newest.rank)
		r.moved(e)
	}
}

func (r *recency[K, V]) newBatch(h *history[K, V]) *batch[K, V] {
	b := &batch[K, V]{in: h, entries: r.spare}
	r.spare = nil
	if n := len(r.free); n > 0 {
		b.id, r.free = r.free[n-1], r.free[:n-1]
		r.batches[b.id] = b
	} else {
		b.id = uint32(len(r.batches))
		r.batches = append(r.batches, b)
	}
	return b
}

// leave takes e out of its batch, if it is in one.
func (r *recency[K, V]) leave(e *entry[K, V]) {
	if e.batch == 0 {
		return
	}
	b := r.batches[e.batch]
	e.batch = 0
	b.live--
	switch {
	case b.live == 0:
		r.drop(b)
	case b.live <= len(b.entries)/sparse:
		r.clean(b)
		r.merge(b)
		if large := b.entries; cap(large) > 2*len(large) {
			b.entries = append(make([]*entry[K, V], 0, len(large)), large...)
			r.reuse(large)
		}
	}
}

func (r *recency[K, V]) drop(b *batch[K, V]) {
	b.in.batches.Remove(b.elem)
	r.batches[b.id] = nil
	r.free = append(r.free, b.id)
	r.reuse(b.entries)
}

// reuse keeps space for the next batch.
func (r *recency[K, V]) reuse(space []*entry[K, V]) {
	if cap(space) > cap(r.spare) {
		clear(space)
		r.spare = space[:0]
	}
}

// clean forgets the entries that have left b.
func (r *recency[K, V]) clean(b *batch[K, V]) {
	n := 0
	for i, e := range b.entries {
		if e.batch != b.id {
			continue
		}
		b.entries[n] = e
		if b.sorted {
			b.in.stamps[n] = b.in.stamps[i]
		}
		n++
	}
	clear(b.entries[n:])
	b.entries = b.entries[:n]
}

// merge unites b, if there is little in it, with the next older batch.
func (r *recency[K, V]) merge(b *batch[K, V]) {
	elem := b.elem.Next()
	if elem == nil {
		return
	}
	older := elem.Value.(*batch[K, V])
	if older.sorted || b.live+older.live > drainDepth {
		return
	}
	for _, e := range older.entries {
		if e.batch == older.id {
			e.batch = b.id
			b.entries = append(b.entries, e)
		}
	}
	b.live += older.live
	r.drop(older)
}

// raise sets v to n, unless it is higher or marks an entry as gone.
func raise(v *atomic.Int64, n int64) {
	for {
		old := v.Load()
		if old >= n || old == gone || v.CompareAndSwap(old, n) {
			return
		}
	}
}

// add takes in e, which is new and was accessed just now.
func (r *recency[K, V]) add(e *entry[K, V]) {
	if full := r.touched(e); full {
		r.drain()
	}
}

// remove lets go of e, which has ended.
func (r *recency[K, V]) remove(e *entry[K, V]) {
	r.leave(e)
	if e.queued() {
		if r.dead++; r.dead >= drainDepth {
			r.drain()
		}
	}
}

// setIdle gives e, which has just been touched, another idle timeout.
func (r *recency[K, V]) setIdle(e *entry[K, V], idle int64) {
	x := e.extra.Load()
	if x == nil {
		x = new(extra)
	}
	x.idle.Store(idle)
	e.extra.Store(x)
	r.leave(e)
	r.touched(e)
}

// oldest returns the least recently accessed entry and the moment of that access; nil if there is none but
// such as are being accessed now.
func (r *recency[K, V]) oldest() (*entry[K, V], stamp) {
	for drained := false; ; drained = true {
		// What is queued has been accessed since all that is filed.
		a, atA := r.oldestOf(&r.shared)
		b, atB := r.oldestOf(&r.own)
		switch {
		case a == nil && b == nil && !drained:
			r.drain()
		case a == nil || b != nil && atB.compare(atA) < 0:
			return b, atB
		default:
			return a, atA
		}
	}
}

// oldestShared returns the oldest entry with the map's idle timeout, if there is one that is expired at now.
func (r *recency[K, V]) oldestShared(now int64) *entry[K, V] {
	e, at := r.oldestOf(&r.shared)
	if e == nil && now >= after(r.drained, r.timeouts.idle) {
		r.drain()
		e, at = r.oldestOf(&r.shared)
	}
	if e == nil || now < after(at.accessed, r.timeouts.idle) {
		return nil
	}
	return e
}

// nextDeadline is no later than when the first entry with the map's idle timeout expires; never if none does.
func (r *recency[K, V]) nextDeadline() int64 {
	if e, at := r.oldestOf(&r.shared); e != nil {
		return after(at.accessed, r.timeouts.idle)
	}
	for i := range r.lanes {
		if r.lanes[i].head.Load() != nil {
			return after(r.drained, r.timeouts.idle)
		}
	}
	return never
}

// oldestOf returns the oldest filed entry of one history.
func (r *recency[K, V]) oldestOf(h *history[K, V]) (*entry[K, V], stamp) {
	for elem := h.batches.Back(); elem != nil; elem = h.batches.Back() {
		b := elem.Value.(*batch[K, V])
		if !b.sorted {
			r.sort(b)
		}
		for n := len(b.entries) - 1; n >= 0; n-- {
			e, at := b.entries[n], h.stamps[n]
			if e.batch == b.id {
				if !e.queued() && e.stamp() == at {
					return e, at
				}
				e.batch = 0 // it will be filed anew
				b.live--
			}
			b.entries[n] = nil
			b.entries = b.entries[:n]
		}
		r.drop(b)
	}
	return nil, stamp{}
}

// sort prepares b, which is now the oldest of its history. Entries that have been accessed since it was
// filed are left out: they are queued, or about to be.
func (r *recency[K, V]) sort(b *batch[K, V]) {
	for _, e := range b.entries {
		if e.batch != b.id {
			continue
		}
		if at := e.stamp(); at.compare(b.until) <= 0 && !e.queued() {
			r.sorting = append(r.sorting, stamped[K, V]{at, e})
		} else {
			e.batch = 0
		}
	}
	slices.SortFunc(r.sorting, func(a, b stamped[K, V]) int { return b.compare(a.stamp) })
	h := b.in
	h.stamps = h.stamps[:0]
	clear(b.entries)
	b.entries = b.entries[:0]
	for _, s := range r.sorting {
		b.entries = append(b.entries, s.entry)
		h.stamps = append(h.stamps, s.stamp)
	}
	b.live, b.sorted = len(b.entries), true
	clear(r.sorting)
	r.sorting = r.sorting[:0]
}
