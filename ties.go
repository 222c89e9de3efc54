package sessionmap

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"weak"
)

// ties are what is tied to the life of one entry: its leases, and what is to happen when it ends. An entry
// gets them with the first of these, and keeps them when it is renamed.
type ties struct {
	entry      any          // the *entry[K, V]; guarded by the map's lock, as are
	named      int64        // when the entry got its key by Rename; 0 if it did not
	leases     atomic.Int32 // read without the lock, as is cost
	loaded     bool         // whether the value was not set, but loaded,
	loadedAt   int64        // and when
	refreshing bool
	owned      []owned      // in the indexes, by their number
	costs      []int64      // of each value, by the number in its demand
	cost       atomic.Int64 // their sum
	grants     []uint64     // how often each value has been granted what it asked for as it was stored

	mu     sync.Mutex // guards what follows; nothing is called while it is held
	ended  Cause      // 0 while the entry lives
	ends   []*func(Cause)
	closed chan struct{}   // by done
	ctx    context.Context // by context
	bound  *binding        // nil if there is none
}

// A binding ends a session when a context is done.
type binding struct {
	ctx   context.Context
	leave func()                             // ctx
	end   func()                             // the session, if it is bound by this
	tied  atomic.Pointer[weak.Pointer[ties]] // of the session; nil until it is bound
}

// whenEnded calls fn when the entry ends, or now if it has, unless cancel is called before.
func (t *ties) whenEnded(fn func(Cause)) (cancel func()) {
	t.mu.Lock()
	ended := t.ended
	if ended == 0 {
		t.ends = append(t.ends, &fn)
	}
	t.mu.Unlock()
	if ended != 0 {
		fn(ended)
	}
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.ends = slices.DeleteFunc(t.ends, func(other *func(Cause)) bool { return other == &fn })
	}
}

// end says that the entry has ended.
func (t *ties) end(cause Cause) {
	t.mu.Lock()
	t.ended = cause
	ends := t.ends
	t.ends = nil
	t.mu.Unlock()
	var tell []func() // contexts may be of any kind
	for _, fn := range ends {
		tell = append(tell, func() { (*fn)(cause) })
	}
	runAll(append(tell, func() { t.bind(nil)() }))
}

// done returns a channel that is closed when the entry ends.
func (t *ties) done() <-chan struct{} {
	t.mu.Lock()
	closed, first := t.closed, t.closed == nil
	if first {
		closed = make(chan struct{})
		t.closed = closed
	}
	t.mu.Unlock()
	if first {
		t.whenEnded(func(Cause) { close(closed) })
	}
	return closed
}

// context returns a context that is cancelled when the entry ends.
func (t *ties) context() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	t.mu.Lock()
	first := t.ctx == nil
	if first {
		t.ctx = ctx
	}
	ctx = t.ctx
	t.mu.Unlock()
	if first {
		t.whenEnded(func(cause Cause) { cancel(&EndedError{cause}) })
	} else {
		cancel(nil)
	}
	return ctx
}

// bind has the entry bound by b, or by nothing, and no longer by what bound it before. It returns what leaves the context of
// that or, if the entry has ended, that of b.
func (t *ties) bind(b *binding) (leaveOther func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	other := t.bound
	if t.ended != 0 && b != nil {
		other = b
	} else {
		t.bound = b
	}
	if b != nil {
		tied := weak.Make(t)
		b.tied.Store(&tied)
	}
	if other == nil {
		return func() {}
	}
	return other.leave
}

// boundBy reports whether b was the last that bound the entry.
func (t *ties) boundBy(b *binding) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.bound == b
}

// An EndedError is why a [RobustSessionMap.SessionContext] was cancelled: context.Cause returns it. A
// [RobustSessionMap.GetOrLoad] whose session is deleted meanwhile returns it, too.
type EndedError struct {
	Cause Cause // why the session ended; for a load always Deleted
}

// Error names the cause.
func (e *EndedError) Error() string { return "sessionmap: the session has ended: " + e.Cause.String() }

// current returns the entry that stands for e's session now, which may have been renamed. It needs the map's lock.
func (e *entry[K, V]) current() *entry[K, V] {
	if t := e.ties(); t != nil {
		return t.entry.(*entry[K, V])
	}
	return e
}

// current is like [entry.current], but nil where that entry has left the map. It needs the lock.
func (p *policy[K, V]) current(e *entry[K, V]) *entry[K, V] {
	if e = e.current(); p.table.find(e.hash, e.key) != e {
		return nil
	}
	return e
}

// tie returns e's ties. It needs the map's lock.
func (p *policy[K, V]) tie(e *entry[K, V]) *ties {
	x := e.withExtra(p.timeouts)
	t := x.ties.Load()
	if t == nil {
		t = &ties{entry: e}
		x.ties.Store(t)
	}
	return t
}

// withLive calls fn with the lock held and the live entry of key, if there is one, after an access to it.
func (m *RobustSessionMap[K, V]) withLive(key K, fn func(p *policy[K, V], e *entry[K, V], now int64)) (ok bool) {
	hash, ok := m.hash(key)
	if !ok {
		return false
	}
	m.mu.Lock()
	p, now := m.policy.Load(), m.clock.exact()
	var out removal[K, V]
	e := p.lookup(hash, key, now, &out)
	if e == nil {
		e, _ = m.renamedTo(p, key, now)
	}
	if e != nil {
		p.touch(e, now)
		fn(p, e, now)
	}
	if out.cause != 0 {
		m.stir(now)
	}
	m.mu.Unlock()
	m.reportLeft(out)
	return e != nil
}

// SessionContext returns a context that is cancelled when the session of key ends, whatever the cause; its
// cause is then an [*EndedError]. So requests and goroutines of a session stop with it. All who ask for a
// session's context share one. It reports whether the session is there; if not, the context is cancelled
// already, without such a cause. It is an access, and takes the map's lock.
func (m *RobustSessionMap[K, V]) SessionContext(key K) (ctx context.Context, ok bool) {
	var t *ties
	if ok := m.withLive(key, func(p *policy[K, V], e *entry[K, V], _ int64) { t = p.tie(e) }); !ok {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		return ctx, false
	}
	return t.context(), true
}

// BindContext ends the session of key, with the cause [ContextDone], when ctx is done, leased or not: that is
// an explicit act. It reports whether the session is there. A session is bound to one context: the last. It is
// an access, and takes the map's lock; no goroutine waits for ctx, if that is of package context, and nothing is left
// with ctx when the session has ended. A map dropped without Close leaves a registration of some hundred bytes with ctx
// for each. It panics if ctx is nil.
func (m *RobustSessionMap[K, V]) BindContext(ctx context.Context, key K) (ok bool) {
	wantContext("BindContext", ctx)
	var t *ties
	ok = m.withLive(key, func(p *policy[K, V], e *entry[K, V], _ int64) { t = p.tie(e) })
	if ok {
		b := m.binding(ctx)
		b.follow(t.bind(b))
	}
	return ok
}

func wantContext(method string, ctx context.Context) {
	if ctx == nil {
		panic("sessionmap: " + method + ": want a context, got nil")
	}
}

// binding returns what will end the session that it has bound when ctx is done.
func (m *RobustSessionMap[K, V]) binding(ctx context.Context) *binding {
	b := &binding{ctx: ctx}
	self := weak.Make(m)
	b.end = func() {
		m, tied := self.Value(), b.tied.Load()
		if m == nil || tied == nil || !m.crew.join() { // or Close ends it
			return
		}
		defer m.crew.leave()
		if t := tied.Value(); t != nil {
			m.endTied(t, ContextDone, func() bool { return t.boundBy(b) })
		}
	}
	stop, callbacks := context.AfterFunc(ctx, b.end), m.callbacks
	b.leave = func() { callbacks.run("BindContext", func() { stop() }) } // the context may be of any kind
	return b
}

// follow does what is left when b has bound a session.
func (b *binding) follow(leaveOther func()) {
	defer leaveOther()
	if b.ctx.Err() != nil {
		go b.end() // for the first may have come before it was bound
	}
}

// SetContext is Set and BindContext in one moment: the session ends, with the cause [ContextDone], when ctx is done.
// Where it is done already, value is not stored but reported as [Rejected]. It takes the lock. It panics if ctx is nil.
func (m *RobustSessionMap[K, V]) SetContext(ctx context.Context, key K, value V) (stored bool) {
	wantContext("SetContext", ctx)
	var b *binding
	defer func() { // deferred, for a function of ctx may end the goroutine
		if b == nil {
			m.reject(key, value, nil)
		} else if b.tied.Load() == nil {
			b.leave()
		}
	}()
	hash, ok := m.hash(key)
	if !ok || key != key || ctx.Err() != nil {
		return false
	}
	b = m.binding(ctx)
	return m.store(hash, key, value, m.values.box(value), m.timeouts.idle, b)
}

// endTied ends the entry that t belongs to, if it is still in the map, and still returns true with the lock held. It reports
// whether it has.
func (m *RobustSessionMap[K, V]) endTied(t *ties, cause Cause, still func() bool) (ended bool) {
	m.mu.Lock()
	e := t.entry.(*entry[K, V])
	p, now := m.policy.Load(), m.clock.exact()
	var out removal[K, V]
	if ended = p.lookup(e.hash, e.key, now, &out) == e && still(); ended {
		out = p.removal(e, e.end(), cause)
		p.remove(e)
		m.loads.veto(e.key, never)
		if cause == Deleted {
			m.bury(e.key, now)
		}
	}
	if out.cause != 0 {
		m.stir(now)
	}
	m.mu.Unlock()
	m.reportLeft(out)
	return ended
}

// Scope returns a function that deletes the session that has key by then. It is for defer: however the function exits, by
// return, panic or runtime.Goexit, the session ends with it. One that may be renamed ends so within its grace
// ([WithRenameGrace]); [Group.Run] and [RobustSessionMap.BindContext] end it under whatever key.
//
//	defer sessions.Scope(id)()
func (m *RobustSessionMap[K, V]) Scope(key K) (end func()) {
	return func() { m.Delete(key) }
}
