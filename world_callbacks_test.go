package sessionmap_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// Callbacks that do everything wrong, on whatever occasion they are called.

// A stage is a map and a group, all callbacks of which are played by the test.
type stage struct {
	t *testing.T
	*outside
	ctx     context.Context
	cancel  func()
	release chan struct{} // closed to let go of what blocks

	m          *sessionmap.RobustSessionMap[int, *thing]
	index      *sessionmap.Index[int, int]
	ofMap      ledger
	g          *sessionmap.Group[int]
	guard      *sessionmap.Guard[int]
	a          *sessionmap.Attribute[int, *thing]
	ofGroup    ledger
	inMap      endable // session 1
	inGroup    endable // session 1
	part       string  // the callback that misbehaves
	misbehaves func(s *stage)
	calls      int // of the callback, until it does
	played     int
	mu         sync.Mutex // guards these

	occasion               string
	mapClosed, groupClosed bool // by the occasion, or by what misbehaves
}

// cast gives a callback its part: to misbehave when it has been called so many times; never if that is negative.
func (s *stage) cast(part string, misbehaves func(s *stage), calls int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.part, s.misbehaves, s.calls = part, misbehaves, calls
}

// play is what each callback calls. The one whose part it is misbehaves, once.
func (s *stage) play(part string) {
	s.mu.Lock()
	now := part == s.part && s.calls == 0
	if part == s.part {
		s.calls--
	}
	if now {
		s.played++
	}
	s.mu.Unlock()
	if now {
		s.misbehaves(s)
	}
}

// A badHandler is a log that misbehaves.
type badHandler struct {
	slog.Handler
	s *stage
}

func (h badHandler) Enabled(context.Context, slog.Level) bool { h.s.play("logger"); return false }
func (h badHandler) WithAttrs([]slog.Attr) slog.Handler       { return h }

// A badLock is a lock that misbehaves before it is locked.
type badLock struct {
	sync.Mutex
	s *stage
}

func (l *badLock) Lock() {
	l.s.play("lock")
	l.Mutex.Lock()
}

const stageName = "stage"

func newStage(t *testing.T) *stage {
	s := &stage{t: t, outside: newOutside(), release: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(t.Context())
	cost := func(id int, v *thing) int64 { s.play("cost"); return costOf(id, v) }
	onRemove := sessionmap.WithOnRemove(func(int, *thing, sessionmap.Cause) { s.play("OnRemove") })
	options := func(more ...sessionmap.Option) []sessionmap.Option {
		return append([]sessionmap.Option{
			sessionmap.WithName(stageName), sessionmap.WithTTL(idle), sessionmap.WithMaxLifetime(lifetime), sessionmap.WithMaxSize(featuresSize),
			sessionmap.WithMemoryPressure(0.8, 0.4, 0), sessionmap.WithHeap(&s.heap), sessionmap.WithLogger(slog.New(badHandler{s: s})),
			sessionmap.WithAlerts(sessionmap.AlertRules{}, func(sessionmap.Alert) { s.play("alert") }),
			sessionmap.WithSessionDeleted(sessionmap.SourceFunc[int](func(deleted func(int, time.Time)) (func(), error) {
				cancel, err := s.Subscribe(deleted)
				return func() { cancel(); s.play("cancel") }, err
			})),
		}, more...)
	}
	s.m = sessionmap.MustNew[int, *thing](options(onRemove, sessionmap.WithOnRemove(s.ofMap.left), sessionmap.WithCloser(), sessionmap.WithMaxCost(featuresCost, cost))...)
	s.index = sessionmap.NewIndex(s.m, s.owner)
	s.inMap = endableMap(s.m, s.outside, 1, stranger, s.cancel)

	s.g = sessionmap.MustNewGroup[int](options(sessionmap.WithMaxTotalCost(featuresCost))...)
	s.a = sessionmap.NewAttribute[*thing](s.g, "a", onRemove, sessionmap.WithOnRemove(s.ofGroup.left), sessionmap.WithCloser(), sessionmap.WithCost(cost))
	sessionmap.NewIndex(s.a, s.owner)
	s.guard = sessionmap.NewGuard(s.g, &badLock{s: s}, map[int]int{1: 1, 5: 5})
	s.g.OnEnd(func(int, sessionmap.Cause) { s.play("OnEnd") })
	s.inGroup = endableGroup(s.g, s.outside, 1, s.cancel)
	s.g.Clear()
	return s
}

func (s *stage) owner(id int, _ *thing) int {
	s.play("owner")
	return 1 + id%5
}

// thing makes a value that is to be put where l keeps the books. It is taken for put unless the call may end in a
// callback that is asked before.
func (s *stage) thing(l *ledger) *thing {
	v := l.thing()
	v.closed = func() { s.play("closer") }
	if s.part != "cost" && s.part != "owner" {
		l.put(v)
	}
	return v
}

func (s *stage) forMap() *thing   { return s.thing(&s.ofMap) }
func (s *stage) forGroup() *thing { return s.thing(&s.ofGroup) }

func (s *stage) load(context.Context, int) (*thing, error) {
	s.play("load")
	return s.forMap(), nil
}

func (s *stage) update(old *thing, _ bool) (*thing, bool) {
	s.play("update")
	return stranger, true
}

// everyMethod are calls of all methods, of which Close comes last, with key.
func (s *stage) everyMethod(key int) (ofMap, ofGroup, ofAttribute, ofLease map[string]func()) {
	m, g, a := s.m, s.g, s.a
	soon, cancel := context.WithTimeout(s.t.Context(), time.Second)
	context.AfterFunc(soon, cancel)
	load := func(context.Context, int) (*thing, error) { return stranger, nil }
	update := func(*thing, bool) (*thing, bool) { return stranger, true }
	in := func(context.Context, *sessionmap.Session[int]) error { return nil }
	ofLease = map[string]func(){}
	lease, ok := m.Acquire(key)
	if ok {
		ofLease = map[string]func(){
			"Key": func() { lease.Key() }, "Value": func() { lease.Value() }, "Done": func() { lease.Done() }, "Context": func() { lease.Context() },
			"Within": func() { _, stop := lease.Within(soon); stop() }, "Release": lease.Release,
		}
	}
	return map[string]func(){
			"Get": func() { m.Get(key) }, "Peek": func() { m.Peek(key) }, "Contains": func() { m.Contains(key) }, "Touch": func() { m.Touch(key) },
			"Entry": func() { m.Entry(key) }, "Len": func() { m.Len() }, "Stats": func() { m.Stats() }, "String": func() { _ = m.String() }, "LogValue": func() { m.LogValue() },
			"Set": func() { m.Set(key, stranger) }, "SetWithTTL": func() { m.SetWithTTL(key, stranger, idle) }, "GetOrSet": func() { m.GetOrSet(key, stranger) },
			"Update": func() { m.Update(key, update) }, "Take": func() { m.Take(key) }, "Delete": func() { m.Delete(key) }, "Scope": func() { m.Scope(key)() },
			"Adopt": func() { m.Adopt(map[int]*thing{key: stranger}) }, "Rename": func() { _ = m.Rename(key, key+1) },
			"DeleteFunc": func() { m.DeleteFunc(func(k int, _ *thing) bool { return k == key }) },
			"All":        func() { _ = maps.Collect(m.All()) }, "Oldest": func() { _ = maps.Collect(m.Oldest()) },
			"Keys": func() {
				for range m.Keys() {
				}
			},
			"Leases":  func() { _ = maps.Collect(m.Leases()) },
			"Acquire": func() { l, _ := m.Acquire(key); l.Release() }, "SessionContext": func() { m.SessionContext(key) },
			"BindContext": func() { m.BindContext(soon, key) }, "SetContext": func() { m.SetContext(soon, key, stranger) },
			"GetOrLoad": func() { _, _ = m.GetOrLoad(soon, key, load) }, "Refresh": func() { m.Refresh(key, load) },
			"OnRemove": func() { m.OnRemove(func(int, *thing, sessionmap.Cause) {})() },
			"Sweep":    func() { m.Sweep() }, "Clear": func() { m.Clear() }, "Close": func() { s.close(m) },
		}, map[string]func(){
			"Touch": func() { g.Touch(key) }, "Contains": func() { g.Contains(key) }, "Len": func() { g.Len() }, "Stats": func() { g.Stats() }, "String": func() { _ = g.String() },
			"LogValue": func() { g.LogValue() }, "Delete": func() { g.Delete(key) }, "Scope": func() { g.Scope(key)() }, "Rename": func() { _ = g.Rename(key, key+1) },
			"Acquire": func() { l, _ := g.Acquire(key); l.Release() }, "Begin": func() { l, _ := g.Begin(key); l.Release() },
			"Context": func() { g.Context(key) }, "BindContext": func() { g.BindContext(soon, key) },
			"Do": func() { _ = g.Do(soon, key, in) }, "Run": func() { _ = g.Run(soon, key, in) }, "OnEnd": func() { g.OnEnd(func(int, sessionmap.Cause) {})() },
			"Sessions": func() {
				for range g.Sessions() {
				}
			},
			"Sweep": func() { g.Sweep() }, "Clear": func() { g.Clear() }, "Close": func() { s.close(g) },
		}, map[string]func(){
			"Get": func() { a.Get(key) }, "Set": func() { a.Set(key, stranger) }, "GetOrSet": func() { a.GetOrSet(key, stranger) }, "Update": func() { a.Update(key, update) },
			"Take": func() { a.Take(key) }, "Delete": func() { a.Delete(key) }, "All": func() { _ = maps.Collect(a.All()) }, "Len": func() { a.Len() }, "Stats": func() { a.Stats() },
			"String": func() { _ = a.String() }, "LogValue": func() { a.LogValue() }, "OnRemove": func() { a.OnRemove(func(int, *thing, sessionmap.Cause) {})() },
		}, ofLease
}

func (s *stage) close(c interface{ Close() error }) { assert.NoError(s.t, c.Close()) }

// callEverything calls all methods but Close.
func (s *stage) callEverything() {
	ofMap, ofGroup, ofAttribute, ofLease := s.everyMethod(1)
	for _, calls := range []map[string]func(){ofMap, ofGroup, ofAttribute, ofLease} {
		for name, call := range calls {
			if name != "Close" {
				call()
			}
		}
	}
	s.index.Count(1)
	for range s.index.Of(1) {
	}
	s.index.DeleteBy(1)
	s.guard.Touch(1)
	s.guard.Adopt()
	for in := range sessionmap.Instances() {
		if in.Label == stageName {
			in.Stats()
			in.Attributes()
			for range in.Sessions() {
			}
			in.End(1)
		}
	}
	s.Publish(1)
}

// TestWorldKnowsEveryMethod: what callbacks call is all that maps, groups, attributes and leases have.
func TestWorldKnowsEveryMethod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.m.Set(1, stranger)
		ofMap, ofGroup, ofAttribute, ofLease := s.everyMethod(1)
		for of, calls := range map[any]map[string]func(){s.m: ofMap, s.g: ofGroup, s.a: ofAttribute, &sessionmap.Lease[int, *thing]{}: ofLease} {
			for method := range reflect.TypeOf(of).Methods() {
				assert.Contains(t, calls, method.Name, "%T", of)
			}
		}
		ofLease["Release"]()
		s.close(s.m)
		s.close(s.g)
	})
}

// An occasion is what leads to a call of a callback. Session 1 is there, in the map and in the group.
type occasion struct {
	name, part string
	run        func(s *stage)
	passes     bool // a panic goes on to the caller, whose own function it is
}

func occasions() (all []occasion) {
	add := func(name, part string, run func(s *stage)) { all = append(all, occasion{name, part, run, false}) }
	addOwn := func(name, part string, run func(s *stage)) {
		all = append(all, occasion{name, part, func(s *stage) {
			defer func() { _ = recover() }()
			run(s)
		}, true})
	}
	full := func(s *stage, acquire func(id int)) {
		for id := range featuresSize {
			acquire(2000 + id)
		}
	}
	for _, part := range []string{"OnRemove", "closer"} {
		for cause := range ends {
			add("map, "+cause.String(), part, func(s *stage) { s.inMap.endBy(s.t, cause) })
			add("group, "+cause.String(), part, func(s *stage) { s.inGroup.endBy(s.t, cause) })
		}
		add("map, replaced", part, func(s *stage) { s.m.Set(1, s.forMap()) })
		add("group, replaced", part, func(s *stage) { s.a.Set(1, s.forGroup()) })
		add("map, rejected", part, func(s *stage) {
			full(s, func(id int) { s.m.Set(id, s.forMap()); s.m.Acquire(id) })
			s.m.Set(1, s.forMap())
		})
		add("group, rejected", part, func(s *stage) {
			full(s, func(id int) { s.g.Begin(id) })
			s.a.Set(1, s.forGroup())
		})
	}
	for _, part := range []string{"OnEnd", "lock"} {
		for cause := range ends {
			add("group, "+cause.String(), part, func(s *stage) { s.inGroup.endBy(s.t, cause) })
		}
	}
	add("Rename", "lock", func(s *stage) { assert.NoError(s.t, s.g.Rename(1, 2)) })
	addOwn("Adopt", "lock", func(s *stage) { s.guard.Adopt() })
	for _, part := range []string{"cost", "owner"} {
		for _, key := range []int{1, 3} { // there, and not
			add(fmt.Sprint("Set ", key), part, func(s *stage) { v := s.forMap(); s.m.Set(key, v); s.ofMap.put(v) })
			add(fmt.Sprint("SetWithTTL ", key), part, func(s *stage) { v := s.forMap(); s.m.SetWithTTL(key, v, time.Hour); s.ofMap.put(v) })
			add(fmt.Sprint("Update ", key), part, func(s *stage) { s.m.Update(key, s.update) })
			add(fmt.Sprint("SetContext ", key), part, func(s *stage) { v := s.forMap(); s.m.SetContext(s.ctx, key, v); s.ofMap.put(v) })
			add(fmt.Sprint("Adopt ", key), part, func(s *stage) { v := s.forMap(); s.m.Adopt(map[int]*thing{key: v}); s.ofMap.put(v) })
			add(fmt.Sprint("attribute Set ", key), part, func(s *stage) { v := s.forGroup(); s.a.Set(key, v); s.ofGroup.put(v) })
			add(fmt.Sprint("attribute Update ", key), part, func(s *stage) { s.a.Update(key, s.update) })
		}
		add("GetOrSet", part, func(s *stage) { v := s.forMap(); s.m.GetOrSet(3, v); s.ofMap.put(v) })
		add("attribute GetOrSet", part, func(s *stage) { v := s.forGroup(); s.a.GetOrSet(3, v); s.ofGroup.put(v) })
		add("GetOrLoad", part, func(s *stage) {
			v, err := s.m.GetOrLoad(s.ctx, 3, s.load)
			assert.True(s.t, err != nil || v != nil)
		})
		add("Refresh", part, func(s *stage) { s.m.Refresh(1, s.load) })
	}
	add("NewIndex", "owner", func(s *stage) { sessionmap.NewIndex(s.m, s.owner) })
	add("NewIndex of an attribute", "owner", func(s *stage) { sessionmap.NewIndex(s.a, s.owner) })
	add("GetOrLoad", "load", func(s *stage) {
		v, err := s.m.GetOrLoad(s.ctx, 3, s.load)
		assert.True(s.t, err != nil || v != nil)
	})
	add("Refresh", "load", func(s *stage) { s.m.Refresh(1, s.load) })
	add("Update 1", "update", func(s *stage) { s.m.Update(1, s.update) })
	add("Update 3", "update", func(s *stage) { s.m.Update(3, s.update) })
	add("attribute Update 1", "update", func(s *stage) { s.a.Update(1, s.update) })
	add("attribute Update 3", "update", func(s *stage) { s.a.Update(3, s.update) })
	add("DeleteFunc", "predicate", func(s *stage) { s.m.DeleteFunc(func(int, *thing) bool { s.play("predicate"); return true }) })
	addOwn("All", "loop", func(s *stage) {
		for range s.m.All() {
			s.play("loop")
		}
	})
	within := func(s *stage) func(context.Context, *sessionmap.Session[int]) error {
		return func(context.Context, *sessionmap.Session[int]) error { s.play("fn"); return nil }
	}
	addOwn("Do", "fn", func(s *stage) { _ = s.g.Do(s.ctx, 1, within(s)) })
	addOwn("Run", "fn", func(s *stage) { _ = s.g.Run(s.ctx, 1, within(s)) })
	add("evicting", "alert", func(s *stage) { s.inMap.endBy(s.t, sessionmap.Evicted) })
	add("evicting of a group", "alert", func(s *stage) { s.inGroup.endBy(s.t, sessionmap.Evicted) })
	for _, part := range []string{"alert", "logger"} {
		add("a lease held for long", part, func(s *stage) {
			lease, _ := s.m.Acquire(1)
			defer lease.Release()
			time.Sleep(2 * sessionmap.DefaultLeaseWarning)
		})
	}
	add("Close", "cancel", func(s *stage) { s.m.Close() })
	add("Close of a group", "cancel", func(s *stage) { s.g.Close() })
	add("SetWithTTL", "logger", func(s *stage) { s.m.SetWithTTL(1, s.forMap(), -1) })
	add("Refresh", "logger", func(s *stage) {
		s.m.Refresh(1, func(context.Context, int) (*thing, error) { return nil, context.Canceled })
	})
	return all
}

var misbehaviours = map[string]func(s *stage){
	"panics":   func(*stage) { panic("on purpose") },
	"exits":    func(*stage) { runtime.Goexit() },
	"blocks":   func(s *stage) { <-s.release },
	"reenters": (*stage).callEverything,
	"closes": func(s *stage) {
		s.close(s.m)
		s.close(s.g)
	},
}

// TestWorldCallbacks: each callback, on each occasion, in each misbehaviour.
func TestWorldCallbacks(t *testing.T) {
	total := 0
	for round := range *faults {
		for _, o := range occasions() {
			for how, misbehaves := range misbehaviours {
				t.Run(fmt.Sprint(o.part, " ", how, "/", o.name), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { total += runOnStage(t, o, how, misbehaves, round%3) })
				})
			}
		}
	}
	injected(t, "callbacks", total)
}

// runOnStage has the callback misbehave when it is called after some calls, and returns how often it did.
func runOnStage(t *testing.T, o occasion, how string, misbehaves func(s *stage), calls int) int {
	s := newStage(t)
	require.True(t, s.m.Set(1, s.forMap()) && s.m.BindContext(s.ctx, 1) && s.a.Set(1, s.forGroup()) && s.g.BindContext(s.ctx, 1))
	s.cast(o.part, misbehaves, calls)
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		o.run(s)
	}()
	time.Sleep(3 * lifetime)
	synctest.Wait()
	s.occasion = o.name
	closes := how == "closes" && s.played > 0
	s.mapClosed = closes || slices.Contains([]string{"map, closed", "Close"}, o.name)
	s.groupClosed = closes || slices.Contains([]string{"group, closed", "Close of a group"}, o.name)
	if how == "blocks" && s.played > 0 {
		s.worksMeanwhile()
	}
	close(s.release)
	time.Sleep(time.Minute)
	<-returned
	synctest.Wait()
	assert.True(t, s.played == 1 || calls > 0, "the callback was never called")
	if how == "panics" && s.played > 0 && o.part != "logger" && !o.passes {
		assert.NotZero(t, s.m.Stats().CallbackPanics+s.g.Stats().CallbackPanics+s.a.Stats().CallbackPanics)
	}
	s.worksAfterwards()
	return s.played
}

// worksMeanwhile checks that a callback that blocks holds up nobody else.
func (s *stage) worksMeanwhile() {
	if s.m.Set(900, stranger) {
		assert.True(s.t, s.m.Contains(900))
		assert.LessOrEqual(s.t, s.m.Len(), featuresSize)
		assert.True(s.t, s.m.Delete(900))
	} else {
		assert.True(s.t, s.mapClosed || s.occasion == "map, rejected", "refused")
	}
	if s.a.Set(900, stranger) {
		_, ok := s.a.Get(900)
		assert.True(s.t, ok)
		assert.LessOrEqual(s.t, s.g.Len(), featuresSize)
		assert.True(s.t, s.g.Delete(900))
	} else {
		assert.True(s.t, s.groupClosed || s.occasion == "group, rejected", "refused")
	}
}

// worksAfterwards checks that the sweeper is alive, unless all is closed, and that nothing was lost.
func (s *stage) worksAfterwards() {
	t := s.t
	s.cast(s.part, nil, -1)
	s.heap.Live.Store(0)
	for id := range s.m.Leases() {
		s.m.Delete(id)
	}
	s.g.Clear()
	before := s.m.Stats().Removals[sessionmap.Idle] + s.g.Stats().Removals[sessionmap.Idle]
	var sessions uint64
	if assert.Equal(t, !s.mapClosed, s.m.Set(901, stranger)); !s.mapClosed {
		sessions++
	}
	if assert.Equal(t, !s.groupClosed, s.a.Set(901, stranger)); !s.groupClosed {
		sessions++
	}
	time.Sleep(2 * idle)
	synctest.Wait()
	assert.GreaterOrEqual(t, s.m.Stats().Removals[sessionmap.Idle]+s.g.Stats().Removals[sessionmap.Idle], before+sessions, "the sweeper has come by")
	assert.NoError(t, sessionmap.CheckInvariants(s.m))
	assert.NoError(t, sessionmap.CheckGroup(s.g))
	s.close(s.m)
	s.close(s.g)
	assert.NoError(t, sessionmap.CheckInvariants(s.m))
	assert.NoError(t, sessionmap.CheckGroup(s.g))
	s.ofMap.balance(t, nil, s.m.Stats())
	s.ofGroup.balance(t, nil, s.a.Stats())
}
