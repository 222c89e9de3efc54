package leakcheck_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
	"github.com/sessionmap/sessionmap/leakcheck"
)

// The long form: go test -v ./leakcheck -run TestRounds -timeout 1h -args -leakcheck.clean=200 -leakcheck.planted=50
var (
	cleanRuns   = flag.Int("leakcheck.clean", 1, "how often each clean program is checked")
	plantedRuns = flag.Int("leakcheck.planted", 1, "how often each leak is checked")
)

const kilobyte = 1024

// A recorder is a test that is told what a check has to say.
type recorder struct {
	testing.TB
	errors, fatals []string
}

func (r *recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.fatals = append(r.fatals, fmt.Sprintf(format, args...))
}

// A program is a scenario. begin makes what it works with, and ends it when the test ends.
type program struct {
	name  string
	begin func(tb testing.TB) (round func(int))
	leaks string // the function that the report names
}

// Each leak is 1 KB a round, and has a function of its own.

func plantMapEntry(m map[int]*[kilobyte]byte, round int) { m[round] = new([kilobyte]byte) }

func plantGoroutine(stop <-chan struct{}) {
	held := make([]byte, kilobyte)
	go func() {
		<-stop
		runtime.KeepAlive(held)
	}()
}

func plantTimer() *time.Timer {
	held := make([]byte, kilobyte)
	return time.AfterFunc(time.Hour, func() { runtime.KeepAlive(held) })
}

func plantClosure(hooks *[]func()) {
	held := make([]byte, kilobyte)
	*hooks = append(*hooks, func() { runtime.KeepAlive(held) })
}

func plantSlice(ids *[][]byte) {
	message := make([]byte, kilobyte)
	*ids = append(*ids, message[:16])
}

// satellites has a session's history in a second map, which its end forgets.
type satellites struct {
	sessions  map[int]*[kilobyte]byte
	histories map[int]*[kilobyte]byte
}

func (s *satellites) begin(id int) {
	s.sessions[id] = new([kilobyte]byte)
	s.remember(id)
}

func (s *satellites) remember(id int) { s.histories[id] = new([kilobyte]byte) }
func (s *satellites) end(id int)      { delete(s.sessions, id) }

type node struct{ next *node }

func plantSmallObjects(list **node) {
	for range 10 {
		*list = &node{*list}
	}
}

var planted = []program{
	{"map entry", func(testing.TB) func(int) {
		m := map[int]*[kilobyte]byte{}
		return func(round int) { plantMapEntry(m, round) }
	}, "plantMapEntry"},
	{"goroutine", func(tb testing.TB) func(int) {
		stop := make(chan struct{})
		tb.Cleanup(func() { close(stop) })
		return func(int) { plantGoroutine(stop) }
	}, "plantGoroutine"},
	{"timer", func(tb testing.TB) func(int) {
		var timers []weak.Pointer[time.Timer] // nothing but the clock is to hold them
		tb.Cleanup(func() {
			for _, timer := range timers {
				timer.Value().Stop()
			}
		})
		return func(int) { timers = append(timers, weak.Make(plantTimer())) }
	}, "plantTimer"},
	{"closure", func(testing.TB) func(int) {
		var hooks []func()
		return func(int) { plantClosure(&hooks) }
	}, "plantClosure"},
	{"slice that keeps its array", func(testing.TB) func(int) {
		var ids [][]byte
		return func(int) { plantSlice(&ids) }
	}, "plantSlice"},
	{"forgotten satellite map", func(testing.TB) func(int) {
		s := satellites{map[int]*[kilobyte]byte{}, map[int]*[kilobyte]byte{}}
		return func(round int) { s.begin(round); s.end(round) }
	}, "(*satellites).remember"},
	{"every second round", func(testing.TB) func(int) {
		m := map[int]*[kilobyte]byte{}
		return func(round int) {
			if round%2 == 0 {
				plantMapEntry(m, round)
				plantMapEntry(m, -round-1)
			}
		}
	}, "plantMapEntry"},
	{"among much garbage", func(testing.TB) func(int) {
		m := map[int]*[kilobyte]byte{}
		return func(round int) {
			for range kilobyte {
				runtime.KeepAlive(strings.Repeat("x", kilobyte))
			}
			plantMapEntry(m, round)
		}
	}, "plantMapEntry"},
	{"among noise", func(testing.TB) func(int) {
		m := map[int]*[kilobyte]byte{}
		var noise []byte
		return func(round int) {
			noise = make([]byte, rand.IntN(2*kilobyte))
			plantMapEntry(m, round)
			runtime.KeepAlive(noise)
		}
	}, "plantMapEntry"},
	{"small objects", func(testing.TB) func(int) {
		var list *node
		return func(int) { plantSmallObjects(&list) }
	}, "plantSmallObjects"},
}

// allocate makes half a megabyte of garbage.
func allocate() {
	for i := range 100 {
		var decoded map[string]any
		encoded, _ := json.Marshal(map[string]any{"id": i, "text": strings.Repeat("x", kilobyte), "list": []int{1, 2, 3}})
		_ = json.Unmarshal(encoded, &decoded)
	}
}

var clean = []program{
	{name: "nothing", begin: func(testing.TB) func(int) { return func(int) {} }},
	{name: "garbage", begin: func(testing.TB) func(int) { return func(int) { allocate() } }},
	{name: "pool", begin: func(testing.TB) func(int) {
		pool := sync.Pool{New: func() any { return new(bytes.Buffer) }}
		return func(int) {
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for range 100 {
						b := pool.Get().(*bytes.Buffer)
						b.Reset()
						b.Write(make([]byte, rand.IntN(10*kilobyte)))
						pool.Put(b)
					}
				})
			}
			wg.Wait()
		}
	}},
	{name: "map that grows and shrinks", begin: func(testing.TB) func(int) {
		m := map[int]*[kilobyte]byte{}
		return func(int) {
			size := rand.IntN(1000)
			for i := range size {
				m[i] = new([kilobyte]byte)
			}
			for i := size; i < 1000; i++ {
				delete(m, i)
			}
		}
	}},
	{name: "map that rises and falls slowly", begin: func(testing.TB) func(int) {
		m := map[int]*[kilobyte]byte{}
		return func(round int) {
			if round/20%2 == 0 {
				m[round%20] = new([kilobyte]byte)
			} else {
				delete(m, round%20)
			}
		}
	}},
	{name: "map that others come to and go from", begin: func(testing.TB) func(int) {
		m := map[int]*[kilobyte]byte{}
		for i := range 500 {
			m[i] = new([kilobyte]byte)
		}
		return func(int) {
			for range 250 {
				if i := rand.IntN(1000); m[i] == nil {
					m[i] = new([kilobyte]byte)
				} else {
					delete(m, i)
				}
			}
		}
	}},
	{name: "goroutines that end", begin: func(testing.TB) func(int) {
		return func(int) {
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(func() { runtime.KeepAlive(make([]byte, kilobyte)) })
			}
			wg.Wait()
		}
	}},
	{name: "goroutines that end later", begin: func(testing.TB) func(int) {
		return func(int) {
			for range 10 {
				go func() { time.Sleep(time.Duration(rand.IntN(int(20 * time.Millisecond)))) }()
			}
		}
	}},
	{name: "goroutines and timers that end much later", begin: func(testing.TB) func(int) {
		return func(int) {
			held := make([]byte, kilobyte)
			time.AfterFunc(200*time.Millisecond, func() { runtime.KeepAlive(held) })
			go time.Sleep(200 * time.Millisecond)
		}
	}},
	{name: "timers that are stopped", begin: func(testing.TB) func(int) {
		return func(int) { plantTimer().Stop() }
	}},
	{name: "finalizers and cleanups", begin: func(testing.TB) func(int) {
		type node struct {
			next any
			_    [kilobyte]byte
		}
		return func(int) {
			for range 10 {
				inner := &node{}
				runtime.SetFinalizer(inner, func(*node) {})
				outer := &node{next: inner}
				runtime.SetFinalizer(outer, func(*node) {})
				runtime.AddCleanup(&node{}, func(int) {}, 1)
			}
		}
	}},
	{name: "bounded session map", begin: func(tb testing.TB) func(int) {
		m := sessionmap.MustNew[int, []byte](sessionmap.WithMaxSize(50))
		tb.Cleanup(func() { m.Close() })
		return func(round int) {
			for i := range 20 {
				m.Set(round*20+i, make([]byte, kilobyte))
			}
		}
	}},
	{name: "session map that is emptied", begin: func(tb testing.TB) func(int) {
		m := sessionmap.MustNew[int, []byte]()
		tb.Cleanup(func() { m.Close() })
		return func(round int) {
			for i := range 20 {
				m.Set(round*20+i, make([]byte, kilobyte))
			}
			for i := range 20 {
				m.Delete(round*20 + i)
			}
		}
	}},
	{name: "session maps that are closed", begin: func(testing.TB) func(int) {
		return func(int) {
			m := sessionmap.MustNew[int, int]()
			m.Set(1, 1)
			m.Close()
		}
	}},
	{name: "session maps that are dropped", begin: func(testing.TB) func(int) {
		return func(int) { sessionmap.MustNew[int, int]().Set(1, 1) }
	}},
	{name: "cache that fills up", begin: func(testing.TB) func(int) {
		const bound = 12 // rounds, the warm-up among them
		cache := map[int]*[kilobyte]byte{}
		return func(round int) { cache[round%bound] = new([kilobyte]byte) }
	}},
	{name: "cache that fills up in all rounds", begin: func(testing.TB) func(int) {
		const bound = 3 + 20 + 9
		cache := map[int]*[kilobyte]byte{}
		return func(round int) { cache[round%bound] = new([kilobyte]byte) }
	}},
	{name: "ring", begin: func(testing.TB) func(int) {
		var ring []*[kilobyte]byte
		return func(int) {
			ring = append(ring, new([kilobyte]byte))
			if len(ring) > 10 {
				ring = ring[1:]
			}
		}
	}},
	{name: "bubble", begin: func(tb testing.TB) func(int) {
		t, ok := tb.(*recorder).TB.(*testing.T)
		require.True(tb, ok)
		return func(int) {
			synctest.Test(t, func(*testing.T) {
				m := sessionmap.MustNew[int, int](sessionmap.WithTTL(time.Minute))
				defer m.Close()
				m.Set(1, 1)
				time.Sleep(time.Hour)
			})
		}
	}},
}

func TestRoundsFindsLeaks(t *testing.T) {
	found := 0
	for _, p := range planted {
		t.Run(p.name, func(t *testing.T) {
			for range *plantedRuns {
				t.Run("", func(t *testing.T) {
					r := &recorder{TB: t}
					leakcheck.Rounds(r, p.begin(r))
					assert.Empty(t, r.fatals)
					if assert.Len(t, r.errors, 1) && assert.Contains(t, r.errors[0], p.leaks) {
						found++
					}
				})
			}
		})
	}
	t.Logf("found=%d planted=%d", found, *plantedRuns*len(planted))
}

func TestRoundsPassesCleanPrograms(t *testing.T) {
	passed := 0
	for _, p := range clean {
		t.Run(p.name, func(t *testing.T) {
			for range *cleanRuns {
				t.Run("", func(t *testing.T) {
					r := &recorder{TB: t}
					leakcheck.Rounds(r, p.begin(r))
					assert.Empty(t, r.fatals)
					if assert.Empty(t, r.errors) {
						passed++
					}
				})
			}
		})
	}
	t.Logf("passed=%d clean=%d", passed, *cleanRuns*len(clean))
}

func TestRoundsReport(t *testing.T) {
	r := &recorder{TB: t}
	stop := make(chan struct{})
	defer close(stop)
	leakcheck.Rounds(r, func(int) { plantGoroutine(stop) }, leakcheck.WithRounds(10))
	require.Len(t, r.errors, 1)
	report := r.errors[0]
	assert.True(t, strings.HasPrefix(report, "leakcheck: heap bytes, goroutines grow from round to round\n"), report)
	assert.Contains(t, report, "leakcheck_test.go:")
	for _, pattern := range []string{
		`heap bytes +\+1\d{3}\.\d\d +\+\d{3,4}\.\d\d +256\.00  LEAK`,
		`goroutines +\+1\.00 +\+1\.00 +0\.25  LEAK`,
		`(?m)^ *23 +\d+ +\d+ +\d+ *$`, // the first of the last 10 rounds
		`(?m)^ *32 +\d+ +[+-]\d+ +\d+ +[+-]\d+ +\d+ +\+1 *$`,
		`\d{4}\.\d bytes, \d\.\d\d objects a round\n\t.*leakcheck_test\.plantGoroutine\n`,
		`1\.00 goroutines a round\n\t.*leakcheck_test\.plantGoroutine\.func1\n`,
	} {
		assert.Regexp(t, pattern, report)
	}
	for _, noise := range []string{"leakcheck.Rounds", "testing.tRunner", "runtime.goexit"} {
		assert.NotContains(t, report, noise)
	}
}

func TestRoundsCallsInOrder(t *testing.T) {
	var rounds []int
	count := func(round int) { rounds = append(rounds, round) }
	leakcheck.Rounds(t, count, leakcheck.WithRounds(10), leakcheck.WithWarmup(2))
	for i, round := range rounds {
		assert.Equal(t, i, round)
	}
	assert.Len(t, rounds, 12)
}

func TestThresholds(t *testing.T) {
	for _, tc := range []struct {
		name  string
		leak  func(list **node)
		opts  []leakcheck.Option
		leaks bool
	}{
		{"more bytes allowed", plantKilobyte, []leakcheck.Option{leakcheck.WithThreshold(2 * kilobyte)}, false},
		{"fewer bytes allowed", plantTwoHundredBytes, []leakcheck.Option{leakcheck.WithThreshold(64)}, true},
		{"below in bytes", plantTwoHundredBytes, nil, false},
		{"below in objects", plantThreeObjects, nil, false},
		{"more objects allowed", plantSmallObjects, []leakcheck.Option{leakcheck.WithObjectThreshold(10)}, false},
		{"fewer objects allowed", plantThreeObjects, []leakcheck.Option{leakcheck.WithObjectThreshold(1)}, true},
		{"few rounds", plantKilobyte, []leakcheck.Option{leakcheck.WithRounds(5), leakcheck.WithWarmup(0)}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := &recorder{TB: t}
			list := new(node)
			opts := append([]leakcheck.Option{leakcheck.WithRounds(10)}, tc.opts...)
			leakcheck.Rounds(r, func(int) { tc.leak(&list) }, opts...)
			assert.Equal(t, tc.leaks, len(r.errors) == 1, r.errors)
		})
	}
}

func plantThreeObjects(list **node) {
	for range 3 {
		*list = &node{*list}
	}
}

func plantTwoHundredBytes(list **node) {
	*list = &(&struct {
		node
		_ [200 - 8]byte
	}{node: node{*list}}).node
}

func plantKilobyte(list **node) {
	*list = &(&struct {
		node
		_ [kilobyte - 8]byte
	}{node: node{*list}}).node
}

func TestOptionsAreChecked(t *testing.T) {
	for _, tc := range []struct {
		option leakcheck.Option
		want   string
	}{
		{leakcheck.WithRounds(4), "leakcheck: WithRounds(4): want 5 or more"},
		{leakcheck.WithWarmup(-1), "leakcheck: WithWarmup(-1): want 0 or more"},
		{leakcheck.WithThreshold(-1), "leakcheck: WithThreshold(-1): want 0 or more"},
		{leakcheck.WithObjectThreshold(-7), "leakcheck: WithObjectThreshold(-7): want 0 or more"},
		{nil, "leakcheck: option 1(<nil>): want an Option"},
	} {
		r := &recorder{TB: t}
		leakcheck.Rounds(r, func(int) { t.Error("run in spite of it") }, tc.option)
		assert.Equal(t, []string{tc.want}, r.fatals)
	}
	r := &recorder{TB: t}
	leakcheck.Rounds(r, nil)
	assert.Equal(t, []string{"leakcheck: Rounds(nil): want a function"}, r.fatals)
}

// A scenario may end its test at any time: in a round whose allocations are recorded, too.
func TestRoundsThatEnd(t *testing.T) {
	rate := runtime.MemProfileRate
	var held []*[kilobyte]byte
	var recorded int
	var wg sync.WaitGroup
	wg.Go(func() {
		leakcheck.Rounds(t, func(round int) {
			held = append(held, new([kilobyte]byte))
			if round == 50 {
				recorded = runtime.MemProfileRate
				runtime.Goexit()
			}
		})
	})
	wg.Wait()
	assert.Equal(t, 1, recorded)
	assert.Equal(t, rate, runtime.MemProfileRate)
	leakcheck.Rounds(t, func(int) {}, leakcheck.WithRounds(5))
	runtime.KeepAlive(held)
}

func TestRoundsInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{TB: t}
		m := map[int]*[kilobyte]byte{}
		leakcheck.Rounds(r, func(round int) { plantMapEntry(m, round) })
		assert.Len(t, r.errors, 1)
		leakcheck.Rounds(t, func(int) { go time.Sleep(time.Millisecond) })
	})
}

// A stub is a map.
type stub struct{ expired, live int }

func (s *stub) Len() int { return s.expired + s.live }

func (s *stub) Sweep() int {
	swept := s.expired
	s.expired = 0
	return swept
}

func TestDrained(t *testing.T) {
	r := &recorder{TB: t}
	leakcheck.Drained(t, &stub{expired: 3})
	leakcheck.Drained(r, &stub{expired: 3, live: 2})
	assert.Equal(t, []string{"leakcheck: *leakcheck_test.stub still holds 2 after a sweep that removed 3"}, r.errors)
}

func TestDrainedInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := sessionmap.MustNew[string, int](sessionmap.WithTTL(time.Minute), sessionmap.WithSweepInterval(time.Hour))
		defer m.Close()
		g := sessionmap.MustNewGroup[string](sessionmap.WithTTL(time.Minute))
		defer g.Close()
		leakcheck.Drained(t, m)
		leakcheck.Drained(t, g)

		m.Set("old", 1)
		time.Sleep(time.Minute)
		m.Set("new", 2)
		g.Touch("ada")
		r := &recorder{TB: t}
		leakcheck.Drained(r, m)
		leakcheck.Drained(r, g)
		require.Len(t, r.errors, 2)
		assert.Contains(t, r.errors[0], "*sessionmap.RobustSessionMap[string,int] still holds 1 ")
		assert.Contains(t, r.errors[1], "*sessionmap.Group[string] still holds 1 ")

		g.Delete("ada")
		time.Sleep(time.Minute)
		leakcheck.Drained(t, m)
		leakcheck.Drained(t, g)
	})
}

// benchmark runs a benchmark of n calls.
func benchmark(t *testing.T, n int, fn func(b *testing.B)) (result testing.BenchmarkResult, failed bool) {
	benchtime := flag.Lookup("test.benchtime").Value
	before := benchtime.String()
	require.NoError(t, benchtime.Set(fmt.Sprint(n, "x")))
	defer func() { assert.NoError(t, benchtime.Set(before)) }()
	result = testing.Benchmark(func(b *testing.B) {
		defer func() { failed = failed || b.Failed() }()
		fn(b)
	})
	return result, failed
}

func TestBenchmark(t *testing.T) {
	t.Run("clean", func(t *testing.T) {
		calls := 0
		result, failed := benchmark(t, 1000, func(b *testing.B) {
			calls = 0
			leakcheck.Benchmark(b, func() { calls++; runtime.KeepAlive(make([]byte, kilobyte)) })
		})
		assert.False(t, failed)
		assert.Equal(t, 1000, result.N)
		assert.Equal(t, 1000, calls)
		assert.InDelta(t, 0, result.Extra["live-B/op"], 10)
		assert.InDelta(t, 0, result.Extra["live-objects/op"], 0.1)
		assert.InDelta(t, 0, result.Extra["goroutines/op"], 0.01)
	})
	t.Run("leak", func(t *testing.T) {
		_, failed := benchmark(t, 100, func(b *testing.B) {
			list := new(node)
			leakcheck.Benchmark(b, func() { plantKilobyte(&list) })
		})
		assert.True(t, failed)
	})
	t.Run("figures", func(t *testing.T) {
		result, failed := benchmark(t, 100, func(b *testing.B) {
			list := new(node)
			leakcheck.Benchmark(b, func() { plantKilobyte(&list) }, leakcheck.WithThreshold(1<<20))
		})
		assert.False(t, failed)
		assert.InDelta(t, kilobyte, result.Extra["live-B/op"], 200)
		assert.InDelta(t, 1, result.Extra["live-objects/op"], 0.1)
		assert.InDelta(t, 0, result.Extra["goroutines/op"], 0.01)
	})
	t.Run("few calls", func(t *testing.T) {
		list := new(node)
		result, failed := benchmark(t, 10, func(b *testing.B) {
			leakcheck.Benchmark(b, func() { plantKilobyte(&list) })
		})
		assert.False(t, failed, "no verdict")
		assert.InDelta(t, kilobyte, result.Extra["live-B/op"], 200)
	})
	t.Run("option", func(t *testing.T) {
		_, failed := benchmark(t, 1, func(b *testing.B) { leakcheck.Benchmark(b, func() {}, leakcheck.WithRounds(0)) })
		assert.True(t, failed)
		_, failed = benchmark(t, 1, func(b *testing.B) { leakcheck.Benchmark(b, nil) })
		assert.True(t, failed)
	})
}
