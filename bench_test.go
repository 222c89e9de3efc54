package sessionmap_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/exp/stats"

	"github.com/sessionmap/sessionmap"
)

// The benchmarks are named op=…/len=…/goroutines=…, as benchstat splits them. Keys are session ids of 36
// bytes, values are pointers. Under -short the largest size is left out.

type agent struct{ n int }

var (
	benchSizes      = []int{1_000, 100_000, 1_000_000}
	benchGoroutines = []int{1, 2, 16}
)

// sessionIDs returns n keys, made once.
var sessionIDs = func() func(n int) []string {
	var ids []string
	return func(n int) []string {
		for i := len(ids); i < n; i++ {
			ids = append(ids, fmt.Sprintf("%08x-0000-4000-8000-%012x", rand.Uint32(), i))
		}
		return ids[:n]
	}
}()

func filled(n int, opts ...sessionmap.Option) *sessionmap.RobustSessionMap[string, *agent] {
	m := sessionmap.MustNew[string, *agent](append([]sessionmap.Option{sessionmap.WithMaxSize(n)}, opts...)...)
	for i, id := range sessionIDs(n) {
		m.Set(id, &agent{i})
	}
	return m
}

// perOp runs op in b from some goroutines. Each has a stream of random numbers of its own.
func perOp(b *testing.B, goroutines int, op func(random uint64)) {
	b.ReportAllocs()
	if goroutines == 1 {
		rng := rand.New(rand.NewPCG(1, 1))
		for b.Loop() {
			op(rng.Uint64())
		}
		return
	}
	var wg sync.WaitGroup
	for g := range goroutines { // b.Loop is for one goroutine
		n := b.N / goroutines
		if g < b.N%goroutines {
			n++
		}
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 1))
			for range n {
				op(rng.Uint64())
			}
		})
	}
	wg.Wait()
}

// BenchmarkSession times what sessions need beyond a map, beside a Get of one.
func BenchmarkSession(b *testing.B) {
	for _, n := range benchSizes[:2] {
		ids := sessionIDs(n)
		m := filled(n)
		g := sessionmap.MustNewGroup[string](sessionmap.WithMaxSize(n))
		agents := sessionmap.NewAttribute[*agent](g, "agent")
		indexed := filled(n)
		sessionmap.NewIndex(indexed, func(_ string, a *agent) int { return 1 + a.n%(n/4) })
		watched := sessionmap.MustNew[string, *agent](sessionmap.WithMaxSize(0), sessionmap.WithMemoryPressure(0.7, 0.5, 0),
			sessionmap.WithMaxCost(1<<40, func(_ string, a *agent) int64 { return int64(unsafe.Sizeof(*a)) }),
			sessionmap.WithAlerts(sessionmap.AlertRules{}, func(sessionmap.Alert) {}))
		for i, id := range ids {
			agents.Set(id, &agent{i})
			watched.Set(id, &agent{i})
		}
		a := &agent{1}
		for _, bench := range []struct {
			op string
			do func(id string)
		}{
			{"get", func(id string) { m.Get(id) }},
			{"getattribute", func(id string) { agents.Get(id) }},
			{"setattribute", func(id string) { agents.Set(id, a) }},
			{"lease", func(id string) {
				lease, _ := m.Acquire(id)
				lease.Release()
			}},
			{"rename", func(id string) {
				if m.Rename(id, id+"'") == nil {
					_ = m.Rename(id+"'", id)
				}
			}},
			{"overwrite", func(id string) { m.Set(id, a) }},
			{"overwriteindexed", func(id string) { indexed.Set(id, a) }},
			{"getwatched", func(id string) { watched.Get(id) }},
			{"overwritewatched", func(id string) { watched.Set(id, a) }},
		} {
			for _, goroutines := range benchGoroutines[:2] {
				b.Run(fmt.Sprintf("op=%s/len=%d/goroutines=%d", bench.op, n, goroutines), func(b *testing.B) {
					perOp(b, goroutines, func(r uint64) { bench.do(ids[r%uint64(n)]) })
				})
			}
		}
		_, _, _ = m.Close(), g.Close(), indexed.Close()
	}
}

// BenchmarkMap times the operations of the map. The random number chooses a key uniformly, the worst case for the caches.
func BenchmarkMap(b *testing.B) {
	type setup func(n int) (op func(random uint64), m *sessionmap.RobustSessionMap[string, *agent])
	for _, bench := range []struct {
		op    string
		setup setup
	}{
		{"get", func(n int) (func(uint64), *sessionmap.RobustSessionMap[string, *agent]) {
			m, ids := filled(n), sessionIDs(n)
			return func(r uint64) {
				if _, ok := m.Get(ids[r%uint64(n)]); !ok {
					panic("miss")
				}
			}, m
		}},
		{"getmiss", func(n int) (func(uint64), *sessionmap.RobustSessionMap[string, *agent]) {
			ids := sessionIDs(2 * n)
			m := filled(n)
			return func(r uint64) {
				if _, ok := m.Get(ids[uint64(n)+r%uint64(n)]); ok {
					panic("hit")
				}
			}, m
		}},
		{"overwrite", func(n int) (func(uint64), *sessionmap.RobustSessionMap[string, *agent]) {
			m, ids, a := filled(n), sessionIDs(n), &agent{}
			return func(r uint64) { m.Set(ids[r%uint64(n)], a) }, m
		}},
		{"evict", func(n int) (func(uint64), *sessionmap.RobustSessionMap[string, *agent]) {
			ids, a := sessionIDs(4*n), &agent{}
			m := filled(n)
			return func(r uint64) { m.Set(ids[r%uint64(4*n)], a) }, m // three in four are new
		}},
		{"insertdelete", func(n int) (func(uint64), *sessionmap.RobustSessionMap[string, *agent]) {
			ids, a := sessionIDs(2*n), &agent{}
			m := filled(n, sessionmap.WithMaxSize(0))
			return func(r uint64) {
				if id := ids[r%uint64(2*n)]; !m.Delete(id) {
					m.Set(id, a)
				}
			}, m
		}},
		{"mixed90", func(n int) (func(uint64), *sessionmap.RobustSessionMap[string, *agent]) {
			ids, a := sessionIDs(2*n), &agent{}
			m := filled(n)
			return func(r uint64) {
				// Reads go to the younger half of the ids, where most are present; a tenth are writes to any.
				if r>>60 == 0 || r>>60 == 1 && r>>59&1 == 0 {
					m.Set(ids[r%uint64(2*n)], a)
				} else {
					m.Get(ids[r%uint64(n)])
				}
			}, m
		}},
	} {
		for _, n := range benchSizes {
			if testing.Short() && n > 100_000 {
				continue
			}
			var op func(uint64)
			var m *sessionmap.RobustSessionMap[string, *agent]
			for _, goroutines := range benchGoroutines {
				b.Run(fmt.Sprintf("op=%s/len=%d/goroutines=%d", bench.op, n, goroutines), func(b *testing.B) {
					if m == nil {
						op, m = bench.setup(n)
						b.ResetTimer()
					}
					perOp(b, goroutines, op)
				})
			}
			if m != nil {
				m.Close()
			}
		}
	}
}

// BenchmarkSweep times the removal of expired entries, an op being one entry.
func BenchmarkSweep(b *testing.B) {
	for _, n := range benchSizes {
		if testing.Short() && n > 100_000 {
			continue
		}
		b.Run(fmt.Sprintf("op=sweep/len=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			var took time.Duration
			rounds := 0
			for b.Loop() {
				m := expiredMap(n)
				start := time.Now()
				if removed := m.Sweep(); removed != n {
					b.Fatalf("swept %d of %d", removed, n)
				}
				took += time.Since(start)
				rounds++
				m.Close()
			}
			b.ReportMetric(float64(took.Nanoseconds())/float64(rounds*n), "ns/entry")
		})
	}
}

// expiredMap returns a map of n entries that are all expired and not yet swept.
func expiredMap(n int) *sessionmap.RobustSessionMap[string, *agent] {
	m := filled(n, sessionmap.WithMaxSize(0), sessionmap.WithTTL(time.Hour))
	sessionmap.ExpireAll(m)
	return m
}

// BenchmarkBytesPerEntry tells what an entry costs on the heap, its key's and value's own bytes not counted.
func BenchmarkBytesPerEntry(b *testing.B) {
	for _, n := range benchSizes {
		if testing.Short() && n > 100_000 {
			continue
		}
		b.Run(fmt.Sprintf("len=%d", n), func(b *testing.B) {
			ids, a := sessionIDs(n), &agent{}
			for b.Loop() {
				before := liveHeap()
				m := sessionmap.MustNew[string, *agent](sessionmap.WithMaxSize(n))
				for _, id := range ids {
					m.Set(id, a)
				}
				b.ReportMetric(float64(liveHeap()-before)/float64(n), "B/entry")
				m.Close()
			}
		})
	}
}

func liveHeap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // the first leaves what the previous cycle had found
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkGetDuringSweep gives the quantiles of Get's latency while as many entries as there are expire at once.
func BenchmarkGetDuringSweep(b *testing.B) {
	for _, n := range benchSizes {
		if testing.Short() && n > 100_000 {
			continue
		}
		b.Run(fmt.Sprintf("op=get/len=%d", n), func(b *testing.B) {
			var nanos []float64
			for b.Loop() {
				m := expiredMap(n)
				m.Set("hot", &agent{})
				done := make(chan struct{})
				go func() { m.Sweep(); close(done) }()
				for sweeping := true; sweeping; {
					select {
					case <-done:
						sweeping = false
					default:
					}
					start := time.Now()
					m.Get("hot")
					nanos = append(nanos, float64(time.Since(start)))
				}
				m.Close()
			}
			for i, q := range stats.Quantiles(nanos, 0.5, 0.99, 0.999, 1) {
				b.ReportMetric(q, []string{"p50-ns", "p99-ns", "p99.9-ns", "max-ns"}[i])
			}
		})
	}
}
