package sessionmap_test

import (
	"fmt"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// The steps of a program on a map: each calls the map and does the same to the model.

func mapSteps[V any]() []modelStep[*program[V]] {
	return []modelStep[*program[V]]{
		{"get", 30, (*program[V]).get},
		{"peek", 8, (*program[V]).peek},
		{"set", 34, (*program[V]).set},
		{"setWithTTL", 12, (*program[V]).setWithTTL},
		{"getOrSet", 8, (*program[V]).getOrSet},
		{"update", 12, (*program[V]).update},
		{"delete", 10, (*program[V]).delete},
		{"event", 8, (*program[V]).event},
		{"deleteFunc", 2, (*program[V]).deleteFunc},
		{"deleteBy", 2, (*program[V]).deleteBy},
		{"endAll", 2, (*program[V]).endAll},
		{"sweep", 4, (*program[V]).sweep},
		{"press", 3, (*program[V]).press},
		{"adopt", 3, (*program[V]).adopt},
		{"all", 4, (*program[V]).all},
		{"hook", 2, (*program[V]).hook},
		{"index", 1, (*program[V]).index},
		{"acquire", 10, (*program[V]).acquire},
		{"release", 11, (*program[V]).release},
		{"within", 4, (*program[V]).within},
		{"rename", 10, (*program[V]).rename},
		{"context", 4, (*program[V]).context},
		{"setContext", 6, (*program[V]).setContext},
		{"bind", 4, (*program[V]).bind},
		{"cancel", 5, (*program[V]).cancel},
		{"load", 16, (*program[V]).load},
		{"refresh", 5, (*program[V]).refresh},
		{"giveUp", 2, (*program[V]).giveUp},
		{"finish", 8, (*program[V]).finish},
		{"sleep", 26, (*program[V]).sleep},
	}
}

func (p *program[V]) get(key, x, _ int) string {
	e := p.reach(key)
	if x%8 == 0 {
		require.Equal(p.t, e != nil, p.m.Touch(key))
		p.access(e)
		return fmt.Sprintf("Touch %d", key)
	}
	value, ok := p.m.Get(key)
	p.found(e, value, ok)
	if p.access(e); ok {
		p.hits++
	} else {
		p.misses++
	}
	return fmt.Sprintf("Get %d", key)
}

func (p *program[V]) peek(key, _, _ int) string {
	e := p.reach(key)
	value, ok := p.m.Peek(key)
	p.found(e, value, ok)
	require.Equal(p.t, e != nil, p.m.Contains(key))
	return fmt.Sprintf("Peek %d", key)
}

func (p *program[V]) set(key, x, y int) string {
	e, number := p.live(key), p.fresh(y)
	if e != nil && x%16 == 0 {
		number = e.number // once more
	}
	stored := p.m.Set(key, p.value(number))
	require.Equal(p.t, p.put(e, key, number, p.idle) != nil, stored)
	return fmt.Sprintf("Set %d %d: %v", key, number, stored)
}

func (p *program[V]) setWithTTL(key, x, y int) string {
	e, number := p.live(key), p.fresh(y)
	idle := time.Duration(x%42-1) * time.Second
	stored := p.m.SetWithTTL(key, p.value(number), idle)
	if idle < 0 || idle == 0 && p.lifetime == 0 && p.maxSize == 0 && p.maxCost == 0 {
		require.False(p.t, stored)
		p.reject(key, number)
	} else {
		require.Equal(p.t, p.put(e, key, number, idle) != nil, stored)
	}
	return fmt.Sprintf("SetWithTTL %d %d %v: %v", key, number, idle, stored)
}

func (p *program[V]) getOrSet(key, _, y int) string {
	e, number := p.reach(key), p.fresh(y)
	actual, loaded := p.m.GetOrSet(key, p.value(number))
	require.Equal(p.t, e != nil, loaded)
	if e != nil {
		require.Equal(p.t, e.number, p.number(actual))
		p.hits++
		p.access(e)
		delete(p.states, number)
		return fmt.Sprintf("GetOrSet %d", key)
	}
	require.Equal(p.t, number, p.number(actual))
	p.misses++
	p.put(nil, key, number, p.idle)
	return fmt.Sprintf("GetOrSet %d %d", key, number)
}

func (p *program[V]) update(key, x, y int) string {
	e, number, mode, calls := p.reach(key), p.fresh(y), x%16, 0
	got, ok := p.m.Update(key, func(old V, ok bool) (value V, keep bool) {
		calls++
		p.found(e, old, ok)
		switch {
		case mode == 0:
			panic("update")
		case mode > 5:
			return p.value(number), true
		}
		return value, false
	})
	want := e
	switch {
	case p.closed:
		require.Zero(p.t, calls)
	case mode == 0:
		p.panics++
	case mode > 5 && e != nil:
		p.put(e, key, number, e.idle)
	case mode > 5:
		want = p.put(nil, key, number, p.idle)
	case e != nil:
		p.deleted(e, key, sessionmap.Deleted)
		want = nil
	}
	p.found(want, got, ok)
	return fmt.Sprintf("Update %d %d in mode %d: %v", key, number, mode, ok)
}

// deleted does to the model what a delete or an event does to the map that reaches e, which is nil if it reaches nothing.
func (p *program[V]) deleted(e *modelEntry, key int, cause sessionmap.Cause) {
	if e != nil {
		p.remove(e, cause)
		p.bury(e.key)
	}
	p.bury(key)
}

func (p *program[V]) delete(key, x, _ int) string {
	e, how := p.reach(key), "Delete"
	p.veto(key)
	switch x % 8 {
	case 0:
		how = "Scope"
		p.m.Scope(key)()
	case 1:
		how = "Instance.End"
		for in := range sessionmap.Instances() {
			if in.Label == p.name {
				require.False(p.t, in.End("1"), "of another type")
				require.Equal(p.t, e != nil, in.End(key))
			}
		}
		if p.closed {
			p.m.Delete(key)
		}
	case 2, 3, 4:
		require.Equal(p.t, e != nil, p.m.Delete(key))
	default:
		how = "Take"
		value, ok := p.m.Take(key)
		p.found(e, value, ok)
	}
	p.deleted(e, key, sessionmap.Deleted)
	return fmt.Sprintf("%s %d", how, key)
}

// event is one of some moment about which it matters, or of one to come.
func (p *program[V]) event(key, x, _ int) string {
	e, now := p.reach(key), time.Now()
	began, moment := now, max(1, p.lag())
	if e != nil {
		began = e.since(key)
	}
	at := []time.Time{
		now, now.Add(5 * time.Second), now.Add(-4 * time.Second), now.Add(-8 * time.Second), began.Add(-moment), began.Add(moment), began, {},
	}[x%8]
	if p.coarse && at.Equal(began) && at.Before(now) {
		at = now // to it that moment is as good as the one before
	}
	if at.Equal(now) {
		p.bus.Publish(key)
	} else {
		p.publish(key, at)
	}
	if at.IsZero() || at.After(now) {
		at = now
	}
	if l := p.loading(key); l != nil && !l.began.After(at) {
		p.veto(key)
	}
	if e == nil || !e.since(key).After(at) {
		p.deleted(e, key, sessionmap.SessionDeleted)
	}
	return fmt.Sprintf("event %d of %v ago", key, now.Sub(at))
}

// all compares what the map and its Instance tell of all.
func (p *program[V]) all(int, int, int) string {
	p.checkAll()
	found := false
	for in := range sessionmap.Instances() {
		if in.Label != p.name {
			continue
		}
		found = true
		require.Equal(p.t, p.m.Stats(), in.Stats())
		require.Equal(p.t, []time.Duration{p.idle, p.lifetime}, []time.Duration{in.IdleTimeout, in.Lifetime})
		live := map[any]sessionmap.Entry{}
		for s := range in.Sessions() {
			live[s.ID] = s.Entry
		}
		for _, e := range p.alive {
			if p.expired(e) == 0 {
				entry, _ := p.m.Entry(e.key)
				require.WithinDuration(p.t, entry.Created, live[e.key].Created, p.lag())
				delete(live, e.key)
			}
		}
		require.Empty(p.t, live)
	}
	require.Equal(p.t, !p.closed, found)
	return "All"
}

func (p *program[V]) deleteFunc(_, x, _ int) string {
	odd := func(number int) bool { return number/256%(2+x%8) == 0 }
	n := p.m.DeleteFunc(func(_ int, v V) bool { return odd(p.number(v)) })
	for _, e := range slices.Clone(p.alive) {
		if p.expired(e) == 0 && odd(e.number) {
			p.remove(e, sessionmap.Deleted)
			p.bury(e.key)
			n--
		}
	}
	require.Zero(p.t, n)
	return "DeleteFunc"
}

func (p *program[V]) deleteBy(_, x, y int) string {
	if len(p.indexes) == 0 {
		return "no index"
	}
	i, owner := x%len(p.indexes), owners[y%len(owners)]
	n := p.indexes[i].DeleteBy(owner)
	for _, e := range p.indexes[i].of(owner) {
		if p.remove(e, sessionmap.Deleted) {
			p.bury(e.key)
			n--
		}
	}
	require.Zero(p.t, n)
	return fmt.Sprintf("DeleteBy %s in index %d", owner, i)
}

// adopt moves several values in, in no order, or one where an order matters to others.
func (p *program[V]) adopt(key, x, y int) string {
	from, numbers := map[int]V{}, map[int]int{}
	roomy := p.maxCost == 0 && (p.maxSize == 0 || len(p.alive)+3 <= p.maxSize) &&
		!slices.ContainsFunc(p.indexes, func(x *modelIndex[*modelEntry]) bool { return x.limit > 0 }) &&
		!slices.ContainsFunc(p.alive, func(e *modelEntry) bool { return e.leases > 0 }) // Oldest tells no order of these
	for i := range 1 + x%3 {
		if i == 0 || roomy {
			k := (key + i*i) % p.keys()
			numbers[k] = p.fresh(y)
			from[k] = p.value(numbers[k])
		}
	}
	n := p.m.Adopt(from)
	require.Empty(p.t, from)
	put := func(key int) {
		if p.put(p.live(key), key, numbers[key], p.idle) != nil {
			n--
		}
		delete(numbers, key)
	}
	for key := range p.m.Oldest() {
		if numbers[key] != 0 {
			put(key)
		}
	}
	for key := range numbers { // refused, or there under its old key
		put(key)
	}
	require.Zero(p.t, n)
	return fmt.Sprintf("Adopt %d and so on", key)
}

// A modelHook is one of several callbacks, which come one after the other.
type modelHook struct {
	told      []removal
	cancel    func()
	cancelled bool
	first     bool // it was told before another whose turn it was
}

// hook adds a callback, or takes it off.
func (p *program[V]) hook(_, x, _ int) string {
	if len(p.hooks) == 3 {
		h := p.hooks[x%3]
		if h.cancelled { // for some time
			p.hooks = slices.Delete(p.hooks, x%3, x%3+1)
		}
		h.cancel()
		h.cancelled = true
		return "OnRemove, cancel"
	}
	h := &modelHook{}
	p.hooks = append(p.hooks, h)
	h.cancel = p.m.OnRemove(func(key int, value V, cause sessionmap.Cause) {
		p.mu.Lock()
		defer p.mu.Unlock()
		before := len(p.told)
		for _, o := range p.hooks[:slices.Index(p.hooks, h)] {
			if !o.cancelled {
				before = min(before, len(o.told))
			}
		}
		h.told = append(h.told, removal{key, p.number(value), cause})
		h.first = h.first || before < len(h.told)
	})
	return "OnRemove"
}

// checkHooks: all callbacks are told the same, in the order of their registration.
func (p *program[V]) checkHooks() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, h := range p.hooks {
		if h.cancelled {
			require.Empty(p.t, h.told)
			continue
		}
		require.True(p.t, slices.Equal(p.told, h.told), "%v, told %v", p.told, h.told)
		require.False(p.t, h.first, "not in order")
		h.told = h.told[:0]
	}
	p.told = p.told[:0]
}
