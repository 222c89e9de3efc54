package sessionmap

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A bench is a recency with some entries, outside a map.
type bench struct {
	recency[int, int]
	entries []*entry[int, int]
}

// newBench makes one with a clock that never gives the same reading twice, or with one that steps.
func newBench(n int, steps bool) *bench {
	c := newClock(false)
	if steps {
		c.ranks = newCounter()
	} else {
		c.ranks, c.coarse = nil, newCounter() // so that no two readings are the same
	}
	b := &bench{}
	b.init(timeouts{idle: 1}, c, func(*entry[int, int]) {})
	for i := range n {
		e := newEntry[int, int](true)
		e.key = i
		e.extra.Load().idle.Store(1)
		b.entries = append(b.entries, e)
		e.accessed.Store(c.now())
		b.add(e)
	}
	return b
}

// access stamps entries one after the other, as readers do.
func (b *bench) access(keys ...int) {
	for _, key := range keys {
		raise(&b.entries[key].accessed, b.clock.now())
		if b.touched(b.entries[key]) {
			b.drain()
		}
	}
}

// oldest returns the oldest entry, however long it takes to find it.
func (b *bench) oldest() *entry[int, int] {
	for {
		if e, _, found := b.recency.oldest(); found {
			return e
		}
	}
}

// settle files an entry anew, if it is to be, as a drain does.
func (b *bench) settle(e *entry[int, int]) {
	b.recency.settle(stamped[int, int]{e.stamp(), e})
}

// order takes all entries out, the oldest first.
func (b *bench) order() (keys []int) {
	for {
		e := b.oldest()
		if e == nil {
			return keys
		}
		keys = append(keys, e.key)
		e.accessed.Store(gone)
		b.remove(e)
	}
}

func (b *bench) check(t *testing.T) {
	t.Helper()
	all := map[*entry[int, int]]bool{}
	for _, e := range b.entries {
		if e.accessed.Load() != gone {
			all[e] = true
		}
	}
	assert.NoError(t, b.recency.check(all))
}

// onBothBenches runs a test with a clock that is fine and with one that steps.
func onBothBenches(t *testing.T, n int, test func(t *testing.T, b *bench)) {
	for _, steps := range []bool{false, true} {
		t.Run(fmt.Sprintf("steps=%v", steps), func(t *testing.T) { test(t, newBench(n, steps)) })
	}
}

// TestRecencyOfAccess: whatever has been looked at in between, the order is that of the last accesses.
func TestRecencyOfAccess(t *testing.T) {
	const n = 3 * batchSize
	onBothBenches(t, n, func(t *testing.T, b *bench) {
		rng := rand.New(rand.NewPCG(1, 1))
		last := make([]int, n)
		for i := range n {
			last[i] = i
		}
		for i := range 20 * n {
			key := rng.IntN(n)
			if rng.IntN(4) > 0 {
				key /= 16 // some are accessed more
			}
			b.access(key)
			last[key] = n + i
			switch rng.IntN(50) {
			case 0:
				b.settle(b.entries[rng.IntN(n)])
			case 1:
				oldest := b.oldest()
				assert.Equal(t, slices.Min(last), last[oldest.key])
			}
			if i%500 == 0 {
				b.check(t)
			}
		}
		want := slices.SortedFunc(maps.Keys(maps.Collect(slices.All(last))), func(a, b int) int { return cmp.Compare(last[a], last[b]) })
		assert.Equal(t, want, b.order())
	})
}

// TestRecencyOvertaken: an entry is accessed, and its stamp written, while others that read the clock later
// have been filed already. It comes to stand where its stamp belongs, be that among the sorted.
func TestRecencyOvertaken(t *testing.T) {
	onBothBenches(t, 3*batchSize, func(t *testing.T, b *bench) {
		first := b.oldest()
		require.Equal(t, 0, first.key)
		b.access(5) // as a model for the stamp
		at := b.entries[5].stamp()
		for key := range 4 * batchSize { // two batches later
			b.access(6 + key%(2*batchSize))
			b.settle(b.entries[6+key%(2*batchSize)])
		}
		e := b.entries[2]
		e.accessed.Store(at.accessed)
		e.extra.Load().rank.Store(at.rank)
		b.settle(e)
		b.check(t)
		order := b.order()
		assert.Equal(t, []int{0, 1, 3, 4}, order[:4])
		assert.InDelta(t, slices.Index(order, 5), slices.Index(order, 2), 1, "side by side")

		c := newBench(10, b.clock.steps())
		c.oldest() // sorts
		x := c.entries[0]
		x.accessed.Store(c.entries[5].accessed.Load())
		x.extra.Load().rank.Store(c.entries[5].extra.Load().rank.Load())
		c.check(t)
		assert.Equal(t, []int{1, 2, 3, 4}, c.order()[:4])
	})
}

// TestBatchesStaySmall: what is filed anew in the span of a batch that has ended long ago does not all stay in that.
func TestBatchesStaySmall(t *testing.T) {
	const n = 64 * batchSize
	onBothBenches(t, n, func(t *testing.T, b *bench) {
		part := make([]int, n/8)
		for i := range part {
			part[i] = i
		}
		b.access(part...) // is noted and filed
		b.access(part...) // is noted no more
		for key := n - 2*batchSize; key < n; key++ {
			b.access(key)
		}
		largest := 0
		for range n - n/16 {
			b.remove(b.oldest())
			for elem := b.shared.batches.Front(); elem != nil; elem = elem.Next() {
				largest = max(largest, len(elem.Value.(*batch[int, int]).entries))
			}
		}
		assert.LessOrEqual(t, largest, 4*batchSize)
	})
}

// TestRecencyForgets: the space that entries have left does not add up.
func TestRecencyForgets(t *testing.T) {
	const n = 4 * batchSize
	onBothBenches(t, n, func(t *testing.T, b *bench) {
		rng := rand.New(rand.NewPCG(1, 1))
		slots := func() (sum int) {
			for elem := b.shared.batches.Front(); elem != nil; elem = elem.Next() {
				sum += len(elem.Value.(*batch[int, int]).entries)
			}
			return sum
		}
		for range 100 * n {
			key := rng.IntN(n)
			b.access(key)
			b.settle(b.entries[key])
		}
		b.check(t)
		assert.Less(t, slots(), sparse*n)
		for key := range n - 10 {
			b.entries[key].accessed.Store(gone)
			b.remove(b.entries[key])
		}
		b.check(t)
		assert.Less(t, slots(), sparse*(10+2))
	})
}

// TestRecencyForgetsSorted: entries of the sorted batch that have left, or have been filed anew, do not
// leave their records behind either.
func TestRecencyForgetsSorted(t *testing.T) {
	onBothBenches(t, 100, func(t *testing.T, b *bench) {
		b.oldest() // sorts
		for key := 30; key < 100; key++ {
			b.entries[key].accessed.Store(gone)
			b.remove(b.entries[key])
		}
		for key := range 25 {
			b.access(key)
		}
		oldest := b.oldest()
		assert.Equal(t, 25, oldest.key)
		b.check(t)
	})
}

// TestPromise10NoWholeScan: readers have touched every entry of a large map since the last removal. Who needs
// the oldest one then does not have to file them all.
func TestPromise10NoWholeScan(t *testing.T) {
	const n = 20 * smallMap
	onBothBenches(t, n, func(t *testing.T, b *bench) {
		b.oldest() // sorts a batch
		for _, key := range rand.Perm(n) {
			b.access(key)
		}
		was := make([]uint32, n)
		for key, e := range b.entries {
			was[key] = e.batch
		}
		first := b.oldest()
		for _, e := range b.entries {
			assert.LessOrEqual(t, first.stamp().compare(e.stamp()), 0)
		}
		filed := 0
		for key, e := range b.entries {
			if e.batch != was[key] {
				filed++
			}
		}
		assert.Less(t, filed, smallMap)
		b.check(t)
	})
}

// TestNotebook: what readers note is filed anew by a drain; a full lane is no reason to wait.
func TestNotebook(t *testing.T) {
	const n = smallMap + 1
	b := newBench(n, false)
	notes := b.notes.Load()
	require.NotNil(t, notes, "a map of this size takes notes")
	full := 0
	for key := range 2 * noteBatch {
		b.entries[key].accessed.Store(b.clock.now())
		if b.touched(b.entries[key]) {
			full++
		}
		assert.False(t, b.touched(b.entries[key]), "it is noted once")
	}
	assert.Equal(t, 1+noteBatch, full)
	b.drain()
	newest := b.shared.batches.Front().Value.(*batch[int, int])
	filed := 0
	for key := range 2 * noteBatch {
		if b.entries[key].batch == newest.id {
			filed++
		}
	}
	assert.Equal(t, noteBatch, filed)
	b.check(t)
	for key := range n {
		b.entries[key].accessed.Store(gone)
		b.remove(b.entries[key])
	}
	b.check(t)
	assert.Nil(t, b.notes.Load(), "an empty map takes none")
}

// TestNotebookBounds: what has been noted while the lock was taken comes out in small parts.
func TestNotebookBounds(t *testing.T) {
	const n = 1 << 20
	notes := newNotebook[int, int](n)
	noted := 0
	for range n / noteEntries {
		if !notes.note(&entry[int, int]{}) {
			noted++
		}
	}
	require.Greater(t, noted, 2*notesTaken, "or nothing shows that it comes out in parts")
	taken := 0
	for {
		n := len(notes.take(nil))
		if n == 0 {
			break
		}
		require.LessOrEqual(t, n, notesTaken)
		taken += n
	}
	assert.GreaterOrEqual(t, taken, noted)
	assert.True(t, notes.fits(n))
	assert.False(t, notes.fits(4*n))
	assert.False(t, notes.fits(n/4))
}

// TestNotebookRounds: the count of rounds may wrap around.
func TestNotebookRounds(t *testing.T) {
	notes := newNotebook[int, int](0)
	start := uint64(math.MaxUint32) << notes.shift / 2
	require.Greater(t, notes.round(start), notes.round(start+2*noteBatch))
	for i := range notes.lanes {
		l := &notes.lanes[i]
		l.readAt = start
		l.writeAt.Store(start)
		for i := range l.slots {
			at := start + uint64(i)
			l.slots[at&notes.mask].turn.Store(notes.round(at))
		}
	}
	for key := range 10 * noteBatch {
		e := &entry[int, int]{key: key}
		notes.note(e)
		taken := notes.take(nil)
		require.Len(t, taken, 1)
		require.Same(t, e, taken[0].entry)
	}
}

// TestPromise10RoomInSteps: all has been touched and nothing noted. Finding what is expired, or the oldest
// one, is then much work, which is done in small steps.
func TestPromise10RoomInSteps(t *testing.T) {
	const n = 20 * batchSize
	for name, opts := range map[string]struct {
		t    timeouts
		idle int64
	}{
		"the map's timeout": {timeouts{idle: 1 << 40}, 1 << 40},
		"their own":         {timeouts{idle: 1 << 50}, 1 << 40},
	} {
		t.Run(name, func(t *testing.T) {
			c := clock{base: time.Now(), coarse: newCounter()}
			p := newPolicy[int, int](opts.t, n, 0, c)
			var entries []*entry[int, int]
			for key := range n {
				p.insert(uint32(key)<<8, key, p.values.box(key), opts.idle, c.exact())
				entries = append(entries, p.table.find(uint32(key)<<8, key))
			}
			now := c.exact() + opts.idle // later than the first deadlines, not than those after the touch
			for i := range n {
				entries[i*7919%n].touch(c.exact(), opts.t)
			}
			filed := func() (at []int) {
				for _, e := range entries {
					place := int(e.batch)
					if x := e.extra.Load(); x != nil {
						place += int(p.deadlines.item(int(x.heapIndex-1)).at) << 16
					}
					at = append(at, place)
				}
				return at
			}
			steps := 0
			var out removal[int, int]
			for was := filed(); ; steps++ {
				if p.makeRoom(now, nil, Evicted, &out) {
					break
				}
				is, changed := filed(), 0
				for i := range is {
					if is[i] != was[i] {
						changed++
					}
				}
				require.LessOrEqual(t, changed, 3*batchSize) // a batch that is filed anew, and one that is split for that
				was = is
			}
			assert.Greater(t, steps, n/batchSize/2)
			assert.Equal(t, 0, out.key, "touched first")
			assert.Equal(t, Evicted, out.cause)
		})
	}
}

// TestPromise10SweepLooksAtNoneAlive: that some have expired which are filed among the youngest, as none can be, is not seen.
func TestPromise10SweepLooksAtNoneAlive(t *testing.T) {
	const n, idle = 20 * batchSize, 1 << 40
	for name, timeouts := range map[string]timeouts{"the map's timeout": {idle: idle}, "their own": {idle: 2 * idle}} {
		t.Run(name, func(t *testing.T) {
			p := newPolicy[int, int](timeouts, n, 0, clock{base: time.Now(), coarse: newCounter()})
			for key := range n {
				at := int64(key)
				if key > 0 {
					at += idle
				}
				p.insert(uint32(key)<<8, key, p.values.box(key), idle, at)
			}
			for key := 2 * batchSize; key < n; key++ {
				p.table.find(uint32(key)<<8, key).accessed.Store(0)
			}
			out := make([]removal[int, int], n)
			removed, _ := p.removeExpired(idle, out)
			require.Equal(t, 1, removed)
			assert.Equal(t, 0, out[0].key)
			assert.Equal(t, Idle, out[0].cause)
		})
	}
}

// TestDeadlinesGrowInPieces: there is no one array that would have to be copied as a whole.
func TestDeadlinesGrowInPieces(t *testing.T) {
	const n = 1000 * deadlinePiece
	var d deadlines[int, int]
	var entries []*entry[int, int]
	for i := range n {
		e := newEntry[int, int](true)
		d.place(e, e.extra.Load(), int64(i*7919%n))
		entries = append(entries, e)
	}
	assert.Less(t, cap(d.pieces), 2*n/deadlinePiece)
	for i, e := range entries {
		at := int64(i * 7919 % n)
		assert.Equal(t, at, d.item(int(e.extra.Load().heapIndex-1)).at)
		_, first := d.first()
		assert.LessOrEqual(t, first, at)
		d.remove(e)
	}
	assert.Zero(t, d.len)
	assert.LessOrEqual(t, cap(d.pieces), 8)
}

// TestNotebookConcurrent: what is noted by many at once comes out once, but for what was given up.
func TestNotebookConcurrent(t *testing.T) {
	const goroutines, each = 8, 20000
	notes := newNotebook[int, int](0)
	var seen [goroutines * each]int
	var mu sync.Mutex
	drain := func() {
		mu.Lock()
		defer mu.Unlock()
		for _, s := range notes.take(nil) {
			seen[s.entry.key]++
		}
	}
	var givenUp atomic.Int64
	var writers sync.WaitGroup
	for g := range goroutines {
		writers.Go(func() {
			for i := range each {
				e := &entry[int, int]{key: g*each + i}
				if notes.note(e) {
					givenUp.Add(1)
					drain()
				}
			}
		})
	}
	writers.Wait()
	for range len(notes.lanes) {
		drain()
	}
	missing := 0
	for _, n := range seen {
		assert.LessOrEqual(t, n, 1)
		missing += 1 - n
	}
	assert.LessOrEqual(t, missing, int(givenUp.Load()))
	assert.Less(t, missing, goroutines*each/2)
}

// TestAccessSavesTheVictim: an entry chosen for eviction and accessed before it is ended lives on.
func TestAccessSavesTheVictim(t *testing.T) {
	m := MustNew[int, int](WithMaxSize(2), WithCoarseClock(time.Hour))
	defer m.Close()
	MakeCoarse(m)
	m.Set(1, 1)
	m.Set(2, 2)
	oldest, at, _ := m.policy.Load().recency.oldest()
	require.Equal(t, 1, oldest.key)
	m.Get(1)
	assert.Nil(t, oldest.endUntouched(at.accessed))
	assert.True(t, m.Contains(1))
	m.Set(3, 3)
	assert.False(t, m.Contains(2), "the next oldest went")
}

// TestRestoreIdle: an overwrite that finds the idle timeout changed under it gives its own value its own
// timeout, and leaves another's alone.
func TestRestoreIdle(t *testing.T) {
	m := MustNew[int, int]()
	defer m.Close()
	m.SetWithTTL(1, 1, time.Hour)
	hash, _ := m.hash(1)
	e := m.policy.Load().table.find(hash, 1)
	mine, other := m.values.box(2), m.values.box(3)
	e.swap(other)
	m.restoreIdle(e, mine, int64(DefaultTTL))
	assert.EqualValues(t, time.Hour, e.idle(m.timeouts))
	e.swap(mine)
	m.restoreIdle(e, mine, int64(DefaultTTL))
	assert.EqualValues(t, DefaultTTL, e.idle(m.timeouts))
	assert.NoError(t, CheckInvariants(m))
	was := m.policy.Swap(m.newPolicy()) // as Clear does, on its way to ending the entries
	m.restoreIdle(e, mine, int64(time.Hour))
	assert.EqualValues(t, DefaultTTL, e.idle(m.timeouts))
	assert.NoError(t, CheckInvariants(m))
	m.endAll(was, Cleared)
}

// TestSessionEndsForGood: no slot of a session that has ended takes a value, not even one that it did not have yet.
func TestSessionEndsForGood(t *testing.T) {
	for _, used := range []int{0, slotsPerPiece, 3 * slotsPerPiece} {
		s := newSession(1)
		box := (*slotBox)(unsafe.Pointer(new(int)))
		_, ok := s.first.at(used).swap(box)
		require.True(t, ok)
		for i, ended := range s.first.end() {
			assert.Equal(t, used, i)
			assert.Equal(t, box, ended)
		}
		for i := range 6 * slotsPerPiece {
			_, ok := s.first.at(i).swap(box)
			assert.False(t, ok)
			assert.Nil(t, s.first.find(i).value())
		}
		assert.Zero(t, s.first.used())
	}
}

// TestReleaseDuringClear: a lease that is released when Clear has taken the policy away, but not ended the entry
// yet, leaves the new policy alone.
func TestReleaseDuringClear(t *testing.T) {
	m := MustNew[int, int]()
	defer m.Close()
	m.Set(1, 1)
	lease, _ := m.Acquire(1)
	was := m.policy.Swap(m.newPolicy())
	lease.Release()
	assert.NoError(t, CheckInvariants(m))
	assert.Equal(t, 1, m.endAll(was, Cleared))
}

// TestUpdateDuringClear: an Update that found its entry before Clear took the policy away works on the old one.
func TestUpdateDuringClear(t *testing.T) {
	left := map[int]Cause{}
	m := MustNew[int, int](WithOnRemove(func(_, value int, cause Cause) { left[value] = cause }))
	defer m.Close()
	for key := range 3 {
		m.SetWithTTL(key, 1, time.Hour)
	}
	var was *policy[int, int]
	m.Update(2, func(int, bool) (int, bool) {
		was = m.policy.Swap(m.newPolicy())
		return 2, true
	})
	m.SetWithTTL(2, 3, time.Hour)
	assert.NoError(t, CheckInvariants(m))
	m.endAll(was, Cleared)
	assert.Equal(t, map[int]Cause{1: Cleared, 2: Cleared}, left)
	value, _ := m.Get(2)
	assert.Equal(t, 3, value)
}
