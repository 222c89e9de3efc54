package sessionmap

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestRecencyOvertaken plays what goroutines that are held up between stamping and queueing do to the order.
func TestRecencyOvertaken(t *testing.T) {
	for _, coarse := range []bool{false, true} {
		t.Run(fmt.Sprintf("coarse=%v", coarse), func(t *testing.T) {
			c := newClock()
			c.coarse = coarse
			r := newRecency[int, int](1, c, func(*entry[int, int]) {})
			entries := make([]*entry[int, int], 6)
			last := int64(-1)
			tick := func() int64 { // what a fine clock would tell, on any
				for !coarse && c.now() == last {
				}
				last = c.now()
				return last
			}
			stampNow := func(e *entry[int, int]) {
				e.accessed.Store(tick())
				if coarse {
					e.rank.Store(r.ranks.Add(1))
				}
			}
			for i := range entries {
				entries[i] = &entry[int, int]{key: i}
				entries[i].idle.Store(1)
				entries[i].accessed.Store(tick())
				r.add(entries[i])
			}
			order := func() (keys []int) {
				for elem := r.shared.Back(); elem != nil; elem = elem.Prev() {
					keys = append(keys, entryOf[int, int](elem).key)
				}
				return keys
			}
			require.Equal(t, []int{0, 1, 2, 3, 4, 5}, order())

			// 0 is stamped; 1 and 2 are accessed and drained; 0 comes to be queued, and counts from then.
			stampNow(entries[0])
			for _, e := range entries[1:3] {
				stampNow(e)
				r.queue(e)
			}
			r.drain()
			require.Equal(t, []int{0, 3, 4, 5, 1, 2}, order())
			r.queue(entries[0])
			r.drain()
			require.Equal(t, []int{3, 4, 5, 1, 2, 0}, order())
			assert.GreaterOrEqual(t, entries[0].stamp().compare(entries[2].stamp()), 0, "its stamp fits its place")

			// 3 is accessed after the drain has begun: it stays queued, and is not the oldest.
			entries[3].accessed.Store(never - 1)
			if coarse {
				entries[3].rank.Store(never - 1)
			}
			r.queue(entries[3])
			r.drain()
			assert.True(t, entries[3].queued())
			assert.Equal(t, 4, r.oldest().key)

			// 4 is about to be queued.
			stampNow(entries[4])
			entries[4].next.Store(r.end)
			assert.Equal(t, 5, r.oldest().key)

			// Where all have been accessed since, the choice falls on the earliest stamp, and ends.
			for _, e := range entries {
				if e.key != 3 && e.key != 4 {
					stampNow(e)
					e.next.Store(r.end)
				}
			}
			assert.Equal(t, 4, r.oldest().key)
		})
	}
}

// TestRestoreIdle: an overwrite that finds the idle timeout changed under it gives its own value its own
// timeout, and leaves another's alone.
func TestRestoreIdle(t *testing.T) {
	m := MustNew[int, int]()
	defer m.Close()
	m.SetWithTTL(1, 1, time.Hour)
	hash, _ := m.hash(1)
	e := m.policy.Load().table.find(hash, 1)
	mine, other := new(int), new(int)
	e.swap(other)
	m.restoreIdle(e, mine, int64(DefaultTTL))
	assert.EqualValues(t, time.Hour, e.idle.Load())
	e.swap(mine)
	m.restoreIdle(e, mine, int64(DefaultTTL))
	assert.EqualValues(t, DefaultTTL, e.idle.Load())
	assert.NoError(t, CheckInvariants(m))
	was := m.policy.Swap(m.newPolicy()) // as Clear does, on its way to ending the entries
	m.restoreIdle(e, mine, int64(time.Hour))
	assert.EqualValues(t, DefaultTTL, e.idle.Load())
	assert.NoError(t, CheckInvariants(m))
	m.endAll(was, Cleared)
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
	m.policy.Load().recency.drain()
	m.SetWithTTL(2, 3, time.Hour)
	assert.NoError(t, CheckInvariants(m))
	m.endAll(was, Cleared)
	assert.Equal(t, map[int]Cause{1: Cleared, 2: Cleared}, left)
	value, _ := m.Get(2)
	assert.Equal(t, 3, value)
}

// TestRecencyOverlap: of two accesses at once on a coarse clock one may read the clock first and the other take
// its rank first. The order of the list is then still that of the stamps, in both their parts.
func TestRecencyOverlap(t *testing.T) {
	c := clock{base: time.Now().Add(-time.Hour), coarse: true}
	r := newRecency[int, int](1, c, func(*entry[int, int]) {})
	all := map[*entry[int, int]]bool{}
	var entries []*entry[int, int]
	for i := range 4 {
		e := &entry[int, int]{key: i}
		e.idle.Store(1)
		e.accessed.Store(1)
		r.add(e)
		entries, all[e] = append(entries, e), true
	}
	touch := func(key int, accessed, rank int64) {
		r.ranks.Store(max(rank, r.ranks.Load()))
		raise(&entries[key].accessed, accessed)
		raise(&entries[key].rank, rank)
		r.queue(entries[key])
	}
	touch(0, 10, 5)
	r.drain()
	touch(1, 9, 7)
	touch(2, 10, 6)
	r.drain()
	touch(0, 9, 8) // only its rank rises
	r.drain()
	assert.NoError(t, r.check(all))
	var keys []int
	for elem := r.shared.Back(); elem != nil; elem = elem.Prev() {
		keys = append(keys, entryOf[int, int](elem).key)
	}
	assert.Equal(t, []int{3, 2, 1, 0}, keys)
}
