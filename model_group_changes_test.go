package sessionmap_test

import (
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// What calls do to the model of a group, and what the group is to report for that.

// A modelClaim is one more session for an owner whom a limit concerns.
type modelClaim[S comparable] struct {
	*modelIndex[S]
	owner string
}

// claims returns those of a value of a in s; nil is a new session.
func (a *modelAttribute) claims(s *modelSession, number int) (all []modelClaim[*modelSession]) {
	for _, x := range a.indexes {
		owner, _ := silently(x.owner, number)
		if x.limit != 0 && owner != "" && (s == nil || x.ownerOf(s) != owner) {
			all = append(all, modelClaim[*modelSession]{x, owner})
		}
	}
	return all
}

// admit does to the model what it takes to grant what a value of a asks for, in s or, if that is nil, in a new session:
// others give way, as the group has reported. It reports whether the value can be stored; if not, nobody gives way who
// is not expired. a may be nil.
func (p *groupProgram) admit(s *modelSession, a *modelAttribute, number int) (ok bool) {
	var claims []modelClaim[*modelSession]
	var more, stays int64
	if a != nil {
		claims, more = a.claims(s, number), a.cost(number)
		if s != nil {
			more -= a.cost(s.values[a])
		}
	}
	full := func() bool { return s == nil && p.maxSize > 0 && len(p.sessions) == p.maxSize }
	dear := func() bool { return p.maxCost > 0 && more > 0 && p.cost()+more > p.maxCost }

	// Can all be granted, if everybody leaves who may?
	stay := func(o *modelSession) bool { return o == s || o.leases > 0 && p.expired(o) == 0 }
	staying := 0
	for _, o := range p.sessions {
		if stay(o) {
			stays += o.cost()
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

	// Then they leave one by one: first for the owners' sake, and an expired one before the oldest or least recently
	// accessed.
	for {
		var first []*modelSession // who may be the first
		why := sessionmap.Evicted
		oneOf := func(some []*modelSession) {
			if expired := p.expiredAmong(some); len(expired) > 0 {
				first = append(first, expired...)
			} else {
				first = append(first, some[slices.IndexFunc(some, func(o *modelSession) bool { return !stay(o) })])
			}
		}
		for _, c := range claims {
			if owned := c.of(c.owner); len(owned) >= c.most {
				oneOf(owned)
			}
		}
		if len(first) == 0 && dear() && !full() {
			why = sessionmap.EvictedCost
		}
		if len(first) == 0 && (full() || dear()) {
			oneOf(p.sessions)
		}
		if len(first) == 0 {
			return true
		}
		end := slices.IndexFunc(p.heard, func(h heardEvent) bool { return h.attribute == nil })
		require.GreaterOrEqual(p.t, end, 0, "nobody has given way")
		i := slices.IndexFunc(first, func(o *modelSession) bool { return o.id == p.heard[end].id })
		require.GreaterOrEqual(p.t, i, 0, "%v has given way", p.heard[end])
		p.ended(first[i], why)
	}
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
	s := &modelSession{id: id, created: time.Now(), accessed: time.Now(), values: make(map[*modelAttribute]int)}
	p.sessions = append(p.sessions, s)
	return s
}

// put does to the model what setting a value does to the group: where s is, or in a new session of id if that is nil.
func (p *groupProgram) put(s *modelSession, id int, a *modelAttribute, number int) (stored bool) {
	a.sets++
	a.asked(number)
	if s != nil {
		id = s.id
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
	p.expect(groupEvent{a, s.id, s.values[a], sessionmap.Deleted})
	a.store(s, 0)
}
