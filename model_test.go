package sessionmap_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// TestModel runs random programs on the map and on the model, and looks at everything inside the map after each step.
func TestModel(t *testing.T) { testModel(t, "map", gridMapRules, allMapRules, runModel) }

// FuzzModel is TestModel for programs that the fuzzer finds.
func FuzzModel(f *testing.F) { fuzzModel(f, gridMapRules, allMapRules, runModel) }

func runModel(t *testing.T, rules int, code []byte) (steps int) {
	r := mapRules(rules)
	return runProgram(t, r, code, func(a *attempt) {
		if !r.closes {
			p := &program[int]{attempt: a, t: a, rules: r}
			p.value, p.number = func(number int) int { return number }, func(v int) int { return v }
			p.run()
			return
		}
		p := &program[*modelState]{attempt: a, t: a, rules: r}
		p.value = func(number int) *modelState {
			if p.states[number] == nil {
				p.states[number] = &modelState{number: number, failed: &p.failedCloses}
			}
			return p.states[number]
		}
		p.number = func(v *modelState) int {
			if v == nil {
				return 0
			}
			return v.number
		}
		p.run()
	})
}

// A program is one on a map, under way. The values stand for numbers; see [numberCost].
type program[V any] struct {
	*model
	*attempt
	t      require.TestingT // the attempt
	rules  modelRules
	value  func(number int) V
	number func(V) int // 0 of the zero value
	serial int

	name      string // no other map's
	m         *sessionmap.RobustSessionMap[int, V]
	end       func() // of the map's context
	heap      *sessionmap.Heap
	bus       *sessionmap.Bus[int]
	publish   func(key int, at time.Time)
	contexts  []*modelEntry // that have one
	withins   []*modelWithin
	loads     []*modelLoad[V]
	refreshes []*modelRefresh[V]
	over      chan struct{} // closed when the program is

	mu       sync.Mutex // guards what follows
	reported []removal
	told     []removal // the same, since the last step
	hooks    []*modelHook
}

// run runs the program.
func (p *program[V]) run() {
	p.over = make(chan struct{})
	defer close(p.over)
	p.begin()
	for {
		if p.closed && len(p.log) > p.closedAt+10 {
			p.begin()
		}
		if !nextStep(p.attempt, p, mapSteps[V](), p.keys()) {
			break
		}
		p.check()
	}
	p.close(0, 0, 0)
	p.check()
}

var modelMaps atomic.Int64 // that there have been

// begin begins with a new map, which the model is to be like.
func (p *program[V]) begin() {
	r := p.rules
	p.model = &model{
		modelRules: r, lives: newLives[*modelEntry](r.lifeRules), removals: make(map[sessionmap.Cause]uint64),
		states: make(map[int]*modelState), failed: make(map[int]modelFailure),
	}
	p.name = fmt.Sprintf("model %d", modelMaps.Add(1))
	p.bus, p.heap, p.hooks, p.withins = sessionmap.NewBus[int](), &sessionmap.Heap{}, nil, nil
	p.heap.Live.Store(heapNear)
	var ctx context.Context
	ctx, p.end = context.WithCancel(context.Background())
	opts := append(r.options(ctx, p.bus, &p.publish),
		sessionmap.WithName(p.name), sessionmap.WithOnRemove(p.hear), sessionmap.WithRefreshAfter(r.refreshAfter), sessionmap.WithLoadErrorTTL(r.loadErrorTTL))
	cost := func(_ int, v V) int64 { return numberCost(p.number(v)) }
	switch {
	case r.maxCost > 0:
		opts = append(opts, sessionmap.WithMaxCost(r.maxCost, cost))
	case r.costs:
		opts = append(opts, sessionmap.WithCost(cost))
	}
	if r.closes {
		opts = append(opts, sessionmap.WithCloser())
	}
	if r.pressed {
		opts = append(opts, sessionmap.WithMemoryPressure(heapHigh, heapLow, heapKeep), sessionmap.WithHeap(p.heap))
	}
	if r.coarse {
		opts = append(opts, sessionmap.WithCoarseClock(time.Second))
	}
	p.m = sessionmap.MustNew[int, V](opts...)
	if r.coarse {
		sessionmap.MakeCoarse(p.m)
	}
	for i, limit := range r.limits {
		p.addIndex(limit, 2+i)
	}
}

func (p *program[V]) hear(key int, value V, cause sessionmap.Cause) {
	turn.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	r := removal{key, p.number(value), cause}
	p.reported = append(p.reported, r)
	p.told = append(p.told, r)
}

// keys returns how many keys there are: enough for a full map to be asked for more.
func (p *program[V]) keys() int { return 2 * max(8, p.rules.maxSize) }

// fresh returns a number that no value has had.
func (p *program[V]) fresh(kind int) int {
	p.serial++
	return p.serial*256 + kind
}

// settle lets all that is under way go on as far as it can.
func (p *program[V]) settle() {
	wait()
	p.removedOnOccasion()
}

// check compares all that the map tells with the model, after each step.
func (p *program[V]) check() {
	p.settle()
	require.Empty(p.t, p.reported, "reported, but not expected")
	require.NoError(p.t, sessionmap.CheckInvariants(p.m))
	p.checkHooks()
	p.checkFigures()
	p.checkLives()
	if len(p.alive) < 10 {
		p.checkAll()
	}
}

func (p *program[V]) checkFigures() {
	got := p.m.Stats()
	want := sessionmap.Stats{
		Name: p.name, Hits: p.hits, Misses: p.misses, Sets: p.sets, Live: len(p.alive), MaxSize: p.maxSize, Cost: p.cost(), MaxCost: p.maxCost,
		Removals: p.removals, CallbackPanics: p.panics, CloseErrors: p.failedCloses,
	}
	overdue := 0
	want.Leases, overdue = count(p.leases)
	require.LessOrEqual(p.t, got.OverdueLeases, overdue)
	got.OverdueLeases, got.Sweeps, got.LongestSweep = 0, 0, 0
	require.Equal(p.t, want, got)
	require.Equal(p.t, len(p.alive), p.m.Len())
	require.True(p.t, p.maxCost == 0 || got.Cost <= p.maxCost)
	require.True(p.t, p.maxSize == 0 || got.Live <= p.maxSize)
	checkSum(p.t, got)
}

// checkLives looks at what hangs on the lives of entries: leases, contexts, loads, and values that are closed.
func (p *program[V]) checkLives() {
	for _, l := range p.leases {
		require.Equal(p.t, l.e.key, l.Key())
		require.Equal(p.t, l.number, l.value())
		require.Equal(p.t, l.e.ended != 0, isDone(l.Done()))
	}
	p.contexts = slices.DeleteFunc(p.contexts, func(e *modelEntry) bool {
		p.checkEnded(e.ctx, e)
		return e.ended != 0
	})
	p.withins = slices.DeleteFunc(p.withins, func(w *modelWithin) bool {
		p.checkEnded(w.ctx, w.e)
		return w.e.ended != 0
	})
	p.checkLoads()
	present := map[int]bool{}
	for _, e := range p.alive {
		present[e.number] = true
	}
	checkClosed(p.t, p.states, present)
}

// checkEnded checks that ctx, which belongs to e, tells whether e has ended, and how.
func (p *program[V]) checkEnded(ctx context.Context, e *modelEntry) {
	require.Equal(p.t, e.ended != 0, ctx.Err() != nil)
	if e.ended != 0 {
		require.Equal(p.t, &sessionmap.EndedError{Cause: e.ended}, context.Cause(ctx))
	}
}

// checkAll compares what the iterators and Entry tell.
func (p *program[V]) checkAll() {
	want, order := map[int]int{}, []int(nil)
	for _, e := range p.alive {
		if p.expired(e) != 0 {
			require.False(p.t, p.m.Contains(e.key) && p.reach(e.key) == nil)
			continue
		}
		want[e.key] = e.number
		if p.checkEntry(e); e.leases == 0 {
			order = append(order, e.key)
		}
	}
	got := map[int]int{}
	for key, value := range p.m.All() {
		got[key] = p.number(value)
	}
	require.Equal(p.t, want, got)
	var oldest []int
	for key, value := range p.m.Oldest() {
		require.Equal(p.t, want[key], p.number(value))
		if p.live(key).leases == 0 { // the others are accessed all the time
			oldest = append(oldest, key)
		}
	}
	require.Equal(p.t, order, oldest)
	require.ElementsMatch(p.t, slices.Collect(maps.Keys(want)), slices.Collect(p.m.Keys()))
	for _, x := range p.indexes {
		for _, owner := range owners {
			var live []int
			for _, e := range x.of(owner) {
				if p.expired(e) == 0 {
					live = append(live, e.key)
				}
			}
			require.Equal(p.t, live, slices.Collect(x.Of(owner)))
			require.Equal(p.t, len(x.of(owner)), x.Count(owner))
		}
	}
	held := slices.DeleteFunc(slices.Clone(p.leases), func(l *entryLease) bool { return l.cleared })
	for key, since := range p.m.Leases() {
		require.NotEmpty(p.t, held)
		require.Equal(p.t, held[0].e.key, key)
		require.WithinDuration(p.t, held[0].since, since, p.lag())
		held = held[1:]
	}
	require.Empty(p.t, held)
}

func (p *program[V]) checkEntry(e *modelEntry) {
	got, ok := p.m.Entry(e.key)
	require.True(p.t, ok)
	at, _ := p.deadline(e)
	accessed := e.accessed
	if e.leases > 0 {
		accessed = time.Now()
	}
	require.WithinDuration(p.t, e.created, got.Created, p.lag())
	require.WithinDuration(p.t, accessed, got.LastAccess, p.lag())
	require.WithinDuration(p.t, at, got.Deadline, p.lag())
	require.Equal(p.t, e.leases, got.Leases)
	require.Equal(p.t, p.costOf(e.number), got.Cost)
	require.Equal(p.t, e.idle, got.IdleTimeout)
}

// lag is how far the map's clock may be from the true time. A coarse clock counts nanoseconds from one time to the next.
func (p *program[V]) lag() time.Duration {
	if p.coarse {
		return time.Millisecond
	}
	return 0
}

// TestModelOfOrder is the same for the order of access alone, by every clock, in
// maps large enough for drains, splits and merges.
func TestModelOfOrder(t *testing.T) {
	onEveryClock(t, func(t *testing.T, clock clockKind) {
		const size = sessionmap.SmallMap + 1000 // readers take notes
		var evicted []int
		m := newMapWith[int, int](t, clock, sessionmap.WithMaxSize(size), sessionmap.WithOnRemove(func(key, _ int, cause sessionmap.Cause) {
			if cause == sessionmap.Evicted {
				evicted = append(evicted, key)
			}
		}))
		defer m.Close()
		// The naive order: the number of the last access of each key.
		last := map[int]int{}
		oldest := func() int {
			first := slices.Collect(maps.Keys(last))
			return slices.MinFunc(first, func(a, b int) int { return cmp.Compare(last[a], last[b]) })
		}
		rng := rand.New(rand.NewPCG(1, 2))
		for i := range 40000 {
			key := rng.IntN(2 * size)
			switch op := rng.IntN(100); {
			case op < 70:
				if _, ok := m.Get(key); ok {
					last[key] = i
				}
			case op < 95:
				if _, there := last[key]; !there && len(last) == size {
					want := oldest()
					m.Set(key, i)
					require.Equal(t, []int{want}, evicted, "step %d", i)
					evicted = evicted[:0]
					delete(last, want)
				} else {
					m.Set(key, i)
				}
				last[key] = i
			case op < 99:
				m.Delete(key)
				delete(last, key)
			case i%40 == 0:
				m.DeleteFunc(func(k, _ int) bool { return k%8 != 0 })
				maps.DeleteFunc(last, func(k, _ int) bool { return k%8 != 0 })
			}
			require.Empty(t, evicted)
			if i%2000 == 0 {
				require.NoError(t, sessionmap.CheckInvariants(m))
			}
		}
	})
}
