package sessionmap

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"weak"
)

// Loads: of all who miss the same key at once, one has the value loaded, and all get it.
//
//	GetOrLoad ──hit──► value                      a load runs on a goroutine of its own, and its context is
//	    └─miss─► join the load of key, or begin   cancelled when nobody waits for it any longer
//	             one; wait for it or for ctx
//
// A load belongs to the session that was not there when it began. A delete, an event, Clear, or a Set meanwhile
// vetoes it: its result is not stored. The veto is marked before the other takes the map's lock, and looked at
// under that lock, so that whatever is stored has been there before the delete, and left with it.

// loads is empty in a map on which GetOrLoad is not used.
type loads[K comparable, V any] struct {
	underWay atomic.Int64 // how many calls there are; those who might veto one look here first

	mu    sync.Mutex // the map's lock may be taken while it is held, and not the other way round
	calls map[K]*loadCall[V]
}

// A loadCall is a load that somebody waits for.
type loadCall[V any] struct {
	waiters int // guarded by the mu of loads
	cancel  context.CancelFunc
	vetoed  atomic.Bool

	done  chan struct{} // closed once what follows is there
	value V
	err   error
}

// ErrLoad is what a GetOrLoad returns whose load did not return, because it panicked or ended its goroutine.
var ErrLoad = errors.New("sessionmap: the load did not return")

// GetOrLoad returns the value of key if it is there; else it calls load and stores what that returns, once for
// all who ask meanwhile. Either is an access. Errors of load go to all who wait, and are remembered if
// [WithLoadErrorTTL] says so; nothing is stored then.
//
// A caller whose ctx is done stops waiting and gets its cause; load goes on for the others. When none is left, the
// context that load was given is cancelled. That has the values of the first caller's ctx.
//
// The result is not stored, but reported as [Rejected], where the session was deleted or set while load
// ran: callers then get what was set, or an [*EndedError]. Where the map refuses the key, as Set would, they get
// [ErrRefused]. A load under way has a goroutine of its own, and Close waits for it. load may call any method, but
// to ask for the same key is to wait for itself.
func (m *RobustSessionMap[K, V]) GetOrLoad(ctx context.Context, key K, load func(ctx context.Context, key K) (V, error)) (V, error) {
	if ctx == nil {
		panic("sessionmap: GetOrLoad: want a context, got nil")
	}
	var none V
	refusal := func() error { return fmt.Errorf("%w: GetOrLoad of %v", ErrRefused, key) }
	hash, ok := m.hash(key)
	if !ok || key != key {
		return none, refusal()
	}
	if box := m.access(hash, key); box != nil {
		m.counters.lane().hits.Add(1)
		m.refreshOld(key, load)
		return m.values.open(box), nil
	}
	m.counters.lane().misses.Add(1)
	m.mu.Lock()
	now := m.clock.exact()
	failed, _ := m.keys.failed.get(key, now)
	if m.refuses(key, now) {
		failed = ErrRefused
	}
	m.mu.Unlock()
	switch failed {
	case nil:
	case ErrRefused:
		return none, refusal()
	default:
		return none, failed
	}

	l := &m.loads
	l.mu.Lock()
	call := l.calls[key]
	if call == nil {
		// A load may have ended since the look at the table.
		if box := m.access(hash, key); box != nil {
			l.mu.Unlock()
			return m.values.open(box), nil
		}
		if !m.crew.join() {
			l.mu.Unlock()
			return none, refusal()
		}
		call = &loadCall[V]{done: make(chan struct{})}
		var loading context.Context
		loading, call.cancel = context.WithCancel(context.WithoutCancel(ctx))
		if l.calls == nil {
			l.calls = make(map[K]*loadCall[V])
		}
		l.calls[key] = call
		l.underWay.Add(1)
		go m.load(loading, call, key, load)
	}
	call.waiters++
	l.mu.Unlock()

	select {
	case <-call.done:
		return call.value, call.err
	case <-ctx.Done():
		l.mu.Lock()
		if call.waiters--; call.waiters == 0 {
			l.end(key, call)
			call.cancel()
		}
		l.mu.Unlock()
		return none, context.Cause(ctx)
	}
}

// end takes call off the list, so that who comes later begins another, and keeps its result from being stored.
// It needs mu.
func (l *loads[K, V]) end(key K, call *loadCall[V]) {
	if l.calls[key] == call {
		delete(l.calls, key)
		l.underWay.Add(-1)
	}
	call.vetoed.Store(true)
}

// veto keeps the load of key that is under way, if any, from being stored. It reports whether there was one: it may be
// in the middle of being stored, which is over when the map's lock is free.
func (l *loads[K, V]) veto(key K) (underWay bool) {
	if l.underWay.Load() == 0 {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	call := l.calls[key]
	if call != nil {
		l.end(key, call)
	}
	return call != nil
}

// vetoAll is veto for all keys.
func (l *loads[K, V]) vetoAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, call := range l.calls {
		l.end(key, call)
	}
}

// cancelAll cancels the loads under way, of which none is to be stored.
func (l *loads[K, V]) cancelAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, call := range l.calls {
		l.end(key, call)
		call.cancel()
	}
}

// load runs a load and gives the result to those who wait. A callback or load itself may end the goroutine.
func (m *RobustSessionMap[K, V]) load(ctx context.Context, call *loadCall[V], key K, load func(context.Context, K) (V, error)) {
	var value V
	err := ErrLoad
	defer m.crew.leave()
	defer close(call.done)
	defer func() {
		m.loads.mu.Lock()
		defer m.loads.mu.Unlock()
		m.loads.end(key, call)
	}()
	defer func() {
		call.cancel()
		if err != nil {
			call.err = err
			m.rememberFailure(key, err, call)
			return
		}
		m.storeLoaded(call, key, value)
	}()
	m.callbacks.call("GetOrLoad", func() { value, err = load(ctx, key) })
}

// storeLoaded stores what was loaded, unless there is a veto, and tells call what those who wait get.
func (m *RobustSessionMap[K, V]) storeLoaded(call *loadCall[V], key K, value V) {
	var present *boxed[V]
	var stored bool
	var left removal[K, V]
	call.err = ErrLoad // unless a cost function returns
	d, ok := m.demands(key, value)
	if ok {
		present, stored, left = m.tryInsert(key, m.values.box(value), d, &call.vetoed)
	}
	switch {
	case stored:
		call.value, call.err = value, nil
	case present != nil:
		call.value, call.err = m.values.open(present), nil
	case call.vetoed.Load() && !m.closed.Load():
		call.err = &EndedError{Deleted}
	default:
		call.err = fmt.Errorf("%w: GetOrLoad of %v", ErrRefused, key)
	}
	m.reportLeft(left, func() {
		if stored {
			m.loaded(key)
		} else {
			m.reject(key, value)
		}
	})
}

// A crew counts the goroutines that Close has to wait for.
type crew struct {
	mu        sync.Mutex
	n         int
	dismissed chan struct{} // nil until then; closed when the last has left
}

// join reports false once the crew has been dismissed.
func (c *crew) join() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dismissed != nil {
		return false
	}
	c.n++
	return true
}

func (c *crew) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n--; c.n == 0 && c.dismissed != nil {
		close(c.dismissed)
	}
}

// dismiss returns a channel that is closed when all have left. It is called once.
func (c *crew) dismiss() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dismissed = make(chan struct{})
	if c.n == 0 {
		close(c.dismissed)
	}
	return c.dismissed
}

// rememberFailure has those who ask for key soon get the same error.
func (m *RobustSessionMap[K, V]) rememberFailure(key K, err error, call *loadCall[V]) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.keys.failed.window > 0 && !call.vetoed.Load() && !m.closed.Load() {
		now := m.clock.exact()
		m.keys.failed.put(key, err, now)
		m.sweeper.arm(m.keys.failed.deadline(), now)
	}
}

// Refresh has the value of key loaded anew in the background, and reports whether it began that: the session is
// there, and no refresh of it is under way. The new value takes the place of the old, which is reported as
// [Replaced]; it is no access. If the value has been set, or the session has ended, meanwhile, the
// new one is reported as [Rejected]. Where load fails the old value stays, and the log says so. The context of load is
// cancelled when the session ends.
func (m *RobustSessionMap[K, V]) Refresh(key K, load func(ctx context.Context, key K) (V, error)) (began bool) {
	e, box := m.peek(key)
	if box == nil {
		return false
	}
	m.mu.Lock()
	p := m.policy.Load()
	if p.table.find(e.hash, e.key) == e && e.live(m.clock.exact(), m.timeouts) {
		began = m.beginRefresh(p, e, box, load)
	}
	m.mu.Unlock()
	return began
}

// beginRefresh needs the lock.
func (m *RobustSessionMap[K, V]) beginRefresh(p *policy[K, V], e *entry[K, V], box *boxed[V], load func(context.Context, K) (V, error)) (began bool) {
	t := p.tie(e)
	if t.refreshing || !m.crew.join() {
		return false
	}
	t.refreshing = true
	go m.refresh(t, e.key, box, load)
	return true
}

// refresh loads a value anew. A callback or load itself may end the goroutine.
func (m *RobustSessionMap[K, V]) refresh(t *ties, key K, box *boxed[V], load func(context.Context, K) (V, error)) {
	var value V
	err := ErrLoad
	defer m.crew.leave()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		t.refreshing = false
		value := t.entry.(*entry[K, V]).value.Load()
		t.loaded, t.loadedAt = weak.Make(value), m.clock.exact() // or the next try would come at once
	}()
	defer func() {
		if err != nil {
			m.callbacks.warn("sessionmap: Refresh failed", "error", err)
			return
		}
		m.storeRefreshed(t, box, value)
	}()
	m.callbacks.call("Refresh", func() { value, err = load(t.context(), key) })
}

// storeRefreshed puts a value that was loaded anew in the place of the one in box.
func (m *RobustSessionMap[K, V]) storeRefreshed(t *ties, box *boxed[V], value V) {
	m.mu.Lock()
	e := t.entry.(*entry[K, V])
	m.mu.Unlock()
	x, left, loaded := exchangeRefused, removal[K, V]{}, m.values.box(value)
	d, ok := m.demands(e.key, value)
	if ok {
		x, left = m.change(e.key, d, func(found *entry[K, V]) bool { return found == e && e.value.Load() == box }, func(*policy[K, V], int64) bool {
			return e.value.CompareAndSwap(box, loaded)
		})
	}
	m.reportLeft(left, func() {
		if x != exchanged {
			m.reject(e.key, value)
			return
		}
		m.catchUp(e, d)
		m.replaced(e.key, box, loaded)
	})
}

// loaded notes when the value of key was loaded, if that matters.
func (m *RobustSessionMap[K, V]) loaded(key K) {
	if m.refreshAfter > 0 {
		m.withLive(key, func(p *policy[K, V], e *entry[K, V], now int64) {
			t := p.tie(e)
			t.loaded, t.loadedAt = weak.Make(e.value.Load()), now
		})
	}
}

// refreshOld begins a refresh of key if it was loaded long enough ago.
func (m *RobustSessionMap[K, V]) refreshOld(key K, load func(context.Context, K) (V, error)) {
	if m.refreshAfter == 0 {
		return
	}
	m.withLive(key, func(p *policy[K, V], e *entry[K, V], now int64) {
		box := e.value.Load()
		if t := p.tie(e); t.loaded == any(weak.Make(box)) && now-t.loadedAt >= m.refreshAfter {
			m.beginRefresh(p, e, box, load)
		}
	})
}
