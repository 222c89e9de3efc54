package sessionmap_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// A loader loads what it is told to, when it is told to.
type loader struct {
	calls  atomic.Int64
	ctx    context.Context // of the last call
	result chan func() (int, error)
}

func newLoader() *loader { return &loader{result: make(chan func() (int, error))} }

func (l *loader) load(ctx context.Context, _ int) (int, error) {
	l.calls.Add(1)
	l.ctx = ctx
	return (<-l.result)()
}

func (l *loader) returns(value int, err error) { l.result <- func() (int, error) { return value, err } }

// TestLoadOnce: of all who miss a key one has it loaded, and all get it.
func TestLoadOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMap[int, int](t)
		l := newLoader()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				value, err := m.GetOrLoad(t.Context(), 1, l.load)
				assert.NoError(t, err)
				assert.Equal(t, 7, value)
			})
		}
		synctest.Wait()
		assert.False(t, m.Contains(1))
		l.returns(7, nil)
		wg.Wait()
		assert.EqualValues(t, 1, l.calls.Load())
		value, err := m.GetOrLoad(t.Context(), 1, l.load)
		assert.NoError(t, err)
		assert.Equal(t, 7, value)
		assert.EqualValues(t, 1, l.calls.Load())
		s := m.Stats()
		assert.EqualValues(t, 20, s.Misses)
		assert.EqualValues(t, 1, s.Hits)
		assert.EqualValues(t, 1, s.Sets)
	})
}

// TestLoadWaiters: a waiter that gives up frees itself only; when the last has, the load is cancelled, and the
// next caller begins another.
func TestLoadWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var left removals
		m := newMap[int, int](t, left.option())
		l := newLoader()
		type key struct{}
		first, leaveFirst := context.WithCancelCause(context.WithValue(t.Context(), key{}, "of the first"))
		second, leaveSecond := context.WithCancel(t.Context())
		gone := errors.New("gone")
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := m.GetOrLoad(first, 1, l.load)
			assert.Equal(t, gone, err)
		})
		synctest.Wait()
		wg.Go(func() {
			_, err := m.GetOrLoad(second, 1, l.load)
			assert.ErrorIs(t, err, context.Canceled)
		})
		synctest.Wait()
		leaveFirst(gone)
		synctest.Wait()
		assert.NoError(t, l.ctx.Err(), "the second still waits")
		assert.Equal(t, "of the first", l.ctx.Value(key{}))
		leaveSecond()
		synctest.Wait()
		wg.Wait()
		assert.ErrorIs(t, l.ctx.Err(), context.Canceled)

		wg.Go(func() {
			value, err := m.GetOrLoad(t.Context(), 1, l.load)
			assert.NoError(t, err)
			assert.Equal(t, 2, value)
		})
		synctest.Wait()
		assert.EqualValues(t, 2, l.calls.Load())
		l.returns(2, nil) // either of the two
		l.returns(2, nil)
		wg.Wait()
		synctest.Wait()
		assert.Equal(t, []removal{{1, 2, sessionmap.Rejected}}, left.take(), "what nobody waited for")
		value, _ := m.Get(1)
		assert.Equal(t, 2, value)
	})
}

func TestLoadFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := errors.New("failed")
		fails := map[string]struct {
			load func(context.Context, int) (int, error)
			want error
		}{
			"an error": {func(context.Context, int) (int, error) { return 1, failed }, failed},
			"a panic":  {func(context.Context, int) (int, error) { panic("no") }, sessionmap.ErrLoad},
			"Goexit":   {func(context.Context, int) (int, error) { runtime.Goexit(); return 0, nil }, sessionmap.ErrLoad},
		}
		for name, fail := range fails {
			const window = time.Minute
			m := newMap[int, int](t, sessionmap.WithLoadErrorTTL(window))
			var wg sync.WaitGroup
			for range 5 {
				wg.Go(func() {
					value, err := m.GetOrLoad(t.Context(), 1, fail.load)
					assert.ErrorIs(t, err, fail.want, name)
					assert.Zero(t, value)
				})
			}
			wg.Wait()
			assert.False(t, m.Contains(1))
			calls := 0
			works := func(context.Context, int) (int, error) { calls++; return 2, nil }
			_, err := m.GetOrLoad(t.Context(), 1, works)
			assert.ErrorIs(t, err, fail.want, "remembered")
			time.Sleep(window)
			value, err := m.GetOrLoad(t.Context(), 1, works)
			assert.NoError(t, err)
			assert.Equal(t, 2, value)
			assert.Equal(t, 1, calls)
			time.Sleep(3 * window)
			synctest.Wait()
			assert.Zero(t, sessionmap.Remembered(m))
		}
	})
}

// TestLoadVeto: what was loaded for a session that has been deleted or set meanwhile is not stored.
func TestLoadVeto(t *testing.T) {
	bus := sessionmap.NewBus[int]()
	vetoes := map[string]struct {
		veto func(m *sessionmap.RobustSessionMap[int, int])
		want int // 0 is an error
	}{
		"Delete":         {func(m *sessionmap.RobustSessionMap[int, int]) { m.Delete(1) }, 0},
		"event":          {func(*sessionmap.RobustSessionMap[int, int]) { bus.Publish(1) }, 0},
		"Clear":          {func(m *sessionmap.RobustSessionMap[int, int]) { m.Clear() }, 0},
		"Set":            {func(m *sessionmap.RobustSessionMap[int, int]) { m.Set(1, 5) }, 5},
		"GetOrSet":       {func(m *sessionmap.RobustSessionMap[int, int]) { m.GetOrSet(1, 5) }, 5},
		"Set and gone":   {func(m *sessionmap.RobustSessionMap[int, int]) { m.Set(1, 5); m.Set(2, 2); m.Set(3, 3) }, 0},
		"Set and Delete": {func(m *sessionmap.RobustSessionMap[int, int]) { m.Set(1, 5); m.Delete(1) }, 0},
	}
	for name, v := range vetoes {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var left removals
				m := newMap[int, int](t, left.option(), sessionmap.WithMaxSize(2), sessionmap.WithSessionDeleted(bus))
				l := newLoader()
				var wg sync.WaitGroup
				wg.Go(func() {
					value, err := m.GetOrLoad(t.Context(), 1, l.load)
					if v.want != 0 {
						assert.NoError(t, err)
						assert.Equal(t, v.want, value)
						return
					}
					var ended *sessionmap.EndedError
					assert.ErrorAs(t, err, &ended)
				})
				synctest.Wait()
				v.veto(m)
				left.take()
				l.returns(9, nil)
				wg.Wait()
				assert.Equal(t, []removal{{1, 9, sessionmap.Rejected}}, left.take())
				value, ok := m.Peek(1)
				assert.Equal(t, v.want != 0, ok)
				assert.Equal(t, v.want, value)
			})
		})
	}
	t.Run("Close", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := newMap[int, int](t)
			var wg sync.WaitGroup
			wg.Go(func() {
				_, err := m.GetOrLoad(t.Context(), 1, func(ctx context.Context, _ int) (int, error) {
					<-ctx.Done()
					return 1, nil
				})
				assert.ErrorIs(t, err, sessionmap.ErrRefused)
			})
			synctest.Wait()
			require.NoError(t, m.Close())
			wg.Wait()
			_, err := m.GetOrLoad(t.Context(), 1, nil)
			assert.ErrorIs(t, err, sessionmap.ErrRefused)
		})
	})
	t.Run("tombstone", func(t *testing.T) {
		m := newMap[any, int](t, sessionmap.WithTombstones(time.Hour))
		m.Delete(1)
		_, err := m.GetOrLoad(t.Context(), 1, nil)
		assert.ErrorIs(t, err, sessionmap.ErrRefused)
		_, err = m.GetOrLoad(t.Context(), []int{}, nil)
		assert.ErrorIs(t, err, sessionmap.ErrRefused)
	})
}

func TestRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var left removals
		m := newMap[int, int](t, left.option(), sessionmap.WithRefreshAfter(time.Minute), sessionmap.WithTTL(time.Hour))
		l := newLoader()
		assert.False(t, m.Refresh(1, l.load), "no session")
		m.Set(1, 1)
		assert.True(t, m.Refresh(1, l.load))
		assert.False(t, m.Refresh(1, l.load), "under way")
		l.returns(2, nil)
		synctest.Wait()
		assert.Equal(t, []removal{{1, 1, sessionmap.Replaced}}, left.take())
		value, _ := m.Peek(1)
		assert.Equal(t, 2, value)

		assert.True(t, m.Refresh(1, l.load))
		m.Set(1, 3)
		left.take()
		l.returns(4, nil)
		synctest.Wait()
		assert.Equal(t, []removal{{1, 4, sessionmap.Rejected}}, left.take(), "set meanwhile")
		assert.True(t, m.Refresh(1, l.load))
		l.returns(0, errors.New("failed"))
		synctest.Wait()
		value, _ = m.Peek(1)
		assert.Equal(t, 3, value)
		assert.True(t, m.Refresh(1, l.load))
		synctest.Wait()
		m.Delete(1)
		assert.Error(t, l.ctx.Err())
		left.take()
		l.returns(5, nil)
		synctest.Wait()
		assert.Equal(t, []removal{{1, 5, sessionmap.Rejected}}, left.take(), "ended meanwhile")
		assert.False(t, m.Contains(1))

		count := 0
		load := func(context.Context, int) (int, error) { count++; return 10 * count, nil }
		get := func() int {
			value, err := m.GetOrLoad(t.Context(), 1, load)
			require.NoError(t, err)
			synctest.Wait()
			return value
		}
		assert.Equal(t, 10, get())
		time.Sleep(time.Minute - 1)
		assert.Equal(t, 10, get())
		assert.Equal(t, 1, count)
		time.Sleep(time.Nanosecond)
		assert.Equal(t, 10, get(), "nobody waits")
		assert.Equal(t, 20, get())
		assert.Equal(t, 2, count)
		m.Set(1, 7)
		time.Sleep(time.Minute)
		assert.Equal(t, 7, get())
		assert.Equal(t, 7, get(), "what was set is not loaded anew")
	})
}

// TestLoadConcurrent: loads, sets, deletes and events of the same keys: each value that was made leaves once, also
// one that was loaded and not stored.
func TestLoadConcurrent(t *testing.T) {
	const goroutines, each, keys = 8, 2000, 6
	var mu sync.Mutex
	var all []*atomic.Int32 // how often each has left
	value := func() *atomic.Int32 {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, new(atomic.Int32))
		return all[len(all)-1]
	}
	m := newMap[int, *atomic.Int32](t, sessionmap.WithMaxSize(keys/2), sessionmap.WithOnRemove(func(_ int, left *atomic.Int32, _ sessionmap.Cause) { left.Add(1) }))
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 1))
			for range each {
				key := rng.IntN(keys)
				switch rng.IntN(8) {
				case 0:
					m.Set(key, value())
				case 1:
					m.Delete(key)
				case 2:
					m.Refresh(key, func(context.Context, int) (*atomic.Int32, error) { return value(), nil })
				case 3:
					if rng.IntN(20) == 0 {
						m.Clear()
					}
				default:
					ctx, cancel := context.WithCancel(t.Context())
					if rng.IntN(3) == 0 {
						cancel()
					}
					_, _ = m.GetOrLoad(ctx, key, func(context.Context, int) (*atomic.Int32, error) {
						runtime.Gosched()
						return value(), nil
					})
					cancel()
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, m.Close())
	require.NotEmpty(t, all)
	for i, left := range all {
		require.EqualValues(t, 1, left.Load(), "value %d", i)
	}
}

func withoutCaptures() {}

// TestLoadOfWhatIsNotOnTheHeap: a func without captures and a string's bytes lie in the program itself.
func TestLoadOfWhatIsNotOnTheHeap(t *testing.T) {
	t.Run("func", func(t *testing.T) {
		m := newMap[string, func()](t, sessionmap.WithRefreshAfter(time.Minute), sessionmap.WithCloser())
		load := func(context.Context, string) (func(), error) { return withoutCaptures, nil }
		v, err := m.GetOrLoad(t.Context(), "a", load)
		require.NoError(t, err)
		assert.NotNil(t, v)
		require.True(t, m.Refresh("a", load))
		require.NoError(t, m.Close())
	})
	t.Run("bytes", func(t *testing.T) {
		m := newMap[string, *byte](t, sessionmap.WithRefreshAfter(time.Minute))
		v, err := m.GetOrLoad(t.Context(), "a", func(context.Context, string) (*byte, error) { return unsafe.StringData("hello"), nil })
		require.NoError(t, err)
		assert.Equal(t, byte('h'), *v)
	})
}

// TestLoadHandsOutNothingThatHasLeft: a load whose value has left answers nobody who comes later, though a callback holds
// it up.
func TestLoadHandsOutNothingThatHasLeft(t *testing.T) {
	for name, leave := range map[string]func(m *sessionmap.RobustSessionMap[string, int]){
		"expired": func(*sessionmap.RobustSessionMap[string, int]) { time.Sleep(2 * time.Minute) },
		"evicted": func(m *sessionmap.RobustSessionMap[string, int]) { m.Set("c", 3) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMap[string, int](t, sessionmap.WithTTL(time.Minute), sessionmap.WithMaxSize(1))
				unblock := make(chan struct{})
				m.OnRemove(func(key string, _ int, _ sessionmap.Cause) {
					if key == "a" {
						<-unblock
					}
				})
				returns := func(v int) func(context.Context, string) (int, error) {
					return func(context.Context, string) (int, error) { return v, nil }
				}
				m.Set("a", 1)
				go m.GetOrLoad(t.Context(), "b", returns(2))
				synctest.Wait()
				waiting := make(chan int, 1)
				go func() {
					v, _ := m.GetOrLoad(t.Context(), "b", returns(2))
					waiting <- v
				}()
				synctest.Wait()
				require.Equal(t, 2, <-waiting, "the callback holds up the load, and not who joins it")
				leave(m)
				go func() {
					v, _ := m.GetOrLoad(t.Context(), "b", returns(22))
					waiting <- v
				}()
				synctest.Wait()
				close(unblock)
				assert.Equal(t, 22, <-waiting)
			})
		})
	}
}

// TestJoinedLoadAnswersAtOnce: a callback of what leaves for a load holds up who began it, and nobody who joined.
func TestJoinedLoadAnswersAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMap[string, int](t, sessionmap.WithMaxSize(1))
		unblock := make(chan struct{})
		m.OnRemove(func(string, int, sessionmap.Cause) { <-unblock })
		m.Set("a", 1)
		l := newLoader()
		answered := make(chan string, 2)
		for _, name := range []string{"the first", "who joined"} {
			go func() {
				_, err := m.GetOrLoad(t.Context(), "b", func(ctx context.Context, _ string) (int, error) { return l.load(ctx, 1) })
				assert.NoError(t, err)
				answered <- name
			}()
			synctest.Wait()
		}
		l.returns(2, nil)
		synctest.Wait()
		require.Len(t, answered, 1)
		assert.Equal(t, "who joined", <-answered)
		close(unblock)
		assert.Equal(t, "the first", <-answered)
	})
}

// TestSetIsNotLoaded: what was set is not loaded anew, though what was there before, or was to come, had been loaded.
func TestSetIsNotLoaded(t *testing.T) {
	t.Run("while it was refreshed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := newMap[string, int](t, sessionmap.WithTTL(time.Hour), sessionmap.WithRefreshAfter(time.Minute))
			n := 0
			load := func(context.Context, string) (int, error) {
				if n++; n == 2 {
					m.Set("k", 42)
				}
				return n, nil
			}
			for range 4 {
				_, err := m.GetOrLoad(t.Context(), "k", load)
				require.NoError(t, err)
				synctest.Wait()
				time.Sleep(2 * time.Minute)
			}
			v, _ := m.Get("k")
			assert.Equal(t, 42, v)
			assert.Equal(t, 2, n)
		})
	})
	for name, change := range map[string]func(m *sessionmap.RobustSessionMap[string, int]){
		"Set": func(m *sessionmap.RobustSessionMap[string, int]) { m.Set("k", 42) },
		"Update": func(m *sessionmap.RobustSessionMap[string, int]) {
			m.Update("k", func(int, bool) (int, bool) { return 42, true })
		},
	} {
		t.Run(name+" in a callback", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMap[string, int](t, sessionmap.WithTTL(time.Hour), sessionmap.WithMaxSize(1), sessionmap.WithRefreshAfter(time.Minute))
				m.OnRemove(func(key string, _ int, _ sessionmap.Cause) {
					if key == "a" {
						change(m)
					}
				})
				m.Set("a", 1)
				load := func(context.Context, string) (int, error) { return 7, nil }
				for range 2 {
					_, err := m.GetOrLoad(t.Context(), "k", load)
					require.NoError(t, err)
					time.Sleep(2 * time.Minute)
				}
				v, _ := m.Get("k")
				assert.Equal(t, 42, v)
			})
		})
	}
}

// TestVetoOfWhatChangesNothing: an event that is older than the load, a Set that is refused and a Rename that finds nothing
// leave it alone.
func TestVetoOfWhatChangesNothing(t *testing.T) {
	var deleted func(string, time.Time)
	source := sessionmap.SourceFunc[string](func(d func(string, time.Time)) (func(), error) {
		deleted = d
		return nil, nil
	})
	for name, meanwhile := range map[string]func(m *sessionmap.RobustSessionMap[string, int64]){
		"old event": func(*sessionmap.RobustSessionMap[string, int64]) { deleted("k", time.Now().Add(-time.Hour)) },
		"dear Set":  func(m *sessionmap.RobustSessionMap[string, int64]) { m.Set("k", 100) },
		"dear GetOrSet": func(m *sessionmap.RobustSessionMap[string, int64]) {
			m.GetOrSet("k", 100)
		},
		"Rename of nobody": func(m *sessionmap.RobustSessionMap[string, int64]) {
			assert.ErrorIs(t, m.Rename("nobody", "k"), sessionmap.ErrNotFound)
			assert.ErrorIs(t, m.Rename("k", "l"), sessionmap.ErrNotFound)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMap[string, int64](t, sessionmap.WithSessionDeleted(source), sessionmap.WithMaxCost(10, func(_ string, v int64) int64 { return v }))
				done := make(chan error)
				go func() {
					_, err := m.GetOrLoad(t.Context(), "k", func(context.Context, string) (int64, error) {
						time.Sleep(time.Second)
						return 1, nil
					})
					done <- err
				}()
				synctest.Wait()
				meanwhile(m)
				assert.NoError(t, <-done)
			})
		})
	}
}

// TestRefreshDuringRename: a session that is renamed while the new value's cost is asked gets it under its new key.
func TestRefreshDuringRename(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m *sessionmap.RobustSessionMap[string, int]
		rename := false
		m = newMap[string, int](t, sessionmap.WithCost(func(string, int) int64 {
			if rename {
				rename = false
				require.NoError(t, m.Rename("s", "t"))
			}
			return 1
		}))
		m.Set("s", 1)
		rename = true
		require.True(t, m.Refresh("s", func(context.Context, string) (int, error) { return 2, nil }))
		synctest.Wait()
		v, _ := m.Get("t")
		assert.Equal(t, 2, v)
	})
}

// TestExchangeDuringRename: a session that is renamed while others leave for its new value gets that under its new key,
// though no session may be set under the old one.
func TestExchangeDuringRename(t *testing.T) {
	for name, exchange := range map[string]func(m *sessionmap.RobustSessionMap[string, int]){
		"Refresh": func(m *sessionmap.RobustSessionMap[string, int]) {
			m.Refresh("s", func(context.Context, string) (int, error) { return 9, nil })
		},
		"Update": func(m *sessionmap.RobustSessionMap[string, int]) {
			m.Update("s", func(int, bool) (int, bool) { return 9, true })
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMap[string, int](t, sessionmap.WithRenameGrace(time.Hour), sessionmap.WithMaxCost(10, func(_ string, v int) int64 { return int64(v) }))
				m.Set("a", 3)
				m.Set("b", 3)
				m.Set("s", 1)
				m.OnRemove(func(key string, v int, cause sessionmap.Cause) {
					if key == "a" { // and b is to follow
						assert.NoError(t, m.Rename("s", "t"))
					}
					assert.NotEqual(t, sessionmap.Rejected, cause, "%s: %d", key, v)
				})
				exchange(m)
				synctest.Wait()
				v, _ := m.Get("t")
				assert.Equal(t, 9, v)
				assert.NoError(t, sessionmap.CheckInvariants(m))
			})
		})
	}
}

// TestUnhashableKeyDuringLoad: calls with a key that cannot be hashed do nothing, though a load is under way.
func TestUnhashableKeyDuringLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := sessionmap.NewBus[any]()
		var rejected []int
		m := newMap[any, int](t, sessionmap.WithSessionDeleted(bus), sessionmap.WithOnRemove(func(_ any, v int, cause sessionmap.Cause) {
			if cause == sessionmap.Rejected {
				rejected = append(rejected, v)
			}
		}))
		release := make(chan struct{})
		go m.GetOrLoad(t.Context(), "a", func(context.Context, any) (int, error) { <-release; return 1, nil })
		synctest.Wait()
		key := []int{1}
		assert.False(t, m.Delete(key))
		_, loaded := m.GetOrSet(key, 5)
		assert.False(t, loaded)
		_, ok := m.Update(key, func(int, bool) (int, bool) { return 6, true })
		assert.False(t, ok)
		bus.Publish(key)
		assert.Equal(t, []int{5, 6}, rejected)
		close(release)
		synctest.Wait()
		assert.True(t, m.Contains("a"))
	})
}

// TestLoadsFree: a burst of loads leaves nothing behind.
func TestLoadsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMap[int, int](t)
		release := make(chan struct{})
		for i := range 100 {
			go m.GetOrLoad(t.Context(), i, func(context.Context, int) (int, error) { <-release; return 0, errors.ErrUnsupported })
		}
		synctest.Wait()
		assert.Equal(t, 100, sessionmap.LoadsUnderWay(m))
		close(release)
		synctest.Wait()
		assert.True(t, sessionmap.LoadsAreFree(m))
	})
}
