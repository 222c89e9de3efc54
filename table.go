package sessionmap

import (
	"iter"
	"math/bits"
	"sync/atomic"
)

// A table finds entries by key. Any number of goroutines may read it without a lock while one, the
// holder of the map's lock, changes it. It is an extendible hash table:
//
//	directory: [ 000 | 001 | 010 | 011 | 100 | ... ]   indexed by the top bits of the hash
//	               \    /     |     |     \ ...
//	              segment  segment segment             up to 64 buckets, depth = top bits its entries share
//	                 |
//	              bucket: 7 tags of 7 hash bits, 7 entry pointers: one cache line
//
// A full segment is split in two and two near-empty ones are merged, so growing and shrinking copy at
// most one segment's pointers at a time, besides the directory of one pointer a segment. Replaced
// segments are never written again: a reader that still holds one sees the table of the moment it was
// replaced, which is a moment within its call; entries that ended since say so themselves.
//
// A bucket that is full passes entries on to the next one and counts those that went past it, so that a
// reader knows when to stop (the overflow count of Facebook's F14, which needs no tombstones).
type table[K comparable, V any] struct {
	dir atomic.Pointer[directory[K, V]]
}

func (t *table[K, V]) init() {
	d := &directory[K, V]{deepest: 1, segments: make([]atomic.Pointer[segment[K, V]], 1)}
	d.segments[0].Store(newSegment[K, V](0, 1))
	t.dir.Store(d)
}

const (
	slotsPerBucket = 7
	segmentBuckets = 64 // of a full-grown segment: 448 slots, so that a split copies about 4 KB
	tagBits        = 7
	tagInUse       = 1 << tagBits
	overflowShift  = 8 * slotsPerBucket // the top byte of a bucket's tags counts what went past it
	overflowStuck  = 0xff               // a count that reached its limit stays until the segment is rebuilt
	eachTag        = 0x0001_0101_0101_0101
	maxDepth       = 32 - tagBits - 6 // beyond, the directory's bits would run into the bucket's
)

type directory[K comparable, V any] struct {
	depth    int
	deepest  int // segments whose depth is the directory's
	count    int // entries
	segments []atomic.Pointer[segment[K, V]]
}

type segment[K comparable, V any] struct {
	depth   int
	used    int
	mask    uint32
	warmed  uint32 // what has been read ahead, so that it is not optimised away
	buckets []bucket[K, V]
}

type bucket[K comparable, V any] struct {
	tags  atomic.Uint64
	slots [slotsPerBucket]atomic.Pointer[entry[K, V]]
}

func newSegment[K comparable, V any](depth, buckets int) *segment[K, V] {
	return &segment[K, V]{depth: depth, mask: uint32(buckets - 1), buckets: make([]bucket[K, V], buckets)}
}

// find returns the entry of key, which may have ended; nil if there is none. It takes no lock.
func (t *table[K, V]) find(hash uint32, key K) *entry[K, V] {
	s := t.dir.Load().segment(hash)
	tag := tagOf(hash) * eachTag
	for n, i := 0, s.home(hash); n < len(s.buckets); n, i = n+1, (i+1)&s.mask {
		b := &s.buckets[i]
		tags := b.tags.Load()
		// A byte of x is zero where the tag matches; the rest finds zero bytes, with false alarms
		// that the comparison of keys turns away.
		x := tags ^ tag
		for match := (x - eachTag) &^ x & (eachTag << tagBits); match != 0; match &= match - 1 {
			slot := bits.TrailingZeros64(match) / 8
			e := b.slots[slot].Load()
			// The tag comes after the entry: one that is just put into a slot whose tag was read before is not there yet.
			if e != nil && e.hash == hash && e.key == key && uint8(b.tags.Load()>>(8*slot)) == uint8(tag) {
				return e
			}
		}
		if tags>>overflowShift == 0 {
			return nil
		}
	}
	return nil
}

// peek reads the bucket where the search for hash begins.
func (t *table[K, V]) peek(hash uint32) uint64 {
	s := t.dir.Load().segment(hash)
	return s.buckets[s.home(hash)].tags.Load()
}

// insert adds e, whose key the table must not hold.
func (t *table[K, V]) insert(e *entry[K, V]) {
	s := t.dir.Load().segment(e.hash)
	for s.used >= len(s.buckets)*slotsPerBucket*3/4 {
		t.grow(s, e.hash)
		s = t.dir.Load().segment(e.hash)
	}
	s.insert(e)
	t.dir.Load().count++
}

// remove takes e out. The caller has found e in the table under the lock.
func (t *table[K, V]) remove(e *entry[K, V]) {
	d := t.dir.Load()
	s := d.segment(e.hash)
	s.remove(e)
	d.count--
	t.shrink(s, e.hash)
}

// entries walks the table without a lock, segment by segment in the order of the hash, so that segments
// split or merged meanwhile cannot make it meet a key twice or pass over an entry that was there all
// along. It may yield entries that have ended.
func (t *table[K, V]) entries() iter.Seq[*entry[K, V]] {
	return func(yield func(*entry[K, V]) bool) {
		var found []*entry[K, V]
		for from := uint64(0); from < 1<<32; {
			s := t.dir.Load().segment(uint32(from))
			found = found[:0]
			for i := range s.buckets {
				for j := range s.buckets[i].slots {
					if e := s.buckets[i].slots[j].Load(); e != nil && uint64(e.hash) >= from {
						found = append(found, e)
					}
				}
			}
			width := uint64(1) << (32 - s.depth)
			from = from&^(width-1) + width
			for _, e := range found {
				if !yield(e) {
					return
				}
			}
		}
	}
}

// grow makes room in s, the segment of hash: by more buckets, or by a split once it is full-grown.
func (t *table[K, V]) grow(s *segment[K, V], hash uint32) {
	d := t.dir.Load()
	// More depth than the count of entries warrants means that hashes collide; a split would not part them.
	collide := s.depth >= min(maxDepth, bits.Len(uint(d.count/segmentBuckets))+3)
	if len(s.buckets) < segmentBuckets || collide {
		d.replace(hash, s.copyTo(newSegment[K, V](s.depth, 2*len(s.buckets))))
		return
	}
	if s.depth == d.depth {
		d = d.doubled()
		t.dir.Store(d)
	}
	bit := uint32(1) << (31 - s.depth)
	lower, upper := newSegment[K, V](s.depth+1, len(s.buckets)), newSegment[K, V](s.depth+1, len(s.buckets))
	for e := range s.all() {
		if e.hash&bit == 0 {
			lower.insert(e)
		} else {
			upper.insert(e)
		}
	}
	d.replace(hash&^bit, lower)
	d.replace(hash|bit, upper)
	if lower.depth == d.depth {
		d.deepest += 2
	}
}

// shrink gives memory back after a removal from s, the segment of hash.
func (t *table[K, V]) shrink(s *segment[K, V], hash uint32) {
	const sparse = segmentBuckets * slotsPerBucket * 5 / 8 // a split leaves more than that in two
	for s.depth > 0 {
		d := t.dir.Load()
		buddy := d.segment(hash ^ 1<<(32-s.depth))
		if buddy.depth != s.depth || s.used+buddy.used > sparse {
			return
		}
		if s.depth == d.depth {
			d.deepest -= 2
		}
		s = buddy.copyTo(s.copyTo(newSegment[K, V](s.depth-1, segmentBuckets)))
		d.replace(hash, s)
		if d.deepest == 0 {
			t.dir.Store(d.halved())
		}
	}
	least := segmentBuckets
	if s.depth == 0 {
		least = 1
	}
	if n := len(s.buckets); n > least && s.used <= n*slotsPerBucket/4 {
		t.dir.Load().replace(hash, s.copyTo(newSegment[K, V](s.depth, n/2)))
	}
}

func (d *directory[K, V]) segment(hash uint32) *segment[K, V] {
	return d.segments[hash>>(32-d.depth)].Load()
}

// replace puts s wherever the directory leads to a hash that shares s.depth bits with hash.
func (d *directory[K, V]) replace(hash uint32, s *segment[K, V]) {
	width := 1 << (d.depth - s.depth)
	first := int(hash>>(32-d.depth)) &^ (width - 1)
	for i := range width {
		d.segments[first+i].Store(s)
	}
}

func (d *directory[K, V]) doubled() *directory[K, V] {
	to := &directory[K, V]{depth: d.depth + 1, count: d.count, segments: make([]atomic.Pointer[segment[K, V]], 2*len(d.segments))}
	for i := range to.segments {
		to.segments[i].Store(d.segments[i/2].Load())
	}
	return to
}

func (d *directory[K, V]) halved() *directory[K, V] {
	to := &directory[K, V]{depth: d.depth - 1, count: d.count, segments: make([]atomic.Pointer[segment[K, V]], len(d.segments)/2)}
	for i := range to.segments {
		s := d.segments[2*i].Load()
		to.segments[i].Store(s)
		if s.depth == to.depth {
			to.deepest++
		}
	}
	return to
}

func tagOf(hash uint32) uint64 { return uint64(hash&(tagInUse-1) | tagInUse) }

// home is the index of the bucket in which the search for hash begins.
func (s *segment[K, V]) home(hash uint32) uint32 { return hash >> tagBits & s.mask }

// insert adds e. Its tag comes after its pointer and the overflow counts last, so that a reader meets it
// complete or not at all.
func (s *segment[K, V]) insert(e *entry[K, V]) {
	home := s.home(e.hash)
	at := home
	for {
		b := &s.buckets[at]
		tags := b.tags.Load()
		if free := ^tags & (eachTag << tagBits); free != 0 {
			slot := bits.TrailingZeros64(free) / 8
			b.slots[slot].Store(e)
			b.tags.Store(tags | tagOf(e.hash)<<(8*slot))
			break
		}
		at = (at + 1) & s.mask
	}
	for i := home; i != at; i = (i + 1) & s.mask {
		s.buckets[i].countPast(1)
	}
	s.used++
}

func (s *segment[K, V]) remove(e *entry[K, V]) {
	for i := s.home(e.hash); ; i = (i + 1) & s.mask {
		b := &s.buckets[i]
		for slot := range b.slots {
			if b.slots[slot].Load() == e {
				b.tags.Store(b.tags.Load() &^ (0xff << (8 * slot)))
				b.slots[slot].Store(nil)
				for j := s.home(e.hash); j != i; j = (j + 1) & s.mask {
					s.buckets[j].countPast(-1)
				}
				s.used--
				return
			}
		}
	}
}

func (b *bucket[K, V]) countPast(n int) {
	tags := b.tags.Load()
	if tags>>overflowShift != overflowStuck {
		b.tags.Store(tags + uint64(n)<<overflowShift)
	}
}

// copyTo reads all hashes ahead of the copying, so that the processor waits for these cache misses at once.
func (s *segment[K, V]) copyTo(to *segment[K, V]) *segment[K, V] {
	for e := range s.all() {
		to.warmed += e.hash
	}
	for e := range s.all() {
		to.insert(e)
	}
	return to
}

func (s *segment[K, V]) all() iter.Seq[*entry[K, V]] {
	return func(yield func(*entry[K, V]) bool) {
		for i := range s.buckets {
			for j := range s.buckets[i].slots {
				if e := s.buckets[i].slots[j].Load(); e != nil && !yield(e) {
					return
				}
			}
		}
	}
}
