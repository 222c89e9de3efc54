package sessionmap_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// The steps of a program on a group that are about the lives of sessions: leases, names, contexts, and the end of many.

// leaseOf does to the model what leasing s does to the group; l is nil if nobody has the lease.
func (p *groupProgram) leaseOf(s *modelSession, l *sessionmap.Lease[int, *sessionmap.Session[int]]) *modelLease {
	p.access(s)
	s.leases++
	lease := &modelLease{Lease: l, modelHold: modelHold{since: time.Now()}, s: s}
	p.leases = append(p.leases, lease)
	return lease
}

// released is the end of a lease.
func (p *groupProgram) released(l *modelLease) {
	p.leases = slices.DeleteFunc(p.leases, func(o *modelLease) bool { return o == l })
	if l.s.leases--; l.s.leases == 0 && l.s.ended == 0 {
		p.access(l.s)
	}
}

func (p *groupProgram) acquire(id, x, _ int) string {
	s := p.reach(id)
	if x%2 == 0 {
		lease, ok := p.g.Begin(id)
		if s == nil {
			s = p.insert(id, nil, 0)
		}
		if require.Equal(p.t, s != nil, ok); ok {
			p.leaseOf(s, lease)
		}
		return fmt.Sprintf("Begin %d: %v", id, ok)
	}
	lease, ok := p.g.Acquire(id)
	if require.Equal(p.t, s != nil, ok); ok {
		p.leaseOf(s, lease)
	}
	return fmt.Sprintf("Acquire %d: %v", id, ok)
}

func (p *groupProgram) release(_, x, _ int) string {
	held := slices.DeleteFunc(slices.Clone(p.leases), func(l *modelLease) bool { return l.Lease == nil })
	if len(held) == 0 {
		return "nothing to release"
	}
	l := held[x%len(held)]
	p.released(l)
	l.Release()
	l.Release()
	return fmt.Sprintf("Release %d", l.s.key)
}

// within does the next step of the program in a Do or a Run.
func (p *groupProgram) within(id, x, _ int) string {
	s, name, do := p.reach(id), "Do", p.g.Do
	if x%2 == 0 {
		name, do = "Run", p.g.Run
	}
	outer, cancel := context.WithCancel(context.Background())
	defer cancel()
	var lease *modelLease
	var inner context.Context
	err := do(outer, id, func(ctx context.Context, session *sessionmap.Session[int]) error {
		if s == nil {
			s = p.insert(id, nil, 0)
		}
		require.NotNil(p.t, s)
		lease, inner = p.leaseOf(s, nil), ctx
		p.check()
		p.depth++
		p.step()
		p.depth--
		require.Equal(p.t, s.key, session.ID())
		p.checkEnded(ctx, s)
		require.Equal(p.t, s.ended != 0, ctx.Err() != nil)
		if x%3 == 0 {
			cancel()
			require.Error(p.t, ctx.Err())
		}
		return errors.ErrUnsupported
	})
	if lease == nil {
		require.ErrorIs(p.t, err, sessionmap.ErrRefused)
		require.Nil(p.t, s)
		require.Nil(p.t, p.insert(id, nil, 0))
		return fmt.Sprintf("%s %d: %v", name, id, err)
	}
	require.Equal(p.t, errors.ErrUnsupported, err)
	require.Error(p.t, inner.Err(), "its time is over")
	if name == "Run" && s.ended == 0 && p.ended(s, sessionmap.Deleted) {
		p.bury(s.key)
	}
	p.released(lease)
	return fmt.Sprintf("%s %d", name, id)
}

func (p *groupProgram) rename(id, x, _ int) string {
	to := x % p.ids()
	if _, ok := p.guarded[to]; ok && p.live(to) == nil {
		p.sweep(0, 0, 0) // what is expired there leaves first
	}
	s, taken := p.live(id), p.live(to)
	err := p.g.Rename(id, to)
	switch {
	case s == nil:
		require.ErrorIs(p.t, err, sessionmap.ErrNotFound)
	case taken != nil && taken != s:
		require.ErrorIs(p.t, err, sessionmap.ErrExists)
	case to != id && p.refuses(to):
		require.ErrorIs(p.t, err, sessionmap.ErrRefused)
	default:
		if require.NoError(p.t, err); to == id {
			break
		}
		if expired := p.find(to); expired != nil {
			p.ended(expired, 0)
		}
		s.rename(to)
		if p.bury(id); p.grace > 0 {
			p.renamed[id] = formerName[*modelSession]{s, time.Now()}
		}
		if number, ok := p.guarded[id]; ok {
			delete(p.guarded, id)
			p.guarded[to] = number
		}
	}
	return fmt.Sprintf("Rename %d %d: %v", id, to, err)
}

func (p *groupProgram) context(id, _, _ int) string {
	s := p.reach(id)
	ctx, ok := p.g.Context(id)
	require.Equal(p.t, s != nil, ok)
	if p.access(s); ok {
		require.True(p.t, s.ctx == nil || s.ctx == ctx, "another context of the same session")
		if s.ctx == nil {
			s.ctx = ctx
			p.contexts = append(p.contexts, s)
		}
	} else {
		require.Equal(p.t, context.Canceled, context.Cause(ctx))
	}
	return fmt.Sprintf("Context %d", id)
}

// bind binds a session to a context, which may be done already.
func (p *groupProgram) bind(id, x, _ int) string {
	s := p.reach(id)
	ctx, cancel := context.WithCancel(context.Background())
	if x%4 == 0 {
		cancel()
	}
	require.Equal(p.t, s != nil, p.g.BindContext(ctx, id))
	wait()
	if p.access(s); s == nil {
		cancel()
		return fmt.Sprintf("BindContext %d: none", id)
	}
	if s.cancel != nil {
		s.cancel() // it is not bound to that any more
		wait()
	}
	if s.cancel = cancel; ctx.Err() != nil {
		p.ended(s, sessionmap.ContextDone)
	}
	return fmt.Sprintf("BindContext %d", id)
}

func (p *groupProgram) cancel(_, x, _ int) string {
	bound := slices.DeleteFunc(slices.Clone(p.alive), func(s *modelSession) bool { return s.cancel == nil })
	if len(bound) == 0 {
		return "nothing to cancel"
	}
	s := bound[x%len(bound)]
	s.cancel()
	wait()
	p.ended(s, sessionmap.ContextDone)
	return fmt.Sprintf("cancel %d", s.key)
}

func (p *groupProgram) deleteBy(_, x, y int) string {
	a, owner := p.pick(x), owners[y%len(owners)]
	if len(a.indexes) == 0 {
		return "no index"
	}
	i := x / 16 % len(a.indexes)
	n := a.indexes[i].DeleteBy(owner)
	for _, s := range a.indexes[i].of(owner) {
		if p.ended(s, sessionmap.Deleted) {
			p.bury(s.key)
			n--
		}
	}
	require.Zero(p.t, n)
	return fmt.Sprintf("%v.DeleteBy %s in index %d", a, owner, i)
}

// grow adds an attribute or an index.
func (p *groupProgram) grow(_, x, y int) string {
	a := p.pick(x)
	switch {
	case y%4 == 0 && len(p.attributes) < 12:
		p.addAttribute()
		return "NewAttribute"
	case y%4 > 0 && len(a.indexes) < 3:
		limits := []sessionmap.LimitAction{0, sessionmap.EndOldest, sessionmap.RejectNew}
		limit, most := limits[y/4%3], 1+y/16%4
		if limit == sessionmap.EndOldest {
			most = max(most, p.mostOwned(a)) // nobody is over the limit
		}
		p.addIndex(a, limit, most)
		return fmt.Sprintf("NewIndex of %v: %d, action %d", a, most, limit)
	}
	return "enough"
}

// mostOwned returns how many sessions an owner has at the most by the next index of a.
func (p *groupProgram) mostOwned(a *modelAttribute) (most int) {
	owned := map[string]int{}
	for _, s := range p.alive {
		owner, _ := silently(numberOwner(len(a.indexes)), s.values[a])
		owned[owner]++
		most = max(most, owned[owner])
	}
	return most
}

// adopt puts a key into the guarded maps without a Touch, and then has it adopted.
func (p *groupProgram) adopt(id, x, y int) string {
	p.sweep(0, 0, 0) // or it would adopt the keys of expired sessions too, in no order
	if p.reach(id) != nil || p.maxSize > 0 && len(p.alive) == p.maxSize {
		return "nothing to adopt, or no room"
	}
	p.guard(id, p.fresh(y))
	adopted := p.guards[x%2].Adopt()
	if p.insert(id, nil, 0) != nil {
		require.Equal(p.t, 1, adopted)
		p.guarded[id] = p.plain[id]
		return fmt.Sprintf("Adopt %d", id)
	}
	require.Zero(p.t, adopted)
	delete(p.plain, id)
	p.synced.Delete(id)
	return fmt.Sprintf("Adopt %d: refused", id)
}

// stopGuard has the ids of all sessions in another guarded map, until the guard is stopped: what is in it then stays.
func (p *groupProgram) stopGuard(_, x, _ int) string {
	plain, synced, ids := map[int]bool{}, &sync.Map{}, map[int]bool{}
	for info := range p.g.Sessions() {
		plain[info.ID], ids[info.ID] = true, true
		synced.Store(info.ID, true)
	}
	var guard *sessionmap.Guard[int]
	if p.stopped = func() { require.Equal(p.t, ids, plain) }; x%2 == 0 {
		guard = sessionmap.NewGuard(p.g, &sync.Mutex{}, plain)
	} else {
		guard = sessionmap.NewSyncGuard(p.g, synced)
		p.stopped = func() {
			left := map[int]bool{}
			for id := range synced.Range {
				left[id.(int)] = true
			}
			require.Equal(p.t, ids, left)
		}
	}
	guard.Stop()
	guard.Stop()
	return "Guard.Stop"
}

func (p *groupProgram) sweep(int, int, int) string {
	expired := p.expiredAmong(p.alive)
	require.Equal(p.t, len(expired), p.g.Sweep())
	p.endedAll(expired, 0)
	_, overdue := count(p.leases)
	require.Equal(p.t, overdue, p.g.Stats().OverdueLeases)
	return "Sweep"
}

// endAll clears the group, or closes it.
func (p *groupProgram) endAll(id, x, y int) string {
	if x%4 == 0 {
		return p.close(id, x, y)
	}
	n := p.g.Clear()
	forgetAll(p.leases)
	require.Equal(p.t, p.endedAll(p.alive, sessionmap.Cleared), n)
	return "Clear"
}

func (p *groupProgram) close(_, x, _ int) string {
	if x%8 == 0 {
		p.end()
		wait()
	}
	require.NoError(p.t, p.g.Close())
	if !p.closed {
		p.closed, p.closedAt = true, len(p.log)
	}
	clear(p.buried)
	clear(p.renamed)
	forgetAll(p.leases)
	p.endedAll(p.alive, sessionmap.Closed)
	return "Close"
}

func (p *groupProgram) sleep(_, x, _ int) string {
	pause := []time.Duration{0, 1, 2, 3, 5, 8, 13, 21}[x%8] * time.Second
	pass(pause)
	wait()
	if p.eager && pause > 0 { // a timer that is due fires when time passes
		p.endedAll(p.expiredAmong(p.alive), 0)
	}
	return fmt.Sprintf("Sleep %v", pause)
}
