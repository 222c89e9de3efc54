package sessionmap

import (
	"sync/atomic"
	"unsafe"
)

// A notebook is where the readers of a large map note which entries they have touched, so that these are
// filed in small parts and by many, and not all at once by whoever needs the oldest entry next. Notes are
// hints: recency finds out by itself that an entry has been touched. So a reader may give up when there is
// no space and the map's lock is taken, and a note may be lost or come twice.
//
// Each lane is a bounded queue after Dmitry Vyukov ("Bounded MPMC queue", 1024cores.net), with the holder of
// the map's lock for its one consumer. The turn of a slot says who may use it next: its writer at position p
// when it is p, its reader when it is p+1. All atomic words are integers, for swapping pointers costs calls
// that were half of a Get.
type notebook[K comparable, V any] struct {
	page  atomic.Uint32 // begun with each drain; entries remember on which they were noted last
	lanes []noteLane[K, V]
}

const noteSlots = 256 // of a lane: so few that an entry is filed while it is still in the processor's caches

type noteLane[K comparable, V any] struct {
	writeAt atomic.Uint32
	_       [cacheLine - unsafe.Sizeof(uint32(0))]byte
	readAt  uint32 // guarded by the map's lock
	slots   [noteSlots]noteSlot[K, V]
}

type noteSlot[K comparable, V any] struct {
	turn  atomic.Uint32
	entry *entry[K, V]
}

func newNotebook[K comparable, V any]() *notebook[K, V] {
	n := &notebook[K, V]{lanes: make([]noteLane[K, V], laneCount())}
	for i := range n.lanes {
		for turn := range uint32(noteSlots) {
			n.lanes[i].slots[turn].turn.Store(turn)
		}
	}
	n.page.Store(1) // new entries have been noted on none
	return n
}

// note notes e, unless it stands on this page already. It reports whether its lane is full.
func (n *notebook[K, V]) note(e *entry[K, V]) (full bool) {
	page := n.page.Load()
	if noted := e.noted.Load(); noted == page || !e.noted.CompareAndSwap(noted, page) {
		return false
	}
	l := &n.lanes[ownLane()&(len(n.lanes)-1)]
	for {
		at := l.writeAt.Load()
		slot := &l.slots[at%noteSlots]
		turn := slot.turn.Load()
		if turn == at && l.writeAt.CompareAndSwap(at, at+1) {
			slot.entry = e
			slot.turn.Store(at + 1)
			return at%noteSlots == noteSlots-1
		}
		if int32(turn-at) < 0 {
			return true
		}
	}
}

// drain begins a new page and calls settle for each entry on the last.
func (n *notebook[K, V]) drain(settle func(*entry[K, V])) {
	n.page.Add(1)
	for i := range n.lanes {
		l := &n.lanes[i]
		for range noteSlots {
			slot := &l.slots[l.readAt%noteSlots]
			if slot.turn.Load() != l.readAt+1 {
				break
			}
			e := slot.entry
			slot.entry = nil
			slot.turn.Store(l.readAt + noteSlots)
			l.readAt++
			settle(e)
		}
	}
}
