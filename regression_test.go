package sessionmap_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// Faults that there were, each where two features met.

// finish runs fn, which may end its goroutine, and waits for that.
func finish(fn func()) {
	done := make(chan struct{})
	go func() { defer close(done); fn() }()
	<-done
}

// once has only the first call do something; the others do not wait for it.
func once(fn func()) func() {
	var called atomic.Bool
	return func() {
		if !called.Swap(true) {
			fn()
		}
	}
}

// toldBy is the option of a source that tells of deleted sessions when deleted is called.
func toldBy(deleted *func(id int, at time.Time)) sessionmap.Option {
	return sessionmap.WithSessionDeleted(sessionmap.SourceFunc[int](func(fn func(int, time.Time)) (func(), error) {
		*deleted = fn
		return nil, nil
	}))
}

func itselfOwner(_ int, user string) string { return user }

type closable struct {
	closed int
	user   string
}

func (c *closable) Close() error { c.closed++; return nil }

// A hookLock does something before it is locked for the first time, as another goroutine might.
type hookLock struct {
	sync.Mutex
	before func()
}

func (l *hookLock) Lock() {
	if f := l.before; f != nil {
		l.before = nil
		f()
	}
	l.Mutex.Lock()
}

// A chatty key uses its map to say what it is.
type chatty string

var chattyMap *sessionmap.RobustSessionMap[chatty, int]

func (c chatty) String() string { chattyMap.Delete("other"); chattyMap.Acquire(c); return string(c) }

func TestRefusedSetEndsNobody(t *testing.T) {
	type val struct{ user, tenant string }
	m := sessionmap.MustNew[int, val]()
	defer m.Close()
	sessionmap.NewIndex(m, func(_ int, v val) string { return v.user }, sessionmap.WithOwnerLimit(1, sessionmap.EndOldest))
	sessionmap.NewIndex(m, func(_ int, v val) string { return v.tenant }, sessionmap.WithOwnerLimit(1, sessionmap.RejectNew))
	require.True(t, m.Set(1, val{"ada", "x"}))
	require.True(t, m.Set(2, val{"bob", "y"}))
	assert.False(t, m.Set(3, val{"ada", "y"}), "tenant y is full")
	assert.True(t, m.Contains(1), "the refused Set must not end ada's session")
}

func TestLostUpdateEndsNobody(t *testing.T) {
	m := sessionmap.MustNew[int, string]()
	defer m.Close()
	sessionmap.NewIndex(m, itselfOwner, sessionmap.WithOwnerLimit(1, sessionmap.EndOldest))
	m.Set(1, "ada")
	m.Set(2, "bob")
	runs := 0
	m.Update(2, func(old string, ok bool) (string, bool) {
		if runs++; runs == 1 {
			m.Set(2, "eve") // somebody else
			return "ada", true
		}
		return old, true
	})
	assert.Equal(t, 2, runs)
	assert.True(t, m.Contains(1), "nobody ever set a second session of ada's")
}

func TestOwnersExpiredGivesWayFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var left lines
		m := sessionmap.MustNew[int, string](sessionmap.WithTTL(time.Minute), sessionmap.WithSweepInterval(time.Hour),
			sessionmap.WithOnRemove(func(k int, _ string, c sessionmap.Cause) { left.add(k, c) }))
		defer m.Close()
		sessionmap.NewIndex(m, itselfOwner, sessionmap.WithOwnerLimit(2, sessionmap.EndOldest))
		m.Set(9, "x")
		time.Sleep(2 * time.Minute) // a sweep has been; the next is an hour off
		m.Sweep()
		left.take()
		m.Set(1, "ada")
		m.Set(2, "ada")
		time.Sleep(50 * time.Second)
		m.Get(1)
		time.Sleep(20 * time.Second) // 2 has expired, 1 is live
		require.True(t, m.Contains(1) && !m.Contains(2))
		m.Set(3, "ada")
		assert.True(t, m.Contains(1), "live session evicted while an expired one held a place")
	})
}

func TestOwnersExpiredBlocksNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := sessionmap.MustNew[int, string](sessionmap.WithTTL(30*time.Minute), sessionmap.WithSweepInterval(time.Minute))
		defer m.Close()
		x := sessionmap.NewIndex(m, itselfOwner, sessionmap.WithOwnerLimit(1, sessionmap.RejectNew))
		m.Set(8, "x")
		time.Sleep(10 * time.Second)
		m.Set(1, "ada")
		time.Sleep(30*time.Minute + time.Second)
		require.Zero(t, func() (n int) {
			for range m.All() {
				n++
			}
			return
		}())
		for id := range x.Of("ada") {
			t.Errorf("Of yields %v, which has expired", id)
		}
		assert.True(t, m.Set(2, "ada"), "refused for a session that nobody can see")
	})
}

func TestOwnersExpiredLeavesAsIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var left lines
		m := sessionmap.MustNew[int, string](sessionmap.WithTTL(30*time.Minute),
			sessionmap.WithOnRemove(func(k int, _ string, c sessionmap.Cause) { left.add(k, c) }))
		defer m.Close()
		sessionmap.NewIndex(m, itselfOwner, sessionmap.WithOwnerLimit(1, sessionmap.EndOldest))
		m.Set(8, "x")
		time.Sleep(10 * time.Second)
		m.Set(1, "ada")
		time.Sleep(30*time.Minute + time.Second)
		left.take()
		m.Set(2, "ada")
		assert.Equal(t, []string{"1 idle"}, left.take())
	})
}

func TestOwnerNaN(t *testing.T) {
	m := sessionmap.MustNew[int, float64](sessionmap.WithLogger(slog.New(slog.DiscardHandler)))
	sessionmap.NewIndex(m, func(_ int, v float64) float64 { return v })
	m.Set(1, math.NaN())
	func() {
		defer func() { t.Log("Delete panicked:", recover()) }()
		m.Delete(1)
	}()
	finish(func() { m.Set(2, 1) })
}

func TestOwnerUnhashable(t *testing.T) {
	m := sessionmap.MustNew[int, any](sessionmap.WithLogger(slog.New(slog.DiscardHandler)))
	sessionmap.NewIndex(m, func(_ int, v any) any { return v })
	func() {
		defer func() { t.Log("Set panicked:", recover()) }()
		m.Set(1, []int{1})
	}()
	finish(func() { m.Set(2, 1) })
}

func TestSetInCallbackOfRename(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := sessionmap.MustNewGroup[int](sessionmap.WithTTL(30 * time.Minute))
		defer g.Close()
		user := sessionmap.NewAttribute[string](g, "user")
		asked := 0
		sessionmap.NewIndex(user, func(_ int, v string) string {
			if v == "again" {
				if asked++; asked == 100000 {
					t.Error("Attribute.Set in OnEnd never returns")
					runtime.Goexit()
				}
			}
			return v
		})
		g.OnEnd(func(id int, cause sessionmap.Cause) {
			if cause == sessionmap.Idle {
				user.Set(id, "again")
			}
		})
		user.Set(1, "ada")
		time.Sleep(10 * time.Second)
		user.Set(2, "bob") // to expire 10 s after the sweep for 1
		time.Sleep(29 * time.Minute)
		user.Get(1)
		time.Sleep(61 * time.Second)
		require.True(t, g.Contains(1) && !g.Contains(2) && g.Len() == 2)
		done := make(chan struct{})
		go func() {
			defer close(done)
			t.Log(g.Rename(1, 2))
		}()
		<-done
	})
}

func TestRenameInCallbackOfRename(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := sessionmap.MustNewGroup[int](sessionmap.WithTTL(30*time.Minute), sessionmap.WithRenameGrace(time.Hour))
		defer g.Close()
		user := sessionmap.NewAttribute[string](g, "user")
		asked := 0
		sessionmap.NewIndex(user, func(_ int, v string) string {
			if asked++; asked == 100000 {
				t.Error("Attribute.Set never returns")
				runtime.Goexit()
			}
			return v
		})
		g.OnEnd(func(id int, cause sessionmap.Cause) {
			if cause == sessionmap.Idle { // stands for another goroutine
				assert.ErrorIs(t, g.Rename(2, 3), sessionmap.ErrNotFound, "the former 2 has ended, and 1 is not called so yet")
			}
		})
		user.Set(1, "ada")
		time.Sleep(10 * time.Second)
		user.Set(2, "bob")
		time.Sleep(29 * time.Minute)
		user.Get(1)
		time.Sleep(61 * time.Second)
		require.True(t, g.Contains(1) && !g.Contains(2) && g.Len() == 2)
		require.NoError(t, g.Rename(1, 2))
		require.NoError(t, g.Rename(2, 3))
		l, ok := g.Acquire(3)
		require.True(t, ok)
		assert.Equal(t, l.Key(), l.Value().ID())
		l.Release()
		done := make(chan struct{})
		go func() {
			defer close(done)
			user.Set(3, "eve")
		}()
		<-done
	})
}

func TestChainedRenames(t *testing.T) {
	for _, grace := range []time.Duration{0, time.Hour} {
		wrong, n := 0, 3000
		g := sessionmap.MustNewGroup[int](sessionmap.WithRenameGrace(grace), sessionmap.WithMaxSize(0))
		for i := range n {
			base := 3 * i
			g.Touch(base)
			var wg sync.WaitGroup
			wg.Go(func() { _ = g.Rename(base, base+1) })
			wg.Go(func() {
				for !g.Contains(base + 1) {
				}
				require.NoError(t, g.Rename(base+1, base+2))
			})
			wg.Wait()
			l, ok := g.Acquire(base + 2)
			if !ok {
				t.Fatal("lost")
			}
			if l.Value().ID() != l.Key() {
				wrong++
			}
			l.Release()
			g.Delete(base + 2)
		}
		assert.Zero(t, wrong, "sessions of %d with an ID() that is not their key, grace %v", n, grace)
		g.Close()
	}
}

func TestRefusedAttributeBeginsNothing(t *testing.T) {
	g := sessionmap.MustNewGroup[int](sessionmap.WithMaxSize(2))
	defer g.Close()
	a := sessionmap.NewAttribute[string](g, "user")
	sessionmap.NewIndex(a, itselfOwner, sessionmap.WithOwnerLimit(1, sessionmap.RejectNew))
	require.True(t, a.Set(1, "ada"))
	require.True(t, a.Set(2, "bob"))
	assert.False(t, a.Set(3, "bob"))
	assert.False(t, g.Contains(3), "a session that was refused is there, empty")
	assert.True(t, g.Contains(1), "ada's session was evicted for one that was refused")
}

func TestGuardLooksUnderTheLock(t *testing.T) {
	g := sessionmap.MustNewGroup[int]()
	defer g.Close()
	mu, m := &hookLock{}, map[int]string{}
	sessionmap.NewGuard(g, mu, m)
	g.Touch(1)
	m[1] = "old"
	mu.before = func() { // another goroutine, between the guard's look and its lock
		require.True(t, g.Touch(1))
		mu.Mutex.Lock()
		m[1] = "new"
		mu.Mutex.Unlock()
	}
	g.Delete(1)
	assert.True(t, g.Contains(1))
	assert.Equal(t, map[int]string{1: "new"}, m)
}

func TestGuardAfterRename(t *testing.T) {
	g := sessionmap.MustNewGroup[int]()
	defer g.Close()
	var mu sync.Mutex
	m := map[int]string{}
	sessionmap.NewGuard(g, &mu, m)
	require.True(t, g.Touch(1))
	m[1] = "state"
	require.NoError(t, g.Rename(1, 2))
	require.True(t, g.Delete(2))
	assert.Empty(t, m, "its session has ended, and the key stays for ever")
}

func TestEveryDeleteVetoesLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, del := range map[string]func(m *sessionmap.RobustSessionMap[int, string], x *sessionmap.Index[int, string]){
			"DeleteFunc": func(m *sessionmap.RobustSessionMap[int, string], _ *sessionmap.Index[int, string]) {
				m.DeleteFunc(func(int, string) bool { return true })
			},
			"DeleteBy": func(m *sessionmap.RobustSessionMap[int, string], x *sessionmap.Index[int, string]) { x.DeleteBy("ada") },
			"Update": func(m *sessionmap.RobustSessionMap[int, string], x *sessionmap.Index[int, string]) {
				m.Update(2, func(string, bool) (string, bool) { return "", false })
			},
			"Delete": func(m *sessionmap.RobustSessionMap[int, string], x *sessionmap.Index[int, string]) { m.Delete(2) },
		} {
			for _, renamed := range []bool{false, true} {
				m := sessionmap.MustNew[int, string]()
				x := sessionmap.NewIndex(m, itselfOwner)
				goOn := make(chan struct{})
				go m.GetOrLoad(t.Context(), 2, func(context.Context, int) (string, error) { <-goOn; return "ada", nil })
				synctest.Wait()
				if renamed {
					m.Set(1, "ada")
					require.NoError(t, m.Rename(1, 2))
				} else {
					m.Set(2, "ada")
				}
				del(m, x)
				require.False(t, m.Contains(2))
				close(goOn)
				synctest.Wait()
				assert.False(t, m.Contains(2), "%s, renamed %v: stored though the session was deleted while load ran", name, renamed)
				m.Close()
			}
		}
	})
}

// TestDeleteVetoesALoadThatBeganDuringASet: the set has told the loads under way that it is coming, and then one begins.
func TestDeleteVetoesALoadThatBeganDuringASet(t *testing.T) {
	loadDuringASet(t, func(t *testing.T, m *sessionmap.RobustSessionMap[int, string]) {
		require.Equal(t, 1, m.DeleteFunc(func(int, string) bool { return true }))
	}, func(t *testing.T, m *sessionmap.RobustSessionMap[int, string]) {
		assert.False(t, m.Contains(1), "the load began before the delete")
	})
}

// loadDuringASet has a load of 1 begin while 1 is set. Then the session ends, then the load, and then there is a look.
func loadDuringASet(t *testing.T, end, look func(t *testing.T, m *sessionmap.RobustSessionMap[int, string])) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		var m *sessionmap.RobustSessionMap[int, string]
		m = sessionmap.MustNew[int, string](sessionmap.WithMaxCost(10, func(_ int, value string) int64 {
			if value == "set" {
				go m.GetOrLoad(t.Context(), 1, func(context.Context, int) (string, error) { <-goOn; return "loaded", nil })
				synctest.Wait()
			}
			return 1
		}))
		defer m.Close()
		m.GetOrSet(1, "set")
		end(t, m)
		close(goOn)
		synctest.Wait()
		look(t, m)
	})
}

func TestLoadNilContext(t *testing.T) {
	m := sessionmap.MustNew[int, string]()
	func() {
		defer func() { recover() }()
		var none context.Context
		m.GetOrLoad(none, 1, func(context.Context, int) (string, error) { return "", nil })
	}()
	finish(func() { m.Clear() })
	finish(func() { m.Close() })
}

func TestLoadGoexitInCallback(t *testing.T) {
	m := sessionmap.MustNew[int, string](sessionmap.WithMaxSize(1))
	defer m.Close()
	m.Set(1, "x")
	m.OnRemove(func(int, string, sessionmap.Cause) { runtime.Goexit() })
	v, err := m.GetOrLoad(t.Context(), 2, func(context.Context, int) (string, error) { return "loaded", nil })
	assert.True(t, err != nil || v == "loaded", "got %q, %v", v, err)
}

func TestCloseWaitsForLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var closed atomic.Bool
		m := sessionmap.MustNew[int, string](sessionmap.WithOnRemove(func(k int, v string, c sessionmap.Cause) {
			if closed.Load() {
				t.Errorf("reported after Close has returned: %v %v %v", k, v, c)
			}
		}))
		go m.GetOrLoad(t.Context(), 1, func(context.Context, int) (string, error) { time.Sleep(time.Second); return "v", nil })
		synctest.Wait()
		require.NoError(t, m.Close())
		closed.Store(true)
		time.Sleep(2 * time.Second)
	})
}

func TestLoadedValueStaysOpen(t *testing.T) {
	m := sessionmap.MustNew[int, *closable](sessionmap.WithCloser())
	defer m.Close()
	c := &closable{}
	got, err := m.GetOrLoad(t.Context(), 1, func(_ context.Context, id int) (*closable, error) { m.Set(id, c); return c, nil })
	require.NoError(t, err)
	assert.Same(t, c, got)
	assert.True(t, m.Contains(1))
	assert.Zero(t, c.closed, "closed while it is the session's value")
}

func TestRefusedLiveValueStaysOpen(t *testing.T) {
	m := sessionmap.MustNew[int, *closable](sessionmap.WithCloser())
	defer m.Close()
	sessionmap.NewIndex(m, func(_ int, c *closable) string { return c.user }, sessionmap.WithOwnerLimit(1, sessionmap.RejectNew))
	c := &closable{user: "bob"}
	m.Set(1, &closable{user: "ada"})
	m.Set(2, c)
	m.Update(2, func(old *closable, _ bool) (*closable, bool) { old.user = "ada"; return old, true })
	got, _ := m.Get(2)
	assert.Same(t, c, got)
	assert.Zero(t, c.closed, "closed while it is the session's value")
}

func TestSameFuncStaysOpen(t *testing.T) {
	m := sessionmap.MustNew[int, context.CancelFunc](sessionmap.WithCloser())
	defer m.Close()
	ctx, cancel := context.WithCancel(t.Context())
	m.Set(1, cancel)
	m.Update(1, func(old context.CancelFunc, _ bool) (context.CancelFunc, bool) { return old, true })
	assert.NoError(t, ctx.Err(), "called, though the new value is the same")
}

func TestRefusedSameValueStaysOpen(t *testing.T) {
	m := sessionmap.MustNew[int, *closable](sessionmap.WithCloser())
	defer m.Close()
	c := &closable{}
	m.Set(1, c)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m.SetContext(ctx, 1, c)
	m.SetWithTTL(1, c, -1)
	got, _ := m.Get(1)
	assert.Same(t, c, got)
	assert.Zero(t, c.closed)
}

func TestRenameFormatsWithoutLock(t *testing.T) {
	chattyMap = sessionmap.MustNew[chatty, int]()
	finish(func() { _ = chattyMap.Rename("a", "b") })
}

func TestRefreshHeedsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := sessionmap.MustNew[int, string]()
		defer m.Close()
		x := sessionmap.NewIndex(m, itselfOwner, sessionmap.WithOwnerLimit(1, sessionmap.RejectNew))
		m.Set(1, "ada")
		m.Set(2, "bob")
		m.Refresh(2, func(context.Context, int) (string, error) { return "ada", nil })
		synctest.Wait()
		assert.LessOrEqual(t, x.Count("ada"), 1)
	})
}

func TestGoexitStillReportsReplaced(t *testing.T) {
	var left lines
	m := sessionmap.MustNew[int, *closable]()
	sessionmap.NewIndex(m, func(_ int, c *closable) string { return c.user }, sessionmap.WithOwnerLimit(1, sessionmap.EndOldest))
	m.Set(1, &closable{user: "ada"})
	m.Set(2, &closable{user: "bob"})
	m.OnRemove(func(k int, c *closable, cause sessionmap.Cause) {
		left.add(k, c.user, cause)
		if cause == sessionmap.Evicted {
			runtime.Goexit()
		}
	})
	finish(func() { m.Set(2, &closable{user: "ada"}) })
	assert.Equal(t, []string{"1 ada evicted", "2 bob replaced"}, left.take())
}

func TestGoexitStillCounts(t *testing.T) {
	g := sessionmap.MustNewGroup[int]()
	a := sessionmap.NewAttribute[string](g, "user")
	sessionmap.NewIndex(a, itselfOwner, sessionmap.WithOwnerLimit(1, sessionmap.EndOldest))
	a.Set(1, "ada")
	cancel := g.OnEnd(func(int, sessionmap.Cause) { runtime.Goexit() })
	finish(func() { a.Set(2, "ada") })
	cancel()
	assert.True(t, g.Contains(2))
	s := a.Stats()
	assert.Equal(t, 1, s.Live)
	checkSum(t, s)
	g.Delete(2)
	assert.Zero(t, a.Len())
}

func TestLoadedValueIsNotKept(t *testing.T) {
	m := sessionmap.MustNew[int, *[1 << 16]byte](sessionmap.WithRefreshAfter(time.Hour))
	defer m.Close()
	load := func() weak.Pointer[[1 << 16]byte] {
		v, _ := m.GetOrLoad(t.Context(), 1, func(context.Context, int) (*[1 << 16]byte, error) { return new([1 << 16]byte), nil })
		return weak.Make(v)
	}
	w := load()
	m.Set(1, new([1 << 16]byte))
	for range 5 {
		runtime.GC()
	}
	assert.Nil(t, w.Value(), "the replaced value is kept as long as the session lives")
}

func TestLoadedValueIsNotKeptForGrace(t *testing.T) {
	m := sessionmap.MustNew[int, *[1 << 16]byte](sessionmap.WithRefreshAfter(time.Hour), sessionmap.WithRenameGrace(24*time.Hour))
	defer m.Close()
	load := func() weak.Pointer[[1 << 16]byte] {
		v, _ := m.GetOrLoad(t.Context(), 1, func(context.Context, int) (*[1 << 16]byte, error) { return new([1 << 16]byte), nil })
		return weak.Make(v)
	}
	w := load()
	require.NoError(t, m.Rename(1, 2))
	m.Delete(2)
	for range 5 {
		runtime.GC()
	}
	assert.Nil(t, w.Value(), "the value of a session that has ended is kept for the grace")
}

func TestSetContextBindsItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := sessionmap.MustNew[int, string](sessionmap.WithMaxSize(2))
		defer m.Close()
		m.Set(0, "x")
		m.Set(9, "x")
		cancelHook := m.OnRemove(func(k int, _ string, c sessionmap.Cause) {
			if c == sessionmap.Evicted && k == 0 { // stands for another goroutine between Set and BindContext
				m.Delete(1)
				m.Set(1, "another's")
			}
		})
		ctx, cancel := context.WithCancel(t.Context())
		m.SetContext(ctx, 1, "mine")
		cancelHook()
		cancel()
		synctest.Wait()
		v, ok := m.Get(1)
		assert.True(t, ok, "a session that was never set with ctx ended with it")
		assert.Equal(t, "another's", v)
	})
}

func TestPromise10MissTakesNoLockInGrace(t *testing.T) {
	m := sessionmap.MustNew[int, string](sessionmap.WithRenameGrace(time.Hour))
	defer m.Close()
	m.Set(1, "a")
	require.NoError(t, m.Rename(1, 2))
	sessionmap.WithLock(m, func() {
		finish(func() { m.Get(77) })
		finish(func() { m.Contains(77) })
	})
}

func TestUpdateByOldKey(t *testing.T) {
	m := sessionmap.MustNew[int, string](sessionmap.WithRenameGrace(time.Hour))
	defer m.Close()
	m.Set(1, "a")
	require.NoError(t, m.Rename(1, 2))
	v, ok := m.Get(1)
	require.True(t, ok)
	require.Equal(t, "a", v)
	m.Update(1, func(old string, ok bool) (string, bool) {
		assert.True(t, ok, "Get finds it, Update does not")
		return "", false
	})
	assert.False(t, m.Contains(1), "deleting by the old key, by Update")
}

func TestOwnersOvershootHeals(t *testing.T) {
	m := sessionmap.MustNew[int, string]()
	defer m.Close()
	for i := range 5 {
		m.Set(i, "ada")
	}
	x := sessionmap.NewIndex(m, itselfOwner, sessionmap.WithOwnerLimit(2, sessionmap.EndOldest))
	m.Set(10, "ada")
	m.Set(11, "ada")
	m.Set(12, "ada")
	assert.LessOrEqual(t, x.Count("ada"), 2)
}

func TestAttributeLenNeverNegative(t *testing.T) {
	g := sessionmap.MustNewGroup[int]()
	defer g.Close()
	user := sessionmap.NewAttribute[string](g, "user")
	sessionmap.NewIndex(user, itselfOwner, sessionmap.WithOwnerLimit(1, sessionmap.EndOldest))
	user.Set(1, "ada")
	g.OnEnd(func(id int, _ sessionmap.Cause) {
		if id == 1 {
			g.Delete(2)
			assert.GreaterOrEqual(t, user.Len(), 0)
		}
	})
	user.Set(2, "ada")
}

// TestNewIndexMissesNobody: sessions set while an index is made are in it.
func TestNewIndexMissesNobody(t *testing.T) {
	for name, make := range map[string]func() (in sessionmap.Indexed[int, string], set func(int, string) bool){
		"map": func() (sessionmap.Indexed[int, string], func(int, string) bool) {
			m := sessionmap.MustNew[int, string]()
			return m, m.Set
		},
		"attribute": func() (sessionmap.Indexed[int, string], func(int, string) bool) {
			a := sessionmap.NewAttribute[string](sessionmap.MustNewGroup[int](), "user")
			return a, a.Set
		},
	} {
		t.Run(name, func(t *testing.T) {
			const sessions = 20
			for range 500 {
				in, set := make()
				var ready atomic.Int32
				meet := func() {
					for ready.Add(1); ready.Load() < 2; {
						runtime.Gosched()
					}
				}
				var index *sessionmap.Index[int, string]
				var wg sync.WaitGroup
				wg.Go(func() {
					meet()
					for id := range sessions {
						set(id, "ada")
					}
				})
				wg.Go(func() {
					meet()
					index = sessionmap.NewIndex(in, itselfOwner)
				})
				wg.Wait()
				require.Equal(t, sessions, index.Count("ada"))
			}
		})
	}
}

func TestCloseForgetsKeys(t *testing.T) {
	m := sessionmap.MustNew[int, int](sessionmap.WithTombstones(time.Hour), sessionmap.WithRenameGrace(time.Hour), sessionmap.WithLoadErrorTTL(time.Hour))
	for i := range 1000 {
		m.Delete(i)
	}
	m.Set(2000, 1)
	require.NoError(t, m.Rename(2000, 2001)) // leaves a tombstone, too
	_, err := m.GetOrLoad(t.Context(), 3000, func(context.Context, int) (int, error) { return 0, errors.ErrUnsupported })
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.Equal(t, 1003, sessionmap.Remembered(m))
	m.Close()
	assert.Zero(t, sessionmap.Remembered(m))
}

func TestTombstoneOfFormerName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := sessionmap.MustNew[int, int](sessionmap.WithTombstones(time.Hour), sessionmap.WithRenameGrace(time.Minute))
		defer m.Close()
		m.Set(1, 1)
		require.NoError(t, m.Rename(1, 2))
		m.Delete(2)
		assert.False(t, m.Set(1, 1))
		time.Sleep(2 * time.Minute)
		assert.False(t, m.Set(2, 1))
		assert.False(t, m.Set(1, 1), "a straggler sets the deleted session under its former name")
	})
}

func TestRunReleasesAfterGoexit(t *testing.T) {
	g := sessionmap.MustNewGroup[int]()
	defer g.Close()
	g.OnEnd(func(int, sessionmap.Cause) { runtime.Goexit() })
	finish(func() { g.Run(t.Context(), 1, func(context.Context, *sessionmap.Session[int]) error { return nil }) })
	assert.Zero(t, g.Stats().Leases)
}

func TestRefreshAfterGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := sessionmap.MustNew[int, string]()
		defer m.Close()
		sessionmap.NewIndex(m, func(_ int, v string) string {
			if v == "exit" {
				runtime.Goexit()
			}
			return v
		})
		m.Set(1, "a")
		m.Refresh(1, func(context.Context, int) (string, error) { return "exit", nil })
		synctest.Wait()
		assert.True(t, m.Refresh(1, func(context.Context, int) (string, error) { return "b", nil }), "never again refreshed")
	})
}

// TestCostGoexit: a value whose cost function ends the goroutine is rejected, and who waits for its load is told.
func TestCostGoexit(t *testing.T) {
	var left removals
	m := sessionmap.MustNew[int, int](left.option(), sessionmap.WithMaxCost(10, func(int, int) int64 { runtime.Goexit(); return 1 }))
	defer m.Close()
	_, err := m.GetOrLoad(t.Context(), 1, func(context.Context, int) (int, error) { return 1, nil })
	assert.ErrorIs(t, err, sessionmap.ErrLoad)
	for value, set := range []func(value int){
		func(value int) { m.Set(1, value) },
		func(value int) { m.GetOrSet(1, value) },
		func(value int) { m.Update(1, func(int, bool) (int, bool) { return value, true }) },
	} {
		left.take()
		finish(func() { set(value) })
		assert.Equal(t, []removal{{1, value, sessionmap.Rejected}}, left.take())
	}
}

func TestCostGoexitOfAttribute(t *testing.T) {
	g := newGroup(t)
	var left removals
	a := sessionmap.NewAttribute[int](g, "a", left.option(), sessionmap.WithCost(func(int, int) int64 { runtime.Goexit(); return 1 }))
	finish(func() { a.Set(1, 2) })
	assert.Equal(t, []removal{{1, 2, sessionmap.Rejected}}, left.take())
}

// TestRefreshCostGoexit: the value that was loaded anew is reported.
func TestRefreshCostGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var left removals
		m := newMap[int, int](t, left.option(), sessionmap.WithCost(func(_, value int) int64 {
			if value == 2 {
				runtime.Goexit()
			}
			return 1
		}))
		m.Set(1, 1)
		m.Refresh(1, func(context.Context, int) (int, error) { return 2, nil })
		synctest.Wait()
		assert.Equal(t, []removal{{1, 2, sessionmap.Rejected}}, left.take())
	})
}

// TestCostOnceForAnIndex: an index that comes later does not ask for the cost again.
func TestCostOnceForAnIndex(t *testing.T) {
	g := newGroup(t)
	asked := 0
	a := sessionmap.NewAttribute[int](g, "a", sessionmap.WithCost(func(int, int) int64 { asked++; return int64(8 - 5*asked) }))
	assert.True(t, a.Set(1, 2))
	x := sessionmap.NewIndex(a, func(_, value int) int { return value })
	assert.Equal(t, []int{1}, slices.Collect(x.Of(2)))
	assert.EqualValues(t, 3, g.Stats().Cost)
}

// An exitingHandler ends the goroutine that logs.
type exitingHandler struct{ slog.Handler }

func (exitingHandler) Enabled(context.Context, slog.Level) bool { runtime.Goexit(); return false }
func (h exitingHandler) WithAttrs([]slog.Attr) slog.Handler     { return h }

func TestLoggerGoexitLosesNoValue(t *testing.T) {
	var left removals
	m := sessionmap.MustNew[int, int](left.option(), sessionmap.WithLogger(slog.New(exitingHandler{})), sessionmap.WithCost(func(int, int) int64 { return -1 }))
	defer m.Close()
	finish(func() { m.SetWithTTL(1, 1, -1) })
	finish(func() { m.Set(1, 2) })
	assert.Equal(t, []removal{{1, 1, sessionmap.Rejected}, {1, 2, sessionmap.Rejected}}, left.take())
}

// A closingHandler calls its function the first time that something is logged.
type closingHandler struct {
	slog.Handler
	once  *sync.Once
	close func()
}

func (h closingHandler) Enabled(context.Context, slog.Level) bool { h.once.Do(h.close); return false }
func (h closingHandler) WithAttrs([]slog.Attr) slog.Handler       { return h }

// TestCloseInLogger: Close does not wait for a sweep or refresh that has logged and so called it.
func TestCloseInLogger(t *testing.T) {
	for name, logs := range map[string]func(m *sessionmap.RobustSessionMap[int, int]){
		"refresh": func(m *sessionmap.RobustSessionMap[int, int]) {
			m.Refresh(1, func(context.Context, int) (int, error) { return 0, errors.ErrUnsupported })
		},
		"sweep": func(m *sessionmap.RobustSessionMap[int, int]) {
			lease, _ := m.Acquire(1)
			t.Cleanup(lease.Release)
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			err := errors.ErrUnsupported
			var m *sessionmap.RobustSessionMap[int, int]
			m = sessionmap.MustNew[int, int](sessionmap.WithTTL(time.Hour), sessionmap.WithLogger(slog.New(closingHandler{once: new(sync.Once), close: func() { err = m.Close() }})))
			m.Set(1, 1)
			logs(m)
			time.Sleep(3 * time.Hour)
			synctest.Wait()
			assert.NoError(t, err, name)
		})
	}
}

// TestEventOlderThanARename: it means another session that was called so.
func TestEventOlderThanARename(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var deleted func(int, time.Time)
		m := newMap[int, int](t, sessionmap.WithRenameGrace(time.Minute), toldBy(&deleted))
		m.Set(1, 1)
		time.Sleep(time.Second)
		m.Set(2, 2)
		time.Sleep(time.Second)
		m.Delete(2)
		late := time.Now()
		time.Sleep(time.Second)
		require.NoError(t, m.Rename(1, 2))
		deleted(2, late)
		assert.True(t, m.Contains(2), "the event meant the former session 2")
		deleted(1, late)
		assert.False(t, m.Contains(2), "it was called 1 then")
	})
}

// TestLoadErrorWithoutValue: a value that was rejected, and perhaps closed, is not handed out.
func TestLoadErrorWithoutValue(t *testing.T) {
	m := sessionmap.MustNew[int, int]()
	defer m.Close()
	value, err := m.GetOrLoad(t.Context(), 1, func(context.Context, int) (int, error) { m.Delete(1); return 1, nil })
	assert.Error(t, err)
	assert.Zero(t, value)
}

// A stubbornContext cannot be left.
type stubbornContext struct{ context.Context }

func (stubbornContext) Done() <-chan struct{}               { return make(chan struct{}) }
func (stubbornContext) AfterFunc(func()) (stop func() bool) { return func() bool { panic("no") } }

func TestContextThatPanics(t *testing.T) {
	var left removals
	m := newMap[int, int](t, left.option())
	m.Set(1, 1)
	require.True(t, m.BindContext(stubbornContext{t.Context()}, 1))
	assert.True(t, m.Delete(1))
	assert.Equal(t, []removal{{1, 1, sessionmap.Deleted}}, left.take())
	assert.EqualValues(t, 1, m.Stats().CallbackPanics)
}

// TestSetDuringRename: a session that moves while a value's cost is asked is there all the same, and takes the value.
func TestSetDuringRename(t *testing.T) {
	t.Run("attribute", func(t *testing.T) {
		g := groupOf[string](t, sessionmap.WithRenameGrace(time.Minute))
		rename := false
		a := sessionmap.NewAttribute[int](g, "a", sessionmap.WithCost(func(string, int) int64 {
			if rename {
				rename = false
				require.NoError(t, g.Rename("s", "t"))
			}
			return 1
		}))
		a.Set("s", 1)
		rename = true
		assert.True(t, a.Set("s", 2))
		v, _ := a.Get("t")
		assert.Equal(t, 2, v)
		assert.Zero(t, a.Stats().Removals[sessionmap.Rejected])
	})
	t.Run("Update", func(t *testing.T) {
		m := newMap[string, int](t, sessionmap.WithRenameGrace(time.Minute), sessionmap.WithCost(func(string, int) int64 { return 1 }))
		m.Set("s", 7)
		v, ok := m.Update("s", func(old int, _ bool) (int, bool) {
			_ = m.Rename("s", "t")
			return old + 1, true
		})
		assert.True(t, ok)
		assert.Equal(t, 8, v)
		got, _ := m.Get("t")
		assert.Equal(t, 8, got)
	})
}

// TestUpdateOfWhatEnds: a session that ends while Update computes is gone, whatever the new value costs.
func TestUpdateOfWhatEnds(t *testing.T) {
	for _, cost := range []int64{1, -1} {
		m := newMap[string, int](t, silent, sessionmap.WithTombstones(time.Minute), sessionmap.WithCost(func(_ string, v int) int64 { return cost * int64(v) }))
		m.Set("s", 0)
		v, ok := m.Update("s", func(int, bool) (int, bool) { m.Delete("s"); return 8, true })
		assert.False(t, ok, "cost %d: %v", cost, v)
	}
}

// TestAttributeRemovedWhileItsGroupEnds: the removal finds the session gone; no value that never was is reported.
func TestAttributeRemovedWhileItsGroupEnds(t *testing.T) {
	for name, end := range map[string]func(g *sessionmap.Group[string]){
		"Close":  func(g *sessionmap.Group[string]) { g.Close() },
		"Delete": func(g *sessionmap.Group[string]) { g.Delete("s") },
	} {
		t.Run(name, func(t *testing.T) {
			g := groupOf[string](t, sessionmap.WithTombstones(time.Minute))
			a := sessionmap.NewAttribute[int](g, "a", sessionmap.WithCost(func(string, int) int64 { return 1 }))
			b := sessionmap.NewAttribute[*int](g, "b", sessionmap.WithCost(func(string, *int) int64 { return 1 }))
			a.Set("s", 7)
			b.Set("s", new(int))
			a.Update("s", func(int, bool) (int, bool) {
				b.Update("s", func(*int, bool) (*int, bool) { end(g); return nil, false })
				return 0, false
			})
			assert.Zero(t, a.Stats().Removals[sessionmap.Rejected])
			assert.Zero(t, b.Stats().Removals[sessionmap.Rejected])
			assert.NoError(t, sessionmap.CheckGroup(g))
		})
	}
}

// TestOwnerAskedUnhashable: nobody can be such an owner, and the map goes on.
func TestOwnerAskedUnhashable(t *testing.T) {
	m := newMap[string, int](t)
	x := sessionmap.NewIndex[any](m, func(string, int) any { return "ada" })
	m.Set("a", 1)
	for range x.Of([]int{1}) {
		t.Error("somebody is owned")
	}
	assert.Zero(t, x.DeleteBy([]int{1}))
	assert.Zero(t, x.Count([]int{1}))
	assert.True(t, m.Set("b", 1))
	assert.Equal(t, 2, x.Count("ada"))
}

// TestGoexitWhileMakingRoom: a value is stored or rejected, though a callback ends the goroutine before that.
func TestGoexitWhileMakingRoom(t *testing.T) {
	byValue := sessionmap.WithMaxCost(100, func(_ string, v int64) int64 { return v })
	for name, set := range map[string]func(m *sessionmap.RobustSessionMap[string, int64]){
		"Set":      func(m *sessionmap.RobustSessionMap[string, int64]) { m.Set("new", 100) },
		"GetOrSet": func(m *sessionmap.RobustSessionMap[string, int64]) { m.GetOrSet("new", 100) },
		"GetOrLoad": func(m *sessionmap.RobustSessionMap[string, int64]) {
			_, _ = m.GetOrLoad(context.Background(), "new", func(context.Context, string) (int64, error) { return 100, nil })
		},
		"Update": func(m *sessionmap.RobustSessionMap[string, int64]) {
			m.Update("b", func(int64, bool) (int64, bool) { return 100, true })
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMap[string, int64](t, byValue)
				left := map[int64]sessionmap.Cause{}
				m.OnRemove(func(_ string, v int64, cause sessionmap.Cause) {
					left[v] = cause
					if cause == sessionmap.EvictedCost {
						runtime.Goexit()
					}
				})
				m.Set("a", 39)
				m.Set("c", 20)
				m.Set("b", 41)
				finish(func() { set(m) })
				synctest.Wait()
				there := false
				for _, v := range m.All() {
					there = there || v == 100
				}
				assert.True(t, there || left[100] == sessionmap.Rejected, "%v", left)
				assert.NoError(t, sessionmap.CheckInvariants(m))
			})
		})
	}
	t.Run("attribute", func(t *testing.T) {
		g := groupOf[string](t, sessionmap.WithMaxTotalCost(100))
		left := map[int64]sessionmap.Cause{}
		a := sessionmap.NewAttribute[int64](g, "a", sessionmap.WithCost(func(_ string, v int64) int64 { return v }),
			sessionmap.WithOnRemove(func(_ string, v int64, cause sessionmap.Cause) {
				left[v] = cause
				if cause == sessionmap.EvictedCost {
					runtime.Goexit()
				}
			}))
		a.Set("a", 40)
		a.Set("b", 41)
		finish(func() { a.Set("new", 100) })
		_, there := a.Get("new")
		assert.True(t, there || left[100] == sessionmap.Rejected, "%v", left)
		assert.Equal(t, int(a.Stats().Sets)-len(left), a.Len())
	})
}

// TestOwnerGoexitStillReportsReplaced: an index comes while a value is set, and its function ends the goroutine when it is
// asked once more.
func TestOwnerGoexitStillReportsReplaced(t *testing.T) {
	type setter interface {
		Set(key string, value int) bool
	}
	for name, build := range map[string]func(cost func(string, int) int64, left func(string, int, sessionmap.Cause)) (setter, sessionmap.Indexed[string, int]){
		"map": func(cost func(string, int) int64, left func(string, int, sessionmap.Cause)) (setter, sessionmap.Indexed[string, int]) {
			m := newMap[string, int](t, sessionmap.WithCost(cost), sessionmap.WithOnRemove(left))
			return m, m
		},
		"attribute": func(cost func(string, int) int64, left func(string, int, sessionmap.Cause)) (setter, sessionmap.Indexed[string, int]) {
			a := sessionmap.NewAttribute[int](groupOf[string](t), "a", sessionmap.WithCost(cost), sessionmap.WithOnRemove(left))
			return a, a
		},
	} {
		t.Run(name, func(t *testing.T) {
			var in sessionmap.Indexed[string, int]
			left := map[int]sessionmap.Cause{}
			exit, armed := false, false
			s, in := build(func(string, int) int64 {
				if armed {
					armed = false
					sessionmap.NewIndex[int](in, func(string, int) int {
						if exit {
							runtime.Goexit()
						}
						return 0
					})
					exit = true
				}
				return 1
			}, func(_ string, v int, cause sessionmap.Cause) { left[v] = cause })
			s.Set("k", 1)
			armed = true
			finish(func() { s.Set("k", 2) })
			assert.Equal(t, map[int]sessionmap.Cause{1: sessionmap.Replaced}, left)
		})
	}
}

// TestWalksMeetTheRenamed: who is renamed during a walk over all sessions is not passed over.
func TestWalksMeetTheRenamed(t *testing.T) {
	all := []string{"a", "b", "c"}
	renameAll := func(rename func(old, new string) error) func() {
		return sync.OnceFunc(func() {
			for _, id := range all {
				require.NoError(t, rename(id, id+"2"))
			}
		})
	}
	t.Run("NewIndex", func(t *testing.T) {
		m := newMap[string, int](t)
		for _, id := range all {
			m.Set(id, 1)
		}
		rename := renameAll(m.Rename)
		x := sessionmap.NewIndex[string](m, func(string, int) string { rename(); return "ada" })
		assert.Equal(t, len(all), x.Count("ada"))
		assert.Equal(t, len(all), x.DeleteBy("ada"))
		assert.Zero(t, m.Len())
	})
	t.Run("NewIndex of an attribute", func(t *testing.T) {
		g := groupOf[string](t)
		a := sessionmap.NewAttribute[int](g, "a")
		for _, id := range all {
			a.Set(id, 1)
		}
		rename := renameAll(g.Rename)
		x := sessionmap.NewIndex[string](a, func(string, int) string { rename(); return "ada" })
		assert.Equal(t, len(all), x.Count("ada"))
	})
	t.Run("DeleteFunc", func(t *testing.T) {
		m := newMap[string, int](t)
		for _, id := range all {
			m.Set(id, 1)
		}
		rename := renameAll(m.Rename)
		assert.Equal(t, len(all), m.DeleteFunc(func(string, int) bool { rename(); return true }))
		assert.Zero(t, m.Len())
		assert.Zero(t, sessionmap.Walks(m))
	})
}

// TestEndOfAllBehindABlockedCallback: contexts and leases end, though the first callback never returns.
func TestEndOfAllBehindABlockedCallback(t *testing.T) {
	for name, end := range map[string]func(m *sessionmap.RobustSessionMap[int, int]){
		"Close": func(m *sessionmap.RobustSessionMap[int, int]) {
			assert.ErrorIs(t, m.Close(), sessionmap.ErrCloseTimeout)
		},
		"Clear": func(m *sessionmap.RobustSessionMap[int, int]) { go m.Clear() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMap[int, int](t, silent, sessionmap.WithMaxSize(0))
				var contexts []context.Context
				for i := range 1000 {
					m.Set(i, i)
					ctx, _ := m.SessionContext(i)
					contexts = append(contexts, ctx)
				}
				unblock := make(chan struct{})
				m.OnRemove(func(int, int, sessionmap.Cause) { <-unblock })
				end(m)
				synctest.Wait()
				for _, ctx := range contexts {
					require.Error(t, ctx.Err())
				}
				close(unblock)
				synctest.Wait()
				assert.Zero(t, m.Stats().Live)
			})
		})
	}
}

// A contextWithStop has functions that call fn when they are stopped.
type contextWithStop struct {
	context.Context
	fn func()
}

func (contextWithStop) Done() <-chan struct{} { return make(chan struct{}) }
func (c contextWithStop) AfterFunc(func()) (stop func() bool) {
	return func() bool { c.fn(); return true }
}

// TestContextWhoseStopPanics: the context of a map may be of any kind.
func TestContextWhoseStopPanics(t *testing.T) {
	m := newMap[string, int](t, silent, sessionmap.WithContext(contextWithStop{context.Background(), func() { panic("stop") }}))
	assert.NoError(t, m.Close())
	assert.EqualValues(t, 1, m.Stats().CallbackPanics)
}

// TestStopGoexitEndsTheRest: a context whose stop function ends its goroutine does not keep the session's own from ending.
func TestStopGoexitEndsTheRest(t *testing.T) {
	m := newMap[string, int](t)
	m.Set("a", 1)
	require.True(t, m.BindContext(contextWithStop{context.Background(), runtime.Goexit}, "a"))
	ctx, _ := m.SessionContext("a")
	finish(func() { m.Delete("a") })
	assert.Error(t, ctx.Err())
}

// TestFormerIDReportsThePresentOne: what is done to an attribute by a former id is reported under the present one, as on a map.
func TestFormerIDReportsThePresentOne(t *testing.T) {
	var ids []string
	g := groupOf[string](t, sessionmap.WithRenameGrace(time.Minute))
	a := sessionmap.NewAttribute[int](g, "a", sessionmap.WithOnRemove(func(id string, _ int, _ sessionmap.Cause) { ids = append(ids, id) }))
	a.Set("old", 1)
	require.NoError(t, g.Rename("old", "new"))
	a.Set("old", 2)
	a.Take("old")
	assert.Equal(t, []string{"new", "new"}, ids)
}

// aLoad begins a load of key that ends with value once it is told to. The test has a bubble.
func aLoad(m *sessionmap.RobustSessionMap[string, int], key string, value int) (ctx context.Context, end func() (int, error)) {
	type result struct {
		value int
		err   error
	}
	ended, got := make(chan struct{}), make(chan result, 1)
	go func() {
		value, err := m.GetOrLoad(context.Background(), key, func(loading context.Context, _ string) (int, error) {
			ctx = loading
			<-ended
			return value, nil
		})
		got <- result{value, err}
	}()
	synctest.Wait()
	return ctx, func() (int, error) {
		close(ended)
		r := <-got
		return r.value, r.err
	}
}

// TestCloseCancelsAllLoads: also one that is not to be stored, for its key was set meanwhile.
func TestCloseCancelsAllLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMap[string, int](t)
		ctx, end := aLoad(m, "a", 1)
		m.Set("a", 2)
		assert.NoError(t, ctx.Err(), "somebody waits for it")
		go m.Close()
		synctest.Wait()
		assert.Error(t, ctx.Err())
		_, err := end()
		assert.ErrorIs(t, err, sessionmap.ErrRefused)
	})
}

// TestDeleteByVetoesNoLaterLoad: a load that begins once its session has ended is stored, though DeleteBy comes to that
// session later.
func TestDeleteByVetoesNoLaterLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMap[string, int](t)
		index := sessionmap.NewIndex(m, func(string, int) string { return "ada" })
		m.Set("a", 1)
		m.Set("b", 2)
		var end func() (int, error)
		m.OnRemove(func(key string, _ int, _ sessionmap.Cause) {
			if key == "a" {
				m.Delete("b")
				_, end = aLoad(m, "b", 3)
			}
		})
		assert.Equal(t, 1, index.DeleteBy("ada"))
		v, err := end()
		assert.NoError(t, err)
		assert.Equal(t, 3, v)
		assert.True(t, m.Contains("b"))
	})
}

// TestLoadOfWhatWasSetTakesNoRoom: nobody gives way to a loaded value that is not stored, for its key was set meanwhile, and
// who waits gets what was set though the loaded value could not be.
func TestLoadOfWhatWasSetTakesNoRoom(t *testing.T) {
	for _, cost := range []int{4, 100} {
		synctest.Test(t, func(t *testing.T) {
			m := newMap[string, int](t, sessionmap.WithMaxCost(5, func(_ string, v int) int64 { return int64(v) }))
			_, end := aLoad(m, "a", cost)
			m.Set("b", 3)
			m.Set("a", 1)
			value, err := end()
			assert.NoError(t, err)
			assert.Equal(t, 1, value)
			assert.True(t, m.Contains("b"))
		})
	}
}

// TestRefreshIsNoAccess: also where others give way to the new value, and it is the least recently accessed.
func TestRefreshIsNoAccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMap[string, int](t, sessionmap.WithMaxCost(5, func(_ string, v int) int64 { return int64(v) }))
		for _, key := range []string{"a", "b", "c"} {
			m.Set(key, 1)
		}
		accessed := time.Now()
		time.Sleep(time.Second)
		m.Refresh("a", func(context.Context, string) (int, error) { return 4, nil })
		synctest.Wait()
		assert.False(t, m.Contains("b"))
		entry, _ := m.Entry("a")
		assert.Equal(t, accessed, entry.LastAccess)
		for key := range m.Oldest() {
			assert.Equal(t, "a", key)
			break
		}
	})
}

// TestExpiredSessionVetoesNoLoad: the end of the context of a session that has expired, or a delete of its owner's, leaves the
// load for the next of its key alone.
func TestExpiredSessionVetoesNoLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMap[string, int](t, sessionmap.WithTTL(time.Second), sessionmap.WithSweepInterval(time.Hour))
		users := sessionmap.NewIndex(m, func(string, int) string { return "user" })
		for _, end := range []func(cancel func()){
			func(cancel func()) { cancel() },
			func(func()) { users.DeleteBy("user") },
		} {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			m.SetContext(ctx, "a", 1)
			time.Sleep(time.Minute)
			_, loaded := aLoad(m, "a", 2)
			end(cancel)
			synctest.Wait()
			value, err := loaded()
			assert.NoError(t, err)
			assert.Equal(t, 2, value)
		}
	})
}

// TestAccessAcrossClear: an access that began before a Clear, and found a session that was set after it, is no later than
// what comes next. A sweep would look for the oldest session for ever.
func TestAccessAcrossClear(t *testing.T) {
	onEveryClock(t, func(t *testing.T, clock clockKind) {
		m := newMapWith[int, int](t, clock, sessionmap.WithTTL(time.Hour))
		defer m.Close()
		assert.True(t, sessionmap.TouchAcrossClear(m, 1))
	})
}

// TestDeleteFuncAcrossClear: one that has begun before a Clear does not wait for its callbacks.
func TestDeleteFuncAcrossClear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMap[int, int](t)
		for k := range 1000 {
			m.Set(k, k)
		}
		unblock := make(chan struct{})
		m.OnRemove(func(int, int, sessionmap.Cause) { <-unblock })
		n := m.DeleteFunc(func(int, int) bool {
			go m.Clear()
			synctest.Wait()
			return true
		})
		assert.Zero(t, n)
		close(unblock)
	})
}

// TestDeleteAfterTheAlertThatCloses: what is deleted on a closed map sets no timer, be it that the last alert closed it.
func TestDeleteAfterTheAlertThatCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m *sessionmap.RobustSessionMap[int, int]
		alerts := 0
		m = newMap[int, int](t, sessionmap.WithMaxSize(10), sessionmap.WithTombstones(time.Hour), sessionmap.WithAlerts(sessionmap.AlertRules{}, func(sessionmap.Alert) {
			alerts++
			assert.NoError(t, m.Close())
		}))
		for key := range 10 {
			m.Set(key, key)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, 1, alerts)
		for range 3 {
			m.Delete(1)
			assert.False(t, sessionmap.Watching(m))
			time.Sleep(time.Minute)
		}
	})
}

// TestEventForAMiddleName: an event that is older than a key's first rename means another session, also after the second.
func TestEventForAMiddleName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var deleted func(int, time.Time)
		m := newMap[int, int](t, sessionmap.WithRenameGrace(time.Minute), toldBy(&deleted))
		m.Set(1, 1)
		time.Sleep(time.Second)
		late := time.Now()
		time.Sleep(time.Second)
		require.NoError(t, m.Rename(1, 2))
		require.NoError(t, m.Rename(2, 3))
		deleted(2, late)
		assert.True(t, m.Contains(3), "the event meant a former session 2")
		deleted(2, time.Now())
		assert.False(t, m.Contains(3), "it was called 2 just now")
	})
}

// TestLeaseDoesNotPinOthers: who holds a lease, or has held one, does not hold the sessions that were cleared with its own.
func TestLeaseDoesNotPinOthers(t *testing.T) {
	type id [32]byte // of an allocation of its own
	m := sessionmap.MustNew[*id, int]()
	defer m.Close()
	sessionmap.NewIndex(m, func(*id, int) string { return "ada" })
	var leased, other [2]*id
	var leases [2]*sessionmap.Lease[*id, int]
	var gone [2]weak.Pointer[id]
	for i := range 2 {
		leased[i], other[i] = new(id), new(id)
		gone[i] = weak.Make(other[i])
		m.Set(leased[i], i)
		m.Set(other[i], i)
		leases[i], _ = m.Acquire(leased[i])
		m.Clear()
	}
	leases[0].Release()
	other = [2]*id{}
	for range 3 {
		runtime.GC()
	}
	assert.Nil(t, gone[0].Value(), "released")
	assert.Nil(t, gone[1].Value(), "held")
	runtime.KeepAlive(leases)
	runtime.KeepAlive(leased)
}

// TestNilContext: no method takes one, and nothing is lost by it.
func TestNilContext(t *testing.T) {
	m := newMap[int, int](t)
	m.Set(1, 1)
	var none context.Context
	assert.PanicsWithValue(t, "sessionmap: BindContext: want a context, got nil", func() { m.BindContext(none, 1) })
	assert.PanicsWithValue(t, "sessionmap: SetContext: want a context, got nil", func() { m.SetContext(none, 1, 2) })
	v, ok := m.Get(1)
	assert.True(t, ok)
	assert.Equal(t, 1, v)
}

// TestNewIndexOverTheExpired: what is expired and has met no sweep yet is not waited for.
func TestNewIndexOverTheExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMap[int, string](t, sessionmap.WithTTL(time.Minute), sessionmap.WithSweepInterval(time.Hour))
		for range 2 { // after the first no sweep comes for an hour
			m.Set(1, "ada")
			time.Sleep(2 * time.Minute)
		}
		require.Equal(t, 1, m.Len())
		m.Set(2, "ada")
		assert.Equal(t, 1, sessionmap.NewIndex(m, itselfOwner).Count("ada"))
	})
}

// TestRenameGoexit: where the report of an expired session ends the goroutine nothing has been renamed yet.
func TestRenameGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, sessionmap.WithTTL(time.Minute), sessionmap.WithSweepInterval(time.Hour))
		guarded := map[int]string{1: "moved"}
		for range 2 { // after the first no sweep comes for an hour
			g.Touch(2)
			time.Sleep(2 * time.Minute)
		}
		require.Equal(t, 1, g.Len())
		sessionmap.NewGuard(g, &sync.Mutex{}, guarded)
		defer g.OnEnd(func(int, sessionmap.Cause) { runtime.Goexit() })()
		finish(func() { _ = g.Rename(1, 2) })
		assert.True(t, g.Contains(1))
		assert.Equal(t, map[int]string{1: "moved"}, guarded)
	})
}

// TestGuardOfAnExpiredSession: what a guarded map has of a session that is expired goes before another of its id begins, or
// is renamed to it.
func TestGuardOfAnExpiredSession(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(g *sessionmap.Group[int], a *sessionmap.Attribute[int, string])
		want map[int]string
	}{
		"touch":         {func(g *sessionmap.Group[int], _ *sessionmap.Attribute[int, string]) { g.Touch(2) }, map[int]string{1: "mine"}},
		"set attribute": {func(_ *sessionmap.Group[int], a *sessionmap.Attribute[int, string]) { a.Set(2, "x") }, map[int]string{1: "mine"}},
		"begin":         {func(g *sessionmap.Group[int], _ *sessionmap.Attribute[int, string]) { g.Begin(2) }, map[int]string{1: "mine"}},
		"rename":        {func(g *sessionmap.Group[int], _ *sessionmap.Attribute[int, string]) { _ = g.Rename(1, 2) }, map[int]string{2: "mine"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGroup(t, sessionmap.WithTTL(time.Minute), sessionmap.WithSweepInterval(time.Hour))
				a := sessionmap.NewAttribute[string](g, "")
				guarded := map[int]string{}
				sessionmap.NewGuard(g, &sync.Mutex{}, guarded)
				for range 2 { // after the first no sweep comes for an hour
					g.Touch(2)
					time.Sleep(2 * time.Minute)
				}
				guarded[2] = "stale"
				g.Touch(1)
				guarded[1] = "mine"
				c.do(g, a)
				assert.Equal(t, c.want, guarded)
			})
		})
	}
}

// TestGuardOfAFormerID: nothing is to be put under it, where it would be left.
func TestGuardOfAFormerID(t *testing.T) {
	g := newGroup(t, sessionmap.WithRenameGrace(time.Hour))
	guard := sessionmap.NewGuard(g, &sync.Mutex{}, map[int]string{})
	require.True(t, guard.Touch(1))
	require.NoError(t, g.Rename(1, 2))
	assert.False(t, guard.Touch(1))
	assert.True(t, guard.Touch(2))
	assert.Equal(t, 1, g.Len())
}

// TestDeleteByOfWhatChangedHands: a session that is another owner's by the time it would be ended stays.
func TestDeleteByOfWhatChangedHands(t *testing.T) {
	m := newMap[int, string](t)
	index := sessionmap.NewIndex(m, itselfOwner)
	m.Set(1, "ada")
	m.Set(2, "ada")
	m.OnRemove(func(key int, _ string, _ sessionmap.Cause) {
		if key == 1 {
			m.Set(2, "bob")
		}
	})
	assert.Equal(t, 1, index.DeleteBy("ada"))
	v, _ := m.Get(2)
	assert.Equal(t, "bob", v)
	m.Set(1, "bob")
	for id := range index.Of("bob") {
		assert.Equal(t, 2, id, "1 is another's by then")
		m.Set(1, "eve")
	}
}

// goexitContext is a context of which the stop function ends the goroutine.
type goexitContext struct{ stubbornContext }

func (goexitContext) AfterFunc(func()) (stop func() bool) {
	return func() bool { runtime.Goexit(); return true }
}

// TestStopGoexitReportsAll: where a context ends the goroutine that leaves it, all values are reported all the same.
func TestStopGoexitReportsAll(t *testing.T) {
	for name, end := range map[string]func(m *sessionmap.RobustSessionMap[int, int]){
		"delete": func(m *sessionmap.RobustSessionMap[int, int]) {
			for key := range 10 {
				finish(func() { m.Delete(key) })
			}
		},
		"sweep": func(m *sessionmap.RobustSessionMap[int, int]) {
			time.Sleep(2 * time.Minute)
			for range 3 {
				finish(func() { m.Sweep() })
			}
		},
		"clear": func(m *sessionmap.RobustSessionMap[int, int]) { finish(func() { m.Clear() }) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var left removals
				m := newMap[int, int](t, left.option(), sessionmap.WithTTL(time.Minute), sessionmap.WithSweepInterval(time.Hour))
				m.Set(-1, 0)
				time.Sleep(2 * time.Minute) // now no sweep comes for an hour
				left.take()
				for key := range 10 {
					m.Set(key, key)
					if key%3 == 1 {
						m.BindContext(goexitContext{stubbornContext{t.Context()}}, key)
					}
				}
				ctx, _ := m.SessionContext(8)
				end(m)
				assert.Len(t, left.take(), 10)
				assert.Zero(t, m.Len())
				assert.Error(t, ctx.Err())
				checkSum(t, m.Stats())
			})
		})
	}
}

// A lateContext tells of its end when it is asked to.
type lateContext struct {
	stubbornContext
	tell func()
	err  error
}

func newLateContext(t *testing.T) *lateContext {
	return &lateContext{stubbornContext: stubbornContext{t.Context()}}
}

func (c *lateContext) Err() error { return c.err }

func (c *lateContext) AfterFunc(f func()) (stop func() bool) {
	c.tell = f
	return func() bool { return false }
}

func (c *lateContext) end() {
	c.err = context.Canceled
	c.tell()
	synctest.Wait()
}

// TestFormerContextEndsNothing: a session is bound to its last context, be the end of the former under way already.
func TestFormerContextEndsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMap[int, int](t)
		first, second := newLateContext(t), newLateContext(t)
		m.Set(1, 1)
		require.True(t, m.BindContext(first, 1))
		first.err = context.Canceled
		sessionmap.WithLock(m, first.tell) // so that what ends the session has begun, and waits
		if !m.BindContext(second, 1) {
			t.Skip("it did not wait long enough")
		}
		synctest.Wait()
		assert.True(t, m.Contains(1))
		second.end()
		assert.False(t, m.Contains(1))
	})
}

// TestSetContextBindsAfterGoexit: a value that is stored is bound though a callback ends the goroutine.
func TestSetContextBindsAfterGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMap[int, int](t)
		m.Set(1, 1)
		cancel := m.OnRemove(func(int, int, sessionmap.Cause) { runtime.Goexit() })
		ctx := newLateContext(t)
		finish(func() { m.SetContext(ctx, 1, 2) })
		cancel()
		require.NotNil(t, ctx.tell)
		ctx.end()
		assert.False(t, m.Contains(1))
	})
}

// TestNewIndexByAge: sessions that an index takes in are in the order in which they began.
func TestNewIndexByAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMap[int, string](t)
		g := newGroup(t)
		a := sessionmap.NewAttribute[string](g, "")
		var want []int
		for key := range 50 {
			m.Set(key, "ada")
			a.Set(key, "ada")
			want = append(want, key)
			time.Sleep(time.Second)
		}
		assert.Equal(t, want, slices.Collect(sessionmap.NewIndex(m, itselfOwner).Of("ada")))
		assert.Equal(t, want, slices.Collect(sessionmap.NewIndex(a, itselfOwner).Of("ada")))
	})
}

// TestNewIndexOfTheSameAgain: the owner that a value has when it is set again counts, also where it is the same pointer.
func TestNewIndexOfTheSameAgain(t *testing.T) {
	type indexed interface {
		sessionmap.Indexed[int, *closable]
		Set(id int, c *closable) bool
	}
	for name, in := range map[string]indexed{
		"map":       newMap[int, *closable](t),
		"attribute": sessionmap.NewAttribute[*closable](newGroup(t), "a"),
	} {
		t.Run(name, func(t *testing.T) {
			v := &closable{user: "ada"}
			in.Set(1, v)
			again := false
			index := sessionmap.NewIndex(in, func(_ int, c *closable) string {
				user := c.user
				if !again {
					again = true
					c.user = "bob"
					in.Set(1, v)
				}
				return user
			})
			assert.Zero(t, index.Count("ada"))
			assert.Equal(t, 1, index.Count("bob"))
		})
	}
}

// TestDeleteFuncThatRenames comes to its end, and meets all.
func TestDeleteFuncThatRenames(t *testing.T) {
	for _, times := range []int{1, 1 << 20} {
		m := newMap[int, int](t)
		for key := range 100 {
			m.Set(key, key)
		}
		m.DeleteFunc(func(key, value int) bool {
			if key < 1000*times {
				require.NoError(t, m.Rename(key, key+1000))
				return false
			}
			return value%2 == 0
		})
		if times == 1 {
			assert.Equal(t, 50, m.Len())
		}
	}
}

// TestClearedLeaseIsFound: a lease that is lost after its session was cleared counts like any other.
func TestClearedLeaseIsFound(t *testing.T) {
	m := newMap[int, int](t, sessionmap.WithTTL(0), silent)
	m.Set(1, 1)
	m.Acquire(1)
	m.Clear()
	assert.Equal(t, 1, sessionmap.Unreleased(m))
	for m.Stats().LostLeases == 0 {
		runtime.GC()
		m.Sweep()
	}
	assert.Zero(t, sessionmap.Unreleased(m))
}

// TestEndOfANilKey: that of a map whose keys are of an interface type.
func TestEndOfANilKey(t *testing.T) {
	m := newMap[any, int](t, sessionmap.WithName("nil key"))
	m.Set(nil, 1)
	other := newMap[struct{ any }, int](t, sessionmap.WithName("other"))
	other.Set(struct{ any }{}, 1)
	for in := range sessionmap.Instances() {
		assert.Equal(t, in.Label == "nil key", in.End(nil))
	}
	assert.Zero(t, m.Len())
	assert.Equal(t, 1, other.Len())
}

// TestLoadOfAnExpiredSession: whoever waits for a load does not wait for the report of what was there before.
func TestLoadOfAnExpiredSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMap[int, int](t, sessionmap.WithTTL(time.Minute), sessionmap.WithSweepInterval(time.Hour))
		for range 2 { // after the first no sweep comes for an hour
			m.Set(1, 1)
			time.Sleep(2 * time.Minute)
		}
		unblock := make(chan struct{})
		m.OnRemove(func(int, int, sessionmap.Cause) { <-unblock })
		answered := make(chan int, 2)
		for range 2 {
			go func() {
				v, err := m.GetOrLoad(t.Context(), 1, func(context.Context, int) (int, error) { return 2, nil })
				assert.NoError(t, err)
				answered <- v
			}()
			synctest.Wait()
		}
		require.Len(t, answered, 1, "of two, one reports what has expired")
		close(unblock)
		synctest.Wait()
		assert.Len(t, answered, 2)
	})
}

// TestContextDoneBeforeItIsBound: a context whose end comes before it is the session's ends it all the same.
func TestContextDoneBeforeItIsBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMap[int, int](t)
		m.Set(1, 1)
		ctx := newLateContext(t)
		ctx.err = context.Canceled // and it has told so, if anybody, before
		require.True(t, m.BindContext(ctx, 1))
		synctest.Wait()
		assert.False(t, m.Contains(1))
	})
}

// TestRenameDoesNotPinTheOldKey: a session holds no key that it is no longer called by.
func TestRenameDoesNotPinTheOldKey(t *testing.T) {
	type id [32]byte // of an allocation of its own
	m := newMap[*id, int](t, sessionmap.WithMaxLifetime(time.Hour))
	key := new(id)
	old := weak.Make(key)
	m.Set(key, 1)
	require.NoError(t, m.Rename(key, new(id)))
	key = nil
	for range 3 {
		runtime.GC()
	}
	assert.Nil(t, old.Value())
	assert.Equal(t, 1, m.Len())
}

// TestManyOverdueLeases: a sweep finds all of them.
func TestManyOverdueLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMap[int, int](t, sessionmap.WithLeaseWarning(time.Minute), sessionmap.WithSweepInterval(time.Hour), silent)
		var leases []*sessionmap.Lease[int, int]
		for key := range 300 {
			m.Set(key, key)
			lease, _ := m.Acquire(key)
			leases = append(leases, lease)
		}
		time.Sleep(2 * time.Minute)
		m.Sweep()
		assert.Equal(t, 300, m.Stats().OverdueLeases)
		for _, lease := range leases {
			lease.Release()
		}
	})
}

// TestPressureKeepsWhatIsLeft: also where others end sessions between two steps of the same.
func TestPressureKeepsWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, h := pressed(t, 300, 10, silent)
		cleared := false
		m.OnRemove(func(_, _ int, cause sessionmap.Cause) {
			if cause == sessionmap.Pressure && !cleared {
				cleared = true
				m.Clear()
				for key := range 5 {
					m.Set(key, key)
				}
			}
		})
		collect(h, 1000)
		require.True(t, cleared)
		assert.Equal(t, 5, m.Len())
	})
}

// TestClearKeepsTheAlert of what was evicted just before.
func TestClearKeepsTheAlert(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a alerts
		m := newMap[int, int](t, append(a.options(sessionmap.AlertRules{Fill: -1}), sessionmap.WithMaxSize(1))...)
		m.Set(1, 1)
		m.Set(2, 2)
		m.Clear()
		assert.Equal(t, []sessionmap.AlertKind{sessionmap.AlertEvicting}, a.kinds())
	})
}

// TestAlertHookGoexit: where the hook ends the goroutine the other alerts of the same look are told all the same.
func TestAlertHookGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kinds []sessionmap.AlertKind
		m := newMap[int, int](t, sessionmap.WithMaxSize(1), silent, sessionmap.WithOnRemove(func(int, int, sessionmap.Cause) { panic("no") }),
			sessionmap.WithAlerts(sessionmap.AlertRules{}, func(a sessionmap.Alert) {
				kinds = append(kinds, a.Kind)
				runtime.Goexit()
			}))
		m.Set(1, 1)
		m.Set(2, 2)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		assert.Equal(t, []sessionmap.AlertKind{sessionmap.AlertNearBound, sessionmap.AlertEvicting, sessionmap.AlertPanics}, kinds)
	})
}

// TestNewIndexBesideAnotherAttribute: what another attribute is granted meanwhile keeps no session out of an index, and the
// session's own value, set again with another owner, is not overridden by what the index asked before.
func TestNewIndexBesideAnotherAttribute(t *testing.T) {
	g := newGroup(t)
	user := sessionmap.NewAttribute[*closable](g, "user")
	other := sessionmap.NewAttribute[int](g, "other", sessionmap.WithCost(func(int, int) int64 { return 1 }))
	v := &closable{user: "ada"}
	user.Set(1, v)
	g.Touch(2)
	asked := 0
	index := sessionmap.NewIndex(user, func(_ int, c *closable) string {
		asked++
		other.Set(1, asked)
		return c.user
	})
	assert.Equal(t, 1, index.Count("ada"))
}

// TestRenameIsNotListed: the walk over an instance's sessions tells of none under an id that is no more.
func TestRenameIsNotListed(t *testing.T) {
	m := newMap[int, int](t, sessionmap.WithName("listed"))
	for key := range 10 {
		m.Set(key, key)
	}
	for in := range sessionmap.Instances() {
		if in.Label != "listed" {
			continue
		}
		first := true
		for s := range in.Sessions() {
			assert.True(t, m.Contains(s.ID.(int)), s.ID)
			if first {
				first = false
				for key := range 10 {
					require.NoError(t, m.Rename(key, key+100))
				}
			}
		}
	}
}

// TestRejectedAfterRenameIsNotClosed: a value that is refused, for what it costs now, is the session's all the same, though
// that is called otherwise by then.
func TestRejectedAfterRenameIsNotClosed(t *testing.T) {
	g := newGroup(t, sessionmap.WithMaxTotalCost(10))
	costly, rename := false, func() {}
	a := sessionmap.NewAttribute[*closable](g, "", sessionmap.WithCloser(), sessionmap.WithCost(func(int, *closable) int64 {
		rename()
		if costly {
			return 100
		}
		return 1
	}))
	c := &closable{}
	require.True(t, a.Set(1, c))
	costly, rename = true, func() {
		rename = func() {}
		assert.NoError(t, g.Rename(1, 2))
	}
	a.Update(1, func(old *closable, _ bool) (*closable, bool) { return old, true })
	v, ok := a.Get(2)
	assert.True(t, ok)
	assert.Same(t, c, v)
	assert.Zero(t, c.closed)
}

// TestRefusedAfterTheSameWasSet: an attribute that is refused, and was set to the same value meanwhile, stays open.
func TestRefusedAfterTheSameWasSet(t *testing.T) {
	c, first := &closable{}, true
	var a *sessionmap.Attribute[int, *closable]
	a = sessionmap.NewAttribute[*closable](newGroup(t, sessionmap.WithMaxTotalCost(10)), "", sessionmap.WithCloser(), sessionmap.WithCost(func(int, *closable) int64 {
		if first {
			first = false
			assert.True(t, a.Set(1, c))
			return -1
		}
		return 1
	}))
	assert.False(t, a.Set(1, c))
	v, _ := a.Get(1)
	assert.Same(t, c, v)
	assert.Zero(t, c.closed)
}

// TestSetContextFollowsRename: the session is bound that was set, under whatever key, and no other with the same value.
func TestSetContextFollowsRename(t *testing.T) {
	value := new(int)
	for name, do := range map[string]struct {
		hook func(m *sessionmap.RobustSessionMap[int, *int])
		stay []int
	}{
		"renamed": {func(m *sessionmap.RobustSessionMap[int, *int]) { assert.NoError(t, m.Rename(1, 5)) }, []int{9}},
		"set anew": {func(m *sessionmap.RobustSessionMap[int, *int]) {
			m.Delete(1)
			m.Set(1, value)
		}, []int{1, 9}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := sessionmap.MustNew[int, *int](sessionmap.WithMaxSize(2))
				defer m.Close()
				m.Set(0, new(int))
				m.Set(9, new(int))
				stop := m.OnRemove(func(key int, _ *int, cause sessionmap.Cause) {
					if key == 0 && cause == sessionmap.Evicted {
						do.hook(m)
					}
				})
				ctx, cancel := context.WithCancel(t.Context())
				require.True(t, m.SetContext(ctx, 1, value))
				stop()
				cancel()
				synctest.Wait()
				assert.Equal(t, do.stay, slices.Sorted(m.Keys()))
			})
		})
	}
}

// TestSetContextRefusedBindsNothing: a refused overwrite with the same value leaves the session unbound, also where a
// callback ends the goroutine.
func TestSetContextRefusedBindsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		costly := false
		m := newMap[int, *int](t, sessionmap.WithMaxCost(10, func(int, *int) int64 {
			if costly {
				return 100
			}
			return 1
		}), sessionmap.WithOnRemove(func(_ int, _ *int, cause sessionmap.Cause) {
			if cause == sessionmap.Rejected {
				runtime.Goexit()
			}
		}))
		value := new(int)
		m.Set(1, value)
		costly = true
		ctx, cancel := context.WithCancel(t.Context())
		finish(func() { m.SetContext(ctx, 1, value) })
		cancel()
		synctest.Wait()
		assert.True(t, m.Contains(1))
	})
}

// TestErrorsDoNotLookIntoKeys: what a key points to may be in use, and secret.
func TestErrorsDoNotLookIntoKeys(t *testing.T) {
	type conn struct{ token string }
	key, other := &conn{"secret"}, &conn{"secret"}
	g := sessionmap.MustNewGroup[*conn]()
	m := newMap[any, int](t)
	for _, err := range []error{
		g.Rename(key, other),
		m.Rename(key, 1),
		func() error { m.Set(2, 2); m.Set(key, 1); return m.Rename(2, key) }(),
		func() error { g.Close(); return g.Do(t.Context(), key, nil) }(),
		g.Run(t.Context(), key, nil),
	} {
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "secret")
		assert.Contains(t, err.Error(), fmt.Sprintf("%p", key))
	}
	assert.ErrorContains(t, m.Rename(errors.New("text"), 1), "text")
}

// TestBeginByFormerID: who finds no session, and is overtaken by one that begins and is renamed, is not refused: its id is a
// former one by then.
func TestBeginByFormerID(t *testing.T) {
	newMap := func(meanwhile *func(m *sessionmap.RobustSessionMap[int, string])) *sessionmap.RobustSessionMap[int, string] {
		var m *sessionmap.RobustSessionMap[int, string]
		m = newMap[int, string](t, sessionmap.WithRenameGrace(time.Hour), sessionmap.WithMaxCost(10, func(int, string) int64 {
			if fn := *meanwhile; fn != nil {
				*meanwhile = nil
				fn(m)
			}
			return 1
		}))
		return m
	}
	begin := func(m *sessionmap.RobustSessionMap[int, string]) {
		m.Set(1, "first")
		assert.NoError(t, m.Rename(1, 2))
	}

	meanwhile := begin
	m := newMap(&meanwhile)
	v, loaded := m.GetOrSet(1, "second")
	assert.True(t, loaded)
	assert.Equal(t, "first", v)

	meanwhile = begin
	m = newMap(&meanwhile)
	v, ok := m.Update(1, func(old string, ok bool) (string, bool) { return old + "+", true })
	assert.True(t, ok)
	assert.Equal(t, "first+", v)

	meanwhile = nil
	m = newMap(&meanwhile)
	v, err := m.GetOrLoad(t.Context(), 1, func(context.Context, int) (string, error) {
		begin(m)
		return "loaded", nil
	})
	require.NoError(t, err)
	assert.Equal(t, "first", v)
	assert.False(t, m.Set(1, "third"), "Set by a former key is refused")

	g := newGroup(t, sessionmap.WithRenameGrace(time.Hour))
	a := sessionmap.NewAttribute[string](g, "", sessionmap.WithCost(func(int, string) int64 {
		if !g.Contains(2) {
			g.Touch(1)
			assert.NoError(t, g.Rename(1, 2))
		}
		return 1
	}))
	assert.True(t, a.Set(1, "x"))
	v, _ = a.Get(2)
	assert.Equal(t, "x", v)
}

// TestUpdateByFormerKeyBuriesIt: removing by a former key leaves a tombstone of that too, as Delete does.
func TestUpdateByFormerKeyBuriesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMap[int, string](t, sessionmap.WithRenameGrace(time.Minute), sessionmap.WithTombstones(time.Hour))
		m.Set(1, "a")
		require.NoError(t, m.Rename(1, 2))
		time.Sleep(59 * time.Second)
		m.Update(1, func(string, bool) (string, bool) { return "", false })
		time.Sleep(time.Hour - 10*time.Second)
		assert.False(t, m.Set(1, "straggler"))
	})
}

// TestAdoptGoexit: what Adopt has moved is no longer in the plain map where a callback ends the goroutine.
func TestAdoptGoexit(t *testing.T) {
	m := newMap[int, *closable](t, sessionmap.WithMaxSize(1), sessionmap.WithCloser(),
		sessionmap.WithOnRemove(func(int, *closable, sessionmap.Cause) { runtime.Goexit() }))
	from := map[int]*closable{1: {}, 2: {}, 3: {}}
	finish(func() { m.Adopt(from) })
	require.Len(t, from, 1)
	for key, left := range from {
		assert.False(t, m.Contains(key))
		assert.Zero(t, left.closed)
	}
}

// TestIndexesMadeAtOnce: where one index is made while another takes the sessions in, both have them.
func TestIndexesMadeAtOnce(t *testing.T) {
	// overlap has makeIndex make an index that asks for an owner between another's question and its answer.
	overlap := func(makeIndex func(asked func()) (count func() int)) (counts []int) {
		entered, resume := make(chan struct{}), make(chan struct{})
		first, done := make(chan func() int, 1), make(chan struct{})
		go func() {
			defer close(done)
			first <- makeIndex(once(func() { close(entered); <-resume }))
		}()
		<-entered
		second := makeIndex(once(func() { close(resume); <-done }))
		return []int{(<-first)(), second()}
	}
	m := newMap[int, string](t)
	m.Set(1, "ada")
	assert.Equal(t, []int{1, 1}, overlap(func(asked func()) func() int {
		x := sessionmap.NewIndex(m, func(_ int, user string) string { asked(); return user })
		return func() int { return x.Count("ada") }
	}))

	a := sessionmap.NewAttribute[string](newGroup(t), "user")
	a.Set(1, "ada")
	assert.Equal(t, []int{1, 1}, overlap(func(asked func()) func() int {
		x := sessionmap.NewIndex(a, func(_ int, user string) string { asked(); return user })
		return func() int { return x.Count("ada") }
	}))
}

// TestSyncGuardNaN: also what is not equal to itself goes when its session ends, and moves when that is renamed.
func TestSyncGuardNaN(t *testing.T) {
	var scores sync.Map
	g := newGroup(t)
	guard := sessionmap.NewSyncGuard(g, &scores)
	guard.Touch(1)
	scores.Store(1, math.NaN())
	require.NoError(t, g.Rename(1, 2))
	_, there := scores.Load(1)
	assert.False(t, there)
	_, there = scores.Load(2)
	assert.True(t, there)
	g.Delete(2)
	_, there = scores.Load(2)
	assert.False(t, there)
}

// TestRefreshOfTheSameAgain: a value that was set again while it was loaded anew has been changed from within, and stays.
func TestRefreshOfTheSameAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMap[int, *closable](t, sessionmap.WithMaxCost(10, func(int, *closable) int64 { return 1 }))
		x := &closable{user: "ada"}
		m.Set(1, x)
		m.Refresh(1, func(context.Context, int) (*closable, error) {
			x.user = "bob"
			m.Set(1, x)
			return &closable{user: "ada"}, nil
		})
		synctest.Wait()
		v, _ := m.Get(1)
		assert.Equal(t, "bob", v.user)
	})
}

// TestRefusedRefreshOfTheSame: a refresh that is refused, for the value costs too much by now, does not close the session's
// value where that is what was loaded, and one that was overtaken does not close the value that overtook it.
func TestRefusedRefreshOfTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		costly := false
		m := newMap[int, *closable](t, sessionmap.WithCloser(), sessionmap.WithMaxCost(10, func(int, *closable) int64 {
			if costly {
				return 11
			}
			return 1
		}))
		x, y := &closable{}, &closable{}
		m.Set(1, x)
		m.Refresh(1, func(context.Context, int) (*closable, error) {
			costly = true
			return x, m.Rename(1, 2)
		})
		synctest.Wait()
		assert.Zero(t, x.closed)
		costly = false
		m.Refresh(2, func(context.Context, int) (*closable, error) {
			m.Set(2, y)
			return y, nil
		})
		synctest.Wait()
		assert.Zero(t, y.closed)
		assert.Equal(t, 1, x.closed)
	})
}

// TestSizeOfManyPointers: also where an int has 32 bits.
func TestSizeOfManyPointers(t *testing.T) {
	const n = 2_200_000
	pointer := unsafe.Sizeof(uintptr(0))
	assert.EqualValues(t, unsafe.Sizeof([]int{})+n*pointer, sessionmap.SizeOf(make([]*int, n)))
}

// TestNaN: a key that cannot be found again begins no session, and is not loaded.
func TestNaN(t *testing.T) {
	m := newMap[float64, int](t)
	_, err := m.GetOrLoad(t.Context(), math.NaN(), func(context.Context, float64) (int, error) {
		assert.Fail(t, "loaded")
		return 1, nil
	})
	assert.ErrorIs(t, err, sessionmap.ErrRefused)
	g := groupOf[float64](t)
	_, ok := g.Begin(math.NaN())
	assert.False(t, ok)
	assert.Zero(t, g.Len())
}

// TestUpdateBuriesNoOther: a removal by a former key that has become another session's meanwhile leaves that session's key
// alone.
func TestUpdateBuriesNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMap[int, string](t, sessionmap.WithTTL(time.Hour), sessionmap.WithRenameGrace(time.Minute), sessionmap.WithTombstones(time.Minute))
		m.Set(1, "a")
		require.NoError(t, m.Rename(1, 2))
		m.Update(1, func(old string, _ bool) (string, bool) {
			if old == "a" {
				time.Sleep(time.Minute)
				assert.True(t, m.SetWithTTL(1, "another", time.Second))
			}
			return "", false
		})
		assert.False(t, m.Contains(2))
		time.Sleep(time.Second)
		assert.True(t, m.Set(1, "a third"))
	})
}

// A pipe owns a context, which ends when it is closed; that may take a while.
type pipe struct {
	cancel context.CancelFunc
	slow   time.Duration
}

func (p *pipe) Close() {
	p.cancel()
	time.Sleep(p.slow)
}

// TestSetContextAgain: whoever connects again is not ended by the context of the connection before, however soon that is done,
// and whoever else leaves.
func TestSetContextAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, way := range map[string]struct {
			slow time.Duration
			opts []sessionmap.Option
		}{
			"at once": {0, nil},
			"slow":    {time.Second, nil},
			"costs":   {time.Second, []sessionmap.Option{sessionmap.WithMaxCost(1, func(string, *pipe) int64 { return 1 })}},
		} {
			for range 200 {
				m := newMap[string, *pipe](t, append(way.opts, sessionmap.WithCloser())...)
				for range 2 {
					ctx, cancel := context.WithCancel(t.Context())
					require.True(t, m.SetContext(ctx, "s", &pipe{cancel, way.slow}))
				}
				synctest.Wait()
				require.True(t, m.Contains("s"), name)
				m.Close()
			}
		}
	})
}

// TestSetContextBindsBeforeOthersAreTold: what gives way for a session may have its context.
func TestSetContextBindsBeforeOthersAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		m := newMap[int, int](t, sessionmap.WithMaxSize(1), sessionmap.WithOnRemove(func(_, _ int, cause sessionmap.Cause) {
			if cause == sessionmap.Evicted {
				cancel()
				synctest.Wait()
			}
		}))
		m.Set(1, 1)
		assert.True(t, m.SetContext(ctx, 2, 2))
		assert.False(t, m.Contains(2), "ended by the time that SetContext returns")
	})
}

// TestSetContextRefusedLeaves: a refused value leaves nothing with its context.
func TestSetContextRefusedLeaves(t *testing.T) {
	m := newMap[float64, int](t, sessionmap.WithMaxCost(1, func(float64, int) int64 { return 2 }))
	ctx := &strangeContext{Context: t.Context(), done: make(chan struct{})}
	assert.False(t, m.SetContext(ctx, 1, 1))
	assert.False(t, m.SetContext(ctx, math.NaN(), 1))
	assert.Zero(t, ctx.registered)
}

// A strangeContext counts the functions that wait for it.
type strangeContext struct {
	context.Context
	done       chan struct{}
	registered int
}

func (c *strangeContext) Done() <-chan struct{} { return c.done }

func (c *strangeContext) AfterFunc(func()) (stop func() bool) {
	c.registered++
	return func() bool {
		c.registered--
		return true
	}
}

// TestCloseWaitsForWhatAContextEnds: a session that its context ends just now is reported when Close returns.
func TestCloseWaitsForWhatAContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reported := false
		m := sessionmap.MustNew[int, int](sessionmap.WithOnRemove(func(int, int, sessionmap.Cause) {
			time.Sleep(time.Second)
			reported = true
		}))
		ctx, cancel := context.WithCancel(t.Context())
		m.SetContext(ctx, 1, 1)
		cancel()
		synctest.Wait()
		require.NoError(t, m.Close())
		assert.True(t, reported)
	})
}

// TestExpiredCostGivesWay: the cost of an expired session that no sweep has met keeps no other out, be it leased, where the
// lifetime is strict, or as much as can be.
func TestExpiredCostGivesWay(t *testing.T) {
	cost := func(_ int, value int64) int64 { return value }
	for name, way := range map[string]struct {
		cost int64
		opts []sessionmap.Option
	}{
		"leased, a bound on the number": {10, []sessionmap.Option{sessionmap.WithMaxSize(1)}},
		"leased, a bound on the cost":   {10, []sessionmap.Option{sessionmap.WithMaxCost(10, cost)}},
		"all that can be":               {math.MaxInt64, []sessionmap.Option{sessionmap.WithCost(cost)}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out []sessionmap.Cause
				m := newMap[int, int64](t, append(way.opts, sessionmap.WithTTL(0), sessionmap.WithMaxLifetime(time.Minute),
					sessionmap.WithStrictLifetime(), sessionmap.WithSweepInterval(time.Hour),
					sessionmap.WithOnRemove(func(_ int, _ int64, cause sessionmap.Cause) { out = append(out, cause) }))...)
				m.Set(1, way.cost)
				time.Sleep(time.Minute) // the first sweep has been, and the next is an hour off
				synctest.Wait()
				m.Set(1, way.cost)
				lease, ok := m.Acquire(1)
				require.True(t, ok)
				defer lease.Release()
				time.Sleep(time.Minute)
				require.Equal(t, 1, m.Len())
				assert.True(t, m.Set(2, way.cost))
				assert.Equal(t, []sessionmap.Cause{sessionmap.Lifetime, sessionmap.Lifetime}, out)
			})
		})
	}
}

// TestTooDearEndsNobody: a value that can never fit ends not even the expired.
func TestTooDearEndsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMap[int, int](t, sessionmap.WithMaxCost(10, itself), sessionmap.WithTTL(0), sessionmap.WithMaxLifetime(time.Minute),
			sessionmap.WithStrictLifetime(), sessionmap.WithSweepInterval(time.Hour))
		m.Set(1, 10)
		time.Sleep(time.Minute)
		synctest.Wait()
		m.Set(1, 1)
		m.Set(2, 1)
		time.Sleep(time.Minute)
		assert.False(t, m.Set(3, 11))
		assert.Equal(t, 2, m.Len())
	})
}

// A lockThatEnds ends, once, the goroutine that takes it.
type lockThatEnds struct {
	sync.Mutex
	armed bool
}

func (l *lockThatEnds) Lock() {
	l.Mutex.Lock()
	if l.armed {
		l.armed = false
		l.Mutex.Unlock()
		runtime.Goexit()
	}
}

// TestRenameGoexitInGuard: a guard whose lock ends the goroutine keeps no other from moving its value.
func TestRenameGoexitInGuard(t *testing.T) {
	g := groupOf[string](t)
	var first lockThatEnds
	var second sync.Mutex
	values := map[string]int{}
	sessionmap.NewGuard(g, &first, map[string]int{})
	sessionmap.NewGuard(g, &second, values).Touch("x")
	values["x"] = 1
	first.armed = true
	finish(func() { g.Rename("x", "y") })
	assert.Equal(t, map[string]int{"y": 1}, values)
	g.Delete("y")
	assert.Empty(t, values)
}
