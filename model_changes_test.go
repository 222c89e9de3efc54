package sessionmap_test

import (
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// What calls do to the model, and what the map is to report for that.

// remove takes e out of the model and expects the map to have reported it, with the given cause or, if it is expired, its
// own. It reports whether it had the given one.
func (p *program[V]) remove(e *modelEntry, cause sessionmap.Cause) (so bool) {
	own := p.expired(e)
	if own != 0 {
		cause = own
	}
	p.expect(removal{e.key, e.number, cause})
	p.entries = slices.DeleteFunc(p.entries, func(o *modelEntry) bool { return o == e })
	for _, x := range p.indexes {
		x.own(e, "")
	}
	for _, l := range p.leases {
		if l.e == e {
			l.number = l.acquired
		}
	}
	e.ended = cause
	return own == 0
}

// removeAll is remove for several. It returns how many had the given cause.
func (p *program[V]) removeAll(some []*modelEntry, cause sessionmap.Cause) (n int) {
	for _, e := range slices.Clone(some) {
		if p.remove(e, cause) {
			n++
		}
	}
	return n
}

func (p *program[V]) expect(r removal) {
	i := slices.Index(p.reported, r)
	require.GreaterOrEqual(p.t, i, 0, "%v not reported; reported: %v", r, p.reported)
	p.reported = slices.Delete(p.reported, i, i+1)
	p.removals[r.cause]++
}

// removedOnOccasion takes the expired entries out of the model that the map has reported.
func (p *program[V]) removedOnOccasion() {
	for _, e := range p.expiredAmong(p.entries) {
		if slices.Contains(p.reported, removal{e.key, e.number, p.expired(e)}) {
			p.remove(e, 0)
		}
	}
}

// giveWay takes one of some entries out of the model, the one that the map has reported first: one that is expired or, if
// there is none, the first of those that need not stay.
func (p *program[V]) giveWay(why sessionmap.Cause, stay func(*modelEntry) bool, some ...[]*modelEntry) {
	var first []*modelEntry // who may be that
	for _, among := range some {
		if expired := p.expiredAmong(among); len(expired) > 0 {
			first = append(first, expired...)
		} else {
			first = append(first, among[slices.IndexFunc(among, func(e *modelEntry) bool { return !stay(e) })])
		}
	}
	require.NotEmpty(p.t, p.reported, "nobody has given way")
	i := slices.IndexFunc(first, func(e *modelEntry) bool { return e.key == p.reported[0].key })
	require.GreaterOrEqual(p.t, i, 0, "%v has given way", p.reported[0])
	p.remove(first[i], why)
}

// admit does to the model what it takes to grant what a value asks for where e is, or in a new entry if that is nil: others
// give way, as the map has reported. It reports whether the value can be stored; if not, nobody gives way who is not
// expired.
func (p *program[V]) admit(e *modelEntry, number int) (ok bool) {
	claims, more := p.claims(e, number), p.costOf(number)
	if e != nil {
		more -= p.costOf(e.number)
	}
	full := func() bool { return e == nil && p.maxSize > 0 && len(p.entries) == p.maxSize }
	dear := func() bool { return p.maxCost > 0 && more > 0 && p.cost()+more > p.maxCost }

	// Can all be granted, if everybody leaves who may?
	stay := func(o *modelEntry) bool { return o == e || o.leases > 0 && p.expired(o) == 0 }
	staying, stays := 0, int64(0)
	for _, o := range p.entries {
		if stay(o) {
			stays += p.costOf(o.number)
			staying++
		}
	}
	if full() && staying == p.maxSize || dear() && stays+more > p.maxCost {
		return false
	}
	for _, c := range claims {
		staying := 0
		for _, o := range c.of(c.owner) {
			if p.expired(o) == 0 && (c.limit == sessionmap.RejectNew || stay(o)) {
				staying++
			}
		}
		if staying >= c.most {
			return false
		}
	}

	// Then they leave one by one: first for the owners' sake.
	for {
		var over [][]*modelEntry // of owners
		for _, c := range claims {
			if owned := c.of(c.owner); len(owned) >= c.most {
				over = append(over, owned)
			}
		}
		switch {
		case len(over) > 0:
			p.giveWay(sessionmap.Evicted, stay, over...)
		case full():
			p.giveWay(sessionmap.Evicted, stay, p.entries)
		case dear():
			p.giveWay(sessionmap.EvictedCost, stay, p.entries)
		default:
			return true
		}
	}
}

// reject does to the model what a value does to the map that is not stored.
func (p *program[V]) reject(key, number int) {
	p.sets++
	p.expect(removal{key, number, sessionmap.Rejected})
}

// put does to the model what setting a value does to the map: where e is, or in a new entry of key if that is nil, which it
// returns. It returns nil where the value is not stored.
func (p *program[V]) put(e *modelEntry, key, number int, idle time.Duration) *modelEntry {
	p.asked(number)
	if e != nil {
		key = e.key
	} else if o := p.find(key); o != nil && p.costOf(number) >= 0 {
		p.remove(o, 0)
	}
	if p.costOf(number) < 0 || e == nil && p.refuses(key) || !p.admit(e, number) {
		p.reject(key, number)
		return nil
	}
	p.sets++
	if e == nil {
		e = &modelEntry{key: key, created: time.Now()}
		p.veto(key)
	} else {
		p.expect(removal{key, e.number, sessionmap.Replaced})
	}
	p.access(e)
	p.store(e, number)
	e.idle = idle
	return e
}

// found checks what has been found of e, which is nil if there is nothing.
func (p *program[V]) found(e *modelEntry, value V, ok bool) {
	want := 0
	if e != nil {
		want = e.number
	}
	require.Equal(p.t, e != nil, ok)
	require.Equal(p.t, want, p.number(value))
}
