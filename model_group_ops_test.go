package sessionmap_test

import (
	"fmt"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// The steps of a program on a group: each calls the group and does the same to the model.

func groupSteps() []modelStep[*groupProgram] {
	return []modelStep[*groupProgram]{
		{"get", 12, (*groupProgram).get},
		{"set", 24, (*groupProgram).set},
		{"getOrSet", 6, (*groupProgram).getOrSet},
		{"update", 8, (*groupProgram).update},
		{"take", 4, (*groupProgram).take},
		{"touch", 9, (*groupProgram).touch},
		{"delete", 4, (*groupProgram).delete},
		{"event", 3, (*groupProgram).event},
		{"acquire", 7, (*groupProgram).acquire},
		{"release", 9, (*groupProgram).release},
		{"within", 4, (*groupProgram).within},
		{"rename", 8, (*groupProgram).rename},
		{"context", 3, (*groupProgram).context},
		{"bind", 3, (*groupProgram).bind},
		{"cancel", 2, (*groupProgram).cancel},
		{"deleteBy", 2, (*groupProgram).deleteBy},
		{"grow", 1, (*groupProgram).grow},
		{"adopt", 2, (*groupProgram).adopt},
		{"stopGuard", 1, (*groupProgram).stopGuard},
		{"sweep", 2, (*groupProgram).sweep},
		{"endAll", 1, (*groupProgram).endAll},
		{"sleep", 14, (*groupProgram).sleep},
	}
}

// step does the next step and checks all after it. It reports false at the end of the program.
func (p *groupProgram) step() bool {
	if p.closed && p.depth == 0 && len(p.log) > p.closedAt+10 {
		p.begin(p.groupRules)
	}
	if !nextStep(p.attempt, p, groupSteps(), p.ids()) {
		return false
	}
	p.check()
	return true
}

// ids returns how many ids there are: enough for a full group to be asked for more.
func (p *groupProgram) ids() int { return 2 * max(4, p.maxSize) }

// pick returns one of the attributes.
func (p *groupProgram) pick(x int) *modelAttribute { return p.attributes[x%16%len(p.attributes)] }

// fresh returns a number that no value has had.
func (p *groupProgram) fresh(kind int) int {
	p.serial++
	return p.serial*256 + kind
}

// found checks what has been found of a session, which is nil if there is none.
func (p *groupProgram) found(s *modelSession, a *modelAttribute, number int, ok bool) {
	want := 0
	if s != nil {
		want = s.values[a]
	}
	require.Equal(p.t, want != 0, ok)
	require.Equal(p.t, want, number)
}

func (p *groupProgram) get(id, x, _ int) string {
	a, s := p.pick(x), p.reach(id)
	number, ok := a.get(id)
	p.found(s, a, number, ok)
	p.access(s)
	if ok {
		a.hits++
	} else {
		a.misses++
	}
	return fmt.Sprintf("%v.Get %d", a, id)
}

func (p *groupProgram) set(id, x, y int) string {
	a, s, number := p.pick(x), p.reach(id), p.fresh(y)
	if s != nil && s.values[a] != 0 && x/16 == 0 {
		number = s.values[a] // once more
	}
	stored := a.set(id, number)
	p.access(s)
	require.Equal(p.t, p.put(s, id, a, number), stored)
	return fmt.Sprintf("%v.Set %d %d: %v", a, id, number, stored)
}

func (p *groupProgram) getOrSet(id, x, y int) string {
	a, s, number := p.pick(x), p.reach(id), p.fresh(y)
	actual, loaded := a.getOrSet(id, number)
	p.access(s)
	if s != nil && s.values[a] != 0 {
		require.True(p.t, loaded)
		require.Equal(p.t, s.values[a], actual)
		a.hits++
		delete(p.states, number)
		return fmt.Sprintf("%v.GetOrSet %d", a, id)
	}
	require.False(p.t, loaded)
	require.Equal(p.t, number, actual)
	a.misses++
	stored := p.put(s, id, a, number)
	return fmt.Sprintf("%v.GetOrSet %d %d: %v", a, id, number, stored)
}

func (p *groupProgram) update(id, x, y int) string {
	a, s, number := p.pick(x), p.reach(id), p.fresh(y)
	mode, calls, old := x/16, 0, 0
	if s != nil {
		old = s.values[a]
	}
	got, ok := a.update(id, func(value int, there bool) (int, bool) {
		calls++
		p.found(s, a, value, there)
		if mode == 0 {
			panic("update")
		}
		return number, mode > 5
	})
	p.access(s)
	want := old
	switch {
	case p.closed:
		require.Zero(p.t, calls)
		want = 0
	case mode == 0:
		a.panics++
	case mode > 5:
		if p.put(s, id, a, number) {
			want = number
		}
	default:
		if want = 0; old != 0 {
			p.drop(s, a)
		}
	}
	require.Equal(p.t, want, got)
	require.Equal(p.t, want != 0, ok)
	return fmt.Sprintf("%v.Update %d %d in mode %d: %v", a, id, number, mode, ok)
}

func (p *groupProgram) take(id, x, y int) string {
	a, s := p.pick(x), p.reach(id)
	if y%2 == 0 {
		number, ok := a.take(id)
		p.found(s, a, number, ok)
	} else {
		require.Equal(p.t, s != nil && s.values[a] != 0, a.Delete(id))
	}
	if s != nil && s.values[a] != 0 {
		p.drop(s, a)
	}
	return fmt.Sprintf("%v.Take %d", a, id)
}

// touch is one by the group or a guard, after which something may be put into the guarded maps.
func (p *groupProgram) touch(id, x, y int) string {
	s := p.reach(id)
	touches := []func(int) bool{p.g.Touch, p.guards[0].Touch, p.guards[1].Touch}
	stored := touches[x%3](id)
	p.access(s)
	if s == nil {
		s = p.insert(id, nil, 0)
	}
	byGuard := x%3 > 0
	require.Equal(p.t, s != nil && (!byGuard || s.key == id), stored)
	if !stored || !byGuard {
		return fmt.Sprintf("Touch %d: %v", id, stored)
	}
	p.guard(id, p.fresh(y))
	p.guarded[id] = p.plain[id]
	return fmt.Sprintf("Touch %d and put", id)
}

// guard puts something into the guarded maps.
func (p *groupProgram) guard(id, number int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plain[id] = number
	p.synced.Store(id, number)
}

// deleted does to the model what a delete or an event does to the group.
func (p *groupProgram) deleted(s *modelSession, id int, cause sessionmap.Cause) {
	if s != nil && p.ended(s, cause) {
		p.bury(s.key)
	}
	p.bury(id)
}

func (p *groupProgram) delete(id, x, _ int) string {
	s := p.reach(id)
	if x%4 == 0 {
		p.g.Scope(id)()
	} else {
		require.Equal(p.t, s != nil, p.g.Delete(id))
	}
	p.deleted(s, id, sessionmap.Deleted)
	return fmt.Sprintf("Delete %d", id)
}

// event is one of now or of some seconds ago.
func (p *groupProgram) event(id, x, _ int) string {
	s := p.reach(id)
	age := time.Duration(x%4*4) * time.Second
	at := time.Now().Add(-age)
	switch {
	case age > 0:
		p.publish(id, at)
	case x%8 == 0:
		p.publish(id, time.Time{})
	default:
		p.bus.Publish(id)
	}
	if s == nil || !s.since(id).After(at) {
		p.deleted(s, id, sessionmap.SessionDeleted)
	}
	return fmt.Sprintf("event %d of %v ago", id, age)
}
