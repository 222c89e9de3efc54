package sessionmap

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// order returns the keys that r has filed, the least recently accessed first.
func order(r *recency[int, int]) (keys []int) {
	for elem := r.shared.batches.Back(); elem != nil; elem = elem.Prev() {
		b := elem.Value.(*batch[int, int])
		entries := slices.DeleteFunc(slices.Clone(b.entries), func(e *entry[int, int]) bool { return e.batch != b.id || e.queued() })
		slices.SortFunc(entries, func(a, b *entry[int, int]) int { return a.stamp().compare(b.stamp()) })
		for _, e := range entries {
			keys = append(keys, e.key)
		}
	}
	return keys
}

// TestRecencyOvertaken plays what goroutines that are held up between stamping and queueing do to the order.
func TestRecencyOvertaken(t *testing.T) {
	for _, steps := range []bool{false, true} {
		t.Run(fmt.Sprintf("steps=%v", steps), func(t *testing.T) {
			c := newClock(false)
			c.steps = steps
			var r recency[int, int]
			r.init(timeouts{idle: 1}, c, func(*entry[int, int]) {})
			entries := make([]*entry[int, int], 6)
			last := int64(-1)
			tick := func() int64 { // what a fine clock would tell, on any
				for !steps && c.now() == last {
				}
				last = c.now()
				return last
			}
			stampNow := func(e *entry[int, int]) {
				e.accessed.Store(tick())
				if steps {
					e.extra.Load().rank.Store(r.ranks.Add(1))
				}
			}
			for i := range entries {
				entries[i] = newEntry[int, int](true)
				entries[i].key = i
				entries[i].extra.Load().idle.Store(1)
				entries[i].accessed.Store(tick())
				r.add(entries[i])
			}
			r.drain()
			require.Equal(t, []int{0, 1, 2, 3, 4, 5}, order(&r))

			// 0 is stamped; 1 and 2 are accessed and filed; 0 comes to be queued, and counts from then.
			stampNow(entries[0])
			for _, e := range entries[1:3] {
				stampNow(e)
				r.queue(e)
			}
			r.drain()
			r.queue(entries[0])
			r.drain()
			require.Equal(t, []int{3, 4, 5, 1, 2, 0}, order(&r))
			assert.GreaterOrEqual(t, entries[0].stamp().compare(entries[2].stamp()), 0, "its stamp fits its place")

			// 3 is accessed after the drain has begun: it stays queued, and is not the oldest.
			entries[3].accessed.Store(never - 1)
			if steps {
				entries[3].extra.Load().rank.Store(never - 1)
			}
			r.queue(entries[3])
			r.drain()
			assert.True(t, entries[3].queued())
			oldest, _ := r.oldest()
			assert.Equal(t, 4, oldest.key)

			// 4 has been found to be the oldest, is then stamped, and is about to be queued.
			stampNow(entries[4])
			oldest, at := r.oldest()
			assert.Equal(t, 5, oldest.key)
			assert.Equal(t, oldest.stamp(), at)

			// Where all have been accessed since, and none is queued yet, there is no oldest.
			for _, e := range entries {
				stampNow(e)
			}
			entries[3].next.Store(nil)
			r.lanes = make([]lane[int, int], 1)
			oldest, _ = r.oldest()
			assert.Nil(t, oldest)
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

// TestRecencyOverlap: of two accesses at once on a clock that steps one may read the clock first and the other take
// its rank first. The order of the list is then still that of the stamps, in both their parts.
func TestRecencyOverlap(t *testing.T) {
	c := clock{base: time.Now().Add(-time.Hour), steps: true}
	var r recency[int, int]
	r.init(timeouts{idle: 1}, c, func(*entry[int, int]) {})
	all := map[*entry[int, int]]bool{}
	var entries []*entry[int, int]
	for i := range 4 {
		e := newEntry[int, int](true)
		e.key = i
		e.extra.Load().idle.Store(1)
		e.accessed.Store(1)
		r.add(e)
		entries, all[e] = append(entries, e), true
	}
	touch := func(key int, accessed, rank int64) {
		r.ranks.Store(max(rank, r.ranks.Load()))
		raise(&entries[key].accessed, accessed)
		raise(&entries[key].extra.Load().rank, rank)
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
	assert.Equal(t, []int{3, 2, 1, 0}, order(&r))
}
