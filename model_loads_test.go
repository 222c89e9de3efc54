package sessionmap_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// The steps of a program on a map that are about loads, which may be under way for any number of steps.

// A modelLoad is a function that loads a value.
type modelLoad[V any] struct {
	key, number int
	outcome     func() (V, error)
	fails       int // what outcome does: see load
	done        chan struct{}
	over        chan struct{} // the program is, be it for a failure
	calls       int
	ctx         context.Context // that it was given

	began   time.Time
	vetoed  bool // it is not to be stored
	waiters []modelWaiter[V]
}

// How a load ends, if not with a value.
const (
	loadFails = iota + 1
	loadPanics
)

// A modelWaiter is one who waits for a load.
type modelWaiter[V any] struct {
	cancel func()
	answer chan loaded[V]
}

type loaded[V any] struct {
	value V
	err   error
}

// A modelRefresh is a load that is to replace a value of e.
type modelRefresh[V any] struct {
	load                     *modelLoad[V]
	e                        *modelEntry
	key                      int // of e then
	number, version, granted int // of its value then
}

func (p *program[V]) newLoad(key, x, y int) *modelLoad[V] {
	l := &modelLoad[V]{key: key, number: p.fresh(y), done: make(chan struct{}), over: p.over, began: time.Now()}
	if x%8 < 3 {
		l.fails = x % 8
	}
	l.outcome = func() (value V, err error) {
		switch l.fails {
		case loadFails:
			return value, errors.ErrUnsupported
		case loadPanics:
			panic("load")
		}
		return p.value(l.number), nil
	}
	return l
}

// run is what the map calls.
func (l *modelLoad[V]) run(ctx context.Context, _ int) (value V, err error) {
	l.calls++
	l.ctx = ctx
	select {
	case <-l.done:
		return l.outcome()
	case <-l.over:
		return value, errors.ErrUnsupported
	}
}

// err returns with what error it ends by itself; nil if there is none.
func (l *modelLoad[V]) err() error {
	return []error{nil, errors.ErrUnsupported, sessionmap.ErrLoad}[l.fails]
}

// loading returns the load of key that may yet be stored; nil if there is none.
func (p *program[V]) loading(key int) *modelLoad[V] {
	for _, l := range p.loads {
		if l.key == key && !l.vetoed {
			return l
		}
	}
	return nil
}

// veto is what becomes of a load when its key is set or deleted.
func (p *program[V]) veto(key int) {
	if l := p.loading(key); l != nil {
		l.vetoed = true
	}
}

func (p *program[V]) vetoAll() {
	for _, l := range p.loads {
		l.vetoed = true
	}
}

// load asks for a value, for which it may have to be loaded: at once, or it is under way for some time.
func (p *program[V]) load(key, x, y int) string {
	e, l := p.reach(key), p.newLoad(key, x/8, y)
	ctx, cancel := context.WithCancel(context.Background())
	w := modelWaiter[V]{cancel, make(chan loaded[V], 1)}
	go func() {
		value, err := p.m.GetOrLoad(ctx, key, l.run)
		w.answer <- loaded[V]{value, err}
	}()
	wait()
	if e != nil {
		p.hits++
		p.access(e)
		p.answered(w, e.number, nil)
		if p.refreshAfter > 0 && e.loaded && time.Since(e.loadedAt) >= p.refreshAfter && !e.refreshing {
			p.refreshing(e, l)
		}
		require.Equal(p.t, e.refreshing && l.ctx != nil, l.calls == 1)
		return fmt.Sprintf("GetOrLoad %d, there", key)
	}
	p.misses++
	failure, failed := p.failed[key]
	switch joined := p.loading(key); {
	case p.refuses(key):
		p.answered(w, 0, sessionmap.ErrRefused)
	case failed && time.Since(failure.at) < p.loadErrorTTL:
		p.answered(w, 0, failure.err)
	case joined != nil:
		joined.waiters = append(joined.waiters, w)
		require.Zero(p.t, l.calls)
		return fmt.Sprintf("GetOrLoad %d, joins", key)
	default:
		l.waiters = append(l.waiters, w)
		p.loads = append(p.loads, l)
		require.Equal(p.t, 1, l.calls)
		if x%8 < 5 {
			return p.finishLoad(l)
		}
		return fmt.Sprintf("GetOrLoad %d begins", key)
	}
	require.Zero(p.t, l.calls)
	return fmt.Sprintf("GetOrLoad %d, not now", key)
}

// answered checks what somebody got who waited.
func (p *program[V]) answered(w modelWaiter[V], number int, err error) {
	w.cancel()
	require.Len(p.t, w.answer, 1)
	got := <-w.answer
	require.ErrorIs(p.t, got.err, err)
	var ended *sessionmap.EndedError
	require.False(p.t, errors.As(got.err, &ended))
	require.Equal(p.t, number, p.number(got.value))
}

// finish ends a load that is under way.
func (p *program[V]) finish(_, x, _ int) string {
	loads, refreshes := len(p.loads), len(p.refreshes)
	switch i := x % max(1, loads+refreshes); {
	case i < loads:
		return p.finishLoad(p.loads[i])
	case i < loads+refreshes:
		return p.finishRefresh(p.refreshes[i-loads])
	}
	return "nothing to finish"
}

func (p *program[V]) finishLoad(l *modelLoad[V]) string {
	p.loads = slices.DeleteFunc(p.loads, func(o *modelLoad[V]) bool { return o == l })
	close(l.done)
	p.settle()
	number, err := 0, l.err()
	if l.fails == loadPanics {
		p.panics++
	}
	e := p.reach(l.key)
	switch {
	case err != nil:
		if p.loadErrorTTL > 0 && !l.vetoed && !p.closed {
			p.failed[l.key] = modelFailure{err, time.Now()}
		}
	case e != nil && p.costOf(l.number) >= 0:
		p.asked(l.number)
		p.reject(l.key, l.number)
		p.access(e)
		number = e.number
	case l.vetoed:
		p.asked(l.number)
		p.reject(l.key, l.number)
		err = &sessionmap.EndedError{Cause: sessionmap.Deleted}
		if p.closed {
			err = sessionmap.ErrRefused
		}
	default:
		if e = p.put(nil, l.key, l.number, p.idle); e == nil {
			err = sessionmap.ErrRefused
			break
		}
		e.loaded, e.loadedAt = true, time.Now()
		number = e.number
	}
	for _, w := range l.waiters {
		if _, ended := errors.AsType[*sessionmap.EndedError](err); ended {
			require.Equal(p.t, err, (<-w.answer).err)
			w.cancel()
			continue
		}
		p.answered(w, number, err)
	}
	return fmt.Sprintf("load of %d ends: %v", l.key, err)
}

// giveUp has somebody not wait any longer.
func (p *program[V]) giveUp(_, x, y int) string {
	if len(p.loads) == 0 {
		return "nobody waits"
	}
	l := p.loads[x%len(p.loads)]
	if len(l.waiters) == 0 {
		return "nobody waits for that"
	}
	i := y % len(l.waiters)
	w := l.waiters[i]
	l.waiters = slices.Delete(l.waiters, i, i+1)
	w.cancel()
	wait()
	p.answered(w, 0, context.Canceled)
	if len(l.waiters) == 0 {
		l.vetoed = true
	}
	return fmt.Sprintf("one gives up %d", l.key)
}

func (p *program[V]) refresh(key, x, y int) string {
	e, l := p.reach(key), p.newLoad(key, x/2, y)
	began := p.m.Refresh(key, l.run)
	require.Equal(p.t, e != nil && !e.refreshing, began)
	wait()
	if !began {
		require.Zero(p.t, l.calls)
		return fmt.Sprintf("Refresh %d: false", key)
	}
	r := p.refreshing(e, l)
	if x%2 == 0 {
		return p.finishRefresh(r)
	}
	return fmt.Sprintf("Refresh %d begins", key)
}

// refreshing notes that l is under way to replace the value of e.
func (p *program[V]) refreshing(e *modelEntry, l *modelLoad[V]) *modelRefresh[V] {
	require.Equal(p.t, 1, l.calls)
	e.refreshing = true
	p.hasContext(e, l.ctx)
	r := &modelRefresh[V]{l, e, e.key, e.number, e.version, e.granted}
	p.refreshes = append(p.refreshes, r)
	return r
}

func (p *program[V]) finishRefresh(r *modelRefresh[V]) string {
	p.refreshes = slices.DeleteFunc(p.refreshes, func(o *modelRefresh[V]) bool { return o == r })
	e, number := r.e, r.load.number
	e.refreshing = false
	close(r.load.done)
	p.settle()
	if r.load.fails == loadPanics {
		p.panics++
	}
	same := e.ended == 0 && e.version == r.version
	if p.closes { // a pointer that is set once more is the same
		same = e.ended == 0 && e.number == r.number
	}
	if same {
		e.loadedAt = time.Now()
	}
	if r.load.err() != nil {
		return fmt.Sprintf("refresh of %d fails", e.key)
	}
	p.asked(number)
	switch {
	case p.costOf(number) < 0:
		p.reject(r.key, number)
	case !same || e.granted != r.granted || p.expired(e) != 0 || !p.admit(e, number):
		p.reject(e.key, number)
	default:
		p.sets++
		p.expect(removal{e.key, e.number, sessionmap.Replaced})
		p.store(e, number)
		e.loaded = true
	}
	return fmt.Sprintf("refresh of %d: %v", e.key, e.number == number)
}

// checkLoads: who loads is to stop when nobody waits any longer, or the map is closed.
func (p *program[V]) checkLoads() {
	for _, l := range p.loads {
		require.Equal(p.t, p.closed || len(l.waiters) == 0, l.ctx.Err() != nil)
		for _, w := range l.waiters {
			require.Empty(p.t, w.answer)
		}
	}
	underWay := slices.DeleteFunc(slices.Clone(p.loads), func(l *modelLoad[V]) bool { return l.vetoed })
	require.Equal(p.t, len(underWay), sessionmap.LoadsUnderWay(p.m))
}
