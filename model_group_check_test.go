package sessionmap_test

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// check compares all that the group tells with the model, after each step.
func (p *groupProgram) check() {
	p.endedOnOccasion()
	require.Empty(p.t, p.heard, "reported, but not expected")
	require.NoError(p.t, sessionmap.CheckGroup(p.g))
	p.checkFigures()
	p.checkAttributes()
	p.checkSessions()
	p.checkEnds()
	p.stopped()
	p.mu.Lock() // last: what the sweeper tells from now on comes after this
	defer p.mu.Unlock()
	synced := map[int]int{}
	for id, number := range p.synced.Range {
		synced[id.(int)] = number.(int)
	}
	require.Equal(p.t, p.guarded, synced)
	require.Equal(p.t, p.guarded, p.plain)
}

// checkAttributes looks at all values, and to whom they belong.
func (p *groupProgram) checkAttributes() {
	for _, a := range p.attributes {
		want := map[int]int{}
		for _, s := range p.alive {
			if number, ok := s.values[a]; ok && p.expired(s) == 0 {
				want[s.key] = number
			}
		}
		require.Equal(p.t, want, a.all())
		for _, x := range a.indexes {
			for _, owner := range owners {
				var live []int
				for _, s := range x.of(owner) {
					if p.expired(s) == 0 {
						live = append(live, s.key)
					}
				}
				require.Equal(p.t, live, slices.Collect(x.Of(owner)))
				require.Equal(p.t, len(x.of(owner)), x.Count(owner))
			}
		}
	}
}

func (p *groupProgram) checkSessions() {
	for id := range p.ids() {
		require.Equal(p.t, p.reach(id) != nil, p.g.Contains(id))
	}
	live := map[int]sessionmap.SessionInfo[int]{}
	for _, s := range p.alive {
		if p.expired(s) == 0 {
			live[s.key] = p.info(s)
		}
	}
	for info := range p.g.Sessions() {
		require.Equal(p.t, live[info.ID], info)
		delete(live, info.ID)
	}
	require.Empty(p.t, live)
}

// info is what the group has to tell of s.
func (p *groupProgram) info(s *modelSession) sessionmap.SessionInfo[int] {
	at, _ := p.deadline(s)
	accessed := s.accessed
	if s.leases > 0 {
		accessed = time.Now()
	}
	return sessionmap.SessionInfo[int]{ID: s.key, Age: time.Since(s.created), Attributes: len(s.values), Entry: sessionmap.Entry{
		Created: s.created, LastAccess: accessed, Deadline: at, IdleTimeout: p.idle, Cost: s.cost(), Leases: s.leases,
	}}
}

func (p *groupProgram) checkFigures() {
	got := p.g.Stats()
	want := sessionmap.Stats{Sets: p.sets, Live: len(p.alive), MaxSize: p.maxSize, Cost: p.cost(), MaxCost: p.maxCost, Removals: p.removals}
	overdue := 0
	want.Leases, overdue = count(p.leases)
	for _, a := range p.attributes {
		mine := sessionmap.Stats{Name: a.name, Hits: a.hits, Misses: a.misses, Sets: a.sets, Removals: a.removals, CallbackPanics: a.panics, CloseErrors: a.failedCloses}
		for _, s := range p.alive {
			if number, ok := s.values[a]; ok {
				mine.Live++
				mine.Cost += a.cost(number)
			}
		}
		checkSum(p.t, mine)
		require.Equal(p.t, mine, a.Stats())
		require.Equal(p.t, mine.Live, a.Len())
		want.Hits += a.hits
		want.Misses += a.misses
		want.CallbackPanics += a.panics
		want.CloseErrors += a.failedCloses
	}
	checkSum(p.t, want)
	require.True(p.t, got.OverdueLeases <= overdue)
	got.OverdueLeases, got.Sweeps, got.LongestSweep = 0, 0, 0
	require.Equal(p.t, want, got)
	require.Equal(p.t, len(p.alive), p.g.Len())
	require.True(p.t, p.maxCost == 0 || got.Cost <= p.maxCost)
	require.True(p.t, p.maxSize == 0 || got.Live <= p.maxSize)
}

// checkEnds looks at what hangs on the sessions' lives: leases, contexts, and values that are closed.
func (p *groupProgram) checkEnds() {
	for _, l := range p.leases {
		if l.Lease == nil { // that of a Do
			continue
		}
		require.Equal(p.t, l.s.key, l.Key())
		require.Equal(p.t, l.s.key, l.Value().ID())
		select {
		case <-l.Done():
			require.NotZero(p.t, l.s.ended)
		default:
			require.Zero(p.t, l.s.ended)
		}
	}
	p.contexts = slices.DeleteFunc(p.contexts, func(s *modelSession) bool {
		p.checkEnded(s.ctx, s)
		return s.ended != 0
	})
	present := map[int]bool{}
	for _, s := range p.alive {
		for _, number := range s.values {
			present[number] = true
		}
	}
	checkClosed(p.t, p.states, present)
}

// checkEnded checks that ctx, which belongs to s, tells how s has ended.
func (p *groupProgram) checkEnded(ctx context.Context, s *modelSession) {
	var ended *sessionmap.EndedError
	require.Equal(p.t, s.ended != 0, errors.As(context.Cause(ctx), &ended))
	if ended != nil {
		require.Equal(p.t, s.ended, ended.Cause)
	}
}
