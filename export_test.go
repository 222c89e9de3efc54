package sessionmap

import (
	"container/list"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"
)

// CloseGrace is how long Close waits for callbacks.
const CloseGrace = closeGrace

// SweepBatch is how many entries a sweep removes under one hold of the lock.
const SweepBatch = sweepBatch

// SmallMap is up to how many entries a map does without notes.
const SmallMap = smallMap

// Ticking reports whether the timer of a coarse clock is set.
func Ticking[K comparable, V any](m *RobustSessionMap[K, V]) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ticker.wakeAt != never
}

// WithLock runs fn while the map's lock is held.
func WithLock[K comparable, V any](m *RobustSessionMap[K, V], fn func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fn()
}

// TableSlots is how many slots the map's table has room for, DeadlineSlots the same of its deadline heap.
func TableSlots[K comparable, V any](m *RobustSessionMap[K, V]) (slots int) {
	d := m.policy.Load().table.dir.Load()
	for _, s := range d.distinct() {
		slots += len(s.buckets) * slotsPerBucket
	}
	return slots
}

func DeadlineSlots[K comparable, V any](m *RobustSessionMap[K, V]) int {
	return len(m.policy.Load().deadlines.pieces) * deadlinePiece
}

// Deadlines is how many entries the deadline heap holds.
func Deadlines[K comparable, V any](m *RobustSessionMap[K, V]) int {
	return m.policy.Load().deadlines.len
}

// Armed reports whether the sweeper's timer is set.
func Armed[K comparable, V any](m *RobustSessionMap[K, V]) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sweeper.wakeAt != never
}

// Steps reports whether the map found its clock to step, MonotonicBase whether it is a monotonic one.
func Steps[K comparable, V any](m *RobustSessionMap[K, V]) bool { return m.clock.steps() }

func MonotonicBase[K comparable, V any](m *RobustSessionMap[K, V]) bool {
	return m.clock.base != m.clock.base.Round(0)
}

// MakeCoarse gives the map the coarse clock that it asked for, also where the system's clock steps. The map
// must be unused yet.
func MakeCoarse[K comparable, V any](m *RobustSessionMap[K, V]) {
	m.clock.ranks, m.clock.coarse = nil, newCounter()
	m.policy.Store(m.newPolicy())
}

// Advance sets the map's coarse clock forward by hand.
func Advance[K comparable, V any](m *RobustSessionMap[K, V], d time.Duration) {
	m.clock.coarse.Add(int64(d))
}

// LateTouch is a Touch of key, which must be there, that has looked at the clock, and goes on when it is called.
func LateTouch[K comparable, V any](m *RobustSessionMap[K, V], key K) (touch func() bool) {
	e, _ := m.peek(key)
	now := m.clock.now()
	return func() bool { return e.touch(now, m.timeouts) }
}

// MakeSteps has the map order accesses as it does on a clock that steps. The map must be unused yet.
func MakeSteps[K comparable, V any](m *RobustSessionMap[K, V]) {
	m.clock.ranks = newCounter()
	m.policy.Store(m.newPolicy())
}

// InBubble reports whether the map knows that it lives in a synctest bubble.
func InBubble[K comparable, V any](m *RobustSessionMap[K, V]) bool { return m.clock.inBubble() }

// CheckInvariants looks at everything inside the map. It must be at rest: no call under way.
func CheckInvariants[K comparable, V any](m *RobustSessionMap[K, V]) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.policy.Load()
	if n := int(p.count.Load()); p.maxSize > 0 && n > p.maxSize {
		return fmt.Errorf("%d entries in a map of %d", n, p.maxSize)
	}
	if m.closed.Load() && p.count.Load() != 0 {
		return fmt.Errorf("%d entries in a closed map", p.count.Load())
	}
	if err := p.table.check(int(p.count.Load())); err != nil {
		return fmt.Errorf("table: %w", err)
	}
	all := map[*entry[K, V]]bool{}
	for e := range p.table.entries() {
		if e.accessed.Load() == gone || e.value.Load() == nil {
			return fmt.Errorf("key %v: ended, but in the table", e.key)
		}
		all[e] = true
	}
	if err := p.recency.check(all); err != nil {
		return fmt.Errorf("recency: %w", err)
	}
	if err := p.checkDeadlines(all); err != nil {
		return fmt.Errorf("deadlines: %w", err)
	}
	if err := p.checkCost(all); err != nil {
		return err
	}
	if err := p.checkOwners(all); err != nil {
		return fmt.Errorf("owners: %w", err)
	}
	next := p.nextDeadline()
	for next == 0 {
		next = p.nextDeadline()
	}
	if !m.closed.Load() && !m.sweeper.running && next != never && m.sweeper.wakeAt > max(next, after(m.sweeper.last, m.sweeper.interval)) {
		return fmt.Errorf("sweeper: wakes at %d, the next deadline is %d", m.sweeper.wakeAt, next)
	}
	return nil
}

func (d *directory[K, V]) distinct() (all []*segment[K, V]) {
	for i := 0; i < len(d.segments); {
		s := d.segments[i].Load()
		all = append(all, s)
		i += 1 << (d.depth - s.depth)
	}
	return all
}

func (t *table[K, V]) check(count int) error {
	d := t.dir.Load()
	if len(d.segments) != 1<<d.depth {
		return fmt.Errorf("directory of depth %d has %d segments", d.depth, len(d.segments))
	}
	total, deepest := 0, 0
	for i := 0; i < len(d.segments); {
		s := d.segments[i].Load()
		width := 1 << (d.depth - s.depth)
		for j := range width {
			if d.segments[i+j].Load() != s {
				return fmt.Errorf("directory entry %d+%d leads elsewhere", i, j)
			}
		}
		if s.depth == d.depth {
			deepest++
		}
		past := make([]int, len(s.buckets))
		used := 0
		for b := range s.buckets {
			tags := s.buckets[b].tags.Load()
			for slot := range s.buckets[b].slots {
				e := s.buckets[b].slots[slot].Load()
				tag := uint64(uint8(tags >> (8 * slot)))
				if e == nil {
					if tag != 0 {
						return fmt.Errorf("tag without entry")
					}
					continue
				}
				used++
				if tag != tagOf(e.hash) {
					return fmt.Errorf("key %v: tag %x, want %x", e.key, tag, tagOf(e.hash))
				}
				if int(e.hash>>(32-d.depth))&^(width-1) != i {
					return fmt.Errorf("key %v: in the wrong segment", e.key)
				}
				for at := s.home(e.hash); at != uint32(b); at = (at + 1) & s.mask {
					past[at]++
				}
				if t.find(e.hash, e.key) != e {
					return fmt.Errorf("key %v: not found", e.key)
				}
			}
		}
		for b := range s.buckets {
			if n := s.buckets[b].tags.Load() >> overflowShift; n != overflowStuck && int(n) != past[b] {
				return fmt.Errorf("bucket counts %d past it, want %d", n, past[b])
			}
		}
		if used != s.used {
			return fmt.Errorf("segment says %d used, has %d", s.used, used)
		}
		total += used
		i += width
	}
	if deepest != d.deepest || deepest == 0 {
		return fmt.Errorf("directory says %d deepest, has %d", d.deepest, deepest)
	}
	if total != d.count || total != count {
		return fmt.Errorf("%d entries, directory says %d, policy %d", total, d.count, count)
	}
	return nil
}

func (r *recency[K, V]) check(all map[*entry[K, V]]bool) error {
	filed := map[*entry[K, V]]bool{}
	known := 0
	for _, h := range []*history[K, V]{&r.shared, &r.own} {
		var newer *batch[K, V]
		for elem := h.batches.Front(); elem != nil; elem = elem.Next() {
			b := elem.Value.(*batch[K, V])
			known++
			if b.elem != elem || b.in != h || r.batches[b.id] != b {
				return fmt.Errorf("batch %d: in the wrong place", b.id)
			}
			if b.sorted && (elem.Next() != nil || len(h.stamps) != len(b.entries)) {
				return fmt.Errorf("batch %d: sorted, but not the oldest, or not fully", b.id)
			}
			if newer != nil && newer.until.compare(b.until) <= 0 {
				return fmt.Errorf("batches %d, %d: until %v, %v", newer.id, b.id, newer.until, b.until)
			}
			live := 0
			for i, e := range b.entries {
				if e == nil {
					continue
				}
				live++
				if e.batch != b.id || int(e.slot) != i {
					return fmt.Errorf("key %v: at %d of batch %d, says %d of %d", e.key, i, b.id, e.slot, e.batch)
				}
				if filed[e] || !all[e] {
					return fmt.Errorf("key %v: filed twice, or not present", e.key)
				}
				filed[e] = true
				if (e.idle(r.timeouts) == r.timeouts.idle) != (h == &r.shared) {
					return fmt.Errorf("key %v: in the wrong history for idle timeout %d", e.key, e.idle(r.timeouts))
				}
				if next := elem.Next(); next != nil && e.stamp().compare(next.Value.(*batch[K, V]).until) <= 0 {
					return fmt.Errorf("key %v: accessed at %v, before its batch", e.key, e.stamp())
				}
				if b.sorted && (i > 0 && h.stamps[i].compare(h.stamps[i-1]) > 0 || h.stamps[i].compare(e.stamp()) > 0) {
					return fmt.Errorf("key %v: out of order: %v, %v", e.key, h.stamps[i], e.stamp())
				}
			}
			if live != b.live || live == 0 || len(b.entries) >= sparse*(live+1) {
				return fmt.Errorf("batch %d: %d live of %d, says %d", b.id, live, len(b.entries), b.live)
			}
			newer = b
		}
	}
	if known+len(r.free)+1 != len(r.batches) {
		return fmt.Errorf("%d batches and %d free ids, want %d", known, len(r.free), len(r.batches)-1)
	}
	leased := 0
	for e := range all {
		if t := e.ties(); t != nil && t.leases.Load() > 0 {
			leased++
			if e.accessed.Load() != held || e.batch != 0 {
				return fmt.Errorf("key %v: leased, but accessed at %d, in batch %d", e.key, e.accessed.Load(), e.batch)
			}
		}
	}
	if len(filed)+leased != len(all) || r.entries != len(all) {
		return fmt.Errorf("%d entries filed, %d leased, says %d, want %d", len(filed), leased, r.entries, len(all))
	}
	if large := r.notes.Load() != nil; large && len(all) == 0 || !large && len(all) > smallMap {
		return fmt.Errorf("notes taken: %v, with %d entries", large, len(all))
	}
	return nil
}

func (p *policy[K, V]) checkDeadlines(all map[*entry[K, V]]bool) error {
	d := &p.deadlines
	for i := range d.len {
		item := d.item(i)
		e := item.entry
		if x := e.extra.Load(); x != item.extra || int(x.heapIndex) != i+1 || !all[e] {
			return fmt.Errorf("key %v: index %d at place %d", e.key, x.heapIndex, i)
		}
		if i > 0 && d.Less(i, (i-1)/2) {
			return fmt.Errorf("heap order broken at %d", i)
		}
	}
	for e := range all {
		idle := e.idle(p.timeouts)
		at := p.timeouts.lifetimeEnd(e.accessed.Load(), e.created)
		if idle != p.timeouts.idle {
			at = min(at, after(e.accessed.Load(), idle))
		}
		x := e.extra.Load()
		if inHeap := x != nil && x.heapIndex != 0; inHeap != (at != never) {
			return fmt.Errorf("key %v: in the heap: %v", e.key, inHeap)
		}
		if at == never {
			continue
		}
		placed := d.item(int(x.heapIndex - 1)).at
		if placed > at {
			return fmt.Errorf("key %v: placed at %d, expires at %d", e.key, placed, at)
		}
	}
	return nil
}

func (p *policy[K, V]) checkCost(all map[*entry[K, V]]bool) error {
	var cost, leased int64
	for e := range all {
		t := e.ties()
		if t == nil {
			continue
		}
		var sum int64
		for _, c := range t.costs {
			sum += c
		}
		if sum != t.cost.Load() {
			return fmt.Errorf("key %v: costs %v, says %d", e.key, t.costs, t.cost.Load())
		}
		if cost += sum; t.leases.Load() > 0 {
			leased += sum
		}
	}
	var byNumber int64
	for _, c := range p.costs {
		byNumber += c
	}
	if byNumber != cost {
		return fmt.Errorf("cost %d by session, %d by attribute", cost, byNumber)
	}
	if cost != p.cost.Load() || leased != p.leasedCost {
		return fmt.Errorf("cost %d, of leased ones %d; says %d and %d", cost, leased, p.cost.Load(), p.leasedCost)
	}
	if p.maxCost > 0 && cost > p.maxCost {
		return fmt.Errorf("cost %d over the bound %d", cost, p.maxCost)
	}
	return nil
}

func (p *policy[K, V]) checkOwners(all map[*entry[K, V]]bool) (err error) {
	listed := 0
	for number, o := range p.owners {
		o.lists.Range(func(owner, l any) bool {
			if l.(*list.List).Len() == 0 {
				err = fmt.Errorf("owner %v: an empty list", owner)
			}
			for elem := l.(*list.List).Front(); elem != nil; elem = elem.Next() {
				listed++
				t := elem.Value.(*ties)
				if e := t.entry.(*entry[K, V]); !all[e] || e.ties() != t {
					err = fmt.Errorf("owner %v: key %v is listed, but not present", owner, e.key)
				}
				if t.owned[number].owner != owner || t.owned[number].elem != elem {
					err = fmt.Errorf("owner %v: an entry says %v", owner, t.owned[number].owner)
				}
			}
			return true
		})
	}
	owned := 0
	for e := range all {
		if t := e.ties(); t != nil {
			for _, o := range t.owned {
				if o.elem != nil {
					owned++
				}
			}
		}
	}
	if err == nil && owned != listed {
		err = fmt.Errorf("%d listed, %d owned", listed, owned)
	}
	return err
}

// A Heap stands in for the process's.
type Heap struct{ Cycles, Live, Limit atomic.Uint64 }

// WithHeap has the map read h.
func WithHeap(h *Heap) Option {
	return option{"WithHeap", func(c *config) {
		c.readHeap = func() heapReading { return heapReading{h.Cycles.Load(), h.Live.Load(), h.Limit.Load()} }
	}}
}

// ReadHeap reads the process's.
func ReadHeap() (cycles, live, limit uint64) {
	h := processHeap.read()
	return h.cycles, h.live, h.limit
}

// CgroupLimit reads the limit from a file system.
var CgroupLimit = cgroupLimitIn

// Registered is how many maps of the process with this name the registry has not forgotten, alive or not.
func Registered(name string) (n int) {
	registry.mu.Lock()
	defer registry.mu.Unlock()
	for _, r := range registry.all {
		if r.label == name {
			n++
		}
	}
	return n
}

// RollRoom is for how many maps a roll has room after so many have come and gone; 0 is none at all.
func RollRoom(maps int) (room int) {
	var r roll
	for range maps {
		r.enter("", nil)
	}
	for id := range r.last {
		r.strike(id + 1)
	}
	if r.all == nil && r.labels == nil {
		return 0
	}
	return maps
}

// Watching reports whether the map is going to look at its figures.
func Watching[K comparable, V any](m *RobustSessionMap[K, V]) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.watcher.wakeAt != never
}

// Looking reports whether the map looks at the heap, now and then.
func Looking[K comparable, V any](m *RobustSessionMap[K, V]) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.presser.wakeAt != never
}

// Subscribers is how many subscriptions a bus has.
func Subscribers[K comparable](b *Bus[K]) int { return len(b.subscribers.all()) }

// ExpireAll makes every entry look as if it was last accessed an idle timeout ago. The map must be at rest.
func ExpireAll[K comparable, V any](m *RobustSessionMap[K, V]) {
	WithLock(m, func() {
		p := m.policy.Load()
		for e := range p.table.entries() {
			e.accessed.Add(-p.timeouts.idle)
		}
		h := &p.recency.shared
		for i := range h.stamps {
			h.stamps[i].accessed -= p.timeouts.idle
		}
		for elem := h.batches.Front(); elem != nil; elem = elem.Next() {
			if b := elem.Value.(*batch[K, V]); b.until != endOfTime {
				b.until.accessed -= p.timeouts.idle
			}
		}
	})
}

// WithGroupLock is WithLock for a group.
func WithGroupLock[K comparable](g *Group[K], fn func()) { WithLock(g.sessions, fn) }

// CheckGroup is CheckInvariants for a group.
func CheckGroup[K comparable](g *Group[K]) error { return CheckInvariants(g.sessions) }

// Remembered is how many keys the map remembers after their end.
func Remembered[K comparable, V any](m *RobustSessionMap[K, V]) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.keys.deleted.len() + m.keys.renamed.len() + m.keys.failed.len()
}

// LoadsUnderWay is how many loads there are that may yet be stored.
func LoadsUnderWay[K comparable, V any](m *RobustSessionMap[K, V]) int {
	m.loads.mu.Lock()
	defer m.loads.mu.Unlock()
	return len(m.loads.calls)
}

// LoadsAreFree reports whether the list of loads holds no memory.
func LoadsAreFree[K comparable, V any](m *RobustSessionMap[K, V]) bool {
	m.loads.mu.Lock()
	defer m.loads.mu.Unlock()
	return m.loads.calls == nil && m.loads.running == nil
}

// TouchAcrossClear has an Update begin before a Clear, and touch a session of key that was set after it. It reports whether
// the oldest session can then be found.
func TouchAcrossClear[K comparable, V any](m *RobustSessionMap[K, V], key K) (found bool) {
	var none V
	before := m.policy.Load()
	for range 10 {
		m.Set(key, none)
	}
	m.Clear()
	m.Set(key, none)
	e, _ := m.peek(key)
	m.touch(before, e)
	m.mu.Lock()
	defer m.mu.Unlock()
	for range 3 {
		if _, _, found = m.policy.Load().recency.oldest(); found {
			return true
		}
	}
	return false
}

// EndsOf is how many functions wait for the end of the lease's session.
func EndsOf[K comparable, V any](l *Lease[K, V]) int {
	t := l.record.ties
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.ends)
}

// EndGuards tells the guards of the end of a session, as if late.
func EndGuards[K comparable](g *Group[K], id K) {
	for _, guard := range g.guards.all() {
		guard.end(id)
	}
}

// Walks is how many walks over all entries are under way.
func Walks[K comparable, V any](m *RobustSessionMap[K, V]) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.renameLogs)
}

// Unreleased is how many leases have not been released, whatever has become of their sessions.
func Unreleased[K comparable, V any](m *RobustSessionMap[K, V]) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.unreleased
}

// LockIsFree reports whether nobody holds the map's lock for long: others may for a moment.
func LockIsFree[K comparable, V any](m *RobustSessionMap[K, V]) bool {
	for range 100_000 {
		if m.mu.TryLock() {
			m.mu.Unlock()
			return true
		}
		runtime.Gosched()
	}
	return false
}

// SessionsOf returns the map of a group's sessions.
func SessionsOf[K comparable](g *Group[K]) *RobustSessionMap[K, *Session[K]] { return g.sessions }
