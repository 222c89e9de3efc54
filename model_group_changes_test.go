package sessionmap_test

import (
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// What calls do to the model of a group, and what the group is to report for that.

// admit does to the model what it takes to grant what a value of a asks for, in s or, if that is nil, in a new session. It
// reports whether the value can be stored. a may be nil.
func (p *groupProgram) admit(s *modelSession, a *modelAttribute, number int) (ok bool) {
	d := demand[*modelSession]{by: s, cost: (*modelSession).cost}
	if a != nil {
		d.claims, d.more = claimsOf(a.indexes, s, number), a.cost(number)
		if s != nil {
			d.more -= a.cost(s.values[a])
		}
	}
	return p.lives.admit(d, func(why sessionmap.Cause, candidates []*modelSession) {
		end := slices.IndexFunc(p.heard, func(h heardEvent) bool { return h.attribute == nil })
		require.GreaterOrEqual(p.t, end, 0, "nobody has given way")
		i := slices.IndexFunc(candidates, func(o *modelSession) bool { return o.key == p.heard[end].id })
		require.GreaterOrEqual(p.t, i, 0, "%v has given way", p.heard[end])
		p.ended(candidates[i], why)
	})
}

// insert does to the model what it takes to begin a session of id, with a value of a if that is not nil. It returns nil
// where that is refused.
func (p *groupProgram) insert(id int, a *modelAttribute, number int) *modelSession {
	p.sets++
	if s := p.find(id); s != nil {
		p.ended(s, 0)
	}
	if p.refuses(id) || !p.admit(nil, a, number) {
		p.removals[sessionmap.Rejected]++
		return nil
	}
	s := &modelSession{modelLife: modelLife{key: id, created: time.Now(), idle: p.idle}, values: make(map[*modelAttribute]int)}
	p.access(s)
	return s
}

// put does to the model what setting a value does to the group: where s is, or in a new session of id if that is nil.
func (p *groupProgram) put(s *modelSession, id int, a *modelAttribute, number int) (stored bool) {
	a.sets++
	a.asked(number)
	if s != nil {
		id = s.key
	}
	switch {
	case a.cost(number) < 0:
	case s == nil:
		s = p.insert(id, a, number)
		stored = s != nil
	default:
		stored = p.admit(s, a, number)
	}
	if !stored {
		p.expect(groupEvent{a, id, number, sessionmap.Rejected})
		return false
	}
	if old, ok := s.values[a]; ok {
		p.expect(groupEvent{a, id, old, sessionmap.Replaced})
	}
	a.store(s, number)
	return true
}

// drop does to the model what removing an attribute does to s.
func (p *groupProgram) drop(s *modelSession, a *modelAttribute) {
	p.expect(groupEvent{a, s.key, s.values[a], sessionmap.Deleted})
	a.store(s, 0)
}
