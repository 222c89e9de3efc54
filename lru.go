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
//	touch ──► [lane 1] ─┼─ drain: sort by (accessed, rank) ──► front ◄─ list ─► back ──► next victim
//	touch ──► [lane 2] ─┘
//
// An entry that is not queued stands where its last access put it, and every queued one has been accessed
// since; so a back that is not queued is the exact victim without a drain.
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
	newest stamp              // the latest stamp that a drain or an insert has placed
	moved  func(*entry[K, V]) // hears of each entry that a drain has moved

	coarse bool         // the clock may give two accesses in a row the same reading
	ranks  atomic.Int64 // tells such accesses apart
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

func (s stamp) compare(t stamp) int {
	return cmp.Or(cmp.Compare(s.accessed, t.accessed), cmp.Compare(s.rank, t.rank))
}

func (e *entry[K, V]) stamp() stamp { return stamp{e.accessed.Load(), e.rank.Load()} }

type stamped[K comparable, V any] struct {
	stamp
	entry *entry[K, V]
}

func newRecency[K comparable, V any](idle int64, coarse bool, moved func(*entry[K, V])) *recency[K, V] {
	lanes := laneCount()
	return &recency[K, V]{
		idle:   idle,
		lanes:  make([]lane[K, V], lanes),
		depth:  int32(drainDepth / lanes),
		end:    new(entry[K, V]),
		newest: stamp{math.MinInt64, 0},
		moved:  moved,
		coarse: coarse,
	}
}

// touched queues e, whose access time the caller has just stamped. It reports whether it is time to drain.
func (r *recency[K, V]) touched(e *entry[K, V]) (full bool) {
	if r.coarse {
		for rank := r.ranks.Add(1); ; {
			old := e.rank.Load()
			if old >= rank || e.rank.CompareAndSwap(old, rank) {
				break
			}
		}
	}
	if e.next.Load() != nil || !e.next.CompareAndSwap(nil, r.end) {
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

// drain brings the lists up to date with the touches queued so far.
func (r *recency[K, V]) drain() {
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
			if s := e.stamp(); s.accessed != gone {
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

// place moves e to where its stamp belongs: the front, unless its access overlapped one already placed.
func (r *recency[K, V]) place(e *entry[K, V], s stamp) {
	l := r.listOf(e)
	l.MoveToFront(e.elem)
	if s.compare(r.newest) >= 0 {
		r.newest = s
		return
	}
	older := e.elem.Next()
	for older != nil && entryOf[K, V](older).stamp().compare(s) > 0 {
		older = older.Next()
	}
	if older != nil {
		l.MoveBefore(e.elem, older)
	} else {
		l.MoveToBack(e.elem)
	}
}

// add puts e, which was accessed just now, at the front.
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

// settle finds the place among the touches still queued, all of them older, for e at the front: with
// them in the queue, or, if there are none, where it is.
func (r *recency[K, V]) settle(e *entry[K, V]) {
	for i := range r.lanes {
		if r.lanes[i].head.Load() != nil {
			if full := r.touched(e); full {
				r.drain()
			}
			return
		}
	}
	if r.coarse {
		e.rank.Store(r.ranks.Add(1))
	}
	r.place(e, e.stamp())
}

func (r *recency[K, V]) remove(e *entry[K, V]) {
	r.listOf(e).Remove(e.elem)
	e.elem = nil
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
func (r *recency[K, V]) back(l *list.List) *entry[K, V] {
	for drained := false; ; drained = true {
		elem := l.Back()
		if elem == nil {
			return nil
		}
		e := entryOf[K, V](elem)
		if e.next.Load() == nil {
			return e
		}
		if !drained {
			r.drain()
			continue
		}
		// Touched since the drain, or by a reader that has not come to queue it yet.
		r.place(e, e.stamp())
		if l.Back() == elem {
			return e
		}
	}
}

// listOf returns the list in which e belongs by its idle timeout, which changes only while e is in neither.
func (r *recency[K, V]) listOf(e *entry[K, V]) *list.List {
	if e.idle.Load() == r.idle {
		return &r.shared
	}
	return &r.own
}

func entryOf[K comparable, V any](elem *list.Element) *entry[K, V] { return elem.Value.(*entry[K, V]) }
