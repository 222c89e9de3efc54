package sessionmap_test

import (
	"cmp"
	"fmt"
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
	entries        []*modelEntry // least recently accessed first
	hits, misses   uint64
	sets           uint64
	removals       map[sessionmap.Cause]uint64
}

type modelEntry struct {
	key, value        int
	created, accessed time.Time
	idle              time.Duration
	leases            []*sessionmap.Lease[int, int]
}

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

// insert does to the model what a new key does to the map: something gives way if it is full.
func (p *program) insert(key, value int, idle time.Duration) {
	now := time.Now()
	m := p.model
	if e := m.find(key); e != nil {
		p.remove(e, m.expired(e, now))
	}
	if m.maxSize > 0 && len(m.entries) == m.maxSize {
		someExpired := slices.ContainsFunc(m.entries, func(e *modelEntry) bool { return m.expired(e, now) != 0 })
		if someExpired {
			require.Equal(p.t, 1, p.expectExpired(false), "an expired entry gives way, and no other")
		} else {
			oldest := slices.IndexFunc(m.entries, func(e *modelEntry) bool { return len(e.leases) == 0 })
			p.remove(m.entries[oldest], sessionmap.Evicted)
		}
	}
	m.entries = append(m.entries, &modelEntry{key: key, value: value, created: now, accessed: now, idle: idle})
	m.sets++
}

func (p *program) overwrite(e *modelEntry, value int, idle time.Duration) {
	p.expect(removal{e.key, e.value, sessionmap.Replaced})
	p.model.access(e, time.Now())
	e.value, e.idle = value, idle
	p.model.sets++
}

func (p *program) set(key int, idle time.Duration, own bool) {
	p.nextValue++
	e := p.model.live(key, time.Now())
	if own {
		require.True(p.t, p.m.SetWithTTL(key, p.nextValue, idle))
	} else {
		require.True(p.t, p.m.Set(key, p.nextValue))
	}
	if e != nil {
		p.overwrite(e, p.nextValue, idle)
	} else {
		p.insert(key, p.nextValue, idle)
	}
}

func (p *program) step() string {
	t, m, now := p.t, p.m, time.Now()
	key := p.rng.IntN(2 * max(8, p.model.maxSize))
	e := p.model.live(key, now)
	check := func(value int, ok bool) {
		t.Helper()
		require.Equal(t, e != nil, ok)
		if ok {
			require.Equal(t, e.value, value)
		}
	}
	switch op := p.rng.IntN(110); {
	case op < 20:
		check(m.Get(key))
		if e != nil {
			p.model.hits++
			p.model.access(e, now)
		} else {
			p.model.misses++
		}
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
		p.set(key, p.model.idle, false)
		return fmt.Sprintf("Set %d", key)
	case op < 58:
		idle := time.Duration(1+p.rng.IntN(40)) * time.Second
		p.set(key, idle, true)
		return fmt.Sprintf("SetWithTTL %d %v", key, idle)
	case op < 63:
		p.nextValue++
		actual, loaded := m.GetOrSet(key, p.nextValue)
		require.Equal(t, e != nil, loaded)
		if e != nil {
			require.Equal(t, e.value, actual)
			p.model.hits++
			p.model.access(e, now)
		} else {
			require.Equal(t, p.nextValue, actual)
			p.model.misses++
			p.insert(key, p.nextValue, p.model.idle)
		}
		return fmt.Sprintf("GetOrSet %d", key)
	case op < 70:
		p.nextValue++
		keep := p.rng.IntN(3) > 0
		value, ok := m.Update(key, func(old int, ok bool) (int, bool) {
			check(old, ok)
			return p.nextValue, keep
		})
		require.Equal(t, keep, ok)
		switch {
		case keep && e != nil:
			require.Equal(t, p.nextValue, value)
			p.overwrite(e, p.nextValue, e.idle)
		case keep:
			p.insert(key, p.nextValue, p.model.idle)
		case e != nil:
			p.remove(e, sessionmap.Deleted)
		}
		return fmt.Sprintf("Update %d keep %v", key, keep)
	case op < 76:
		check(m.Take(key))
		if e != nil {
			p.remove(e, sessionmap.Deleted)
		} else {
			p.expectExpired(false) // one of that key goes on the occasion
		}
		return fmt.Sprintf("Take %d", key)
	case op < 78:
		odd := func(key, value int) bool { return value%5 == 0 }
		want := 0
		n := m.DeleteFunc(odd)
		for _, e := range slices.Clone(p.model.entries) {
			if p.model.expired(e, now) == 0 && odd(e.key, e.value) {
				p.remove(e, sessionmap.Deleted)
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
		leased := 0
		for _, e := range p.model.entries {
			if len(e.leases) > 0 {
				leased++
			}
		}
		if p.model.maxSize > 0 && leased >= p.model.maxSize-1 && (e == nil || len(e.leases) == 0) {
			return "no Acquire: something has to give way"
		}
		lease, ok := m.Acquire(key)
		require.Equal(t, e != nil, ok)
		if ok {
			e.leases = append(e.leases, lease)
			p.model.access(e, now)
			check(lease.Value(), lease.Key() == key)
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
		case e == nil:
			require.ErrorIs(t, err, sessionmap.ErrNotFound)
		case taken != nil && taken != e:
			require.ErrorIs(t, err, sessionmap.ErrExists)
		default:
			require.NoError(t, err)
			e.key = to
		}
		p.expectExpired(false)
		return fmt.Sprintf("Rename %d %d", key, to)
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
	steps := 3000
	if testing.Short() {
		steps = 300
	}
	for _, size := range []int{0, 1, 2, 7, 50, 500} {
		for _, idle := range []time.Duration{0, 20 * time.Second} {
			for _, lifetime := range []time.Duration{0, 45 * time.Second} {
				for _, eager := range []bool{false, true} {
					if size == 0 && idle == 0 && lifetime == 0 {
						continue
					}
					t.Run(fmt.Sprintf("size=%d/idle=%v/lifetime=%v/eager=%v", size, idle, lifetime, eager), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							runProgram(t, steps, size, idle, lifetime, eager)
						})
					})
				}
			}
		}
	}
}

func runProgram(t *testing.T, steps, size int, idle, lifetime time.Duration, eager bool) {
	seed := rand.Uint64()
	p := &program{
		t:     t,
		rng:   rand.New(rand.NewPCG(seed, 1)),
		model: &model{idle: idle, lifetime: lifetime, maxSize: size, removals: map[sessionmap.Cause]uint64{}},
		eager: eager,
	}
	interval := 1000 * time.Hour
	if eager {
		interval = time.Nanosecond
	}
	p.m = sessionmap.MustNew[int, int](
		sessionmap.WithTTL(idle), sessionmap.WithMaxLifetime(lifetime), sessionmap.WithMaxSize(size), sessionmap.WithSweepInterval(interval),
		sessionmap.WithOnRemove(func(key, value int, cause sessionmap.Cause) {
			p.reported = append(p.reported, removal{key, value, cause})
		}))
	var log []string
	defer func() {
		if t.Failed() {
			t.Logf("seed %d, last steps: %v", seed, log[max(0, len(log)-30):])
		}
	}()
	for range steps {
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
