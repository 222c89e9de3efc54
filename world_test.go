package sessionmap_test

import (
	"flag"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// The faulty world: all that a map stands among fails, and the map must not.
//
// The programs that run in it are those of the fuzzer (fuzz_test.go), made up at random.

var faults = flag.Int("faults", 1, "how many times as many faults the tests of the faulty world inject")

// injected says how many faults a test has injected, in a form that programs read.
func injected(t testing.TB, kind string, n int) {
	t.Helper()
	t.Logf("faults: kind=%s injected=%d", kind, n)
}

var silent = sessionmap.WithLogger(slog.New(slog.DiscardHandler))

// A thing is a value that is told from all others by its number.
type thing struct {
	number int
	closed func() // when it is closed, where the map closes its values
}

func (v *thing) Close() error {
	if v.closed != nil {
		v.closed()
	}
	return nil
}

// A stranger may be put in any number of times: a ledger knows only how many have left.
var stranger = &thing{number: -1}

// A ledger tells what became of each thing. It keeps none of them alive.
type ledger struct {
	mu     sync.Mutex
	fates  []fate // by number
	causes map[sessionmap.Cause]uint64
	wrong  []string
}

type fate struct {
	put   bool // a map has taken it, and has to account for it
	cause sessionmap.Cause
}

// thing makes another one.
func (l *ledger) thing() *thing {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fates = append(l.fates, fate{})
	return &thing{number: len(l.fates) - 1}
}

// put says that a call has taken v, and returned.
func (l *ledger) put(v *thing) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fates[v.number].put = true
}

// left is for OnRemove.
func (l *ledger) left(key int, v *thing, cause sessionmap.Cause) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.causes == nil {
		l.causes = make(map[sessionmap.Cause]uint64)
	}
	l.causes[cause]++
	if v == stranger {
		return
	}
	f := &l.fates[v.number]
	if f.cause != 0 {
		l.wrong = append(l.wrong, fmt.Sprintf("key %d: value %d left twice: %v, %v", key, v.number, f.cause, cause))
	}
	f.cause = cause
}

// balance checks that what was put in is either present or has left, once, as far as the map says so too. What is
// expired must have been swept.
func (l *ledger) balance(t testing.TB, all map[int]*thing, s sessionmap.Stats) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	require.Empty(t, l.wrong)
	present := make(map[int]bool)
	for key, v := range all {
		if v == stranger {
			continue
		}
		require.Zero(t, l.fates[v.number].cause, "key %d: value %d is present, and reported to have left", key, v.number)
		require.False(t, present[v.number], "value %d is present twice", v.number)
		present[v.number] = true
	}
	for number, f := range l.fates {
		require.True(t, !f.put || f.cause != 0 || present[number], "value %d was lost", number)
	}
	require.Len(t, all, s.Live)
	sum := uint64(s.Live)
	for cause := range sessionmap.Causes() {
		require.Equal(t, l.causes[cause], s.Removals[cause], "%v", cause)
		sum += s.Removals[cause]
	}
	require.Equal(t, s.Sets, sum)
}

// TestWorldCollector runs random programs while the garbage collector never rests. What has left can be collected, and
// what is present is not.
func TestWorldCollector(t *testing.T) {
	for name, press := range map[string]func() (undo func()){
		"GOGC=1": func() func() {
			before := debug.SetGCPercent(1)
			return func() { debug.SetGCPercent(before) }
		},
		"GOMEMLIMIT=1": func() func() {
			before := debug.SetMemoryLimit(1)
			return func() { debug.SetMemoryLimit(before) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer press()()
			before := collections()
			synctest.Test(t, func(t *testing.T) { runCollected(t, 5000**faults) })
			injected(t, "collections", int(collections()-before))
		})
	}
}

// TestWorldCollectorOfManyGoroutines: nor does the collector rest while the accounting law holds among many.
func TestWorldCollectorOfManyGoroutines(t *testing.T) {
	before := debug.SetGCPercent(1)
	defer debug.SetGCPercent(before)
	eachValueLeavesOnce(t, fineClock)
}

func collections() uint32 {
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.NumGC
}

func runCollected(t *testing.T, steps int) {
	rng := rand.New(rand.NewPCG(uint64(steps), 4))
	bus := sessionmap.NewBus[int]()
	c := newChaos(t, rng.IntN, bus.Publish, sessionmap.WithSessionDeleted(bus), sessionmap.WithTTL(idle), sessionmap.WithMaxSize(chaosKeys/2), sessionmap.WithTombstones(time.Second))
	collected := make([]atomic.Bool, steps+1) // by number: a step makes one at the most
	var made atomic.Int64
	c.made = func(v *thing) {
		made.Add(1)
		runtime.AddCleanup(v, func(number int) { collected[number].Store(true) }, v.number)
	}
	for i := range steps {
		if c.step(); i%50 == 0 {
			runtime.GC()
		}
		for _, v := range c.m.All() {
			require.False(t, collected[v.number].Load(), "value %d is present, and was collected", v.number)
		}
	}
	c.rest()
	present := make(map[int]bool)
	for _, v := range c.m.All() {
		present[v.number] = true
	}
	for number := range int(made.Load()) { // the test's own time limit is the only one
		for !present[number] && !collected[number].Load() {
			runtime.GC()
		}
	}
	require.NoError(t, c.m.Close())
	for number := range int(made.Load()) {
		for !collected[number].Load() {
			runtime.GC()
		}
	}
	c.check()
}

// TestWorldLostEvents: when no event ever arrives, neither memory nor goroutines grow with the sessions that come and go.
func TestWorldLostEvents(t *testing.T) {
	total := 0
	for _, tc := range []struct {
		name string
		leak bool // 16 bytes a session, planted
		opts []sessionmap.Option
	}{
		{"size", false, []sessionmap.Option{sessionmap.WithMaxSize(1000), sessionmap.WithTTL(0), sessionmap.WithMaxLifetime(0)}},
		{"idle", false, []sessionmap.Option{sessionmap.WithMaxSize(0), sessionmap.WithTTL(idle)}},
		{"a leak that is found", true, []sessionmap.Option{sessionmap.WithMaxSize(1000)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sessions := 200_000
			if !tc.leak {
				sessions *= *faults
				total += sessions
			}
			synctest.Test(t, func(t *testing.T) {
				type link struct {
					next *link
					_    int64
				}
				var leaked *link
				opts := append(tc.opts, silent, sessionmap.WithSessionDeleted(sessionmap.NewBus[string]()), sessionmap.WithOnRemove(func(string, *agent, sessionmap.Cause) {
					if tc.leak {
						leaked = &link{next: leaked}
					}
				}))
				m := newMap[string, *agent](t, opts...)
				heap, goroutines := loseEvents(m, sessions)
				drift, e := driftOf(heap[len(heap)/2:])
				t.Logf("%d sessions: over the last half the heap went by %+.0f bytes, standard error %.0f; goroutines %v", sessions, drift, e, slices.Max(goroutines))
				grows := drift > 3*e && drift > 64<<10
				assert.Equal(t, tc.leak, grows, "the heap grows: %v", heap)
				assert.Less(t, slices.Max(goroutines), goroutines[0]+10, "the runtime's own may come and go")
				runtime.KeepAlive(leaked)
			})
		})
	}
	injected(t, "lost-events", total)
}

// loseEvents has sessions come and go, 1000 at a time, and returns what it measures at 20 points.
func loseEvents(m *sessionmap.RobustSessionMap[string, *agent], sessions int) (heap []float64, goroutines []int) {
	const points, together, atOnce = 20, 1000, 50
	next := 0
	for range points {
		for range sessions / points / atOnce {
			for range atOnce {
				id := "session-" + strconv.Itoa(1_000_000_000+next)
				next++
				m.Set(id, &agent{})
				m.Get(id)
			}
			time.Sleep(idle * atOnce / together)
		}
		synctest.Wait()
		goroutines = append(goroutines, runtime.NumGoroutine())
		heap = append(heap, float64(liveHeap()))
	}
	return heap, goroutines
}

// driftOf fits a straight line to values at equal distances, and returns by how much it rises from the first to the last,
// and the standard error of that.
// Source: N. R. Draper, H. Smith, Applied Regression Analysis, chapter 1.
func driftOf(values []float64) (drift, standardError float64) {
	n := float64(len(values))
	var meanX, meanY float64
	for x, y := range values {
		meanX += float64(x) / n
		meanY += y / n
	}
	var xx, xy, rest float64
	for x, y := range values {
		xx += (float64(x) - meanX) * (float64(x) - meanX)
		xy += (float64(x) - meanX) * (y - meanY)
	}
	slope := xy / xx
	for x, y := range values {
		d := y - meanY - slope*(float64(x)-meanX)
		rest += d * d
	}
	return slope * (n - 1), math.Sqrt(rest/(n-2)/xx) * (n - 1)
}

// collidingKeys are n keys that differ and have the same hash, in all bits: values of struct types that differ in the name of
// a field only, and of an interface type the hash is that of the value within.
func collidingKeys(n int) (keys []any) {
	for i := range n {
		field := reflect.StructField{Name: "F" + strconv.Itoa(i), Type: reflect.TypeFor[int]()}
		keys = append(keys, reflect.Zero(reflect.StructOf([]reflect.StructField{field})).Interface())
	}
	return keys
}

// TestWorldCollisions: keys of the same hash are found, renamed, deleted, evicted and iterated over as all others are.
func TestWorldCollisions(t *testing.T) {
	n := 2000 + 100**faults
	keys := collidingKeys(n)
	number := make([]int, n) // what is set under each, in a slice: Go's own maps are no good at colliding keys
	left := map[sessionmap.Cause]int{}
	m := newMap[any, int](t, sessionmap.WithMaxSize(n), sessionmap.WithMaxLifetime(time.Hour), sessionmap.WithOnRemove(func(_ any, value int, cause sessionmap.Cause) {
		left[cause]++
		if cause != sessionmap.Rejected {
			number[value%n] = 0
		}
	}))
	require.True(t, sessionmap.SameHash(m, keys))
	set := func(i, value int) {
		require.True(t, m.Set(keys[i], value))
		number[i] = value
	}
	check := func() {
		t.Helper()
		present := 0
		for i, key := range keys {
			value, ok := m.Peek(key)
			require.Equal(t, number[i] != 0, ok, "key %d", i)
			require.Equal(t, number[i], value)
			if ok {
				present++
			}
		}
		require.Equal(t, present, m.Len())
		met := 0
		for _, value := range m.All() {
			require.Equal(t, value, number[value%n])
			met++
		}
		require.Equal(t, present, met)
		require.NoError(t, sessionmap.CheckInvariants(m))
	}
	for i := range keys {
		set(i, n+i)
	}
	check()
	for i := range keys {
		if i%3 == 0 {
			require.True(t, m.Delete(keys[i]))
		}
	}
	check()
	for i := range keys {
		set(i, 2*n+i) // again, or in place of the old
	}
	check()
	m.Get(keys[0])
	require.True(t, m.Set("another", 1))
	require.Zero(t, number[1], "the oldest gives way, by whatever hash")
	require.True(t, m.Delete("another"))
	for i := 2; i < n; i += 2 {
		lease, ok := m.Acquire(keys[i])
		require.True(t, ok)
		lease.Release()
		require.NoError(t, m.Rename(keys[i], keys[1]))
		require.NoError(t, m.Rename(keys[1], keys[i]))
	}
	check()
	require.Equal(t, n/2, m.DeleteFunc(func(_ any, value int) bool { return value%n%2 == 0 }))
	check()
	m.Clear()
	check()
	sum := 0
	for _, n := range left {
		sum += n
	}
	require.EqualValues(t, m.Stats().Sets, sum, "what was put in has left: %v", left)
	injected(t, "collisions", n)
}

// TestWorldMassRemoval removes all entries of a large map at once, while others read and iterate.
func TestWorldMassRemoval(t *testing.T) {
	n := min(100_000**faults, 1_000_000)
	ways := map[string]func(m *sessionmap.RobustSessionMap[int, int]){
		"Clear": func(m *sessionmap.RobustSessionMap[int, int]) { assert.Equal(t, n, m.Clear()) },
		"Close": func(m *sessionmap.RobustSessionMap[int, int]) { assert.NoError(t, m.Close()) },
		"DeleteFunc": func(m *sessionmap.RobustSessionMap[int, int]) {
			assert.Equal(t, n, m.DeleteFunc(func(int, int) bool { return true }))
		},
	}
	for name, remove := range ways {
		t.Run(name, func(t *testing.T) {
			left := make([]atomic.Int32, n)
			m := newMap[int, int](t, sessionmap.WithMaxSize(n), sessionmap.WithOnRemove(func(key, _ int, _ sessionmap.Cause) { left[key].Add(1) }))
			for key := range n {
				m.Set(key, -key)
			}
			var gone, done atomic.Bool
			var reads atomic.Int64
			var wg sync.WaitGroup
			var late [2]atomic.Int64 // looks of each reader that began after all were gone
			look := func(reader int, visit func(yield func(key, value int) bool)) {
				for !done.Load() {
					before := gone.Load()
					for key, value := range visit {
						if reads.Add(1); value != -key || before {
							t.Errorf("key %d has the value %d; all were gone: %v", key, value, before)
							return
						}
					}
					if before {
						late[reader].Add(1)
					}
				}
			}
			wg.Go(func() { look(0, m.All()) })
			wg.Go(func() {
				look(1, func(yield func(key, value int) bool) {
					key := rand.IntN(n)
					if value, ok := m.Get(key); ok {
						yield(key, value)
					}
				})
			})
			for reads.Load() < 1000 {
				runtime.Gosched()
			}
			remove(m)
			gone.Store(true)
			for !t.Failed() && (late[0].Load() == 0 || late[1].Load() == 0) {
				runtime.Gosched()
			}
			done.Store(true)
			wg.Wait()
			assert.Zero(t, m.Len())
			for key := range left {
				require.Equal(t, int32(1), left[key].Load(), "key %d", key)
			}
			t.Logf("%d found meanwhile, %d and %d looks afterwards", reads.Load(), late[0].Load(), late[1].Load())
		})
	}
	injected(t, "mass-removal", n*len(ways))
}
