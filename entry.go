package sessionmap

import (
	"math"
	"sync/atomic"
)

// An entry is one key with its value, from the Set that made it to the removal that ends it.
//
// Two words decide every race over an entry:
//
//   - accessed tells whether it lives and until when. Readers raise it with compare-and-swap, so an
//     access and a removal for idleness or size cannot both succeed.
//   - value is the token of its removal. Whoever swaps it for nil owns the value that was in it and
//     reports it; an overwrite that meets nil starts over as an insert.
//
// Only the holder of the map's lock ends an entry; anyone may touch or overwrite it.
//
// With a string for its key an entry takes 64 bytes, a cache line: a Get reads it at the price of one
// miss. What only some entries need is therefore in extra.
type entry[K comparable, V any] struct {
	key     K
	created int64 // clock reading

	value    atomic.Pointer[boxed[V]] // nil once the value has left
	accessed atomic.Int64             // clock reading of the last access; gone once the entry has ended
	extra    atomic.Pointer[extra]    // nil for an entry with the map's idle timeout and nothing else
	noted    atomic.Uint32            // the page of the notebook on which it was noted last

	hash uint32

	// Where recency has filed it, 0 being nowhere. Guarded by the map's lock.
	batch, slot uint32
}

// extra is the part of an entry that is there where the map has a lifetime or its clock steps, and
// from when the entry is given an idle timeout of its own, or something is tied to it.
type extra struct {
	idle      atomic.Int64         // idle timeout in nanoseconds; 0 is none
	rank      atomic.Int64         // orders accesses within one reading of a clock that steps
	heapIndex int32                // place in the deadline heap plus one, 0 while not in it; guarded by the map's lock
	ties      atomic.Pointer[ties] // nil if nothing is tied to the entry; set with the map's lock held
}

// from copies what is in y. Accesses that come too late to be in it come too late for the entry of y, too.
func (x *extra) from(y *extra) {
	x.idle.Store(y.idle.Load())
	x.rank.Store(y.rank.Load())
	x.ties.Store(y.ties.Load())
}

// newEntry makes an entry, with its extra part at once where that is wanted: one allocation either way.
func newEntry[K comparable, V any](withExtra bool) *entry[K, V] {
	if !withExtra {
		return &entry[K, V]{}
	}
	both := &struct {
		entry entry[K, V]
		extra extra
	}{}
	both.entry.extra.Store(&both.extra)
	return &both.entry
}

// What stands in accessed, besides clock readings. Later than any of these, held makes an entry that is leased
// neither expired nor old in the eyes of all who compare.
const (
	gone     = math.MinInt64     // once an entry has ended
	deciding = math.MinInt64 + 1 // while it is renamed, or may end: whoever meets that has to wait for the map's lock and look again
	held     = math.MaxInt64     // while it is leased
)

// withExtra returns the entry's extra part, which it makes if need be. It needs the map's lock.
func (e *entry[K, V]) withExtra(t timeouts) *extra {
	x := e.extra.Load()
	if x == nil {
		x = new(extra)
		x.idle.Store(t.idle)
		e.extra.Store(x)
	}
	return x
}

// idle returns the entry's idle timeout.
func (e *entry[K, V]) idle(t timeouts) int64 {
	if x := e.extra.Load(); x != nil {
		return x.idle.Load()
	}
	return t.idle
}

// since returns from when on the entry stands under its key. It needs the map's lock.
func (e *entry[K, V]) since() int64 {
	if t := e.ties(); t != nil {
		return max(e.created, t.named)
	}
	return e.created
}

// touch records an access at now. It reports false, and changes nothing, when the entry has ended, is expired,
// or is on its way to another key or its end.
func (e *entry[K, V]) touch(now int64, t timeouts) bool {
	for {
		accessed := e.accessed.Load()
		if accessed <= deciding || t.expired(accessed, e.idle(t), e.created, now) {
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
	return accessed > deciding && !t.expired(accessed, e.idle(t), e.created, now)
}

// swap puts box in place of the present one, which it returns; nil when the value has left.
func (e *entry[K, V]) swap(box *boxed[V]) (old *boxed[V]) {
	for {
		old = e.value.Load()
		if old == nil || e.value.CompareAndSwap(old, box) {
			return old
		}
	}
}

// end ends the entry and returns its last value.
func (e *entry[K, V]) end() *boxed[V] {
	e.accessed.Store(gone)
	return e.value.Swap(nil)
}

// endIf ends the entry if its value is still the one in box. Who accesses it meanwhile waits until that is decided.
func (e *entry[K, V]) endIf(box *boxed[V]) (ended bool) {
	accessed := e.accessed.Swap(deciding)
	if ended = e.value.CompareAndSwap(box, nil); ended {
		accessed = gone
	}
	e.accessed.Store(accessed)
	return ended
}

// endUntouched ends the entry if its last access is still the one at accessed.
func (e *entry[K, V]) endUntouched(accessed int64) *boxed[V] {
	if !e.accessed.CompareAndSwap(accessed, gone) {
		return nil
	}
	return e.value.Swap(nil)
}

// endOldest ends the entry if its last access is still the one at the given stamp. On a clock that steps, a later one
// may have the same reading. It raises the rank before it reads the value: so the value is taken away before the rank is
// looked at, and put back if there has been one.
func (e *entry[K, V]) endOldest(at stamp) *boxed[V] {
	x := e.extra.Load()
	if x == nil || at.rank == 0 {
		return e.endUntouched(at.accessed)
	}
	if !e.accessed.CompareAndSwap(at.accessed, deciding) {
		return nil
	}
	box := e.value.Swap(nil)
	if x.rank.Load() != at.rank {
		e.value.Store(box)
		e.accessed.Store(at.accessed)
		return nil
	}
	e.accessed.Store(gone)
	return box
}

// endExpired ends the entry if it is expired at now. An access that came first saves it: the cause is then 0.
func (e *entry[K, V]) endExpired(now int64, t timeouts) (*boxed[V], Cause) {
	for {
		accessed, idle := e.accessed.Load(), e.idle(t)
		if accessed == gone || !t.expired(accessed, idle, e.created, now) {
			return nil, 0
		}
		if box := e.endUntouched(accessed); box != nil {
			return box, t.cause(accessed, idle, e.created)
		}
	}
}
