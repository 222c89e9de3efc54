package sessionmap_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// The contract, promise by promise.

const (
	idle     = 10 * time.Minute
	lifetime = time.Hour
	never    = 1000 * time.Hour // for sweeps that are to stay away
)

// removals collects what OnRemove reports; for use on one goroutine at a time or under -race with its lock.
type removals struct {
	mu  sync.Mutex
	all []removal
}

func (r *removals) option() sessionmap.Option { return sessionmap.WithOnRemove(r.add) }

func (r *removals) add(key, value int, cause sessionmap.Cause) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, removal{key, value, cause})
}

// take returns what was reported since the last take.
func (r *removals) take() []removal {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.all
	r.all = nil
	return all
}

// newMap makes a map that is closed, and looked at, at the end of the test or bubble.
func newMap[K comparable, V any](t *testing.T, opts ...sessionmap.Option) *sessionmap.RobustSessionMap[K, V] {
	t.Helper()
	m, err := sessionmap.New[K, V](opts...)
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, sessionmap.CheckInvariants(m))
		assert.NoError(t, m.Close())
		assert.NoError(t, sessionmap.CheckInvariants(m))
	})
	return m
}

func TestPromise1ReadYourWrites(t *testing.T) {
	onEveryClock(t, readYourWrites)
}

// A clockKind is one of the clocks that a map may have.
type clockKind string

const (
	fineClock     clockKind = "fine"     // the machine's, as it is
	steppingClock clockKind = "stepping" // the machine's, taken for one that steps, as that of Windows does
	coarseClock   clockKind = "coarse"   // WithCoarseClock
)

func onEveryClock(t *testing.T, test func(t *testing.T, clock clockKind)) {
	for _, clock := range []clockKind{fineClock, steppingClock, coarseClock} {
		t.Run("clock="+string(clock), func(t *testing.T) { test(t, clock) })
	}
}

// newMapWith makes a map with the given clock.
func newMapWith[K comparable, V any](t *testing.T, clock clockKind, opts ...sessionmap.Option) *sessionmap.RobustSessionMap[K, V] {
	t.Helper()
	if clock == coarseClock {
		opts = append(opts, sessionmap.WithCoarseClock(time.Millisecond))
	}
	m, err := sessionmap.New[K, V](opts...)
	require.NoError(t, err)
	switch clock {
	case steppingClock:
		sessionmap.MakeSteps(m)
	case coarseClock:
		sessionmap.MakeCoarse(m)
	}
	return m
}

func readYourWrites(t *testing.T, clock clockKind) {
	const goroutines, keys = 16, 2000
	var lost atomic.Int64
	published := make([]atomic.Int64, goroutines*keys) // one more than the value that was set last, by key
	m := newMapWith[int, int](t, clock, sessionmap.WithMaxSize(goroutines*keys), sessionmap.WithOnRemove(func(_, _ int, cause sessionmap.Cause) {
		if cause != sessionmap.Replaced && cause != sessionmap.Closed {
			lost.Add(1)
		}
	}))
	defer m.Close()
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range keys {
				key := g*keys + i
				for value := range 2 {
					assert.True(t, m.Set(key, value))
					got, ok := m.Get(key)
					assert.True(t, ok)
					assert.Equal(t, value, got)
					published[key].Store(int64(1 + value))
				}
				other := rand.IntN(goroutines * keys)
				if least := int(published[other].Load()) - 1; least >= 0 {
					got, ok := m.Get(other)
					assert.True(t, ok, "another's")
					assert.GreaterOrEqual(t, got, least)
				}
			}
		})
	}
	wg.Wait()
	assert.Equal(t, goroutines*keys, m.Len())
	for key := range goroutines * keys {
		require.True(t, m.Contains(key))
	}
	assert.Zero(t, lost.Load())
}

// forEachExpiry runs test on a map whose entries end after idle, by the idle timeout or by the lifetime, and that no sweep
// meets any more.
func forEachExpiry(t *testing.T, test func(t *testing.T, m *sessionmap.RobustSessionMap[int, int], out *removals, cause sessionmap.Cause)) {
	for _, tc := range []struct {
		name  string
		opts  []sessionmap.Option
		cause sessionmap.Cause
	}{
		{"idle", []sessionmap.Option{sessionmap.WithTTL(idle)}, sessionmap.Idle},
		{"lifetime", []sessionmap.Option{sessionmap.WithTTL(0), sessionmap.WithMaxLifetime(idle)}, sessionmap.Lifetime},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out removals
				m := newMap[int, int](t, append(tc.opts, sessionmap.WithSweepInterval(never), out.option())...)
				m.Set(0, 0) // the first sweep comes at the first deadline, and then none for ages
				time.Sleep(idle)
				synctest.Wait()
				require.Equal(t, []removal{{0, 0, tc.cause}}, out.take())

				test(t, m, &out, tc.cause)
			})
		})
	}
}

func TestPromise2NoGhosts(t *testing.T) {
	forEachExpiry(t, func(t *testing.T, m *sessionmap.RobustSessionMap[int, int], out *removals, cause sessionmap.Cause) {
		m.Set(1, 10)
		time.Sleep(idle - 1)
		for range 2 {
			require.True(t, m.Contains(1), "alive until the deadline")
		}
		time.Sleep(time.Nanosecond)
		_, ok := m.Peek(1)
		assert.False(t, ok, "Peek")
		assert.False(t, m.Contains(1), "Contains")
		_, ok = m.Get(1)
		assert.False(t, ok, "Get")
		assert.False(t, m.Touch(1), "Touch")
		_, ok = m.Entry(1)
		assert.False(t, ok, "Entry")
		assert.Empty(t, maps.Collect(m.All()), "All")
		assert.Empty(t, maps.Collect(m.Oldest()), "Oldest")
		assert.Empty(t, slices.Collect(m.Keys()), "Keys")
		assert.Zero(t, m.DeleteFunc(func(int, int) bool { return true }), "DeleteFunc")
		assert.Equal(t, 1, m.Len(), "no sweep has met it")
		assert.Empty(t, out.take())

		assert.False(t, m.Delete(1), "Delete")
		_, ok = m.Take(1)
		assert.False(t, ok, "Take")
		actual, loaded := m.GetOrSet(1, 11)
		assert.False(t, loaded, "GetOrSet")
		assert.Equal(t, 11, actual)
		assert.Equal(t, []removal{{1, 10, cause}}, out.take())

		time.Sleep(idle)
		m.Update(1, func(old int, ok bool) (int, bool) {
			assert.False(t, ok, "Update")
			return 12, true
		})
		assert.Equal(t, []removal{{1, 11, cause}}, out.take())

		time.Sleep(idle)
		m.Set(1, 13)
		assert.Equal(t, []removal{{1, 12, cause}}, out.take(), "overwriting what is expired replaces nothing")
		entry, _ := m.Entry(1)
		assert.WithinDuration(t, time.Now(), entry.Created, 0, "a new session")

		time.Sleep(idle)
		assert.Zero(t, m.Clear(), "Clear")
		assert.Equal(t, []removal{{1, 13, cause}}, out.take())
	})
}

// TestPromise2NoGhostsInTies: nothing is tied to an expired session either, and no index has it.
func TestPromise2NoGhostsInTies(t *testing.T) {
	forEachExpiry(t, func(t *testing.T, m *sessionmap.RobustSessionMap[int, int], out *removals, cause sessionmap.Cause) {
		index := sessionmap.NewIndex(m, func(int, int) string { return "ada" })
		load := func(context.Context, int) (int, error) { return 11, nil }
		for name, found := range map[string]func() bool{
			"Acquire":        func() bool { _, ok := m.Acquire(1); return ok },
			"SessionContext": func() bool { _, ok := m.SessionContext(1); return ok },
			"BindContext":    func() bool { return m.BindContext(t.Context(), 1) },
			"Rename":         func() bool { return !errors.Is(m.Rename(1, 2), sessionmap.ErrNotFound) },
			"Refresh":        func() bool { return m.Refresh(1, load) },
			"GetOrLoad": func() bool {
				value, err := m.GetOrLoad(t.Context(), 1, load)
				assert.NoError(t, err)
				entry, _ := m.Entry(1)
				assert.Equal(t, time.Now(), entry.Created, "it begins anew")
				return value != 11
			},
			"Of":       func() bool { return len(slices.Collect(index.Of("ada"))) > 0 },
			"DeleteBy": func() bool { return index.DeleteBy("ada") > 0 },
		} {
			m.Set(1, 10)
			time.Sleep(idle - 1)
			require.True(t, m.Contains(1), "alive until the deadline")
			time.Sleep(time.Nanosecond)
			assert.False(t, found(), name)
			m.Sweep()
			assert.Equal(t, []removal{{1, 10, cause}}, out.take(), name)
			m.Delete(1)
			out.take()
		}
	})
}

func TestPromise2TouchExtendsAndDoesNotRevive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMap[int, int](t, sessionmap.WithTTL(idle), sessionmap.WithSweepInterval(never))
		accesses := map[string]func(){
			"Get":        func() { m.Get(1) },
			"Touch":      func() { m.Touch(1) },
			"Set":        func() { m.Set(1, 1) },
			"SetWithTTL": func() { m.SetWithTTL(1, 1, idle) },
			"GetOrSet":   func() { m.GetOrSet(1, 1) },
			"Update":     func() { m.Update(1, func(int, bool) (int, bool) { return 1, true }) },
		}
		for name, access := range accesses {
			m.Set(1, 1)
			time.Sleep(idle - 1)
			access()
			time.Sleep(idle - 1)
			assert.True(t, m.Contains(1), "%s is an access", name)
			time.Sleep(time.Nanosecond)
			assert.False(t, m.Contains(1), "%s extends no further", name)
		}
		others := map[string]func(){
			"Peek":       func() { m.Peek(1) },
			"Contains":   func() { m.Contains(1) },
			"Entry":      func() { m.Entry(1) },
			"All":        func() { _ = maps.Collect(m.All()) },
			"Keys":       func() { _ = slices.Collect(m.Keys()) },
			"Oldest":     func() { _ = maps.Collect(m.Oldest()) },
			"Len":        func() { m.Len() },
			"Stats":      func() { m.Stats() },
			"DeleteFunc": func() { m.DeleteFunc(func(int, int) bool { return false }) },
			"Sweep":      func() { m.Sweep() },
		}
		for name, other := range others {
			m.Set(1, 1)
			time.Sleep(idle - 1)
			other()
			time.Sleep(time.Nanosecond)
			assert.False(t, m.Contains(1), "%s is no access", name)
		}
	})
}

func TestPromise3ExactBound(t *testing.T) {
	const size, goroutines = 100, 8
	var early, looks atomic.Int64
	m := newMap[int, int](t, sessionmap.WithMaxSize(size))
	for i := range size {
		m.Set(i, i)
	}
	assert.Equal(t, size, m.Len())
	assert.Zero(t, m.Stats().Removals[sessionmap.Evicted], "nothing is evicted below the bound")

	stop := make(chan struct{})
	var watch, work sync.WaitGroup
	watch.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if m.Len() > size {
					early.Add(1)
				}
				looks.Add(1)
			}
		}
	})
	for g := range goroutines {
		work.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 1))
			for i := range 20000 {
				if key := rng.IntN(4 * size); rng.IntN(4) == 0 {
					m.Delete(key)
				} else {
					m.Set(key, key)
				}
				if i%2000 == 0 { // no goroutine is done before the watcher has looked some times
					for seen := looks.Load(); looks.Load() == seen; {
						runtime.Gosched()
					}
				}
			}
		})
	}
	work.Wait()
	close(stop)
	watch.Wait()
	assert.Zero(t, early.Load(), "Len over the bound")
	require.Positive(t, looks.Load())
}

func TestPromise3ExpiredGivesWayFirst(t *testing.T) {
	for _, tc := range []struct {
		name  string
		opts  []sessionmap.Option
		set   func(m *sessionmap.RobustSessionMap[int, int], key int)
		cause sessionmap.Cause
	}{
		{"idle", []sessionmap.Option{sessionmap.WithTTL(idle)},
			func(m *sessionmap.RobustSessionMap[int, int], key int) { m.Set(key, key) }, sessionmap.Idle},
		{"own idle", []sessionmap.Option{sessionmap.WithTTL(never)},
			func(m *sessionmap.RobustSessionMap[int, int], key int) { m.SetWithTTL(key, key, idle) }, sessionmap.Idle},
		{"lifetime", []sessionmap.Option{sessionmap.WithTTL(never), sessionmap.WithMaxLifetime(idle)},
			func(m *sessionmap.RobustSessionMap[int, int], key int) { m.Set(key, key) }, sessionmap.Lifetime},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out removals
				m := newMap[int, int](t, append(tc.opts, sessionmap.WithMaxSize(3), sessionmap.WithSweepInterval(never), out.option())...)
				m.Set(0, 0)
				m.Delete(0)
				out.take()
				// Key 1 will be expired, 2 and 3 live. With an own timeout 1 is also the most recently accessed.
				m.SetWithTTL(9, 9, 1) // draws the one early sweep
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				out.take()
				tc.set(m, 1)
				time.Sleep(idle / 2)
				m.Set(2, 2)
				m.Set(3, 3)
				if tc.name == "own idle" {
					m.Touch(1)
					time.Sleep(idle / 2)
				}
				time.Sleep(idle / 2)
				require.Equal(t, 3, m.Len())
				m.Set(4, 4)
				assert.Equal(t, []removal{{1, 1, tc.cause}}, out.take())
				assert.Equal(t, 3, m.Len())
				m.Set(5, 5)
				assert.Equal(t, []removal{{2, 2, sessionmap.Evicted}}, out.take())
			})
		})
	}
}

// TestPromise4ExactLRU is the smallest case; TestModel and TestModelOfOrder have the large ones.
func TestPromise4ExactLRU(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the clock stands still
		var out removals
		m := newMap[int, int](t, sessionmap.WithMaxSize(3), out.option())
		assert.True(t, sessionmap.Steps(m), "the clock of a bubble steps")
		m.Set(1, 1)
		m.Set(2, 2)
		m.Set(3, 3)
		m.Get(1)
		m.Get(3)
		m.Get(1)
		m.Touch(2)
		m.Peek(3)
		assert.Equal(t, []int{3, 1, 2}, keysOfMap(m))
		m.Set(4, 4)
		m.Set(5, 5)
		m.Set(6, 6)
		assert.Equal(t, []removal{{3, 3, sessionmap.Evicted}, {1, 1, sessionmap.Evicted}, {2, 2, sessionmap.Evicted}}, out.take())
	})
}

// TestPromise4OrderAmongGoroutines hands a baton around: accesses that did not overlap keep their order.
func TestPromise4OrderAmongGoroutines(t *testing.T) {
	onEveryClock(t, orderAmongGoroutines)
}

func orderAmongGoroutines(t *testing.T, clock clockKind) {
	const size, goroutines, rounds = 64, 8, 300
	m := newMapWith[int, int](t, clock, sessionmap.WithMaxSize(size))
	defer m.Close()
	for i := range size {
		m.Set(i, i)
	}
	var order []int // guarded by the baton
	baton := make(chan int, 1)
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 7))
			for n := range baton {
				if n == rounds {
					close(baton)
					return
				}
				key := rng.IntN(size)
				m.Get(key)
				order = append(slices.DeleteFunc(order, func(k int) bool { return k == key }), key)
				baton <- n + 1
			}
		})
	}
	baton <- 0
	wg.Wait()
	oldest := keysOfMap(m)
	assert.Equal(t, order, oldest[len(oldest)-len(order):])
	for i := range size {
		m.Set(1000+i, 0)
		require.False(t, m.Contains(oldest[i]))
	}
}

// keysOfMap returns the keys, least recently accessed first.
func keysOfMap[V any](m *sessionmap.RobustSessionMap[int, V]) (keys []int) {
	for key := range m.Oldest() {
		keys = append(keys, key)
	}
	return keys
}

// TestPromise5TouchBeatsExpiry has sweeps race, after the deadline, those who have looked at the clock before it: an access
// that is granted keeps the entry for another idle timeout. Time passes by hand, and by the calls, a nanosecond each.
func TestPromise5TouchBeatsExpiry(t *testing.T) {
	const rounds, touchers = 20000, 2
	var out removals
	m := newMapWith[int, int](t, coarseClock, sessionmap.WithTTL(idle), sessionmap.WithSweepInterval(never), out.option())
	defer m.Close()
	rng := rand.New(rand.NewPCG(5, 1))
	granted := 0
	for round := range rounds {
		m.Set(round, round)
		sessionmap.Advance(m, idle/2)
		var hits, ready atomic.Int32
		var begin atomic.Bool
		wait := func(delay int) { // so that either may come first
			for range delay {
				begin.Load()
			}
		}
		var wg sync.WaitGroup
		for range touchers {
			touch, delay := sessionmap.LateTouch(m, round), rng.IntN(500)
			wg.Go(func() {
				for ready.Add(1); !begin.Load(); {
					runtime.Gosched()
				}
				wait(delay)
				if touch() {
					hits.Add(1)
				}
			})
		}
		sessionmap.Advance(m, idle/2)
		for ready.Load() < touchers {
			runtime.Gosched()
		}
		begin.Store(true)
		for range rng.IntN(3) {
			runtime.Gosched()
		}
		wait(rng.IntN(500))
		m.Sweep()
		wg.Wait()
		if hits.Load() > 0 {
			require.EqualValues(t, touchers, hits.Load(), "round %d: it was there for one", round)
			require.True(t, m.Contains(round), "round %d: an access was granted", round)
			require.Empty(t, out.take())
			m.Delete(round)
			out.take()
			granted++
		} else {
			require.False(t, m.Contains(round))
			require.Equal(t, []removal{{round, round, sessionmap.Idle}}, out.take())
		}
	}
	t.Logf("granted in %d of %d rounds", granted, rounds) // how often is up to the machine
	require.Positive(t, granted, "of which many are decided by chance")
	require.Less(t, granted, rounds)
}

// TestPromise6EachValueLeavesOnce is the accounting law under all causes at once: values put in = values
// present + removals reported, each value once.
func TestPromise6EachValueLeavesOnce(t *testing.T) {
	onEveryClock(t, eachValueLeavesOnce)
}

func eachValueLeavesOnce(t *testing.T, clock clockKind) {
	const goroutines, steps, keys = 16, 4000, 60
	var rejected, done atomic.Int64
	put := make([]bool, goroutines*steps+1) // by value, each written by one goroutine
	left := make([]atomic.Int32, goroutines*steps+1)
	bus := sessionmap.NewBus[int]()
	m := newMapWith[int, int](t, clock,
		sessionmap.WithMaxSize(keys/2), sessionmap.WithTTL(time.Millisecond), sessionmap.WithMaxLifetime(3*time.Millisecond),
		sessionmap.WithSweepInterval(time.Microsecond), sessionmap.WithSessionDeleted(bus),
		sessionmap.WithOnRemove(func(_, value int, cause sessionmap.Cause) {
			left[value].Add(1)
			if cause == sessionmap.Rejected {
				rejected.Add(1)
			}
		}))
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 3))
			for i := range steps {
				key, value := rng.IntN(keys), 1+g*steps+i
				switch op := rng.IntN(100); {
				case op < 30:
					put[value] = true
					m.Set(key, value)
				case op < 40:
					put[value] = true
					m.SetWithTTL(key, value, time.Duration(1+rng.IntN(2000))*time.Microsecond)
				case op < 50:
					if _, loaded := m.GetOrSet(key, value); !loaded {
						put[value] = true
					}
				case op < 60:
					if got, ok := m.Update(key, func(int, bool) (int, bool) { return value, rng.IntN(4) > 0 }); ok && got == value {
						put[value] = true
					}
				case op < 70:
					m.Get(key)
				case op < 80:
					m.Delete(key)
				case op < 88:
					bus.Publish(key)
				case op < 92:
					m.Sweep()
				case op < 94:
					m.DeleteFunc(func(key, _ int) bool { return key%7 == 0 })
				case op < 95:
					m.Clear()
				default:
					for range m.All() {
					}
				}
				if done.Add(1) == goroutines*steps*9/10 {
					assert.NoError(t, m.Close())
				}
			}
		})
	}
	wg.Wait()
	s := m.Stats()
	assert.Zero(t, s.Live)
	checkSum(t, s)
	var values int64
	for value := range left {
		n := left[value].Load()
		require.LessOrEqual(t, n, int32(1), "value %d left twice", value)
		require.True(t, n == 1 || !put[value], "value %d was lost", value)
		values += int64(n)
	}
	assert.Equal(t, s.Sets, uint64(values), "each removal was reported once")
	assert.Equal(t, uint64(rejected.Load()), s.Removals[sessionmap.Rejected])
	t.Log(s.Removals) // how often each cause occurs is up to the machine
	assert.NoError(t, sessionmap.CheckInvariants(m))
}

func TestPromise7CallbacksMayCallEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := sessionmap.NewBus[int]()
		var m *sessionmap.RobustSessionMap[int, int]
		var causes []sessionmap.Cause
		everything := func() {
			m.Get(100)
			m.Peek(100)
			m.Contains(100)
			m.Touch(100)
			m.Entry(100)
			m.Set(100, 1)
			m.SetWithTTL(100, 1, idle)
			m.GetOrSet(100, 1)
			m.Update(100, func(int, bool) (int, bool) { return 1, true })
			for range m.All() {
			}
			for range m.Oldest() {
			}
			m.DeleteFunc(func(key, _ int) bool { return key == 100 })
			m.Set(100, 1)
			m.Take(100)
			m.Delete(100)
			m.Len()
			m.Stats()
			m.Sweep()
			m.OnRemove(func(int, int, sessionmap.Cause) {})()
			bus.Publish(100)
		}
		m = newMap[int, int](t, sessionmap.WithMaxSize(3), sessionmap.WithTTL(idle), sessionmap.WithSweepInterval(1), sessionmap.WithSessionDeleted(bus),
			sessionmap.WithOnRemove(func(key, _ int, cause sessionmap.Cause) {
				if key != 100 {
					causes = append(causes, cause)
					everything()
				}
			}))
		m.Set(1, 1)
		m.Set(1, 1)
		m.Delete(1)
		m.Set(2, 2)
		bus.Publish(2)
		m.Set(3, 3)
		time.Sleep(idle)
		synctest.Wait()
		m.Set(4, 4)
		m.Set(5, 5)
		m.Set(6, 6)
		m.Set(7, 7)
		m.DeleteFunc(func(int, int) bool { everything(); return false })
		m.Update(8, func(int, bool) (int, bool) { everything(); return 8, true })
		m.Clear()
		m.Set(9, 9)
		require.NoError(t, m.Close())
		m.Set(10, 10)
		assert.Subset(t, causes, []sessionmap.Cause{sessionmap.Replaced, sessionmap.Deleted, sessionmap.SessionDeleted, sessionmap.Idle,
			sessionmap.Evicted, sessionmap.Cleared, sessionmap.Closed, sessionmap.Rejected})
	})
}

// TestPromise7ReportedWithoutTheLock: whichever way a value leaves, the map's lock is free when that is told.
func TestPromise7ReportedWithoutTheLock(t *testing.T) {
	type testMap = *sessionmap.RobustSessionMap[int, int]
	keep := func(keep bool) func(int, bool) (int, bool) { return func(int, bool) (int, bool) { return 2, keep } }
	load := func(context.Context, int) (int, error) { return 2, nil }
	expire := func() { time.Sleep(idle) }
	for name, leave := range map[string]func(m testMap, bus *sessionmap.Bus[int]){
		"overwritten":          func(m testMap, _ *sessionmap.Bus[int]) { m.Set(1, 2) },
		"evicted by Set":       func(m testMap, _ *sessionmap.Bus[int]) { m.Set(3, 3) },
		"evicted by GetOrSet":  func(m testMap, _ *sessionmap.Bus[int]) { m.GetOrSet(3, 3) },
		"evicted by Update":    func(m testMap, _ *sessionmap.Bus[int]) { m.Update(3, keep(true)) },
		"evicted by GetOrLoad": func(m testMap, _ *sessionmap.Bus[int]) { m.GetOrLoad(context.Background(), 3, load) },
		"updated":              func(m testMap, _ *sessionmap.Bus[int]) { m.Update(1, keep(true)) },
		"removed by Update":    func(m testMap, _ *sessionmap.Bus[int]) { m.Update(1, keep(false)) },
		"deleted":              func(m testMap, _ *sessionmap.Bus[int]) { m.Delete(1) },
		"deleted by a function": func(m testMap, _ *sessionmap.Bus[int]) {
			m.DeleteFunc(func(int, int) bool { return true })
		},
		"event":                         func(_ testMap, bus *sessionmap.Bus[int]) { bus.Publish(1) },
		"refreshed":                     func(m testMap, _ *sessionmap.Bus[int]) { m.Refresh(1, load) },
		"swept":                         func(testMap, *sessionmap.Bus[int]) { expire() },
		"expired, met by Set":           func(m testMap, _ *sessionmap.Bus[int]) { expire(); m.Set(1, 2) },
		"expired, met by Delete":        func(m testMap, _ *sessionmap.Bus[int]) { expire(); m.Delete(1) },
		"expired, met by Acquire":       func(m testMap, _ *sessionmap.Bus[int]) { expire(); m.Acquire(1) },
		"expired, met by Rename":        func(m testMap, _ *sessionmap.Bus[int]) { m.Touch(2); expire(); _ = m.Rename(2, 1) },
		"cleared":                       func(m testMap, _ *sessionmap.Bus[int]) { m.Clear() },
		"cleared, with a lease":         func(m testMap, _ *sessionmap.Bus[int]) { m.Acquire(1); m.Clear() },
		"closed":                        func(m testMap, _ *sessionmap.Bus[int]) { m.Close() },
		"refused by a closed map":       func(m testMap, _ *sessionmap.Bus[int]) { m.Close(); m.Set(3, 3) },
		"its context is done":           func(m testMap, _ *sessionmap.Bus[int]) { m.BindContext(done(), 1) },
		"evicted by one with a context": func(m testMap, _ *sessionmap.Bus[int]) { m.SetContext(context.Background(), 3, 3) },
	} {
		t.Run(name, func(t *testing.T) {
			for _, opts := range [][]sessionmap.Option{
				{sessionmap.WithMaxSize(2)},
				{sessionmap.WithMaxCost(2, func(int, int) int64 { return 1 })},
			} {
				synctest.Test(t, func(t *testing.T) {
					bus := sessionmap.NewBus[int]()
					told := 0
					var m testMap
					m = newMap[int, int](t, append(opts, sessionmap.WithTTL(idle), sessionmap.WithSweepInterval(never), sessionmap.WithSessionDeleted(bus),
						sessionmap.WithOnRemove(func(int, int, sessionmap.Cause) {
							told++
							assert.True(t, sessionmap.LockIsFree(m))
						}))...)
					m.Set(1, 1)
					m.Set(2, 1)
					leave(m, bus)
					if name == "swept" {
						m.Sweep()
					}
					synctest.Wait()
					assert.Positive(t, told)
				})
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, sessionmap.WithMaxSize(1), sessionmap.WithTTL(idle))
		ended, told := 0, 0
		g.OnEnd(func(int, sessionmap.Cause) {
			ended++
			assert.True(t, sessionmap.LockIsFree(sessionmap.SessionsOf(g)))
		})
		a := sessionmap.NewAttribute[int](g, "a", sessionmap.WithOnRemove(func(int, int, sessionmap.Cause) {
			told++
			assert.True(t, sessionmap.LockIsFree(sessionmap.SessionsOf(g)))
		}))
		a.Set(1, 1)
		a.Set(1, 2)
		a.Take(1)
		a.Set(1, 3)
		a.Set(2, 4) // evicts 1
		lease, ok := g.Begin(3)
		require.True(t, ok)
		lease.Release()
		_ = g.Run(t.Context(), 4, func(context.Context, *sessionmap.Session[int]) error { return nil })
		assert.Equal(t, 4, ended)
		assert.Equal(t, 4, told)
	})
}

// done returns a context that is done.
func done() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// TestPromise7CloseInCallbacks closes the map from inside the callback of each kind of removal.
func TestPromise7CloseInCallbacks(t *testing.T) {
	bus := sessionmap.NewBus[int]()
	for name, remove := range map[string]func(m *sessionmap.RobustSessionMap[int, int]){
		"Set":    func(m *sessionmap.RobustSessionMap[int, int]) { m.Set(1, 20) },
		"Delete": func(m *sessionmap.RobustSessionMap[int, int]) { m.Delete(1) },
		"evict":  func(m *sessionmap.RobustSessionMap[int, int]) { m.Set(3, 3) },
		"event":  func(*sessionmap.RobustSessionMap[int, int]) { bus.Publish(1) },
		"sweep":  func(*sessionmap.RobustSessionMap[int, int]) { time.Sleep(idle) },
		"Sweep":  func(m *sessionmap.RobustSessionMap[int, int]) { time.Sleep(idle); m.Sweep() },
		"Clear":  func(m *sessionmap.RobustSessionMap[int, int]) { m.Clear() },
		"Close":  func(m *sessionmap.RobustSessionMap[int, int]) { m.Close() },
		"Update": func(m *sessionmap.RobustSessionMap[int, int]) {
			m.Update(1, func(int, bool) (int, bool) { m.Close(); return 0, true })
		},
		"DeleteFunc": func(m *sessionmap.RobustSessionMap[int, int]) {
			m.DeleteFunc(func(int, int) bool { m.Close(); return true })
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out removals
				var m *sessionmap.RobustSessionMap[int, int]
				m = newMap[int, int](t, sessionmap.WithMaxSize(2), sessionmap.WithTTL(idle), sessionmap.WithSessionDeleted(bus),
					sessionmap.WithOnRemove(func(key, value int, cause sessionmap.Cause) {
						out.add(key, value, cause)
						assert.NoError(t, m.Close())
					}))
				m.Set(1, 1)
				m.Set(2, 2)
				start := time.Now()
				remove(m)
				synctest.Wait()
				assert.Less(t, time.Since(start), idle+sessionmap.CloseGrace, "nothing waited for itself")
				assert.False(t, m.Set(4, 4))
				assert.Zero(t, m.Len())
				left := map[int]int{}
				for _, r := range out.take() {
					left[r.value]++
				}
				for _, value := range []int{1, 2, 4} {
					assert.Equal(t, 1, left[value], "value %d", value)
				}
			})
		})
	}
}

// TestPromise7CloseDeepBelowACallback: it does not wait for the callback, however many calls lie between.
func TestPromise7CloseDeepBelowACallback(t *testing.T) {
	for _, depth := range []int{1, 50, 63, 64, 65, 500} {
		synctest.Test(t, func(t *testing.T) {
			var m *sessionmap.RobustSessionMap[int, int]
			m = newMap[int, int](t, sessionmap.WithTTL(idle), sessionmap.WithOnRemove(func(int, int, sessionmap.Cause) {
				start := time.Now()
				below(depth, func() { assert.NoError(t, m.Close()) })
				assert.Zero(t, time.Since(start), "nothing waited for itself, %d calls deep", depth)
			}))
			m.Set(1, 1)
			time.Sleep(idle) // a sweep is what Close waits for
			synctest.Wait()
			assert.False(t, m.Set(2, 2))
		})
	}
}

// below calls fn that many calls deep.
func below(depth int, fn func()) {
	if depth == 0 {
		fn()
		return
	}
	below(depth-1, fn)
}

func TestPromise7BlockedCallbackHoldsUpOnlyItsCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		m := newMap[int, int](t, sessionmap.WithMaxSize(2), sessionmap.WithTTL(idle), sessionmap.WithSweepInterval(1),
			sessionmap.WithOnRemove(func(key, _ int, _ sessionmap.Cause) {
				if key < 0 {
					<-release
				}
			}))
		returned := make(chan string, 2)
		m.Set(-1, 0)
		go func() { m.Delete(-1); returned <- "Delete" }()
		m.SetWithTTL(-2, 0, 1) // blocks the background sweep
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		for key := range 5 {
			require.True(t, m.Set(key, key))
			require.True(t, m.Contains(key))
			require.LessOrEqual(t, m.Len(), 2)
		}
		require.True(t, m.Delete(4))
		m.Set(5, 5)
		time.Sleep(idle)
		assert.False(t, m.Contains(5))
		assert.Equal(t, 2, m.Sweep(), "a sweep of one's own goes on")
		assert.Empty(t, returned)
		close(release)
		synctest.Wait()
		assert.Equal(t, "Delete", <-returned)
	})
}

// TestPromise7ReportedBeforeTheCallReturns, and on its goroutine; those of Close are told on one of its own, for which it
// waits.
func TestPromise7ReportedBeforeTheCallReturns(t *testing.T) {
	var out removals
	here := goroutine()
	m := newMap[int, int](t, sessionmap.WithMaxSize(1), out.option(), sessionmap.WithOnRemove(func(_, _ int, cause sessionmap.Cause) {
		if cause != sessionmap.Closed {
			assert.Equal(t, here, goroutine(), cause)
		}
	}))
	m.Set(1, 1)
	m.Set(1, 2)
	assert.Equal(t, []removal{{1, 1, sessionmap.Replaced}}, out.take())
	m.Set(2, 3)
	assert.Equal(t, []removal{{1, 2, sessionmap.Evicted}}, out.take())
	m.Delete(2)
	assert.Equal(t, []removal{{2, 3, sessionmap.Deleted}}, out.take())
	m.Set(3, 4)
	m.Clear()
	assert.Equal(t, []removal{{3, 4, sessionmap.Cleared}}, out.take())
	m.Set(4, 5)
	require.NoError(t, m.Close())
	assert.Equal(t, []removal{{4, 5, sessionmap.Closed}}, out.take())
	m.Set(5, 6)
	assert.Equal(t, []removal{{5, 6, sessionmap.Rejected}}, out.take())
}

// goroutine returns what names the goroutine in traces.
func goroutine() string {
	trace := make([]byte, 64)
	name, _, _ := bytes.Cut(trace[:runtime.Stack(trace, false)], []byte(" ["))
	return string(name)
}

// A syncBuffer is a log to write from one goroutine and read from another.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func TestPromise7PanicIsCaughtCountedLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log syncBuffer
		var out removals
		m := newMap[string, int](t, sessionmap.WithName("agents"), sessionmap.WithTTL(idle), sessionmap.WithSweepInterval(1),
			sessionmap.WithLogger(slog.New(slog.NewTextHandler(&log, nil))),
			sessionmap.WithOnRemove(func(key string, _ int, _ sessionmap.Cause) {
				var none *int
				*none = 1
			}),
			sessionmap.WithOnRemove(func(_ string, value int, cause sessionmap.Cause) { out.add(0, value, cause) }))
		m.Set("secret", 1)
		m.Set("secret", 2)
		assert.Equal(t, []removal{{0, 1, sessionmap.Replaced}}, out.take(), "the other callback still hears")
		assert.Equal(t, uint64(1), m.Stats().CallbackPanics)
		for _, want := range []string{"agents", "OnRemove", "key_type=string", "value_type=int", "nil pointer", "sessionmap_test.go"} {
			assert.Contains(t, log.String(), want)
		}
		assert.NotContains(t, log.String(), "secret", "a session id is no matter for a log")

		time.Sleep(idle)
		synctest.Wait()
		assert.Equal(t, []removal{{0, 2, sessionmap.Idle}}, out.take())
		m.Set("again", 3)
		time.Sleep(idle)
		synctest.Wait()
		assert.Equal(t, []removal{{0, 3, sessionmap.Idle}}, out.take(), "the sweeper outlives a panic")

		m.Set("x", 4)
		value, ok := m.Update("x", func(int, bool) (int, bool) { panic("update") })
		assert.True(t, ok)
		assert.Equal(t, 4, value)
		assert.Zero(t, m.DeleteFunc(func(string, int) bool { panic("predicate") }))
		_, ok = m.Update("x", nil)
		assert.True(t, ok, "a nil function panics like any other")
		assert.True(t, m.Contains("x"))
		assert.Empty(t, out.take())
		assert.Equal(t, uint64(6), m.Stats().CallbackPanics)
	})
}

// A badLogger panics: the one who logs a callback's panic must survive that too.
type badLogger struct{ slog.Handler }

func (badLogger) Enabled(context.Context, slog.Level) bool { panic("logger") }
func (l badLogger) WithAttrs([]slog.Attr) slog.Handler     { return l }

func TestPromise7LoggerThatPanics(t *testing.T) {
	m := newMap[int, int](t, sessionmap.WithLogger(slog.New(badLogger{})),
		sessionmap.WithOnRemove(func(int, int, sessionmap.Cause) { panic("callback") }))
	m.Set(1, 1)
	assert.True(t, m.Delete(1))
	assert.Equal(t, uint64(1), m.Stats().CallbackPanics)
}

// TestPromise7Goexit ends the goroutine in a callback, as t.FailNow does: what else left is still reported.
func TestPromise7Goexit(t *testing.T) {
	for name, remove := range map[string]func(m *sessionmap.RobustSessionMap[int, int]){
		"Clear": func(m *sessionmap.RobustSessionMap[int, int]) { m.Clear() },
		"Close": func(m *sessionmap.RobustSessionMap[int, int]) { m.Close() },
		"Sweep": func(m *sessionmap.RobustSessionMap[int, int]) { time.Sleep(idle) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const keys = 300 // several batches
				var out removals
				m := newMap[int, int](t, sessionmap.WithTTL(idle), sessionmap.WithOnRemove(func(key, _ int, _ sessionmap.Cause) {
					if key%100 == 0 {
						runtime.Goexit()
					}
				}), out.option())
				for key := range keys {
					m.Set(key, key)
				}
				go remove(m)
				time.Sleep(idle)
				synctest.Wait()
				time.Sleep(10 * sessionmap.DefaultSweepInterval)
				synctest.Wait()
				assert.Len(t, out.take(), keys)
			})
		})
	}
}

func TestPromise8CloseIsIdempotent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out removals
		m := newMap[int, int](t, out.option())
		m.Set(1, 1)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				assert.NoError(t, m.Close())
				assert.Len(t, out.all, 1, "all is reported when any Close returns")
			})
		}
		wg.Wait()
		assert.False(t, sessionmap.Armed(m))
		assert.False(t, m.Set(1, 2))
		assert.False(t, m.SetWithTTL(1, 3, idle))
		actual, loaded := m.GetOrSet(1, 4)
		assert.Equal(t, 4, actual)
		assert.False(t, loaded)
		value, ok := m.Update(1, func(int, bool) (int, bool) { t.Error("called"); return 5, true })
		assert.Zero(t, value)
		assert.False(t, ok)
		assert.Equal(t, []removal{{1, 1, sessionmap.Closed}, {1, 2, sessionmap.Rejected}, {1, 3, sessionmap.Rejected}, {1, 4, sessionmap.Rejected}}, out.take())
		assert.False(t, m.Contains(1))
		assert.False(t, m.Delete(1))
		assert.Zero(t, m.Len())
		assert.Zero(t, m.Clear())
		assert.Zero(t, m.Sweep())
		assert.Empty(t, maps.Collect(m.All()))
	})
}

func TestPromise8CloseWaitsForTheSweepButNotForEver(t *testing.T) {
	for _, who := range []string{"sweep", "Close"} {
		t.Run(who, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				m := sessionmap.MustNew[int, int](sessionmap.WithTTL(idle), sessionmap.WithOnRemove(func(int, int, sessionmap.Cause) { <-release }))
				m.Set(1, 1)
				if who == "sweep" {
					time.Sleep(idle)
					synctest.Wait()
				}
				start := time.Now()
				assert.ErrorIs(t, m.Close(), sessionmap.ErrCloseTimeout)
				assert.Equal(t, sessionmap.CloseGrace, time.Since(start))
				go func() { time.Sleep(sessionmap.CloseGrace / 2); close(release) }()
				assert.NoError(t, m.Close(), "the callback has returned meanwhile")
				assert.Equal(t, sessionmap.CloseGrace*3/2, time.Since(start))
			})
		})
	}
}

func TestPromise8CloseConcurrentWithEverything(t *testing.T) {
	for range 50 {
		bus := sessionmap.NewBus[int]()
		ctx, cancel := context.WithCancel(t.Context())
		m := newMap[int, int](t, sessionmap.WithContext(ctx), sessionmap.WithSessionDeleted(bus), sessionmap.WithTTL(time.Millisecond), sessionmap.WithSweepInterval(1))
		var puts, unsure atomic.Int64 // Updates refused by the closed map may have had a value, or lost one just before
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for i := range 200 {
					m.Set(i, g)
					puts.Add(1)
					m.Get(i)
					if _, loaded := m.GetOrSet(i, g); !loaded {
						puts.Add(1)
					}
					kept := false
					_, ok := m.Update(i, func(old int, _ bool) (int, bool) {
						kept = old%2 == 0
						return old + 1, kept
					})
					if ok {
						puts.Add(1)
					} else if kept {
						unsure.Add(1)
					}
					bus.Publish(i)
					m.Delete(i)
					if i == 100 {
						switch g {
						case 0:
							m.Clear()
						case 1:
							cancel()
						case 2:
							assert.NoError(t, m.Close())
						}
					}
				}
			})
		}
		wg.Wait()
		cancel()
		assert.NoError(t, m.Close())
		s := m.Stats()
		require.Zero(t, s.Live)
		checkSum(t, s)
		require.LessOrEqual(t, uint64(puts.Load()), s.Sets)
		require.LessOrEqual(t, s.Sets, uint64(puts.Load()+unsure.Load()))
	}
}

// TestPromise8DroppedWithoutClose: the garbage collector takes a forgotten map with all that is in it, the
// sweeper, the subscription and the watch on the context notwithstanding.
func TestPromise8DroppedWithoutClose(t *testing.T) {
	bus := sessionmap.NewBus[int]()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	before := runtime.NumGoroutine()
	const maps = 20
	var collected atomic.Int64
	drop := func(opts ...sessionmap.Option) {
		m := sessionmap.MustNew[int, *[1 << 10]byte](append(opts, sessionmap.WithSessionDeleted(bus), sessionmap.WithContext(ctx))...)
		a := new([1 << 10]byte)
		runtime.AddCleanup(a, func(int) { collected.Add(1) }, 0)
		m.Set(1, a)
		m.Get(1)
		m.BindContext(ctx, 1)
	}
	for i := range maps {
		if i%2 == 0 {
			drop(sessionmap.WithCoarseClock(time.Hour))
		} else {
			drop()
		}
	}
	assert.LessOrEqual(t, runtime.NumGoroutine(), before, "an idle map has no goroutine")
	drop(sessionmap.WithMemoryPressure(1<<40, 1<<39, 0)) // this one may have one just now

	for collected.Load() < maps+1 { // the test's own time limit is the only one
		runtime.GC()
		runtime.Gosched()
	}
	for sessionmap.Subscribers(bus) > 0 { // though no event ever comes
		runtime.Gosched()
	}
}

// TestDroppedInABubbleWithASource: the collector leaves the source alone there; an event finds the map gone.
func TestDroppedInABubbleWithASource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := sessionmap.NewBus[int]()
		var collected atomic.Bool
		func() {
			m := sessionmap.MustNew[int, int](sessionmap.WithSessionDeleted(bus))
			runtime.AddCleanup(m, func(int) { collected.Store(true) }, 0)
		}()
		for !collected.Load() {
			runtime.GC()
			runtime.Gosched()
		}
		assert.Equal(t, 1, sessionmap.Subscribers(bus))
		bus.Publish(1)
		synctest.Wait()
		assert.Zero(t, sessionmap.Subscribers(bus))
	})
}

func TestPromise8DeletingFrees(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const burst = 100_000
		m := newMap[int, int](t, sessionmap.WithMaxSize(0), sessionmap.WithTTL(idle), sessionmap.WithMaxLifetime(lifetime))
		for key := range 100 {
			m.Set(key, key)
		}
		table, deadlines := sessionmap.TableSlots(m), sessionmap.DeadlineSlots(m)
		fill := func() {
			for key := range burst {
				m.Set(1000+key, key)
			}
			require.Greater(t, sessionmap.TableSlots(m), burst)
			require.GreaterOrEqual(t, sessionmap.DeadlineSlots(m), burst)
		}
		settled := func(how string) {
			t.Helper()
			assert.Equal(t, 100, m.Len(), how)
			assert.LessOrEqual(t, sessionmap.TableSlots(m), 4*table, how)
			assert.LessOrEqual(t, sessionmap.DeadlineSlots(m), 4*deadlines, how)
			assert.NoError(t, sessionmap.CheckInvariants(m), how)
		}
		fill()
		for key := range burst {
			m.Delete(1000 + key)
		}
		settled("Delete")
		fill()
		time.Sleep(idle / 2)
		for key := range 100 {
			m.Touch(key)
		}
		time.Sleep(idle / 2)
		synctest.Wait()
		settled("sweep")
	})
}

func TestPromise9EventsAreHints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out removals
		var deleted func(int, time.Time)
		cancelled := 0
		source := sessionmap.SourceFunc[int](func(fn func(int, time.Time)) (func(), error) {
			deleted = fn
			return func() { cancelled++ }, nil
		})
		m := newMap[int, int](t, sessionmap.WithSessionDeleted(source), out.option())
		deleted(1, time.Time{})
		deleted(1, time.Now().Add(time.Hour))
		assert.Empty(t, out.take(), "unknown sessions")

		// wall strips the monotonic reading, as sending a time to another process does.
		wall := func(at time.Time) time.Time { return at.Round(0) }
		start := time.Now()
		time.Sleep(time.Second)
		for _, tc := range []struct {
			name string
			at   time.Time
			ends bool
		}{
			{"long before", start.Add(-time.Hour), false},
			{"long before, by the wall", wall(start.Add(-time.Hour)), false},
			{"just before", start.Add(time.Second - 1), false},
			{"just before, by the wall", wall(start.Add(time.Second - 1)), false},
			{"the same moment", start.Add(time.Second), true},
			{"the same moment, by the wall", wall(start.Add(time.Second)), true},
			{"now", time.Time{}, true},
			{"in the future", start.Add(time.Hour), true},
			{"in the future, by the wall", wall(start.Add(time.Hour)), true},
			{"before time began", time.Unix(-1<<40, 0), false},
		} {
			m.Set(1, 1)
			deleted(1, tc.at)
			assert.Equal(t, !tc.ends, m.Contains(1), tc.name)
			if tc.ends {
				assert.Equal(t, []removal{{1, 1, sessionmap.SessionDeleted}}, out.take(), tc.name)
			}
			deleted(1, tc.at) // doubled
			m.Delete(1)
			out.take()
		}

		// An access does not make a session newer: only its creation counts.
		m.Set(1, 1)
		event := time.Now()
		time.Sleep(time.Second)
		m.Set(1, 2)
		m.Get(1)
		out.take()
		deleted(1, event)
		assert.Equal(t, []removal{{1, 2, sessionmap.SessionDeleted}}, out.take())

		// An event for an expired session is too late: it has ended for idleness.
		m.Set(1, 1)
		time.Sleep(sessionmap.DefaultTTL)
		deleted(1, time.Time{})
		time.Sleep(sessionmap.DefaultSweepInterval)
		synctest.Wait()
		assert.Equal(t, []removal{{1, 1, sessionmap.Idle}}, out.take())

		require.NoError(t, m.Close())
		assert.Equal(t, 1, cancelled)
		deleted(1, time.Time{})
		assert.Empty(t, out.take())
	})
}

// TestPromise9EventsByTheRealClock: outside a bubble the time of an event has a monotonic reading.
func TestPromise9EventsByTheRealClock(t *testing.T) {
	onEveryClock(t, func(t *testing.T, clock clockKind) {
		var deleted func(int, time.Time)
		m := newMapWith[int, int](t, clock, toldBy(&deleted))
		defer m.Close()
		tick := func() (before time.Time) {
			for before = time.Now(); !time.Now().After(before); {
				runtime.Gosched()
			}
			return before
		}
		at := tick()
		m.Set(1, 1)
		deleted(1, at)
		assert.True(t, m.Contains(1), "it began after the event")
		tick()
		deleted(1, time.Now())
		assert.False(t, m.Contains(1))
	})
}

// TestPromise9BusTellsWhen: a subscriber that is told late, because another one took its time, hears when the session was
// deleted.
func TestPromise9BusTellsWhen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := sessionmap.NewBus[int]()
		var m *sessionmap.RobustSessionMap[int, int]
		_, err := bus.Subscribe(func(id int, at time.Time) {
			assert.Equal(t, time.Now(), at)
			time.Sleep(time.Second)
			m.Delete(id)
			m.Set(id, 2)
		})
		require.NoError(t, err)
		m = newMap[int, int](t, sessionmap.WithSessionDeleted(bus))
		m.Set(1, 1)
		bus.Publish(1)
		value, ok := m.Get(1)
		assert.True(t, ok, "another session, that began after the event")
		assert.Equal(t, 2, value)
	})
}

func TestPromise9SourcesThatMisbehave(t *testing.T) {
	t.Run("flood", func(t *testing.T) {
		bus := sessionmap.NewBus[int]()
		m := newMap[int, int](t, sessionmap.WithSessionDeleted(bus))
		for key := range 100 {
			m.Set(key, key)
		}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for id := range 20000 {
					bus.Publish(id)
				}
			})
		}
		wg.Wait()
		assert.Zero(t, m.Len())
		assert.Equal(t, uint64(100), m.Stats().Removals[sessionmap.SessionDeleted])
	})
	t.Run("calls within Subscribe", func(t *testing.T) {
		m := newMap[int, int](t, sessionmap.WithSessionDeleted(sessionmap.SourceFunc[int](func(deleted func(int, time.Time)) (func(), error) {
			deleted(1, time.Time{})
			return nil, nil // and has no cancel
		})))
		m.Set(1, 1)
		assert.True(t, m.Contains(1))
	})
	t.Run("cancel panics", func(t *testing.T) {
		m := newMap[int, int](t, sessionmap.WithLogger(slog.New(slog.DiscardHandler)), sessionmap.WithSessionDeleted(sessionmap.SourceFunc[int](
			func(func(int, time.Time)) (func(), error) { return func() { panic("cancel") }, nil })))
		assert.NoError(t, m.Close())
		assert.Equal(t, uint64(1), m.Stats().CallbackPanics)
	})
	t.Run("cancel blocks", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			var out removals
			m := newMap[int, int](t, out.option(), sessionmap.WithSessionDeleted(sessionmap.SourceFunc[int](
				func(func(int, time.Time)) (func(), error) { return func() { <-release }, nil })))
			m.Set(1, 1)
			assert.ErrorIs(t, m.Close(), sessionmap.ErrCloseTimeout)
			assert.Len(t, out.take(), 1, "the values are released all the same")
			close(release)
		})
	})
	for name, source := range map[string]sessionmap.SourceFunc[int]{
		"refuses": func(func(int, time.Time)) (func(), error) { return nil, errors.New("no such topic") },
		"panics":  func(func(int, time.Time)) (func(), error) { panic("no such topic") },
	} {
		t.Run(name, func(t *testing.T) {
			bus := sessionmap.NewBus[int]()
			m, err := sessionmap.New[int, int](sessionmap.WithLogger(slog.New(slog.DiscardHandler)), sessionmap.WithSessionDeleted(bus), sessionmap.WithSessionDeleted(source))
			assert.Nil(t, m)
			var option *sessionmap.OptionError
			require.ErrorAs(t, err, &option)
			assert.Equal(t, "WithSessionDeleted", option.Option)
			assert.Contains(t, err.Error(), "SourceFunc")
			if name == "refuses" {
				assert.Contains(t, err.Error(), "no such topic")
			}
			assert.Zero(t, sessionmap.Subscribers(bus), "the other subscription is undone")
		})
	}
}

// TestPromise10GetTakesNoLock: these return while somebody holds the map's lock.
func TestPromise10GetTakesNoLock(t *testing.T) {
	const size = 3 * sessionmap.SmallMap // so that readers take notes, more than there is space for
	m := newMap[int, int](t, sessionmap.WithMaxSize(size))
	for key := range size {
		m.Set(key, key)
	}
	sessionmap.WithLock(m, func() {
		for key := range size {
			value, ok := m.Get(key)
			require.True(t, ok)
			require.Equal(t, key, value)
		}
		m.Get(-1)
		m.Peek(1)
		m.Contains(1)
		m.Touch(1)
		m.Entry(1)
		m.Set(1, 2) // an overwrite
		m.GetOrSet(1, 3)
		m.Update(1, func(int, bool) (int, bool) { return 3, true })
		m.Delete(-1)
		m.Len()
		m.Stats()
		for range m.All() {
		}
		for range m.Oldest() {
		}
	})
	value, _ := m.Get(1)
	assert.Equal(t, 3, value)
}

// TestPromise10AttributesTakeNoLock: so do these, of a session that is there.
func TestPromise10AttributesTakeNoLock(t *testing.T) {
	g := newGroup(t)
	a := sessionmap.NewAttribute[int](g, "a")
	b := sessionmap.NewAttribute[int](g, "b")
	a.Set(1, 1)
	sessionmap.WithGroupLock(g, func() {
		value, ok := a.Get(1)
		assert.True(t, ok)
		assert.Equal(t, 1, value)
		assert.True(t, a.Set(1, 2))
		a.GetOrSet(1, 3)
		a.Update(1, func(old int, _ bool) (int, bool) { return old + 2, true })
		_, ok = b.Get(1)
		assert.False(t, ok)
		_, loaded := b.GetOrSet(1, 5) // its first
		assert.False(t, loaded)
		a.Get(2)
		assert.True(t, g.Touch(1))
		assert.True(t, g.Contains(1))
		assert.False(t, g.Contains(2))
		assert.Equal(t, 1, g.Len())
	})
	value, _ := a.Get(1)
	assert.Equal(t, 4, value)
	value, _ = b.Get(1)
	assert.Equal(t, 5, value)
}

func TestPromise10Allocations(t *testing.T) {
	for _, size := range []int{1000, 2 * sessionmap.SmallMap} {
		t.Run(fmt.Sprintf("size=%d", size), func(t *testing.T) { allocations(t, size) })
	}
}

func allocations(t *testing.T, size int) {
	m := newMap[string, *agent](t, sessionmap.WithMaxSize(size))
	keys := make([]string, 4*size)
	for i := range keys {
		keys[i] = fmt.Sprintf("session-%d", i)
	}
	a := &agent{}
	for i := range 2 * size {
		m.Set(keys[i], a)
	}
	i := 0
	for _, tc := range []struct {
		name string
		most float64
		op   func()
	}{
		{"Get hit", 0, func() { m.Get(keys[size+i%size]) }},
		{"Get miss", 0, func() { m.Get(keys[3*size]) }},
		{"Peek", 0, func() { m.Peek(keys[size]) }},
		{"Touch", 0, func() { m.Touch(keys[size+i%size]) }},
		{"overwrite", 0, func() { m.Set(keys[size+i%size], a) }},
		{"insert and evict", 1, func() { m.Set(keys[i%len(keys)], a) }},
	} {
		i = 0
		allocs := testing.AllocsPerRun(2*size, func() { tc.op(); i++ })
		assert.LessOrEqual(t, allocs, tc.most, tc.name)
	}
	structs := newMap[struct {
		tenant int
		id     string
	}, int](t)
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		structs.Get(struct {
			tenant int
			id     string
		}{1, "x"})
	}), "a struct for a key")
}

// TestPromise10SweepsInPieces: within the callbacks of a large sweep the lock is free, and the rest of the
// expired entries is still there.
func TestPromise10SweepsInPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const total = 10 * sessionmap.SweepBatch
		var lens []int
		var m *sessionmap.RobustSessionMap[int, int]
		m = newMap[int, int](t, sessionmap.WithMaxSize(0), sessionmap.WithTTL(idle), sessionmap.WithOnRemove(func(key, _ int, cause sessionmap.Cause) {
			if cause == sessionmap.Idle {
				lens = append(lens, m.Len())
				m.Delete(total + key)
			}
		}))
		for key := range total {
			m.Set(key, key)
		}
		time.Sleep(idle)
		synctest.Wait()
		require.Len(t, lens, total)
		for i, n := range lens {
			assert.Equal(t, total-sessionmap.SweepBatch*(1+i/sessionmap.SweepBatch), n)
		}
	})
}

func TestPromise11HonestTime(t *testing.T) {
	m := newMap[int, int](t)
	assert.True(t, sessionmap.MonotonicBase(m), "time.Since a base with a monotonic reading ignores the wall clock")
	synctest.Test(t, func(t *testing.T) {
		m := newMap[int, int](t, sessionmap.WithTTL(idle), sessionmap.WithMaxLifetime(lifetime))
		made := time.Now()
		m.Set(1, 1)
		m.SetWithTTL(2, 2, math.MaxInt64)
		for range 6 {
			time.Sleep(idle - 1)
			require.True(t, m.Touch(1), "no clock injected, and yet in the bubble's time")
		}
		entry, ok := m.Entry(1)
		require.True(t, ok)
		assert.Equal(t, sessionmap.Entry{Created: made, LastAccess: time.Now(), Deadline: made.Add(lifetime), IdleTimeout: idle}, entry)
		time.Sleep(6 * time.Nanosecond)
		assert.False(t, m.Contains(1), "its lifetime is over, however busy it was")
		assert.False(t, m.Contains(2))
	})
}

func TestPromise12NoUnboundedMap(t *testing.T) {
	_, err := sessionmap.New[int, int](sessionmap.WithTTL(0), sessionmap.WithMaxSize(0))
	require.Error(t, err)
	for _, option := range []string{"WithTTL", "WithMaxLifetime", "WithMaxSize"} {
		assert.Contains(t, err.Error(), option)
	}
	for _, bound := range []sessionmap.Option{sessionmap.WithTTL(1), sessionmap.WithMaxLifetime(1), sessionmap.WithMaxSize(1)} {
		_, err := sessionmap.New[int, int](sessionmap.WithTTL(0), sessionmap.WithMaxSize(0), bound)
		assert.NoError(t, err)
		_, err = sessionmap.NewGroup[int](sessionmap.WithTTL(0), sessionmap.WithMaxSize(0), sessionmap.WithMaxTotalCost(1), bound)
		assert.NoError(t, err)
	}
	_, err = sessionmap.NewGroup[int](sessionmap.WithTTL(0), sessionmap.WithMaxSize(0), sessionmap.WithMaxTotalCost(1))
	assert.ErrorContains(t, err, "WithMaxTotalCost", "none of its attributes may have a cost")
	var out removals
	m := newMap[int, int](t, sessionmap.WithMaxSize(0), sessionmap.WithLogger(slog.New(slog.DiscardHandler)), out.option())
	assert.False(t, m.SetWithTTL(1, 1, 0), "an entry that could stay for ever")
	assert.False(t, m.SetWithTTL(1, 2, -1))
	assert.Equal(t, []removal{{1, 1, sessionmap.Rejected}, {1, 2, sessionmap.Rejected}}, out.take())
	m = newMap[int, int](t)
	assert.True(t, m.SetWithTTL(1, 1, 0), "the size bound holds it")
}
