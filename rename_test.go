package sessionmap_test

import (
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

func TestTombstones(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const window = time.Minute
		var left removals
		bus := sessionmap.NewBus[int]()
		m := newMap[int, int](t, sessionmap.WithTombstones(window), sessionmap.WithSessionDeleted(bus), left.option(), sessionmap.WithTTL(idle))
		ends := []func(){
			func() { m.Delete(1) },
			func() { m.Take(1) },
			func() { bus.Publish(1) },
			func() { m.DeleteFunc(func(int, int) bool { return true }) },
			func() { m.Update(1, func(int, bool) (int, bool) { return 0, false }) },
			func() { m.Set(1, 0); m.Delete(1) },
		}
		for i, end := range ends {
			require.True(t, m.Set(1, i))
			end()
			left.take()
			time.Sleep(window - 1)
			assert.False(t, m.Set(1, 100))
			_, loaded := m.GetOrSet(1, 101)
			assert.False(t, loaded)
			_, ok := m.Update(1, func(int, bool) (int, bool) { return 102, true })
			assert.False(t, ok)
			assert.Equal(t, []removal{{1, 100, sessionmap.Rejected}, {1, 101, sessionmap.Rejected}, {1, 102, sessionmap.Rejected}}, left.take())
			assert.True(t, m.Set(2, 2), "only that key")
			m.Clear()
			left.take()
			time.Sleep(time.Nanosecond)
		}
		m.Delete(3)
		assert.False(t, m.Set(3, 3), "the straggler may be the first")
		m.Set(4, 4)
		m.Clear()
		assert.True(t, m.Set(4, 4), "Clear leaves no tombstones")
		time.Sleep(idle)
		assert.True(t, m.Set(4, 4), "nor does a timeout")
		time.Sleep(3 * window)
		synctest.Wait()
		assert.Zero(t, sessionmap.Remembered(m), "they are swept")
		require.NoError(t, m.Close())
		m.Delete(1)
		assert.Zero(t, sessionmap.Remembered(m))
	})
}

// TestTombstonesBounded: however many are deleted, no more are remembered than there is room for.
func TestTombstonesBounded(t *testing.T) {
	m := newMap[int, int](t, sessionmap.WithTombstones(time.Hour))
	const flood = 400_000
	for id := range flood {
		m.Delete(id)
	}
	assert.Less(t, sessionmap.Remembered(m), flood/2)
	assert.False(t, m.Set(flood-1, 1))
	assert.False(t, m.Set(flood-65536, 1), "the last ones stand")
	assert.True(t, m.Set(0, 1))
}

func TestEventOlderThanTheSessionLeavesNoTombstone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var deleted func(id int, at time.Time)
		m := newMap[int, int](t, sessionmap.WithTombstones(time.Minute), toldBy(&deleted))
		before := time.Now()
		time.Sleep(time.Second)
		m.Set(1, 1)
		deleted(1, before)
		assert.True(t, m.Contains(1))
		assert.Zero(t, sessionmap.Remembered(m))
	})
}

func TestRename(t *testing.T) {
	for _, clock := range []clockKind{fineClock, steppingClock} {
		synctest.Test(t, func(t *testing.T) {
			var left removals
			m := newMapWith[int, int](t, clock, sessionmap.WithTTL(idle), sessionmap.WithMaxLifetime(lifetime), sessionmap.WithMaxSize(3), sessionmap.WithSweepInterval(time.Second), left.option())
			defer m.Close()
			start := time.Now()
			m.Set(1, 10)
			m.Set(2, 20)
			time.Sleep(time.Minute)
			ctx, _ := m.SessionContext(1)
			lease, _ := m.Acquire(1)
			before, _ := m.Entry(1)
			require.NoError(t, m.Rename(1, 3))
			require.NoError(t, sessionmap.CheckInvariants(m))
			assert.False(t, m.Contains(1))
			value, _ := m.Peek(3)
			assert.Equal(t, 10, value)
			after, _ := m.Entry(3)
			assert.Equal(t, before, after)
			assert.Equal(t, 3, lease.Key())
			assert.Equal(t, 10, lease.Value())
			assert.Empty(t, left.take())
			assert.Equal(t, 2, m.Len())
			assert.NoError(t, ctx.Err())

			assert.ErrorIs(t, m.Rename(1, 4), sessionmap.ErrNotFound)
			assert.ErrorIs(t, m.Rename(3, 2), sessionmap.ErrExists)
			assert.EqualError(t, m.Rename(3, 2), "sessionmap: there is such a session already: Rename to 2")
			assert.NoError(t, m.Rename(2, 2))

			time.Sleep(2 * idle)
			assert.True(t, m.Contains(3), "still leased")
			assert.False(t, m.Contains(2))
			m.Set(2, 21)
			lease.Release()
			require.NoError(t, m.Rename(3, 1), "and not leased")
			require.NoError(t, sessionmap.CheckInvariants(m))
			m.Set(5, 50)
			left.take()
			m.Set(6, 60)
			assert.Equal(t, []removal{{2, 21, sessionmap.Evicted}}, left.take(), "it keeps its place in the order")
			m.SetWithTTL(5, 51, time.Minute)
			require.NoError(t, m.Rename(5, 7))
			require.NoError(t, sessionmap.CheckInvariants(m))
			for time.Now().Before(start.Add(lifetime - 1)) {
				m.Touch(1)
				time.Sleep(min(idle/2, time.Until(start.Add(lifetime-1))))
			}
			assert.False(t, m.Contains(7), "its own idle timeout")
			assert.True(t, m.Contains(1))
			time.Sleep(time.Nanosecond)
			assert.False(t, m.Contains(1), "its lifetime began with its first key")
			time.Sleep(time.Minute)
			synctest.Wait()
			assert.Error(t, ctx.Err())
		})
	}
}

func TestRenameRefused(t *testing.T) {
	m := newMap[any, int](t, sessionmap.WithTombstones(time.Hour))
	m.Set(1, 1)
	m.Delete(2)
	assert.ErrorIs(t, m.Rename(1, 2), sessionmap.ErrRefused)
	assert.ErrorIs(t, m.Rename(1, []int{}), sessionmap.ErrRefused)
	assert.ErrorIs(t, m.Rename(1, math.NaN()), sessionmap.ErrRefused)
	assert.ErrorIs(t, m.Rename([]int{}, 3), sessionmap.ErrNotFound)
	assert.True(t, m.Contains(1))
}

func TestRenameGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const grace = time.Minute
		var left removals
		bus := sessionmap.NewBus[int]()
		m := newMap[int, int](t, sessionmap.WithTTL(idle), sessionmap.WithRenameGrace(grace), left.option(), sessionmap.WithSessionDeleted(bus))
		m.Set(1, 10)
		require.NoError(t, m.Rename(1, 2))
		require.NoError(t, m.Rename(2, 3))
		for _, key := range []int{1, 2, 3} {
			value, ok := m.Get(key)
			assert.True(t, ok)
			assert.Equal(t, 10, value)
			value, ok = m.Peek(key)
			assert.True(t, ok)
			assert.Equal(t, 10, value)
			assert.True(t, m.Contains(key))
			assert.True(t, m.Touch(key))
			lease, ok := m.Acquire(key)
			require.True(t, ok)
			assert.Equal(t, 3, lease.Key())
			lease.Release()
		}
		assert.Equal(t, 1, m.Len())
		assert.False(t, m.Set(1, 11), "readable, not writable")
		assert.Equal(t, []removal{{1, 11, sessionmap.Rejected}}, left.take())
		assert.ErrorIs(t, m.Rename(3, 1), sessionmap.ErrRefused)
		time.Sleep(grace - 1)
		assert.True(t, m.Contains(1))
		time.Sleep(time.Nanosecond)
		assert.False(t, m.Contains(1))
		assert.True(t, m.Contains(3))
		assert.True(t, m.Set(1, 11))
		left.take()

		ends := []func(){func() { m.Delete(8) }, func() { bus.Publish(8) }}
		for _, end := range ends {
			m.Set(8, 80)
			require.NoError(t, m.Rename(8, 9))
			end()
			assert.False(t, m.Contains(9), "a logout with the old id is one")
			assert.Len(t, left.take(), 1)
			assert.False(t, m.Contains(8))
			time.Sleep(grace)
		}
		m.Set(8, 80)
		require.NoError(t, m.Rename(8, 9))
		m.Clear()
		assert.False(t, m.Contains(8))
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		assert.Zero(t, sessionmap.Remembered(m))
	})
}

// TestRefusedByOldKey: what an Update by the old key replaces, and what it may not store, is reported with the key there is.
func TestRefusedByOldKey(t *testing.T) {
	var left removals
	m := newMap[int, int](t, sessionmap.WithRenameGrace(time.Hour), left.option(), sessionmap.WithMaxCost(10, func(_, value int) int64 { return int64(value) }))
	m.Set(1, 1)
	require.NoError(t, m.Rename(1, 2))
	set := func(value int) (int, bool) {
		return m.Update(1, func(int, bool) (int, bool) { return value, true })
	}
	value, ok := set(5)
	assert.True(t, ok)
	assert.Equal(t, 5, value)
	assert.Equal(t, []removal{{2, 1, sessionmap.Replaced}}, left.take())
	value, ok = set(11)
	assert.True(t, ok)
	assert.Equal(t, 5, value)
	assert.Equal(t, []removal{{2, 11, sessionmap.Rejected}}, left.take())
}

// TestRenameGraceHoldsMeanwhile: the first of many ids is readable all the time.
func TestRenameGraceHoldsMeanwhile(t *testing.T) {
	m := newMap[int, int](t, sessionmap.WithRenameGrace(time.Hour))
	m.Set(0, 7)
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for !stop.Load() {
				value, ok := m.Get(0)
				assert.True(t, ok)
				assert.Equal(t, 7, value)
				assert.True(t, m.Contains(0))
			}
		})
	}
	for i := range 5000 {
		assert.NoError(t, m.Rename(i, i+1))
	}
	stop.Store(true)
	wg.Wait()
}

// TestRenameAtomic: sessions are renamed back and forth. Whoever looks for one under the one key and then under the
// other, between two renames at the most, finds it.
func TestRenameAtomic(t *testing.T) {
	const sessions, renames = 8, 20000
	m := newMap[int, int](t, sessionmap.WithMaxSize(sessions))
	for id := range sessions {
		m.Set(id, id)
	}
	var moves [sessions]atomic.Int64 // even while a session is at rest
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range renames {
			id := i % sessions
			from, to := id, id+100
			if i/sessions%2 == 1 {
				from, to = to, from
			}
			moves[id].Add(1)
			assert.NoError(t, m.Rename(from, to))
			moves[id].Add(1)
		}
		stop.Store(true)
	})
	for range 3 {
		wg.Go(func() {
			for !stop.Load() {
				for id := range sessions {
					before := moves[id].Load()
					value, a := m.Get(id)
					other, b := m.Peek(id + 100)
					c := m.Contains(id)
					after := moves[id].Load()
					if after-before > 1 {
						continue // it may have moved twice between the looks
					}
					assert.True(t, a || b || c, "under neither")
					if before == after && before%2 == 0 {
						assert.False(t, a && b, "under both")
					}
					if a {
						assert.Equal(t, id, value)
					}
					if b {
						assert.Equal(t, id, other)
					}
				}
			}
		})
	}
	wg.Wait()
	assert.Equal(t, sessions, m.Len())
	assert.EqualValues(t, sessions, m.Stats().Sets)
	assert.Empty(t, m.Stats().Removals)
}

// TestRenameGraceOfEach: how long an old id is readable does not depend on when others were renamed.
func TestRenameGraceOfEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMap[int, int](t, sessionmap.WithTTL(time.Hour), sessionmap.WithRenameGrace(10*time.Second))
		for key := range 5 {
			m.Set(key, key)
			require.NoError(t, m.Rename(key, 100+key))
			time.Sleep(3 * time.Second)
			for before := range key + 1 {
				_, ok := m.Get(before)
				assert.Equal(t, (key+1-before)*3 < 10, ok, "key %d, %d s after", before, (key+1-before)*3)
			}
		}
	})
}
