package sessionmap_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// A logBuffer collects what is logged from any goroutine.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func isDone(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// TestPromise5EveryCause: a lease is in the way of every backstop, and of nothing explicit; then its holder can
// tell. No removal path forgets it.
func TestPromise5EveryCause(t *testing.T) {
	for cause := range ends {
		for _, leased := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v/leased=%v", cause, leased), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var left removals
					out := newOutside()
					m := newMap[int, int](t, append(mapOptions[int](out), left.option())...)
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					m.SetContext(ctx, 1, 1)
					var lease *sessionmap.Lease[int, int]
					if leased {
						lease, _ = m.Acquire(1)
					}
					endableMap(m, out, 1, 0, cancel).endBy(t, cause)

					stays := leased && cause.Backstop()
					assert.Equal(t, stays, m.Contains(1))
					assert.Equal(t, !stays, slices.Contains(left.take(), removal{1, 1, cause}))
					assert.NoError(t, sessionmap.CheckInvariants(m))
					if leased {
						assert.Equal(t, !stays, isDone(lease.Done()))
						lease.Release()
						assert.Equal(t, stays && cause != sessionmap.Lifetime, m.Contains(1), "at its release it was accessed")
					}
				})
			})
		}
	}
}

func TestPromise5StrictLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var left removals
		m := newMap[int, int](t, sessionmap.WithMaxLifetime(lifetime), sessionmap.WithStrictLifetime(), left.option())
		m.Set(1, 1)
		lease, _ := m.Acquire(1)
		time.Sleep(lifetime - 1)
		assert.True(t, m.Contains(1))
		assert.NoError(t, sessionmap.CheckInvariants(m))
		entry, _ := m.Entry(1)
		assert.Equal(t, time.Now().Add(1), entry.Deadline)
		time.Sleep(time.Nanosecond)
		assert.False(t, m.Contains(1))
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, []removal{{1, 1, sessionmap.Lifetime}}, left.take())
		assert.True(t, isDone(lease.Done()))
		assert.Equal(t, 1, lease.Value(), "the last there was")
		lease.Release()
		assert.Zero(t, m.Stats().Leases)
	})
}

// TestPromise5FullOfLeases: a new key is refused, not squeezed in, and nothing that is leased gives way.
func TestPromise5FullOfLeases(t *testing.T) {
	var left removals
	m := newMap[int, int](t, sessionmap.WithMaxSize(3), left.option())
	var leases []*sessionmap.Lease[int, int]
	for key := range 3 {
		m.Set(key, key)
		lease, _ := m.Acquire(key)
		leases = append(leases, lease)
	}
	assert.False(t, m.Set(9, 9))
	_, loaded := m.GetOrSet(9, 10)
	assert.False(t, loaded)
	_, ok := m.Update(9, func(int, bool) (int, bool) { return 11, true })
	assert.False(t, ok)
	assert.Equal(t, []removal{{9, 9, sessionmap.Rejected}, {9, 10, sessionmap.Rejected}, {9, 11, sessionmap.Rejected}}, left.take())
	assert.True(t, m.Set(1, 12), "what is there can be overwritten")
	assert.Equal(t, []removal{{1, 1, sessionmap.Replaced}}, left.take())
	assert.Equal(t, 12, leases[1].Value())
	assert.False(t, isDone(leases[1].Done()))
	leases[2].Release()
	leases[1].Release()
	assert.True(t, m.Set(9, 13))
	assert.Equal(t, []removal{{2, 2, sessionmap.Evicted}}, left.take(), "released first")
	assert.Equal(t, 3, m.Len())
	leases[0].Release()
}

// TestLeaseCounts: the session is held until the last of its leases is released, each once.
func TestLeaseCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMap[int, int](t, sessionmap.WithTTL(idle), sessionmap.WithSweepInterval(time.Second))
		_, ok := m.Acquire(1)
		assert.False(t, ok)
		m.Set(1, 1)
		a, _ := m.Acquire(1)
		time.Sleep(idle)
		b, _ := m.Acquire(1)
		assert.Equal(t, 2, m.Stats().Leases)
		for range 3 {
			a.Release()
		}
		assert.Equal(t, 1, m.Stats().Leases)
		time.Sleep(2 * idle)
		assert.True(t, m.Contains(1))
		assert.NoError(t, sessionmap.CheckInvariants(m))
		entry, _ := m.Entry(1)
		assert.Equal(t, sessionmap.Entry{
			Created: time.Now().Add(-3 * idle), LastAccess: time.Now(), IdleTimeout: idle, Leases: 1,
		}, entry)
		b.Release()
		entry, _ = m.Entry(1)
		assert.Equal(t, time.Now().Add(idle), entry.Deadline, "Release is an access")
		assert.Zero(t, entry.Leases)
		time.Sleep(idle - 1)
		assert.True(t, m.Contains(1))
		time.Sleep(time.Nanosecond)
		assert.False(t, m.Contains(1))
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Zero(t, m.Len(), "swept")
		assert.False(t, sessionmap.Armed(m))
		var none *sessionmap.Lease[int, int]
		none.Release()
	})
}

// TestLeaseOfAnotherLife: a lease on a session that has ended is nothing to the next one of that key.
func TestLeaseOfAnotherLife(t *testing.T) {
	ways := map[string]func(m *sessionmap.RobustSessionMap[int, int]){
		"Delete": func(m *sessionmap.RobustSessionMap[int, int]) { m.Delete(1) },
		"Clear":  func(m *sessionmap.RobustSessionMap[int, int]) { m.Clear() },
	}
	for name, end := range ways {
		t.Run(name, func(t *testing.T) {
			m := newMap[int, int](t, sessionmap.WithMaxSize(1))
			m.Set(1, 1)
			old, _ := m.Acquire(1)
			end(m)
			assert.True(t, isDone(old.Done()))
			m.Set(1, 2)
			lease, _ := m.Acquire(1)
			old.Release()
			assert.False(t, m.Set(2, 2), "still leased")
			assert.False(t, isDone(lease.Done()))
			assert.Equal(t, 1, old.Value())
			lease.Release()
			assert.True(t, m.Set(2, 2))
		})
	}
}

// TestLeaseOrder: for the LRU order a session was last accessed when its last lease was released.
func TestLeaseOrder(t *testing.T) {
	onEveryClock(t, func(t *testing.T, clock clockKind) {
		const size = 2000
		var evicted []int
		m := newMapWith[int, int](t, clock, sessionmap.WithMaxSize(size), sessionmap.WithMaxLifetime(lifetime), sessionmap.WithOnRemove(func(key, _ int, cause sessionmap.Cause) {
			if cause == sessionmap.Evicted {
				evicted = append(evicted, key)
			}
		}))
		defer m.Close()
		last := map[int]int{}
		leases := map[int]*sessionmap.Lease[int, int]{}
		rng := rand.New(rand.NewPCG(1, 2))
		for i := range 20000 {
			key := rng.IntN(2 * size)
			switch op := rng.IntN(10); {
			case op < 1:
				to := rng.IntN(2 * size)
				if m.Rename(key, to) == nil && to != key {
					last[to], leases[to] = last[key], leases[key]
					delete(last, key)
					delete(leases, key)
					if leases[to] == nil {
						delete(leases, to)
					}
				}
			case op < 3:
				if _, ok := m.Get(key); ok {
					last[key] = i
				}
			case op < 4 && len(leases) < size/2:
				if lease, ok := m.Acquire(key); ok {
					leases[key].Release() // if there was one
					leases[key] = lease
					last[key] = i
				}
			case op < 5:
				for key, lease := range leases {
					lease.Release()
					delete(leases, key)
					last[key] = i
					break
				}
			default:
				var want []int
				if _, there := last[key]; !there && len(last) == size {
					oldest := -1
					for k, at := range last {
						if leases[k] == nil && (oldest < 0 || at < last[oldest]) {
							oldest = k
						}
					}
					want = append(want, oldest)
					delete(last, oldest)
				}
				m.Set(key, i)
				require.Equal(t, want, evicted)
				evicted = nil
				last[key] = i
			}
			if i%1000 == 0 {
				require.NoError(t, sessionmap.CheckInvariants(m))
			}
		}
	})
}

// TestLeasesConcurrent: leased, a session is there, whatever else happens short of an explicit end.
func TestLeasesConcurrent(t *testing.T) {
	const goroutines, each, size = 8, 3000, 20
	var left removals
	var leases, puts atomic.Int64
	m := newMap[int, int](t, sessionmap.WithMaxSize(size), sessionmap.WithTTL(time.Microsecond), sessionmap.WithSweepInterval(time.Microsecond), left.option())
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 1))
			for i := range each {
				key := rng.IntN(2 * size)
				if rng.IntN(2) == 0 {
					if _, loaded := m.GetOrSet(key, i); !loaded {
						puts.Add(1)
					}
				} else {
					m.SetWithTTL(key, i, time.Hour)
					puts.Add(1)
				}
				lease, ok := m.Acquire(key)
				if !ok {
					continue
				}
				leases.Add(1)
				ctx := lease.Context()
				m.Set(1000+rng.IntN(size), i)
				puts.Add(1)
				deleted := rng.IntN(8) == 0 && m.Delete(key)
				_, there := m.Get(key)
				if deleted || !there {
					<-lease.Done() // or it was somebody else's delete, which is about to tell
					<-ctx.Done()
				}
				if ctx.Err() != nil {
					var ended *sessionmap.EndedError
					if assert.ErrorAs(t, context.Cause(ctx), &ended) {
						assert.Equal(t, sessionmap.Deleted, ended.Cause, "nothing else ends a leased session")
					}
				}
				lease.Release()
				lease.Release()
			}
		})
	}
	wg.Wait()
	require.Positive(t, leases.Load())
	require.NoError(t, m.Close()) // no sweep is under way
	s := m.Stats()
	assert.Zero(t, s.Leases)
	assert.EqualValues(t, puts.Load(), s.Sets)
	checkSum(t, s)
	assert.NoError(t, sessionmap.CheckInvariants(m))
}

// TestLeaseLost: a lease that nobody released is released when it is collected.
func TestLeaseLost(t *testing.T) {
	var log logBuffer
	m := newMap[int, int](t, sessionmap.WithLogger(slog.New(slog.NewTextHandler(&log, nil))), sessionmap.WithMaxSize(2), sessionmap.WithSweepInterval(never))
	m.Set(1, 1)
	kept, _ := m.Acquire(1)
	for range 5 {
		m.Set(2, 2)
		_, ok := m.Acquire(2)
		require.True(t, ok)
	}
	for m.Stats().LostLeases < 5 {
		runtime.GC()
		runtime.Gosched()
		m.Sweep()
	}
	assert.Equal(t, 1, m.Stats().Leases)
	assert.Contains(t, log.String(), "dropped without Release")
	assert.True(t, m.Set(3, 3))
	assert.False(t, m.Contains(2), "it was free to go")
	kept.Release()
	assert.EqualValues(t, 5, m.Stats().LostLeases)
}

// TestLeaseDoesNotPin: a dropped map is collected though its value holds the lease on itself.
func TestLeaseDoesNotPin(t *testing.T) {
	type agent struct {
		lease *sessionmap.Lease[int, *agent]
		_     [1 << 10]byte
	}
	const agents = 10
	collected := make(chan struct{}, agents)
	for range agents {
		m := sessionmap.MustNew[int, *agent]()
		a := &agent{}
		m.Set(1, a)
		runtime.AddCleanup(a, func(int) { collected <- struct{}{} }, 0)
		a.lease, _ = m.Acquire(1)
	}
	for range agents {
		for waiting := true; waiting; {
			select {
			case <-collected:
				waiting = false
			default:
				runtime.GC()
			}
		}
	}
}

func TestLeaseWarning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		m := newMap[int, int](t, sessionmap.WithLogger(slog.New(slog.NewTextHandler(&log, nil))), sessionmap.WithLeaseWarning(time.Hour))
		warnings := func() int {
			synctest.Wait()
			return strings.Count(log.String(), "leases are held for long")
		}
		start := time.Now()
		var leases []*sessionmap.Lease[int, int]
		for key := range 3 {
			m.Set(key, key)
			lease, _ := m.Acquire(key)
			leases = append(leases, lease)
			time.Sleep(19 * time.Minute)
		}
		assert.Zero(t, warnings())
		assert.Equal(t, map[int]time.Time{0: start, 1: start.Add(19 * time.Minute), 2: start.Add(38 * time.Minute)}, maps.Collect(m.Leases()))
		for key := range m.Leases() {
			assert.Equal(t, 0, key, "the longest first")
			break
		}
		time.Sleep(24 * time.Minute)
		assert.Equal(t, 2, warnings(), "once for each")
		assert.Equal(t, 2, m.Stats().OverdueLeases)
		assert.Equal(t, 3, m.Stats().Leases)
		assert.Len(t, maps.Collect(m.Leases()), 3)
		leases[0].Release()
		assert.Equal(t, 1, m.Stats().OverdueLeases)
		time.Sleep(24 * time.Hour)
		assert.Equal(t, 3, warnings())
		for _, lease := range leases {
			lease.Release()
		}
		assert.Zero(t, m.Stats().OverdueLeases)
		m.Clear()
		time.Sleep(time.Hour)
		synctest.Wait()
		assert.False(t, sessionmap.Armed(m), "nothing is left to look at")
	})
}

// TestLeaseWarningOff: 0 is never.
func TestLeaseWarningOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		m := newMap[int, int](t, sessionmap.WithLogger(slog.New(slog.NewTextHandler(&log, nil))), sessionmap.WithLeaseWarning(0))
		m.Set(1, 1)
		lease, _ := m.Acquire(1)
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		assert.Zero(t, m.Stats().OverdueLeases)
		assert.Empty(t, log.String())
		lease.Release()
	})
}

func TestSessionContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMap[int, int](t, sessionmap.WithTTL(idle))
		ctx, ok := m.SessionContext(1)
		assert.False(t, ok)
		assert.ErrorIs(t, ctx.Err(), context.Canceled)

		m.Set(1, 1)
		ctx, ok = m.SessionContext(1)
		require.True(t, ok)
		again, _ := m.SessionContext(1)
		assert.Equal(t, ctx, again)
		m.Set(1, 2)
		require.NoError(t, ctx.Err(), "an overwrite is no end")
		time.Sleep(idle + time.Minute)
		var ended *sessionmap.EndedError
		require.ErrorAs(t, context.Cause(ctx), &ended)
		assert.Equal(t, sessionmap.Idle, ended.Cause)
		assert.EqualError(t, ended, "sessionmap: the session has ended: idle")

		m.Set(1, 3)
		ctx, _ = m.SessionContext(1)
		assert.NoError(t, ctx.Err(), "the next session has its own")
		m.Clear()
		require.ErrorAs(t, context.Cause(ctx), &ended)
		assert.Equal(t, sessionmap.Cleared, ended.Cause)
	})
}

func TestBindContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var left removals
		m := newMap[int, int](t, left.option())
		first, endFirst := context.WithCancel(t.Context())
		second, endSecond := context.WithCancel(t.Context())
		defer endSecond()
		assert.False(t, m.BindContext(first, 1))
		require.True(t, m.SetContext(first, 1, 1))
		require.True(t, m.SetContext(first, 2, 2))
		require.True(t, m.SetContext(first, 3, 3))
		require.True(t, m.BindContext(second, 2))
		m.Delete(3)
		m.Set(3, 4)
		left.take()
		endFirst()
		synctest.Wait()
		assert.Equal(t, []removal{{1, 1, sessionmap.ContextDone}}, left.take(), "the others are bound to another, or live another life")
		assert.False(t, m.SetContext(first, 5, 5))
		assert.Equal(t, []removal{{5, 5, sessionmap.Rejected}}, left.take())
		assert.True(t, m.BindContext(first, 3))
		synctest.Wait()
		assert.Equal(t, []removal{{3, 4, sessionmap.ContextDone}}, left.take(), "it was done already")
		endSecond()
		synctest.Wait()
		assert.Equal(t, []removal{{2, 2, sessionmap.ContextDone}}, left.take())
	})
}

// TestBindContextLeavesNothing: what a session has left with its context goes when the session does.
func TestBindContextLeavesNothing(t *testing.T) {
	ctx := &countingContext{Context: context.Background(), done: make(chan struct{})}
	m := newMap[int, int](t)
	for key := range 100 {
		m.SetContext(ctx, key, key)
		m.SetContext(ctx, key, key)
	}
	assert.Equal(t, 100, ctx.watchers)
	m.Clear()
	assert.Zero(t, ctx.watchers)
	assert.False(t, m.SetContext(ctx, 0, 0) && m.Close() != nil)
	assert.Zero(t, ctx.watchers)
}

// TestWithinAContextThatPanics: one that cannot be left goes no further than the work that was done in it.
func TestWithinAContextThatPanics(t *testing.T) {
	for name, end := range map[string]func(m *sessionmap.RobustSessionMap[int, int], stop func()){
		"Delete": func(m *sessionmap.RobustSessionMap[int, int], _ func()) { assert.True(t, m.Delete(1)) },
		"Close":  func(m *sessionmap.RobustSessionMap[int, int], _ func()) { assert.NoError(t, m.Close()) },
		"stop":   func(_ *sessionmap.RobustSessionMap[int, int], stop func()) { stop() },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMap[int, int](t, silent)
			m.Set(1, 1)
			lease, _ := m.Acquire(1)
			defer lease.Release()
			ctx, stop := lease.Within(stubbornContext{t.Context()})
			assert.NotPanics(t, func() { end(m, stop) })
			assert.Error(t, ctx.Err())
			assert.EqualValues(t, 1, m.Stats().CallbackPanics)
		})
	}
}

// A countingContext counts who waits for it, as context.AfterFunc lets contexts do.
type countingContext struct {
	context.Context
	done     chan struct{}
	watchers int
}

func (c *countingContext) Done() <-chan struct{} { return c.done }

func (c *countingContext) AfterFunc(func()) (stop func() bool) {
	c.watchers++
	once := sync.OnceValue(func() bool { c.watchers--; return true })
	return once
}

func TestScope(t *testing.T) {
	m := newMap[int, int](t)
	ways := map[string]func(){
		"return": func() {},
		"panic":  func() { panic("out") },
		"Goexit": runtime.Goexit,
	}
	for name, leave := range ways {
		t.Run(name, func(t *testing.T) {
			m.Set(1, 1)
			var recovered any
			var wg sync.WaitGroup
			wg.Go(func() {
				defer func() { recovered = recover() }()
				defer m.Scope(1)()
				leave()
			})
			wg.Wait()
			assert.False(t, m.Contains(1))
			assert.Equal(t, name == "panic", recovered != nil, "the panic goes on")
		})
	}
}

// TestOldestHasLeasedLast: what is leased is being accessed.
func TestOldestHasLeasedLast(t *testing.T) {
	onEveryClock(t, func(t *testing.T, clock clockKind) {
		m := newMapWith[string, int](t, clock, sessionmap.WithMaxSize(3))
		defer m.Close()
		for i, key := range []string{"leased", "touched", "set"} {
			m.Set(key, i)
		}
		lease, _ := m.Acquire("leased")
		defer lease.Release()
		m.Touch("touched")
		var keys []string
		for key := range m.Oldest() {
			keys = append(keys, key)
		}
		assert.Equal(t, []string{"set", "touched", "leased"}, keys)
	})
}
