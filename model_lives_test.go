package sessionmap_test

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// The steps of a program on a map that are about the lives of sessions: leases, names, contexts, owners.

func (p *program[V]) acquire(key, _, _ int) string {
	e := p.reach(key)
	lease, ok := p.m.Acquire(key)
	if require.Equal(p.t, e != nil, ok); ok {
		value := func() int { return p.number(lease.Value()) }
		p.access(e)
		e.leases++
		p.leases = append(p.leases, &entryLease{mapLease: lease, modelHold: modelHold{since: time.Now()}, value: value, e: e, acquired: e.number, number: e.number})
	}
	return fmt.Sprintf("Acquire %d: %v", key, ok)
}

func (p *program[V]) release(_, x, _ int) string {
	if len(p.leases) == 0 {
		return "nothing to release"
	}
	i := x % len(p.leases)
	l := p.leases[i]
	l.Release()
	l.Release()
	p.leases = slices.Delete(p.leases, i, i+1)
	if l.e.leases--; l.e.leases == 0 && l.e.ended == 0 {
		p.access(l.e)
	}
	return fmt.Sprintf("Release %d", l.e.key)
}

// A modelWithin is a context for work in the session of e.
type modelWithin struct {
	e      *modelEntry
	ctx    context.Context
	cancel func() // of the context that it was made from
	stop   func()
}

// within has a lease make a context, or ends one.
func (p *program[V]) within(_, x, y int) string {
	if len(p.withins) > 0 && x%2 == 0 {
		i := y % len(p.withins)
		w := p.withins[i]
		p.withins = slices.Delete(p.withins, i, i+1)
		if y%3 == 0 {
			w.cancel()
		} else {
			w.stop()
		}
		require.Equal(p.t, context.Canceled, context.Cause(w.ctx))
		w.cancel()
		w.stop()
		return "Within, stop"
	}
	if len(p.leases) == 0 {
		return "no lease"
	}
	l := p.leases[y%len(p.leases)]
	outer, cancel := context.WithCancel(context.Background())
	w := &modelWithin{e: l.e, cancel: cancel}
	w.ctx, w.stop = l.Within(outer)
	p.withins = append(p.withins, w)
	return fmt.Sprintf("Within %d", l.e.key)
}

func (p *program[V]) rename(key, x, y int) string {
	to := (x*256 + y) % p.keys()
	e, taken := p.live(key), p.live(to)
	err := p.m.Rename(key, to)
	switch {
	case e == nil:
		require.ErrorIs(p.t, err, sessionmap.ErrNotFound)
	case taken != nil && taken != e:
		require.ErrorIs(p.t, err, sessionmap.ErrExists)
	case to != key && p.refuses(to):
		require.ErrorIs(p.t, err, sessionmap.ErrRefused)
	default:
		if require.NoError(p.t, err); to == key {
			break
		}
		if expired := p.find(to); expired != nil {
			p.remove(expired, 0)
		}
		e.rename(to)
		p.veto(to)
		if p.bury(key); p.grace > 0 {
			p.renamed[key] = formerName[*modelEntry]{e, time.Now()}
		}
	}
	return fmt.Sprintf("Rename %d %d: %v", key, to, err)
}

// context asks for the context of a session, by its key or by a lease.
func (p *program[V]) context(key, x, y int) string {
	e := p.reach(key)
	if len(p.leases) > 0 && x%2 == 0 {
		l := p.leases[y%len(p.leases)]
		p.hasContext(l.e, l.Context())
		return fmt.Sprintf("Lease.Context of %d", l.e.key)
	}
	ctx, ok := p.m.SessionContext(key)
	require.Equal(p.t, e != nil, ok)
	if p.access(e); ok {
		p.hasContext(e, ctx)
	} else {
		require.Equal(p.t, context.Canceled, context.Cause(ctx))
	}
	return fmt.Sprintf("SessionContext %d", key)
}

// hasContext notes the context of e, of which there is one.
func (p *program[V]) hasContext(e *modelEntry, ctx context.Context) {
	require.True(p.t, e.ctx == nil || e.ctx == ctx, "another context of the same session")
	if e.ctx == nil {
		e.ctx = ctx
		p.contexts = append(p.contexts, e)
	}
}

// aContext returns one, which may be done already.
func aContext(x int) (ctx context.Context, cancel func()) {
	ctx, cancel = context.WithCancel(context.Background())
	if x%4 == 0 {
		cancel()
	}
	return ctx, cancel
}

// bound is what becomes of e when it is bound to ctx.
func (p *program[V]) bound(e *modelEntry, ctx context.Context, cancel func()) {
	wait()
	p.access(e)
	if e.cancel != nil {
		e.cancel() // it is not bound to that any more
		wait()
	}
	if e.cancel = cancel; ctx.Err() != nil {
		p.remove(e, sessionmap.ContextDone)
	}
}

func (p *program[V]) bind(key, x, _ int) string {
	e := p.reach(key)
	ctx, cancel := aContext(x)
	require.Equal(p.t, e != nil, p.m.BindContext(ctx, key))
	if e == nil {
		cancel()
		return fmt.Sprintf("BindContext %d: none", key)
	}
	p.bound(e, ctx, cancel)
	return fmt.Sprintf("BindContext %d: %v", key, ctx.Err())
}

func (p *program[V]) setContext(key, x, y int) string {
	e, number := p.live(key), p.fresh(y)
	ctx, cancel := aContext(x)
	stored := p.m.SetContext(ctx, key, p.value(number))
	if ctx.Err() != nil {
		p.reject(key, number)
		require.False(p.t, stored)
		return fmt.Sprintf("SetContext %d, done", key)
	}
	e = p.put(e, key, number, p.idle)
	if require.Equal(p.t, e != nil, stored); stored {
		p.bound(e, ctx, cancel)
	} else {
		cancel()
	}
	return fmt.Sprintf("SetContext %d %d: %v", key, number, stored)
}

func (p *program[V]) cancel(_, x, _ int) string {
	bound := slices.DeleteFunc(slices.Clone(p.alive), func(e *modelEntry) bool { return e.cancel == nil })
	if len(bound) == 0 {
		return "nothing to cancel"
	}
	e := bound[x%len(bound)]
	e.cancel()
	wait()
	p.remove(e, sessionmap.ContextDone)
	return fmt.Sprintf("cancel %d", e.key)
}

// index adds an index without a limit.
func (p *program[V]) index(int, int, int) string {
	if len(p.indexes) == 3 {
		return "enough"
	}
	p.addIndex(0, 0)
	return "NewIndex"
}

// addIndex adds an index, which takes in the sessions that are there, in an order that it tells.
func (p *program[V]) addIndex(limit sessionmap.LimitAction, most int) {
	x := &modelIndex[*modelEntry]{owner: numberOwner(len(p.indexes)), limit: limit, most: most}
	var opts []sessionmap.Option
	if limit != 0 {
		opts = append(opts, sessionmap.WithOwnerLimit(most, limit))
	}
	x.Index = sessionmap.NewIndex(p.m, func(_ int, v V) string { return x.owner(p.number(v)) }, opts...)
	p.indexes = append(p.indexes, x)
	for _, owner := range owners {
		for key := range x.Of(owner) {
			e := p.live(key)
			require.NotNil(p.t, e)
			x.own(e, owner)
		}
	}
	for _, e := range p.alive {
		if p.expired(e) == 0 {
			p.askedOwners(e.number)
			owner, _ := silently(x.owner, e.number)
			require.Equal(p.t, owner, x.ownerOf(e))
		}
	}
}
