package sessionmap

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"sync/atomic"
)

// A reporter hands the values that leave to whoever is to hear of them, and counts them. No lock is held
// meanwhile.
type reporter[K comparable, V any] struct {
	values    boxer[V]
	callbacks *callbacks
	counters  *counters
	hooks     roster[func(K, V, Cause)]
	closer    func(K, V, Cause) // hears of what leaves after the hooks, and closes it; nil if that is not wanted
}

func (r *reporter[K, V]) init(c config) {
	r.values, r.callbacks, r.counters = newBoxer[V](), newCallbacks[K, V](c.logger, c.name), newCounters()
	if c.closes {
		callbacks, counters := r.callbacks, r.counters
		r.closer = func(_ K, value V, _ Cause) {
			if err := closeValue(value); err != nil {
				counters.closeErrors.Add(1)
				callbacks.warn("sessionmap: closing a value", "error", err)
			}
		}
	}
}

// report counts removals and tells the hooks of them.
func (r *reporter[K, V]) report(removals []removal[K, V]) {
	defer r.tell(removals, r.listeners(), 0) // deferred, for a context that leaves may end its goroutine
	r.allLeft(removals)
}

// reportOne is report for one. It allocates only where somebody is to be told.
func (r *reporter[K, V]) reportOne(out removal[K, V]) {
	if len(r.hooks.all()) > 0 || r.closer != nil {
		r.report([]removal[K, V]{out})
	} else {
		r.left(out)
	}
}

// listeners are the hooks and, last, what closes values.
func (r *reporter[K, V]) listeners() []*func(K, V, Cause) {
	hooks := r.hooks.all()
	if r.closer != nil {
		hooks = append(slices.Clip(hooks), &r.closer)
	}
	return hooks
}

// allLeft is left for each.
func (r *reporter[K, V]) allLeft(removals []removal[K, V]) {
	next := 0
	defer func() {
		if next < len(removals) {
			r.allLeft(removals[next:])
		}
	}()
	for next < len(removals) {
		next++
		r.left(removals[next-1])
	}
}

// left counts a removal, and ends what was tied to its entry.
func (r *reporter[K, V]) left(out removal[K, V]) {
	r.counters.removals[out.cause].Add(1)
	if out.ties != nil {
		out.ties.end(out.cause)
	}
}

// reject reports a value that was not stored. It is not closed if it is the same as what is stored, in present; nil is
// nothing.
func (r *reporter[K, V]) reject(key K, value V, present *boxed[V]) {
	out := removal[K, V]{key: key, value: value, cause: Rejected}
	if r.closer == nil || present == nil || !r.values.same(present, r.values.box(value)) {
		r.reportOne(out)
		return
	}
	r.left(out)
	r.tell([]removal[K, V]{out}, r.hooks.all(), 0)
}

// replaced is report for the value in old, which the one in box has replaced.
func (r *reporter[K, V]) replaced(key K, old, box *boxed[V]) {
	r.counters.lane().replaced.Add(1)
	hooks := r.hooks.all()
	if len(hooks) == 0 && r.closer == nil {
		return
	}
	out := removal[K, V]{key: key, value: r.values.open(old), cause: Replaced}
	if r.closer != nil && !r.values.same(old, box) {
		hooks = r.listeners()
	}
	r.tell([]removal[K, V]{out}, hooks, 0)
}

// tell tells each listener of each removal, in that order, the first next of these having been told.
func (r *reporter[K, V]) tell(removals []removal[K, V], listeners []*func(K, V, Cause), next int) {
	total := len(removals) * len(listeners)
	defer func() {
		if next < total { // a callback ended its goroutine (runtime.Goexit): the others still have to hear
			r.tell(removals, listeners, next)
		}
	}()
	for next < total {
		out, fn := removals[next/len(listeners)], listeners[next%len(listeners)]
		next++
		r.callbacks.run("OnRemove", func() { (*fn)(out.key, out.value, out.cause) })
	}
}

// closeValue closes value, if it is something that can be closed.
func closeValue(value any) error {
	if isNil(value) {
		return nil
	}
	switch c := value.(type) {
	case io.Closer:
		return c.Close()
	case interface{ Close() }:
		c.Close()
	case func():
		c()
	case context.CancelFunc:
		c()
	}
	return nil
}

// closable reports whether some value of type t can be closed.
func closable(t reflect.Type) bool {
	if t.Kind() == reflect.Interface {
		return true
	}
	closers := []reflect.Type{reflect.TypeFor[io.Closer](), reflect.TypeFor[interface{ Close() }]()}
	return slices.ContainsFunc(closers, t.Implements) || t == reflect.TypeFor[func()]() || t == reflect.TypeFor[context.CancelFunc]()
}

// callbacks runs user code: with no lock held, and so that a panic in it goes no further.
type callbacks struct {
	logger *slog.Logger
	mapID  slog.Attr
	panics atomic.Uint64
	group  *callbacks // of an attribute's group, where its panics count too, and where it runs; nil if there is none

	// How many run that began in a period, by whether its number is even. A period lasts from one look of the
	// watch to the next, so what began in the one before the last has been running for a whole one.
	period atomic.Uint32
	began  [2]atomic.Int64
}

func newCallbacks[K comparable, V any](logger *slog.Logger, name string) *callbacks {
	return &callbacks{logger: logger, mapID: slog.Group("map",
		"name", name, "key_type", reflect.TypeFor[K]().String(), "value_type", reflect.TypeFor[V]().String())}
}

// run is call for a callback that should not take long.
func (c *callbacks) run(callback string, fn func()) (returned bool) {
	watched := cmp.Or(c.group, c)
	running := &watched.began[watched.period.Load()%2]
	running.Add(1)
	defer running.Add(-1)
	return c.call(callback, fn)
}

// blocked begins another period, and returns how many callbacks have been running for the whole of the last.
func (c *callbacks) blocked() (n int64) {
	n = c.began[(c.period.Load()+1)%2].Load()
	c.period.Add(1)
	return n
}

// running reports whether any callback runs, since whenever.
func (c *callbacks) running() bool { return c.began[0].Load()+c.began[1].Load() > 0 }

// call calls fn. It reports whether fn returned; a panic is counted and logged.
func (c *callbacks) call(callback string, fn func()) (returned bool) {
	defer func() {
		if returned {
			return
		}
		if p := recover(); p != nil {
			c.panics.Add(1)
			if c.group != nil {
				c.group.panics.Add(1)
			}
			c.warn("sessionmap: callback panicked", "callback", callback, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	fn()
	return true
}

// warn logs, whatever the logger does.
func (c *callbacks) warn(msg string, args ...any) {
	defer func() { _ = recover() }()
	c.logger.With(c.mapID).Warn(msg, args...)
}

var callFunctions = [...]string{nameOf((*callbacks).call), nameOf((*callbacks).warn)}

func nameOf(function any) string {
	return runtime.FuncForPC(reflect.ValueOf(function).Pointer()).Name()
}

// inCallback reports whether the caller was called, however deeply, by a callback of any map.
func inCallback() bool {
	var pcs [64]uintptr
	for skip := 2; ; skip += len(pcs) {
		n := runtime.Callers(skip, pcs[:])
		if n == 0 {
			return false
		}
		for frames := runtime.CallersFrames(pcs[:n]); ; {
			frame, more := frames.Next()
			if slices.Contains(callFunctions[:], frame.Function) {
				return true
			}
			if !more {
				break
			}
		}
	}
}
