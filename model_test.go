package sessionmap_test

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// The model is the contract in its most naive form: a slice in the order of access, walked from end to
// end for everything. Random programs run on it and on the map, in fake time.
type model struct {
	idle, lifetime time.Duration
	maxSize        int
	maxCost        int64         // 0 is none
	tombstones     time.Duration // 0 is none
	grace          time.Duration // of old keys; 0 is none
	entries        []*modelEntry // least recently accessed first
	buried         map[int]time.Time
	renamed        map[int]modelName
	hits, misses   uint64
	sets           uint64
	removals       map[sessionmap.Cause]uint64
}

type modelEntry struct {
	key, value        int
	created, accessed time.Time
	idle              time.Duration
	leases            []*sessionmap.Lease[int, int]
	cancel            func() // ends the context that it is bound to; nil if there is none
}

// A modelName is a key that has been renamed: to whom it still leads, and since when.
type modelName struct {
	e  *modelEntry
	at time.Time
}

// modelCost is what a value costs.
func modelCost(_, value int) int64 { return int64(value % 7) }

type removal struct {
	key, value int
	cause      sessionmap.Cause
}

func (m *model) deadline(e *modelEntry) (at time.Time, cause sessionmap.Cause) {
	if len(e.leases) > 0 {
		return at, cause
	}
	if e.idle > 0 {
		at, cause = e.accessed.Add(e.idle), sessionmap.Idle
	}
	if end := e.created.Add(m.lifetime); m.lifetime > 0 && (at.IsZero() || end.Before(at)) {
		at, cause = end, sessionmap.Lifetime
	}
	return at, cause
}

// expired returns the cause with which e is to leave at now; 0 if it lives.
func (m *model) expired(e *modelEntry, now time.Time) sessionmap.Cause {
	if at, cause := m.deadline(e); !at.IsZero() && !now.Before(at) {
		return cause
	}
	return 0
}

func (m *model) find(key int) *modelEntry {
	for _, e := range m.entries {
		if e.key == key {
			return e
		}
	}
	return nil
}

func (m *model) live(key int, now time.Time) *modelEntry {
	if e := m.find(key); e != nil && m.expired(e, now) == 0 {
		return e
	}
	return nil
}

// reach is live, also by the old key of a renamed entry.
func (m *model) reach(key int, now time.Time) *modelEntry {
	if e := m.live(key, now); e != nil {
		return e
	}
	name, ok := m.renamed[key]
	if !ok || now.Sub(name.at) >= m.grace || !slices.Contains(m.entries, name.e) || m.expired(name.e, now) != 0 {
		return nil
	}
	return name.e
}

// refuses reports whether key, which has no live entry, must not get one.
func (m *model) refuses(key int, now time.Time) bool {
	at, buried := m.buried[key]
	name, renamed := m.renamed[key]
	return buried && now.Sub(at) < m.tombstones || renamed && now.Sub(name.at) < m.grace
}

func (m *model) bury(key int, now time.Time) {
	if m.tombstones > 0 {
		m.buried[key] = now
	}
}

func (m *model) cost() (sum int64) {
	for _, e := range m.entries {
		sum += modelCost(e.key, e.value)
	}
	return sum
}

func (m *model) access(e *modelEntry, now time.Time) {
	e.accessed = now
	i := slices.Index(m.entries, e)
	m.entries = append(slices.Delete(m.entries, i, i+1), e)
}

// program is a random program under way.
type program struct {
	t         *testing.T
	rng       *rand.Rand
	m         *sessionmap.RobustSessionMap[int, int]
	model     *model
	reported  []removal
	nextValue int
	eager     bool // sweeps come at the deadline, not after ages
	bus       *sessionmap.Bus[int]
}

// remove takes e out of the model and expects the map to have reported it.
func (p *program) remove(e *modelEntry, cause sessionmap.Cause) {
	p.model.entries = slices.DeleteFunc(p.model.entries, func(o *modelEntry) bool { return o == e })
	p.expect(removal{e.key, e.value, cause})
}

func (p *program) expect(r removal) {
	i := slices.Index(p.reported, r)
	require.GreaterOrEqual(p.t, i, 0, "%v not reported; reported: %v", r, p.reported)
	p.reported = slices.Delete(p.reported, i, i+1)
	p.model.removals[r.cause]++
}

// expectExpired takes out of the model the expired entries that the map has reported, of which all must go
// if must says so.
func (p *program) expectExpired(must bool) (n int) {
	now := time.Now()
	for _, e := range slices.Clone(p.model.entries) {
		cause := p.model.expired(e, now)
		if cause == 0 {
			continue
		}
		if must || slices.Contains(p.reported, removal{e.key, e.value, cause}) {
			p.remove(e, cause)
			n++
		}
	}
	return n
}

// admit does to the model what a value does to the map that is to be put where e is, or under a new key if e is nil:
// others give way, as the map has reported, but one that is expired before any that is not, and then the least
// recently accessed that is not leased. It reports whether the value can be stored.
func (p *program) admit(e *modelEntry, value int) (ok bool) {
	m, now := p.model, time.Now()
	more, stays := modelCost(0, value), modelCost(0, value)
	if e != nil {
		more -= modelCost(0, e.value)
	}
	unleased := 0
	for _, o := range m.entries {
		if len(o.leases) == 0 && o != e {
			unleased++
		}
		if len(o.leases) > 0 && o != e {
			stays += modelCost(0, o.value)
		}
	}
	full := func() bool { return e == nil && m.maxSize > 0 && len(m.entries) == m.maxSize }
	dear := func() bool { return m.maxCost > 0 && more > 0 && m.cost()+more > m.maxCost }
	if m.maxCost > 0 && more > 0 && stays > m.maxCost || full() && unleased == 0 {
		return false
	}
	for full() || dear() {
		why := sessionmap.EvictedCost
		if full() {
			why = sessionmap.Evicted
		}
		someExpired := slices.ContainsFunc(m.entries, func(o *modelEntry) bool { return m.expired(o, now) != 0 })
		if someExpired {
			require.NotEmpty(p.t, p.reported, "an expired entry gives way")
			o := m.find(p.reported[0].key)
			require.NotNil(p.t, o)
			require.NotZero(p.t, m.expired(o, now), "%v gave way before an expired one", o.key)
			p.remove(o, m.expired(o, now))
			continue
		}
		oldest := slices.IndexFunc(m.entries, func(o *modelEntry) bool { return len(o.leases) == 0 && o != e })
		p.remove(m.entries[oldest], why)
	}
	return true
}

// put does to the model what setting value does to the map, where e is if it is not nil. It reports whether value is stored.
func (p *program) put(e *modelEntry, key, value int, idle time.Duration) (stored bool) {
	m, now := p.model, time.Now()
	m.sets++
	if e == nil {
		if o := m.find(key); o != nil {
			p.remove(o, m.expired(o, now))
		}
	}
	if e == nil && m.refuses(key, now) || !p.admit(e, value) {
		p.expect(removal{key, value, sessionmap.Rejected})
		return false
	}
	if e == nil {
		m.entries = append(m.entries, &modelEntry{key: key, value: value, created: now, accessed: now, idle: idle})
		return true
	}
	p.expect(removal{e.key, e.value, sessionmap.Replaced})
	m.access(e, now)
	e.value, e.idle = value, idle
	return true
}

func (p *program) step() string {
	t, m, now := p.t, p.m, time.Now()
	key := p.rng.IntN(2 * max(8, p.model.maxSize))
	e := p.model.reach(key, now)
	check := func(value int, ok bool) {
		t.Helper()
		require.Equal(t, e != nil, ok)
		if ok {
			require.Equal(t, e.value, value)
		}
	}
	// own is e if it stands under this very key: what others are stored by, but for Update.
	own := p.model.live(key, now)
	looked := func() {
		if e != nil {
			p.model.hits++
			p.model.access(e, now)
		} else {
			p.model.misses++
		}
	}
	switch op := p.rng.IntN(125); {
	case op < 20:
		check(m.Get(key))
		looked()
		return fmt.Sprintf("Get %d", key)
	case op < 25:
		check(m.Peek(key))
		require.Equal(t, e != nil, m.Contains(key))
		return fmt.Sprintf("Peek %d", key)
	case op < 30:
		require.Equal(t, e != nil, m.Touch(key))
		if e != nil {
			p.model.access(e, now)
		}
		return fmt.Sprintf("Touch %d", key)
	case op < 50:
		p.nextValue++
		stored := m.Set(key, p.nextValue)
		require.Equal(t, p.put(own, key, p.nextValue, p.model.idle), stored)
		return fmt.Sprintf("Set %d %d: %v", key, p.nextValue, stored)
	case op < 58:
		p.nextValue++
		idle := time.Duration(1+p.rng.IntN(40)) * time.Second
		stored := m.SetWithTTL(key, p.nextValue, idle)
		require.Equal(t, p.put(own, key, p.nextValue, idle), stored)
		return fmt.Sprintf("SetWithTTL %d %d %v: %v", key, p.nextValue, idle, stored)
	case op < 63:
		p.nextValue++
		actual, loaded := m.GetOrSet(key, p.nextValue)
		require.Equal(t, e != nil, loaded)
		if e != nil {
			require.Equal(t, e.value, actual)
			looked()
			return fmt.Sprintf("GetOrSet %d", key)
		}
		require.Equal(t, p.nextValue, actual)
		p.model.misses++
		p.put(nil, key, p.nextValue, p.model.idle)
		return fmt.Sprintf("GetOrSet %d %d", key, p.nextValue)
	case op < 70:
		p.nextValue++
		keep := p.rng.IntN(3) > 0
		value, ok := m.Update(key, func(old int, ok bool) (int, bool) {
			check(old, ok)
			return p.nextValue, keep
		})
		switch {
		case keep && e != nil:
			require.True(t, ok)
			old := e.value
			if p.put(e, e.key, p.nextValue, e.idle) {
				require.Equal(t, p.nextValue, value)
			} else {
				require.Equal(t, old, value)
			}
		case keep:
			require.Equal(t, p.put(nil, key, p.nextValue, p.model.idle), ok)
		case e != nil:
			p.remove(e, sessionmap.Deleted)
			p.model.bury(e.key, now)
		}
		return fmt.Sprintf("Update %d %d keep %v: %v", key, p.nextValue, keep, ok)
	case op < 76:
		cause := sessionmap.Deleted
		if p.rng.IntN(3) == 0 {
			cause = sessionmap.SessionDeleted
			p.bus.Publish(key)
		} else {
			check(m.Take(key))
		}
		if e != nil {
			p.remove(e, cause)
			p.model.bury(e.key, now)
		} else {
			p.expectExpired(false) // one of that key goes on the occasion
		}
		p.model.bury(key, now)
		return fmt.Sprintf("Take %d %v", key, cause)
	case op < 78:
		odd := func(key, value int) bool { return value%5 == 0 }
		want := 0
		n := m.DeleteFunc(odd)
		for _, e := range slices.Clone(p.model.entries) {
			if p.model.expired(e, now) == 0 && odd(e.key, e.value) {
				p.remove(e, sessionmap.Deleted)
				p.model.bury(e.key, now)
				want++
			}
		}
		require.Equal(t, want, n)
		return "DeleteFunc"
	case op < 79:
		n := m.Clear()
		want := 0
		p.expectExpired(true)
		for _, e := range slices.Clone(p.model.entries) {
			p.remove(e, sessionmap.Cleared)
			want++
		}
		require.Equal(t, want, n)
		return "Clear"
	case op < 82:
		require.Equal(t, m.Sweep(), p.expectExpired(true))
		return "Sweep"
	case op < 85:
		p.compareAll()
		return "All"
	case op < 89:
		lease, ok := m.Acquire(key)
		require.Equal(t, e != nil, ok)
		if ok {
			e.leases = append(e.leases, lease)
			p.model.access(e, now)
			check(lease.Value(), lease.Key() == e.key)
		}
		p.expectExpired(false) // one of that key goes on the occasion
		return fmt.Sprintf("Acquire %d", key)
	case op < 93:
		for _, e := range p.model.entries {
			if n := len(e.leases); n > 0 {
				e.leases[n-1].Release()
				e.leases[n-1].Release()
				if e.leases = e.leases[:n-1]; n == 1 {
					p.model.access(e, now)
				}
				return fmt.Sprintf("Release %d", e.key)
			}
		}
		return "nothing to release"
	case op < 97:
		to := p.rng.IntN(2 * max(8, p.model.maxSize))
		taken := p.model.live(to, now)
		err := m.Rename(key, to)
		switch {
		case own == nil:
			require.ErrorIs(t, err, sessionmap.ErrNotFound)
		case taken != nil && taken != own:
			require.ErrorIs(t, err, sessionmap.ErrExists)
		case to != key && p.model.refuses(to, now):
			require.ErrorIs(t, err, sessionmap.ErrRefused)
		default:
			require.NoError(t, err)
			if to != key {
				own.key = to
				p.model.bury(key, now)
				if p.model.grace > 0 {
					p.model.renamed[key] = modelName{own, now}
				}
			}
		}
		p.expectExpired(false)
		return fmt.Sprintf("Rename %d %d: %v", key, to, err)
	case op < 104:
		p.nextValue++
		value, fails := p.nextValue, p.rng.IntN(4) == 0
		got, err := m.GetOrLoad(context.Background(), key, func(context.Context, int) (int, error) {
			if fails {
				return 0, errors.ErrUnsupported
			}
			return value, nil
		})
		looked()
		switch {
		case e != nil:
			require.NoError(t, err)
			require.Equal(t, e.value, got)
		case p.model.refuses(key, now):
			require.ErrorIs(t, err, sessionmap.ErrRefused)
		case fails:
			require.ErrorIs(t, err, errors.ErrUnsupported)
		case p.put(nil, key, value, p.model.idle):
			require.NoError(t, err)
			require.Equal(t, value, got)
		default:
			require.ErrorIs(t, err, sessionmap.ErrRefused)
		}
		p.expectExpired(false)
		return fmt.Sprintf("GetOrLoad %d: %d %v", key, got, err)
	case op < 108:
		ctx, cancel := context.WithCancel(context.Background())
		require.Equal(t, e != nil, m.BindContext(ctx, key))
		if e != nil {
			if e.cancel != nil {
				e.cancel() // it is not bound to that any more
			}
			e.cancel = cancel
			p.model.access(e, now)
		} else {
			cancel()
		}
		synctest.Wait()
		p.expectExpired(false)
		return fmt.Sprintf("BindContext %d", key)
	case op < 111:
		for _, e := range p.model.entries {
			if e.cancel != nil {
				e.cancel()
				e.cancel = nil
				synctest.Wait()
				if cause := p.model.expired(e, now); cause != 0 {
					p.remove(e, cause)
				} else {
					p.remove(e, sessionmap.ContextDone)
				}
				p.expectExpired(false) // a sweep that was due had time to come by, too
				return fmt.Sprintf("cancel %d", e.key)
			}
		}
		return "nothing to cancel"
	default:
		pause := time.Duration(p.rng.IntN(8)) * time.Second
		time.Sleep(pause)
		synctest.Wait()
		p.expectExpired(p.eager && pause > 0) // a timer that is due fires when time passes
		return fmt.Sprintf("Sleep %v", pause)
	}
}

// compareAll compares what the iterators and Entry tell.
func (p *program) compareAll() {
	t, now := p.t, time.Now()
	want := map[int]int{}
	var order []int
	for _, e := range p.model.entries {
		if p.model.expired(e, now) != 0 {
			continue
		}
		want[e.key] = e.value
		order = append(order, e.key)
		entry, ok := p.m.Entry(e.key)
		require.True(t, ok)
		at, _ := p.model.deadline(e)
		require.WithinDuration(t, e.created, entry.Created, 0)
		if entry.Leases > 0 {
			require.WithinDuration(t, now, entry.LastAccess, 0)
		} else {
			require.WithinDuration(t, e.accessed, entry.LastAccess, 0)
		}
		require.Equal(t, len(e.leases), entry.Leases)
		if p.model.maxCost > 0 {
			require.Equal(t, modelCost(e.key, e.value), entry.Cost)
		}
		require.WithinDuration(t, at, entry.Deadline, 0)
		require.Equal(t, e.idle, entry.IdleTimeout)
	}
	require.Equal(t, want, maps.Collect(p.m.All()))
	var oldest []int
	for key := range p.m.Oldest() {
		oldest = append(oldest, key)
	}
	require.Equal(t, order, oldest)
	require.ElementsMatch(t, order, slices.Collect(p.m.Keys()))
}

func (p *program) compareStats() {
	t, s := p.t, p.m.Stats()
	require.Empty(t, p.reported, "reported, but not expected")
	require.Equal(t, len(p.model.entries), p.m.Len())
	if p.model.maxCost > 0 {
		require.Equal(t, p.model.cost(), s.Cost)
		require.LessOrEqual(t, s.Cost, p.model.maxCost)
	}
	require.Equal(t, p.model.hits, s.Hits)
	require.Equal(t, p.model.misses, s.Misses)
	require.Equal(t, p.model.sets, s.Sets)
	require.Equal(t, p.model.removals, s.Removals)
	var sum uint64
	for _, n := range s.Removals {
		sum += n
	}
	require.Equal(t, s.Sets, uint64(s.Live)+sum)
}

// TestModel runs random programs on the map and on the model, and looks at everything inside the map after each step.
func TestModel(t *testing.T) {
	steps := 0
	defer func() { t.Logf("kind=map steps=%d", steps) }()
	for _, size := range []int{0, 1, 2, 7, 50, 500} {
		for _, idle := range []time.Duration{0, 20 * time.Second} {
			for _, lifetime := range []time.Duration{0, 45 * time.Second} {
				for _, eager := range []bool{false, true} {
					m := model{idle: idle, lifetime: lifetime, maxSize: size}
					if size == 0 && idle == 0 && lifetime == 0 {
						m.maxCost = 60
					}
					t.Run(fmt.Sprintf("size=%d/idle=%v/lifetime=%v/eager=%v", size, idle, lifetime, eager), func(t *testing.T) {
						steps += runModel(t, rand.Uint64(), m, eager)
					})
				}
			}
		}
	}
	for size, maxCost := range map[int]int64{3: 12, 20: 30, 100: 90} {
		for _, window := range []time.Duration{0, 5 * time.Second, 30 * time.Second} {
			for _, eager := range []bool{false, true} {
				m := model{idle: 20 * time.Second, lifetime: 45 * time.Second, maxSize: size, maxCost: maxCost, tombstones: window, grace: window / 2}
				t.Run(fmt.Sprintf("size=%d/cost=%d/window=%v/eager=%v", size, maxCost, window, eager), func(t *testing.T) {
					steps += runModel(t, rand.Uint64(), m, eager)
				})
			}
		}
	}
}

var modelSteps = flag.Int("modelsteps", 2000, "how many steps each program of TestModel has")

// FuzzModel is TestModel for rules and seeds that the fuzzer finds. It keeps those that fail; a program is not shortened.
func FuzzModel(f *testing.F) {
	f.Add(uint64(1), uint8(3), uint8(12), uint8(5), true)
	f.Add(uint64(58), uint8(31), uint8(2), uint8(152), true) // a value that is refused where it was offered by the old key
	f.Fuzz(func(t *testing.T, seed uint64, size, maxCost, window uint8, eager bool) {
		m := model{idle: 20 * time.Second, maxSize: int(size), maxCost: int64(maxCost), tombstones: time.Duration(window) * time.Second, grace: time.Duration(window) * time.Second / 2}
		runModel(t, seed, m, eager)
	})
}

// runModel runs a random program on m and on a map like it, and returns how many steps it had.
func runModel(t *testing.T, seed uint64, m model, eager bool) (done int) {
	synctest.Test(t, func(t *testing.T) {
		m.buried, m.renamed, m.removals = make(map[int]time.Time), make(map[int]modelName), make(map[sessionmap.Cause]uint64)
		p := &program{t: t, rng: rand.New(rand.NewPCG(seed, 1)), model: &m, eager: eager, bus: sessionmap.NewBus[int]()}
		interval := 1000 * time.Hour
		if eager {
			interval = time.Nanosecond
		}
		opts := []sessionmap.Option{
			sessionmap.WithTTL(m.idle), sessionmap.WithMaxLifetime(m.lifetime), sessionmap.WithMaxSize(m.maxSize), sessionmap.WithSweepInterval(interval),
			sessionmap.WithTombstones(m.tombstones), sessionmap.WithRenameGrace(m.grace), sessionmap.WithSessionDeleted(p.bus),
			sessionmap.WithLogger(slog.New(slog.DiscardHandler)),
			sessionmap.WithOnRemove(func(key, value int, cause sessionmap.Cause) {
				p.reported = append(p.reported, removal{key, value, cause})
			}),
		}
		if m.maxCost > 0 {
			opts = append(opts, sessionmap.WithMaxCost(m.maxCost, modelCost))
		}
		p.m = sessionmap.MustNew[int, int](opts...)
		var log []string
		defer func() {
			if t.Failed() {
				t.Logf("seed %d, last steps: %v", seed, log[max(0, len(log)-30):])
			}
		}()
		steps := *modelSteps
		if testing.Short() {
			steps /= 10
		}
		for done = range steps {
			log = append(log, p.step())
			p.compareStats()
			require.NoError(t, sessionmap.CheckInvariants(p.m))
		}
		require.NoError(t, p.m.Close())
		p.expectExpired(true)
		for _, e := range slices.Clone(p.model.entries) {
			p.remove(e, sessionmap.Closed)
		}
		p.compareStats()
		require.NoError(t, sessionmap.CheckInvariants(p.m))
	})
	return done + 1
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
