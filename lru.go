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
// lock-free stack, the touch queue. A drain takes the whole queue, sorts it by the stamps and moves each
// entry to the front:
//
//	touch ──► [lane 0] ─┐
//	touch ──► [lane 1] ─┼─ drain: sort by stamp           ──► front ◄─ list ─► back ──► next victim
//	touch ──► [lane 2] ─┘
//
// An entry that is not queued stands where its last access put it, and every queued one has been accessed
// since; so a back that is not queued is the exact victim without a drain. The place of a queued entry
// means nothing.
//
// A goroutine can be held up for long between stamping an entry and queueing it, while others are drained
// with later stamps. Its access is still under way then, so it may count from when it is queued: place
// moves its stamp up. For that to be true a drain leaves accesses later than its own beginning queued. The
// same goes for one that has read a coarse clock before another, and taken its rank after it.
//
// Entries with the map's idle timeout share one list: its order is also the order in which they expire.
// Those with an idle timeout of their own are in the other.
//
// touch is safe for concurrent use; the rest needs the map's lock.
type recency[K comparable, V any] struct {
	idle   int64     // the map's idle timeout
	shared list.List // entries with that timeout
	own    list.List // entries with another one

	lanes  []lane[K, V]       // a power of two
	depth  int32              // of a lane, at which it is time to drain
	end    *entry[K, V]       // ends the lanes' stacks, so that next is never nil while queued
	taken  []stamped[K, V]    // scratch space of drain
	newest stamp              // the latest stamp of an entry in its place
	moved  func(*entry[K, V]) // hears of each entry that a drain has moved

	clock clock
	ranks atomic.Int64 // tells accesses apart that a coarse clock gives the same reading
}

// A lane is one stack of the touch queue. Keys are spread over the lanes so that cores seldom meet.
type lane[K comparable, V any] struct {
	head  atomic.Pointer[entry[K, V]] // nil while empty
	depth atomic.Int32
	_     [cacheLine - unsafe.Sizeof(uintptr(0)) - 4]byte
}

const (
	cacheLine  = 64
	drainDepth = 256 // entries over all lanes: sorting and moving them holds the lock for about 30 µs
	maxLanes   = 16
)

// A stamp is the moment of an access: its clock reading and, on a coarse clock, its rank within it.
type stamp struct{ accessed, rank int64 }

// compare goes by rank alone where there are ranks: no two accesses have the same one.
func (s stamp) compare(t stamp) int {
	return cmp.Or(cmp.Compare(s.rank, t.rank), cmp.Compare(s.accessed, t.accessed))
}

func (e *entry[K, V]) stamp() stamp { return stamp{e.accessed.Load(), e.rank.Load()} }

// queued reports whether e is in the touch queue, or about to be.
func (e *entry[K, V]) queued() bool { return e.next.Load() != nil }

type stamped[K comparable, V any] struct {
	stamp
	entry *entry[K, V]
}

func newRecency[K comparable, V any](idle int64, c clock, moved func(*entry[K, V])) *recency[K, V] {
	lanes := laneCount()
	return &recency[K, V]{
		idle:   idle,
		lanes:  make([]lane[K, V], lanes),
		depth:  int32(drainDepth / lanes),
		end:    new(entry[K, V]),
		newest: stamp{math.MinInt64, 0},
		moved:  moved,
		clock:  c,
	}
}

// touched queues e, whose access time the caller has just stamped. It reports whether it is time to drain.
func (r *recency[K, V]) touched(e *entry[K, V]) (full bool) {
	if r.clock.coarse {
		raise(&e.rank, r.ranks.Add(1))
	}
	return r.queue(e)
}

func (r *recency[K, V]) queue(e *entry[K, V]) (full bool) {
	if e.queued() || !e.next.CompareAndSwap(nil, r.end) {
		return false
	}
	l := &r.lanes[int(e.hash)&(len(r.lanes)-1)]
	for {
		head := l.head.Load()
		if head == nil {
			e.next.Store(r.end)
		} else {
			e.next.Store(head)
		}
		if l.head.CompareAndSwap(head, e) {
			return l.depth.Add(1) >= r.depth
		}
	}
}

// drain puts the entries queued so far in their places.
func (r *recency[K, V]) drain() {
	begin := stamp{r.clock.now(), r.ranks.Load()}
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
				r.taken = append(r.taken, stamped[K, V]{s, e})
			}
			e = next
		}
	}
	slices.SortFunc(r.taken, func(a, b stamped[K, V]) int { return a.compare(b.stamp) })
	for _, t := range r.taken {
		r.place(t.entry, t.stamp)
		r.moved(t.entry)
	}
	clear(r.taken)
	r.taken = r.taken[:0]
	if cap(r.taken) > 8*drainDepth {
		r.taken = nil
	}
}

// place puts e, whose last access was at s, at the front. In no part is its stamp less than of those before.
func (r *recency[K, V]) place(e *entry[K, V], s stamp) {
	r.listOf(e).MoveToFront(e.elem)
	r.newest = stamp{max(s.accessed, r.newest.accessed), max(s.rank, r.newest.rank)}
	raise(&e.accessed, r.newest.accessed)
	raise(&e.rank, r.newest.rank)
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

// add lists e, which is new and was accessed just now.
func (r *recency[K, V]) add(e *entry[K, V]) {
	e.elem = r.listOf(e).PushFront(e)
	r.settle(e)
}

// replace is remove(old) and add(e), without an allocation where both belong in the same list.
func (r *recency[K, V]) replace(old, e *entry[K, V]) {
	l := r.listOf(e)
	if l != r.listOf(old) {
		r.remove(old)
		r.add(e)
		return
	}
	e.elem, old.elem = old.elem, nil
	e.elem.Value = e
	l.MoveToFront(e.elem)
	r.settle(e)
}

// settle queues e, new at the front, with the earlier touches that wait there; if none do, it is in its place.
func (r *recency[K, V]) settle(e *entry[K, V]) {
	for i := range r.lanes {
		if r.lanes[i].head.Load() != nil {
			if full := r.touched(e); full {
				r.drain()
			}
			return
		}
	}
	if r.clock.coarse {
		e.rank.Store(r.ranks.Add(1))
	}
	r.place(e, e.stamp())
}

func (r *recency[K, V]) remove(e *entry[K, V]) {
	r.listOf(e).Remove(e.elem)
	e.elem = nil
}

// setIdle gives e, which has just been touched, another idle timeout.
func (r *recency[K, V]) setIdle(e *entry[K, V], idle int64) {
	r.remove(e)
	e.idle.Store(idle)
	e.elem = r.listOf(e).PushFront(e)
	r.touched(e)
}

// oldest returns the least recently accessed entry; nil if there is none.
func (r *recency[K, V]) oldest() *entry[K, V] {
	a, b := r.back(&r.shared), r.back(&r.own)
	if a == nil || b != nil && b.stamp().compare(a.stamp()) < 0 {
		return b
	}
	return a
}

// back returns the least recently accessed entry of one list.
func (r *recency[K, V]) back(l *list.List) (oldest *entry[K, V]) {
	if e := entryOf[K, V](l.Back()); e == nil || !e.queued() {
		return e
	}
	r.drain()
	for range l.Len() {
		e := entryOf[K, V](l.Back())
		if !e.queued() {
			return e
		}
		// Accessed since the drain began, or by a goroutine that has not come to queue it yet.
		if oldest == nil || e.stamp().compare(oldest.stamp()) < 0 {
			oldest = e
		}
		l.MoveToFront(e.elem)
	}
	return oldest
}

// listOf returns the list in which e belongs by its idle timeout, which changes only while e is in neither.
func (r *recency[K, V]) listOf(e *entry[K, V]) *list.List {
	if e.idle.Load() == r.idle {
		return &r.shared
	}
	return &r.own
}

// entryOf returns the entry that elem holds; nil for no element.
func entryOf[K comparable, V any](elem *list.Element) *entry[K, V] {
	if elem == nil {
		return nil
	}
	return elem.Value.(*entry[K, V])
}
