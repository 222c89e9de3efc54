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

// TestLoadConcurrent: loads, sets, deletes and events of the same keys: each value leaves once or is there.
func TestLoadConcurrent(t *testing.T) {
	const goroutines, each, keys = 8, 2000, 6
	m := newMap[int, *atomic.Bool](t, sessionmap.WithMaxSize(keys/2), sessionmap.WithOnRemove(func(_ int, left *atomic.Bool, _ sessionmap.Cause) {
		if left.Swap(true) {
			t.Error("left twice")
		}
	}))
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 1))
			for range each {
				key := rng.IntN(keys)
				switch rng.IntN(8) {
				case 0:
					m.Set(key, new(atomic.Bool))
				case 1:
					m.Delete(key)
				case 2:
					m.Refresh(key, func(context.Context, int) (*atomic.Bool, error) { return new(atomic.Bool), nil })
				case 3:
					if rng.IntN(20) == 0 {
						m.Clear()
					}
				default:
					ctx, cancel := context.WithCancel(t.Context())
					if rng.IntN(3) == 0 {
						cancel()
					}
					_, _ = m.GetOrLoad(ctx, key, func(context.Context, int) (*atomic.Bool, error) {
						runtime.Gosched()
						return new(atomic.Bool), nil
					})
					cancel()
				}
			}
		})
	}
	wg.Wait()
	for sessionmap.LoadsUnderWay(m) > 0 {
		runtime.Gosched()
	}
	for key, left := range m.All() {
		assert.False(t, left.Load(), key)
	}
}
