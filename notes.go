package sessionmap

import (
	"math/bits"
	"sync/atomic"
	"unsafe"
)

// A notebook is where the readers of a large map note which entries they have touched, so that these are
// filed in small parts and by many, and not all at once by whoever needs the oldest entry next. Notes are
// hints: recency finds out by itself that an entry has been touched. So a reader may give up when there is
// no space and the map's lock is taken, and a note may be lost or come twice. There is space for what readers
// note while the holder of the lock is off the processor for some milliseconds.
//
// Each lane is a bounded queue after Dmitry Vyukov ("Bounded MPMC queue", 1024cores.net), with the holder of
// the map's lock for its one consumer. The turn of a slot says who may use it next: in the lane's n-th round a
// writer when it is 2n, the reader when it is 2n+1. All atomic words are integers, for swapping pointers costs calls
// that were half of a Get.
type notebook[K comparable, V any] struct {
	page  atomic.Uint32 // entries remember on which they were noted last
	mask  uint64        // a lane's slots less one
	shift int           // their bits
	next  int           // the lane to read from; guarded by the map's lock, as is used
	used  int           // how much has happened on the page (see turn)
	lanes []noteLane[K, V]
}

const (
	noteBatch   = 256           // notes after which a writer has some taken: so few that most entries are still in its caches
	notesTaken  = 2 * noteBatch // at a time, at the most; more than come meanwhile
	noteEntries = 8             // entries of the map, there is room for one note
	pageEntries = 4             // entries of the map, a page is as long as notes
)

type noteLane[K comparable, V any] struct {
	writeAt atomic.Uint64
	_       [cacheLine - unsafe.Sizeof(uint64(0))]byte
	readAt  uint64 // guarded by the map's lock
	slots   []noteSlot[K, V]
}

type noteSlot[K comparable, V any] struct {
	turn  atomic.Uint32
	entry *entry[K, V]
}

func newNotebook[K comparable, V any](entries int) *notebook[K, V] {
	n := &notebook[K, V]{lanes: make([]noteLane[K, V], laneCount())}
	slots := n.wanted(entries)
	n.mask, n.shift = uint64(slots-1), bits.TrailingZeros(uint(slots))
	for i := range n.lanes {
		n.lanes[i].slots = make([]noteSlot[K, V], slots)
	}
	n.page.Store(1) // new entries have been noted on none
	return n
}

// wanted is how many slots the lanes should have each for a map of so many entries.
func (n *notebook[K, V]) wanted(entries int) int {
	slots := noteBatch
	for slots*len(n.lanes)*noteEntries < entries {
		slots *= 2
	}
	return slots
}

// fits reports whether the notebook is neither far too small nor far too large for a map of so many entries.
func (n *notebook[K, V]) fits(entries int) bool {
	slots, wanted := int(n.mask)+1, n.wanted(entries)
	return slots <= 2*wanted && wanted <= 2*slots
}

// round is the turn of a writer at position at.
func (n *notebook[K, V]) round(at uint64) uint32 { return uint32(at >> n.shift * 2) }

// note notes e, unless it stands on this page already. It reports whether it is time for take.
func (n *notebook[K, V]) note(e *entry[K, V]) (full bool) {
	page := n.page.Load()
	if noted := e.noted.Load(); noted == page || !e.noted.CompareAndSwap(noted, page) {
		return false
	}
	l := &n.lanes[ownLane()&(len(n.lanes)-1)]
	for {
		at := l.writeAt.Load()
		slot, mine := &l.slots[at&n.mask], n.round(at)
		turn := slot.turn.Load()
		if turn == mine && l.writeAt.CompareAndSwap(at, at+1) {
			slot.entry = e
			slot.turn.Store(mine + 1)
			return at%noteBatch == noteBatch-1
		}
		if int32(turn-mine) < 0 {
			return true
		}
	}
}

// turn begins a new page after so much has happened on the last one that much of it can be out of date. It is
// told how many notes were taken, and entries removed, since it was called last. Pages are long, so that what is
// read all the time is seldom noted, and no longer than a part of the map: what an entry was noted for on the
// same page is at most so many accesses of others ago.
func (n *notebook[K, V]) turn(happened, entries int) {
	if n.used += happened; n.used >= entries/pageEntries {
		n.used = 0
		n.page.Add(1)
	}
}

// take takes notes out, the first of each lane first, and appends their entries to taken.
func (n *notebook[K, V]) take(taken []stamped[K, V]) []stamped[K, V] {
	for range n.lanes {
		l := &n.lanes[n.next]
		for {
			slot, mine := &l.slots[l.readAt&n.mask], n.round(l.readAt)+1
			if slot.turn.Load() != mine {
				break
			}
			if len(taken) == notesTaken {
				return taken
			}
			taken = append(taken, stamped[K, V]{entry: slot.entry})
			slot.entry = nil
			slot.turn.Store(mine + 1)
			l.readAt++
		}
		n.next = (n.next + 1) % len(n.lanes)
	}
	return taken
}
