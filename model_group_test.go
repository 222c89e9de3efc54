package sessionmap_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// TestGroupModel runs random programs on the group and on the model, and looks at everything inside the group after
// each step.
func TestGroupModel(t *testing.T) {
	steps := *modelSteps
	if testing.Short() {
		steps /= 10
	}
	done := 0
	defer func() { t.Logf("kind=group steps=%d", done) }()
	for i := range gridRules {
		seed, number := rand.Uint64(), i+gridRules*rand.IntN(allRules/gridRules)
		t.Run(fmt.Sprintf("rules=%d", number), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			code := make([]byte, stepBytes*steps)
			for i := range code {
				code[i] = byte(rng.Uint32())
			}
			defer func() {
				if t.Failed() {
					t.Logf("seed %d", seed)
				}
			}()
			done += runGroupModel(t, rulesOf(number), code)
		})
	}
}

// FuzzGroupModel is TestGroupModel for programs that the fuzzer finds. It needs no minimizing by the fuzzer, which takes
// long: -fuzzminimizetime 20x.
func FuzzGroupModel(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range gridRules {
		code := make([]byte, stepBytes*50)
		for i := range code {
			code[i] = byte(rng.Uint32())
		}
		f.Add(uint16(i+gridRules*rng.IntN(allRules/gridRules)), code)
	}
	f.Fuzz(func(t *testing.T, rules uint16, code []byte) {
		runGroupModel(t, rulesOf(int(rules)), code)
	})
}

// runGroupModel runs a program, and returns how many steps it had. One that fails it shortens.
func runGroupModel(t *testing.T, r groupRules, code []byte) (steps int) {
	tried := tryGroupModel(t, r, code)
	if tried.failure == "" {
		return len(tried.log)
	}
	shortest := tried
	for n := len(shortest.done) / stepBytes; n > 0; n /= 2 {
		for at := 0; at < len(shortest.done); {
			next := min(at+n*stepBytes, len(shortest.done))
			if tried := tryGroupModel(t, r, slices.Concat(shortest.done[:at], shortest.done[next:])); tried.failure != "" {
				shortest = tried
			} else {
				at = next
			}
		}
	}
	t.Errorf("after %d steps: %s", len(tried.log), tried.failure)
	t.Logf("the last of them: %v", tried.log[max(0, len(tried.log)-30):])
	t.Errorf("rules %+v, shortened to %d steps: %v\n%s", r, len(shortest.log), shortest.log, shortest.failure)
	return len(tried.log)
}

// An attempt is one run of a program. It stands in for the test, which is not to fail yet.
type attempt struct {
	failure string
	log     []string // of each step
	done    []byte   // the part of the program that was run
}

func (a *attempt) Errorf(format string, args ...any) { a.failure = fmt.Sprintf(format, args...) }
func (a *attempt) FailNow()                          { runtime.Goexit() }

func tryGroupModel(t *testing.T, r groupRules, code []byte) *attempt {
	a := &attempt{}
	synctest.Test(t, func(*testing.T) {
		ended := make(chan struct{})
		go func() {
			p := &groupProgram{t: a, code: code, steps: groupSteps()}
			defer close(ended)
			defer func() {
				if x := recover(); x != nil {
					a.failure = fmt.Sprintf("%v\n%s", x, debug.Stack())
				}
				a.log, a.done = p.log, code[:len(code)-len(p.code)]
			}()
			p.begin(r)
			for p.step() {
			}
			p.close(0, 0, 0)
			p.check()
		}()
		<-ended
	})
	return a
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

// A groupProgram is a program under way. Each step is a few bytes, so that one can be cut out and the others
// stay what they are.
type groupProgram struct {
	*groupModel
	t      *attempt
	code   []byte
	steps  []groupStep
	depth  int // of steps within others
	serial int
	log    []string

	g       *sessionmap.Group[int]
	end     func() // of the group's context
	bus     *sessionmap.Bus[int]
	publish func(id int, at time.Time)
	guards  []*sessionmap.Guard[int]

	mu     sync.Mutex // guards what follows
	plain  map[int]int
	synced sync.Map
	heard  []heardEvent
}

// begin begins with a new group, which the model is to be like.
func (p *groupProgram) begin(r groupRules) {
	p.groupModel = &groupModel{
		groupRules: r, removals: make(map[sessionmap.Cause]uint64), states: make(map[int]*modelState),
		buried: make(map[int]time.Time), renamed: make(map[int]formerID), guarded: make(map[int]int),
	}
	p.plain, p.bus = make(map[int]int), sessionmap.NewBus[int]()
	p.synced.Clear()
	var ctx context.Context
	ctx, p.end = context.WithCancel(context.Background())
	interval := 1000 * time.Hour
	if r.eager {
		interval = time.Nanosecond
	}
	opts := []sessionmap.Option{
		sessionmap.WithTTL(r.idle), sessionmap.WithMaxLifetime(r.lifetime), sessionmap.WithMaxSize(r.maxSize), sessionmap.WithSweepInterval(interval),
		sessionmap.WithTombstones(r.tombstones), sessionmap.WithRenameGrace(r.grace), sessionmap.WithLeaseWarning(leaseWarning),
		sessionmap.WithContext(ctx), sessionmap.WithLogger(slog.New(slog.DiscardHandler)), sessionmap.WithSessionDeleted(p.bus),
		sessionmap.WithSessionDeleted(sessionmap.SourceFunc[int](func(deleted func(int, time.Time)) (func(), error) {
			p.publish = deleted
			return nil, nil
		})),
	}
	if r.strict {
		opts = append(opts, sessionmap.WithStrictLifetime())
	}
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

const leaseWarning = 15 * time.Second

func (p *groupProgram) hear(e groupEvent) {
	again := p.g.Contains(e.id)
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
			want = append(want, groupEvent{a, s.id, number, cause})
		}
	}
	for _, h := range p.expect(append(want, groupEvent{nil, s.id, 0, cause})...) {
		if !h.again {
			require.False(p.t, h.guarded, "the guards hear of it first")
			delete(p.guarded, s.id)
		}
	}
	p.removals[cause]++
	p.sessions = slices.DeleteFunc(p.sessions, func(o *modelSession) bool { return o == s })
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
	for _, s := range p.expiredAmong(p.sessions) {
		end := groupEvent{nil, s.id, 0, p.expired(s)}
		if slices.ContainsFunc(p.heard, func(h heardEvent) bool { return h.groupEvent == end }) {
			p.ended(s, 0)
		}
	}
}
