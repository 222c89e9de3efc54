package sessionmap_test

import (
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// TestCoarseClockLag: what happens to a session on a coarse clock is at most a step from the truth.
func TestCoarseClockLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const step = 10 * time.Millisecond
		m := newMap[int, int](t, sessionmap.WithTTL(time.Second), sessionmap.WithCoarseClock(step))
		sessionmap.MakeCoarse(m)
		m.Set(1, 1)
		for range 50 {
			time.Sleep(333333 * time.Microsecond) // in step with nothing
			m.Get(1)
			entry, ok := m.Entry(1)
			require.True(t, ok)
			assert.WithinRange(t, entry.LastAccess, time.Now().Add(-step), time.Now().Add(time.Microsecond))
		}
		time.Sleep(time.Second - step - time.Microsecond)
		assert.True(t, m.Contains(1), "as long as it may live at the least")
		time.Sleep(2 * step)
		assert.False(t, m.Contains(1))
		_, ok := m.Get(1)
		assert.False(t, ok)
	})
}

// TestCoarseClockCreation: what is created is stamped with the true time, so that an event before it is known
// to be older.
func TestCoarseClockCreation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var deleted func(id int, at time.Time)
		m := newMap[int, int](t, sessionmap.WithCoarseClock(time.Second), toldBy(&deleted))
		sessionmap.MakeCoarse(m)
		m.Set(1, 1)
		time.Sleep(300 * time.Millisecond)
		event := time.Now()
		time.Sleep(300 * time.Millisecond)
		m.Set(2, 2)
		deleted(2, event)
		deleted(1, event)
		assert.True(t, m.Contains(2), "created after the event")
		assert.False(t, m.Contains(1))
		entry, _ := m.Entry(2)
		assert.WithinDuration(t, time.Now(), entry.Created, time.Microsecond)
	})
}

// TestCoarseClockRests: the timer of a coarse clock runs while there is something in the map.
func TestCoarseClockRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const step = 10 * time.Millisecond
		m := newMap[int, int](t, sessionmap.WithTTL(time.Hour), sessionmap.WithCoarseClock(step))
		sessionmap.MakeCoarse(m)
		ticking := func() bool {
			time.Sleep(3 * step)
			synctest.Wait()
			return sessionmap.Ticking(m)
		}
		assert.False(t, ticking(), "empty")
		for range 2 {
			m.Set(1, 1)
			assert.True(t, ticking())
			m.Delete(1)
			assert.False(t, ticking(), "empty again")
		}
		m.Set(1, 1)
		require.NoError(t, m.Close())
		assert.False(t, sessionmap.Ticking(m), "closed")
	})
}

// TestCoarseClockInABubble: fake time passes in no other way than in the bubble, however much is accessed.
func TestCoarseClockInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := 0
		m := newMap[int, int](t, sessionmap.WithTTL(time.Minute), sessionmap.WithCoarseClock(time.Millisecond),
			sessionmap.WithOnRemove(func(int, int, sessionmap.Cause) { ended++ }))
		for key := range 5 {
			m.Set(key, key)
		}
		for range 1000 {
			m.Get(1)
		}
		entry, _ := m.Entry(1)
		assert.Equal(t, time.Now(), entry.LastAccess)
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, 5, ended)
	})
}

// TestDroppedInABubble: the collector, which runs outside, leaves the timers of a bubble alone, in whatever year they are.
func TestDroppedInABubble(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for _, years := range []time.Duration{0, 21, 200} {
		var collected atomic.Bool
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(years * year)
			m := sessionmap.MustNew[int, int]()
			runtime.AddCleanup(m, func(int) { collected.Store(true) }, 0)
			m.Set(1, 1)
			assert.True(t, sessionmap.InBubble(m), "after %d years", years)
		})
		for !collected.Load() {
			runtime.GC()
			runtime.Gosched()
		}
	}
	m := newMap[int, int](t)
	sessionmap.MakeSteps(m)
	assert.False(t, sessionmap.InBubble(m))
}
