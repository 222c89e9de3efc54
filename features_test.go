package sessionmap_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// Every removal path, times every feature.

// lines collects what callbacks say, on whatever goroutine.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) add(words ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, strings.TrimSpace(fmt.Sprintln(words...)))
}

// take returns what was added since the last take.
func (l *lines) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.all
	l.all = nil
	return all
}

// endable is a session with what it takes to end it in any way.
type endable struct {
	delete, publish, touch, fill, fillCost, press, clear, close, cancel func()
}

// endBy ends the session in the way that has the given cause. It sleeps until a sweep has come by.
func (e endable) endBy(t *testing.T, cause sessionmap.Cause) {
	t.Helper()
	switch cause {
	case sessionmap.Deleted:
		e.delete()
	case sessionmap.SessionDeleted:
		e.publish()
	case sessionmap.Idle:
		time.Sleep(idle)
	case sessionmap.Lifetime:
		for range lifetime / time.Minute {
			e.touch()
			time.Sleep(time.Minute)
		}
	case sessionmap.Evicted:
		e.fill()
	case sessionmap.EvictedCost:
		e.fillCost()
	case sessionmap.Pressure:
		e.press()
	case sessionmap.Cleared:
		e.clear()
	case sessionmap.Closed:
		e.close()
	case sessionmap.ContextDone:
		e.cancel()
	default:
		t.Fatalf("no way to end a session by %v", cause)
	}
	if cause.Backstop() {
		time.Sleep(2 * time.Minute)
	}
	synctest.Wait()
}

// ends ranges over the causes that end a session.
func ends(yield func(sessionmap.Cause) bool) {
	for cause := range sessionmap.Causes() {
		if cause != sessionmap.Replaced && cause != sessionmap.Rejected && !yield(cause) {
			return
		}
	}
}

const (
	featuresSize = 3
	featuresCost = 100
	dear         = 2000 // the id of a session that costs as much as all may cost together
)

func costOf[V any](id int, _ V) int64 {
	if id == dear {
		return featuresCost
	}
	return 1
}

// An outside is the world of sessions that can be ended in any way.
type outside struct {
	*sessionmap.Bus[int]
	heap sessionmap.Heap
}

func newOutside() *outside { return &outside{Bus: sessionmap.NewBus[int]()} }

// press leaves the process short of memory.
func (o *outside) press() {
	o.heap.Live.Store(900)
	o.heap.Limit.Store(1000)
}

// featureOptions are all options that are about sessions.
func featureOptions(o *outside) []sessionmap.Option {
	return []sessionmap.Option{
		sessionmap.WithTTL(idle), sessionmap.WithMaxLifetime(lifetime), sessionmap.WithMaxSize(featuresSize),
		sessionmap.WithSessionDeleted(o.Bus), sessionmap.WithTombstones(time.Hour), sessionmap.WithRenameGrace(time.Hour),
		sessionmap.WithMemoryPressure(0.8, 0.4, 0), sessionmap.WithHeap(&o.heap),
	}
}

// mapOptions are these and those that are about the values of a map.
func mapOptions[V any](o *outside) []sessionmap.Option {
	return append(featureOptions(o), sessionmap.WithMaxCost(featuresCost, costOf[V]))
}

// endableMap makes a session of id in m, where others are set by set.
func endableMap[V any](m *sessionmap.RobustSessionMap[int, V], o *outside, id int, other V, cancel func()) endable {
	return endable{
		delete:   func() { m.Delete(id) },
		publish:  func() { o.Publish(id) },
		fillCost: func() { m.Set(dear, other) },
		press:    o.press,
		touch:    func() { m.Touch(id) },
		fill: func() {
			for i := range featuresSize {
				m.Set(1000+i, other)
			}
		},
		clear:  func() { m.Clear() },
		close:  func() { _ = m.Close() },
		cancel: cancel,
	}
}

// endableGroup makes a session of id in g.
func endableGroup(g *sessionmap.Group[int], o *outside, id int, cancel func()) endable {
	costly := sessionmap.NewAttribute[int](g, "costly", sessionmap.WithCost(costOf[int]))
	return endable{
		delete:  func() { g.Delete(id) },
		publish: func() { o.Publish(id) },
		fillCost: func() {
			costly.Set(id, 0)
			costly.Set(dear, 0)
		},
		press: o.press,
		touch: func() {
			if g.Contains(id) {
				g.Touch(id)
			}
		},
		fill: func() {
			for i := range featuresSize {
				g.Touch(1000 + i)
			}
		},
		clear:  func() { g.Clear() },
		close:  func() { _ = g.Close() },
		cancel: cancel,
	}
}

// A fixture is a session with all features, of a map or of a group, that has been leased, renamed and refreshed.
type fixture struct {
	endable
	session  context.Context
	index    *sessionmap.Index[int, string]
	stats    func() sessionmap.Stats
	contains func(id int) bool
	refused  func() bool // a new session of its id is
	check    func() error
	left     *lines
	also     func(t *testing.T) // what else must have happened
}

// TestEveryEnd: whatever ends a session, in whatever order it has come to its features, each hears of it, once.
func TestEveryEnd(t *testing.T) {
	kinds := map[string]func(t *testing.T, ctx context.Context, cancel func()) fixture{"map": mapFixture, "group": groupFixture}
	for kind, make := range kinds {
		for cause := range ends {
			t.Run(fmt.Sprint(kind, "/", cause), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					f := make(t, ctx, cancel)
					require.Equal(t, 1, f.index.Count("ada"))
					require.NoError(t, f.session.Err())
					f.left.take()
					f.endBy(t, cause)

					assert.Equal(t, []string{fmt.Sprint("2 ", cause)}, f.left.take(), "reported once, under its last id")
					var ended *sessionmap.EndedError
					require.ErrorAs(t, context.Cause(f.session), &ended)
					assert.Equal(t, cause, ended.Cause)
					assert.Zero(t, f.index.Count("ada"))
					assert.False(t, f.contains(1) || f.contains(2), "nor under its old id")
					explicit := cause == sessionmap.Deleted || cause == sessionmap.SessionDeleted
					assert.Equal(t, explicit || cause == sessionmap.Closed, f.refused())
					assert.Zero(t, f.stats().Leases)
					s := f.stats()
					checkSum(t, s)
					f.also(t)
					assert.NoError(t, f.check())
				})
			})
		}
	}
}

func mapFixture(t *testing.T, ctx context.Context, cancel func()) fixture {
	out := newOutside()
	var left lines
	m := newMap[int, *owning](t, append(mapOptions[*owning](out), sessionmap.WithCloser())...)
	m.OnRemove(func(id int, o *owning, cause sessionmap.Cause) {
		if o.user == "ada" {
			left.add(id, cause)
			assert.Zero(t, o.closed)
		}
	})
	index := sessionmap.NewIndex(m, func(_ int, o *owning) string { return o.user }, sessionmap.WithOwnerLimit(2, sessionmap.EndOldest))
	first := &owning{user: "ada"}
	value, err := m.GetOrLoad(ctx, 1, func(context.Context, int) (*owning, error) { return first, nil })
	require.NoError(t, err)
	require.Same(t, first, value)
	require.True(t, m.BindContext(ctx, 1))
	session, _ := m.SessionContext(1)
	lease, _ := m.Acquire(1)
	require.NoError(t, m.Rename(1, 2))
	second := &owning{user: "ada"}
	require.True(t, m.Refresh(2, func(context.Context, int) (*owning, error) { return second, nil }))
	synctest.Wait()
	assert.Equal(t, 1, first.closed)
	lease.Release()
	return fixture{
		endable: endableMap(m, out, 2, &owning{}, cancel), session: session, index: index,
		stats: m.Stats, contains: m.Contains, check: func() error { return sessionmap.CheckInvariants(m) }, left: &left,
		refused: func() bool { return !m.Set(2, &owning{}) },
		also:    func(t *testing.T) { assert.Equal(t, []int{1, 1}, []int{first.closed, second.closed}) },
	}
}

// owning is a value that has an owner, and is closed when it leaves.
type owning struct {
	user   string
	closed int
}

func (o *owning) Close() error {
	o.closed++
	return nil
}

func groupFixture(t *testing.T, ctx context.Context, cancel func()) fixture {
	out := newOutside()
	var left, others, ended lines
	g := newGroup(t, append(featureOptions(out), sessionmap.WithMaxTotalCost(featuresCost))...)
	users := sessionmap.NewAttribute[string](g, "user", sessionmap.WithOnRemove(func(id int, user string, cause sessionmap.Cause) {
		if user == "ada" {
			left.add(id, cause)
		}
	}))
	var all []*sessionmap.Attribute[int, *owning]
	for i := range 9 { // more than fit in the first piece of a session
		all = append(all, sessionmap.NewAttribute[*owning](g, fmt.Sprint(i), sessionmap.WithCloser(), sessionmap.WithOnRemove(
			func(id int, o *owning, cause sessionmap.Cause) {
				others.add(i, id, cause)
			})))
	}
	var mu sync.Mutex
	guarded := map[int]string{}
	sessionmap.NewGuard(g, &mu, guarded)
	g.OnEnd(func(id int, cause sessionmap.Cause) {
		if id == 2 {
			ended.add(cause)
		}
	})
	index := sessionmap.NewIndex(users, func(_ int, user string) string { return user }, sessionmap.WithOwnerLimit(2, sessionmap.RejectNew))
	require.True(t, users.Set(1, "ada"))
	var values []*owning
	for _, a := range all {
		values = append(values, &owning{})
		require.True(t, a.Set(1, values[len(values)-1]))
	}
	require.True(t, g.BindContext(ctx, 1))
	session, _ := g.Context(1)
	lease, _ := g.Begin(1)
	require.NoError(t, g.Rename(1, 2))
	lease.Release()
	guarded[2] = "ada"
	return fixture{
		endable: endableGroup(g, out, 2, cancel), session: session, index: index,
		stats: g.Stats, contains: g.Contains, check: func() error { return sessionmap.CheckGroup(g) }, left: &left,
		refused: func() bool { return !g.Touch(2) },
		also: func(t *testing.T) {
			cause, ok := endedBy(session)
			require.True(t, ok)
			var want []string
			for i := range all {
				want = append(want, fmt.Sprint(i, " 2 ", cause))
			}
			assert.Equal(t, want, others.take(), "each attribute, with the same cause")
			assert.Equal(t, []string{cause.String()}, ended.take())
			assert.Empty(t, guarded)
			for i, a := range all {
				assert.Equal(t, 1, values[i].closed)
				s := a.Stats()
				assert.Zero(t, s.Live)
				assert.Equal(t, s.Sets, s.Removals[cause])
			}
		},
	}
}

func endedBy(session context.Context) (sessionmap.Cause, bool) {
	ended, ok := context.Cause(session).(*sessionmap.EndedError)
	if !ok {
		return 0, false
	}
	return ended.Cause, true
}
