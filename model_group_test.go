package sessionmap_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// TestGroupModel runs random programs on the group and on the model, and looks at everything inside the group after
// each step.
func TestGroupModel(t *testing.T) { testModel(t, "group", gridRules, allRules, runGroupModel) }

// FuzzGroupModel is TestGroupModel for programs that the fuzzer finds.
func FuzzGroupModel(f *testing.F) { fuzzModel(f, gridRules, allRules, runGroupModel) }

func runGroupModel(t *testing.T, rules int, code []byte) (steps int) {
	r := rulesOf(rules)
	return runProgram(t, r, code, func(a *attempt) {
		p := &groupProgram{attempt: a, t: a}
		p.begin(r)
		for p.step() {
		}
		p.close(0, 0, 0)
		p.check()
	})
}

// A groupEvent is what a callback was told: of an attribute's value, or of the end of a session if attribute is nil.
type groupEvent struct {
	attribute  *modelAttribute
	id, number int
	cause      sessionmap.Cause
}

func (e groupEvent) String() string {
	return fmt.Sprintf("%v %d %d %v", e.attribute, e.id, e.number, e.cause)
}

// A heardEvent is one with what the callback saw then.
type heardEvent struct {
	groupEvent
	guarded bool // its id was in a guarded map
	again   bool // there was a session of its id
}

// A groupProgram is a program under way.
type groupProgram struct {
	*groupModel
	*attempt
	t      require.TestingT // the attempt
	depth  int              // of steps within others
	serial int

	g       *sessionmap.Group[int]
	end     func() // of the group's context
	bus     *sessionmap.Bus[int]
	publish func(id int, at time.Time)
	guards  []*sessionmap.Guard[int]
	stopped func() // checks what a guard has left that was stopped

	mu     sync.Mutex // guards what follows
	plain  map[int]int
	synced sync.Map
	heard  []heardEvent
}

// begin begins with a new group, which the model is to be like.
func (p *groupProgram) begin(r groupRules) {
	p.groupModel = &groupModel{
		groupRules: r, lives: newLives[*modelSession](r.lifeRules), removals: make(map[sessionmap.Cause]uint64),
		states: make(map[int]*modelState), guarded: make(map[int]int),
	}
	p.plain, p.bus = make(map[int]int), sessionmap.NewBus[int]()
	p.synced.Clear()
	p.stopped = func() {}
	var ctx context.Context
	ctx, p.end = context.WithCancel(context.Background())
	opts := r.options(ctx, p.bus, &p.publish)
	if r.maxCost > 0 {
		opts = append(opts, sessionmap.WithMaxTotalCost(r.maxCost))
	}
	p.g = sessionmap.MustNewGroup[int](opts...)
	p.g.OnEnd(func(id int, cause sessionmap.Cause) { p.hear(groupEvent{nil, id, 0, cause}) })
	p.guards = []*sessionmap.Guard[int]{sessionmap.NewGuard(p.g, &p.mu, p.plain), sessionmap.NewSyncGuard(p.g, &p.synced)}
	for range r.attributes {
		p.addAttribute()
	}
	for i, limit := range r.limits {
		p.addIndex(p.attributes[0], limit, 2+i)
	}
}

func (p *groupProgram) hear(e groupEvent) {
	again := p.g.Contains(e.id)
	turn.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	_, plain := p.plain[e.id]
	_, synced := p.synced.Load(e.id)
	p.heard = append(p.heard, heardEvent{e, plain || synced, again})
}

// expect takes events from those that were heard, which must be there one after the other among those of their id.
func (p *groupProgram) expect(want ...groupEvent) (found []heardEvent) {
	var places []int // of those of the id
	for i, h := range p.heard {
		if h.id == want[0].id {
			places = append(places, i)
		}
	}
	for ; len(places) >= len(want); places = places[1:] {
		if !slices.EqualFunc(places[:len(want)], want, func(i int, e groupEvent) bool { return p.heard[i].groupEvent == e }) {
			continue
		}
		for _, i := range slices.Backward(places[:len(want)]) {
			h := p.heard[i]
			if h.attribute != nil {
				h.attribute.removals[h.cause]++
			}
			found = append(found, h)
			p.heard = slices.Delete(p.heard, i, i+1)
		}
		return found
	}
	require.Fail(p.t, "not reported", "want %v, heard %v", want, p.heard)
	return nil
}

// ended takes s out of the model and expects the group to have reported all of it, with the given cause or, if it is
// expired, its own. It reports whether it had the given one.
func (p *groupProgram) ended(s *modelSession, cause sessionmap.Cause) (so bool) {
	own := p.expired(s)
	if own != 0 {
		cause = own
	}
	var want []groupEvent
	for _, a := range p.attributes {
		if number, ok := s.values[a]; ok {
			want = append(want, groupEvent{a, s.key, number, cause})
		}
	}
	for _, h := range p.expect(append(want, groupEvent{nil, s.key, 0, cause})...) {
		if !h.again {
			require.False(p.t, h.guarded, "the guards hear of it first")
			delete(p.guarded, s.key)
		}
	}
	p.removals[cause]++
	p.forget(s)
	for _, a := range p.attributes {
		for _, x := range a.indexes {
			x.own(s, "")
		}
	}
	s.ended = cause
	return own == 0
}

// endedAll is ended for several. It returns how many had the given cause.
func (p *groupProgram) endedAll(some []*modelSession, cause sessionmap.Cause) (n int) {
	for _, s := range slices.Clone(some) {
		if p.ended(s, cause) {
			n++
		}
	}
	return n
}

// endedOnOccasion takes the expired sessions out of the model that the group has reported.
func (p *groupProgram) endedOnOccasion() {
	for _, s := range p.expiredAmong(p.alive) {
		end := groupEvent{nil, s.key, 0, p.expired(s)}
		if slices.ContainsFunc(p.heard, func(h heardEvent) bool { return h.groupEvent == end }) {
			p.ended(s, 0)
		}
	}
}
