package sessionmap

import (
	"container/list"
	"math"
	"sync/atomic"
)

// An entry is one key with its value, from the Set that made it to the removal that ends it.
//
// Two words decide every race over an entry:
//
//   - accessed tells whether it lives and until when. Readers raise it with compare-and-swap, so an
//     access and a removal for idleness cannot both succeed.
//   - value is the token of its removal. Whoever swaps the box for nil owns the value that was in it and
//     reports it; an overwrite that meets nil starts over as an insert.
//
// Only the holder of the map's lock ends an entry; anyone may touch or overwrite it.
type entry[K comparable, V any] struct {
	key     K
	created int64 // clock reading
	hash    uint32

	value    atomic.Pointer[V]           // nil once the value has left
	accessed atomic.Int64                // clock reading of the last access; gone once the entry has ended
	rank     atomic.Int64                // orders accesses within one reading of a coarse clock
	idle     atomic.Int64                // idle timeout in nanoseconds; 0 is none
	next     atomic.Pointer[entry[K, V]] // link in the touch queue; nil while not queued

	// Guarded by the map's lock.
	heapIndex int32 // place in the deadline heap plus one; 0 while not in it
	elem      *list.Element
}

// gone stands in accessed once an entry has ended.
const gone = math.MinInt64

// touch records an access at now. It reports false, and changes nothing, when the entry has ended or is expired.
func (e *entry[K, V]) touch(now int64, t timeouts) bool {
	for {
		accessed := e.accessed.Load()
		if accessed == gone || t.expired(accessed, e.idle.Load(), e.created, now) {
			return false
		}
		if accessed >= now || e.accessed.CompareAndSwap(accessed, now) {
			return true
		}
	}
}

// live reports whether the entry is present and not expired at now.
func (e *entry[K, V]) live(now int64, t timeouts) bool {
	accessed := e.accessed.Load()
	return accessed != gone && !t.expired(accessed, e.idle.Load(), e.created, now)
}

// swap puts box in place of the present one, which it returns; nil when the value has left.
func (e *entry[K, V]) swap(box *V) (old *V) {
	for {
		old = e.value.Load()
		if old == nil || e.value.CompareAndSwap(old, box) {
			return old
		}
	}
}

// end ends the entry and returns its last value.
func (e *entry[K, V]) end() *V {
	e.accessed.Store(gone)
	return e.value.Swap(nil)
}

// endIf ends the entry if its value is still the one in box.
func (e *entry[K, V]) endIf(box *V) bool {
	if !e.value.CompareAndSwap(box, nil) {
		return false
	}
	e.accessed.Store(gone)
	return true
}

// endExpired ends the entry if it is expired at now. An access that came first saves it: the cause is then 0.
func (e *entry[K, V]) endExpired(now int64, t timeouts) (*V, Cause) {
	for {
		accessed, idle := e.accessed.Load(), e.idle.Load()
		if accessed == gone || !t.expired(accessed, idle, e.created, now) {
			return nil, 0
		}
		if e.accessed.CompareAndSwap(accessed, gone) {
			return e.value.Swap(nil), t.cause(accessed, idle, e.created)
		}
	}
}
