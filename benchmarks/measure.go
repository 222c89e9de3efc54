package main

import (
	"math"
	"math/bits"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// block is how many operations a goroutine takes from the common stream at a time: so many that taking them
// does not show, so few that all goroutines stay in the same part of the stream.
const block = 16

// A stint is what some goroutines did together.
type stint struct {
	ops, misses int
	allocs      float64
	took        time.Duration
}

func (s stint) nanosPerOp() float64 { return float64(s.took) / float64(s.ops) }

// allocsPerOp is rounded to what can be told: other goroutines allocate too.
func (s stint) allocsPerOp() float64 { return math.Round(10*s.allocs/float64(s.ops)) / 10 }

// hits is the share of the operations that found what they looked for.
func (s stint) hits() float64 { return 1 - float64(s.misses)/float64(s.ops) }

// run has goroutines do the operations first, first+1, ... for a time. op reports whether it found what it
// looked for, which also keeps the compiler from leaving it out. Each does one block at the least, and a block that
// is begun is finished.
func run(goroutines int, d time.Duration, first int, op func(i int) bool) stint {
	var next, misses atomic.Int64
	next.Store(int64(first))
	var stop atomic.Bool
	var all sync.WaitGroup
	allocs := metric("/gc/heap/allocs:objects")
	start := time.Now()
	timer := time.AfterFunc(d, func() { stop.Store(true) })
	defer timer.Stop()
	for range goroutines {
		all.Go(func() {
			missed := 0
			for {
				end := int(next.Add(block))
				for i := end - block; i < end; i++ {
					if !op(i) {
						missed++
					}
				}
				if stop.Load() {
					break
				}
			}
			misses.Add(int64(missed))
		})
	}
	all.Wait()
	took := time.Since(start)
	return stint{ops: int(next.Load()) - first, misses: int(misses.Load()), allocs: metric("/gc/heap/allocs:objects") - allocs, took: took}
}

// liveHeap is what the heap holds after a collection, in bytes.
func liveHeap() float64 {
	runtime.GC()
	runtime.GC() // the first one leaves what had been found live before, and what has a finalizer
	return heapNow()
}

// calmHeap is liveHeap once nothing more goes: what was closed before may take its time to let go.
func calmHeap() float64 {
	const atMost, pause, slack = 20, 50 * time.Millisecond, 64 << 10
	last := liveHeap()
	for range atMost {
		time.Sleep(pause)
		now := liveHeap()
		if now > last-slack {
			return now
		}
		last = now
	}
	return last
}

// heapNow is what the heap holds, garbage that is not yet collected included. Asking stops nobody.
func heapNow() float64 { return metric("/memory/classes/heap/objects:bytes") }

// metric is one of package runtime/metrics.
func metric(name string) float64 {
	sample := []metrics.Sample{{Name: name}}
	metrics.Read(sample)
	if v := sample[0].Value; v.Kind() == metrics.KindFloat64 {
		return v.Float64()
	}
	return float64(sample[0].Value.Uint64())
}

// A collection is what one garbage collection cost.
type collection struct {
	took, cpu, pause time.Duration
}

func collect() collection {
	cpu := func() float64 { return metric("/cpu/classes/gc/total:cpu-seconds") }
	before, start := cpu(), time.Now()
	runtime.GC()
	c := collection{took: time.Since(start), cpu: time.Duration((cpu() - before) * float64(time.Second))}
	var stats debug.GCStats
	debug.ReadGCStats(&stats)
	if len(stats.Pause) > 0 {
		c.pause = stats.Pause[0] // the most recent
	}
	return c
}

// A histogram counts durations in steps of an eighth of a power of two.
type histogram struct {
	counts [64 * 8]int
	n      int
	worst  time.Duration
}

func (h *histogram) add(d time.Duration) {
	d = max(d, 1)
	power := bits.Len64(uint64(d)) - 1
	eighth := int(uint64(d)<<3>>power) & 7
	h.counts[power*8+eighth]++
	h.n++
	h.worst = max(h.worst, d)
}

// quantile is the upper end of the step that has it, or what was the worst.
func (h *histogram) quantile(q float64) time.Duration {
	left := int(q * float64(h.n))
	for i, count := range h.counts {
		if left -= count; left < 0 {
			return min(h.worst, time.Duration(uint64(8+i%8+1)<<(i/8)>>3))
		}
	}
	return h.worst
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// scatter is how far the middle half of the values is spread, as a share of the median.
func scatter(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[len(sorted)*3/4] - sorted[len(sorted)/4]) / median(values)
}

func quantileOf(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(q*float64(len(sorted)-1))]
}
