package sessionmap

import (
	"iter"
	"sync/atomic"
	"unsafe"
)

// A Session is one session of a [Group]. It has the values of the attributes, which only these can read.
//
//	first: [ slot | slot | ... | next ]──► [ slot | ... | next ]      a slot an attribute, in their order
//
// Who ends a session swaps each slot for the mark of the end, and reports what was in it. Who sets an attribute
// at the same time meets either a slot or that mark, and in the latter case begins a new session. So each value
// is reported once, and none stays behind in a session that has ended.
type Session[K comparable] struct {
	first slots
	id    atomic.Pointer[K]
}

func newSession[K comparable](id K) *Session[K] {
	s := &Session[K]{}
	s.id.Store(&id)
	return s
}

// ID returns the session's id.
func (s *Session[K]) ID() K { return *s.id.Load() }

// slotsPerPiece is how many slots a session has, and how many more where there are more attributes: with what
// comes after them, a cache line.
const slotsPerPiece = 7

type slots struct {
	slots [slotsPerPiece]slot
	next  atomic.Pointer[slots]
}

// A slot holds a box of an attribute's type, as boxer makes it; nil is no value.
type slot struct{ atomic.Pointer[slotBox] }

type slotBox struct{}

var (
	endMark  byte
	endOfAll = (*slotBox)(unsafe.Pointer(&endMark)) // stands in the slots of a session that has ended
	endPiece = newEndPiece()                        // what comes after its last slots
)

func newEndPiece() *slots {
	piece := &slots{}
	for i := range piece.slots {
		piece.slots[i].Store(endOfAll)
	}
	piece.next.Store(piece)
	return piece
}

// find returns slot i; nil if there is none yet.
func (s *slots) find(i int) *slot {
	for ; i >= slotsPerPiece; i -= slotsPerPiece {
		if s = s.next.Load(); s == nil {
			return nil
		}
	}
	return &s.slots[i]
}

// at returns slot i, which it makes if there is none yet.
func (s *slots) at(i int) *slot {
	for ; i >= slotsPerPiece; i -= slotsPerPiece {
		if s.next.Load() == nil {
			s.next.CompareAndSwap(nil, new(slots))
		}
		s = s.next.Load()
	}
	return &s.slots[i]
}

// value returns the box in the slot; nil if there is none.
func (s *slot) value() *slotBox {
	if s == nil {
		return nil
	}
	if box := s.Load(); box != endOfAll {
		return box
	}
	return nil
}

// swap puts box into the slot and returns what was there. It reports false when the session has ended.
func (s *slot) swap(box *slotBox) (old *slotBox, ok bool) {
	for {
		old := s.Load()
		if old == endOfAll {
			return nil, false
		}
		if s.CompareAndSwap(old, box) {
			return old, true
		}
	}
}

// end ends all slots, and then yields the boxes that were there, by the number of the slot.
func (s *slots) end() iter.Seq2[int, *slotBox] {
	var boxes []*slotBox
	for ; s != endPiece; s = s.next.Load() {
		for i := range s.slots {
			boxes = append(boxes, s.slots[i].Swap(endOfAll))
		}
		s.next.CompareAndSwap(nil, endPiece)
	}
	return func(yield func(int, *slotBox) bool) {
		for i, box := range boxes {
			if box != nil && box != endOfAll && !yield(i, box) {
				return
			}
		}
	}
}

// used counts the slots with a value.
func (s *slots) used() (n int) {
	for ; s != nil && s != endPiece; s = s.next.Load() {
		for i := range s.slots {
			if s.slots[i].value() != nil {
				n++
			}
		}
	}
	return n
}
