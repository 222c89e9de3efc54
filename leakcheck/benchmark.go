package leakcheck

import (
	"runtime"
	"testing"
)

// Benchmark calls fn b.N times and reports what stays of a call, beside the benchmark's own figures: as live-B/op,
// live-objects/op and goroutines/op, of which a few bytes a round are noise. Time and allocations are those of fn
// alone; what ran before does not count. It fails the benchmark as [Rounds] fails a test.
//
// The calls are divided over the rounds, those to warm up included, and the thresholds are for a round: with a large
// b.N a leak of a byte a call is found. As long as b.N is less than the rounds (-benchtime=1x), there is no
// verdict, and the figures are those of the difference before and after, with all that is made once. Where the
// rounds show growth, more are run, which are not timed.
func Benchmark(b *testing.B, fn func(), opts ...Option) {
	b.Helper()
	b.StopTimer()
	b.ResetTimer()
	c, err := configure(opts)
	switch {
	case err != nil:
		b.Fatalf("%v", err)
	case fn == nil:
		b.Fatalf("leakcheck: Benchmark(nil): want a function")
	}
	rounds := c.warmup + c.rounds
	calls := b.N / rounds
	if calls == 0 {
		reportMetrics(b, difference(b, fn), b.N)
		return
	}
	perRound, leak := check(c, func(round int) {
		n := calls
		if round == 0 {
			n += b.N % rounds
		}
		if round < rounds {
			b.StartTimer()
			defer b.StopTimer()
		}
		for range n {
			fn()
		}
	}, calls)
	reportMetrics(b, perRound, calls)
	if leak != "" {
		b.Errorf("%s", leak)
	}
}

// difference returns what b.N calls of fn leave.
func difference(b *testing.B, fn func()) figures {
	turn.Lock()
	defer turn.Unlock()
	var m meter
	before := m.settle(float64(runtime.NumGoroutine()))
	b.StartTimer()
	for range b.N {
		fn()
	}
	b.StopTimer()
	after := m.settle(before[goroutines])
	for i := range after {
		after[i] -= before[i]
	}
	return after
}

func reportMetrics(b *testing.B, grown figures, calls int) {
	for i, unit := range [...]string{heapBytes: "live-B/op", objects: "live-objects/op", goroutines: "goroutines/op"} {
		b.ReportMetric(grown[i]/float64(calls), unit)
	}
}
