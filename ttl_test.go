package sessionmap_test

import (
	"math"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sessionmap/sessionmap"
)

// sweepTimes returns when the sweeper woke, as seconds since the start, while d goes by.
func sweepTimes[K comparable, V any](m *sessionmap.RobustSessionMap[K, V], start time.Time, d time.Duration) (at []int) {
	swept := m.Stats().Sweeps
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(time.Second)
		synctest.Wait()
		if n := m.Stats().Sweeps; n != swept {
			swept = n
			at = append(at, int(time.Since(start)/time.Second))
		}
	}
	return at
}

func TestSweeperWakesAtTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMap[int, int](t, sessionmap.WithTTL(100*time.Second), sessionmap.WithSweepInterval(30*time.Second))
		start := time.Now()
		assert.False(t, sessionmap.Armed(m), "nothing can expire yet")
		assert.Empty(t, sweepTimes(m, start, 500*time.Second))

		start = time.Now()
		m.Set(1, 1)
		time.Sleep(10 * time.Second)
		m.Set(2, 2)
		assert.Equal(t, []int{100, 130}, sweepTimes(m, start, 490*time.Second), "at the deadline, then no sooner than the interval, then never")
		assert.Zero(t, m.Len())
		assert.False(t, sessionmap.Armed(m))

		start = time.Now()
		m.Set(1, 1)
		time.Sleep(50 * time.Second)
		m.Touch(1)
		assert.Equal(t, []int{100, 150}, sweepTimes(m, start, 450*time.Second), "a touch moves the deadline")

		start = time.Now()
		m.Set(1, 1)
		m.SetWithTTL(2, 2, 40*time.Second)
		assert.Equal(t, []int{40, 100}, sweepTimes(m, start, 500*time.Second), "a shorter timeout wakes it sooner")

		start = time.Now()
		m.SetWithTTL(1, 1, 400*time.Second)
		m.SetWithTTL(1, 1, 40*time.Second)
		assert.Equal(t, []int{40}, sweepTimes(m, start, 500*time.Second), "a shortened timeout too")
		assert.Zero(t, m.Len())

		start = time.Now()
		m.Set(1, 1)
		m.Clear()
		m.Set(2, 2)
		assert.Equal(t, []int{100}, sweepTimes(m, start, 500*time.Second), "Clear leaves the sweeper in order")
		assert.Zero(t, m.Len())
	})
	synctest.Test(t, func(t *testing.T) {
		m := newMap[int, int](t, sessionmap.WithTTL(0), sessionmap.WithSweepInterval(30*time.Second))
		m.Set(1, 1)
		assert.False(t, sessionmap.Armed(m), "nothing ever expires")
		assert.Empty(t, sweepTimes(m, time.Now(), 500*time.Second))
		start := time.Now()
		m.SetWithTTL(2, 2, 40*time.Second)
		assert.Equal(t, []int{40}, sweepTimes(m, start, 500*time.Second))
		assert.Equal(t, 1, m.Len())
	})
}

// TestLifetimeByTheRealClock: outside a bubble too, where entries need no ranks, they are indexed by lifetime, and live as
// long as that however busy they are.
func TestLifetimeByTheRealClock(t *testing.T) {
	m := newMap[int, int](t, sessionmap.WithMaxLifetime(time.Hour))
	m.Set(1, 1)
	m.Set(2, 2)
	m.Delete(1)
	assert.Equal(t, 1, sessionmap.Deadlines(m))

	const life = 5 * time.Millisecond
	var out removals
	m = newMap[int, int](t, sessionmap.WithMaxLifetime(life), out.option())
	start := time.Now()
	m.Set(1, 1)
	for m.Touch(1) { // the test's own time limit is the only one
		runtime.Gosched()
	}
	assert.GreaterOrEqual(t, time.Since(start), life)
	assert.NoError(t, m.Close()) // after a sweep that may be under way
	assert.Equal(t, []removal{{1, 1, sessionmap.Lifetime}}, out.take())
}

// TestDurationsWithoutEnd: the largest durations mean never, and do not wrap around.
func TestDurationsWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMap[int, int](t, sessionmap.WithTTL(math.MaxInt64), sessionmap.WithMaxLifetime(math.MaxInt64), sessionmap.WithSweepInterval(math.MaxInt64))
		time.Sleep(time.Hour)
		m.Set(1, 1)
		m.SetWithTTL(2, 2, math.MaxInt64-1)
		m.SetWithTTL(3, 3, time.Minute)
		time.Sleep(never)
		synctest.Wait()
		assert.True(t, m.Contains(1))
		assert.True(t, m.Contains(2))
		assert.False(t, m.Contains(3))
		assert.Zero(t, m.Stats().Sweeps)
		assert.Equal(t, 1, m.Sweep())
	})
}

func TestIdleTimeoutOfTheEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMap[int, int](t, sessionmap.WithTTL(100*time.Second), sessionmap.WithSweepInterval(1))
		lives := func(key int, d time.Duration) {
			t.Helper()
			time.Sleep(d - 1)
			assert.True(t, m.Contains(key))
			time.Sleep(time.Nanosecond)
			assert.False(t, m.Contains(key))
			synctest.Wait()
			assert.Zero(t, m.Len(), "swept")
		}
		m.SetWithTTL(1, 1, 10*time.Second)
		lives(1, 10*time.Second)
		m.SetWithTTL(1, 1, 500*time.Second)
		lives(1, 500*time.Second)
		m.SetWithTTL(1, 1, 10*time.Second)
		time.Sleep(9 * time.Second)
		m.Touch(1)
		lives(1, 10*time.Second)
		m.SetWithTTL(1, 1, 10*time.Second)
		m.Set(1, 1)
		lives(1, 100*time.Second) // Set goes back to the map's timeout
		m.SetWithTTL(1, 1, 10*time.Second)
		m.Update(1, func(int, bool) (int, bool) { return 2, true })
		m.GetOrSet(1, 3)
		lives(1, 10*time.Second) // these keep it
		m.Set(1, 1)
		m.SetWithTTL(1, 1, 10*time.Second)
		lives(1, 10*time.Second)
		m.SetWithTTL(1, 1, 0)
		entry, _ := m.Entry(1)
		assert.Zero(t, entry.Deadline)
		time.Sleep(never)
		assert.True(t, m.Contains(1), "no timeout, and a size bound")
		m.Delete(1)
	})
}

// TestIdleTimeoutUnderRace: of a Set and a SetWithTTL at the same time one comes last, with its value and its timeout.
func TestIdleTimeoutUnderRace(t *testing.T) {
	m := newMap[int, int](t)
	for range 3000 {
		m.Set(1, 0)
		done := make(chan struct{})
		go func() { m.SetWithTTL(1, 2, time.Hour); close(done) }()
		m.Set(1, 1)
		<-done
		value, _ := m.Get(1)
		entry, _ := m.Entry(1)
		want := sessionmap.DefaultTTL
		if value == 2 {
			want = time.Hour
		}
		if !assert.Equal(t, want, entry.IdleTimeout, "value %d", value) {
			return
		}
	}
}
