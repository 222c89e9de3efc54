// Package leakcheck finds out in a test whether a program leaks: whether what it does again and again leaves
// more heap, or more goroutines, behind each time. It needs nothing of the program but a function that does it
// once:
//
//	func TestSessionsDoNotLeak(t *testing.T) {
//		s := NewServer()
//		defer s.Close()
//		leakcheck.Rounds(t, func(round int) {
//			id := s.Login("ada")
//			s.Chat(id, "hello")
//			s.Logout(id)
//		})
//	}
//
// [Rounds] is for tests, [Benchmark] for benchmarks, and [Drained] asks a map or group of sessions whether it is
// empty.
//
// # How it works
//
// After each round the garbage collector runs until the figures stand still:
//
//   - heap bytes: the memory of the objects that are still reachable, with the allocator's rounding. Stacks, what
//     was mapped or allocated by C, and the runtime's own tables are not in it.
//   - objects: how many these are. Those of less than 16 bytes without pointers share one.
//   - goroutines: how many there are. Those that are about to end get up to 20 ms for it after each round.
//
// Their growth a round is the median of the slopes between any two rounds (Sen, Estimates of the Regression
// Coefficient Based on Kendall's Tau, JASA 63, 1968), which a few odd rounds do not change. The same slopes give a
// bound that the growth exceeds with 99.9% confidence, however the noise is distributed, if that of one round does not
// depend on another's: this bound is what is compared with the threshold. Caches that fill up in the first half of the
// rounds, and tables that double now and then, stay below it.
//
// A scenario that exceeds it runs for as many rounds again, and then once more. It leaks if each of the three series
// exceeds it, and if what has grown in the last is still there 150 ms later. The allocations of the last are recorded,
// one and all, so that the report can name what grew; the figures in the report are its.
//
//	slope.go      how fast figures grow
//	settle.go     the figures, once they stand still
//	sites.go      where what grew was allocated, and where the goroutines stand
//	report.go     the report
//	options.go    how many rounds, and how much growth is none
//
// # What it costs
//
// A round takes three or four garbage collections, of 0.3 to 3 ms each in a small program: a clean scenario some
// 30 to 200 ms on top of its own work. A goroutine that stays costs 20 ms more. A scenario that seems to leak is run
// three times, the last with every allocation recorded, which makes each take about 1 µs more.
//
// # What it does not find
//
// A leak below the threshold, which is 256 bytes, 4 objects or a quarter of a goroutine a round unless an option
// says otherwise: have the scenario do the leaking thing ten times a round. A leak that is smaller than what the
// scenario's live memory varies by anyway, or that comes less often than about every sixth round: more rounds help.
// What is held but does not grow. What is in no heap object: file descriptors, C memory, the space of goroutine
// stacks.
//
// It takes for a leak whatever grows steadily over three times the rounds: a cache that takes longer to fill (fill it
// before, or make its bound smaller), a history, a live set that wanders at random over
// many rounds, and what the testing package
// keeps of T.Run, T.Log and T.Cleanup until the test ends, if that is much.
//
// The figures are those of the process. What other goroutines do meanwhile is in them: as long as it goes up and
// down it is noise and may hide a leak, and if it grows it is reported. So don't use it in tests that run in
// parallel with others. Several of this package's own checks wait for each other.
package leakcheck

import (
	"runtime"
	"sync"
	"testing"
)

// turn is held while rounds are run: the figures are those of the process, as is runtime.MemProfileRate.
var turn sync.Mutex

// Rounds calls fn for some rounds, by default 3 to warm up and 20 that are judged, and fails the test with Errorf if
// live heap bytes, live objects or goroutines grow from round to round. The report has the figures of each round, the
// growth with its threshold, the stacks that allocated what has become more, and those of the goroutines that
// have.
//
// fn is called on the caller's goroutine, with round counting up from 0, warm-up included; where the rounds show
// growth, for as many rounds again, up to three times in all. It should leave behind what it found, and must not call
// Rounds or Benchmark. Options that make no sense fail the test with Fatalf.
//
// While the last of these run runtime.MemProfileRate is 1; it is then set back. A heap profile of the same process
// (go test -memprofile) shows what they allocated as more than it was.
//
// Rounds works in a testing/synctest bubble, whose clock it moves on by some milliseconds a round; there the
// goroutines outside the bubble, finalizers and cleanups among them, get little time to end. Better have
// fn begin the bubble.
func Rounds(t testing.TB, fn func(round int), opts ...Option) {
	t.Helper()
	c, err := configure(opts)
	switch {
	case err != nil:
		t.Fatalf("%v", err)
	case fn == nil:
		t.Fatalf("leakcheck: Rounds(nil): want a function")
	default:
		if _, leak := check(c, fn, 1); leak != "" {
			t.Errorf("%s", leak)
		}
	}
}

// Drained fails the test with Errorf if m holds sessions, apart from expired ones, which it sweeps. m is a
// sessionmap.RobustSessionMap or a sessionmap.Group, or whatever else has these methods: Len returns how many entries
// there are, Sweep removes the expired ones and returns how many. Nothing is waited for, so it may be called in a
// testing/synctest bubble, and has to be when what ends the sessions is done.
func Drained(t testing.TB, m interface {
	Len() int
	Sweep() int
}) {
	t.Helper()
	swept := m.Sweep()
	if left := m.Len(); left != 0 {
		t.Errorf("leakcheck: %T still holds %d after a sweep that removed %d", m, left, swept)
	}
}

// A scenario is what is run in rounds.
type scenario struct {
	fn    func(round int)
	next  int // round
	meter meter
	last  figures
}

// call runs the next round.
func (s *scenario) call() {
	s.fn(s.next)
	s.next++
}

// warmUp runs n rounds.
func (s *scenario) warmUp(n int) {
	calm := runtime.NumGoroutine()
	for range n {
		s.call()
	}
	s.last = s.meter.settle(float64(calm))
}

// run runs the next n rounds and returns the figures after each.
func (s *scenario) run(n int) []figures {
	after := make([]figures, n)
	for i := range after {
		s.call()
		s.last = s.meter.settle(s.last[goroutines])
		after[i] = s.last
	}
	return after
}

// suspicions is how often the rounds must show growth before they are run a last time. A live set that wanders slowly,
// so that one round depends on the round before, seems to grow in one series out of ten, but seldom in three on end.
const suspicions = 2

// check runs fn. It returns the growth a round, and a report if that is a leak. calls is how many calls of what is
// looked at make a round.
func check(c config, fn func(round int), calls int) (perRound figures, leak string) {
	turn.Lock()
	defer turn.Unlock()
	s := &scenario{fn: fn}
	s.warmUp(c.warmup)
	for range suspicions {
		if v := judge(c, s.run(c.rounds)); !v.grows() {
			return v.slope, ""
		}
	}
	found := finding{round: s.next, calls: calls}
	heap, stacks := heapSites(), goroutineSites()
	defer recordAllocations()()
	found.verdict = judge(c, s.run(c.rounds))
	if !found.grows() || !found.stays(&s.meter) {
		return found.slope, ""
	}
	found.heap, found.stacks = heapSites().since(heap), goroutineSites().since(stacks)
	return found.slope, found.String()
}
