package sessionmap

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// Loads: of all who miss the same key at once, one has the value loaded, and all get it.
//
//	GetOrLoad ──hit──► value                      a load runs on a goroutine of its own, and its context is
//	    └─miss─► join the load of key, or begin   cancelled when nobody waits for it any longer
//	             one; wait for it or for ctx
//
// A load belongs to the session that was not there when it began. A delete, an event, Clear, or a Set meanwhile
// vetoes it: its result is not stored. The veto is marked, and looked at, with the map's lock held, so that
// whatever is stored has been there before the delete, and left with it.

// loads is empty in a map on which GetOrLoad is not used.
type loads[K comparable, V any] struct {
	underWay atomic.Int64 // how many are running; those who might veto one look here first
	ended    atomic.Int64 // how many have been taken off the list

	mu      sync.Mutex            // is taken with the map's lock held, and not the other way round
	calls   map[K]*loadCall[V]    // the list: those that others may join
	running map[*loadCall[V]]bool // also those that are not to be stored
}

// A loadCall is a load that somebody waits for.
type loadCall[V any] struct {
	began   int64 // clock reading
	waiters int   // guarded by the mu of loads
	cancel  context.CancelFunc
	vetoed  atomic.Bool

	done  chan struct{} // closed once what follows is there
	value V
	err   error
	told  chan struct{} // closed once what has left for it is reported
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
// The result is not stored, but reported as [Rejected], where the session was deleted, set or renamed, or the map cleared,
// while load ran: callers then get what was set, or an [*EndedError]. Where the map refuses the key, as Set would, they get
// [ErrRefused]. A load under way has a goroutine of its own, and Close waits for it. load may call any method, but
// to ask for the same key is to wait for itself. It takes the lock on a miss, and panics if ctx is nil.
func (m *RobustSessionMap[K, V]) GetOrLoad(ctx context.Context, key K, load func(ctx context.Context, key K) (V, error)) (V, error) {
	wantContext("GetOrLoad", ctx)
	var none V
	refusal := func() error { return fmt.Errorf("%w: GetOrLoad of %s", ErrRefused, keyText(key)) }
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
	var left removal[K, V]
	m.mu.Lock()
	now := m.clock.exact()
	p := m.policy.Load()
	if p.lookup(hash, key, now, &left); left.cause != 0 {
		m.stir(now)
	}
	failed, _ := m.keys.failed.get(key, now)
	if e, _ := m.renamedTo(p, key, now); e == nil && m.refuses(key, now) {
		failed = ErrRefused
	}
	m.mu.Unlock()
	m.reportLeft(left) // here, and not when the load is done, for which others wait
	switch failed {
	case nil:
	case ErrRefused:
		return none, refusal()
	default:
		return none, failed
	}

	l := &m.loads
	var call *loadCall[V]
	for {
		ended := l.ended.Load()
		if box := m.access(hash, key); box != nil {
			return m.values.open(box), nil
		}
		l.mu.Lock()
		if call = l.calls[key]; call != nil || l.ended.Load() == ended {
			break
		}
		l.mu.Unlock() // what has ended since the look at the table may be there now
	}
	begins := call == nil
	if begins {
		if !m.crew.join() {
			l.mu.Unlock()
			return none, refusal()
		}
		call = &loadCall[V]{began: m.clock.exact(), done: make(chan struct{}), told: make(chan struct{})}
		var loading context.Context
		loading, call.cancel = context.WithCancel(context.WithoutCancel(ctx))
		l.begin(key, call)
		go m.load(loading, call, key, load)
	}
	call.waiters++
	l.mu.Unlock()

	answered := call.done
	if begins {
		answered = call.told // what leaves for a call is reported before that returns
	}
	select {
	case <-answered:
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

// begin puts call on the list. It needs mu.
func (l *loads[K, V]) begin(key K, call *loadCall[V]) {
	if l.calls == nil {
		l.calls = make(map[K]*loadCall[V])
	}
	if l.running == nil {
		l.running = make(map[*loadCall[V]]bool)
	}
	l.calls[key], l.running[call] = call, true
	l.underWay.Add(1)
}

// end takes call off the list, so that who comes later begins another, and keeps its result from being stored.
// It needs mu.
func (l *loads[K, V]) end(key K, call *loadCall[V]) {
	if l.calls[key] == call {
		delete(l.calls, key)
		l.ended.Add(1)
	}
	if len(l.calls) == 0 {
		l.calls = nil // a map does not shrink
	}
	call.vetoed.Store(true)
}

// veto keeps the load of key that is under way, if any that began by a given moment, from being stored. It needs the map's
// lock.
func (l *loads[K, V]) veto(key K, begunBy int64) {
	if l.underWay.Load() == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if call := l.calls[key]; call != nil && call.began <= begunBy {
		l.end(key, call)
	}
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
	}
	for call := range l.running {
		call.cancel()
	}
}

// load runs a load and gives the result to those who wait. A callback or load itself may end the goroutine.
func (m *RobustSessionMap[K, V]) load(ctx context.Context, call *loadCall[V], key K, load func(context.Context, K) (V, error)) {
	var value V
	call.err = ErrLoad
	answer := sync.OnceFunc(func() {
		m.loads.mu.Lock()
		m.loads.end(key, call)
		if delete(m.loads.running, call); len(m.loads.running) == 0 {
			m.loads.running = nil
		}
		m.loads.underWay.Add(-1)
		m.loads.mu.Unlock()
		close(call.done)
	})
	defer m.crew.leave()
	defer close(call.told)
	defer answer()
	defer func() {
		call.cancel()
		if call.err != nil {
			m.rememberFailure(key, call)
			return
		}
		m.storeLoaded(call, key, value, answer)
	}()
	m.callbacks.call("GetOrLoad", func() { value, call.err = load(ctx, key) })
}

// storeLoaded stores what was loaded, unless there is a veto, and answers those who wait before it reports what has left.
func (m *RobustSessionMap[K, V]) storeLoaded(call *loadCall[V], key K, value V, answer func()) {
	stored := false
	defer func() {
		if !stored { // for it was refused, or a function of the user's has ended the goroutine (runtime.Goexit)
			m.reject(key, value, nil)
		}
	}()
	call.err = ErrLoad // unless a cost function returns
	var present *boxed[V]
	var e *entry[K, V]
	var left removal[K, V]
	d, ok := m.demands(key, value)
	if ok {
		present, e, left = m.tryInsert(key, m.values.box(value), d.at(m.clock.exact()), call)
	}
	switch stored = e != nil; {
	case stored:
		call.value, call.err = value, nil
		defer m.catchUp(e, d)
	case present != nil:
		call.value, call.err = m.values.open(present), nil
	case call.vetoed.Load() && !m.closed.Load():
		call.err = &EndedError{Deleted}
	default:
		call.err = fmt.Errorf("%w: GetOrLoad of %s", ErrRefused, keyText(key))
	}
	answer()
	m.reportLeft(left)
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
func (m *RobustSessionMap[K, V]) rememberFailure(key K, call *loadCall[V]) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.keys.failed.window > 0 && !call.vetoed.Load() && !m.closed.Load() {
		now := m.clock.exact()
		m.keys.failed.put(key, call.err, now)
		m.sweeper.arm(m.keys.failed.deadline(), now)
	}
}

// Refresh has the value of key loaded anew in the background, and reports whether it began that: the session is
// there, and no refresh of it is under way. The new value takes the place of the old, which is reported as
// [Replaced]; it is no access. If the value has been set, or the session has ended, meanwhile, the
// new one is reported as [Rejected]; the same pointer set again counts in a map with an index, a cost or
// [WithRefreshAfter], and in others cannot be told from what was there. Where load fails the old value stays, and the log
// says so. The context of load is cancelled when the session ends. It takes the lock.
func (m *RobustSessionMap[K, V]) Refresh(key K, load func(ctx context.Context, key K) (V, error)) (began bool) {
	e, box := m.peek(key)
	if box == nil {
		return false
	}
	m.mu.Lock()
	p := m.policy.Load()
	if e = p.current(e); e != nil && e.live(m.clock.exact(), m.timeouts) {
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
	go m.refresh(t, e.key, box, e.granted(0), load)
	return true
}

// refresh loads a value anew. A callback or load itself may end the goroutine.
func (m *RobustSessionMap[K, V]) refresh(t *ties, key K, box *boxed[V], granted uint64, load func(context.Context, K) (V, error)) {
	var value V
	err := ErrLoad
	defer m.crew.leave()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		t.refreshing = false
		if t.entry.(*entry[K, V]).value.Load() == box {
			t.loadedAt = m.clock.exact() // or the next try would come at once
		}
	}()
	defer func() {
		if err != nil {
			m.callbacks.warn("sessionmap: Refresh failed", "error", err)
			return
		}
		m.storeRefreshed(t, key, box, granted, value)
	}()
	m.callbacks.call("Refresh", func() { value, err = load(t.context(), key) })
}

// storeRefreshed puts a value that was loaded anew in the place of the one in box, under whatever key that is by now, unless
// that has been set again since.
func (m *RobustSessionMap[K, V]) storeRefreshed(t *ties, key K, box *boxed[V], granted uint64, value V) {
	loaded := m.values.box(value)
	var e *entry[K, V]
	var d *demand
	x := exchangeRefused // also where a function of the user's ends the goroutine
	defer func() {
		switch x {
		case exchanged:
			m.overwritten(e, d, box, loaded)
		case exchangeRefused:
			m.reject(key, value, box)
		default:
			m.reject(key, value, nil)
		}
	}()
	d, ok := m.demands(key, value)
	if !ok {
		return
	}
	d = d.at(m.clock.exact())
	for {
		before := e
		m.mu.Lock()
		e = t.entry.(*entry[K, V])
		m.mu.Unlock()
		if e == before {
			return
		}
		key = e.key
		var left removal[K, V]
		x, left = m.change(key, d, func(found *entry[K, V]) bool {
			return found == e && e.value.Load() == box && e.granted(0) == granted
		}, func(*policy[K, V], int64) bool {
			return e.value.CompareAndSwap(box, loaded)
		})
		m.reportLeft(left)
		if x != overtaken {
			return
		}
	}
}

// refreshOld begins a refresh of key if it was loaded long enough ago.
func (m *RobustSessionMap[K, V]) refreshOld(key K, load func(context.Context, K) (V, error)) {
	if m.refreshAfter == 0 {
		return
	}
	m.withLive(key, func(p *policy[K, V], e *entry[K, V], now int64) {
		if t := p.tie(e); t.loaded && now-t.loadedAt >= m.refreshAfter {
			m.beginRefresh(p, e, e.value.Load(), load)
		}
	})
}
