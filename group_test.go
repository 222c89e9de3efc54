package sessionmap_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
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

func newGroup(t *testing.T, opts ...sessionmap.Option) *sessionmap.Group[int] {
	t.Helper()
	return groupOf[int](t, opts...)
}

func groupOf[K comparable](t *testing.T, opts ...sessionmap.Option) *sessionmap.Group[K] {
	t.Helper()
	g, err := sessionmap.NewGroup[K](opts...)
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, sessionmap.CheckGroup(g))
		assert.NoError(t, g.Close())
	})
	return g
}

// TestGroupOneLife: whatever ends a session ends all of its attributes, each reported once to its own callback
// with the same cause, and then to OnEnd.
func TestGroupOneLife(t *testing.T) {
	for cause := range ends {
		t.Run(cause.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				out := newOutside()
				g := newGroup(t, append(featureOptions(out), sessionmap.WithMaxTotalCost(featuresCost))...)
				var told lines
				names := sessionmap.NewAttribute[string](g, "name", sessionmap.WithOnRemove(func(id int, name string, cause sessionmap.Cause) {
					told.add("name", id, name, cause)
				}))
				ages := sessionmap.NewAttribute[*int](g, "age")
				ages.OnRemove(func(id int, age *int, cause sessionmap.Cause) {
					told.add("age", id, *age, cause)
				})
				g.OnEnd(func(id int, cause sessionmap.Cause) { told.add("end", id, cause) })
				age := 7
				require.True(t, names.Set(1, "Ada"))
				require.True(t, ages.Set(1, &age))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				require.True(t, g.BindContext(ctx, 1))
				endableGroup(g, out, 1, cancel).endBy(t, cause)
				want := []string{fmt.Sprint("name 1 Ada ", cause), fmt.Sprint("age 1 7 ", cause), fmt.Sprint("end 1 ", cause)}
				got := told.take()
				require.GreaterOrEqual(t, len(got), 3)
				assert.Equal(t, want, got[:3])
				_, ok := names.Get(1)
				assert.False(t, ok)
				_, ok = ages.Get(1)
				assert.False(t, ok)
				assert.Zero(t, names.Stats().Live)
				assert.EqualValues(t, 1, ages.Stats().Removals[cause])
			})
		})
	}
}

// TestGroupAccess: an access to any attribute keeps the whole session.
func TestGroupAccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, sessionmap.WithTTL(idle))
		a := sessionmap.NewAttribute[int](g, "a")
		b := sessionmap.NewAttribute[int](g, "b")
		a.Set(1, 10)
		b.Set(1, 20)
		accesses := []func(){
			func() { a.Get(1) },
			func() { a.Set(1, 11) },
			func() { a.GetOrSet(1, 12) },
			func() { a.Update(1, func(old int, _ bool) (int, bool) { return old + 1, true }) },
			func() { g.Touch(1) },
			func() { lease, _ := g.Acquire(1); lease.Release() },
		}
		for _, access := range accesses {
			time.Sleep(idle - 1)
			access()
		}
		time.Sleep(idle - 1)
		value, ok := b.Get(1)
		assert.True(t, ok)
		assert.Equal(t, 20, value)
		assert.EqualValues(t, 3, g.Stats().Hits, "those of the attributes")
		b.Get(2)
		assert.EqualValues(t, 1, g.Stats().Misses)
		a.Take(1)
		time.Sleep(idle)
		_, ok = b.Get(1)
		assert.False(t, ok)
		assert.False(t, g.Contains(1))
	})
}

func TestAttribute(t *testing.T) {
	g := newGroup(t)
	var left removals
	a := sessionmap.NewAttribute[int](g, "a", left.option())
	_, ok := a.Get(1)
	assert.False(t, ok)
	assert.False(t, g.Contains(1), "a Get begins no session")
	_, ok = a.Update(1, func(old int, ok bool) (int, bool) {
		assert.Zero(t, old)
		assert.False(t, ok)
		return 1, false
	})
	assert.False(t, ok)
	assert.False(t, g.Contains(1))

	value, ok := a.Update(1, func(int, bool) (int, bool) { return 2, true })
	assert.True(t, ok)
	assert.Equal(t, 2, value)
	value, loaded := a.GetOrSet(1, 3)
	assert.True(t, loaded)
	assert.Equal(t, 2, value)
	value, loaded = a.GetOrSet(2, 4)
	assert.False(t, loaded)
	assert.Equal(t, 4, value)
	assert.Equal(t, map[int]int{1: 2, 2: 4}, maps.Collect(a.All()))
	assert.Empty(t, left.take())

	assert.True(t, a.Set(1, 5))
	a.Update(1, func(old int, ok bool) (int, bool) { return old + 1, ok })
	assert.Equal(t, []removal{{1, 2, sessionmap.Replaced}, {1, 5, sessionmap.Replaced}}, left.take())
	a.Update(1, func(int, bool) (int, bool) { return 0, false })
	assert.Equal(t, []removal{{1, 6, sessionmap.Deleted}}, left.take())
	_, ok = a.Get(1)
	assert.False(t, ok)
	assert.True(t, g.Contains(1), "the session stays")
	_, ok = a.Take(1)
	assert.False(t, ok)
	value, ok = a.Take(2)
	assert.True(t, ok)
	assert.Equal(t, 4, value)
	assert.False(t, a.Delete(2))
	assert.Equal(t, []removal{{2, 4, sessionmap.Deleted}}, left.take())

	a.Set(1, 7)
	value, ok = a.Update(1, func(int, bool) (int, bool) { panic("no") })
	assert.True(t, ok)
	assert.Equal(t, 7, value, "nothing has changed")
	require.NoError(t, g.Close())
	left.take()
	assert.False(t, a.Set(1, 8))
	_, loaded = a.GetOrSet(1, 9)
	assert.False(t, loaded)
	_, ok = a.Update(1, func(int, bool) (int, bool) { t.Error("called"); return 0, true })
	assert.False(t, ok)
	assert.Equal(t, []removal{{1, 8, sessionmap.Rejected}, {1, 9, sessionmap.Rejected}}, left.take())
	s := a.Stats()
	assert.Equal(t, "a", s.Name)
	assert.EqualValues(t, 1, s.CallbackPanics)
	assert.EqualValues(t, 1, s.Hits)
	assert.Zero(t, s.Live)
	checkSum(t, s)
}

// TestAttributesMany: more attributes than a session has slots to begin with, and some that come later.
func TestAttributesMany(t *testing.T) {
	g := newGroup(t)
	const attributes = 40
	var ended []int
	var all []*sessionmap.Attribute[int, int]
	for i := range attributes {
		g.Touch(1)
		a := sessionmap.NewAttribute[int](g, fmt.Sprint(i), sessionmap.WithOnRemove(func(_, value int, _ sessionmap.Cause) {
			ended = append(ended, value)
		}))
		_, ok := a.Get(1)
		assert.False(t, ok)
		if i%3 != 1 {
			a.Set(1, i)
		}
		all = append(all, a)
	}
	var want []int
	for i, a := range all {
		value, ok := a.Get(1)
		assert.Equal(t, i%3 != 1, ok)
		if ok {
			assert.Equal(t, i, value)
			want = append(want, i)
		}
	}
	for s := range g.Sessions() {
		assert.Equal(t, len(want), s.Attributes)
	}
	g.Delete(1)
	assert.Equal(t, want, ended)
}

// TestGroupSessions lists sessions with their ages.
func TestGroupSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, sessionmap.WithTTL(idle), sessionmap.WithName("g"))
		a := sessionmap.NewAttribute[int](g, "a")
		a.Set(1, 1)
		time.Sleep(time.Minute)
		g.Touch(2)
		lease, _ := g.Acquire(2)
		defer lease.Release()
		time.Sleep(time.Minute)
		got := map[int]sessionmap.SessionInfo[int]{}
		for s := range g.Sessions() {
			got[s.ID] = s
		}
		require.Len(t, got, 2)
		assert.Equal(t, 2*time.Minute, got[1].Age)
		assert.Equal(t, 1, got[1].Attributes)
		assert.Equal(t, time.Now().Add(idle-2*time.Minute), got[1].Deadline)
		assert.Equal(t, time.Minute, got[2].Age)
		assert.Zero(t, got[2].Attributes)
		assert.Equal(t, 1, got[2].Leases)
		for range g.Sessions() {
			break
		}
		assert.Equal(t, "g", g.Stats().Name)
		assert.Equal(t, 2, g.Len())
		time.Sleep(idle)
		assert.LessOrEqual(t, g.Sweep(), 1)
		assert.Equal(t, 1, g.Len())
	})
}

// TestGroupExactlyOnce: attributes set, updated, taken and read while their sessions end in every way: each value that a call
// has put in, or was refused, leaves once, and is told of as often as it is counted.
func TestGroupExactlyOnce(t *testing.T) {
	const goroutines, each, ids, attributes = 8, 4000, 20, 9
	bus := sessionmap.NewBus[int]()
	g := newGroup(t, sessionmap.WithMaxSize(ids/2), sessionmap.WithTTL(time.Millisecond), sessionmap.WithSweepInterval(time.Millisecond), sessionmap.WithSessionDeleted(bus))
	var all []*sessionmap.Attribute[int, *atomic.Bool]
	var told, put [attributes]atomic.Uint64
	var values [goroutines][]*atomic.Bool
	for i := range attributes {
		all = append(all, sessionmap.NewAttribute[*atomic.Bool](g, fmt.Sprint(i), sessionmap.WithOnRemove(func(_ int, left *atomic.Bool, _ sessionmap.Cause) {
			told[i].Add(1)
			if left.Swap(true) {
				t.Error("left twice")
			}
		})))
	}
	var wg sync.WaitGroup
	for i := range goroutines {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(i), 1))
			for range each {
				id, n := rng.IntN(ids), rng.IntN(attributes)
				a, value := all[n], new(atomic.Bool)
				puts := false
				switch rng.IntN(10) {
				case 0, 1, 2:
					a.Set(id, value)
					puts = true
				case 3:
					_, loaded := a.GetOrSet(id, value)
					puts = !loaded
				case 4:
					a.Update(id, func(_ *atomic.Bool, ok bool) (*atomic.Bool, bool) {
						value, puts = new(atomic.Bool), ok && rng.IntN(2) == 0
						return value, puts
					})
				case 5:
					a.Take(id)
				case 6:
					g.Delete(id)
				case 7:
					bus.Publish(id)
				case 8:
					a.Get(id)
				case 9:
					if rng.IntN(100) == 0 {
						g.Clear()
					}
				}
				if puts {
					put[n].Add(1)
					values[i] = append(values[i], value)
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, g.Close())
	for _, value := range slices.Concat(values[:]...) {
		require.True(t, value.Load(), "each has left")
	}
	for i, a := range all {
		s := a.Stats()
		assert.Zero(t, s.Live)
		assert.Equal(t, put[i].Load(), s.Sets)
		checkSum(t, s)
		assert.Equal(t, put[i].Load(), told[i].Load())
	}
}

// TestGroupNoHalfSession: a session's two attributes are set together, the second after the first, and never
// changed: whoever finds the second, and then not the first, has seen half a session.
func TestGroupNoHalfSession(t *testing.T) {
	g := newGroup(t, sessionmap.WithMaxSize(4))
	a := sessionmap.NewAttribute[int](g, "a")
	b := sessionmap.NewAttribute[int](g, "b")
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 20000 {
			id := i % 8
			a.Set(id, i)
			b.Set(id, i)
			if i%3 == 0 {
				g.Delete(id)
				_, okA := a.Get(id)
				_, okB := b.Get(id)
				assert.False(t, okA || okB)
			}
		}
		stop.Store(true)
	})
	for range 2 {
		wg.Go(func() {
			for !stop.Load() {
				for id := range 8 {
					valueB, okB := b.Get(id)
					valueA, okA := a.Get(id)
					if !okB {
						continue
					}
					if okA {
						assert.GreaterOrEqual(t, valueA, valueB)
					} else if again, ok := b.Get(id); ok {
						assert.NotEqual(t, valueB, again, "the session is there, but for the first")
					}
				}
			}
		})
	}
	wg.Wait()
}

func TestGroupRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, sessionmap.WithTTL(idle), sessionmap.WithMaxSize(1))
		a := sessionmap.NewAttribute[int](g, "a")
		failed := errors.New("failed")
		err := g.Run(t.Context(), 1, func(ctx context.Context, s *sessionmap.Session[int]) error {
			assert.Equal(t, 1, s.ID())
			a.Set(s.ID(), 1)
			time.Sleep(2 * idle)
			synctest.Wait()
			_, ok := a.Get(1)
			assert.True(t, ok, "leased")
			assert.NoError(t, ctx.Err())
			assert.ErrorIs(t, g.Run(ctx, 2, func(context.Context, *sessionmap.Session[int]) error { return nil }), sessionmap.ErrRefused, "full")
			return failed
		})
		assert.Equal(t, failed, err)
		assert.False(t, g.Contains(1))
		assert.EqualValues(t, 1, a.Stats().Removals[sessionmap.Deleted])

		err = g.Run(t.Context(), 1, func(ctx context.Context, s *sessionmap.Session[int]) error {
			g.Delete(1)
			g.Touch(1) // another session
			assert.Error(t, ctx.Err(), "at once")
			var ended *sessionmap.EndedError
			assert.ErrorAs(t, context.Cause(ctx), &ended)
			return context.Cause(ctx)
		})
		assert.EqualError(t, err, "sessionmap: the session has ended: deleted")
		assert.True(t, g.Contains(1), "Run deletes its own only")
		g.Delete(1)

		for name, leave := range map[string]func(){"panic": func() { panic("out") }, "Goexit": runtime.Goexit} {
			var recovered any
			var wg sync.WaitGroup
			wg.Go(func() {
				defer func() { recovered = recover() }()
				_ = g.Run(t.Context(), 1, func(context.Context, *sessionmap.Session[int]) error {
					leave()
					return nil
				})
			})
			wg.Wait()
			assert.Equal(t, name == "panic", recovered != nil)
			assert.False(t, g.Contains(1), name)
		}
		assert.Zero(t, g.Stats().Leases)

		ctx, cancel := context.WithCancel(t.Context())
		err = g.Run(ctx, 1, func(ctx context.Context, _ *sessionmap.Session[int]) error {
			cancel()
			<-ctx.Done()
			return ctx.Err()
		})
		assert.ErrorIs(t, err, context.Canceled)
		require.NoError(t, g.Close())
		assert.ErrorIs(t, g.Run(t.Context(), 1, nil), sessionmap.ErrRefused)
	})
}

// TestGroupDo: a round keeps its session, and leaves it.
func TestGroupDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, sessionmap.WithTTL(idle))
		for range 3 {
			require.NoError(t, g.Do(t.Context(), 1, func(ctx context.Context, s *sessionmap.Session[int]) error {
				time.Sleep(2 * idle)
				synctest.Wait()
				assert.True(t, g.Contains(s.ID()))
				return ctx.Err()
			}))
			assert.True(t, g.Contains(1))
		}
		assert.EqualValues(t, 1, g.Stats().Sets)
		err := g.Do(t.Context(), 1, func(ctx context.Context, _ *sessionmap.Session[int]) error {
			g.Delete(1)
			return context.Cause(ctx)
		})
		assert.EqualError(t, err, "sessionmap: the session has ended: deleted")
		lease, ok := g.Begin(2)
		require.True(t, ok)
		ctx := lease.Context()
		assert.NoError(t, ctx.Err())
		stopped, stop := lease.Within(t.Context())
		assert.NoError(t, stopped.Err())
		stop()
		assert.ErrorIs(t, context.Cause(stopped), context.Canceled)
		g.Delete(2)
		assert.Error(t, ctx.Err())
		lease.Release()
		require.NoError(t, g.Close())
		assert.ErrorIs(t, g.Do(t.Context(), 1, nil), sessionmap.ErrRefused)
		_, ok = g.Begin(1)
		assert.False(t, ok)
	})
}

// TestGroupBeginLeasesAtOnce: a session is leased from the start, however little it has to live.
func TestGroupBeginLeasesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, sessionmap.WithTTL(idle), sessionmap.WithMaxSize(1))
		cancel := g.OnEnd(func(int, sessionmap.Cause) { time.Sleep(2 * idle) })
		g.Touch(1)
		lease, ok := g.Begin(2) // while the end of 1 takes its time
		cancel()
		require.True(t, ok)
		assert.Equal(t, map[sessionmap.Cause]uint64{sessionmap.Evicted: 1}, g.Stats().Removals)
		lease.Release()
	})
	g := newGroup(t, sessionmap.WithTTL(time.Nanosecond))
	for id := range 100 {
		lease, ok := g.Begin(id)
		require.True(t, ok)
		assert.Equal(t, 1, g.Stats().Leases)
		lease.Release()
	}
}

// TestGroupBeginLost: a lease that is lost in the callback of another session's end is found, though nothing else is swept.
func TestGroupBeginLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, sessionmap.WithTTL(0), sessionmap.WithMaxSize(1), silent)
		g.OnEnd(func(int, sessionmap.Cause) { runtime.Goexit() })
		g.Touch(1)
		finish(func() { g.Begin(2) })
		require.True(t, g.Contains(2))
		for g.Stats().LostLeases == 0 {
			runtime.GC()
			time.Sleep(time.Second)
			synctest.Wait()
		}
		assert.Zero(t, g.Stats().Leases)
	})
}

// TestTiesAreLetGoOf: what a round has tied to its session goes with the round.
func TestTiesAreLetGoOf(t *testing.T) {
	g := newGroup(t)
	lease, _ := g.Begin(1)
	defer lease.Release()
	for range 100 {
		require.NoError(t, g.Do(t.Context(), 1, func(context.Context, *sessionmap.Session[int]) error { return nil }))
	}
	assert.Zero(t, sessionmap.EndsOf(lease))
}

// TestGuardSparesTheNext: the slow end of one session does not delete the key of the next one of that id.
func TestGuardSparesTheNext(t *testing.T) {
	g := newGroup(t)
	var mu sync.Mutex
	agents := map[int]string{}
	a := sessionmap.NewAttribute[int](g, "a")
	a.OnRemove(func(int, int, sessionmap.Cause) {
		if g.Touch(1) {
			agents[1] = "next"
		}
	})
	sessionmap.NewGuard(g, &mu, agents)
	a.Set(1, 1)
	agents[1] = "first"
	g.Delete(1)
	assert.Equal(t, map[int]string{1: "next"}, agents)

	// A guard that comes to know of the end when the next session is there already.
	sessionmap.EndGuards(g, 1)
	assert.Equal(t, map[int]string{1: "next"}, agents)
}

// TestGroupGoexit: a callback that ends its goroutine keeps nobody else from hearing of the end.
func TestGroupGoexit(t *testing.T) {
	g := newGroup(t)
	var told []string
	for _, name := range []string{"a", "b", "c"} {
		a := sessionmap.NewAttribute[int](g, name, sessionmap.WithOnRemove(func(int, int, sessionmap.Cause) {
			told = append(told, name)
			runtime.Goexit()
		}))
		a.Set(1, 1)
	}
	g.OnEnd(func(int, sessionmap.Cause) { told = append(told, "end"); runtime.Goexit() })
	g.OnEnd(func(int, sessionmap.Cause) { told = append(told, "end 2"); panic("no") })
	var wg sync.WaitGroup
	wg.Go(func() { g.Delete(1) })
	wg.Wait()
	assert.Equal(t, []string{"a", "b", "c", "end", "end 2"}, told)
}

func TestGroupOptions(t *testing.T) {
	_, err := sessionmap.NewGroup[int](sessionmap.WithOnRemove(func(int, int, sessionmap.Cause) {}), sessionmap.WithTTL(-1))
	require.Error(t, err)
	assert.ErrorContains(t, err, "WithOnRemove")
	assert.ErrorContains(t, err, "Attribute")
	_, err = sessionmap.NewGroup[int](sessionmap.WithTTL(-1))
	assert.ErrorContains(t, err, "WithTTL(-1ns)")
	_, err = sessionmap.NewGroup[int](sessionmap.WithCloser())
	assert.ErrorContains(t, err, "WithCloser")
	assert.Panics(t, func() { sessionmap.MustNewGroup[int](sessionmap.WithTTL(-1)) })
	g := newGroup(t)
	for want, opt := range map[string]sessionmap.Option{
		"WithTTL":      sessionmap.WithTTL(time.Hour),
		"WithOnRemove": sessionmap.WithOnRemove(func(string, int, sessionmap.Cause) {}),
		"WithCloser":   sessionmap.WithCloser(),
		"option 1":     nil,
	} {
		func() {
			defer func() {
				err, _ := recover().(error)
				assert.ErrorContains(t, err, want)
			}()
			sessionmap.NewAttribute[int](g, "a", opt)
			t.Error("accepted ", want)
		}()
	}
	assert.NotPanics(t, func() { g.OnEnd(nil)() })
	a := sessionmap.NewAttribute[int](g, "a")
	assert.NotPanics(t, func() { a.OnRemove(nil)() })
}

func TestGuard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, sessionmap.WithTTL(idle), sessionmap.WithSweepInterval(time.Second))
		var mu sync.RWMutex
		agents := map[int]string{1: "a", 2: "b"}
		var tokens sync.Map
		tokens.Store(2, "token")
		tokens.Store("no session", "token")
		guard := sessionmap.NewGuard(g, &mu, agents)
		sessionmap.NewSyncGuard(g, &tokens)
		assert.Equal(t, 2, g.Len(), "what is there is adopted")
		time.Sleep(idle - 1)
		assert.True(t, guard.Touch(1))
		agents[3] = "c"
		assert.Equal(t, 1, guard.Adopt(), "what came later, when asked")
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, map[int]string{1: "a", 3: "c"}, agents)
		_, ok := tokens.Load(2)
		assert.False(t, ok)
		_, ok = tokens.Load("no session")
		assert.True(t, ok)
		g.Delete(1)
		assert.Equal(t, map[int]string{3: "c"}, agents)
		guard.Stop()
		g.Delete(3)
		assert.Equal(t, map[int]string{3: "c"}, agents)
		assert.Panics(t, func() { sessionmap.NewGuard(g, &mu, map[int]int(nil)) })
		assert.Panics(t, func() { sessionmap.NewGuard(g, nil, agents) })
		assert.Panics(t, func() { sessionmap.NewSyncGuard(g, nil) })
	})
}

// TestGuardAdoptsIntoABound: what the group has no room for leaves the map as well.
func TestGuardAdoptsIntoABound(t *testing.T) {
	g := newGroup(t, sessionmap.WithMaxSize(10))
	agents := map[int]int{}
	for id := range 100 {
		agents[id] = id
	}
	var mu sync.Mutex
	sessionmap.NewGuard(g, &mu, agents)
	assert.Len(t, agents, 10)
	for id := range agents {
		assert.True(t, g.Contains(id))
	}
}

func TestAdopt(t *testing.T) {
	var left removals
	m := newMap[int, int](t, sessionmap.WithMaxSize(3), left.option())
	from := map[int]int{1: 1, 2: 2, 3: 3}
	assert.Equal(t, 3, m.Adopt(from))
	assert.Empty(t, from)
	assert.Equal(t, 3, m.Len())
	require.NoError(t, m.Close())
	left.take()
	assert.Zero(t, m.Adopt(map[int]int{4: 4}))
	assert.Equal(t, []removal{{4, 4, sessionmap.Rejected}}, left.take())
}

func TestGroupRename(t *testing.T) {
	g := newGroup(t)
	a := sessionmap.NewAttribute[int](g, "a")
	a.Set(1, 10)
	lease, _ := g.Acquire(1)
	session := lease.Value()
	require.NoError(t, g.Rename(1, 2))
	value, _ := a.Get(2)
	assert.Equal(t, 10, value)
	assert.Equal(t, 2, session.ID())
	assert.Equal(t, 2, lease.Key())
	assert.ErrorIs(t, g.Rename(1, 3), sessionmap.ErrNotFound)
	assert.Equal(t, []int{2}, slices.Collect(maps.Keys(maps.Collect(a.All()))))
	lease.Release()
}
