package sessionmap_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// A login belongs to a user; "" is nobody.
type login struct{ user string }

func userOf(_ int, l *login) string { return l.user }

func of(user string) *login { return &login{user} }

// An indexed is a store of logins with an index by user: a map, or an attribute of a group.
type indexed struct {
	set     func(id int, l *login) bool
	update  func(id int, fn func(*login, bool) (*login, bool)) (*login, bool)
	take    func(id int) (*login, bool)
	end     func(id int) bool
	clear   func() int
	contain func(id int) bool
	acquire func(id int) (release func())
	rename  func(from, to int) error
	check   func() error
	left    *lines
	index   *sessionmap.Index[int, string]
}

// onBothIndexed runs a test with either.
func onBothIndexed(t *testing.T, opts []sessionmap.Option, limit []sessionmap.Option, test func(t *testing.T, x indexed)) {
	t.Run("map", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var left lines
			m := newMap[int, *login](t, opts...)
			m.OnRemove(func(id int, l *login, cause sessionmap.Cause) {
				left.add(id, l.user, cause)
			})
			test(t, indexed{
				m.Set, m.Update, m.Take, m.Delete, m.Clear, m.Contains,
				func(id int) func() { lease, _ := m.Acquire(id); return lease.Release },
				m.Rename, func() error { return sessionmap.CheckInvariants(m) },
				&left, sessionmap.NewIndex(m, userOf, limit...),
			})
		})
	})
	t.Run("attribute", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var left lines
			g := newGroup(t, opts...)
			sessionmap.NewAttribute[int](g, "other")
			a := sessionmap.NewAttribute[*login](g, "login")
			a.OnRemove(func(id int, l *login, cause sessionmap.Cause) {
				left.add(id, l.user, cause)
			})
			test(t, indexed{
				a.Set, a.Update, a.Take, g.Delete, g.Clear, g.Contains,
				func(id int) func() { lease, _ := g.Acquire(id); return lease.Release },
				g.Rename, func() error { return sessionmap.CheckGroup(g) },
				&left, sessionmap.NewIndex(a, userOf, limit...),
			})
		})
	})
}

func (x indexed) of(user string) []int { return slices.Collect(x.index.Of(user)) }

// TestIndex: it follows every change of a session's owner, and every end.
func TestIndex(t *testing.T) {
	onBothIndexed(t, []sessionmap.Option{sessionmap.WithTTL(idle), sessionmap.WithMaxSize(6)}, nil, func(t *testing.T, x indexed) {
		for id := range 3 {
			require.True(t, x.set(id, of("ada")))
		}
		x.set(3, of("bob"))
		x.set(4, of(""))
		assert.Equal(t, []int{0, 1, 2}, x.of("ada"))
		assert.Equal(t, 3, x.index.Count("ada"))
		assert.Equal(t, []int{3}, x.of("bob"))
		assert.Empty(t, x.of(""), "nobody's")
		assert.Empty(t, x.of("eve"))

		x.set(1, of("bob"))
		assert.Equal(t, []int{0, 2}, x.of("ada"))
		assert.Equal(t, []int{3, 1}, x.of("bob"))
		x.set(3, of("bob"))
		assert.Equal(t, []int{3, 1}, x.of("bob"), "it keeps its place")
		x.update(3, func(old *login, ok bool) (*login, bool) { return of("ada"), ok })
		assert.Equal(t, []int{0, 2, 3}, x.of("ada"))
		x.update(3, func(*login, bool) (*login, bool) { return of(""), true })
		x.update(9, func(*login, bool) (*login, bool) { return of("bob"), true })
		assert.Equal(t, []int{1, 9}, x.of("bob"))
		x.update(9, func(*login, bool) (*login, bool) { return nil, false })
		assert.Equal(t, []int{1}, x.of("bob"))
		_, ok := x.take(1)
		assert.True(t, ok)
		assert.Empty(t, x.of("bob"))
		assert.Zero(t, x.index.Count("bob"))

		require.NoError(t, x.rename(2, 12))
		assert.Equal(t, []int{0, 12}, x.of("ada"))
		require.NoError(t, x.check())
		x.left.take()
		assert.Equal(t, 2, x.index.DeleteBy("ada"))
		assert.Equal(t, []string{"0 ada deleted", "12 ada deleted"}, x.left.take())
		assert.Zero(t, x.index.DeleteBy("ada"))

		x.set(20, of("bob"))
		for id := range 6 {
			x.set(30+id, of("eve"))
		}
		assert.Empty(t, x.of("bob"), "evicted")
		x.clear()
		assert.Empty(t, x.of("eve"))
		x.set(40, of("eve"))
		assert.Equal(t, []int{40}, x.of("eve"))
		time.Sleep(idle + time.Minute)
		synctest.Wait()
		assert.Zero(t, x.index.Count("eve"))
		for range x.index.Of("eve") {
			t.Error("nobody is left")
		}
	})
}

// TestIndexOfMany: they are handed out in pieces.
func TestIndexOfMany(t *testing.T) {
	m := newMap[int, *login](t, sessionmap.WithMaxSize(0))
	x := sessionmap.NewIndex(m, userOf)
	var want []int
	for id := range 1000 {
		m.Set(id, of("ada"))
		want = append(want, id)
	}
	assert.Equal(t, want, slices.Collect(x.Of("ada")))
	assert.Equal(t, 1000, x.DeleteBy("ada"))
}

func TestIndexEndOldest(t *testing.T) {
	limit := []sessionmap.Option{sessionmap.WithOwnerLimit(2, sessionmap.EndOldest)}
	onBothIndexed(t, []sessionmap.Option{sessionmap.WithTTL(idle), sessionmap.WithMaxSize(3), sessionmap.WithSweepInterval(never)}, limit, func(t *testing.T, x indexed) {
		x.set(1, of("ada"))
		x.set(2, of("ada"))
		x.set(3, of("bob"))
		require.Empty(t, x.left.take())
		assert.True(t, x.set(4, of("ada")))
		assert.Equal(t, []string{"1 ada evicted"}, x.left.take(), "ada's oldest; nothing else for the bound")
		assert.Equal(t, []int{2, 4}, x.of("ada"))
		assert.True(t, x.set(4, of("ada")), "one of hers already")
		assert.Equal(t, []string{"4 ada replaced"}, x.left.take())
		assert.True(t, x.set(3, of("ada")), "it changes hands")
		assert.ElementsMatch(t, []string{"2 ada evicted", "3 bob replaced"}, x.left.take())
		assert.Equal(t, []int{4, 3}, x.of("ada"))

		release := x.acquire(4)
		assert.True(t, x.set(5, of("ada")))
		assert.Equal(t, []string{"3 ada evicted"}, x.left.take(), "the oldest that is not leased")
		releaseBoth := x.acquire(5)
		assert.False(t, x.set(6, of("ada")), "all are leased")
		assert.Contains(t, x.left.take(), "6 ada rejected")
		assert.False(t, x.set(4, of("ada")) && false)
		release()
		releaseBoth()
		x.left.take()
		require.NoError(t, x.check())

		time.Sleep(idle)
		synctest.Wait() // the one sweep there is
		x.clear()
		x.left.take()
		x.set(7, of("eve"))
		time.Sleep(idle)
		x.set(1, of("ada"))
		x.set(2, of("ada"))
		x.left.take()
		assert.True(t, x.set(7, of("ada")), "its key's former session is expired, and she has too many")
		assert.ElementsMatch(t, []string{"7 eve idle", "1 ada evicted"}, x.left.take())
		require.NoError(t, x.check())
	})
}

func TestIndexRejectNew(t *testing.T) {
	limit := []sessionmap.Option{sessionmap.WithOwnerLimit(2, sessionmap.RejectNew)}
	onBothIndexed(t, nil, limit, func(t *testing.T, x indexed) {
		x.set(1, of("ada"))
		x.set(2, of("ada"))
		x.set(3, of("bob"))
		assert.False(t, x.set(4, of("ada")))
		assert.Equal(t, []string{"4 ada rejected"}, x.left.take())
		assert.False(t, x.set(3, of("ada")), "nor does a session change hands")
		assert.Equal(t, []string{"3 ada rejected"}, x.left.take())
		assert.Equal(t, []int{3}, x.of("bob"))
		_, ok := x.update(3, func(*login, bool) (*login, bool) { return of("ada"), true })
		assert.True(t, ok)
		assert.Equal(t, []string{"3 ada rejected"}, x.left.take())
		assert.Equal(t, []int{3}, x.of("bob"))
		_, ok = x.update(4, func(*login, bool) (*login, bool) { return of("ada"), true })
		assert.False(t, ok)
		x.end(1)
		assert.True(t, x.set(4, of("ada")))
		assert.Equal(t, []int{2, 4}, x.of("ada"))
		require.NoError(t, x.check())
	})
}

// TestIndexTakesIn: what is there when the index is made is in it, beyond the limit if need be.
func TestIndexTakesIn(t *testing.T) {
	m := newMap[int, *login](t)
	g := newGroup(t)
	a := sessionmap.NewAttribute[*login](g, "login")
	for id := range 10 {
		m.Set(id, of("ada"))
		a.Set(id, of("ada"))
	}
	g.Touch(100) // without a login
	limit := sessionmap.WithOwnerLimit(2, sessionmap.EndOldest)
	assert.Equal(t, 10, sessionmap.NewIndex(m, userOf, limit).Count("ada"))
	assert.Equal(t, 10, sessionmap.NewIndex(a, userOf, limit).Count("ada"))
	second := sessionmap.NewIndex(m, func(id int, _ *login) int { return id%2 + 1 })
	assert.Equal(t, 5, second.Count(1))
	m.Set(20, of(""))
	assert.Equal(t, 6, second.Count(1))
}

func TestIndexOptions(t *testing.T) {
	m := newMap[int, *login](t)
	for want, opts := range map[string][]sessionmap.Option{
		"WithOwnerLimit(0)": {sessionmap.WithOwnerLimit(0, sessionmap.EndOldest)},
		"WithOwnerLimit(7)": {sessionmap.WithOwnerLimit(1, 7)},
		"WithTTL":           {sessionmap.WithTTL(1)},
	} {
		func() {
			defer func() {
				err, _ := recover().(error)
				assert.ErrorContains(t, err, want)
			}()
			sessionmap.NewIndex(m, userOf, opts...)
		}()
	}
	assert.Panics(t, func() { sessionmap.NewIndex[string](m, nil) })
	_, err := sessionmap.New[int, int](sessionmap.WithOwnerLimit(1, sessionmap.EndOldest))
	assert.ErrorContains(t, err, "WithOwnerLimit")
	_, err = sessionmap.NewGroup[int](sessionmap.WithOwnerLimit(1, sessionmap.EndOldest))
	assert.ErrorContains(t, err, "WithOwnerLimit")
	sessionmap.NewIndex(m, func(int, *login) string { panic("no") })
	assert.True(t, m.Set(1, of("ada")), "nobody's")
}

// TestIndexConcurrent: after any interleaving the index says what the values say.
func TestIndexConcurrent(t *testing.T) {
	const goroutines, each, ids, users = 8, 2000, 24, 5
	m := newMap[int, *login](t, sessionmap.WithMaxSize(ids/2))
	g := newGroup(t, sessionmap.WithMaxSize(ids/2))
	a := sessionmap.NewAttribute[*login](g, "login")
	limit := sessionmap.WithOwnerLimit(3, sessionmap.EndOldest)
	ofMap, ofAttribute := sessionmap.NewIndex(m, userOf, limit), sessionmap.NewIndex(a, userOf, limit)
	var wg sync.WaitGroup
	for i := range goroutines {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(i), 1))
			for range each {
				id, l := rng.IntN(ids), of(fmt.Sprint(rng.IntN(users)))
				switch rng.IntN(8) {
				case 0, 1:
					m.Set(id, l)
					a.Set(id, l)
				case 2:
					m.Update(id, func(*login, bool) (*login, bool) { return l, true })
					a.Update(id, func(*login, bool) (*login, bool) { return l, true })
				case 3:
					m.GetOrSet(id, l)
					a.GetOrSet(id, l)
				case 4:
					m.Delete(id)
					a.Take(id)
				case 5:
					_ = m.Rename(id, rng.IntN(ids))
					g.Delete(id)
				case 6:
					lease, ok := m.Acquire(id)
					if ok {
						assert.LessOrEqual(t, ofMap.Count(l.user), 3)
						lease.Release()
					}
					_ = g.Rename(id, rng.IntN(ids))
				case 7:
					if rng.IntN(20) == 0 {
						ofMap.DeleteBy(l.user)
						ofAttribute.DeleteBy(l.user)
						m.Clear()
					}
				}
			}
		})
	}
	wg.Wait()
	want := map[string][]int{}
	for id, l := range m.All() {
		want[l.user] = append(want[l.user], id)
	}
	wantAttribute := map[string][]int{}
	for id, l := range a.All() {
		wantAttribute[l.user] = append(wantAttribute[l.user], id)
	}
	for i := range users {
		user := fmt.Sprint(i)
		assert.ElementsMatch(t, want[user], slices.Collect(ofMap.Of(user)))
		assert.ElementsMatch(t, wantAttribute[user], slices.Collect(ofAttribute.Of(user)))
		assert.LessOrEqual(t, len(want[user]), 3)
	}
}
