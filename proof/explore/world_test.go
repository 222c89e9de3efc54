//go:build explore

package main_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/sessionmap/sessionmap"
	"github.com/sessionmap/sessionmap/proof/stepped"
)

// A scenario is what a few tasks do to a map.
type scenario struct {
	name    string
	options []sessionmap.Option
	before  func(w *world)
	tasks   []func(w *world)
	after   func(w *world) error // further checks, once all is quiet
	idle    time.Duration        // WithTTL
	size    int                  // WithMaxSize
	fine    bool                 // the clock is one that never reads the same twice
	collide bool                 // all keys have the same hash
	refuses bool                 // values can be refused
	costs   bool                 // the attributes of the group have a cost
	group   bool                 // the keys are those of a group (see grouped)
}

// A world is the map of an execution, and what is known about it from outside. One goroutine at a time uses it.
type world struct {
	scenario
	m        *sessionmap.RobustSessionMap[int, int] // nil where there is a group
	g        *sessionmap.Group[int]
	store    store // either
	bus      *sessionmap.Bus[int]
	index    *sessionmap.Index[int, int] // that a scenario makes, if any
	guarded  *guarded                    // likewise
	calls    []porcupine.Operation
	attempts []attempt
	deleted  []attempt // by value or owner
	clock    int64     // of calls
	values   map[int]*storedValue
	leased   map[int]int     // how many hold what value
	began    map[int]int64   // when the loads of values did
	stay     context.Context // of callers who leave
	leave    func()
	failed   error
}

// A storedValue is one that was put in. Each is put in once.
type storedValue struct {
	key      int
	put      int64 // when the call began
	idle     time.Duration
	keeps    bool     // whatever idle timeout the session has
	late     callKind // refresh, or the load of a caller who leaves: it is put in some time after the call, if at all
	accesses []*access
	left     []sessionmap.Cause
	leftAt   time.Duration
}

// An attempt is a call, and when it was.
type attempt struct {
	call
	*access
}

type access struct {
	began, ended     int64
	beganAt, endedAt time.Duration // in the time of the bubble
}

var start time.Time

// elapsed is how much time has passed by the clock of the map.
func elapsed() time.Duration { return time.Since(start) + stepped.Readings() }

func newWorld(t *testing.T, s scenario) *world {
	start = time.Now()
	w := &world{scenario: s, bus: sessionmap.NewBus[int](), values: make(map[int]*storedValue), leased: make(map[int]int), began: make(map[int]int64)}
	w.stay, w.leave = context.WithCancel(context.Background())
	options := append([]sessionmap.Option{sessionmap.WithTTL(s.idle), sessionmap.WithMaxSize(s.size), sessionmap.WithSessionDeleted(w.bus)}, s.options...)
	if err := w.make(options); err != nil {
		t.Fatal(err)
	}
	if s.before != nil {
		s.before(w)
	}
	return w
}

func (w *world) make(options []sessionmap.Option) (err error) {
	if w.group {
		if w.g, err = sessionmap.NewGroup[int](options...); err == nil {
			w.store = newGrouped(w)
		}
		return err
	}
	w.m, err = sessionmap.New[int, int](append(options, sessionmap.WithOnRemove(w.left))...)
	w.store = w.m
	return err
}

func (w *world) tasks() (fns []func()) {
	for _, task := range w.scenario.tasks {
		fns = append(fns, func() { task(w) })
	}
	return fns
}

func (w *world) fail(format string, args ...any) {
	if w.failed == nil {
		w.failed = fmt.Errorf(format, args...)
	}
}

// left is what the map reports to.
func (w *world) left(key, v int, cause sessionmap.Cause) {
	it := w.values[v]
	if it == nil {
		w.fail("value %d was never put in", v)
		return
	}
	it.left, it.leftAt = append(it.left, cause), elapsed()
	if w.leased[v] > 0 && cause.Backstop() {
		w.fail("value %d left as %v while leased", v, cause)
	}
	if cause.Backstop() || cause == sessionmap.SessionDeleted {
		w.leaves(key, v, cause)
	}
}

// leaves records that a value has left that no call took.
func (w *world) leaves(key, v int, cause sessionmap.Cause) {
	w.clock++
	w.calls = append(w.calls, porcupine.Operation{ClientId: 100 + len(w.calls), Input: call{kind: leave, key: key, value: v, cause: cause}, Call: w.values[v].put, Return: w.clock})
}

// do makes a call and records it. Of value, if there is one, run says whether it was stored.
func (w *world) do(c call, run func() outcome) (out outcome) {
	stepped.Call(func() {
		w.clock++
		a := &access{began: w.clock, beganAt: elapsed()}
		if c.value != 0 {
			w.values[c.value] = &storedValue{key: c.key, put: a.began, idle: w.idle, keeps: c.kind == update}
		}
		out = run()
		out.late = w.idle > 0 && elapsed() >= w.idle/2 // the shortest timeout that a session is given
		w.clock++
		a.ended, a.endedAt = w.clock, elapsed()
		for v, it := range w.values {
			if v == out.value && c.kind != peek || v == c.value && out.stored || c.kind == touch && out.ok && it.key == c.key {
				it.accesses = append(it.accesses, a)
			}
		}
		if it := w.values[c.value]; it != nil && !out.stored && it.left == nil {
			delete(w.values, c.value) // it was not needed
		}
		w.attempts = append(w.attempts, attempt{c, a})
		w.calls = append(w.calls, porcupine.Operation{ClientId: len(w.calls), Input: c, Output: out, Call: a.began, Return: a.ended})
	})
	return out
}

func (w *world) get(key int) outcome {
	return w.do(call{kind: get, key: key}, func() (out outcome) { out.value, out.ok = w.store.Get(key); return out })
}

func (w *world) peek(key int) outcome {
	return w.do(call{kind: peek, key: key}, func() (out outcome) { out.value, out.ok = w.m.Peek(key); return out })
}

// touch is for keys that have one value in all.
func (w *world) touch(key int) outcome {
	return w.do(call{kind: touch, key: key}, func() outcome { return outcome{ok: w.m.Touch(key)} })
}

func (w *world) set(key, value int) outcome {
	return w.do(call{kind: set, key: key, value: value}, func() outcome {
		stored := w.store.Set(key, value)
		return outcome{ok: stored, stored: stored}
	})
}

func (w *world) setIdle(key, value int, idle time.Duration) outcome {
	return w.do(call{kind: set, key: key, value: value}, func() outcome {
		stored := w.m.SetWithTTL(key, value, idle)
		w.values[value].idle = idle
		return outcome{ok: stored, stored: stored}
	})
}

func (w *world) take(key int) outcome {
	return w.do(call{kind: take, key: key}, func() (out outcome) { out.value, out.ok = w.store.Take(key); return out })
}

func (w *world) getOrSet(key, value int) outcome {
	return w.do(call{kind: getOrSet, key: key, value: value}, func() (out outcome) {
		out.value, out.ok = w.store.GetOrSet(key, value)
		out.stored = !out.ok && !slices.Contains(w.values[value].left, sessionmap.Rejected)
		return out
	})
}

func (w *world) update(key, value int) outcome {
	return w.do(call{kind: update, key: key, value: value}, func() (out outcome) {
		now, _ := w.store.Update(key, func(old int, ok bool) (int, bool) {
			out.value, out.ok = old, ok
			return value, true
		})
		out.stored = now == value
		return out
	})
}

// updateAway deletes a value by Update.
func (w *world) updateAway(key int) outcome {
	return w.do(call{kind: updateAway, key: key}, func() (out outcome) {
		w.store.Update(key, func(old int, ok bool) (int, bool) {
			out.value, out.ok = old, ok
			return 0, false
		})
		return out
	})
}

func (w *world) rename(from, to int) outcome {
	return w.do(call{kind: rename, key: from, to: to}, func() outcome {
		err := w.m.Rename(from, to)
		return outcome{ok: err == nil, exists: errors.Is(err, sessionmap.ErrExists), refused: errors.Is(err, sessionmap.ErrRefused)}
	})
}

func (w *world) load(key, value int) outcome {
	return w.do(call{kind: load, key: key, value: value}, func() (out outcome) {
		got, err := w.m.GetOrLoad(context.Background(), key, w.loader(value))
		return outcome{value: got, ok: err == nil && got != value, stored: err == nil && got == value}
	})
}

// loadUntilLeft loads a value for a caller who may leave before it is there. Nobody else puts one in.
func (w *world) loadUntilLeft(key, value int) {
	stepped.Call(func() {
		w.clock++
		w.values[value] = &storedValue{key: key, put: w.clock, idle: w.idle, late: load}
		if got, err := w.m.GetOrLoad(w.stay, key, w.loader(value)); err == nil && got != value {
			w.fail("loaded %d, got %d", value, got)
		}
	})
}

// mustLoad loads a value for a key that is never refused.
func (w *world) mustLoad(key, value int) {
	stepped.Call(func() {
		w.clock++
		w.values[value] = &storedValue{key: key, put: w.clock, idle: w.idle, late: load}
		got, err := w.m.GetOrLoad(context.Background(), key, w.loader(value))
		if err != nil {
			w.fail("%v", err)
		}
		if got != value && w.values[value].left == nil {
			delete(w.values, value) // it was not needed
		}
	})
}

// deleteValue deletes value whatever its key.
func (w *world) deleteValue(value int) {
	w.ends(value, func() (key, n int) {
		n = w.m.DeleteFunc(func(k, v int) bool {
			if v == value {
				key = k
			}
			return v == value
		})
		return key, n
	})
}

// deleteOwned deletes value, which only ever has one key, as its own owner.
func (w *world) deleteOwned(value, key int) {
	w.ends(value, func() (int, int) { return key, w.index.DeleteBy(value) })
}

// ends calls del, which deletes value, if it is there, and tells under which key.
func (w *world) ends(value int, del func() (key, n int)) {
	w.clock++
	began := w.clock
	if key, n := del(); n > 0 {
		w.leaves(key, value, sessionmap.Deleted)
		w.deleted = append(w.deleted, attempt{call{key: key}, &access{began: began}})
	}
}

// refresh loads the value of key anew.
func (w *world) refresh(key, value int) {
	stepped.Call(func() {
		w.clock++
		w.values[value] = &storedValue{key: key, put: w.clock, idle: w.idle, keeps: true, late: refresh}
		if !w.m.Refresh(key, w.loader(value)) {
			delete(w.values, value)
		}
	})
}

func (w *world) loader(value int) func(context.Context, int) (int, error) {
	return func(context.Context, int) (int, error) {
		w.clock++
		w.began[value] = w.clock
		return value, nil
	}
}

func (w *world) clear() {
	w.do(call{kind: clear}, func() outcome { w.store.Clear(); return outcome{} })
}

func (w *world) shut() {
	w.do(call{kind: shut}, func() outcome {
		if err := w.store.Close(); err != nil {
			w.fail("Close: %v", err)
		}
		return outcome{}
	})
}

// lease holds a lease on key for as long as hold runs, which is one long access.
func (w *world) lease(key int, hold func()) {
	var lease *sessionmap.Lease[int, int]
	held := w.do(call{kind: acquire, key: key}, func() (out outcome) {
		if lease, out.ok = w.m.Acquire(key); out.ok {
			out.value = lease.Value()
		}
		return out
	})
	if !held.ok {
		return
	}
	it := w.values[held.value]
	a := it.accesses[len(it.accesses)-1]
	w.leased[held.value]++
	hold()
	w.leased[held.value]--
	stepped.Call(func() {
		a.ended, a.endedAt = math.MaxInt64, math.MaxInt64
		lease.Release()
		w.clock++
		a.ended, a.endedAt = w.clock, elapsed()
	})
}

// always is checked between all steps.
func (w *world) always() error {
	if n := w.store.Len(); w.size > 0 && n > w.size {
		return fmt.Errorf("Len is %d, the bound %d", n, w.size)
	}
	return w.failed
}

func (w *world) check() error {
	w.store.Sweep() // All does not tell of what is expired
	if w.idle > 0 && w.hidden() {
		time.Sleep(w.idle)
		w.store.Sweep()
	}
	if err := w.checkInside(); err != nil {
		return err
	}
	for _, check := range []func() error{w.checkOnce, w.checkLife, w.checkVictims, w.checkHistory} {
		if err := check(); err != nil {
			return fmt.Errorf("%w\ncalls: %v", err, w.describe())
		}
	}
	if w.after != nil {
		if err := w.after(w); err != nil {
			return fmt.Errorf("%w\ncalls: %v", err, w.describe())
		}
	}
	return w.failed
}

func (w *world) checkInside() error {
	if w.group {
		return sessionmap.CheckGroup(w.g)
	}
	return sessionmap.CheckInvariants(w.m)
}

// hidden reports whether something is expired that a sweep does not meet: an access that was held up after its look at the
// clock, for longer than any is, has it stand behind one that lives.
func (w *world) hidden() bool {
	present := make(map[int]bool)
	for _, v := range w.store.All() {
		present[v] = true
	}
	for v, it := range w.values {
		if !present[v] && it.left == nil {
			return true
		}
	}
	return false
}

// checkOnce checks that each value is there or has left, once.
func (w *world) checkOnce() error {
	present := make(map[int]int)
	for key, v := range w.store.All() {
		present[v]++
		it := w.values[v]
		if it == nil {
			return fmt.Errorf("value %d of %d was never put in", v, key)
		}
		if w.group || it.keeps {
			continue
		}
		if e, _ := w.m.Entry(key); e.IdleTimeout != it.idle {
			return fmt.Errorf("value %d has an idle timeout of %v, want %v", v, e.IdleTimeout, it.idle)
		}
	}
	for v, it := range w.values {
		if n := present[v] + len(it.left); n != 1 {
			return fmt.Errorf("value %d is there %d times, and has left as %v", v, present[v], it.left)
		}
	}
	return nil
}

// checkLife checks that no session idled out that was in use, and that none was handed out after its end.
func (w *world) checkLife() error {
	if w.group { // where an access to one attribute keeps the others
		return nil
	}
	for v, it := range w.values {
		for _, a := range it.accesses {
			if slices.Contains(it.left, sessionmap.Idle) && it.leftAt-a.beganAt < it.idle {
				return fmt.Errorf("value %d was accessed at %v and idled out by %v", v, a.beganAt, it.leftAt)
			}
			idle := it.idle
			for _, other := range w.values {
				if other.key == it.key && other.put < a.ended {
					idle = max(idle, other.idle) // which it gets before the value
				}
			}
			alive := it.idle == 0 || it.late == refresh || a.began == it.put
			for _, other := range it.accesses {
				alive = alive || other != a && other.began < a.ended && a.beganAt-other.endedAt < idle
			}
			for _, other := range w.attempts {
				alive = alive || other.access != a && w.mayTouch(other.call, it) && other.began < a.ended && a.beganAt-other.endedAt < idle
			}
			if !alive {
				return fmt.Errorf("value %d was handed out at %v, when it was expired", v, a.beganAt)
			}
		}
	}
	return nil
}

// checkVictims checks that whoever was evicted was not accessed after another was for the last time. Accesses that
// overlap have no order.
func (w *world) checkVictims() error {
	if w.group {
		return nil
	}
	for v, it := range w.values {
		if len(it.left) == 0 || it.left[0] != sessionmap.Evicted {
			continue
		}
		evicting := w.evicting(v)
		last := int64(0)
		for _, a := range it.accesses {
			last = max(last, a.began)
		}
		for u, other := range w.values {
			if u == v || other.left != nil || w.leased[u] > 0 || len(other.accesses) == 0 || other.accesses[0].ended > evicting.Call {
				continue
			}
			older := !slices.ContainsFunc(w.attempts, func(a attempt) bool {
				return w.mayTouch(a.call, other) && a.ended > last && a.began < evicting.Return
			})
			for _, a := range other.accesses {
				older = older && (a.ended < last || a.began > evicting.Return)
			}
			if older {
				return fmt.Errorf("value %d was evicted, and %d was not, which was accessed before", v, u)
			}
		}
	}
	return nil
}

// mayTouch reports whether a call may have touched the session of a value that it has not seen: it leased that when it had
// another value, or it puts in another, before which the session was renamed or removed.
func (w *world) mayTouch(c call, it *storedValue) bool {
	return c.kind == acquire && c.key == it.key || c.value != 0 && (c.key == it.key || slices.ContainsFunc(w.calls, func(o porcupine.Operation) bool {
		r := o.Input.(call)
		return r.kind == rename && r.to == c.key
	}))
}

// evicting returns the first call that can have evicted a value.
func (w *world) evicting(v int) porcupine.Operation {
	var left porcupine.Operation
	for _, o := range w.calls {
		if c := o.Input.(call); c.kind == leave && c.value == v {
			left = o
		}
	}
	for _, o := range w.calls {
		if c := o.Input.(call); c.value != 0 && c.kind != leave && o.Call < left.Return && o.Return > left.Return {
			return o
		}
	}
	return left
}

func (w *world) checkHistory() error {
	for v, it := range w.values {
		if it.late != "" && !slices.Contains(it.left, sessionmap.Rejected) {
			w.calls = append(w.calls, porcupine.Operation{ClientId: 200, Input: call{kind: it.late, key: it.key, value: v}, Output: outcome{stored: true}, Call: it.put, Return: w.clock + 1})
		}
	}
	if result := porcupine.CheckOperations(wholeMap(w.scenario), w.calls); !result {
		return errors.New("the calls have no order")
	}
	return nil
}

func (w *world) describe() string {
	s := ""
	for _, o := range w.calls {
		s += fmt.Sprintf("\n  %d-%d %v: %v", o.Call, o.Return, o.Input, o.Output)
	}
	return s
}

// close closes the map, after which all values have left.
func (w *world) close() error {
	if err := w.store.Close(); err != nil {
		return err
	}
	for v, it := range w.values {
		if len(it.left) != 1 {
			return fmt.Errorf("value %d has left as %v after Close", v, it.left)
		}
	}
	return nil
}
