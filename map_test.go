package sessionmap_test

import (
	"maps"
	"math"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// What the methods do beside keeping the promises.

func TestKeysThatCannotBeFoundAgain(t *testing.T) {
	t.Run("NaN", func(t *testing.T) {
		var rejected int
		m := newMap[float64, int](t, sessionmap.WithOnRemove(func(_ float64, _ int, cause sessionmap.Cause) {
			if cause == sessionmap.Rejected {
				rejected++
			}
		}))
		nan := math.NaN()
		assert.False(t, m.Set(nan, 1))
		_, loaded := m.GetOrSet(nan, 1)
		assert.False(t, loaded)
		value, ok := m.Update(nan, func(int, bool) (int, bool) { return 1, true })
		assert.False(t, ok)
		assert.Zero(t, value)
		assert.Equal(t, 3, rejected)
		assert.False(t, m.Contains(nan))
		assert.False(t, m.Delete(nan))
		assert.Zero(t, m.Len())
		assert.True(t, m.Set(math.Inf(1), 1))
	})
	t.Run("not comparable", func(t *testing.T) {
		type key struct {
			_  int
			id [1]any
		}
		var rejected int
		bus := sessionmap.NewBus[key]()
		m := newMap[key, int](t, sessionmap.WithSessionDeleted(bus), sessionmap.WithOnRemove(func(_ key, _ int, cause sessionmap.Cause) {
			if cause == sessionmap.Rejected {
				rejected++
			}
		}))
		bad, good := key{id: [1]any{[]byte("x")}}, key{id: [1]any{"x"}}
		assert.False(t, m.Set(bad, 1))
		assert.False(t, m.SetWithTTL(bad, 1, idle))
		_, loaded := m.GetOrSet(bad, 1)
		assert.False(t, loaded)
		_, ok := m.Update(bad, func(int, bool) (int, bool) { return 1, true })
		assert.False(t, ok)
		assert.Equal(t, 4, rejected)
		_, ok = m.Get(bad)
		assert.False(t, ok)
		_, ok = m.Peek(bad)
		assert.False(t, ok)
		_, ok = m.Entry(bad)
		assert.False(t, ok)
		assert.False(t, m.Contains(bad))
		assert.False(t, m.Touch(bad))
		assert.False(t, m.Delete(bad))
		bus.Publish(bad)

		assert.True(t, m.Set(good, 1))
		assert.True(t, m.Contains(good))
		assert.False(t, m.Contains(bad))
		assert.True(t, m.Delete(good))
	})
}

func TestZeroKeysAndNilValues(t *testing.T) {
	m := newMap[string, *int](t)
	assert.True(t, m.Set("", nil))
	value, ok := m.Get("")
	assert.True(t, ok)
	assert.Nil(t, value)
	value, ok = m.Update("", func(old *int, ok bool) (*int, bool) { return old, ok })
	assert.True(t, ok)
	assert.Nil(t, value)
	_, loaded := m.GetOrSet("", new(int))
	assert.True(t, loaded, "nil is a value")
	value, ok = m.Take("")
	assert.True(t, ok)
	assert.Nil(t, value)
	assert.Zero(t, m.Len())

	anys := newMap[any, any](t)
	assert.True(t, anys.Set(nil, nil))
	assert.True(t, anys.Contains(nil))
	assert.False(t, anys.Contains(0))
}

// TestReplacedBySamePointer: overwriting with the same pointer reports it, for the map cannot tell that the
// owner did not mean it.
func TestReplacedBySamePointer(t *testing.T) {
	var causes []sessionmap.Cause
	m := newMap[int, *int](t, sessionmap.WithOnRemove(func(_ int, _ *int, cause sessionmap.Cause) { causes = append(causes, cause) }))
	v := new(int)
	m.Set(1, v)
	m.Set(1, v)
	m.Update(1, func(old *int, _ bool) (*int, bool) { return old, true })
	assert.Equal(t, []sessionmap.Cause{sessionmap.Replaced, sessionmap.Replaced}, causes)
}

func TestUpdateIsAtomic(t *testing.T) {
	const goroutines, rounds = 8, 2000
	m := newMap[int, int](t)
	var runs atomic.Int64
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for range rounds {
				m.Update(1, func(old int, _ bool) (int, bool) { runs.Add(1); return old + 1, true })
			}
		})
	}
	wg.Wait()
	value, _ := m.Get(1)
	assert.Equal(t, goroutines*rounds, value)
	assert.GreaterOrEqual(t, runs.Load(), int64(goroutines*rounds))
	assert.Equal(t, uint64(goroutines*rounds), m.Stats().Sets)
}

// TestUpdateConflicts has the entry changed under the function, in each way there is.
func TestUpdateConflicts(t *testing.T) {
	m := newMap[int, string](t)
	for _, tc := range []struct {
		name    string
		before  func()
		between func()
		keep    bool
		want    string // "" for none
	}{
		{"overwritten", func() { m.Set(1, "a") }, func() { m.Set(1, "b") }, true, "b+"},
		{"deleted", func() { m.Set(1, "a") }, func() { m.Delete(1) }, true, "+"},
		{"deleted and set", func() { m.Set(1, "a") }, func() { m.Delete(1); m.Set(1, "c") }, true, "c+"},
		{"set", func() { m.Delete(1) }, func() { m.Set(1, "d") }, true, "d+"},
		{"overwritten before its removal", func() { m.Set(1, "a") }, func() { m.Set(1, "e") }, false, ""},
		{"cleared", func() { m.Set(1, "a") }, func() { m.Clear() }, true, "+"},
	} {
		tc.before()
		var saw []string
		value, ok := m.Update(1, func(old string, ok bool) (string, bool) {
			saw = append(saw, old)
			if len(saw) == 1 {
				tc.between()
			}
			return old + "+", tc.keep
		})
		assert.Len(t, saw, 2, tc.name)
		assert.Equal(t, tc.keep, ok, tc.name)
		assert.Equal(t, tc.want, value, tc.name)
		assert.Equal(t, tc.keep, m.Contains(1), tc.name)
	}
}

func TestGetOrSetStoresOnce(t *testing.T) {
	m := newMap[int, int](t)
	for key := range 500 {
		var stored atomic.Int64
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				if actual, loaded := m.GetOrSet(key, g); !loaded {
					stored.Add(1)
				} else {
					value, _ := m.Get(key)
					assert.Equal(t, value, actual)
				}
			})
		}
		wg.Wait()
		require.Equal(t, int64(1), stored.Load())
	}
}

func TestDeleteFuncLooksAgainAtAChangedValue(t *testing.T) {
	m := newMap[int, int](t)
	m.Set(1, 1)
	var saw []int
	n := m.DeleteFunc(func(_, value int) bool {
		saw = append(saw, value)
		if value == 1 {
			m.Set(1, 2)
			return true
		}
		return false
	})
	assert.Zero(t, n)
	assert.Equal(t, []int{1, 2}, saw)
	assert.True(t, m.Contains(1), "value 2 was not to be deleted")
}

func TestIterationWhileTheMapChanges(t *testing.T) {
	const keys = 5000
	m := newMap[int, int](t, sessionmap.WithMaxSize(0))
	for key := range keys {
		m.Set(key, key)
	}
	seen := map[int]int{}
	for key, value := range m.All() {
		assert.Equal(t, key, value)
		seen[key]++
		// Deleted and set again, and the table split and merged all the while.
		m.Delete(key)
		m.Set(key, key)
		if key%10 == 0 {
			for i := range 200 {
				m.Set(keys+key*200+i, -1)
			}
			for i := range 200 {
				m.Delete(keys + key*200 + i)
			}
		}
	}
	for key := range keys {
		require.Equal(t, 1, seen[key], "key %d", key)
	}
	n := 0
	for key := range m.Keys() {
		m.Delete(key)
		n++
	}
	assert.Equal(t, keys, n)
	assert.Zero(t, m.Len())

	for key := range 10 {
		m.Set(key, key)
	}
	for range m.All() {
		m.Clear()
	}
	for key := range 10 {
		m.Set(key, key)
	}
	var oldest []int
	for key := range m.Oldest() {
		m.Delete(key + 1)
		m.Touch(9)
		oldest = append(oldest, key)
	}
	assert.Equal(t, []int{0, 2, 4, 6, 8}, oldest, "what is deleted meanwhile is not yielded, and what is touched stays where it was")
	for range 2 { // an iterator can be used again, and left early
		for range m.Oldest() {
			break
		}
		for range m.All() {
			break
		}
		for range m.Keys() {
			break
		}
	}
}

// TestIterationUnderConcurrency: entries that stay are yielded once, whatever else comes and goes.
func TestIterationUnderConcurrency(t *testing.T) {
	const stay = 1000
	m := newMap[int, int](t, sessionmap.WithMaxSize(0))
	for key := range stay {
		m.Set(key, key)
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	for g := range 2 {
		wg.Go(func() {
			for !stop.Load() {
				base := stay * (g + 1)
				for i := range stay {
					m.Set(base+i, -1)
				}
				for i := range stay {
					m.Delete(base + i)
				}
			}
		})
	}
	for range 100 {
		seen := map[int]bool{}
		for key := range m.All() {
			require.False(t, seen[key], "key %d twice", key)
			seen[key] = true
		}
		for key := range stay {
			require.True(t, seen[key], "key %d not at all", key)
		}
	}
	stop.Store(true)
	wg.Wait()
}

func TestOnRemove(t *testing.T) {
	var log []string
	note := func(name string) func(int, int, sessionmap.Cause) {
		return func(key, value int, cause sessionmap.Cause) {
			log = append(log, name+" "+strconv.Itoa(key)+" "+cause.String())
		}
	}
	m := newMap[int, int](t, sessionmap.WithOnRemove(note("first")), sessionmap.WithOnRemove(note("second")))
	cancel := m.OnRemove(note("third"))
	m.OnRemove(nil)()
	m.Set(1, 1)
	m.Delete(1)
	assert.Equal(t, []string{"first 1 deleted", "second 1 deleted", "third 1 deleted"}, log)
	cancel()
	cancel()
	log = nil
	m.Set(2, 1)
	m.Delete(2)
	assert.Equal(t, []string{"first 2 deleted", "second 2 deleted"}, log)
}

func TestStats(t *testing.T) {
	bus := sessionmap.NewBus[int]()
	m := newMap[int, int](t, sessionmap.WithName("agents"), sessionmap.WithMaxSize(2), sessionmap.WithSessionDeleted(bus))
	assert.Zero(t, m.Stats().BackstopShare())
	m.Set(1, 1)
	m.Set(1, 2)
	m.Get(1)
	m.Get(2)
	m.GetOrSet(1, 3)
	m.GetOrSet(2, 3)
	m.Peek(1)
	m.Set(3, 3) // evicts 1
	m.Set(4, 4) // evicts 2
	bus.Publish(3)
	m.Delete(4)
	m.Sweep()
	s := m.Stats()
	assert.Equal(t, map[sessionmap.Cause]uint64{sessionmap.Replaced: 1, sessionmap.Evicted: 2, sessionmap.SessionDeleted: 1, sessionmap.Deleted: 1}, s.Removals)
	assert.Equal(t, "agents", s.Name)
	assert.Equal(t, uint64(2), s.Hits)
	assert.Equal(t, uint64(2), s.Misses)
	assert.Equal(t, uint64(5), s.Sets)
	assert.Equal(t, uint64(1), s.Sweeps)
	assert.Equal(t, uint64(4), s.Ended())
	assert.InDelta(t, 0.5, s.BackstopShare(), 0)
	require.NoError(t, m.Close())
	m.Set(1, 1)
	assert.Equal(t, uint64(6), m.Stats().Sets)
	assert.Equal(t, uint64(4), m.Stats().Ended(), "what was rejected never began")
}

func TestCauses(t *testing.T) {
	want := map[sessionmap.Cause]string{
		sessionmap.Replaced: "replaced", sessionmap.Deleted: "deleted", sessionmap.SessionDeleted: "session deleted", sessionmap.Idle: "idle",
		sessionmap.Lifetime: "lifetime", sessionmap.Evicted: "evicted", sessionmap.Cleared: "cleared", sessionmap.Closed: "closed", sessionmap.Rejected: "rejected",
		0: "none", 200: "Cause(200)",
	}
	for cause, name := range want {
		assert.Equal(t, name, cause.String())
		backstop := slices.Contains([]sessionmap.Cause{sessionmap.Idle, sessionmap.Lifetime, sessionmap.Evicted}, cause)
		assert.Equal(t, backstop, cause.Backstop(), name)
	}
}

func TestBus(t *testing.T) {
	bus := sessionmap.NewBus[int]()
	bus.Publish(1) // nobody listens
	first, second := newMap[int, int](t, sessionmap.WithSessionDeleted(bus)), newMap[int, int](t, sessionmap.WithSessionDeleted(bus))
	first.Set(1, 1)
	second.Set(1, 1)
	bus.Publish(1)
	assert.False(t, first.Contains(1))
	assert.False(t, second.Contains(1))
	first.Set(1, 1)
	second.Set(1, 1)
	require.NoError(t, first.Close())
	bus.Publish(1)
	assert.False(t, second.Contains(1))
	assert.Equal(t, 1, sessionmap.Subscribers(bus))
}

// TestBusTellsAll: a subscriber that does not return keeps no other from the event.
func TestBusTellsAll(t *testing.T) {
	for name, leave := range map[string]func(){"Goexit": runtime.Goexit, "panic": func() { panic("no") }} {
		t.Run(name, func(t *testing.T) {
			bus := sessionmap.NewBus[int]()
			_, err := bus.Subscribe(func(int, time.Time) { leave() })
			require.NoError(t, err)
			m := newMap[int, int](t, sessionmap.WithSessionDeleted(bus), sessionmap.WithOnRemove(func(int, int, sessionmap.Cause) { leave() }))
			next := newMap[int, int](t, sessionmap.WithSessionDeleted(bus))
			m.Set(1, 1)
			next.Set(1, 1)
			finish(func() {
				defer func() { assert.Equal(t, name == "panic", recover() != nil) }()
				bus.Publish(1)
			})
			assert.False(t, m.Contains(1))
			assert.False(t, next.Contains(1))
		})
	}
}

func TestClearIsAtOnce(t *testing.T) {
	const keys = 1000
	var m *sessionmap.RobustSessionMap[int, int]
	m = newMap[int, int](t, sessionmap.WithOnRemove(func(_, _ int, cause sessionmap.Cause) {
		if cause == sessionmap.Cleared {
			assert.Zero(t, m.Len())
			assert.Empty(t, maps.Collect(m.All()))
		}
	}))
	for key := range keys {
		m.Set(key, key)
	}
	assert.Equal(t, keys, m.Clear())
	m.Set(1, 1)
	assert.Equal(t, 1, m.Len())
}
