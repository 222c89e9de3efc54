package sessionmap

import (
	"context"
	"fmt"
	"iter"
	"time"
	"weak"
)

// A Group gives all that belongs to a session one life: any number of differently typed attributes (see
// [NewAttribute]), maps that exist already (see [NewGuard]), and whatever else a function can release (see
// [Group.OnEnd]). An access to any attribute keeps the whole session; one delete, one event, one timeout, one
// eviction, one Close ends all of it, and no attribute can be forgotten.
//
// A Group has the options of a map, but for those that are about values: those belong to the attributes. It
// has one clock, one sweeper and one bound for all of them. It is safe for concurrent use and must not be
// copied; NewGroup makes one. For state of one type, a [RobustSessionMap] is the simpler choice.
type Group[K comparable] struct {
	sessions   *RobustSessionMap[K, *Session[K]]
	attributes roster[attribute[K]]
	guards     roster[guarded[K]] // told of an end before anything else
	ends       roster[func(K, Cause)]
}

// NewGroup makes a group. The options are those of [New], as are the defaults; those about values are
// refused: WithOnRemove, WithCloser, WithCost, WithMaxCost, WithOwnerLimit, WithRefreshAfter and WithLoadErrorTTL.
func NewGroup[K comparable](opts ...Option) (*Group[K], error) {
	c := configure(opts, "an option about sessions: WithOnRemove, WithCloser and WithCost are an Attribute's, WithOwnerLimit is an Index's, for WithMaxCost there is WithMaxTotalCost, and nothing is loaded",
		"WithOnRemove", "WithCloser", "WithCost", "WithMaxCost", "WithOwnerLimit", "WithRefreshAfter", "WithLoadErrorTTL")
	g := &Group[K]{}
	c.onRemove = append(c.onRemove, g.ended)
	sessions, err := newMap[K, *Session[K]](c)
	if err != nil {
		return nil, err
	}
	g.sessions = sessions
	sessions.renamed = func(s *Session[K], id K) { s.id.Store(&id) }
	self := weak.Make(g)
	sessions.register(func() instance {
		if g := self.Value(); g != nil {
			return g
		}
		return nil
	})
	return g, nil
}

// MustNewGroup is like [NewGroup] but panics on an error. It is for options that are constants of the program.
func MustNewGroup[K comparable](opts ...Option) *Group[K] {
	g, err := NewGroup[K](opts...)
	if err != nil {
		panic(err)
	}
	return g
}

// ended hears of each session that has ended, and of those that were refused.
func (g *Group[K]) ended(id K, s *Session[K], cause Cause) {
	var tell []func()
	if cause != Rejected {
		for _, guard := range g.guards.all() {
			tell = append(tell, func() { g.sessions.callbacks.run("Guard", func() { guard.end(id) }) })
		}
	}
	boxes := s.first.end() // before the attributes: there is one for each box
	attributes := g.attributes.all()
	for i, box := range boxes {
		tell = append(tell, func() { (*attributes[i]).ended(id, box, cause) })
	}
	if cause != Rejected {
		for _, fn := range g.ends.all() {
			tell = append(tell, func() { g.sessions.callbacks.run("OnEnd", func() { (*fn)(id, cause) }) })
		}
	}
	runAll(tell)
}

// runAll runs all functions, one after the other, though one may end its goroutine (runtime.Goexit) or panic.
func runAll(fns []func()) {
	next := 0
	defer func() {
		if next < len(fns) {
			runAll(fns[next:])
		}
	}()
	for next < len(fns) {
		next++
		fns[next-1]()
	}
}

// OnEnd calls fn for every session that ends from now on, after the callbacks of its attributes, until cancel is
// called. It is for what is no attribute: files, timers, processes, other caches. What is said of callbacks at
// [RobustSessionMap.OnRemove] goes for fn. Where the callbacks before it are slow, another session of the same id
// may have begun by then.
func (g *Group[K]) OnEnd(fn func(id K, cause Cause)) (cancel func()) {
	if fn == nil {
		return func() {}
	}
	return g.ends.add(fn)
}

// session returns the session of id, which it begins if there is none, after an access to it; nil if it is refused.
func (g *Group[K]) session(id K) *Session[K] {
	m := g.sessions
	hash, ok := m.hash(id)
	var box *boxed[*Session[K]]
	if ok {
		box = m.access(hash, id)
	}
	if box == nil {
		begun := newSession(id)
		present, stored := m.insert(id, begun)
		if stored {
			return begun
		}
		box = present
	}
	if box == nil {
		return nil
	}
	return m.values.open(box)
}

// Touch is an access to the session of id, which it begins if there is none. It is false where that is refused:
// the group is closed, full of leased sessions, or cannot take the id, which is to stay deleted or cannot be found again.
func (g *Group[K]) Touch(id K) (stored bool) { return g.session(id) != nil }

// Contains reports whether there is a session of id. It is no access, and takes no lock but where
// [RobustSessionMap.Get] does.
func (g *Group[K]) Contains(id K) bool { return g.sessions.Contains(id) }

// Delete ends the session of id with all its attributes, with the cause [Deleted], and reports whether there was one.
func (g *Group[K]) Delete(id K) bool { return g.sessions.Delete(id) }

// Clear ends all sessions at one moment, with the cause [Cleared], and returns how many.
func (g *Group[K]) Clear() int { return g.sessions.Clear() }

// Close ends the group and all sessions, with the cause [Closed], as [RobustSessionMap.Close] does.
func (g *Group[K]) Close() error { return g.sessions.Close() }

// Sweep ends what is expired now, as [RobustSessionMap.Sweep] does.
func (g *Group[K]) Sweep() int { return g.sessions.Sweep() }

// Len returns the number of sessions, expired ones that no sweep has met included. It takes no lock.
func (g *Group[K]) Len() int { return g.sessions.Len() }

// Stats returns the group's figures: its values are the sessions; its hits, misses, panics and errors are those of its
// attributes too, whose own figures are [Attribute.Stats]. It is no access, and takes the lock for a moment for each attribute.
func (g *Group[K]) Stats() Stats {
	s := g.sessions.Stats()
	for _, a := range g.attributes.all() {
		of := (*a).Stats()
		s.Hits += of.Hits
		s.Misses += of.Misses
		s.CloseErrors += of.CloseErrors
	}
	return s
}

// Rename gives the session of old another id, with all its attributes, as [RobustSessionMap.Rename] does. A method of an
// attribute that overlaps it may take effect after it, in the session that it found: under the new id.
func (g *Group[K]) Rename(old, new K) error {
	return g.sessions.renameAnd(old, new, func(s *Session[K]) {
		var tell []func()
		for _, guard := range g.guards.all() {
			tell = append(tell, func() { g.sessions.callbacks.run("Guard", func() { guard.move(old, s) }) })
		}
		runAll(tell)
	})
}

// idOf returns the id of s, and whether it is there.
func (g *Group[K]) idOf(s *Session[K]) (id K, live bool) {
	m := g.sessions
	m.mu.Lock()
	defer m.mu.Unlock()
	e := g.entryOf(s)
	return s.ID(), e != nil && e.live(m.clock.exact(), m.timeouts)
}

// entryOf returns the entry of s; nil if that has ended. It needs the map's lock.
func (g *Group[K]) entryOf(s *Session[K]) *entry[K, *Session[K]] {
	m := g.sessions
	hash, _ := m.hash(s.ID())
	if e := m.policy.Load().table.find(hash, s.ID()); e != nil && e.value.Load() == m.values.box(s) {
		return e
	}
	return nil
}

// Acquire leases the session of id with all its attributes, as [RobustSessionMap.Acquire] does.
func (g *Group[K]) Acquire(id K) (lease *Lease[K, *Session[K]], ok bool) {
	return g.sessions.Acquire(id)
}

// Context returns a context that is cancelled when the session of id ends, as [RobustSessionMap.SessionContext] does.
func (g *Group[K]) Context(id K) (ctx context.Context, ok bool) { return g.sessions.SessionContext(id) }

// BindContext ends the session of id when ctx is done, as [RobustSessionMap.BindContext] does.
func (g *Group[K]) BindContext(ctx context.Context, id K) (ok bool) {
	return g.sessions.BindContext(ctx, id)
}

// Scope returns a function that deletes the session of id, for defer: see [RobustSessionMap.Scope].
func (g *Group[K]) Scope(id K) (end func()) { return g.sessions.Scope(id) }

// Begin leases the session of id, which it begins if there is none. It is an access. It is false where that is refused (see
// [Group.Touch]).
func (g *Group[K]) Begin(id K) (lease *Lease[K, *Session[K]], ok bool) {
	if lease, ok := g.Acquire(id); ok {
		return lease, true
	}
	lease = g.begin(id, newSession(id))
	return lease, lease != nil
}

// begin leases s, with which the session of id begins, or the one that has begun meanwhile, in the same moment: if it were
// leased later it could have ended by then, each time anew. It is nil where that is refused.
func (g *Group[K]) begin(id K, s *Session[K]) (lease *Lease[K, *Session[K]]) {
	m := g.sessions
	defer func() {
		if lease == nil { // for it was refused, or a callback has ended the goroutine (runtime.Goexit)
			m.reject(id, s, nil)
		}
	}()
	hash, ok := m.hash(id)
	if !ok || id != id {
		return nil
	}
	var left removal[K, *Session[K]]
	p, e, now, ok := m.lockToInsert(hash, id, nil, nil, &left)
	if e != nil {
		p.touch(e, now)
	} else if ok {
		e = m.add(p, hash, id, m.values.box(s), m.timeouts.idle, now, nil)
	}
	if e != nil {
		lease = m.lease(p, e, now)
	}
	m.mu.Unlock()
	lease.watch()
	m.reportLeft(left)
	return lease
}

// Do runs fn within the session of id, which it begins if there is none: for one round of a session with many.
// The session is leased until fn ends, and then stays. The context that fn gets is done when ctx is, or when the
// session is ended under it. Do returns what fn returned, or [ErrRefused] where the session is refused. It panics if ctx
// is nil.
func (g *Group[K]) Do(ctx context.Context, id K, fn func(ctx context.Context, s *Session[K]) error) error {
	wantContext("Do", ctx)
	lease, ok := g.Begin(id)
	if !ok {
		return fmt.Errorf("%w: %s", ErrRefused, keyText(id))
	}
	defer lease.Release()
	ctx, stop := lease.Within(ctx)
	defer stop()
	return fn(ctx, lease.Value())
}

// Run is like [Group.Do] for the whole of a session: when fn ends the session is deleted, be it by a return, by a
// panic, which goes on, or by runtime.Goexit.
func (g *Group[K]) Run(ctx context.Context, id K, fn func(ctx context.Context, s *Session[K]) error) error {
	wantContext("Run", ctx)
	lease, ok := g.Begin(id)
	if !ok {
		return fmt.Errorf("%w: %s", ErrRefused, keyText(id))
	}
	defer lease.Release()
	defer g.sessions.endTied(lease.record.ties, Deleted, func() bool { return true })
	ctx, stop := lease.Within(ctx)
	defer stop()
	return fn(ctx, lease.Value())
}

// A SessionInfo tells of one session.
type SessionInfo[K comparable] struct {
	ID         K
	Age        time.Duration // since it began
	Attributes int           // that have a value
	Entry                    // its times
}

// Sessions returns an iterator over the sessions, in no order. It is no access; see [RobustSessionMap.All].
func (g *Group[K]) Sessions() iter.Seq[SessionInfo[K]] {
	return func(yield func(SessionInfo[K]) bool) {
		m := g.sessions
		for e := range m.policy.Load().table.entries() {
			box := m.valueOf(e)
			if box == nil {
				continue
			}
			entry, ok := m.entry(e)
			if ok && !yield(SessionInfo[K]{e.key, time.Since(entry.Created), m.values.open(box).first.used(), entry}) {
				return
			}
		}
	}
}
