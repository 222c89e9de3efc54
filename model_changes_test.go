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
	p.forget(e)
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
	for _, e := range p.expiredAmong(p.alive) {
		if slices.Contains(p.reported, removal{e.key, e.number, p.expired(e)}) {
			p.remove(e, 0)
		}
	}
}

// giveWay takes one of some entries out of the model, the one that the map has reported first.
func (p *program[V]) giveWay(why sessionmap.Cause, candidates []*modelEntry) {
	require.NotEmpty(p.t, p.reported, "nobody has given way")
	i := slices.IndexFunc(candidates, func(e *modelEntry) bool { return e.key == p.reported[0].key })
	require.GreaterOrEqual(p.t, i, 0, "%v has given way", p.reported[0])
	p.remove(candidates[i], why)
}

// admit does to the model what it takes to grant what a value asks for where e is, or in a new entry if that is nil. It reports
// whether the value can be stored.
func (p *program[V]) admit(e *modelEntry, number int) (ok bool) {
	d := demand[*modelEntry]{by: e, claims: claimsOf(p.indexes, e, number), more: p.costOf(number), cost: func(e *modelEntry) int64 { return p.costOf(e.number) }}
	if e != nil {
		d.more -= p.costOf(e.number)
	}
	return p.lives.admit(d, p.giveWay)
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
		e = &modelEntry{modelLife: modelLife{key: key, created: time.Now()}}
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
