package sessionmap_test

import (
	"log/slog"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// collect lets the fake heap end a collection that finds so much alive, and the map look at it.
func collect(h *sessionmap.Heap, live uint64) {
	h.Cycles.Add(1)
	h.Live.Store(live)
	time.Sleep(time.Second)
	synctest.Wait()
}

// pressed makes a map with the sessions 0 to n-1, accessed in this order, on a heap with a limit of 1000.
func pressed(t *testing.T, n, keep int, more ...sessionmap.Option) (*sessionmap.RobustSessionMap[int, int], *sessionmap.Heap) {
	var h sessionmap.Heap
	h.Limit.Store(1000)
	m := newMap[int, int](t, append(more, sessionmap.WithTTL(idle), sessionmap.WithMaxSize(0),
		sessionmap.WithMemoryPressure(0.8, 0.5, keep), sessionmap.WithHeap(&h))...)
	for i := range n {
		m.Set(i, i)
		time.Sleep(time.Microsecond)
	}
	return m, &h
}

// TestPressureOnTheRealHeap: with a memory limit that a few sessions reach, some leave, and each value once.
func TestPressureOnTheRealHeap(t *testing.T) {
	const size, most, keep = 64 << 10, 2000, 10
	runtime.GC()
	runtime.GC() // and what pools held
	var now runtime.MemStats
	runtime.ReadMemStats(&now)
	before := debug.SetMemoryLimit(int64(now.HeapAlloc) + most*size/2)
	defer debug.SetMemoryLimit(before)
	var pressed, left atomic.Int64
	m := newMap[int, []byte](t, sessionmap.WithMaxSize(most), sessionmap.WithMemoryPressure(0.7, 0.5, keep),
		sessionmap.WithOnRemove(func(_ int, _ []byte, cause sessionmap.Cause) {
			left.Add(1)
			if cause == sessionmap.Pressure {
				pressed.Add(1)
			}
		}))
	sets := 0
	for ; pressed.Load() == 0; sets++ { // the test's own time limit is the only one
		require.True(t, m.Set(sets, make([]byte, size)))
		require.GreaterOrEqual(t, m.Len(), min(sets, keep))
	}
	require.NoError(t, m.Close())
	assert.EqualValues(t, sets, left.Load())
	assert.EqualValues(t, pressed.Load(), m.Stats().Removals[sessionmap.Pressure])
}

// TestPressure: from high on, each second collection is followed by one step, by the share that the heap is above low, of the
// least recently accessed; down to low, and not again until it is above high.
func TestPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var left removals
		m, h := pressed(t, 1000, 0, left.option())
		collect(h, 800)
		assert.Equal(t, 1000, m.Len(), "not above high")
		collect(h, 1000)
		assert.Equal(t, 500, m.Len(), "half of it is above low")
		for i, r := range left.take() {
			require.Equal(t, removal{i, i, sessionmap.Pressure}, r)
		}
		collect(h, 1000)
		assert.Equal(t, 500, m.Len(), "this collection may have begun before the step")
		time.Sleep(time.Minute)
		assert.Equal(t, 500, m.Len(), "nothing new is known")
		collect(h, 625)
		assert.Equal(t, 400, m.Len(), "not down to low")
		collect(h, 999)
		collect(h, 500)
		assert.Equal(t, 400, m.Len(), "down to low")
		collect(h, 700)
		collect(h, 700)
		assert.Equal(t, 400, m.Len(), "not above high")
		collect(h, 1000)
		assert.Equal(t, 200, m.Len())
		assert.EqualValues(t, 800, m.Stats().Removals[sessionmap.Pressure])
		assert.InDelta(t, 1, m.Stats().BackstopShare(), 0)
	})
}

// TestPressureGoexit: a callback that ends its goroutine does not make every look a step.
func TestPressureGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, h := pressed(t, 100, 0, sessionmap.WithOnRemove(func(int, int, sessionmap.Cause) { runtime.Goexit() }))
		collect(h, 1000)
		time.Sleep(time.Minute)
		assert.Equal(t, 50, m.Len(), "nothing new is known")
		collect(h, 1000)
		collect(h, 1000)
		assert.Equal(t, 25, m.Len())
	})
}

func TestPressureKeeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, h := pressed(t, 100, 90)
		for range 5 {
			collect(h, 1000)
			collect(h, 1000)
		}
		assert.Equal(t, 90, m.Len())
		m.Clear()
		for i := range 10 {
			m.Set(i, i)
		}
		collect(h, 1000)
		collect(h, 1000)
		assert.Equal(t, 10, m.Len())
	})
}

// TestPressureSparesLeased: of a map of leased sessions none leaves, and looking for others ends.
func TestPressureSparesLeased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, h := pressed(t, 10, 0)
		for i := range 8 {
			lease, _ := m.Acquire(i)
			defer lease.Release()
		}
		for range 5 {
			collect(h, 1000)
			collect(h, 1000)
		}
		assert.Equal(t, 8, m.Len())
		assert.Equal(t, 8, m.Stats().Leases)
	})
}

// TestPressureExpiredFirst: those that have idled out are reported as that.
func TestPressureExpiredFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var left removals
		m, h := pressed(t, 0, 0, left.option(), sessionmap.WithSweepInterval(100*idle))
		m.SetWithTTL(0, 0, time.Second)
		time.Sleep(time.Second)
		synctest.Wait()
		require.Len(t, left.take(), 1, "a sweep, and for long the only one")
		m.SetWithTTL(1, 1, time.Second)
		m.Set(2, 2)
		time.Sleep(time.Minute)
		m.Touch(2)
		collect(h, 1000)
		assert.Equal(t, []removal{{1, 1, sessionmap.Idle}}, left.take())
	})
}

// TestPressureInBytes: marks above 1 need no limit, and one that changes is followed.
func TestPressureInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h sessionmap.Heap
		m := newMap[int, int](t, sessionmap.WithMemoryPressure(4000, 2000, 0), sessionmap.WithHeap(&h))
		shares, hShares := pressed(t, 100, 0)
		for i := range 100 {
			m.Set(i, i)
		}
		collect(&h, 4000)
		assert.Equal(t, 100, m.Len())
		collect(&h, 8000)
		assert.Equal(t, 25, m.Len())

		hShares.Limit.Store(10_000)
		collect(hShares, 4000)
		assert.Equal(t, 100, shares.Len())
		hShares.Limit.Store(2000)
		collect(hShares, 4000)
		assert.Equal(t, 25, shares.Len())
	})
}

// TestPressureWithoutLimit: a share of nothing is nothing, and the log says so once.
func TestPressureWithoutLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		m, h := pressed(t, 10, 0, sessionmap.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		h.Limit.Store(0)
		for range 5 {
			collect(h, 1<<60)
		}
		assert.Equal(t, 10, m.Len())
		assert.Equal(t, 1, strings.Count(log.String(), "no cgroup limit"))
	})
}

// TestPressureLooks: at once where the heap is near high, else every second; and not at all at an empty map.
func TestPressureLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, h := pressed(t, 0, 0)
		assert.False(t, sessionmap.Looking(m))
		m.Set(1, 1)
		m.Set(2, 2)
		looks := func(d time.Duration) bool {
			h.Cycles.Add(10)
			time.Sleep(d)
			synctest.Wait()
			return m.Len() < 2
		}
		time.Sleep(time.Second)
		h.Live.Store(500) // more than half of high
		time.Sleep(1350 * time.Millisecond)
		h.Live.Store(1000)
		assert.True(t, looks(100*time.Millisecond))
		m.Clear()
		time.Sleep(time.Second)
		synctest.Wait()
		assert.False(t, sessionmap.Looking(m))
	})
}

// TestPressureLeavesLateCallbackAlone: Close waits for a step that is under way.
func TestPressureClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var told []sessionmap.Cause
		m, h := pressed(t, 2, 0, sessionmap.WithOnRemove(func(_, _ int, cause sessionmap.Cause) {
			if cause == sessionmap.Pressure {
				<-release
			}
			told = append(told, cause)
		}))
		collect(h, 1000)
		closed := false
		go func() { _ = m.Close(); closed = true }()
		synctest.Wait()
		assert.False(t, closed)
		close(release)
		synctest.Wait()
		assert.True(t, closed)
		slices.Sort(told)
		assert.Equal(t, []sessionmap.Cause{sessionmap.Pressure, sessionmap.Closed}, told)
	})
}

// TestPressureEndsWholeSessions: of a group.
func TestPressureGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h sessionmap.Heap
		var left removals
		g := newGroup(t, sessionmap.WithMemoryPressure(2000, 1000, 1), sessionmap.WithHeap(&h))
		a := sessionmap.NewAttribute[int](g, "a", left.option())
		for i := range 4 {
			a.Set(i, i)
			time.Sleep(time.Microsecond)
		}
		collect(&h, 4000)
		assert.Equal(t, []removal{{0, 0, sessionmap.Pressure}, {1, 1, sessionmap.Pressure}, {2, 2, sessionmap.Pressure}}, left.take())
		assert.Equal(t, 1, g.Len())
	})
}

func TestWithMemoryPressureRefuses(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		high, low float64
		keep      int
		want      string
	}{
		{0.5, 0.5, 0, "WithMemoryPressure([0.5 0.5])"},
		{0.5, 0.8, 0, "want high above low"},
		{0.5, 0, 0, "want high above low"},
		{nan, 0.5, 0, "want high above low"},
		{0.5, nan, 0, "want high above low"},
		{math.Inf(1), 2, 0, "want high above low"},
		{2000, 0.5, 0, "two shares of the limit, or two numbers of bytes"},
		{0.5, 0.4, -1, "WithMemoryPressure(-1): want 0 sessions"},
	} {
		_, err := sessionmap.New[int, int](sessionmap.WithMemoryPressure(c.high, c.low, c.keep))
		assert.ErrorContains(t, err, c.want)
	}
}

// TestReadHeap: the figures are the process's.
func TestReadHeap(t *testing.T) {
	kept := make([]byte, 32<<20)
	runtime.GC()
	cycles, live, limit := sessionmap.ReadHeap()
	assert.Greater(t, live, uint64(32<<20))
	assert.Less(t, limit, uint64(math.MaxInt64), "no limit is 0")
	runtime.KeepAlive(kept)
	runtime.GC()
	later, less, _ := sessionmap.ReadHeap()
	assert.Greater(t, later, cycles)
	assert.Less(t, less, live)

	const gomemlimit = 1 << 40
	before := debug.SetMemoryLimit(gomemlimit)
	defer debug.SetMemoryLimit(before)
	_, _, limit = sessionmap.ReadHeap()
	assert.Equal(t, uint64(gomemlimit), limit)
}

func TestCgroupLimit(t *testing.T) {
	files := func(pairs ...string) fstest.MapFS {
		fs := fstest.MapFS{}
		for i := 0; i < len(pairs); i += 2 {
			fs[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
		}
		return fs
	}
	for name, c := range map[string]struct {
		fs   fstest.MapFS
		want uint64
	}{
		"no Linux":         {files(), 0},
		"v2":               {files("proc/self/cgroup", "0::/\n", "sys/fs/cgroup/memory.max", "1000\n"), 1000},
		"v2, no limit":     {files("proc/self/cgroup", "0::/\n", "sys/fs/cgroup/memory.max", "max\n"), 0},
		"v2, in a group":   {files("proc/self/cgroup", "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max", "2000\n", "sys/fs/cgroup/a/memory.max", "max\n"), 2000},
		"v2, of the outer": {files("proc/self/cgroup", "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max", "2000\n", "sys/fs/cgroup/a/memory.max", "1500\n"), 1500},
		"v1":               {files("proc/self/cgroup", "5:cpu,cpuacct:/\n4:memory:/a\n", "sys/fs/cgroup/memory/a/memory.limit_in_bytes", "3000\n"), 3000},
		"v1, no limit":     {files("proc/self/cgroup", "4:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"), 0},
		"nonsense":         {files("proc/self/cgroup", "what\n", "sys/fs/cgroup/memory.max", "1000\n"), 0},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.want, sessionmap.CgroupLimit(c.fs)) })
	}
}
