package sessionmap_test

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
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

// itself is the cost of a value that says its own.
func itself(_, value int) int64 { return int64(value) }

// A costStore is a store of values that say their own cost: a map, or an attribute of a group.
type costStore struct {
	set     func(key, cost int) bool
	get     func(key int) (int, bool)
	update  func(key int, fn func(int, bool) (int, bool)) (int, bool)
	getOr   func(key, cost int) (int, bool)
	end     func(key int) bool
	acquire func(key int) (release func(), ok bool)
	rename  func(from, to int) error
	stats   func() sessionmap.Stats // of the bound
	entry   func(key int) sessionmap.Entry
	check   func() error
	left    *removals
	touches bool // a Set that is refused is an access all the same
}

// onBothCosts runs a test with either, with the given bounds.
func onBothCosts(t *testing.T, maxCost int64, maxSize int, test func(t *testing.T, s costStore)) {
	opts := []sessionmap.Option{sessionmap.WithTTL(idle), sessionmap.WithMaxSize(maxSize)}
	t.Run("map", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var left removals
			m := newMap[int, int](t, append(opts, sessionmap.WithMaxCost(maxCost, itself), left.option())...)
			test(t, costStore{
				m.Set, m.Get, m.Update, m.GetOrSet, m.Delete,
				func(key int) (func(), bool) { l, ok := m.Acquire(key); return l.Release, ok },
				m.Rename, m.Stats, func(key int) sessionmap.Entry { e, _ := m.Entry(key); return e },
				func() error { return sessionmap.CheckInvariants(m) }, &left, false,
			})
		})
	})
	t.Run("attribute", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var left removals
			g := newGroup(t, append(opts, sessionmap.WithMaxTotalCost(maxCost))...)
			sessionmap.NewAttribute[int](g, "other")
			a := sessionmap.NewAttribute[int](g, "cost", sessionmap.WithCost(itself), left.option())
			test(t, costStore{
				a.Set, a.Get, a.Update, a.GetOrSet, g.Delete,
				func(key int) (func(), bool) { l, ok := g.Acquire(key); return l.Release, ok },
				g.Rename, g.Stats,
				func(key int) sessionmap.Entry {
					for s := range g.Sessions() {
						if s.ID == key {
							return s.Entry
						}
					}
					return sessionmap.Entry{}
				},
				func() error { return sessionmap.CheckGroup(g) }, &left, true,
			})
		})
	})
}

// TestPromise3ExactCost runs random programs against a reference: a list of sessions in the order of access, from
// whose old end unleased ones leave until the new value fits.
func TestPromise3ExactCost(t *testing.T) {
	type session struct {
		key, cost int
		release   func()
	}
	const maxCost, maxSize, keys, steps = 100, 8, 12, 2000
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			onBothCosts(t, maxCost, maxSize, func(t *testing.T, s costStore) {
				rng := rand.New(rand.NewPCG(seed, 0))
				var all []*session // the least recently accessed first
				var want []removal
				find := func(key int) int { return slices.IndexFunc(all, func(o *session) bool { return o.key == key }) }
				cost := func() (sum int) {
					for _, o := range all {
						sum += o.cost
					}
					return sum
				}
				access := func(i int) {
					o := all[i]
					all = append(slices.Delete(all, i, i+1), o)
				}
				put := func(key, value int) (stored bool) {
					i := find(key)
					old, stays := 0, value
					for j, o := range all {
						if o.release != nil && j != i {
							stays += o.cost
						}
					}
					if i >= 0 {
						old = all[i].cost
					}
					leased := func(o *session) bool { return o.release != nil }
					full := i < 0 && len(all) == maxSize
					if value > old && stays > maxCost || full && !slices.ContainsFunc(all, func(o *session) bool { return !leased(o) }) {
						want = append(want, removal{key, value, sessionmap.Rejected})
						if i >= 0 && s.touches {
							access(i)
						}
						return false
					}
					for why := sessionmap.Evicted; full || value > old && cost()-old+value > maxCost; full, why = false, sessionmap.EvictedCost {
						if !full {
							why = sessionmap.EvictedCost
						}
						j := slices.IndexFunc(all, func(o *session) bool { return !leased(o) && o.key != key })
						want = append(want, removal{all[j].key, all[j].cost, why})
						all = slices.Delete(all, j, j+1)
					}
					if i = find(key); i >= 0 {
						want = append(want, removal{key, old, sessionmap.Replaced})
						all[i].cost = value
						access(i)
					} else {
						all = append(all, &session{key: key, cost: value})
					}
					return true
				}
				for step := range steps {
					time.Sleep(time.Microsecond)
					key, value := 1+rng.IntN(keys), rng.IntN(45)
					if rng.IntN(50) == 0 {
						value = 101
					}
					i := find(key)
					switch rng.IntN(9) {
					case 0, 1, 2:
						require.Equal(t, put(key, value), s.set(key, value))
					case 3:
						_, ok := s.get(key)
						require.Equal(t, i >= 0, ok)
						if ok {
							access(i)
						}
					case 4:
						if i >= 0 { // in a group an Update that is refused may begin a session
							more := rng.IntN(30)
							put(key, all[i].cost+more)
							s.update(key, func(old int, _ bool) (int, bool) { return old + more, true })
						}
					case 5:
						require.Equal(t, i >= 0, s.end(key))
						if i >= 0 {
							want = append(want, removal{key, all[i].cost, sessionmap.Deleted})
							all = slices.Delete(all, i, i+1)
						}
					case 6:
						if i >= 0 && all[i].release == nil {
							all[i].release, _ = s.acquire(key)
						} else if i >= 0 {
							all[i].release()
							all[i].release = nil
							access(i)
						}
					case 7:
						to := 1 + rng.IntN(keys)
						if s.rename(key, to) == nil && i >= 0 {
							all[i].key = to
						}
					case 8:
						if i >= 0 {
							access(i)
							_, loaded := s.getOr(key, value)
							require.True(t, loaded)
						}
					}
					require.Equal(t, want, s.left.take(), "step %d", step)
					want = nil
					require.NoError(t, s.check())
					require.EqualValues(t, cost(), s.stats().Cost)
					require.Equal(t, len(all), s.stats().Live)
				}
			})
		})
	}
}

// TestCostRefused: what can never fit pushes out nobody, and leaves what was there.
func TestCostRefused(t *testing.T) {
	onBothCosts(t, 10, 0, func(t *testing.T, s costStore) {
		s.set(1, 3)
		s.set(2, 3)
		assert.False(t, s.set(2, 11), "more than the bound")
		release, _ := s.acquire(1)
		assert.False(t, s.set(2, 8), "more than the leased ones leave")
		assert.Equal(t, []removal{{2, 11, sessionmap.Rejected}, {2, 8, sessionmap.Rejected}}, s.left.take())
		value, ok := s.update(2, func(int, bool) (int, bool) { return 8, true })
		assert.True(t, ok)
		assert.Equal(t, 3, value)
		value, _ = s.get(2)
		assert.Equal(t, 3, value)
		release()
		s.left.take()
		assert.True(t, s.set(2, 8))
		assert.Equal(t, []removal{{1, 3, sessionmap.EvictedCost}, {2, 3, sessionmap.Replaced}}, s.left.take())
		assert.EqualValues(t, 8, s.entry(2).Cost)
		assert.EqualValues(t, 10, s.stats().MaxCost)
		assert.True(t, s.set(2, 1), "cheaper")
		assert.EqualValues(t, 1, s.stats().Cost)
	})
}

// TestCostNegative: it is refused, and said.
func TestCostNegative(t *testing.T) {
	var log logBuffer
	m := newMap[int, int](t, sessionmap.WithMaxCost(10, itself), sessionmap.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	m.Set(1, 4)
	assert.False(t, m.Set(1, -1))
	assert.False(t, m.Set(2, -1))
	actual, loaded := m.GetOrSet(3, -1)
	assert.Equal(t, -1, actual)
	assert.False(t, loaded)
	assert.Equal(t, 1, m.Len())
	assert.EqualValues(t, 4, m.Stats().Cost)
	assert.EqualValues(t, 3, m.Stats().Removals[sessionmap.Rejected])
	assert.Contains(t, log.String(), "cost=-1")
}

// TestCostOverflow: a cost near the end of int64 is more than the bound, beside whatever else, and lets no sum wrap.
func TestCostOverflow(t *testing.T) {
	onBothCosts(t, 100, 0, func(t *testing.T, s costStore) {
		s.set(1, 10)
		release, _ := s.acquire(1)
		defer release()
		s.set(2, 5)
		assert.False(t, s.set(2, math.MaxInt), "beside a leased session")
		assert.False(t, s.set(3, math.MaxInt))
		assert.EqualValues(t, 15, s.stats().Cost)
		assert.NoError(t, s.check())
	})
	g := newGroup(t, sessionmap.WithMaxTotalCost(100))
	a := sessionmap.NewAttribute[int](g, "a", sessionmap.WithCost(itself))
	b := sessionmap.NewAttribute[int64](g, "b", sessionmap.WithCost(func(_ int, value int64) int64 { return value }))
	a.Set(1, 10)
	assert.False(t, b.Set(1, math.MaxInt64), "beside another attribute of its session")
	assert.EqualValues(t, 10, g.Stats().Cost)
}

// TestCostOverflowAtTheBound: where the bound is the highest cost there is, what a sum would wrap for makes others leave.
func TestCostOverflowAtTheBound(t *testing.T) {
	m := newMap[int, int64](t, sessionmap.WithMaxCost(math.MaxInt64, func(_ int, value int64) int64 { return value }))
	m.Set(1, 10)
	require.True(t, m.Set(2, math.MaxInt64-5))
	assert.False(t, m.Contains(1))
	assert.Equal(t, int64(math.MaxInt64-5), m.Stats().Cost)
}

// TestCostOverflowWithoutBound: what makes the sum of all overflow is refused, and nobody leaves for it.
func TestCostOverflowWithoutBound(t *testing.T) {
	m := newMap[int, int64](t, sessionmap.WithCost(func(_ int, value int64) int64 { return value }))
	m.Set(1, 1)
	assert.True(t, m.Set(2, math.MaxInt64-1))
	assert.False(t, m.Set(3, 1))
	assert.True(t, m.Set(2, math.MaxInt64-2), "an overwrite counts for what it adds")
	assert.True(t, m.Set(3, 1))
	assert.Equal(t, int64(math.MaxInt64), m.Stats().Cost)
	assert.Equal(t, 3, m.Len())
}

// TestCostPanics: such a function counts for nothing, and the value is stored.
func TestCostPanics(t *testing.T) {
	m := newMap[int, int](t, sessionmap.WithMaxCost(10, func(int, int) int64 { panic("no") }), sessionmap.WithLogger(slog.New(slog.DiscardHandler)))
	assert.True(t, m.Set(1, 1))
	assert.Zero(t, m.Stats().Cost)
	assert.EqualValues(t, 1, m.Stats().CallbackPanics)
}

// TestCostReenters: a cost function may call any method.
func TestCostReenters(t *testing.T) {
	var m *sessionmap.RobustSessionMap[int, int]
	m = newMap[int, int](t, sessionmap.WithMaxCost(10, func(key, _ int) int64 {
		if key == 1 {
			m.Set(2, 0)
			m.Delete(2)
		}
		return 1
	}))
	assert.True(t, m.Set(1, 1))
	assert.Equal(t, 1, m.Len())
}

// TestCostOfAttributes: a session costs what its attributes cost together, with those that are taken away.
func TestCostOfAttributes(t *testing.T) {
	g := newGroup(t, sessionmap.WithMaxTotalCost(20))
	a := sessionmap.NewAttribute[int](g, "a", sessionmap.WithCost(itself))
	b := sessionmap.NewAttribute[int](g, "b", sessionmap.WithCost(itself))
	free := sessionmap.NewAttribute[int](g, "free")
	a.Set(1, 5)
	b.Set(1, 6)
	free.Set(1, 100)
	assert.EqualValues(t, 11, g.Stats().Cost)
	assert.EqualValues(t, []int64{5, 6, 0}, []int64{a.Stats().Cost, b.Stats().Cost, free.Stats().Cost})
	a.Set(2, 9)
	assert.True(t, g.Contains(1))
	assert.False(t, b.Set(1, 16), "with the 5 of a it is more than 20")
	assert.True(t, b.Set(1, 15))
	assert.False(t, g.Contains(2), "has given way")
	b.Delete(1)
	assert.EqualValues(t, 5, g.Stats().Cost)
	assert.EqualValues(t, 1, g.Stats().Removals[sessionmap.EvictedCost])
	g.Clear()
	assert.Zero(t, g.Stats().Cost)
}

// TestWithCost measures, and bounds nothing.
func TestWithCost(t *testing.T) {
	m := newMap[int, int](t, sessionmap.WithCost(itself))
	m.Set(1, 1<<30)
	m.Set(2, 5)
	assert.EqualValues(t, 1<<30+5, m.Stats().Cost)
	assert.Zero(t, m.Stats().MaxCost)
	m.Clear()
	assert.Zero(t, m.Stats().Cost)
}

// TestCostRefresh: a value that is loaded anew is weighed anew.
func TestCostRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMap[int, int](t, sessionmap.WithMaxCost(10, itself))
		m.Set(1, 2)
		refresh := func(cost int) {
			m.Refresh(1, func(ctx context.Context, _ int) (int, error) { return cost, nil })
			synctest.Wait()
		}
		refresh(7)
		assert.EqualValues(t, 7, m.Stats().Cost)
		refresh(11)
		assert.EqualValues(t, 7, m.Stats().Cost)
		assert.EqualValues(t, 1, m.Stats().Removals[sessionmap.Rejected])
	})
}

func TestCostOptions(t *testing.T) {
	for name, opt := range map[string]sessionmap.Option{
		"WithMaxCost(0)":                       sessionmap.WithMaxCost(0, itself),
		"WithMaxCost(nil)":                     sessionmap.WithMaxCost[int, int](1, nil),
		"WithMaxCost(func(string, int) int64)": sessionmap.WithMaxCost(1, func(string, int) int64 { return 0 }),
		"WithCost(nil)":                        sessionmap.WithCost[int, int](nil),
		"WithCost(func(int, string) int64)":    sessionmap.WithCost(func(int, string) int64 { return 0 }),
		"WithMaxTotalCost":                     sessionmap.WithMaxTotalCost(1),
	} {
		_, err := sessionmap.New[int, int](opt)
		assert.ErrorContains(t, err, name)
	}
	for name, opt := range map[string]sessionmap.Option{
		"WithMaxTotalCost(-1)": sessionmap.WithMaxTotalCost(-1),
		"WithMaxCost":          sessionmap.WithMaxCost(1, itself),
		"WithCost":             sessionmap.WithCost(itself),
	} {
		_, err := sessionmap.NewGroup[int](opt)
		assert.ErrorContains(t, err, name)
	}
	m := newMap[int, int](t, sessionmap.WithTTL(0), sessionmap.WithMaxSize(0), sessionmap.WithMaxCost(1, itself))
	assert.True(t, m.SetWithTTL(1, 1, 0), "the cost is a bound")
}

// TestPromise3CostConcurrent: whoever looks, whenever, sees no more than the bound, and each value leaves once.
func TestPromise3CostConcurrent(t *testing.T) {
	const maxCost, goroutines, each = 200, 8, 3000
	var left removals
	m := newMap[int, int](t, sessionmap.WithMaxCost(maxCost, itself), left.option())
	stop := make(chan struct{})
	looks := 0
	var puts atomic.Int64
	var watch, work sync.WaitGroup
	watch.Go(func() {
		for ; ; looks++ {
			select {
			case <-stop:
				return
			default:
				if cost := m.Stats().Cost; cost < 0 || cost > maxCost {
					t.Errorf("cost %d", cost)
					return
				}
			}
		}
	})
	for g := range goroutines {
		work.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 1))
			for range each {
				key, value := rng.IntN(30), rng.IntN(60)
				switch rng.IntN(6) {
				case 0:
					m.Get(key)
				case 1:
					m.Delete(key)
				case 2:
					if l, ok := m.Acquire(key); ok {
						m.Set(key, value)
						puts.Add(1)
						l.Release()
					}
				case 3:
					m.Update(key, func(old int, _ bool) (int, bool) { return old/2 + 1, true })
					puts.Add(1)
				default:
					m.Set(key, value)
					puts.Add(1)
				}
			}
		})
	}
	work.Wait()
	close(stop)
	watch.Wait()
	s := m.Stats()
	require.Positive(t, looks)
	assert.EqualValues(t, puts.Load(), s.Sets)
	checkSum(t, s)
	assert.Len(t, left.take(), int(puts.Load())-s.Live)
}
