package sessionmap

import (
	"cmp"
	"container/list"
	"math"
	"slices"
	"sync/atomic"
)

// A recency keeps entries in the order of their last access, without being told of an access: those only
// stamp their entry. Entries are filed in batches, each for a span of time:
//
//	         newest: to now                                                  oldest
//	Set ──►  [ until ∞ ] ── [ until t3 ] ── [ until t2 ] ── ... ── [ until t1, sorted ] ──► victim
//	              ▲                              │
//	              └──── touched since: filed anew┘
//
// An entry stands in the batch of the span in which it was last accessed, or has been accessed since and is
// to be filed anew: its stamp tells, when somebody comes to look. The order within a batch does not matter
// until it is the oldest; only then, when most of its entries have long been filed anew, are the rest sorted.
// So an entry is filed once for many accesses, and no access moves it in a list.
//
// Where all is read and nothing removed, entries to be filed anew would pile up for whoever needs the oldest
// one next. In a large map readers therefore note what they touch (see notebook), and file it from time to
// time. What piles up all the same, because the lock was never free, is filed in steps (see seek).
//
// What has left a batch leaves a hole there. A batch with more than three holes an entry is closed up, and
// united with the next older one if there is room; one with no entry goes at once. So the oldest entry is
// found in the oldest batch. One that has grown too large, for entries filed anew go where they belong, is split.
//
// Entries with the map's idle timeout are filed in one history: its order is also the order in which they
// expire. Those with an idle timeout of their own are in the other.
//
// touched is safe for concurrent use; the rest needs the map's lock.
type recency[K comparable, V any] struct {
	timeouts timeouts
	shared   history[K, V] // entries with the map's idle timeout
	own      history[K, V] // entries with another one

	batches []*batch[K, V]     // by id
	free    []uint32           // ids
	space   []*entry[K, V]     // of a batch that has gone
	looking []stamped[K, V]    // scratch space
	filed   func(*entry[K, V]) // hears of each entry with an extra part that has been filed anew

	hasSplit bool                           // a batch, since others last had the lock: many can fill up at once
	entries  int                            // that are filed, or leased
	removed  int                            // since the last drain
	notes    atomic.Pointer[notebook[K, V]] // nil in a small map

	clock clock
}

// A history is a list of batches.
type history[K comparable, V any] struct {
	batches list.List // of *batch, the newest in front
	stamps  []stamp   // by which the oldest batch is sorted, if it is
}

// A batch holds the entries that were last accessed after the next older batch's end and until its own.
type batch[K comparable, V any] struct {
	id      uint32
	entries []*entry[K, V] // nil for those that have left
	live    int            // that have not
	until   stamp
	sorted  bool // the least recently accessed last
	in      *history[K, V]
	elem    *list.Element
}

const (
	cacheLine = 64
	batchSize = 512  // sorting one holds the lock for about 50 µs
	sparse    = 4    // a batch is closed up when only one in so many of its entries is left
	smallMap  = 4096 // as many can be filed anew while somebody waits
)

// A stamp is the moment of an access: its clock reading and, on a clock that steps, its rank within it.
type stamp struct{ accessed, rank int64 }

// endOfTime is where the newest batch ends.
var endOfTime = stamp{math.MaxInt64, math.MaxInt64}

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

type stamped[K comparable, V any] struct {
	stamp
	entry *entry[K, V]
}

func (r *recency[K, V]) init(t timeouts, c clock, filed func(*entry[K, V])) {
	r.timeouts, r.clock, r.filed = t, c, filed
	r.batches = make([]*batch[K, V], 1) // 0 is no batch
}

// touched takes notice of an access to e, which the caller has just stamped. It reports whether it is time
// to drain.
func (r *recency[K, V]) touched(e *entry[K, V]) (full bool) {
	r.rank(e)
	notes := r.notes.Load()
	return notes != nil && notes.note(e)
}

// rank gives an access to e that is just being made its rank.
func (r *recency[K, V]) rank(e *entry[K, V]) {
	if r.clock.steps() {
		raise(&e.extra.Load().rank, r.clock.ranks.Add(1))
	}
}

// drain files anew some of what has been noted. It reports whether there was as much as it takes at a time.
func (r *recency[K, V]) drain() (more bool) {
	removed := r.removed
	r.removed, r.hasSplit = 0, false
	notes := r.notes.Load()
	if notes != nil {
		r.looking = notes.take(r.looking)
		more = len(r.looking) == notesTaken
		notes.turn(len(r.looking)+removed, r.entries)
		r.look()
		for _, s := range r.looking {
			r.settle(s)
		}
		r.looked()
	}
	switch {
	case notes != nil && r.entries <= smallMap/2:
		r.notes.Store(nil)
	case notes == nil && r.entries > smallMap, notes != nil && !notes.fits(r.entries):
		r.notes.Store(newNotebook[K, V](r.entries))
	}
	return more
}

// look reads the stamps of the entries in looking, so that the processor waits for all of these cache misses
// at once, and not for one after the other while the entries are filed.
func (r *recency[K, V]) look() {
	for i := range r.looking {
		r.looking[i].stamp = r.looking[i].entry.stamp()
	}
}

func (r *recency[K, V]) looked() {
	clear(r.looking)
	r.looking = r.looking[:0]
}

// settle files an entry anew if it has been accessed after the end of its batch.
func (r *recency[K, V]) settle(s stamped[K, V]) {
	e := s.entry
	if e.batch != 0 && s.accessed != gone && s.compare(r.batches[e.batch].until) > 0 {
		r.leave(e)
		r.file(e, s.stamp)
	}
}

// file puts e in the batch for an access at the given moment.
func (r *recency[K, V]) file(e *entry[K, V], at stamp) {
	h := r.historyOf(e)
	elem := h.batches.Front()
	if elem == nil || at.compare(elem.Value.(*batch[K, V]).until) > 0 {
		elem = r.newBatch(h).elem
	}
	for older := elem.Next(); older != nil && at.compare(older.Value.(*batch[K, V]).until) <= 0; older = elem.Next() {
		elem = older
	}
	b := elem.Value.(*batch[K, V])
	if !b.sorted {
		b.put(e)
	} else {
		i, _ := slices.BinarySearchFunc(h.stamps, at, func(s, at stamp) int { return at.compare(s) })
		b.entries, h.stamps = slices.Insert(b.entries, i, e), slices.Insert(h.stamps, i, at)
		e.batch = b.id
		for ; i < len(b.entries); i++ {
			if b.entries[i] != nil {
				b.entries[i].slot = uint32(i)
			}
		}
	}
	b.live++
	if len(b.entries) >= batchSize {
		r.close(b)
	}
	if len(b.entries) >= 2*batchSize && !b.sorted && !r.hasSplit {
		r.hasSplit = true
		r.split(b)
	}
	if e.extra.Load() != nil {
		r.filed(e)
	}
}

// put appends e.
func (b *batch[K, V]) put(e *entry[K, V]) {
	e.batch, e.slot = b.id, uint32(len(b.entries))
	b.entries = append(b.entries, e)
}

func (r *recency[K, V]) newBatch(h *history[K, V]) *batch[K, V] {
	b := &batch[K, V]{in: h, entries: r.space, until: endOfTime}
	r.space = nil
	if n := len(r.free); n > 0 {
		b.id, r.free = r.free[n-1], r.free[:n-1]
		r.batches[b.id] = b
	} else {
		b.id = uint32(len(r.batches))
		r.batches = append(r.batches, b)
	}
	b.elem = h.batches.PushFront(b)
	return b
}

// close ends b's span now, if it is the newest batch.
func (r *recency[K, V]) close(b *batch[K, V]) {
	if b.until == endOfTime {
		b.until = stamp{accessed: r.clock.exact()}
		if r.clock.steps() {
			b.until.rank = r.clock.ranks.Load()
		}
	}
}

// leave takes e out of its batch.
func (r *recency[K, V]) leave(e *entry[K, V]) {
	b := r.batches[e.batch]
	b.entries[e.slot] = nil
	e.batch = 0
	b.live--
	switch {
	case b.live == 0:
		r.drop(b)
	case b.live <= len(b.entries)/sparse:
		r.closeUp(b)
		r.merge(b)
		if large := b.entries; cap(large) > 2*len(large) {
			b.entries = append(make([]*entry[K, V], 0, len(large)), large...)
			r.reuse(large)
		}
	}
}

func (r *recency[K, V]) drop(b *batch[K, V]) {
	b.in.batches.Remove(b.elem)
	r.reuse(b.entries)
	r.batches[b.id] = nil
	r.free = append(r.free, b.id)
	if n := len(r.batches); int(b.id) == n-1 && len(r.free) > n/2 {
		for ; r.batches[n-1] == nil && n > 1; n-- {
		}
		r.batches = slices.Clone(r.batches[:n])
		r.free = slices.Clone(slices.DeleteFunc(r.free, func(id uint32) bool { return int(id) >= n }))
	}
}

// reuse keeps space for the next batch.
func (r *recency[K, V]) reuse(space []*entry[K, V]) {
	if cap(space) > cap(r.space) && cap(space) <= 2*batchSize {
		clear(space)
		r.space = space[:0]
	}
}

// closeUp closes the holes in b.
func (r *recency[K, V]) closeUp(b *batch[K, V]) {
	n := 0
	for i, e := range b.entries {
		if e == nil {
			continue
		}
		b.entries[n], e.slot = e, uint32(n)
		if b.sorted {
			b.in.stamps[n] = b.in.stamps[i]
		}
		n++
	}
	b.truncate(n)
}

func (b *batch[K, V]) truncate(n int) {
	clear(b.entries[n:])
	b.entries = b.entries[:n]
	if b.sorted {
		b.in.stamps = b.in.stamps[:n]
	}
}

// merge unites b, if there is little in it, with the next older batch.
func (r *recency[K, V]) merge(b *batch[K, V]) {
	elem := b.elem.Next()
	if elem == nil {
		return
	}
	older := elem.Value.(*batch[K, V])
	if older.sorted || b.live+older.live > batchSize {
		return
	}
	for _, e := range older.entries {
		if e != nil {
			b.put(e)
		}
	}
	b.live += older.live
	r.drop(older)
}

// split gives the older half of b, of which the span has ended, a batch of its own: what was accessed in the same span can be
// filed there long after. Where all were accessed at once it does nothing.
func (r *recency[K, V]) split(b *batch[K, V]) {
	all := make([]stamped[K, V], 0, b.live)
	for _, e := range b.entries {
		if e != nil {
			all = append(all, stamped[K, V]{e.stamp(), e})
		}
	}
	slices.SortFunc(all, func(a, b stamped[K, V]) int { return a.compare(b.stamp) })
	n := len(all) / 2
	until := all[n].stamp
	for n < len(all) && all[n].compare(until) <= 0 {
		n++
	}
	if n == len(all) || until.compare(b.until) >= 0 {
		return
	}
	older := r.newBatch(b.in)
	older.until, older.live = until, n
	b.in.batches.MoveAfter(older.elem, b.elem)
	clear(b.entries)
	b.entries, b.live = b.entries[:0], len(all)-n
	for _, s := range all[:n] {
		older.put(s.entry)
	}
	for _, s := range all[n:] {
		b.put(s.entry)
	}
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
	r.rank(e)
	r.file(e, e.stamp())
	r.entries++
	if r.entries > smallMap && r.notes.Load() == nil {
		r.drain()
	}
}

// remove lets go of e, which has ended.
func (r *recency[K, V]) remove(e *entry[K, V]) {
	r.withdraw(e)
	r.entries--
	if r.removed++; r.removed == noteBatch {
		r.drain() // so that notes do not hold what has ended
	}
}

// setIdle gives e another idle timeout.
func (r *recency[K, V]) setIdle(e *entry[K, V], idle int64) {
	from := r.historyOf(e)
	e.withExtra(r.timeouts).idle.Store(idle)
	if e.batch == 0 || r.historyOf(e) == from {
		return
	}
	r.leave(e)
	r.file(e, e.stamp())
}

// withdraw takes e out of the order: it is leased. restore files it again, after an access.
func (r *recency[K, V]) withdraw(e *entry[K, V]) {
	if e.batch != 0 {
		r.leave(e)
	}
}

func (r *recency[K, V]) restore(e *entry[K, V]) {
	r.rank(e)
	r.file(e, e.stamp())
}

// historyOf returns the history to which e belongs by its idle timeout.
func (r *recency[K, V]) historyOf(e *entry[K, V]) *history[K, V] {
	if e.idle(r.timeouts) == r.timeouts.idle {
		return &r.shared
	}
	return &r.own
}

// oldest returns the least recently accessed entry and the moment of that access; nil if there is none. found
// is false when it takes another call to tell (see seek).
func (r *recency[K, V]) oldest() (e *entry[K, V], at stamp, found bool) {
	a, atA, foundA := r.seek(&r.shared)
	b, atB, foundB := r.seek(&r.own)
	if a == nil || b != nil && atB.compare(atA) < 0 {
		a, atA = b, atB
	}
	return a, atA, foundA && foundB
}

// seek looks for the oldest entry of h in the oldest batch, and files anew what it meets there that has been
// accessed since. Where that is the whole batch nothing has been found yet: seek has to be called again, and
// whoever holds the map's lock may let others have it first.
func (r *recency[K, V]) seek(h *history[K, V]) (e *entry[K, V], at stamp, found bool) {
	r.hasSplit = false
	elem := h.batches.Back()
	if elem == nil {
		return nil, stamp{}, true
	}
	b := elem.Value.(*batch[K, V])
	if !b.sorted {
		r.sort(b)
	}
	for b.live > 0 {
		n := len(b.entries) - 1
		e := b.entries[n]
		if e == nil {
			b.truncate(n)
			continue
		}
		at := e.stamp()
		if at == h.stamps[n] {
			return e, at, true
		}
		r.leave(e)
		r.file(e, at)
	}
	return nil, stamp{}, false
}

// next returns up to n entries that are likely to be the oldest; none before the oldest is asked for.
func (h *history[K, V]) next(n int) []*entry[K, V] {
	elem := h.batches.Back()
	if elem == nil || !elem.Value.(*batch[K, V]).sorted {
		return nil
	}
	entries := elem.Value.(*batch[K, V]).entries
	return entries[max(0, len(entries)-n):]
}

// sort prepares b, which is now the oldest of its history. Entries that are to be filed anew are; if all are,
// b goes.
func (r *recency[K, V]) sort(b *batch[K, V]) {
	r.close(b)
	for _, e := range b.entries {
		if e != nil {
			r.looking = append(r.looking, stamped[K, V]{entry: e})
		}
	}
	r.look()
	stay := r.looking[:0]
	for _, s := range r.looking {
		if s.compare(b.until) <= 0 {
			stay = append(stay, s)
		} else {
			r.file(s.entry, s.stamp)
		}
	}
	slices.SortFunc(stay, func(a, b stamped[K, V]) int { return b.compare(a.stamp) })
	clear(b.entries)
	b.entries, b.in.stamps = b.entries[:0], b.in.stamps[:0]
	for _, s := range stay {
		b.put(s.entry)
		b.in.stamps = append(b.in.stamps, s.stamp)
	}
	r.looked()
	b.live, b.sorted = len(b.entries), true
	if b.live == 0 {
		r.drop(b)
	}
}
